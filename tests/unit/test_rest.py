"""How long idle workers leave the server alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pullet_broker.settings import Lease
from pullet_workers.rest import MOST, SMALL, Rest, longest, rest_among

leases = st.builds(Lease, beat_s=st.floats(0.001, 10), tick_ms=st.integers(1, 10_000), ticks=st.integers(1, 1000))


@pytest.mark.parametrize("workers", [0, 1, 2, SMALL])
def test_of_a_few_workers_none_rests(workers: int) -> None:
    assert rest_among(workers, Lease()) == Rest(1.0, 1.0)


@pytest.mark.parametrize(("workers", "times", "beat_s"), [(12, 1.5, 1.5), (16, 2, 2), (32, 4, 4), (40, 5, 4.5)])
def test_the_more_there_are_the_longer_each_rests(workers: int, times: float, beat_s: float) -> None:
    assert rest_among(workers, Lease()) == Rest(times, beat_s)


def test_at_some_point_more_workers_make_no_difference() -> None:
    assert rest_among(64, Lease()) == rest_among(10_000, Lease()) == longest(Lease())


@given(st.integers(0, 10_000), leases)
def test_no_rest_is_longer_than_half_a_lease_or_shorter_than_a_beat(workers: int, lease: Lease) -> None:
    rest = rest_among(workers, lease)
    assert 1 <= rest.times <= MOST
    assert lease.beat_s <= rest.beat_s <= max(lease.beat_s, lease.ticks * lease.tick_ms / 2000)
    assert rest.beat_s <= longest(lease).beat_s
