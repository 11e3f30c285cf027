"""From an exception to the failure that stands for it on the wire."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import TypeVar

from pullet_broker.reply import Failure

T = TypeVar("T")

MEMBERS, DEPTH = 50, 5
"""How much of an exception group travels as itself; its text and traceback tell of the rest."""


def describe(error: BaseException, *, skip: str = "", depth: int = DEPTH) -> Failure:
    """An exception as data. Its traceback begins behind the frames of files whose path begins with `skip`: those of
    the worker, which lead to the engine. Never raises."""
    cls, frames = type(error), error.__traceback__
    while skip and frames is not None and frames.tb_frame.f_code.co_filename.startswith(skip):
        frames = frames.tb_next
    failure = Failure(
        f"{cls.__module__}.{cls.__qualname__}",
        _ask(lambda: str(error), f"<{cls.__name__} whose text cannot be made>"),
        _ask(lambda: list(error.args), []),
        _ask(lambda: "".join(traceback.format_exception(cls, error, frames)), "<a traceback that cannot be made>"),
    )
    nothing: tuple[BaseException, ...] = ()
    members = _ask(lambda: _members(error), nothing)
    if members and depth > 0:
        failure.args[:] = [str(error.args[0])]
        failure.members.extend(describe(one, depth=depth - 1) for one in members[:MEMBERS])
    return failure


def overran(method: str, limit_s: float, where: str = "") -> Failure:
    """What stands for a run that was stopped at its time limit; `where` it was then, as a traceback says it."""
    text = f"{method} was stopped: it ran longer than options(timeout={limit_s:g}) allows"
    return Failure("pullet.JobTimeout", text, [text, limit_s], where, "timeout")


def type_names(error: BaseException) -> set[str]:
    """The names of its class and all bases, each with its module."""
    return {f"{cls.__module__}.{cls.__qualname__}" for cls in type(error).__mro__}


def _members(error: BaseException) -> tuple[BaseException, ...]:
    """What an exception group holds, also one of the `exceptiongroup` package; nothing for other exceptions."""
    if not type_names(error) & {"builtins.BaseExceptionGroup", "exceptiongroup.BaseExceptionGroup"}:
        return ()
    found = error.exceptions  # type: ignore[attr-defined]
    return tuple(one for one in found if isinstance(one, BaseException))


def _ask(question: Callable[[], T], otherwise: T) -> T:
    """What an exception says of itself. It is the engine's code that answers, so it may raise anything."""
    try:
        return question()
    except BaseException:
        return otherwise
