"""Who starts, who leaves, and when one that is to be replaced may go."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pullet_workers.member import PATIENCE_S, Member, is_stuck, nodes_taken, replaced, surplus
from pullet_workers.placement import Target
from tests.support.fleet import FakeWorker

NOW = 1000.0


def member(name: str, state: str = "ready", **more: Any) -> Member:
    return Member(FakeWorker(name), state=state, **more)


def old(name: str, state: str = "ready", **more: Any) -> Member:
    return member(name, state, retiring="worn out", **more)


def names(members: list[Member]) -> list[str]:
    return [member.name for member in members]


def leaving(members: list[Member], wanted: int, freed: float = 0.0) -> list[str]:
    """Who may leave now of those to be replaced."""
    return names(replaced(members, wanted, NOW, stuck=is_stuck(members, NOW, freed)))


# -- too many


def test_first_goes_who_has_not_started_then_who_has_nothing_to_do_then_the_newest() -> None:
    crowd = [
        member("busy", jobs=2, asked=9),
        member("idle-old", asked=1),
        member("idle-new", asked=5),
        member("starting", "starting", asked=3),
        member("pending", "pending", asked=2),
        member("left", "leaving"),
        old("worn"),
    ]
    order = ["pending", "starting", "idle-new", "idle-old", "busy"]
    for wanted in range(6):
        assert names(surplus(crowd, wanted)) == order[: 5 - wanted]


def test_nobody_leaves_when_there_are_too_few() -> None:
    assert surplus([member("a")], 3) == []


# -- to be replaced


@pytest.mark.parametrize(
    ("successor", "leaves"),
    [
        ([], []),
        ([member("new", "pending", asked=NOW)], []),
        ([member("new", "starting", asked=0)], []),
        ([member("new")], ["a"]),
    ],
    ids=["none", "pending", "starting", "ready"],
)
def test_the_old_one_leaves_when_its_successor_is_warm(successor: list[Member], leaves: list[str]) -> None:
    assert leaving([old("a"), member("b"), *successor], 2) == leaves


def test_as_many_leave_as_are_warm() -> None:
    crowd = [old("a"), old("b"), old("c")]
    for warm in range(4):
        assert leaving([*crowd, *(member(str(n)) for n in range(warm))], 3) == ["a", "b", "c"][:warm]


def test_nobody_waits_for_a_successor_that_is_not_wanted() -> None:
    assert leaving([old("a"), member("b")], 1) == ["a"]
    assert leaving([old("a")], 0) == ["a"]


@pytest.mark.parametrize(("waited", "leaves"), [(PATIENCE_S - 0.1, []), (PATIENCE_S + 0.1, ["a"])])
def test_where_the_successor_finds_no_room_the_old_one_leaves_first(waited: float, leaves: list[str]) -> None:
    assert leaving([old("a"), old("b"), member("new", "pending", asked=NOW - waited)], 2) == leaves


def test_of_those_whose_successors_find_no_room_one_leaves_at_a_time() -> None:
    pending = [member("1", "pending"), member("2", "pending")]
    assert leaving([old("a", "leaving"), old("b"), *pending], 2) == []
    assert leaving([old("b"), *pending], 2, freed=NOW - 0.1) == [], "room was just made: somebody will take it"
    assert leaving([old("b"), *pending], 2, freed=NOW - PATIENCE_S - 0.1) == ["b"]


def test_a_successor_that_cannot_be_built_keeps_the_old_one() -> None:
    """It is gone, or starting once more: it did find room."""
    assert leaving([old("a"), member("new", "starting")], 1) == []
    assert leaving([old("a")], 1) == []


def test_one_that_waits_and_is_itself_to_be_replaced_is_no_successor() -> None:
    assert leaving([old("a"), old("b", "pending")], 2) == []


def test_a_node_that_leaves_is_emptied_warm_successors_or_not() -> None:
    crowd = [old("a"), old("b", leave_by=NOW + 1), old("c", leave_by=NOW), old("d", leave_by=NOW - 5)]
    assert leaving(crowd, 4) == ["c", "d"]
    assert leaving([*crowd, member("new")], 4) == ["c", "d"], "the warm one replaces one of these"
    assert leaving([old("a"), old("b", leave_by=NOW + 1), member("new")], 2) == ["a"]


# -- where they are


def test_nodes_taken_counts_who_is_there_leaves_or_was_sent() -> None:
    crowd = [
        member("a", node="n1"),
        member("b", "leaving", node="n1"),
        member("c", "pending", target=Target(node="n2")),
        member("d", "pending", target=Target(node="n3", soft=True)),
        member("e", "starting", node="n4", target=Target(node="n3", soft=True)),
        member("f", "pending"),
    ]
    assert nodes_taken(crowd) == {"n1": 2, "n2": 1, "n4": 1}


def test_a_record_has_what_is_known_and_what_the_worker_says() -> None:
    one = old("w", node="n", pid=7)
    said = {"state": "busy", "done": 3}
    record = one.record(said)
    assert record.items() >= {**said, "name": "w", "pid": 7, "node": "n", "retiring": "worn out"}.items()
    assert "retiring" not in member("w").record({})


def test_a_record_has_the_same_fields_whoever_answers() -> None:
    new, mute = member("w", "starting").record({}), member("w").record({"state": "silent", "error": "no"})
    assert (new["state"], new["done"], new["busy_s"], new["job"]) == ("starting", 0, 0.0, None)
    assert (mute["state"], mute["done"], mute["busy_s"], mute["job"]) == ("silent", None, None, None)
    assert mute.keys() - {"error"} == new.keys()


members = st.builds(
    lambda state, retiring, jobs, asked, leave_by: member(
        "m", state, retiring=retiring, jobs=jobs, asked=asked, leave_by=leave_by
    ),
    st.sampled_from(["pending", "starting", "ready", "leaving"]),
    st.sampled_from([None, None, "worn out"]),
    st.integers(0, 2),
    st.floats(NOW - 2 * PATIENCE_S, NOW),
    st.none() | st.floats(NOW - 1, NOW + 10),
)


@given(st.lists(members, max_size=12), st.integers(0, 8))
def test_whoever_there_is(crowd: list[Member], wanted: int) -> None:
    staying = [one for one in crowd if one.stays]
    gone = surplus(crowd, wanted)
    assert len(staying) - len(gone) == min(len(staying), wanted)
    assert set(map(id, gone)) <= set(map(id, staying))

    out = replaced(crowd, wanted, NOW, stuck=False)
    assert all(one.retiring and one.state != "leaving" for one in out)
    ready = sum(one.state == "ready" for one in staying)
    due = sum(bool(one.retiring) and one.state != "leaving" and (one.leave_by or NOW + 1) <= NOW for one in crowd)
    retiring = sum(bool(one.retiring) and one.state != "leaving" for one in crowd)
    assert ready + retiring - len(out) >= min(wanted, ready + retiring) or len(out) == due
