"""What lies in an inbox is told by its name; and how far a job is, by a line of text."""

from __future__ import annotations

import pytest

from pullet_broker.mail import read_name
from pullet_broker.progress import Progress, pack_progress, read_progress


@pytest.mark.parametrize(
    ("name", "read"),
    [
        (b"job:17", (b"job", 17)),
        (b"job:progress", (b"job", b"progress")),
        (b":open", (b"", b"open")),
        (b"job:", (b"job", b"")),
        (b"job:-1", (b"job", b"-1")),
        (b"job:" + b"1" * 16, (b"job", b"1" * 16)),
    ],
)
def test_a_name_with_a_colon_is_no_reply(name: bytes, read: tuple[bytes, int | bytes]) -> None:
    assert read_name(name) == read


@pytest.mark.parametrize(
    ("said", "text"),
    [
        (Progress(0.4, "page 3 of 8", 2), "2 7 0.4 page 3 of 8"),
        (Progress(1.0), "1 7 1 "),
        (Progress(1 / 3, "  two\nlines \ud800 "), "1 7 0.333333 two lines \\ud800"),
        (Progress(0.0, "x" * 500), "1 7 0 " + "x" * 200),
    ],
)
def test_progress_is_a_line_of_text(said: Progress, text: str) -> None:
    assert pack_progress(said, 7) == text
    read, number = read_progress(text.encode()) or (None, 0)
    assert read is not None
    assert (read.attempt, number) == (said.attempt, 7)
    assert read.fraction == pytest.approx(said.fraction, abs=1e-6)
    assert str(Progress(0.456, "halfway")) == "46% halfway"
    assert str(Progress(0.5)) == "50%"


@pytest.mark.parametrize("raw", [b"", b"1", b"1 2 3", b"1 2 x text", b"1 2 nan text", b"1 2 1.5 text", b"1 2 -1 text"])
def test_what_is_no_progress_is_none(raw: bytes) -> None:
    assert read_progress(raw) is None


def test_hostile_words_and_bytes_are_read_as_far_as_they_go() -> None:
    assert read_progress(b"x y 0.5 \xff") == (Progress(0.5, "\ufffd"), 0)
