"""Whose pool it is: owners come and go, the controller dies and comes back, and calls on one that has ended end too."""

from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from pullet_broker.address import Address
from pullet_broker.embedded import EmbeddedServer
from pullet_broker.errors import PoolMissing
from pullet_workers.controller import Controller
from pullet_workers.registry import Registry
from pullet_workers.spec import PoolSpec, Scale
from tests.support.fleet import FakeCluster, FakeWorker, all_ready, controlling, give_jobs, is_running, states
from tests.support.leaks import wait_until
from tests.support.proxy import Proxy
from tests.support.scribe import Scribe

pytestmark = [pytest.mark.timeout(30), pytest.mark.usefixtures("hasty")]

A, B, C = "01000000:a", "02000000:b", "03000000:c"


@pytest.fixture
def spec(spec: PoolSpec) -> PoolSpec:
    """Owned by A."""
    return dataclasses.replace(spec, owner=A)


@pytest.fixture
def aside() -> Iterator[Callable[..., Future[Any]]]:
    """Make a call in another thread."""
    with ThreadPoolExecutor(4) as threads:
        yield threads.submit


def noted(scribe: Scribe) -> dict[str, Any]:
    flat = scribe.link.execute("HGETALL", scribe.key("pool"))
    found = {name.decode(): text.decode() for name, text in zip(flat[::2], flat[1::2], strict=True)}
    return {name: json.loads(found[name]) for name in ("owners", "scale") if name in found}


def note(scribe: Scribe, **fields: Any) -> None:
    """What an earlier incarnation has written."""
    for name, value in fields.items():
        scribe.link.execute("HSET", scribe.key("pool"), name, value if isinstance(value, str) else json.dumps(value))


def ready_worker(name: str) -> FakeWorker:
    worker = FakeWorker(name)
    worker.get_ready()
    return worker


# -- owners


def test_a_pool_ends_with_its_last_owner(spec: PoolSpec, scribe: Scribe) -> None:
    cluster = FakeCluster()
    with controlling(spec, cluster) as controller:
        assert controller.join(B)
        assert controller.join(C)
        assert wait_until(lambda: noted(scribe).get("owners") == [A, B, C])
        assert controller.leave(A, 1.0) is False
        assert controller.leave(C, 1.0) is False
        assert controller.leave("nobody", 1.0) is False
        assert noted(scribe)["owners"] == [B]
        assert all_ready(controller, 2)

        assert controller.leave(B, 1.5) is True

        assert not is_running()
        assert [worker.drains for worker in cluster.started] == [[1.5], [1.5]]
        assert noted(scribe) == {}


def test_it_lives_on_while_the_job_of_one_owner_does(spec: PoolSpec, scribe: Scribe) -> None:
    cluster = FakeCluster()
    with controlling(spec, cluster) as controller:
        controller.join(B)
        cluster.over.add("01000000")
        assert wait_until(lambda: noted(scribe).get("owners") == [B])
        assert is_running()
        cluster.over.add("02000000")
        assert wait_until(lambda: not is_running())


@pytest.mark.parametrize("how", ["detached", "without owner"])
def test_a_pool_that_needs_no_owner_stays(spec: PoolSpec, scribe: Scribe, how: str) -> None:
    free = dataclasses.replace(spec, owner=None if how == "without owner" else A, detached=how == "detached")
    cluster = FakeCluster()
    with controlling(free, cluster) as controller:
        if how == "detached":
            assert controller.leave(A, 1.0) is False
        controller.join(B)
        cluster.over |= {"01000000", "02000000"}
        assert wait_until(lambda: noted(scribe).get("owners") == [])
        assert not wait_until(lambda: not is_running(), 0.2)


def test_nobody_joins_a_pool_that_the_last_owner_is_leaving(
    spec: PoolSpec, monkeypatch: pytest.MonkeyPatch, aside: Callable[..., Future[Any]]
) -> None:
    """Not even between its leave and the end that follows: who was let in would lose the pool at once."""
    answers, drained = [], threading.Event()
    stop = Controller.stop
    cluster = FakeCluster()
    with controlling(spec, cluster) as controller:
        assert all_ready(controller, 2)
        for worker in cluster.started:
            worker.on_drain = lambda: drained.wait(10) and False

        def stop_later(drain_s: float) -> None:
            answers.append(controller.join(B))
            drained.set()
            stop(controller, drain_s)

        with monkeypatch.context() as patch:
            patch.setattr("pullet_workers.controller.RECONCILE_S", 8.0)  # else it sees by itself that nobody owns it
            assert wait_until(lambda: controller.status()["wanted"] == 2)
            patch.setattr(controller, "stop", stop_later)
            assert aside(controller.leave, A, 1.0).result(10) is True
    assert answers == [False]


