"""One engine in its worker: call its methods, and turn whatever happens into a payload."""

from __future__ import annotations

import asyncio
import importlib
import os
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial, reduce
from types import GeneratorType
from typing import Any

from pullet.running import enter, leave
from pullet_broker.annotated import Arguments
from pullet_broker.codec import decode_call, encode, is_pickled
from pullet_broker.errors import DecodeError, EncodeError, JobTimeout, TooLarge
from pullet_broker.failure import describe as describe_error
from pullet_broker.failure import overran
from pullet_broker.job import Entry
from pullet_broker.parts import Buffer, Parts
from pullet_broker.reply import Failure, pack_failure, pack_reply
from pullet_broker.settings import Queue
from pullet_broker.tracing import is_used
from pullet_workers.attempt import Attempt, OpenReports
from pullet_workers.emitter import Fenced, Halted
from pullet_workers.runs import Order, Runs
from pullet_workers.spans import around, note_error
from pullet_workers.streaming import BadItem, Encode, OpenFlow, collect, collect_async
from pullet_workers.traits import traits_of

_OURS = os.path.dirname(__file__) + os.sep

Factory = Callable[[], Any]


@dataclass(frozen=True)
class Pickled:
    """A factory that is still to be unpickled, in the thread that builds the engine: that may take long, or raise."""

    open: Callable[[], Factory | str]


@dataclass(slots=True)  # not frozen: one is made for every job, and that would take 0.5 us more
class Done:
    """How one attempt went. `reply` is ready to commit; `error` is what was raised, if anything."""

    reply: bytes | Parts | None
    """None: the job is another worker's by now, there is nothing to commit."""
    error: BaseException | None
    run_s: float
    failure: Failure | None = None
    """`error` as data."""
    log: str = ""
    """The last lines that the engine logged, where it raised."""


