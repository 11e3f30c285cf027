"""What `Client.options` takes, what it refuses, and what travels of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pullet import Options
from pullet.options import DEFAULT
from pullet_broker.errors import YEAR_S


class Local(Exception):
    pass


def test_a_job_without_options_has_none() -> None:
    job = DEFAULT.job("id", "work", b"")
    assert (job.key, job.opts, job.lane, job.delay_ms) == ("", "", "normal", 0)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"retries": -1}, "retries=-1"),
        ({"retries": "3"}, "retries='3'"),
        ({"priority": "high"}, "priority='high'"),
        ({"delay": -0.1}, "delay"),
        ({"delay": float("nan")}, "delay"),
        ({"delay": float("inf")}, "delay"),
        ({"keep": YEAR_S + 1}, "keep"),
        ({"expires": 0}, "expires=0"),
        ({"expires": float("inf")}, "expires"),
        ({"timeout": 0}, "timeout=0"),
        ({"timeout": -1}, "timeout"),
        ({"timeout": float("nan")}, "timeout"),
        ({"backoff": -1}, "backoff"),
        ({"when_full": "never"}, "when_full"),
        ({"when_down": "never"}, "when_down"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_name(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Options(**options)


@pytest.mark.parametrize("key", ["game-17", " ", "}{*", "ü" * 64, "x" * 128])
def test_a_key_travels_with_the_job_as_it_is(key: str) -> None:
    assert Options(key=key).job("id", "work", b"").key == key


@pytest.mark.parametrize("key", ["", "x" * 129, "ü" * 65, "\ud800", 17, b"game"])
def test_a_key_that_cannot_be_one_is_refused(key: object) -> None:
    with pytest.raises(ValueError, match=r"^key=.*: expected a text of 1 to 128 bytes in UTF-8$"):
        Options(key=key)  # type: ignore[arg-type]


def test_a_key_counts_in_the_size_of_a_job() -> None:
    assert Options(key="x" * 100).job("id", "work", b"").size == DEFAULT.job("id", "work", b"").size + 100


@pytest.mark.parametrize("types", [ValueError, "ValueError", [ValueError], (int,), (ValueError(),), (1,), ("x",) * 33])
@pytest.mark.parametrize("option", ["retry_on", "no_retry_on"])
def test_types_are_a_tuple_of_classes_or_names(option: str, types: Any) -> None:
    with pytest.raises(TypeError, match=option):
        Options(**{option: types})


def test_types_travel_as_names_with_their_module() -> None:
    options = Options(retries=2, backoff=0.5, retry_on=(TimeoutError, Local, "a.B"), no_retry_on=(KeyError,))
    assert json.loads(options.job("j", "m", b"").opts) == {
        "retries": 2,
        "backoff": 0.5,
        "retry_on": ["builtins.TimeoutError", f"{__name__}.Local", "a.B"],
        "no_retry_on": ["builtins.KeyError"],
    }


def test_without_retries_nothing_of_them_travels() -> None:
    assert Options(retry_on=(KeyError,), backoff=2).job("j", "m", b"").opts == ""
