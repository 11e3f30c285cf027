"""Who is tried again and when: by the number of tries, the type of the error, and what the engine asks for."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pullet import Options, Retry
from pullet_broker.errors import YEAR_S
from pullet_broker.job import Entry
from pullet_broker.reply import Failure
from pullet_broker.retrying import is_worth_a_retry
from pullet_workers.opts import Opts, read_opts
from pullet_workers.retrying import LONGEST_RETRY_S, note, retry_after_ms, retry_delay_ms


class Busy(Exception):
    pass


class VeryBusy(Busy, ConnectionError):
    pass


class Mute(Retry):
    def __init__(self) -> None:
        Exception.__init__(self)


class Hostile(Retry):
    @property  # type: ignore[override]
    def after(self) -> float:
        raise SystemError("no")

    @after.setter
    def after(self, value: object) -> None:
        return None


@pytest.fixture
def longest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chance draws the longest wait."""
    monkeypatch.setattr("random.random", lambda: 1.0)


def after(error: BaseException, opts: str, raised: int = 0, kind: str = "raised") -> int | None:
    entry = Entry(4, "7-0", "job", "m", b"", "", opts, raised=raised)
    return retry_after_ms(entry, error, Failure("x.Y", "", [], "", kind))


def opts(**options: Any) -> Opts:
    """As they arrive at the worker."""
    return read_opts(Options(retries=1, **options).job("j", "m", b"").opts)


@pytest.mark.parametrize("raised", [0, 1, 2, 3])
def test_retries_count_the_attempts_that_raised_before(raised: int) -> None:
    assert (after(ValueError(), '{"retries":2}', raised) is not None) == (raised < 2)


def test_without_retries_nothing_is_tried_again_whoever_asks() -> None:
    assert after(ValueError(), "") is None
    assert after(Retry(after=1), "") is None
    assert after(Retry(after=1), '{"retries":0}') is None


@pytest.mark.parametrize("kind", ["method", "unreadable", "too_large", "unencodable"])
def test_what_the_worker_states_is_final(kind: str) -> None:
    assert after(ValueError(), '{"retries":2}', kind=kind) is None


@pytest.mark.parametrize(("raised", "most_s"), [(0, 1), (1, 2), (2, 4), (5, 32), (8, 256), (9, 300), (1000, 300)])
def test_the_wait_doubles_with_full_jitter_up_to_five_minutes(
    raised: int, most_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    delays = {}
    for draw in (0.0, 0.5, 1.0):
        monkeypatch.setattr("random.random", lambda draw=draw: draw)
        delays[draw] = retry_delay_ms(raised, 1.0)
    assert delays == {0.0: 0, 0.5: most_s * 500, 1.0: most_s * 1000}


@given(st.integers(), st.floats(0, YEAR_S))
def test_every_number_of_attempts_has_a_delay(raised: int, first_s: float) -> None:
    assert 0 <= retry_delay_ms(raised, first_s) <= LONGEST_RETRY_S * 1000


@pytest.mark.parametrize("raised", [-(10**400), 10**400], ids=["below all bounds", "above all bounds"])
def test_an_absurd_number_of_attempts_does_no_harm(raised: int) -> None:
    assert 0 <= retry_delay_ms(raised, 1.0) <= LONGEST_RETRY_S * 1000


@pytest.mark.usefixtures("longest")
def test_the_first_wait_can_be_named() -> None:
    assert after(ValueError(), '{"retries":9,"backoff":0.25}', raised=2) == 1000
    assert after(ValueError(), '{"retries":9,"backoff":0}', raised=2) == 0
    assert after(Retry(), '{"retries":9,"backoff":0.25}') == 250


@pytest.mark.parametrize(
    ("on", "never", "error", "again"),
    [
        ((), (), ValueError(), True),
        ((TimeoutError,), (), TimeoutError(), True),
        ((TimeoutError,), (), ValueError(), False),
        ((OSError,), (), TimeoutError(), True),  # a class derived from it
        ((Busy,), (), VeryBusy(), True),
        ((VeryBusy,), (), Busy(), False),
        ((ConnectionError,), (), VeryBusy(), True),  # any of its bases
        ((), (ValueError,), ValueError(), False),
        ((), (ValueError,), KeyError(), True),
        ((Busy,), (ConnectionError,), VeryBusy(), False),  # no_retry_on wins
        ((f"{__name__}.Busy",), (), VeryBusy(), True),
        (("Busy",), (), VeryBusy(), False),  # a name has its module
        (("builtins.TimeoutError",), (), TimeoutError(), True),
    ],
)
def test_types_are_compared_by_name_with_all_bases(on: Any, never: Any, error: BaseException, again: bool) -> None:
    given = opts(retry_on=on, no_retry_on=never)
    assert is_worth_a_retry(error, given.retry_on, given.no_retry_on) is again


def test_an_engine_may_ask_for_another_try_at_a_time_whatever_the_types() -> None:
    assert after(Retry(after=2.5), '{"retries":1,"retry_on":["builtins.OSError"]}') == 2500
    assert after(Retry(after=0), '{"retries":1}') == 0
    assert after(Retry(after=2.5), '{"retries":1}', raised=1) is None


@pytest.mark.usefixtures("longest")
@pytest.mark.parametrize("error", [Retry(), Mute(), Hostile()], ids=["Retry", "Mute", "Hostile"])
def test_one_that_names_no_time_comes_with_the_usual_pause(error: Retry) -> None:
    assert after(error, '{"retries":1}') == 1000


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf"), YEAR_S + 1])
def test_a_senseless_time_is_refused_where_it_is_named(seconds: float) -> None:
    with pytest.raises(ValueError, match="expected seconds"):
        Retry(after=seconds)


def test_a_note_is_one_short_line() -> None:
    assert note(Failure("a.B", "first\nsecond\tthird", [], "")) == "a.B first second third"
    assert note(Failure("a.B", "no", [], "", "too_large")) == "pullet.TooLarge no"
    assert len(note(Failure("a.B", "x" * 10_000, [], ""))) == 500
    assert note(Failure("a.B", "half \ud83d", [], "")) == "a.B half \\ud83d"
