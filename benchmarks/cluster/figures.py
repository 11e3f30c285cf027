"""What a measurement found, beside what was asked for."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    what: str
    found: str
    target: str
    holds: bool


def at_most(what: str, value: float, most: float, unit: str) -> Figure:
    return Figure(what, f"{value:.3g} {unit}", f"<= {most:.3g} {unit}", value <= most)


def at_least(what: str, value: float, least: float, unit: str = "") -> Figure:
    return Figure(what, f"{value:.3g} {unit}".strip(), f">= {least:.3g} {unit}".strip(), value >= least)


def exactly(what: str, value: object, wanted: object) -> Figure:
    return Figure(what, str(value), str(wanted), value == wanted)


def spread(what: str, seconds: Sequence[float], median: float, worst: float) -> list[Figure]:
    """Median and worst of some times, in milliseconds."""
    return [
        at_most(f"{what}: median of {len(seconds)}", statistics.median(seconds) * 1000, median * 1000, "ms"),
        at_most(f"{what}: longest", max(seconds) * 1000, worst * 1000, "ms"),
    ]


def table(figures: Sequence[Figure]) -> str:
    """As Markdown."""
    rows = [f"| {one.what} | {one.found} | {one.target} | {'yes' if one.holds else 'NO'} |" for one in figures]
    return "\n".join(["| | measured | asked for | holds |", "|---|---|---|---|", *rows])
