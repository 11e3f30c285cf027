"""Long waits go through the bridge of the process, short ones never do, and without a bridge all is as ever."""

from __future__ import annotations

import concurrent.futures
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pullet import bridge
from pullet.client import connect_again
from pullet.future import Future
from pullet.results import Results
from pullet.waiting import PATIENCE_S, lend_during
from pullet_broker.errors import RayMissing
from tests.support.installed import add_metadata
from tests.support.leaks import wait_until


class CountedBell:
    def __init__(self) -> None:
        self.rung = threading.Event()
        self.waited: list[float | None] = []
        self.closed = 0

    def wait(self, timeout: float | None) -> None:
        self.waited.append(timeout)
        self.rung.wait(timeout)

    def ring(self) -> None:
        self.rung.set()

    def close(self) -> None:
        self.closed += 1


class Bells:
    """A bridge that keeps the bells it gave."""

    def __init__(self) -> None:
        self.given: list[CountedBell] = []

    def reopen(self, *parts: Any) -> Any:
        return connect_again(*parts)

    def bell(self) -> CountedBell:
        self.given.append(CountedBell())
        return self.given[-1]

    def ref(self, future: Future[Any]) -> Any:
        return "ref", future.job_id


@pytest.fixture
def bells(monkeypatch: pytest.MonkeyPatch) -> Bells:
    made = Bells()
    monkeypatch.setattr(bridge, "_installed", [made])
    return made


@pytest.fixture
def none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bridge, "_installed", [])
    monkeypatch.setattr(bridge, "_offered", list)


def new() -> Future[Any]:
    return Future("job", lambda job: None)


WAYS: dict[str, Callable[[Future[Any]], Any]] = {
    "result": lambda future: future.result(),
    "result with a time limit": lambda future: future.result(60),
    "exception": lambda future: future.exception() or future.result(),
    "wait": lambda future: concurrent.futures.wait([future]).done.pop().result(),
    "as_completed": lambda future: next(concurrent.futures.as_completed([new(), future], timeout=60)).result(),
    "beside another executor's": lambda future: next(
        concurrent.futures.as_completed([concurrent.futures.Future(), future])
    ).result(),
    "map": lambda future: next(iter(_results(future, ordered=True))),
    "map as done": lambda future: next(iter(_results(future, ordered=False))),
    "a call": lambda future: lend_during(lambda: concurrent.futures.Future.result(future)),
}


def _results(future: Future[Any], ordered: bool) -> Results[Any]:
    return Results(lambda item: item, [future], window=1, ordered=ordered, return_exceptions=False)


@pytest.fixture
def resolving() -> Iterator[Callable[[Callable[[], bool], Future[Any]], None]]:
    """Resolves a future in another thread as soon as a condition holds."""
    threads = []

    def start(condition: Callable[[], bool], future: Future[Any]) -> None:
        def run() -> None:
            assert wait_until(condition)
            future.set_result("value")

        threads.append(threading.Thread(target=run))
        threads[-1].start()

    yield start
    for thread in threads:
        thread.join()


@pytest.mark.parametrize("way", WAYS)
def test_a_long_wait_waits_for_a_bell_which_the_outcome_rings(way: str, bells: Bells, resolving: Any) -> None:
    future = new()
    resolving(lambda: any(bell.waited for bell in bells.given), future)
    assert WAYS[way](future) == "value"
    *_, bell = bells.given
    assert len(bell.waited) == 1
    assert bell.rung.is_set()
    assert bell.closed == 1


@pytest.mark.parametrize("way", WAYS)
def test_without_a_bridge_a_long_wait_is_as_ever(way: str, none: None, resolving: Any) -> None:
    future, start = new(), threading.Event()
    threading.Timer(PATIENCE_S * 3, start.set).start()
    resolving(start.is_set, future)
    assert WAYS[way](future) == "value"


