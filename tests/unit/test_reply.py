"""The committed reply: a line for people, then the payload, and nothing that can surprise its reader."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pullet_broker.codec import encode
from pullet_broker.errors import DecodeError
from pullet_broker.reply import (
    TEXT_LIMIT,
    TRACEBACK_LIMIT,
    Failure,
    Reply,
    pack_failure,
    pack_reply,
    read_failure,
    read_reply,
)


@settings(deadline=None)
@given(st.sampled_from(["ok", "error"]), st.integers(1, 99), st.integers(0, 10**12), st.binary())
def test_a_reply_comes_back_as_it_was(outcome: str, attempt: int, run_us: int, payload: bytes) -> None:
    raw = pack_reply(outcome, attempt, "gpu3-chess-2", run_us, payload)
    assert read_reply(raw) == Reply(outcome, attempt, "gpu3-chess-2", run_us, payload)


def test_its_first_line_is_for_people() -> None:
    assert pack_reply("ok", 1, "w", 48210, b"\x01").split(b"\n")[0] == b"ok 1 w 48210"


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        ("ok", "done"),
        ("error", "failed"),
        ("crashed", "failed"),
        ("lost", "failed"),
        ("cancelled", "cancelled"),
        ("expired", "expired"),
    ],
)
def test_each_outcome_leaves_a_job_in_a_state(outcome: str, state: str) -> None:
    assert read_reply(f"{outcome} 1 w 0\n".encode()).state == state


def test_a_reply_of_a_script_has_no_payload() -> None:
    assert read_reply(b"expired 2 w 0\n") == Reply("expired", 2, "w", 0, b"")


@pytest.mark.parametrize(
    "raw",
    [b"", b"ok", b"ok 1 w 0", b"ok 1 w\n", b"ok one w 0\n", b"ok 1 w 0 1\n", b"ok 1  w 0\n", b"\xff 1 w 0\n"],
)
def test_other_bytes_are_not_a_reply(raw: bytes) -> None:
    with pytest.raises(DecodeError, match="not a reply"):
        read_reply(raw)


@settings(deadline=None)
@given(st.binary())
def test_no_bytes_whatever_raise_anything_else(raw: bytes) -> None:
    try:
        read_reply(raw)
        read_failure(raw)
    except DecodeError:
        pass


def failure(**changes: object) -> Failure:
    fields = {"type_name": "builtins.ValueError", "text": "no", "args": ["no", 1], "traceback": "at 1", **changes}
    return Failure(**fields)  # type: ignore[arg-type]


def test_a_failure_comes_back_as_it_was() -> None:
    assert read_failure(pack_failure(failure())) == failure()


def test_args_that_cannot_travel_are_replaced_by_the_text() -> None:
    assert read_failure(pack_failure(failure(args=[object()]))).args == ["no"]


def test_args_that_are_too_large_are_replaced_by_the_text() -> None:
    assert read_failure(pack_failure(failure(args=["x" * 10_000_000]))).args == ["no"]


def test_a_text_keeps_its_start_and_a_traceback_its_end() -> None:
    read = read_failure(pack_failure(failure(text="<" + "x" * 100_000, traceback="x" * 100_000 + ">", args=[])))
    assert (len(read.text), read.text[0]) == (TEXT_LIMIT, "<")
    assert (len(read.traceback), read.traceback[-1]) == (TRACEBACK_LIMIT, ">")


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {"text": "no"},
        {**failure().__dict__, "more": 1},
        {**failure().__dict__, "type_name": 7},
        {**failure().__dict__, "args": "no"},
    ],
)
def test_other_values_are_not_a_failure(value: object) -> None:
    with pytest.raises(DecodeError):
        read_failure(encode(value))
