"""What a generator yields: sent as it comes when its caller asked for a stream, else collected into a list."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable, Iterator
from contextlib import aclosing
from types import AsyncGeneratorType, GeneratorType
from typing import Any

from pullet_broker.errors import EncodeError, TooLarge
from pullet_broker.job import Entry
from pullet_broker.parts import Buffer
from pullet_workers.emitter import Flow
from pullet_workers.opts import read_opts
from pullet_workers.runs import Runs


class BadItem(Exception):
    """An item that cannot travel."""

    def __init__(self, error: EncodeError | TooLarge) -> None:
        super().__init__(str(error))
        self.error = error


OpenFlow = Callable[[Entry], Flow]
Encode = Callable[..., Buffer]
"""`encode` with the settings of the queue; takes the value, and the name that errors call it."""


def collect(entry: Entry, value: Any, open_flow: OpenFlow, encode: Encode, runs: Runs) -> Any:
    """The result of a job whose method returned `value`: the number of items where they were streamed."""
    if entry.opts and read_opts(entry.opts).stream:
        return _send(_checked(entry, _iterable(entry, value), runs), open_flow(entry), encode)
    return list(_checked(entry, value, runs)) if isinstance(value, GeneratorType) else value


async def collect_async(entry: Entry, value: Any, open_flow: OpenFlow, encode: Encode, runs: Runs) -> Any:
    """The same on an event loop, for async generators too."""
    if entry.opts and read_opts(entry.opts).stream:
        values = _iterable(entry, value)
        if not isinstance(values, AsyncIterable):
            values = _checked(entry, values, runs)
        return await _send_async(values, open_flow(entry), encode)
    if isinstance(value, AsyncGeneratorType):
        return [item async for item in value]
    return list(_checked(entry, value, runs)) if isinstance(value, GeneratorType) else value


def _checked(entry: Entry, values: Iterable[Any], runs: Runs) -> Iterator[Any]:
    """The items, until the job is told to stop: then the generator is closed."""
    try:
        for value in values:
            runs.check(entry)
            yield value
    finally:
        if isinstance(values, GeneratorType):
            values.close()


def _iterable(entry: Entry, value: Any) -> Any:
    if isinstance(value, (Iterable, AsyncIterable)):
        return value
    raise TypeError(f"{entry.method} returned {type(value).__name__}, which cannot be streamed: submit it instead")


def _send(values: Iterable[Any], flow: Flow, encode: Encode) -> int:
    """Whatever ends the generator, what it has yielded is stored before its outcome is."""
    try:
        for value in values:
            room = flow.offer(_encoded(value, flow, encode))
            if room is not None:
                room.result()
    finally:
        if isinstance(values, GeneratorType):
            values.close()
        flow.finish().result()
    return flow.count


async def _send_async(values: Any, flow: Flow, encode: Encode) -> int:
    try:
        async with aclosing(_in_async(values)) as items:
            async for value in items:
                room = flow.offer(_encoded(value, flow, encode))
                if room is not None:
                    await asyncio.wrap_future(room)
    finally:
        await asyncio.wrap_future(flow.finish())
    return flow.count


async def _in_async(values: Any) -> AsyncGenerator[Any, None]:
    """Items of an iterable of either kind, which is closed with this one."""
    try:
        if isinstance(values, AsyncIterable):
            async for value in values:
                yield value
        else:
            for value in values:
                yield value
    finally:
        if isinstance(values, AsyncGeneratorType):
            await values.aclose()
        elif isinstance(values, GeneratorType):
            values.close()


def _encoded(value: Any, flow: Flow, encode: Encode) -> Buffer:
    try:
        return encode(value, name=f"item[{flow.count}]")
    except (EncodeError, TooLarge) as error:
        raise BadItem(error) from None
