"""From finished jobs to calls: who is tried again and when, and which script ends which outcome."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pullet_broker.job import Entry
from pullet_broker.settings import Queue
from pullet_workers.commit import LONGEST_RETRY_S, commits, finish, retry_delay_ms
from pullet_workers.engine import Done
from pullet_workers.hand import Finished
from pullet_workers.opts import read_opts

QUEUE = Queue(name="chess")


def entry(opts: str = "", raised: int = 0) -> Entry:
    return Entry(4, "7-0", "job", "m", b"", "", opts, raised=raised)


def ended(error: BaseException | None, opts: str = "", raised: int = 0) -> Finished:
    return finish(entry(opts, raised), Done(b"reply", error, 0.0))


def test_a_job_that_went_well_is_not_tried_again() -> None:
    done = ended(None, '{"retries":3}')
    assert (done.failed, done.retry_after_ms) == (False, None)
    assert done.outcome.reply == b"reply"


def test_a_job_that_raised_is_final_unless_retries_are_given() -> None:
    done = ended(ValueError())
    assert (done.failed, done.retry_after_ms) == (True, None)


@pytest.mark.parametrize(("raised", "again"), [(0, True), (1, True), (2, False), (3, False)])
def test_retries_count_the_attempts_that_raised_before(raised: int, again: bool) -> None:
    done = ended(ValueError(), '{"retries":2}', raised)
    assert done.failed
    assert (done.retry_after_ms is not None) == again


@pytest.mark.parametrize(("raised", "most_s"), [(0, 1), (1, 2), (2, 4), (5, 32), (8, 256), (9, 300), (1000, 300)])
def test_the_wait_doubles_with_full_jitter_up_to_five_minutes(
    raised: int, most_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    delays = {}
    for draw in (0.0, 0.5, 1.0):
        monkeypatch.setattr("random.random", lambda draw=draw: draw)
        delays[draw] = retry_delay_ms(raised)
    assert delays == {0.0: 0, 0.5: most_s * 500, 1.0: most_s * 1000}


@given(st.integers())
def test_every_number_of_attempts_has_a_delay(raised: int) -> None:
    assert 0 <= retry_delay_ms(raised) <= LONGEST_RETRY_S * 1000


@pytest.mark.parametrize("raised", [-(10**400), 10**400], ids=["below all bounds", "above all bounds"])
def test_an_absurd_number_of_attempts_does_no_harm(raised: int) -> None:
    assert 0 <= retry_delay_ms(raised) <= LONGEST_RETRY_S * 1000


OPTIONS = [
    ("", 0),
    ("{}", 0),
    ('{"retries":2}', 2),
    ('{"retries":"2"}', 2),
    ('{"retries":-1}', 0),
    ('{"retries":null}', 0),
    ('{"retries":Infinity}', 0),
    ('{"retries":1e999}', 0),
    ('{"retries":NaN}', 0),
    ('{"retries":[1]}', 0),
    ('{"later":1}', 0),
    ("[1]", 0),
    ("7", 0),
    ("{", 0),
    ("[" * 100_000, 0),
]


@pytest.mark.parametrize(("text", "retries"), OPTIONS, ids=[text[:20] for text, _ in OPTIONS])
def test_options_that_make_no_sense_count_as_not_given(text: str, retries: int) -> None:
    assert read_opts(text).retries == retries


@given(st.text(max_size=50))
def test_no_text_is_too_hostile_for_options(text: str) -> None:
    assert read_opts(text).retries >= 0


def test_what_raised_goes_to_fail_and_the_rest_to_one_cycle_that_also_takes() -> None:
    finished = [ended(None), ended(ValueError()), ended(None), ended(ValueError(), '{"retries":1}')]

    calls = commits(QUEUE, "worker.1", finished, 5, alone=True, high_first=True)

    assert [call.script.name for call in calls] == ["fail", "fail", "cycle"]
    *_, cycle = calls
    named = dict(zip(cycle.script.args, cycle.args, strict=False))
    assert (named["consumer"], named["want"], named["alone"], named["high_first"]) == ("worker.1", 5, 1, 1)
    assert list(cycle.args).count(b"reply") == 2


def test_the_cycle_comes_last_so_that_nothing_is_taken_before_everything_is_committed() -> None:
    assert [call.script.name for call in commits(QUEUE, "w", [], 1)] == ["cycle"]
    assert commits(QUEUE, "w", [ended(ValueError())], 1)[-1].script.name == "cycle"