class Engine:
    """The engine of one worker. Called in the thread that it was built in, because engines may be bound to it."""

    def __init__(
        self,
        built: Any,
        worker: str,
        queue: Queue,
        open_flow: OpenFlow,
        open_reports: OpenReports,
        runs: Runs | None = None,
    ) -> None:
        self._engine = built
        self.open_reports = open_reports
        self._worker, self._limits, self._open_flow = worker, queue.limits, open_flow
        self._reads_pickles = queue.encoding.reads_pickles
        encode_here = partial(encode, limit=self._limits.result_bytes)  # made once, because jobs are many
        self._encode_as_set: Encode = partial(encode_here, how=queue.encoding)
        self._encode_plain: Encode = partial(encode_here, how=replace(queue.encoding, codec="msgpack"))
        self.queue = queue.name
        self._methods: dict[str, Callable[..., Any]] = {}
        self._arguments: dict[str, Arguments] = {}  # of those methods whose annotations ask for anything
        self.runs = runs or Runs()
        self.traits = traits_of(type(built))

    def run(self, entry: Entry) -> Done:
        """Run one job. Never raises: every failure is the job's outcome, also SystemExit."""
        attempt = Attempt(entry, self.open_reports)
        token = enter((attempt,))
        if is_used():
            with around(self.queue, [entry]):
                done = self._run(entry)
                note_error(done.error)
        else:
            done = self._run(entry)
        leave(token)
        return done if done.error is None and attempt.reports is None else ended(attempt, done)

    async def run_async(self, entry: Entry) -> Done:
        """The same for an engine on an event loop."""
        attempt = Attempt(entry, self.open_reports)
        token = enter((attempt,))
        with around(self.queue, [entry]):
            done = await self._run_async(entry)
            note_error(done.error if is_used() else None)
        leave(token)
        return ended(attempt, done)

    def _run(self, entry: Entry) -> Done:
        started = time.perf_counter()
        run = self.runs.begin([entry]) if entry.opts else None
        try:
            if self.runs.orders:
                self.runs.check(entry)
            method, args, kwargs = self.prepare(entry)
            value = method(*args, **kwargs)
            if entry.opts or type(value) is GeneratorType:
                value = collect(entry, value, self._open_flow, self._encode(entry), self.runs)
        except BaseException as error:  # the engine may raise anything; the worker must outlive it
            done = self._raised(entry, error, time.perf_counter() - started)
        else:
            done = self.returned(entry, value, time.perf_counter() - started)
        if run is not None:
            self.runs.end(run)
        return self.overruled(entry, done) if self.runs.orders else done

    async def _run_async(self, entry: Entry) -> Done:
        started = time.perf_counter()
        run = self.runs.begin([entry], asyncio.current_task())
        try:
            self.runs.check(entry)
            method, args, kwargs = self.prepare(entry)
            value = method(*args, **kwargs)
            if isinstance(value, Awaitable):
                value = await value
            value = await collect_async(entry, value, self._open_flow, self._encode(entry), self.runs)
        except BaseException as error:  # also what an engine raises to end its own task
            done = self._raised(entry, error, time.perf_counter() - started)
        else:
            done = self.returned(entry, value, time.perf_counter() - started)
        self.runs.end(run)
        return self.overruled(entry, done) if self.runs.orders else done

    def hook(self, name: str) -> Any:
        """Call a hook of the engine, where it has one; what an async one returns is to be awaited."""
        hook = getattr(self._engine, name, None)
        return hook() if callable(hook) else None

    def has_hook(self, name: str) -> bool:
        return callable(getattr(type(self._engine), name, None))

    def run_hook(self, name: str) -> Any:
        """The same for an engine without an event loop: an async hook gets one of its own."""
        answer = self.hook(name)
        return wait_for(answer) if isinstance(answer, Awaitable) else answer

    def prepare(self, entry: Entry) -> tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]:
        """Method and arguments. Raises `BadJob`."""
        if entry.problem:
            raise stated("unreadable", f"job {entry.job or '?'} cannot be read: {entry.problem}")
        method = self._methods.get(entry.method) or self._find(entry.method)
        try:
            pickles = self._reads_pickles
            args, kwargs = decode_call(entry.args, limit=self._limits.args_bytes, pickles=pickles)
            arguments = self._arguments.get(entry.method)
            if arguments is not None and not (pickles and is_pickled(entry.args)):  # those are what they were
                args, kwargs = arguments.build(args, kwargs)
        except (DecodeError, TooLarge) as error:
            message = f"the arguments of job {entry.job} cannot be read: {error}; submit jobs with pullet"
            raise stated("unreadable", message) from None
        return method, args, kwargs

    def returned(self, entry: Entry, value: Any, run_s: float) -> Done:
        """The method returned, after `run_s` seconds."""
        encode = self._encode(entry) if self._reads_pickles else self._encode_as_set
        try:
            payload = encode(value, name="result")
        except (EncodeError, TooLarge) as error:
            return self._unsendable(entry, error, "the result", run_s)
        return Done(pack_reply("ok", entry.attempt, self._worker, int(run_s * 1e6), payload), None, run_s)

    def failed(self, entry: Entry, error: BaseException, failure: Failure, run_s: float) -> Done:
        """The method raised, or could not be called."""
        return Done(self._pack("error", entry, run_s, pack_failure(failure)), error, run_s, failure)

    def _encode(self, entry: Entry) -> Encode:
        """Only who sent a pickle gets one."""
        plain = self._reads_pickles and not is_pickled(entry.args)
        return self._encode_plain if plain else self._encode_as_set

    def overruled(self, entry: Entry, done: Done) -> Done:
        """How an attempt went, unless it was told to stop."""
        order = self.runs.forget(entry)
        if order is None:
            return done
        if order.settled:
            return Done(None, None, done.run_s)
        return self.stopped(order, done.run_s, done.failure.traceback if done.failure else "")

    def stopped(self, order: Order, run_s: float, where: str) -> Done:
        """It was told to stop, and was `where` then."""
        entry, limit_s = order.entry, order.timeout_s
        if limit_s is None:
            return Done(self._pack("cancelled", entry, run_s, b""), None, run_s)
        failure = overran(entry.method, limit_s, where)
        return self.failed(entry, JobTimeout(failure.text, timeout_s=limit_s), failure, run_s)

    def _raised(self, entry: Entry, error: BaseException, run_s: float) -> Done:
        if isinstance(error, BadJob):
            return self.failed(entry, error, error.failure, run_s)
        if isinstance(error, BadItem):
            return self._unsendable(entry, error.error, "an item", run_s)
        if isinstance(error, Halted):
            return Done(self._pack("cancelled", entry, run_s, b""), None, run_s)
        if isinstance(error, Fenced):
            return Done(None, None, run_s)
        return self.failed(entry, error, describe(error), run_s)

    def _find(self, name: str) -> Callable[..., Any]:
        method = None if name.startswith("_") else getattr(self._engine, name, None)
        if not callable(method):
            raise stated("method", f"the engine {type(self._engine).__name__} has no method {name!r}")
        found: Callable[..., Any] = method
        arguments = Arguments(found, of_item=name in self.traits.batches)
        if arguments.builds_anything:
            self._arguments[name] = arguments
        self._methods[name] = found
        return found

    def _unsendable(self, entry: Entry, error: EncodeError | TooLarge, what: str, run_s: float) -> Done:
        bad = stated(
            "too_large" if isinstance(error, TooLarge) else "unencodable", f"{what} of {entry.method}: {error}"
        )
        return self.failed(entry, error, bad.failure, run_s)

    def _pack(self, outcome: str, entry: Entry, run_s: float, payload: Buffer) -> bytes | Parts:
        return pack_reply(outcome, entry.attempt, self._worker, int(run_s * 1e6), payload)


def ended(attempt: Attempt, done: Done) -> Done:
    """An attempt has ended so; if it has failed, its log goes with it."""
    if attempt.reports is not None:
        attempt.reports.close()
    return replace(done, log=attempt.log) if done.error is not None and attempt.log else done


class BadJob(Exception):
    """The job cannot be run as it is."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.text)
        self.failure = failure


def stated(kind: str, text: str) -> BadJob:
    """A failure that the worker states in its own name."""
    return BadJob(Failure("pullet.JobError", text, [text], "", kind))


def describe(error: BaseException) -> Failure:
    """An exception as data, with the traceback from the engine's own frames on."""
    return describe_error(error, skip=_OURS)


def wait_for(hook: Awaitable[Any]) -> Any:
    """What the async hook of an engine without an event loop returns."""

    async def outcome() -> Any:
        return await hook

    return asyncio.run(outcome())


def resolve_factory(factory: Factory | Pickled | str) -> Factory:
    """`"module:Class"` names an engine that the worker imports; anything else is called as it is."""
    if isinstance(factory, Pickled):
        return resolve_factory(factory.open())
    if not isinstance(factory, str):
        return factory
    module, _, name = factory.partition(":")
    found: Any = reduce(getattr, name.split("."), importlib.import_module(module))
    return found  # type: ignore[no-any-return]
