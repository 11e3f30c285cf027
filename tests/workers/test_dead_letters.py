"""Dead letters from end to end: what the client sees of them, and what it can do."""

from __future__ import annotations

import dataclasses
import pickle
import time

import pytest

from pullet import Client, DeadLetter, JobUnreadable, QueueFull, ServerFull, WorkerLost
from pullet_broker.address import Address
from pullet_broker.embedded import EmbeddedServer
from pullet_broker.link import Link
from pullet_broker.settings import Limits, Queue
from pullet_workers.heart import bury_consumer
from tests.support.leaks import wait_until
from tests.support.scribe import Worker as Consumer
from tests.support.workers import Kit, calling, running

pytestmark = pytest.mark.timeout(40)


def fail_all(client: Client[Kit], *texts: str) -> list[str]:
    """Jobs that raise ValueError; returns their ids."""
    futures = [client.submit(Kit.boom, text) for text in texts]
    for future in futures:
        assert isinstance(future.exception(10), ValueError)
    return [future.job_id for future in futures]


def ids(client: Client[Kit], **options: object) -> list[str]:
    return [letter.id for letter in client.dead.list(**options)]  # type: ignore[arg-type]


def test_a_letter_tells_the_whole_story(queue: Queue, address: Address) -> None:
    before = time.time()
    with running(queue, address, Kit(), name="chess-1") as worker, calling(queue, address) as client:
        future = client.options(retries=1, backoff=0, priority=1, key="game-17").submit(Kit.boom, text="no white king")
        assert isinstance(future.exception(10), ValueError)
        (letter,) = client.dead

        assert (letter.id, letter.method, letter.args, letter.kwargs) == (
            future.job_id,
            "boom",
            (),
            {"text": "no white king"},
        )
        assert (letter.options, letter.attempts, letter.crashes) == ({"retries": 1, "backoff": 0}, 2, 0)
        assert letter.key == "game-17"
        assert (letter.error_type, letter.error) == ("builtins.ValueError", "no white king")
        assert "in boom" in letter.traceback
        assert letter.worker == worker.consumer
        assert [(one.attempt, one.how, one.error_type, one.text) for one in letter.errors] == [
            (1, "raised", "builtins.ValueError", "no white king"),
            (2, "raised", "builtins.ValueError", "no white king"),
        ]
        assert {one.worker for one in letter.errors} == {worker.consumer}
        assert before - 1 < letter.submitted_at <= letter.errors[0].at <= letter.died_at < time.time() + 1
        assert client.dead.get(future.job_id) == letter
        assert client.dead.get("nobody") is None


def test_a_letter_cannot_be_changed_and_can_be_sent_elsewhere(queue: Queue, address: Address) -> None:
    with running(queue, address), calling(queue, address) as client:
        fail_all(client, "x" * 30_000)
        (letter,) = client.dead
        with pytest.raises(dataclasses.FrozenInstanceError):
            letter.method = "other"  # type: ignore[misc]
        sent = pickle.loads(pickle.dumps(letter))
        assert (sent, sent.args) == (letter, ("x" * 30_000,))


