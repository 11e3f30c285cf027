"""Options of a job: checked when they are given, and carried by the job."""

from __future__ import annotations

import pytest

from pullet.options import DEFAULT, Options


def test_a_job_without_options_has_none() -> None:
    job = DEFAULT.job("id", "work", b"")
    assert (job.key, job.opts, job.lane, job.delay_ms) == ("", "", "normal", 0)


@pytest.mark.parametrize("key", ["game-17", " ", "}{*", "ü" * 64, "x" * 128])
def test_a_key_travels_with_the_job_as_it_is(key: str) -> None:
    assert Options(key=key).job("id", "work", b"").key == key


@pytest.mark.parametrize("key", ["", "x" * 129, "ü" * 65, "\ud800", 17, b"game"])
def test_a_key_that_cannot_be_one_is_refused(key: object) -> None:
    with pytest.raises(ValueError, match=r"^key=.*: expected a text of 1 to 128 bytes in UTF-8$"):
        Options(key=key)  # type: ignore[arg-type]


def test_a_key_counts_in_the_size_of_a_job() -> None:
    assert Options(key="x" * 100).job("id", "work", b"").size == DEFAULT.job("id", "work", b"").size + 100
