"""Where the next workers go, from what is known of the nodes."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pullet_workers.placement import Node, Target, choose, count_for, suits
from pullet_workers.spec import Scale, WorkerOptions


def node(name: str, cpus: float = 4, *, free: float | None = None, draining: bool = False, **more: Any) -> Node:
    """A node with so many CPUs; `gpus`, `free_gpus`, and labels as text."""
    gpus = more.pop("gpus", 0)
    total, left = (
        {"CPU": cpus, "GPU": gpus},
        {"CPU": cpus if free is None else free, "GPU": more.pop("free_gpus", gpus)},
    )
    return Node(name, total=total, free=left, labels=more, draining=draining)


def where(targets: list[Target]) -> list[str | None]:
    return [target.node for target in targets]


# -- which nodes


@pytest.mark.parametrize(
    ("wanted", "matches"),
    [
        ("a", {"a"}),
        ("!a", {"b", "a b", None}),
        ("in(a)", {"a"}),
        ("in(a,b)", {"a", "b"}),
        ("in( a , b )", {"a", "b"}),
        ("!in(a,b)", {"a b", None}),
        ("in()", set()),
        ("", set()),
        ("!", {"a", "b", "a b", None}),
        ("a\nb", set()),
    ],
)
def test_labels_in_rays_notation(wanted: str, matches: set[str | None]) -> None:
    options = WorkerOptions(label_selector={"zone": wanted})
    nodes = {value: node("n", **({} if value is None else {"zone": value})) for value in ("a", "b", "a b", None)}
    assert {value for value, one in nodes.items() if suits(one, options)} == matches


def test_all_conditions_of_a_selector_hold_or_all_of_a_fallback() -> None:
    fallback = [{"label_selector": {"zone": "c"}}, {"label_selector": {"kind": "big"}}]
    options = WorkerOptions(label_selector={"zone": "a", "kind": "small"}, fallback_strategy=fallback)
    assert suits(node("n", zone="a", kind="small"), options)
    assert not suits(node("n", zone="a"), options)
    assert suits(node("n", zone="c"), options)
    assert suits(node("n", zone="a", kind="big"), options)


@pytest.mark.parametrize(
    ("options", "there", "suitable"),
    [
        ({"num_cpus": 4}, node("n"), True),
        ({"num_cpus": 4}, node("n", free=0), True),
        ({"num_cpus": 5}, node("n"), False),
        ({"num_cpus": 0}, node("n", cpus=0), True),
        ({"resources": {"disk": 1}}, node("n"), False),
        ({"num_gpus": 0.1}, node("n"), False),
        ({}, node("n", draining=True), False),
    ],
)
def test_a_node_suits_that_could_ever_hold_a_worker(options: dict[str, Any], there: Node, suitable: bool) -> None:
    assert suits(there, WorkerOptions(**options)) is suitable


@pytest.mark.parametrize(
    ("workers", "options", "count"),
    [
        ("per-node", {}, 3),
        ("per-node", {"num_cpus": 3}, 2),
        ("per-node", {"label_selector": {"zone": "a"}}, 1),
        ("per-cpu", {}, 4 + 4 + 2),
        ("per-cpu", {"num_cpus": 2}, 2 + 2 + 1),
        ("per-cpu", {"num_cpus": 3}, 2),
        ("per-cpu", {"num_cpus": 0}, 10),
        ("per-cpu", {"num_cpus": 0.1}, 100),
        ("per-gpu", {"num_gpus": 1}, 3),
        ("per-gpu", {"num_gpus": 0.25}, 12),
        ("per-gpu", {"num_gpus": 2}, 1),
        ("per-gpu", {"num_cpus": 100}, 0),
    ],
)
def test_as_many_as_the_cluster_has(workers: str, options: dict[str, Any], count: int) -> None:
    nodes = [node("a", zone="a"), node("b", gpus=3), node("c", cpus=2), node("d", cpus=64, gpus=8, draining=True)]
    assert count_for(Scale.of(workers), WorkerOptions(**options), nodes) == count
    assert count_for(Scale.of(workers), WorkerOptions(**options), []) == 0


# -- which of them


@pytest.mark.parametrize("strategy", ["DEFAULT", "SPREAD", object()])
def test_ray_decides_what_is_not_planned_here(strategy: Any) -> None:
    assert choose(WorkerOptions(), strategy, [node("a")], Counter(), 3) == [Target()] * 3


@pytest.mark.parametrize("strategy", ["PACK", "STRICT_PACK", "STRICT_SPREAD"])
def test_nothing_goes_to_a_node_that_is_about_to_leave(strategy: str) -> None:
    nodes = [node("a", cpus=64, draining=True), node("b", cpus=2)]
    assert "a" not in where(choose(WorkerOptions(), strategy, nodes, Counter(a=1), 2))


def test_strict_spread_takes_the_nodes_without_a_worker_and_one_more_waits() -> None:
    nodes = [node("a"), node("b", free=1), node("c", free=3)]
    found = choose(WorkerOptions(), "STRICT_SPREAD", nodes, Counter(a=1), 4)
    assert where(found) == ["c", "b", None]
    assert found[2] == Target(avoid=("a", "b", "c"), waits=True)


def test_strict_spread_prefers_the_node_that_has_room() -> None:
    nodes = [node("busy", cpus=64, gpus=1, free_gpus=0), node("free", gpus=1)]
    assert where(choose(WorkerOptions(num_gpus=1), "STRICT_SPREAD", nodes, Counter(), 1)) == ["free"]


def test_strict_spread_also_avoids_nodes_that_would_not_suit_a_new_worker() -> None:
    """Its worker is there, whatever became of the node."""
    (found,) = choose(WorkerOptions(), "STRICT_SPREAD", [node("a", draining=True)], Counter(a=1, gone=1), 1)
    assert found == Target(avoid=("a", "gone"), waits=True)


def test_strict_pack_stays_where_the_first_is() -> None:
    nodes = [node("a", cpus=64), node("b")]
    assert where(choose(WorkerOptions(), "STRICT_PACK", nodes, Counter(b=1), 2)) == ["b", "b"]


def test_strict_pack_begins_where_most_workers_have_room() -> None:
    nodes = [node("a", cpus=64, free=1), node("b", free=3), node("c", free=3, cpus=8)]
    assert where(choose(WorkerOptions(), "STRICT_PACK", nodes, Counter(), 2)) == ["c", "c"]


def test_strict_pack_waits_with_one_worker_while_no_node_suits() -> None:
    options = WorkerOptions(label_selector={"zone": "z"})
    assert choose(options, "STRICT_PACK", [node("a")], Counter(), 5) == [Target(waits=True)]


def test_pack_fills_a_node_before_the_next() -> None:
    nodes = [node("a", free=2), node("b", free=3), node("c", free=0)]
    assert where(choose(WorkerOptions(), "PACK", nodes, Counter(), 7)) == ["b", "b", "b", "a", "a", None, None]
    assert where(choose(WorkerOptions(), "PACK", nodes, Counter(a=1), 3)) == ["a", "a", "b"]
    assert where(choose(WorkerOptions(), "PACK", nodes, Counter(c=5), 1)) == ["b"], "c is full"


def test_pack_is_a_wish_and_the_rest_goes_anywhere() -> None:
    found = choose(WorkerOptions(num_cpus=3), "PACK", [node("a")], Counter(), 2)
    assert found == [Target(node="a", soft=True), Target()]


amounts = st.integers(0, 8)
nodes_of_any_kind = st.lists(
    st.builds(
        lambda cpus, used, zone, draining: node("", cpus, free=max(0, cpus - used), draining=draining, zone=zone),
        *(amounts, amounts, st.sampled_from("ab"), st.booleans()),
    ),
    max_size=5,
).map(lambda found: [Node(f"n{i}", one.total, one.free, one.labels, one.draining) for i, one in enumerate(found)])


@given(
    nodes_of_any_kind,
    st.dictionaries(st.sampled_from(["n0", "n1", "n2", "gone"]), st.integers(0, 3)),
    st.integers(0, 6),
    st.sampled_from(["PACK", "STRICT_PACK", "STRICT_SPREAD"]),
    st.builds(WorkerOptions, num_cpus=st.integers(0, 3), label_selector=st.sampled_from([{}, {"zone": "a"}])),
)
def test_whatever_the_nodes_are(
    nodes: list[Node], taken: dict[str, int], count: int, strategy: str, options: WorkerOptions
) -> None:
    found = choose(options, strategy, nodes, Counter(taken), count)
    suitable = {one.id: one for one in nodes if suits(one, options)}
    sent = [target.node for target in found if target.node is not None]

    assert len(found) <= max(count, 1)
    assert set(sent) <= set(suitable)
    assert sum(target.waits for target in found) <= 1
    if strategy == "STRICT_SPREAD":
        assert all(Counter(sent)[one] == 1 and not taken.get(one) for one in sent)
        if any(target.waits for target in found):
            assert len(sent) == sum(not taken.get(one) for one in suitable), "it waits only when no node is empty"
            assert {one for one, workers in taken.items() if workers} | set(suitable) <= set(found[-1].avoid)
    if strategy == "STRICT_PACK":
        assert len(set(sent)) <= 1
        assert len(found) == count or not suitable
    if strategy == "PACK":
        assert len(found) == count
        assert all(sent.count(one) <= suitable[one].room(options.amounts, free=True) for one in sent)
        assert all(target.soft for target in found if target.node)
