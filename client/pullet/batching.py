"""`@batch`: a method that callers call with one item, and that the worker calls with many."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, overload

E = TypeVar("E")
X = TypeVar("X")
Y = TypeVar("Y")

MOST = 10_000
"""The largest batch."""
MARK = "__pullet_batch__"


@dataclass(frozen=True)
class Batch:
    """How a method is batched: what `batch` was given."""

    max_batch_size: int
    batch_wait_timeout_s: float

    def __post_init__(self) -> None:
        if not 1 <= self.max_batch_size <= MOST:
            raise ValueError(f"max_batch_size={self.max_batch_size}: expected 1 to {MOST} items")
        if not 0 <= self.batch_wait_timeout_s <= 3600:
            raise ValueError(f"batch_wait_timeout_s={self.batch_wait_timeout_s}: expected 0 to 3600 seconds")


class _Decorator(Protocol):
    @overload
    def __call__(
        self, method: Callable[[E, list[X]], Coroutine[Any, Any, Sequence[Y | Exception]]], /
    ) -> Callable[[E, X], Coroutine[Any, Any, Y]]: ...
    @overload
    def __call__(self, method: Callable[[E, list[X]], Sequence[Y | Exception]], /) -> Callable[[E, X], Y]: ...


def batch(*, max_batch_size: int = 32, batch_wait_timeout_s: float = 0.0) -> _Decorator:
    """Let one call of a method serve many jobs.

        @pullet.batch(max_batch_size=64, batch_wait_timeout_s=0.005)
        def score(self, fens: list[str]) -> list[float]: ...

        client.submit(Chess.score, fen)      # callers send one item each: Future[float]

    The method, plain or async, takes a list and returns a list of the same length. An element that is an exception
    fails that item only. If the call raises, each item is tried again alone, so that a bad one harms no other.

    A batch takes what waits at once, up to `max_batch_size`, and so grows with the backlog. Only when less is there it
    waits up to `batch_wait_timeout_s` seconds for more, counted from its first item.
    """
    settings = Batch(max_batch_size, batch_wait_timeout_s)

    def mark(method: Any) -> Any:
        _check(method)
        setattr(method, MARK, settings)
        return method

    return mark


def batch_of(method: Any) -> Batch | None:
    """How a method is batched, or None when it is not."""
    found = getattr(method, MARK, None)
    return found if isinstance(found, Batch) else None


def _check(method: Any) -> None:
    name = getattr(method, "__qualname__", repr(method))
    if not inspect.isfunction(method):
        raise TypeError(f"@batch is for methods, {name} is none: write it directly above the def")
    if inspect.isgeneratorfunction(method) or inspect.isasyncgenfunction(method):
        raise TypeError(f"@batch is not for generators: {name} must return a list")
    parameters = inspect.signature(method).parameters.values()
    if len(parameters) != 2 or any(one.kind > one.POSITIONAL_OR_KEYWORD for one in parameters):
        raise TypeError(f"@batch is for methods of one parameter beside self, a list of items; {name} has another form")
