"""A job on its two sides of the wire."""

from __future__ import annotations

import os
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pullet_broker.job import Entry, Job, lane_of, new_client_id, new_job_id, read_entry, read_handed_out

SHORT = [b"id", b"job", b"method", b"work", b"args", b"\x90", b"client", b"c", b"opts", b"{}"]


def test_job_ids_are_distinct_and_sort_by_time() -> None:
    ids = [new_job_id() for _ in range(1000)]
    assert len(set(ids)) == 1000
    assert all(re.fullmatch("[0-9a-f]{32}", one) for one in ids)
    assert [one[:12] for one in ids] == sorted(one[:12] for one in ids)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_job_ids_are_distinct_in_a_forked_child_too() -> None:
    new_job_id()  # some more random digits are here now
    there, back = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(back, "".join(new_job_id() for _ in range(50)).encode())
        os._exit(0)
    os.waitpid(child, 0)
    theirs = os.read(there, 10_000).decode()
    os.close(there)
    os.close(back)
    digits = {theirs[at + 12 : at + 32] for at in range(0, len(theirs), 32)}
    assert len(digits) == 50
    assert not digits & {new_job_id()[12:] for _ in range(200)}


def test_client_ids_are_what_the_scripts_take_for_a_client() -> None:
    ids = {new_client_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(re.fullmatch("[0-9a-f]{32}", one) for one in ids)


@pytest.mark.parametrize(
    ("priority", "lane"), [(-100, "low"), (-1, "low"), (0, "normal"), (1, "high"), (7, "high"), (True, "high")]
)
def test_the_lane_of_a_priority(priority: int, lane: str) -> None:
    assert lane_of(priority) == lane


def test_the_size_of_a_job_counts_its_arguments() -> None:
    small, large = Job("a", "work", b""), Job("a", "work", b"x" * 1000)
    assert large.size - small.size == 1000
    assert small.size > len("work")


def test_a_plain_entry_has_defaults() -> None:
    assert read_entry((4, b"1-0", SHORT)) == Entry(4, "1-0", "job", "work", b"\x90", "c", "{}")


def test_a_longer_entry_tells_its_history() -> None:
    more = [b"attempt", b"3", b"raised", b"1", b"ttl", b"5000", b"blob", b"1", b"lane", b"high", b"new", b"?"]
    entry = read_entry((2, b"1-0", SHORT + more))
    assert (entry.attempt, entry.raised, entry.ttl_ms, entry.large, entry.problem) == (3, 1, 5000, True, "")


def test_fields_in_another_order_are_the_same_entry() -> None:
    pairs = list(zip(SHORT[::2], SHORT[1::2], strict=True))
    turned = [part for pair in reversed(pairs) for part in pair]
    assert read_entry((4, b"1-0", turned)) == read_entry((4, b"1-0", SHORT))


def test_of_plain_entries_only_the_values_are_handed_out() -> None:
    long = [*SHORT, b"attempt", b"2"]
    handed_out = [4, b"1-0", *SHORT[1::2], 1, b"2-0", long, 3, b"3-0", *SHORT[1::2]]
    assert read_handed_out(handed_out) == [
        read_entry((4, b"1-0", SHORT)),
        read_entry((1, b"2-0", long)),
        read_entry((3, b"3-0", SHORT)),
    ]
    assert read_handed_out([]) == []


@settings(deadline=None)
@given(st.lists(st.binary(max_size=8), min_size=5, max_size=5))
def test_values_that_are_no_text_are_the_problem_of_their_entry(values: list[bytes]) -> None:
    fields = [part for pair in zip(SHORT[::2], values, strict=True) for part in pair]
    assert read_handed_out([4, b"1-0", *values]) == [read_entry((4, b"1-0", fields))]


@pytest.mark.parametrize("value", [b"often", b"-5", b"1.5", b"", b" 7", b"9" * 16])
def test_a_senseless_number_counts_as_not_given_as_it_does_in_scripts(value: bytes) -> None:
    entry = read_entry((4, b"1-0", [*SHORT, b"attempt", value, b"raised", value, b"ttl", value]))
    assert (entry.attempt, entry.raised, entry.ttl_ms, entry.problem) == (1, 0, 0, "")


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        (SHORT[:2], "no field method, args, client, opts"),
        ([*SHORT[:3], b"\xff", *SHORT[4:]], "decode"),
        ([b"id", b"job", b"odd"], "shorter"),
    ],
)
def test_a_bad_entry_tells_its_problem_and_keeps_its_name(fields: list[bytes], word: str) -> None:
    entry = read_entry((4, b"1-0", fields))
    assert (entry.lane, entry.id, entry.job) == (4, "1-0", "job")
    assert word in entry.problem


@settings(deadline=None)
@given(st.lists(st.binary(max_size=8) | st.sampled_from([*SHORT[::2], b"attempt", b"ttl", b"1"]), max_size=16))
def test_no_entry_whatever_stops_its_reader(fields: list[bytes]) -> None:
    entry = read_entry((4, b"1-0", fields))
    assert (entry.lane, entry.id) == (4, "1-0")


@settings(deadline=None)
@given(st.lists(st.binary(max_size=8), min_size=5, max_size=5))
def test_no_value_whatever_stops_its_reader(values: list[bytes]) -> None:
    fields = [part for pair in zip(SHORT[::2], values, strict=True) for part in pair]
    assert read_entry((4, b"1-0", fields)).args in (values[2], b"")