@pytest.mark.parametrize("way", [way for way in WAYS if way != "a call"])
def test_what_is_done_needs_no_bell(way: str, bells: Bells) -> None:
    future = new()
    future.set_result("value")
    assert WAYS[way](future) == "value"
    assert bells.given == []


def test_a_wait_that_was_in_vain_leaves_nothing_behind(bells: Bells) -> None:
    future = new()
    for _ in range(3):
        with pytest.raises(concurrent.futures.TimeoutError):
            future.result(PATIENCE_S * 6)
        with pytest.raises(concurrent.futures.TimeoutError):
            future.exception(0)
    assert {bell.closed for bell in bells.given} == {1}  # three, but where the machine was slow: then no time was left
    given = [bell.waited[0] for bell in bells.given]
    assert all(left is not None and left <= PATIENCE_S * 5 for left in given)
    assert list(future._waiters) == []
    assert list(future._done_callbacks) == []


def test_an_engine_that_raised_timeout_error_is_no_wait_in_vain(bells: Bells, resolving: Any) -> None:
    future = new()
    future.set_exception(TimeoutError("the engine's own"))
    with pytest.raises(TimeoutError, match="own"):
        future.result(1)
    assert isinstance(future.exception(1), TimeoutError)


def test_a_cancelled_future_ends_every_wait(bells: Bells) -> None:
    future = new()
    threading.Thread(target=lambda: wait_until(lambda: bool(bells.given)) and future.cancel()).start()
    with pytest.raises(concurrent.futures.CancelledError):
        future.result()
    assert bells.given[-1].rung.is_set()


def test_an_outcome_between_the_last_look_and_the_bell_is_not_missed(bells: Bells) -> None:
    future = new()

    def bell() -> CountedBell:
        future.set_result("value")  # the bell is not there yet
        return CountedBell()

    bells.bell = bell  # type: ignore[method-assign]
    assert future.result(60) == "value"


def test_what_a_call_raises_is_raised(bells: Bells) -> None:
    def call() -> None:
        raise KeyError("lost")

    with pytest.raises(KeyError, match="lost"):
        lend_during(call)


def test_ref_is_the_bridges(bells: Bells) -> None:
    assert new().ref() == ("ref", "job")


def test_ref_without_ray_says_what_to_do(none: None) -> None:
    with pytest.raises(RayMissing, match=r"ray\.init"):
        new().ref()


FIND = """
import sys
from pullet import bridge
assert bridge.find() is None
sys.modules["ray"] = sys  # as if it were loaded
print(type(bridge.find()).__name__, "pullet_workers.pool" in sys.modules)
"""


def test_a_process_with_only_the_client_finds_the_bridge_once_ray_is_loaded(tmp_path: Path) -> None:
    add_metadata(tmp_path)
    path = ":".join([str(tmp_path), *sys.path])
    done = subprocess.run([sys.executable, "-c", FIND], env={"PYTHONPATH": path}, capture_output=True, text=True)
    assert done.stdout.split() == ["RayBridge", "False"], done.stderr


REOPEN = """
import pickle, sys
sys.modules["ray"] = None  # as where it is not installed
client = pickle.loads(bytes.fromhex(sys.argv[1]))
from pullet import bridge
print(type(client).__name__, type(bridge.installed()).__name__)
"""


def test_a_client_pickled_beside_ray_opens_where_ray_is_not_installed_and_brings_the_bridge() -> None:
    from pullet.client import Client
    from pullet_broker.address import Address
    from pullet_broker.settings import Queue
    from pullet_workers import bridge as rays

    assert isinstance(bridge.installed(), rays.RayBridge)
    client: Client[Any] = Client(None, Queue(name="q"), Address("redis://127.0.0.1:1/0"))
    data = pickle.dumps(client).hex()
    done = subprocess.run(
        [sys.executable, "-c", REOPEN, data], env={"PYTHONPATH": ":".join(sys.path)}, capture_output=True, text=True
    )
    assert done.stdout.split() == ["Client", "RayBridge"], done.stderr
