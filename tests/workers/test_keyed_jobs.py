"""Jobs with a key on real workers: together at one place, elsewhere when it is gone, anywhere when it is busy."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from pullet_broker.address import Address
from pullet_broker.link import Link
from pullet_broker.settings import Affinity, Queue
from pullet_workers.heart import bury_consumer
from tests.support.workers import Kit, Worker, calling, registered, running, worker_process

pytestmark = pytest.mark.timeout(60)

SPILL_S = 0.3


@pytest.fixture
def hasty(quick: Queue) -> Queue:
    """Ten ticks a second, and jobs that wait for their place a third of one."""
    return dataclasses.replace(quick, affinity=Affinity(spill_s=SPILL_S))


@pytest.fixture
def patient(quick: Queue) -> Queue:
    return dataclasses.replace(quick, affinity=Affinity(spill_s=3600))


class Desk(Kit):
    """An engine of one place, where its jobs leave files."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def write(self, name: str, text: str) -> str:
        folder = self._folder
        (folder / name).write_text(text)
        return folder.name

    def read(self, name: str) -> str:
        return (self._folder / name).read_text()


@contextmanager
def working(queue: Queue, address: Address, folder: Path, name: str) -> Iterator[Worker]:
    """A worker at the place that its folder is called after."""
    folder.mkdir(exist_ok=True)
    with running(queue, address, lambda: Desk(folder), name=name, place=folder.name) as worker:
        yield worker


def place_of(worker: str | None) -> str:
    """The place of the workers of these tests is the first letter of their names."""
    assert worker
    return worker[0]


def test_what_a_job_leaves_at_its_place_is_there_for_the_next_of_its_key(
    patient: Queue, address: Address, tmp_path: Path
) -> None:
    """Two workers at each of two places: any worker of the place will do, and no other."""
    with ExitStack() as stack:
        client = stack.enter_context(calling(patient, address, Desk))
        for name in ("a1", "b1", "a2", "b2"):
            stack.enter_context(working(patient, address, tmp_path / name[0], name))
        names = [f"game-{n}" for n in range(8)]
        written = [client.options(key=name).submit(Desk.write, name, f"moves of {name}") for name in names]
        assert {future.result(10) for future in written} <= {"a", "b"}

        read = [client.options(key=name).submit(Desk.read, name) for name in names * 25]
        assert [future.result(10) for future in read] == [f"moves of {name}" for name in names * 25]
        homes = dict(zip(names, (place_of(future.worker) for future in written), strict=True))
        assert [place_of(future.worker) for future in read] == [homes[name] for name in names * 25]


def test_jobs_submitted_together_with_the_first_of_their_key_follow_it(
    patient: Queue, address: Address, tmp_path: Path
) -> None:
    """They wait before any worker is there, so none of them knows where the first will run."""
    with ExitStack() as stack:
        client = stack.enter_context(calling(patient, address, Desk))
        futures = [client.options(key=f"k{n % 4}").submit(Desk.nap, 0.001) for n in range(200)]
        assert client.flush(10)
        for name in ("a1", "b1"):
            stack.enter_context(working(patient, address, tmp_path / name[0], name))
        places: dict[int, set[str]] = {}
        for n, future in enumerate(futures):
            future.result(20)
            places.setdefault(n % 4, set()).add(place_of(future.worker))
    assert [len(found) for found in places.values()] == [1] * 4, places


def test_a_key_moves_when_its_place_dies(patient: Queue, address: Address, link: Link) -> None:
    with ExitStack() as stack:
        client = stack.enter_context(calling(patient, address))
        keyed = client.options(key="k")
        with worker_process(patient, address, name="a") as process:
            assert keyed.submit(Kit.echo, 1).result(15) == 1
            stack.enter_context(running(patient, address, name="b"))
            assert [keyed.submit(Kit.echo, n).result(10) for n in range(20)] == list(range(20))
            assert keyed.submit(Kit.echo, 2).result(10) == 2

            process.kill()
            process.wait()
            waiting = [keyed.submit(Kit.echo, n) for n in range(3)]
            assert client.flush(10)
            (dead,) = [consumer for consumer, name in registered(link, patient).items() if name == "a"]
            bury_consumer(link, patient, dead, blame=True)

            assert [future.result(10) for future in waiting] == [0, 1, 2], "they do not wait for the dead"
            assert {future.worker for future in waiting} == {"b"}
            last = keyed.submit(Kit.echo, 3)
            assert (last.result(10), last.worker) == (3, "b")
    assert link.execute("GET", patient.keys.home("k")) == b"b"


def test_a_place_that_was_drained_keeps_no_job(patient: Queue, address: Address) -> None:
    leaving, free = Kit(), Kit()
    free.go.set()
    with calling(patient, address) as client, running(patient, address, leaving, name="a") as worker:
        keyed = client.options(key="k")
        long = keyed.submit(Kit.hold, "long")
        assert leaving.started.wait(10)
        waiting = [keyed.submit(Kit.echo, n) for n in range(3)]
        assert client.flush(10)
        with running(patient, address, free, name="b"):
            assert not worker.runner.drain(0.05), "its job is not done: it is given back too"
            leaving.go.set()
            assert [future.result(10) for future in (long, *waiting)] == ["long", 0, 1, 2]
            assert {future.worker for future in (long, *waiting)} == {"b"}


def test_a_busy_home_lets_others_have_its_jobs_within_the_bound(hasty: Queue, address: Address) -> None:
    busy = Kit()
    with calling(hasty, address) as client, running(hasty, address, busy, name="a"):
        keyed = client.options(key="k")
        long = keyed.submit(Kit.hold, "long")
        assert busy.started.wait(10)
        with running(hasty, address, name="b"):
            start = time.monotonic()
            futures = [keyed.submit(Kit.echo, n) for n in range(150)]
            assert [future.result(10) for future in futures] == list(range(150))
            waited = time.monotonic() - start
            assert {future.worker for future in futures} == {"b"}
            assert not long.done()
            assert SPILL_S <= waited < SPILL_S + 5, "a tick of 0.1 s later, and what the machine adds"
            busy.go.set()
            assert (long.result(10), long.worker) == ("long", "a")
            back = keyed.submit(Kit.echo, 1)
            assert (back.result(10), back.worker) == (1, "a"), "the key has not moved"


def test_jobs_without_a_key_are_anybodys(patient: Queue, address: Address) -> None:
    busy = Kit()
    with calling(patient, address) as client, running(patient, address, busy, name="a"):
        client.options(key="k").submit(Kit.hold, "long")
        assert busy.started.wait(10)
        with running(patient, address, name="b"):
            free = [client.submit(Kit.echo, n) for n in range(20)]
            assert [future.result(10) for future in free] == list(range(20))
            assert {future.worker for future in free} == {"b"}


def test_a_place_leaves_no_trace(patient: Queue, address: Address, link: Link) -> None:
    with calling(patient, address) as client, running(patient, address, name="a"):
        assert client.options(key="k").submit(Kit.echo, 1).result(10) == 1
        assert link.execute("SMEMBERS", patient.keys.fixed("places")) == [b"a"]
    assert not link.execute("EXISTS", patient.keys.fixed("places"), patient.keys.at("a"))
