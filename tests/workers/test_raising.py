"""Whatever a method raises or returns: its job ends with it, and the worker and its neighbours go on."""

from __future__ import annotations

import asyncio
import concurrent.futures
import sys
import threading
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

from pullet import RemoteError, RemoteTraceback
from pullet_broker.address import Address
from pullet_broker.settings import Queue
from tests.support.workers import Worker, calling, running

pytestmark = pytest.mark.timeout(30)


class NoText(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


class DeadlyText(Exception):
    def __str__(self) -> str:
        raise SystemExit("from str()")


class WrongText(Exception):
    def __str__(self) -> str:
        return 7  # type: ignore[return-value]


class NoArgs(Exception):
    @property
    def args(self) -> Any:  # type: ignore[override]
        raise RuntimeError("no args")


class NoRepr:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")


class Nowhere(Exception):
    __module__ = None  # type: ignore[assignment]


class Base(BaseException):
    pass


def circular() -> BaseException:
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first
    return first


def chained() -> BaseException:
    error: BaseException = ValueError("0")
    for n in range(1, 2000):
        later = ValueError(str(n))
        later.__cause__ = error
        error = later
    return error


RAISED: dict[str, Any] = {
    "a builtin": lambda: ValueError("bad"),
    "SystemExit": lambda: SystemExit(3),
    "KeyboardInterrupt": lambda: KeyboardInterrupt(),
    "GeneratorExit": lambda: GeneratorExit(),
    "CancelledError": lambda: asyncio.CancelledError(),
    "its cousin": lambda: concurrent.futures.CancelledError(),
    "StopIteration": lambda: StopIteration(1),
    "a base exception": lambda: Base("x"),
    "MemoryError": lambda: MemoryError(),
    "an empty one": lambda: Exception(),
    "text that cannot be made": lambda: NoText("x"),
    "text that ends the process": lambda: DeadlyText("x"),
    "text that is no text": lambda: WrongText("x"),
    "text that is no unicode": lambda: ValueError("caf\udce9"),
    "text of ten megabytes": lambda: ValueError("x" * 10_000_000),
    "a file name that is no unicode": lambda: FileNotFoundError(2, "No such file", "caf\udce9"),
    "args that cannot be read": lambda: NoArgs(),
    "args that cannot travel": lambda: ValueError(object(), {1, 2}),
    "args that cannot be copied": lambda: ValueError(threading.Lock()),
    "args that cannot be shown": lambda: ValueError(NoRepr()),
    "args that hold themselves": lambda: ValueError(loop()),
    "args that are huge": lambda: ValueError(b"x" * 20_000_000),
    "a class without a module": lambda: Nowhere("x"),
    "a circle of causes": circular,
    "a chain of causes": chained,
}
if sys.version_info >= (3, 11):
    RAISED["a group"] = lambda: ExceptionGroup("several", [ValueError("a"), KeyError("b")])  # noqa: F821


def loop() -> list[Any]:
    made: list[Any] = []
    made.append(made)
    return made


class Raiser:
    made: ClassVar[dict[str, Any]] = RAISED

    def fail(self, what: str) -> None:
        raise self.made[what]()

    def recurse(self, depth: int) -> int:
        return self.recurse(depth + 1) if depth >= 0 else 0

    def work(self, value: int) -> int:
        return value


@pytest.fixture
def worker(queue: Queue, address: Address) -> Iterator[Worker]:
    with running(queue, address, Raiser) as made:
        yield made


@pytest.mark.parametrize("what", RAISED)
def test_whatever_a_method_raises_its_job_ends_and_the_worker_lives(
    queue: Queue, address: Address, worker: Worker, what: str
) -> None:
    with calling(queue, address, Raiser) as client:
        neighbours = [client.submit(Raiser.work, n) for n in range(3)]
        failing = client.submit(Raiser.fail, what)
        neighbours += [client.submit(Raiser.work, n) for n in range(3, 6)]

        error = failing.exception(15)
        assert isinstance(error, Exception), "nothing that would end the caller"
        assert not isinstance(error, concurrent.futures.CancelledError)
        assert [future.result(5) for future in neighbours] == list(range(6))
        assert worker.lives


def test_an_error_says_where_it_was_raised(queue: Queue, address: Address, worker: Worker) -> None:
    with calling(queue, address, Raiser) as client, pytest.raises(ValueError) as raised:
        client.submit(Raiser.fail, "a builtin").result(5)
    assert str(raised.value) == "bad"
    cause = raised.value.__cause__
    assert isinstance(cause, RemoteTraceback)
    assert "in fail" in str(cause)
    assert "raise self.made[what]()" in str(cause)
    assert "engine.py" not in str(cause), "the worker's own frames say nothing to the caller"


def test_a_class_that_the_caller_does_not_know_comes_as_remote_error(
    queue: Queue, address: Address, worker: Worker
) -> None:
    with calling(queue, address, Raiser) as client, pytest.raises(RemoteError) as raised:
        client.submit(Raiser.fail, "a base exception").result(5)
    assert raised.value.type_name.endswith("Base")
    assert "in fail" in raised.value.traceback


@pytest.mark.parametrize("what", ["SystemExit", "KeyboardInterrupt"])
def test_an_exit_is_the_end_of_the_job_only(queue: Queue, address: Address, worker: Worker, what: str) -> None:
    with calling(queue, address, Raiser) as client:
        with pytest.raises(RemoteError, match=f"builtins.{what}"):
            client.submit(Raiser.fail, what).result(5)
        assert client.submit(Raiser.work, 1).result(5) == 1
        assert worker.lives


def test_a_deep_traceback_is_shortened_and_ends_with_the_error(queue: Queue, address: Address, worker: Worker) -> None:
    with calling(queue, address, Raiser) as client, pytest.raises(RecursionError) as raised:
        client.submit(Raiser.recurse, 0).result(5)
    text = str(raised.value.__cause__)
    assert len(text) < 40_000
    assert "RecursionError" in text.splitlines()[-2]
