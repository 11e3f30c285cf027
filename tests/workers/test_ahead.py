"""With many tiny jobs in hand, a worker lets the server commit and hand out while it runs them."""

from __future__ import annotations

import dataclasses
from collections import Counter

import pytest

from pullet_broker.address import Address
from pullet_broker.keys import GROUP
from pullet_broker.link import Link
from pullet_broker.settings import Prefetch, Queue
from pullet_workers.exchange import Exchange
from tests.support.cuts import CutPoint
from tests.support.leaks import wait_until
from tests.support.workers import Kit, calling, running

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def roomy(quick: Queue) -> Queue:
    """So much room that jobs count as tiny on a slow machine too."""
    return dataclasses.replace(quick, prefetch=Prefetch(budget_s=0.05))


@pytest.fixture
def ahead(monkeypatch: pytest.MonkeyPatch) -> list[Exchange]:
    """Who has gone ahead, each time."""
    went: list[Exchange] = []
    run_ahead = Exchange.run_ahead

    def noted(self: Exchange, link: Link, want: int) -> None:
        run_ahead(self, link, want)
        went.append(self)

    monkeypatch.setattr(Exchange, "run_ahead", noted)
    return went


def pending(link: Link, queue: Queue) -> int:
    return sum(link.execute("XPENDING", lane, GROUP)[0] for lane in queue.keys.lanes)


@pytest.mark.parametrize("is_lost", [False, True])
def test_jobs_on_their_way_when_one_turns_out_long_are_run_by_another_worker(
    roomy: Queue, address: Address, link: Link, ahead: list[Exchange], monkeypatch: pytest.MonkeyPatch, is_lost: bool
) -> None:
    """Also where the answer that brings them gets lost. The long job ends only after all others."""
    arrive, losses = Exchange._arrive, []

    def lose_one(self: Exchange) -> None:
        assert self.ahead
        if is_lost and slow.started.is_set() and self is worker.runner._exchange and not losses:
            losses.append(self)
            self.ahead.link.close()
        arrive(self)

    slow, free = Kit(), Kit()
    with calling(roomy, address) as client, running(roomy, address, slow, name="slow") as worker:
        assert list(client.map(Kit.echo, range(200))) == list(range(200))
        link.execute("HSET", roomy.keys.fixed("config"), "paused", 1)
        assert wait_until(lambda: worker.state == "paused")
        before = [client.submit(Kit.echo, n) for n in range(10)]
        long = client.submit(Kit.hold, "long")
        behind = [client.submit(Kit.echo, n) for n in range(200)]
        assert client.flush(10)
        ahead.clear()
        monkeypatch.setattr(Exchange, "_arrive", lose_one)
        link.execute("HDEL", roomy.keys.fixed("config"), "paused")
        assert slow.started.wait(10)
        assert ahead, "it went ahead before it knew"

        with running(roomy, address, free, name="free"):
            assert [future.result(10) for future in before] == list(range(10))
            assert [future.result(10) for future in behind] == list(range(200))
            assert {future.worker for future in behind} == {"free"}
            assert not long.done()
            slow.go.set()
            assert long.result(10) == "long"
    assert len(losses) == is_lost
    assert Counter(free.calls) == Counter(range(200))


def test_workers_that_leave_while_they_are_ahead_strand_nothing(
    roomy: Queue, address: Address, link: Link, ahead: list[Exchange]
) -> None:
    kits = [Kit() for _ in range(5)]
    with calling(roomy, address) as client:
        futures = [client.submit(Kit.echo, n) for n in range(4000)]
        for kit in kits[:-1]:
            with running(roomy, address, kit) as worker:
                assert wait_until(lambda kit=kit: len(kit.calls) > 200)  # type: ignore[misc]
                assert worker.runner.drain(10)
                assert pending(link, roomy) == 0
        with running(roomy, address, kits[-1]):
            assert [future.result(30) for future in futures] == list(range(4000))
    assert Counter(call for kit in kits for call in kit.calls) == Counter(range(4000))
    assert len(set(ahead)) > 2


def test_a_server_that_forgets_its_scripts_commits_and_hands_out_all_the_same(
    roomy: Queue, address: Address, link: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_ahead, flushed = Exchange.run_ahead, []

    def after_a_flush(self: Exchange, to: Link, want: int) -> None:
        flushed.append(link.execute("SCRIPT", "FLUSH"))
        run_ahead(self, to, want)

    monkeypatch.setattr(Exchange, "run_ahead", after_a_flush)
    kit = Kit()
    with calling(roomy, address) as client, running(roomy, address, kit):
        assert list(client.map(Kit.echo, range(500))) == list(range(500))
    assert Counter(kit.calls) == Counter(range(500))
    assert len(flushed) > 1


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_connection_that_ends_at_any_command_costs_nothing(
    roomy: Queue, address: Address, link: Link, ahead: list[Exchange], when: str
) -> None:
    for nth in range(1, 60):
        kit = Kit()
        with pytest.MonkeyPatch.context() as patch:
            point = CutPoint(f"{roomy.name}:take", nth, when).install(patch)
            with calling(roomy, address) as client:
                futures = [client.submit(Kit.echo, n) for n in range(300)]
                assert client.flush(10)
                with running(roomy, address, kit):
                    assert [future.result(20) for future in futures] == list(range(300)), f"at command {nth}"
        assert Counter(kit.calls) == Counter(range(300)), f"at command {nth}"
        assert wait_until(lambda: pending(link, roomy) == 0), f"at command {nth}"
        if not point.reached:
            break
    assert nth > 8
    assert len(ahead) > nth
