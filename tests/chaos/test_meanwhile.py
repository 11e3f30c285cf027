"""How others fare while jobs kill workers: counted from the first start of such a job to the end of the last one."""

from __future__ import annotations

import pytest

from tests.chaos.history import Event
from tests.chaos.meanwhile import look_meanwhile


def submit(at: float, job: str, kind: str = "tiny") -> Event:
    return Event(at, 1, "submit", {"name": f"{job}.0", "id": job, "kind": kind})


def begin(at: float, job: str) -> Event:
    return Event(at, 2, "begin", {"name": f"{job}.0", "token": "t"})


def got(at: float, job: str) -> Event:
    return Event(at, 1, "got", {"id": job, "outcome": "ok", "value": "t"})


def test_without_a_job_that_kills_there_is_nothing_to_tell() -> None:
    assert look_meanwhile([submit(1, "a"), begin(2, "a"), got(3, "a")]) is None


def test_only_what_ends_meanwhile_counts_and_only_the_time_in_which_there_was_something() -> None:
    events = [submit(0, "p", "poison"), submit(0, "before"), got(5, "before"), begin(10, "p")]
    events += [submit(8, "a"), got(12, "a")]  # there from 10 to 12
    events += [submit(20, "b"), submit(21, "c"), got(24, "b"), got(25, "c")]  # there from 20 to 25
    events += [submit(38, "d"), got(40, "p"), got(41, "d")]  # from 38 to the end
    meanwhile = look_meanwhile(sorted(events, key=lambda event: event.at))
    assert meanwhile is not None
    assert (meanwhile.seconds, meanwhile.jobs) == (30, 3)
    assert meanwhile.busy_s == pytest.approx(2 + 5 + 2)
    assert meanwhile.rate == pytest.approx(3 / 9)
    assert meanwhile.wait_s == (4, 4, 4)
