"""The checker finds each thing that can go wrong, and nothing in a run that went well."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.checker import FINDINGS, Remains, check
from tests.chaos.forgotten import Forgotten
from tests.chaos.history import Event
from tests.chaos.ledger import Commit, Ledger, Story

A, B, C = 101, 102, 103
"""Processes of workers."""


class Tale:
    """A run that went well: a job `j` that was submitted, accepted, run by A, committed and read. Tests spoil it."""

    def __init__(self, kind: str = "tiny", ran_on: tuple[int, ...] = (A,)) -> None:
        self._clock = itertools.count(1)
        self.events: list[Event] = []
        self.note(1, "submit", name="0.0", id="j", kind=kind)
        self.note(1, "accepted", ids=["j"])
        for n, pid in enumerate(ran_on):
            self.run(pid, f"t{n}")
        last = f"t{len(ran_on) - 1}"
        self.ledger: Ledger = {"j": Story(issued=len(ran_on), commits=[Commit("ok", last)])}
        self.read("got", "ok", last)

    def note(self, by: int, what: str, **about: Any) -> None:
        self.events.append(Event(float(next(self._clock)), by, what, about))

    def hit(self, at: float, pid: int, what: str = "hit") -> None:
        self.events.append(Event(at, 0, what, {"pid": pid, "how": "SIGKILL"}))

    def run(self, pid: int, token: str, name: str = "0.0") -> None:
        self.note(pid, "begin", name=name, token=token)
        self.note(pid, "end", name=name, token=token)

    def read(self, how: str, outcome: str, token: str | None) -> None:
        self.note(1, how, id="j", outcome=outcome, value=token)

    def drop(self, what: str) -> None:
        self.events = [event for event in self.events if event.what != what]

    def found(self, remains: Remains | None = None, *, durable: bool = True) -> set[str]:
        verdict = check(self.events, self.ledger, remains or Remains(), durable=durable)
        return {finding for finding, evidence in verdict.wrong.items() if evidence}


def poisoned(*ran_on: int, blamed: tuple[int, ...]) -> Tale:
    tale = Tale("poison", ran_on)
    tale.drop("got")
    tale.drop("end")
    tale.ledger["j"] = Story(issued=3, commits=[Commit("crashed")], killed=list(blamed))
    tale.read("got", "WorkerLost", None)
    return tale


def test_a_run_that_went_well_has_no_findings() -> None:
    assert Tale().found() == set()
    assert check(Tale().events, Tale().ledger, Remains()).is_right


def test_an_accepted_job_without_an_outcome_is_lost_and_whoever_waits_hangs() -> None:
    tale = Tale()
    tale.drop("got")
    tale.ledger["j"].commits.clear()
    assert tale.found() == {"lost", "hung"}


def test_an_outcome_that_its_caller_never_hears_of_hangs() -> None:
    tale = Tale()
    tale.drop("got")
    assert tale.found() == {"hung"}


def test_a_caller_that_gave_up_has_not_heard_of_it() -> None:
    tale = Tale()
    tale.drop("got")
    tale.read("got", "CancelledError", None)
    assert tale.found() == {"hung"}


def test_the_successor_of_a_caller_that_was_killed_may_hear_of_it_instead() -> None:
    tale = Tale()
    tale.drop("got")
    tale.read("found", "ok", "t0")
    assert tale.found() == set()


def test_what_its_caller_read_and_took_away_before_it_was_killed_is_not_lost() -> None:
    tale = Tale()
    tale.drop("got")
    tale.read("found", "JobLost", None)
    assert tale.found() == set()


def test_an_accepted_job_that_the_server_has_never_had_is_lost_or_with_everysec_counted() -> None:
    tale = Tale()
    tale.ledger.clear()
    tale.drop("begin")
    tale.drop("got")
    tale.read("got", "JobLost", None)
    assert tale.found() == {"lost"}
    assert tale.found(durable=False) == set()
    assert check(tale.events, tale.ledger, Remains(), durable=False).forgotten == 1


def test_an_unsure_submit_may_have_been_stored_or_not() -> None:
    tale = Tale()
    tale.drop("accepted")
    assert tale.found() == set()


def test_a_job_that_was_refused_must_not_be_stored() -> None:
    tale = Tale()
    for what in ("accepted", "begin", "got"):
        tale.drop(what)
    tale.ledger.clear()
    tale.read("got", "ServerFull", None)
    assert tale.found() == set()
    tale.ledger["j"] = Story(issued=1)
    assert tale.found() == {"kept", "lost"}
    tale = Tale()
    tale.read("got", "ServerFull", None)
    assert tale.found() == {"kept"}


def test_two_commits_are_one_too_many_even_of_the_same_value() -> None:
    tale = Tale()
    tale.ledger["j"].commits *= 2
    assert tale.found() == {"doubled"}


def test_what_was_read_must_not_change() -> None:
    tale = Tale(ran_on=(A, B))
    tale.hit(4.5, A)
    tale.read("again", "ok", "t0")
    assert tale.found() == {"changed", "false"}


@pytest.mark.parametrize("outcome", ["ok", "ValueError"])
def test_what_was_read_must_have_been_committed_and_given(outcome: str) -> None:
    tale = Tale()
    tale.drop("got")
    tale.read("got", outcome, "of another job")
    assert tale.found() == {"false"}


def test_a_job_that_raises_ends_with_its_error_and_others_do_not() -> None:
    tale = Tale("raising")
    assert tale.found() == {"false"}
    tale.drop("got")
    tale.ledger["j"].commits = [Commit("error", "t0")]
    tale.read("got", "ValueError", "t0")
    assert tale.found() == set()


def test_a_job_that_is_issued_after_its_outcome_is_revived() -> None:
    tale = Tale()
    tale.ledger["j"].revived = 1
    assert tale.found() == {"revived"}


def test_what_the_server_had_told_and_forgot_is_wrong_unless_it_may_forget() -> None:
    tale, crash = Tale(), Forgotten(jobs=1, replies=0, seconds=0.5, unsynced_s=0.6)
    whole = check(tale.events, tale.ledger, Remains(), [crash])
    assert {finding for finding, evidence in whole.wrong.items() if evidence} == {"forgotten"}
    assert check(tale.events, tale.ledger, Remains(), [crash], durable=False).is_right
    nothing = Forgotten(jobs=0, replies=0, seconds=0.0, unsynced_s=0.6)
    assert check(tale.events, tale.ledger, Remains(), [nothing]).is_right


def test_a_second_execution_needs_a_fault_between_the_two() -> None:
    tale = Tale(ran_on=(A, B))
    assert tale.found() == {"unexplained"}
    tale.hit(4.5, B)
    tale.hit(1.0, A)
    tale.hit(9.0, A)
    assert tale.found() == {"unexplained"}, "the other worker, too early, too late"
    tale.hit(4.2, A)
    assert tale.found() == set()


def test_a_short_stop_explains_nothing() -> None:
    tale = Tale(ran_on=(A, B))
    tale.hit(3.5, A, "paused")
    tale.hit(4.5, A, "resumed")
    assert tale.found() == {"unexplained"}


def test_one_that_was_stopped_and_counted_as_dead_may_run_what_it_had() -> None:
    tale = Tale(ran_on=(A, B))
    tale.hit(4.9, B, "continued")
    assert tale.found() == set()


def test_a_server_that_was_killed_explains_it_only_where_it_may_forget() -> None:
    tale = Tale(ran_on=(A, B))
    tale.events.append(Event(4.2, 0, "server down", {"killed": True}))
    assert tale.found() == {"unexplained"}
    assert tale.found(durable=False) == set()
    verdict = check(tale.events, tale.ledger, Remains(), durable=False)
    assert (verdict.renewed, verdict.extra) == (1, 0)


def test_too_many_second_executions_are_wrong_although_each_is_explained() -> None:
    tale = Tale(ran_on=(A,) * 8)
    for n in range(8):
        tale.hit(4.2 + 2 * n, A)
    assert tale.found() == {"extra"}
    assert check(tale.events, tale.ledger, Remains(), hand=7).is_right


def test_an_execution_of_what_nobody_submitted_is_unexpected() -> None:
    tale = Tale()
    tale.run(A, "x", name="7.0")
    assert tale.found() == {"unexpected"}


def test_one_whose_caller_was_killed_before_it_could_note_it_is_known_to_the_server() -> None:
    tale = Tale()
    tale.run(A, "x", name="7.0")
    tale.ledger["k"] = Story(issued=1, commits=[Commit("ok", "x")])
    assert tale.found() == set()
    tale.ledger["k"].commits.clear()
    assert tale.found() == {"lost"}


def test_poison_is_a_dead_letter_after_three_of_its_workers() -> None:
    assert poisoned(A, B, C, blamed=(A, B, C)).found() == set()
    assert poisoned(A, B, blamed=(A, B)).found() == {"poison"}
    assert poisoned(A, B, C, blamed=(A, B, C, A)).found() == {"poison"}


def test_a_worker_that_a_fault_kills_with_poison_in_hand_counts_too() -> None:
    tale = poisoned(A, B, blamed=(A, B, C))
    assert tale.found() == {"poison"}
    tale.hit(9.0, C)
    assert tale.found() == set()


def test_poison_whose_caller_was_killed_before_it_sent_it_harms_nobody() -> None:
    tale = poisoned(blamed=())
    tale.drop("accepted")
    tale.ledger.clear()
    tale.drop("got")
    tale.read("found", "JobLost", None)
    assert tale.found() == set()


def test_poison_explains_what_its_neighbours_did_again() -> None:
    tale = Tale(ran_on=(A, B))
    tale.note(1, "submit", name="1.0", id="p", kind="poison")
    tale.events.append(Event(4.5, A, "begin", {"name": "1.0", "token": "p0"}))
    tale.ledger["p"] = Story(issued=1, commits=[Commit("crashed")], killed=[A, B, C])
    assert "unexplained" not in tale.found()


def test_an_innocent_dead_letter_is_condemned() -> None:
    tale = Tale()
    tale.drop("got")
    tale.ledger["j"] = Story(issued=3, commits=[Commit("crashed")], killed=[A, B, C])
    tale.read("got", "WorkerLost", None)
    assert tale.found() == {"condemned"}


def test_a_neighbour_of_poison_is_condemned_also_when_it_had_run_each_time() -> None:
    tale = Tale(ran_on=(A, B, C))
    tale.drop("got")
    tale.note(1, "submit", name="1.0", id="p", kind="poison")
    tale.ledger["j"] = Story(issued=3, commits=[Commit("crashed")], killed=[A, B, C])
    tale.ledger["p"] = Story(issued=3, commits=[Commit("crashed")], killed=[A, B, C])
    for n, pid in enumerate((A, B, C)):
        tale.events.append(Event(3.5 + 2 * n, pid, "begin", {"name": "1.0", "token": f"p{n}"}))
    tale.read("got", "WorkerLost", None)
    tale.note(1, "got", id="p", outcome="WorkerLost", value=None)
    assert tale.found() == {"condemned"}


def test_one_that_three_faults_hit_while_it_ran_is_unlucky() -> None:
    tale = Tale("long", ran_on=(A, B, C))
    tale.drop("got")
    tale.ledger["j"] = Story(issued=3, commits=[Commit("crashed")], killed=[A, B, C])
    tale.read("got", "WorkerLost", None)
    for at, pid in ((4.2, A), (6.2, B)):
        tale.hit(at, pid)
    assert tale.found() == {"condemned"}
    tale.hit(8.2, C)
    assert tale.found() == set()
    assert check(tale.events, tale.ledger, Remains()).unlucky == 1


LEFT = [
    ("stranded", Remains(stranded={"entries": 1, "parked jobs": 0})),
    ("keys", Remains(keys=["reply:j"])),
    ("memory", Remains(memory_bytes=2 << 20)),
]


@pytest.mark.parametrize(("finding", "remains"), LEFT)
def test_what_is_left_is_found(finding: str, remains: Remains) -> None:
    assert Tale().found(remains) == {finding}


def test_every_finding_can_be_found() -> None:
    """Each name is in one of the tests above, which see it found."""
    text = Path(__file__).read_text()
    assert all(f'"{finding}"' in text for finding in FINDINGS)
