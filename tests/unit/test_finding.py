"""Where a job is, by as many looks as it takes. No server."""

from __future__ import annotations

import pytest

from pullet_broker.moves.finding import Found, find, search
from pullet_broker.scripting import Call
from pullet_broker.settings import Queue

QUEUE = Queue(name="q")
MORE = [Found("more", lane=1, start="7-1"), Found("more", lane=2, start="9-0")]


def looks(job: str, answers: list[Found], most: int) -> tuple[Found, list[Call[Found]]]:
    """What is found, and what was asked for it."""
    asked: list[Call[Found]] = []

    def ask(call: Call[Found]) -> Found:
        asked.append(call)
        return answers[len(asked) - 1]

    return search(QUEUE, job, ask, most), asked


def test_it_goes_on_where_the_last_look_ended() -> None:
    found, asked = looks("game", [*MORE, Found("lane", consumer="w")], 10)
    assert found == Found("lane", consumer="w")
    expected = [find(QUEUE, "game", "0-0"), find(QUEUE, "game", "0-0", 1, "7-1"), find(QUEUE, "game", "0-0", 2, "9-0")]
    assert [call.args for call in asked] == [call.args for call in expected]


@pytest.mark.parametrize("most", [1, 2])
def test_it_ends_after_so_many_looks(most: int) -> None:
    found, asked = looks("game", MORE, most)
    assert found.where == "more"
    assert len(asked) == most


def test_it_begins_a_minute_before_the_job_was_made() -> None:
    _, (call,) = looks(f"{1_000_000:012x}{'0' * 20}", [Found("nowhere")], 10)
    assert call.args == find(QUEUE, f"{1_000_000:012x}{'0' * 20}", "940000-0").args
