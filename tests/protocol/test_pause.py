"""pause: nobody takes until it ends, and whoever waits is called both times."""

from __future__ import annotations

import pytest

from pullet_broker.link import Link
from pullet_broker.moves.cancel import STOPS_LIVE_S, read_stops
from pullet_broker.moves.cycle import Standing
from pullet_broker.moves.pausing import is_paused, pause, resume
from pullet_broker.settings import Queue
from tests.support.scribe import Scribe


@pytest.fixture
def scribe(link: Link, queue: Queue) -> Scribe:
    return Scribe(link, queue)


def test_it_holds_from_then_on_until_it_ends_and_calls_all_workers_both_times(scribe: Scribe) -> None:
    worker, queue = scribe.worker(), scribe.queue
    for do, standing, paused in ((pause, Standing.PAUSED, 1), (resume, Standing.OK, 0)):
        scribe.link.execute("DEL", scribe.key("stops"))
        for _ in range(2):
            do(queue, scribe.link.execute)
            assert worker.cycle(want=1).standing is standing
            assert (scribe.link.execute(*is_paused(queue)), worker.beat().paused) == (paused, bool(paused))
        heard = scribe.heard()
        assert (heard.is_call, heard.stops) == (True, [])
        assert 0 < scribe.link.execute("PTTL", scribe.key("stops")) <= 1000 * STOPS_LIVE_S


def test_a_cancel_calls_only_whom_it_concerns(scribe: Scribe) -> None:
    job = scribe.caller().one()
    scribe.worker().take_one()
    scribe.cancel(job)
    assert not scribe.heard().is_call
    assert not read_stops([]).is_call


def test_where_nobody_can_be_called_it_holds_all_the_same(scribe: Scribe) -> None:
    worker, queue = scribe.worker(), scribe.queue
    scribe.link.execute("SET", scribe.key("stops"), "not a stream", "PX", 60_000)
    pause(queue, scribe.link.execute)
    assert worker.cycle(want=1).standing is Standing.PAUSED
    resume(queue, scribe.link.execute)
    assert worker.cycle(want=1).standing is Standing.OK
