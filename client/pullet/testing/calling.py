"""Call a method of an engine as a worker does, in the caller: plain, async, in batches, generators of both kinds."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Coroutine, Generator
from types import AsyncGeneratorType, GeneratorType
from typing import Any

from pullet.batching import batch_of
from pullet_broker.annotated import Arguments
from pullet_broker.codec import decode_call, encode, is_pickled
from pullet_broker.errors import DecodeError, EncodeError, TooLarge
from pullet_broker.failure import describe
from pullet_broker.parts import Buffer
from pullet_broker.reply import Failure, pack_failure
from pullet_broker.settings import Queue

Wait = Callable[[Coroutine[Any, Any, Any]], Any]
"""Runs a coroutine to its end."""
Ended = tuple[str, Buffer, "Exception | None"]
"""Outcome, payload, and what the engine raised."""


class Stated(Exception):
    """A failure that a worker states in its own name."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.failure = Failure("pullet.JobError", text, [text], "", kind)


def run(engine: Any, name: str, payload: bytes, queue: Queue, wait: Wait) -> Ended:
    """Call a method for its result; that of a generator is the list of its items. Never raises."""
    try:
        value = call(engine, name, payload, queue, wait)
        if isinstance(value, (GeneratorType, AsyncGeneratorType)):
            value = list(iterate(value, wait))
        return "ok", encoded(value, queue, "result", f"the result of {name}"), None
    except Exception as error:
        return failed(error)


def failed(error: Exception) -> Ended:
    """How a job ends whose method, or worker, raised this."""
    if isinstance(error, Stated):
        return "error", pack_failure(error.failure), None
    return "error", pack_failure(describe(error, skip=__file__)), error


def call(engine: Any, name: str, payload: bytes, queue: Queue, wait: Wait) -> Any:
    """What a method returns, a coroutine's result at once. Raises `Stated`, or what the method raises."""
    method = None if name.startswith("_") else getattr(engine, name, None)
    if not callable(method):
        raise Stated("method", f"the engine {type(engine).__name__} has no method {name!r}")
    batched = batch_of(method) is not None
    try:
        args, kwargs = decode_call(payload, limit=queue.limits.args_bytes, pickles=queue.encoding.reads_pickles)
        if not is_pickled(payload):
            args, kwargs = Arguments(method, of_item=batched).build(args, kwargs)
    except (DecodeError, TooLarge) as error:
        raise Stated("unreadable", f"the arguments of {name} cannot be read: {error}") from None
    value = method([*args, *kwargs.values()]) if batched else method(*args, **kwargs)
    value = wait(value) if inspect.iscoroutine(value) else value
    return _only(name, value) if batched else value


def iterate(values: Any, wait: Wait) -> Generator[Any, None, None]:
    """The items of whatever can be iterated, of either kind. Closing it closes a generator."""
    if not isinstance(values, AsyncIterator):
        yield from values
        return
    try:
        while True:
            try:
                item = wait(_next(values))
            except StopAsyncIteration:
                return
            yield item
    finally:
        if isinstance(values, AsyncGeneratorType):
            wait(_close(values))


def encoded(value: Any, queue: Queue, name: str, what: str) -> Buffer:
    """Raises `Stated` for what cannot travel."""
    try:
        return encode(value, limit=queue.limits.result_bytes, name=name, how=queue.encoding)
    except (EncodeError, TooLarge) as error:
        kind = "too_large" if isinstance(error, TooLarge) else "unencodable"
        raise Stated(kind, f"{what}: {error}") from None


def _only(name: str, values: Any) -> Any:
    """The value of a batch of one."""
    found = list(values)
    if len(found) != 1:
        raise ValueError(f"the batch method {name} got 1 items and returned {len(found)} results: expected a list of 1")
    if isinstance(found[0], Exception):
        raise found[0]
    return found[0]


async def _next(values: AsyncIterator[Any]) -> Any:
    return await anext(values)


async def _close(values: AsyncGeneratorType[Any, Any]) -> None:
    await values.aclose()