def test_letters_are_read_as_they_are_asked_for(
    queue: Queue, address: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pullet.dead.PAGE", 3)
    monkeypatch.setattr("pullet_broker.moves.dead.PAGE", 3)
    with running(queue, address), calling(queue, address) as client:
        jobs = fail_all(client, *map(str, range(8)))
        dead = client.dead
        assert len(dead) == 8
        assert sorted(ids(client)) == sorted(jobs)
        order = ids(client)
        assert [letter.died_at for letter in dead] == sorted(letter.died_at for letter in dead)
        assert [ids(client, limit=n) for n in (0, 1, 3, 4, 99)] == [order[:n] for n in (0, 1, 3, 4, 99)]
        third = list(dead.list(limit=3))[-1]
        assert ids(client, after=third.cursor) == order[3:]
        lazy = iter(dead)
        next(lazy)
        assert dead.purge_all() == 8
        assert len(list(lazy)) == 2, "the page it had"


def test_a_job_is_run_once_more(queue: Queue, address: Address, link: Link) -> None:
    kit = Kit()
    with running(queue, address, kit), calling(queue, address) as client:
        future = client.options(keep=True).submit(Kit.fail_first, "again", 1)
        assert isinstance(future.exception(10), ConnectionError)
        reply = queue.keys.reply(future.job_id)
        assert wait_until(lambda: link.execute("GET", reply).startswith(b"error"))

        assert client.dead.replay(future.job_id)
        assert not client.dead.replay(future.job_id)

        assert wait_until(lambda: (link.execute("GET", reply) or b"").startswith(b"ok 1 "))
        assert len(client.dead) == 0
    assert kit.calls == ["again", "again"]


def test_all_that_fit_are_run_once_more_and_those_that_die_again_are_not_met_twice(
    queue: Queue, address: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pullet.dead.PAGE", 2)
    monkeypatch.setattr("pullet_broker.moves.dead.PAGE", 2)
    kit = Kit()
    with running(queue, address, kit), calling(queue, address) as client:
        jobs = fail_all(client, *"abcde")
        other = client.submit(Kit.fail_first, "other", 1)
        assert isinstance(other.exception(10), ConnectionError)

        assert client.dead.replay_all(method="nothing") == 0
        assert client.dead.replay_all(error=KeyError) == 0
        assert client.dead.replay_all(method="fail_first", error="ConnectionError") == 1
        assert client.dead.replay_all(error=ValueError) == 5
        assert wait_until(lambda: sorted(ids(client)) == sorted(jobs)), "they raise again"
        assert [letter.attempts for letter in client.dead] == [1] * 5
        assert client.dead.purge_all(error="builtins.ValueError") == 5
        assert len(client.dead) == 0


def test_one_or_all_can_be_thrown_away(queue: Queue, address: Address, link: Link) -> None:
    with running(queue, address), calling(queue, address) as client:
        first, *_ = fail_all(client, "x" * 30_000, "b", "c")
        assert client.dead.purge(first)
        assert not client.dead.purge(first)
        assert link.execute("EXISTS", queue.keys.blob(first)) == 0
        assert client.dead.purge_all(method="boom") == 2


def test_a_job_whose_workers_died_is_found_by_its_error(queue: Queue, address: Address, link: Link) -> None:
    kit = Kit()
    with calling(queue, address) as client:
        future = client.submit(Kit.echo, 7)
        assert client.flush(10)
        for name in ("a", "b", "c"):
            link.execute("DEL", queue.keys.fixed("storm"))
            doomed = Consumer(link, queue, name).register()
            assert wait_until(lambda doomed=doomed: bool(doomed.take(1, alone=True)))
            bury_consumer(link, queue, name, blame=True)
        assert isinstance(future.exception(10), WorkerLost)
        (letter,) = client.dead
        assert (letter.error_type, letter.crashes, letter.attempts) == ("pullet.WorkerLost", 3, 3)
        assert [(one.attempt, one.worker, one.how) for one in letter.errors] == [
            (n, name, "crashed") for n, name in enumerate("abc", 1)
        ]
        with running(queue, address, kit):
            assert client.dead.replay_all(error=WorkerLost) == 1
            assert wait_until(lambda: kit.calls == [7])


def test_what_cannot_be_replayed_stays_and_says_why(queue: Queue, address: Address, link: Link) -> None:
    with calling(queue, address) as client:
        with running(queue, address):
            large, small = fail_all(client, "x" * 30_000, "small")
        link.execute("DEL", queue.keys.blob(large))
        letter = client.dead.get(large)
        assert letter is not None
        with pytest.raises(JobUnreadable, match="expired"):
            _ = letter.args
        with pytest.raises(JobUnreadable, match="expired"):
            client.dead.replay(large)

        link.execute("HSET", queue.keys.fixed("config"), "backlog", 1)
        client.submit(Kit.echo, 1)
        assert client.flush(10)
        with pytest.raises(QueueFull, match="the letter stays") as refused:
            client.dead.replay_all()
        assert (refused.value.limit, refused.value.replayed) == (1, 0)
        assert ids(client) == [large, small]
        link.execute("HDEL", queue.keys.fixed("config"), "backlog")
        assert client.dead.replay_all() == 1
        assert ids(client) == [large]


def test_a_full_server_refuses_a_replay_and_grants_a_purge(queue: Queue) -> None:
    with EmbeddedServer.start() as own:
        address = Address(own.url)
        link = Link(address, "test")
        with running(queue, address), calling(queue, address) as client:
            first, second = fail_all(client, "a", "b")
            link.execute("CONFIG", "SET", "maxmemory", 1)
            with pytest.raises(ServerFull):
                client.dead.replay(first)
            assert client.dead.purge(second)
            link.execute("CONFIG", "SET", "maxmemory", 0)
            assert client.dead.replay(first)
        link.close()


def test_no_letter_whatever_stops_its_reader(queue: Queue, address: Address, link: Link) -> None:
    key = queue.keys.fixed("dead")
    link.execute("XADD", key, "*", "x", "y")
    link.execute(
        "XADD", key, "*", "id", b"\xff", "opts", "[" * 2000, "args", b"\xc1", "error", b"ok 1", "errors", " \n\n1 a"
    )
    link.execute(
        "XADD", key, "*", "id", "j", "opts", "7", "attempt", "9" * 40, "error", b"error 1 w 7\n\x80", "errors", b"\xff"
    )
    with calling(queue, address) as client:
        letters = list(client.dead)
        assert len(letters) == 3
        for letter in letters:
            assert isinstance(letter, DeadLetter)
            assert letter.options == {}
            with pytest.raises(JobUnreadable):
                _ = letter.kwargs


def test_the_cap_holds_from_end_to_end(queue: Queue, address: Address) -> None:
    tight = dataclasses.replace(queue, limits=Limits(dead_letters=2))
    with running(tight, address), calling(tight, address) as client:
        fail_all(client, *"abcdef")
        assert len(client.dead) == 2
