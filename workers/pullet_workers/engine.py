"""One engine in its worker: build it, call its methods, and turn whatever happens into a payload."""

from __future__ import annotations

import functools
import importlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pullet_broker.annotated import Arguments
from pullet_broker.codec import decode_call, encode
from pullet_broker.errors import DecodeError, EncodeError, TooLarge
from pullet_broker.failure import describe
from pullet_broker.job import Entry
from pullet_broker.parts import Buffer, Parts
from pullet_broker.reply import Failure, pack_failure, pack_reply
from pullet_broker.settings import Limits

Factory = Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Done:
    """How one attempt went. `reply` is ready to commit; `error` is what was raised, if anything."""

    reply: bytes | Parts
    error: BaseException | None
    run_s: float


class Engine:
    """The engine of one worker. Built and called in one thread, because engines may be bound to it."""

    def __init__(self, factory: Factory | str, worker: str, limits: Limits) -> None:
        self._engine = resolve_factory(factory)()
        self._worker, self._limits = worker, limits
        self._methods: dict[str, Callable[..., Any]] = {}
        self._arguments: dict[str, Arguments] = {}

    def run(self, entry: Entry) -> Done:
        """Run one job. Never raises: every failure is the job's outcome, also SystemExit."""
        started = time.perf_counter()
        try:
            method, args, kwargs = self._prepare(entry)
        except _BadJob as bad:
            return self._failed(entry, bad, bad.failure, started)
        try:
            value = method(*args, **kwargs)
        except BaseException as error:  # the engine may raise anything; the worker must outlive it
            return self._failed(entry, error, describe(error), started)
        run_s = time.perf_counter() - started
        try:
            payload = encode(value, limit=self._limits.result_bytes, name="result")
        except (EncodeError, TooLarge) as error:
            kind = "too_large" if isinstance(error, TooLarge) else "unencodable"
            return self._failed(entry, error, _stated(kind, f"the result of {entry.method}: {error}"), started)
        return Done(self._pack("ok", entry, run_s, payload), None, run_s)

    def close(self) -> None:
        """Call the engine's own `close`, where it has one."""
        close = getattr(self._engine, "close", None)
        if callable(close):
            close()

    def _prepare(self, entry: Entry) -> tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]:
        if entry.problem:
            raise _BadJob("unreadable", f"job {entry.job or '?'} cannot be read: {entry.problem}")
        method = self._methods.get(entry.method) or self._find(entry.method)
        try:
            args, kwargs = decode_call(entry.args, limit=self._limits.args_bytes)
            args, kwargs = self._arguments[entry.method].build(args, kwargs)
        except (DecodeError, TooLarge) as error:
            message = f"the arguments of job {entry.job} cannot be read: {error}; submit jobs with pullet"
            raise _BadJob("unreadable", message) from None
        return method, args, kwargs

    def _find(self, name: str) -> Callable[..., Any]:
        method = None if name.startswith("_") else getattr(self._engine, name, None)
        if not callable(method):
            raise _BadJob("method", f"the engine {type(self._engine).__name__} has no method {name!r}")
        found: Callable[..., Any] = method
        self._arguments[name] = Arguments(found)
        self._methods[name] = found
        return found

    def _failed(self, entry: Entry, error: BaseException, failure: Failure, started: float) -> Done:
        run_s = time.perf_counter() - started
        return Done(self._pack("error", entry, run_s, pack_failure(failure)), error, run_s)

    def _pack(self, outcome: str, entry: Entry, run_s: float, payload: Buffer) -> bytes | Parts:
        return pack_reply(outcome, entry.attempt, self._worker, int(run_s * 1e6), payload)


class _BadJob(Exception):
    """The job cannot be run as it is."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.failure = _stated(kind, text)


def _stated(kind: str, text: str) -> Failure:
    return Failure("pullet.JobError", text, [text], "", kind)


def resolve_factory(factory: Factory | str) -> Factory:
    """`"module:Class"` names an engine that the worker imports; anything else is called as it is."""
    if not isinstance(factory, str):
        return factory
    module, _, name = factory.partition(":")
    found: Any = functools.reduce(getattr, name.split("."), importlib.import_module(module))
    return found  # type: ignore[no-any-return]
