"""Large arguments and results are stored beside the scripts that want them; whatever becomes of that, jobs run once."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from pullet import Client
from pullet_broker.address import Address
from pullet_broker.errors import ServerFull, ServerRefused
from pullet_broker.link import Link
from pullet_broker.scripting import Arg, Call
from pullet_broker.settings import Queue
from tests.support.leaks import check_keys, wait_until
from tests.support.scribe import Scribe
from tests.support.workers import Kit, calling, running

pytestmark = pytest.mark.timeout(60)
SIZES = (20_000, 70_000, 1_100_000)
"""Arguments beside the entry; replies too; more than one batch."""


def values(rounds: int = 3) -> list[bytes]:
    return [bytes([number]) * size for number in range(rounds) for size in SIZES]


def drafts(link: Link, queue: Queue) -> list[str]:
    return Scribe(link, queue).drafts()


class Loss:
    """Some drafts do not reach the server, or are gone when their script comes; none twice, or two that go together
    could take turns so that the same is lost for ever."""

    def __init__(self, patch: pytest.MonkeyPatch, every: int) -> None:
        self._every, self._seen, self._lost, self._lock = every, 0, set[Arg](), threading.Lock()
        self._post = Link.post
        patch.setattr(Link, "post", lambda link, *calls: self._posted(link, calls))

    def _posted(self, link: Link, calls: Sequence[Call[Any]]) -> None:
        self._post(link, *(self._without_some(call) for call in calls))

    def _without_some(self, call: Call[Any]) -> Call[Any]:
        return replace(call, drafts=[self._gone(draft) for draft in call.drafts]) if call.drafts else call

    def _gone(self, draft: tuple[Arg, ...]) -> tuple[Arg, ...]:
        with self._lock:
            self._seen += 1
            if self._seen % self._every or draft[1] in self._lost:
                return draft
            self._lost.add(draft[1])
        return ("UNLINK", draft[1])

    @property
    def lost(self) -> int:
        return len(self._lost)


@pytest.mark.parametrize("every", [2, 3])
def test_what_gets_lost_on_the_way_is_sent_again(
    queue: Queue, address: Address, link: Link, monkeypatch: pytest.MonkeyPatch, every: int
) -> None:
    loss, kit, sent = Loss(monkeypatch, every), Kit(), values()
    with running(queue, address, kit), calling(queue, address) as client:
        futures = [client.submit(Kit.echo, value) for value in sent]
        assert [future.result(30) for future in futures] == sent
    assert loss.lost >= 4
    assert sorted(kit.calls) == sorted(sent), "each ran once"
    assert drafts(link, queue) == []


def test_several_jobs_at_once_send_theirs_apart(queue: Queue, address: Address) -> None:
    sent = values()
    with running(queue, address, concurrency=4), calling(queue, address) as client:
        assert list(client.map(Kit.echo, sent)) == sent


def test_an_account_that_may_store_no_drafts_is_refused_at_once(queue: Queue, address: Address, link: Link) -> None:
    base = queue.keys.fixed("")
    names = "jobs* client:* inbox:* reply:* blob:* config stats delayed parked places named watched cancelled pool"
    link.execute("ACL", "SETUSER", "old", "reset", "on", ">pw", "+@all", *(f"~{base}{name}" for name in names.split()))
    with calling(queue, Address(address.url.replace("unix://", "unix://old:pw@"))) as client:
        small, large = client.submit(Kit.echo, 1), client.submit(Kit.echo, b"x" * 70_000)
        with pytest.raises(ServerRefused):
            large.result(10)
        assert wait_until(lambda: small.accepted)
        with running(queue, address):
            assert small.result(10) == 1
    link.execute("ACL", "DELUSER", "old")


def leave_room_for(link: Link, size: int) -> None:
    used = next(line for line in link.execute("INFO", "memory").decode().split() if line.startswith("used_memory:"))
    link.execute("CONFIG", "SET", "maxmemory", int(used.partition(":")[2]) + size)


def test_a_server_takes_the_jobs_that_it_has_room_for_and_refuses_the_others(own: Link) -> None:
    queue, size = Queue(name="tight"), 300_000
    with calling(queue, own.address) as client:
        client.submit(Kit.echo, 0)
        assert client.flush(10)
        leave_room_for(own, 10 * size)
        futures = [client.submit(Kit.echo, bytes([n]) * size) for n in range(15)]
        assert wait_until(lambda: all(future.accepted or future.done() for future in futures))
        accepted = [future.accepted for future in futures]
        assert accepted[0]
        assert not accepted[-1]
        assert accepted == sorted(accepted, reverse=True)
        assert drafts(own, queue) == [], "they would fill the server for a minute"
        assert all(isinstance(future.exception(0), ServerFull) for future in futures if not future.accepted)
        own.execute("CONFIG", "SET", "maxmemory", 0)
        kit = Kit()
        with running(queue, own.address, kit):
            assert [future.result(10)[0] for future in futures if future.accepted] == list(range(sum(accepted)))
    assert len(kit.calls) == 1 + sum(accepted)
    check_keys(own, queue)


def test_a_full_server_lets_large_results_through(own: Link) -> None:
    queue = Queue(name="full")
    sent = values(1)
    kit = Kit()
    with running(queue, own.address, kit), calling(queue, own.address) as client:
        first = client.submit(Kit.hold, 1)
        assert kit.started.wait(10)
        futures = [client.submit(Kit.echo, value) for value in sent]
        assert client.flush(10)
        own.execute("CONFIG", "SET", "maxmemory", 1)
        kit.go.set()
        assert first.result(10) == 1
        assert [future.result(10) for future in futures] == sent
        own.execute("CONFIG", "SET", "maxmemory", 0)
    check_keys(own, queue)


def test_whoever_waits_for_a_job_of_another_gets_its_large_result(queue: Queue, address: Address) -> None:
    value = b"x" * 70_000
    kit = Kit()
    with running(queue, address, kit), calling(queue, address) as client, calling(queue, address) as other:
        first = client.options(id="chosen", keep=True).submit(Kit.hold, value)
        assert kit.started.wait(10)
        waits = other.job("chosen")
        second: Client[Any] = other.options(id="chosen", keep=True)  # type: ignore[assignment]
        kit.go.set()
        assert first.result(10) == waits.result(10) == value
        assert second.submit(Kit.hold, b"y" * 70_000).result(10) == value