def test_who_joins_while_the_owners_are_looked_at_is_not_lost(spec: PoolSpec, scribe: Scribe) -> None:
    cluster = FakeCluster()
    looking, go = threading.Event(), threading.Event()

    def slow(job: str) -> bool:
        looking.set()
        return go.wait(10) and False

    with controlling(spec, cluster) as controller:
        cluster.is_job_over = slow  # type: ignore[method-assign]
        assert looking.wait(5)
        assert controller.join(B)
        go.set()
        assert all_ready(controller, 2)
        assert controller.leave(A, 1.0) is False


# -- the controller has died, and is back


def test_it_recalls_scale_and_owners_and_adopts_the_workers(spec: PoolSpec, scribe: Scribe) -> None:
    note(scribe, scale=[3, 3, None], owners=[B, C])
    cluster = FakeCluster()
    cluster.existing = [ready_worker("old-1"), ready_worker("old-2")]
    with controlling(spec, cluster, recovered=True) as controller:
        assert all_ready(controller, 3)
        assert len(cluster.started) == 1
        assert controller.leave(A, 1.0) is False, "it had left before"
        assert controller.leave(B, 1.0) is False
        assert controller.leave(C, 1.0) is True


def test_a_new_pool_does_not_care_for_old_notes(spec: PoolSpec, scribe: Scribe) -> None:
    note(scribe, scale=[5, 5, None], owners=[B])
    with controlling(spec, FakeCluster()) as controller:
        assert wait_until(lambda: noted(scribe) == {"scale": [2, 2, None], "owners": [A]})
        assert all_ready(controller, 2)


def test_a_recovered_pool_that_nobody_owns_any_more_ends(spec: PoolSpec, scribe: Scribe) -> None:
    note(scribe, scale=[2, 2, None], owners=[])
    cluster = FakeCluster()
    cluster.existing = [ready_worker("old")]
    with controlling(spec, cluster, recovered=True):
        assert wait_until(lambda: not is_running())
    assert cluster.alive == []


@pytest.mark.parametrize("call", ["join", "leave", "scale"])
def test_calls_that_come_before_it_has_recalled_do_not_undo_what_was_noted(
    spec: PoolSpec, scribe: Scribe, call: str
) -> None:
    note(scribe, scale=[3, 3, None], owners=[A, B])
    cluster = FakeCluster()
    cluster.existing = [FakeWorker("old")]  # it does not answer, which keeps the controller waiting
    with controlling(spec, cluster, recovered=True) as controller:
        if call == "join":
            assert controller.join(C)
        elif call == "leave":
            assert controller.leave(A, 1.0) is False
        else:
            controller.scale(Scale.of(1))
        owners = {"join": [A, B, C], "leave": [B], "scale": [A, B]}[call]
        scale = [1, 1, None] if call == "scale" else [3, 3, None]
        assert wait_until(lambda: noted(scribe) == {"scale": scale, "owners": owners})
        cluster.existing[0].get_ready()
        assert wait_until(lambda: controller.status()["wanted"] == scale[0])
        assert noted(scribe) == {"scale": scale, "owners": owners}


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"scale": "x", "owners": [B]},
        {"scale": [3, 3, None]},
        {"scale": [3, 1, None], "owners": [B]},
        {"scale": 7, "owners": [B]},
        {"scale": [3, 3, None], "owners": 7},
        {"scale": [3, 3, None], "owners": "\xff"},
        {"scale": ["a", "b", None], "owners": [B]},
    ],
    ids=str,
)
def test_notes_that_nobody_can_read_are_none(spec: PoolSpec, scribe: Scribe, fields: dict[str, Any]) -> None:
    note(scribe, **fields)
    with controlling(spec, FakeCluster(), recovered=True) as controller:
        assert all_ready(controller, 2)
        assert wait_until(lambda: noted(scribe) == {"scale": [2, 2, None], "owners": [A]})


def test_it_waits_for_the_server_to_recall(spec: PoolSpec, scribe: Scribe, server: EmbeddedServer) -> None:
    note(scribe, scale=[3, 3, None], owners=[A, B])
    cluster = FakeCluster()
    cluster.existing = [ready_worker("old-1"), ready_worker("old-2")]
    with Proxy(server.tcp_url) as proxy:
        proxy.go_down()
        with controlling(dataclasses.replace(spec, address=Address(proxy.url)), cluster, recovered=True) as controller:
            assert wait_until(lambda: states(controller) == ["ready", "ready"])
            assert controller.leave(A, 1.0) is False, "who owns it is not known yet"
            assert not wait_until(lambda: bool(cluster.started), 0.2), "how many are wanted is not known yet"
            proxy.come_up()
            assert all_ready(controller, 3)
            assert controller.leave(A, 1.0) is False


