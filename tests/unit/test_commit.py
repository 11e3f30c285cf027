"""From finished jobs to calls: who is tried again and when, and which script ends which outcome."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pullet_broker.job import Entry
from pullet_broker.reply import Failure, pack_failure, pack_reply
from pullet_broker.settings import Queue
from pullet_workers.commit import Take, commits, finish
from pullet_workers.engine import Done
from pullet_workers.hand import Finished
from pullet_workers.opts import Opts, read_opts

QUEUE = Queue(name="chess")
FAILURE = Failure("builtins.ValueError", "no\nking", [], "")
FAILED = pack_reply("error", 1, "w", 7, pack_failure(FAILURE))


def entry(opts: str = "", raised: int = 0) -> Entry:
    return Entry(4, "7-0", "job", "m", b"", "", opts, raised=raised)


def ended(error: BaseException | None, opts: str = "", raised: int = 0) -> Finished:
    done = Done(b"reply", None, 0.0) if error is None else Done(FAILED, error, 0.0, FAILURE)
    return finish(entry(opts, raised), done)


def test_a_job_that_went_well_is_not_tried_again() -> None:
    done = ended(None, '{"retries":3}')
    assert (done.failed, done.retry_after_ms) == (False, None)
    assert done.reply == b"reply"


def test_a_job_that_raised_is_final_unless_retries_are_given() -> None:
    done = ended(ValueError())
    assert (done.failed, done.retry_after_ms) == (True, None)
    assert (done.reply, done.note) == (FAILED, "builtins.ValueError no king")


@pytest.mark.parametrize(("raised", "again"), [(0, True), (1, True), (2, False), (3, False)])
def test_retries_count_the_attempts_that_raised_before(raised: int, again: bool) -> None:
    done = ended(ValueError(), '{"retries":2}', raised)
    assert done.failed
    assert (done.retry_after_ms is not None) == again


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


HOSTILE: list[tuple[str, Opts]] = [
    ('{"retries":1,"retry_on":"x"}', Opts(retries=1)),
    ('{"retries":1,"retry_on":[1,"x"]}', Opts(retries=1)),
    ('{"retries":1,"no_retry_on":{"x":1}}', Opts(retries=1)),
    ('{"retries":1,"backoff":NaN}', Opts(retries=1)),
    ('{"retries":1,"backoff":-5}', Opts(retries=1)),
    ('{"retries":1,"backoff":1e999}', Opts(retries=1)),
    ('{"retries":1,"timeout":-1}', Opts(retries=1)),
    ('{"retries":1,"timeout":1e999}', Opts(retries=1)),
    ('{"retries":1,"timeout":2.5}', Opts(retries=1, timeout=2.5)),
    ('{"retries":1,"backoff":"0.5","retry_on":["a.B"]}', Opts(retries=1, backoff=0.5, retry_on=("a.B",))),
]


@pytest.mark.parametrize(("text", "opts"), HOSTILE, ids=[text for text, _ in HOSTILE])
def test_one_option_that_makes_no_sense_spoils_no_other(text: str, opts: Opts) -> None:
    assert read_opts(text) == opts


@given(st.text(max_size=50))
def test_no_text_is_too_hostile_for_options(text: str) -> None:
    assert read_opts(text).retries >= 0


def test_what_raised_goes_to_fail_and_the_rest_to_one_cycle_that_also_takes() -> None:
    finished = [ended(None), ended(ValueError()), ended(None), ended(ValueError(), '{"retries":1}')]

    calls = commits(QUEUE, "worker.1", finished, Take(5, alone=True, high_first=True))

    assert [call.script.name for call in calls] == ["fail", "fail", "cycle"]
    *_, cycle = calls
    named = dict(zip(cycle.script.args, cycle.args, strict=False))
    assert (named["consumer"], named["want"], named["alone"], named["high_first"]) == ("worker.1", 5, 1, 1)
    assert list(cycle.args).count(b"reply") == 2
    assert [dict(zip(call.script.args, call.args, strict=True))["retry"] for call in calls[:2]] == [0, 1]


def test_the_cycle_comes_last_so_that_nothing_is_taken_before_everything_is_committed() -> None:
    assert [call.script.name for call in commits(QUEUE, "w", [], Take(1))] == ["cycle"]
    assert commits(QUEUE, "w", [ended(ValueError())], Take(1))[-1].script.name == "cycle"
