"""The server forgets some of what it accepted: the newest jobs are sent again, and the others are not disturbed."""

from __future__ import annotations

from collections import Counter

import pytest

from pullet_broker.address import Address
from pullet_broker.errors import JobLost
from pullet_broker.link import Link
from pullet_broker.settings import Queue
from tests.support.leaks import wait_until
from tests.support.workers import Kit, calling, running

pytestmark = pytest.mark.timeout(40)


def roll_back(link: Link, queue: Queue, mark: int) -> None:
    """As after a crash with `everysec`: the client's mark is an older one, and newer waiting jobs are gone."""
    (key,) = link.execute("KEYS", queue.keys.client("*").replace("{", "\\{"))
    _, connection = link.execute("GET", key).decode().split()
    link.execute("SET", key, f"{mark} {connection}", "PX", 60_000)
    lane = queue.keys.lane("normal")
    for entry, _ in link.execute("XRANGE", lane, "-", "+")[mark:]:
        link.execute("XDEL", lane, entry)


def test_what_is_still_kept_is_sent_again_in_order(queue: Queue, address: Address, link: Link) -> None:
    kit = Kit()
    with calling(queue, address) as client:
        futures = [client.submit(Kit.echo, n) for n in range(10)]
        assert client.flush(10)
        roll_back(link, queue, 4)
        futures.append(client.submit(Kit.echo, 10))
        assert client.flush(10)
        with running(queue, address, kit):
            assert [future.result(10) for future in futures] == list(range(11))
    assert kit.calls == list(range(11))


def test_what_is_no_longer_kept_ends_as_lost_and_the_rest_goes_on(
    queue: Queue, address: Address, link: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pullet.outbox.KEPT_S", 0.0)
    kit = Kit()
    with calling(queue, address) as client:
        futures = []
        for n in range(6):
            futures.append(client.submit(Kit.echo, n))
            assert client.flush(10)
        roll_back(link, queue, 2)
        late = client.submit(Kit.echo, 6)
        assert client.flush(10)

        for n in (2, 3, 4):
            with pytest.raises(JobLost, match=futures[n].job_id) as raised:
                futures[n].result(10)
            assert raised.value.job == futures[n].job_id
        with running(queue, address, kit):
            assert [future.result(10) for future in (futures[5], late)] == [5, 6]
            assert [future.result(10) for future in futures[:2]] == [0, 1], "the server had these all the time"
    assert Counter(kit.calls) == Counter([0, 1, 5, 6])


def test_jobs_that_the_server_still_has_are_heard_of_after_others_were_lost(
    queue: Queue, address: Address, link: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their replies go to the inbox of the identity that submitted them, while replies come to the new one."""
    monkeypatch.setattr("pullet.outbox.KEPT_S", 0.0)
    slow, quick = Kit(), Kit()
    with calling(queue, address) as client, running(queue, address, slow, name="slow"):
        held = client.submit(Kit.hold, "held")
        assert slow.started.wait(10)
        with running(queue, address, quick, name="quick"):
            for n in range(4):
                client.submit(Kit.echo, n).result(10)
            roll_back(link, queue, 1)
            assert client.submit(Kit.echo, "new identity").result(10) == "new identity"
            slow.go.set()
            assert wait_until(lambda: client.submit(Kit.echo, 0).result(10) == 0 and held.done(), 8)
            assert held.result(0) == "held"


def test_a_reply_that_came_before_the_job_was_forgotten_counts(
    queue: Queue, address: Address, link: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pullet.outbox.KEPT_S", 0.0)
    kit = Kit()
    with calling(queue, address) as client, running(queue, address, kit):
        assert [client.submit(Kit.echo, n).result(10) for n in range(5)] == list(range(5))
        roll_back(link, queue, 0)
        assert [client.submit(Kit.echo, n).result(10) for n in range(5, 10)] == list(range(5, 10))
    assert kit.calls == list(range(10)), "nothing was run again: all had been heard of"