def test_an_adopted_worker_that_has_not_answered_yet_is_not_taken_for_one_that_starts(
    spec: PoolSpec, scribe: Scribe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have a job in hand, and leaves as such."""
    monkeypatch.setattr("pullet_workers.controller.PATIENCE_S", 10.0)
    cluster = FakeCluster()
    cluster.existing = [FakeWorker(f"old-{n}") for n in range(3)]
    with controlling(dataclasses.replace(spec, scale=Scale.of(1)), cluster) as controller:
        busy = cluster.existing[0]
        give_jobs(scribe, busy, 1)
        assert not wait_until(lambda: len(cluster.alive) < 3, 0.2)
        for worker in cluster.existing:
            worker.get_ready()
        assert wait_until(lambda: cluster.alive == [busy])
        assert all(worker.drains for worker in cluster.existing[1:])
        assert all_ready(controller, 1)


def test_a_cluster_that_cannot_list_the_workers_for_a_moment_costs_nothing(spec: PoolSpec) -> None:
    cluster = FakeCluster()
    cluster.existing = [ready_worker("old-1"), ready_worker("old-2")]
    find, failures = cluster.find_workers, [ConnectionError("busy")] * 3

    def flaky(spec: PoolSpec) -> list[FakeWorker]:
        if failures:
            raise failures.pop()
        return find(spec)

    cluster.find_workers = flaky  # type: ignore[method-assign]
    with controlling(spec, cluster) as controller:
        assert all_ready(controller, 2)
        assert cluster.started == []


# -- calls on a controller that ends

CALLS: dict[str, Callable[[Controller], object]] = {
    "join": lambda controller: controller.join(B),
    "leave": lambda controller: controller.leave(A, 1.0),
    "wait_ready": lambda controller: controller.wait_ready(),
    "status": lambda controller: controller.status(),
    "scale": lambda controller: controller.scale(Scale.of(3)),
    "restart": lambda controller: controller.restart(),
}


@pytest.mark.parametrize("call", sorted(CALLS))
def test_a_call_on_a_pool_that_has_ended(spec: PoolSpec, call: str) -> None:
    with controlling(spec, FakeCluster()) as controller:
        controller.stop(0.1)
        with pytest.raises(PoolMissing, match=spec.queue.name):
            CALLS[call](controller)
        controller.stop(0.1)


@pytest.mark.parametrize("call", ["wait_ready", "restart"])
def test_a_call_that_waits_when_the_pool_is_stopped(
    spec: PoolSpec, call: str, aside: Callable[..., Future[Any]]
) -> None:
    cluster = FakeCluster(on_start=lambda worker: None)
    with controlling(spec, cluster) as controller:
        assert wait_until(lambda: len(cluster.started) == 2)
        waiting = aside(CALLS[call], controller)
        assert not wait_until(waiting.done, 0.1)
        controller.stop(0.1)
        with pytest.raises(PoolMissing, match=spec.queue.name):
            waiting.result(5)


def test_a_call_in_the_moment_of_the_end(spec: PoolSpec, aside: Callable[..., Future[Any]]) -> None:
    """All sorts of calls, made until the pool has ended: each of them answers or raises."""
    with controlling(spec, FakeCluster()) as controller:

        def insist(call: Callable[[Controller], object]) -> None:
            while True:
                call(controller)

        found = [aside(insist, CALLS[name]) for name in ("join", "status", "scale", "wait_ready")]
        assert all_ready(controller, 3)
        controller.stop(0.1)
        for waiting in found:
            with pytest.raises(PoolMissing):
                waiting.result(5)


def test_a_loop_that_breaks_leaves_nobody_waiting(
    spec: PoolSpec, monkeypatch: pytest.MonkeyPatch, aside: Callable[..., Future[Any]]
) -> None:
    """Whatever a bug may do to the loop."""
    monkeypatch.setattr("threading.excepthook", lambda args: None)
    cluster = FakeCluster(on_start=lambda worker: None)
    with controlling(spec, cluster) as controller:
        waiting = aside(controller.wait_ready)
        assert wait_until(lambda: len(cluster.started) == 2)
        controller._wait = None  # type: ignore[method-assign,assignment]
        with pytest.raises(PoolMissing):
            waiting.result(5)
        with pytest.raises(PoolMissing):
            controller.status()


def test_nothing_is_noted_of_a_pool_that_has_ended(spec: PoolSpec, scribe: Scribe) -> None:
    registry = Registry(spec.queue, spec.address)
    assert registry.note({"owners": "[]"})
    registry.forget_notes()
    assert not registry.note({"owners": "[]"})
    registry.close()
    assert noted(scribe) == {}
