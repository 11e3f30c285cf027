"""How long beats stand still: only time in which somebody looked counts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pullet_workers.pulse import GAP_S, Pulse


def test_a_beat_that_changes_starts_anew_and_one_that_does_not_adds_up() -> None:
    pulse = Pulse()
    assert pulse.look({"a": "1", "b": "7"}, 100.0) == {"a": 0.0, "b": 0.0}
    assert pulse.look({"a": "2", "b": "7"}, 101.0) == {"a": 0.0, "b": 1.0}
    assert pulse.look({"a": "2", "b": "7"}, 102.5) == {"a": 1.5, "b": 2.5}
    assert pulse.look({"a": "2", "b": "8"}, 103.0) == {"a": 2.0, "b": 0.0}


def test_who_was_not_there_before_has_just_begun() -> None:
    pulse = Pulse()
    pulse.look({"a": "1"}, 0.0)
    assert pulse.look({"b": "1"}, 1.0) == {"b": 0.0}
    assert pulse.look({"a": "1", "b": "1"}, 2.0) == {"a": 0.0, "b": 1.0}


def test_time_in_which_nobody_looked_does_not_count() -> None:
    pulse = Pulse()
    pulse.look({"a": "1"}, 0.0)
    assert pulse.look({"a": "1"}, 3600.0) == {"a": GAP_S}
    assert pulse.look({"a": "1"}, 3601.0) == {"a": GAP_S + 1.0}


def test_what_was_seen_before_the_server_was_away_says_nothing() -> None:
    pulse = Pulse()
    for now in range(5):
        pulse.look({"a": "1"}, now)
    pulse.forget()
    assert pulse.look({"a": "1"}, 5.0) == {"a": 0.0}
    assert pulse.look({"a": "1"}, 6.0) == {"a": 1.0}


@given(st.lists(st.tuples(st.floats(0.01, 1e4), st.booleans()), max_size=30))
def test_it_is_never_more_than_the_time_that_passed_since_the_last_beat(looks: list[tuple[float, bool]]) -> None:
    pulse, now, beaten, beat, counted = Pulse(), 0.0, 0.0, 0, 0.0
    pulse.look({"a": "0"}, now)
    for passed, beats in looks:
        now, beat = now + passed, beat + beats
        beaten, counted = (now, 0.0) if beats else (beaten, counted + min(passed, GAP_S))
        still = pulse.look({"a": str(beat)}, now)["a"]
        assert still == pytest.approx(counted)
        assert still <= now - beaten + 1e-6
