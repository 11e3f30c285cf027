"""A seed gives the same run again, with every kind of fault and of job in it."""

from __future__ import annotations

from collections import Counter

from tests.chaos.faults import ACTS
from tests.chaos.plan import DECK, RARE, Plan


def test_a_seed_gives_the_same_run_and_another_one_another() -> None:
    first, again, other = Plan(seed=1, jobs=500), Plan(seed=1, jobs=500), Plan(seed=2, jobs=500)
    assert (first.acts(), first.tasks(), first.bursts(0)) == (again.acts(), again.tasks(), again.bursts(0))
    assert first.acts() != other.acts()
    assert first.tasks() != other.tasks()


def test_all_jobs_are_submitted_once() -> None:
    plan = Plan(seed=3, jobs=1000, callers=3)
    submitted = [task for caller in range(3) for burst in plan.bursts(caller) for task in burst.tasks]
    assert sorted(task.number for task in submitted) == list(range(1000))
    assert {task.kind for task in submitted} == {"tiny", *RARE}


def test_so_many_kill_their_workers_as_are_asked_for() -> None:
    kinds = Counter(task.kind for task in Plan(seed=4, jobs=10_000, poison=100).tasks())
    assert kinds["poison"] == 100
    assert Counter(task.kind for task in Plan(seed=4, jobs=100, poison=0).tasks())["poison"] == 0


def test_each_fault_comes_in_its_share() -> None:
    plan = Plan(seed=5, faults=sum(DECK.values()))
    assert Counter(act.what for act in plan.acts()) == DECK
    assert all(0 < act.at_s < plan.seconds for act in plan.acts())
    assert {act.what for act in Plan(seed=5, faults=9, kinds=("kill a worker",)).acts()} == {"kill a worker"}


def test_each_fault_can_be_done() -> None:
    assert set(ACTS) == set(DECK)
