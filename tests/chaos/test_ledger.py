"""The server's own log is read as what happened to each job: written by a real server, through the real scripts."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from pullet_broker.address import Address
from pullet_broker.codec import encode
from pullet_broker.link import Link
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
    scribe.link.close()
    store.kill()
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
    assert found[later] == Story(issued=1)
    assert found[lost] == Story(issued=3, commits=[Commit("ok", "late")], revived=1)
    assert found[dead] == Story(issued=2)


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
