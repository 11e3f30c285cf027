"""Where the next workers of a pool should run. Pure: from what is known of the nodes to a target for each.

Ray places a worker for whatever is not said here. A target only exists for what Ray has no word for between actors:
packing, one on each node, a place in a group.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pullet_workers.spec import PER, Scale, WorkerOptions

OURS = ("PACK", "STRICT_PACK", "STRICT_SPREAD")
"""Strategies that are planned here; all others go to Ray as they are."""


@dataclass(frozen=True)
class Node:
    """A node of the cluster that is alive."""

    id: str
    total: Mapping[str, float] = field(default_factory=dict)
    free: Mapping[str, float] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    draining: bool = False
    """It is about to leave: nothing new goes there."""

    def room(self, amounts: Mapping[str, float], *, free: bool) -> int:
        """How many workers that take `amounts` fit, of what is free or of all there is."""
        have = self.free if free else self.total
        if not amounts:
            return 1_000_000
        return min(int(have.get(name, 0) / amount + 1e-9) for name, amount in amounts.items())


@dataclass(frozen=True)
class Target:
    """What a new worker asks for beside its resources. Empty: Ray decides."""

    node: str | None = None
    soft: bool = False
    """Another node will do as well."""
    avoid: tuple[str, ...] = ()
    """Nodes that it must not run on."""
    waits: bool = False
    """There is no node for it yet. Only one worker waits like this: two that wait could meet on the node that comes."""
    bundle: int | None = None
    """Which of a list of strategies."""


def suits(node: Node, options: WorkerOptions) -> bool:
    """May a worker ever run there?"""
    selectors = [options.label_selector, *(one.get("label_selector", {}) for one in options.fallback_strategy)]
    fits = node.room(options.amounts, free=False) >= 1
    return not node.draining and fits and any(_matches(node.labels, selector) for selector in selectors)


def count_for(scale: Scale, options: WorkerOptions, nodes: Sequence[Node]) -> int:
    """How many workers a scale that follows the cluster asks for now."""
    suitable = [node for node in nodes if suits(node, options)]
    resource = PER[scale.per or "per-node"]
    if resource is None:
        return len(suitable)
    each = options.amounts.get(resource, 1)
    return sum(int(node.total.get(resource, 0) / each + 1e-9) for node in suitable)


def choose(
    options: WorkerOptions, strategy: Any, nodes: Sequence[Node], taken: Counter[str], count: int
) -> list[Target]:
    """Targets for `count` more workers; fewer where the rest has to wait until the first ones are placed.

    `taken`: how many workers of the pool run on a node, or are on their way to it.
    """
    suitable = [node for node in nodes if suits(node, options)]
    if strategy == "STRICT_SPREAD":
        return _spread(options, suitable, taken, count)
    if strategy == "STRICT_PACK":
        return _pack_strictly(options, suitable, taken, count)
    if strategy == "PACK":
        return _pack(options, suitable, taken, count)
    return [Target()] * count


def _spread(options: WorkerOptions, nodes: Sequence[Node], taken: Counter[str], count: int) -> list[Target]:
    """One for each node that has none, and one more that waits for a node to come."""
    empty = [node for node in nodes if not taken[node.id]]
    empty.sort(key=lambda node: (node.room(options.amounts, free=True) > 0, node.free.get("CPU", 0)), reverse=True)
    found = [Target(node=node.id) for node in empty[:count]]
    if len(found) < count:
        known = {node for node, workers in taken.items() if workers} | {node.id for node in empty}
        found.append(Target(avoid=tuple(sorted(known)), waits=True))
    return found


def _pack_strictly(options: WorkerOptions, nodes: Sequence[Node], taken: Counter[str], count: int) -> list[Target]:
    anchor = next((node for node in nodes if taken[node.id]), None)
    if anchor is None:
        rooms = [(node.room(options.amounts, free=True), node.room(options.amounts, free=False)) for node in nodes]
        if not nodes:
            return [Target(waits=True)]  # nothing suits yet: the first node that comes will be the one
        anchor = nodes[rooms.index(max(rooms))]
    return [Target(node=anchor.id)] * count


def _pack(options: WorkerOptions, nodes: Sequence[Node], taken: Counter[str], count: int) -> list[Target]:
    room = {node.id: node.room(options.amounts, free=True) for node in nodes}
    here = Counter(taken)
    found = []
    for _ in range(count):
        best = max(room, key=lambda node: (room[node] > 0, here[node], room[node]), default=None)
        if best is None or room[best] <= 0:
            found.append(Target())
            continue
        room[best] -= 1
        here[best] += 1
        found.append(Target(node=best, soft=True))
    return found


def _matches(labels: Mapping[str, str], selector: Mapping[str, str]) -> bool:
    return all(_says(labels.get(name), wanted) for name, wanted in selector.items())


def _says(value: str | None, wanted: str) -> bool:
    """One condition of a label selector, in Ray's notation."""
    found = re.fullmatch(r"(!?)(?:in\((.*)\)|(.*))", wanted, re.DOTALL)
    assert found is not None  # the expression takes any text
    negated, listed, single = found.groups()
    values = [one.strip() for one in listed.split(",")] if listed is not None else [single]
    return (value in values) != bool(negated)
