"""The server's own log is read as what happened to each job: written by a real server, through the real scripts."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from pullet_broker.address import Address
from pullet_broker.codec import encode
from pullet_broker.link import Link
from pullet_broker.moves.cycle import Outcome
from pullet_broker.reply import pack_reply
from pullet_broker.settings import Queue
from tests.chaos.history import Recorder, read_history
from tests.chaos.ledger import Commit, Ledger, Story, read_ledger
from tests.chaos.store import Store
from tests.support.scribe import Scribe, a_job, outcome


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path, "redis", "always")


def read(store: Store, queue: Queue) -> Ledger:
    return read_ledger(store.log_files, queue.keys.fixed(""))


def test_issues_and_outcomes_are_read_also_those_before_a_crash(store: Store) -> None:
    queue = Queue(name="read")
    scribe = Scribe(Link(Address(store.url), "test"), queue)
    caller, worker = scribe.caller(), scribe.worker()
    done, later = caller.one(), caller.one(delay_ms=60_000)
    assert not worker.cycle(outcome(worker.take_one(), encode(["0.0", "token"]))).fenced
    large = caller.one()
    assert not worker.cycle(Outcome(worker.take_one(), (b"ok 1 w 7\n", encode(["2.0", "draft"])))).fenced
    scribe.link.close()
    store.crash()
    store.start_again()
    scribe = Scribe(Link(Address(store.url), "test"), queue)
    lost, dead = scribe.caller().submit(a_job(), a_job())
    worker = scribe.worker("again")
    assert len(worker.take(2)) == 2
    scribe.reap("again")
    scribe.link.execute("SET", queue.keys.reply(lost), pack_reply("ok", 1, "w", 7, encode(["1.0", "late"])), "PX", 1000)
    scribe.worker("third").give_back(*scribe.worker("third").take(1, alone=True))
    scribe.link.close()
    found = read(store, queue)
    store.close()
    assert found[done] == Story(issued=1, commits=[Commit("ok", "token")])
    assert found[large] == Story(issued=1, commits=[Commit("ok", "draft")])
    assert found[later] == Story(issued=1)
    assert found[lost] == Story(issued=3, commits=[Commit("ok", "late")], revived=1)
    assert found[dead] == Story(issued=2)


@pytest.mark.parametrize("fsync", ["always", "no"])
def test_a_crash_of_the_machine_leaves_what_was_synced_and_tells_what_was_not(tmp_path: Path, fsync: str) -> None:
    store, queue = Store(tmp_path, "redis", fsync), Queue(name="crash")
    jobs = []
    for _ in range(2):
        scribe = Scribe(Link(Address(store.url), "test"), queue)
        jobs.append(scribe.caller().one(args=b"\xa3*1\n" * 9))
        scribe.link.close()
        store.crash()
        store.start_again()
    (first, second), prefix = store.crashes, queue.keys.fixed("")
    lost = [set(read_ledger([crash.lost], prefix)) for crash in store.crashes]
    known = [set(read_ledger(store.log_files, prefix, crash.kept)) for crash in store.crashes]
    store.close()
    assert 0 <= first.unsynced_s < second.at - first.at + 1
    if fsync == "always":
        assert (known, lost) == ([{jobs[0]}, {*jobs}], [set(), set()])
    else:
        assert (known, lost) == ([set(), set()], [{jobs[0]}, {jobs[1]}])


def test_a_piece_of_a_log_may_begin_and_end_anywhere(tmp_path: Path) -> None:
    def entry(job: str) -> bytes:
        parts = [b"XADD", b"pullet:{q}:jobs", b"1-1", b"id", job.encode(), b"args", b"\r\n*3\r\n$1x"]
        return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)

    whole = b"".join(map(entry, "abc"))
    one = len(whole) // 3
    for start in range(1, one):
        for end in (one, 2 * one, 2 * one + start, len(whole)):
            path = tmp_path / "piece"
            path.write_bytes(whole[start:end])
            found = set(read_ledger([path], "pullet:{q}:"))
            assert found <= set("bc")
            assert found >= set("bc"[: end // one - 1]) or start > one - 30


def test_poison_is_blamed_for_the_processes_of_its_workers(store: Store) -> None:
    queue = Queue(name="poison")
    scribe = Scribe(Link(Address(store.url), "test"), queue)
    job = scribe.caller().one()
    for pid in (71, 72, 73):
        scribe.worker(f"w.vm-{pid}.abcdef").take_one(alone=True)
        scribe.reap(f"w.vm-{pid}.abcdef")
    found = read(store, queue)
    store.close()
    assert found == {job: Story(issued=3, commits=[Commit("crashed")], killed=[71, 72, 73])}


def test_a_line_that_a_process_was_killed_in_is_left_out(tmp_path: Path) -> None:
    pid = os.fork()
    if not pid:
        recorder = Recorder(tmp_path, "me")
        recorder.note("begin", name="1")
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)
    (path,) = tmp_path.glob("me-*.jsonl")
    path.write_bytes(path.read_bytes() + b'[1.0, 2, "cut sh')
    (event,) = read_history(tmp_path)
    assert (event.pid, event.what, event["name"]) == (pid, "begin", "1")
