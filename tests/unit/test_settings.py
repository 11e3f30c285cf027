"""Settings are checked when they are built, and never change."""

from __future__ import annotations

import dataclasses
import pickle

import pytest

from pullet_broker.errors import NameRefused
from pullet_broker.settings import Lease, Lifetimes, Limits, Prefetch, Queue

GROUPS = (Limits, Lifetimes, Lease, Prefetch)
FIELDS = [(group, field.name) for group in GROUPS for field in dataclasses.fields(group)]


@pytest.mark.parametrize(("group", "name"), FIELDS)
@pytest.mark.parametrize("value", [0, -1, float("nan")])
def test_nothing_may_be_zero_or_less(group: type, name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{group.__name__}\\({name}=") as raised:
        group(**{name: value})
    assert "above 0" in str(raised.value)


@pytest.mark.parametrize(("group", "name"), FIELDS)
def test_every_name_says_its_unit(group: type, name: str) -> None:
    units = ("_bytes", "_jobs", "_ms", "_s", "dead_letters", "crashes", "ticks")
    assert name.endswith(units)


def test_they_never_change() -> None:
    limits = Limits()
    with pytest.raises(dataclasses.FrozenInstanceError):
        limits.dead_letters = 1  # type: ignore[misc]


def test_they_are_given_by_name() -> None:
    with pytest.raises(TypeError):
        Limits(1)  # type: ignore[misc]


def test_a_lease_lasts_its_ticks() -> None:
    assert Lease().seconds == pytest.approx(10)
    assert Lease(beat_s=0.1, tick_ms=500, ticks=4).seconds == pytest.approx(2)


def test_a_job_is_not_given_up_for_two_crashes() -> None:
    assert Limits().max_crashes >= 3


def test_a_queue_with_a_bad_name_is_refused() -> None:
    with pytest.raises(NameRefused):
        Queue(name="a}b")


def test_equal_queues_are_equal_and_survive_pickling() -> None:
    queue = Queue(name="q", limits=Limits(max_crashes=5))
    assert queue.keys is queue.keys
    copy = pickle.loads(pickle.dumps(queue))
    assert (copy, hash(copy), copy.limits.max_crashes) == (queue, hash(queue), 5)
    assert copy.keys.lanes == queue.keys.lanes
