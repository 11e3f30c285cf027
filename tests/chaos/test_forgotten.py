"""What a crash made the server forget is found, and how old the oldest of it was."""

from __future__ import annotations

import pytest

from tests.chaos.forgotten import Forgotten, find_forgotten
from tests.chaos.history import Event
from tests.chaos.ledger import Commit, Ledger, Story

CRASH_AT, UNSYNCED_S = 100.0, 1.5


def accepted(at: float, *jobs: str) -> Event:
    return Event(at, 1, "accepted", {"ids": list(jobs)})


def got(at: float, job: str, outcome: str = "ok") -> Event:
    return Event(at, 1, "got", {"id": job, "outcome": outcome, "value": "t"})


def find(events: list[Event], known: Ledger, lost: Ledger) -> tuple[int, int, float]:
    found = find_forgotten(events, CRASH_AT, UNSYNCED_S, known, lost)
    assert isinstance(found, Forgotten)
    assert found.unsynced_s == UNSYNCED_S
    return found.jobs, found.replies, found.seconds


def test_an_accepted_job_that_the_log_does_not_hold_any_more_is_forgotten() -> None:
    lost = {"a": Story(issued=1), "b": Story(issued=1)}
    assert find([accepted(99.0, "a"), accepted(99.75, "b")], {}, lost) == (2, 0, 1.0)


def test_a_reply_that_was_read_and_is_not_in_the_log_is_forgotten() -> None:
    known, lost = {"a": Story(issued=1)}, {"a": Story(commits=[Commit("ok", "t")])}
    assert find([accepted(90.0, "a"), got(99.5, "a")], known, lost) == (0, 1, 0.5)


def test_one_that_was_read_was_accepted_before() -> None:
    lost = {"a": Story(issued=1, commits=[Commit("ok", "t")])}
    assert find([got(99.5, "a"), accepted(101.0, "a")], {}, lost) == (1, 1, 0.5)


@pytest.mark.parametrize(
    "events",
    [
        pytest.param([], id="nobody knew"),
        pytest.param([accepted(100.5, "a"), got(100.5, "a")], id="only after the crash, when it was sent again"),
        pytest.param([got(99.5, "a", "JobLost")], id="lost in another crash"),
    ],
)
def test_what_nobody_knew_by_then_does_not_count(events: list[Event]) -> None:
    assert find(events, {}, {"a": Story(issued=1, commits=[Commit("ok", "t")])}) == (0, 0, 0.0)


def test_a_job_that_was_issued_again_is_known_and_so_is_an_outcome_of_before() -> None:
    known = {"a": Story(issued=1, commits=[Commit("ok", "t")])}
    assert find([accepted(90.0, "a"), got(91.0, "a")], known, {"a": Story(issued=1)}) == (0, 0, 0.0)
