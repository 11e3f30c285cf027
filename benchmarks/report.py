"""What was found, as data, as Markdown and as one picture a workload."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks.run import Workload


@dataclass
class Result:
    """One workload of one run."""

    workload: str
    what: str
    main: str
    command: str
    machine: str
    rounds: int
    settings: dict[str, str]
    """System -> its version and how it is used."""
    figures: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    """System -> figure -> one value a round."""
    ratios: dict[str, list[float]] = field(default_factory=dict)
    failures: dict[str, list[str]] = field(default_factory=dict)
    """System -> what went wrong, once for each round."""

    def add_ratios(self, workload: Workload) -> None:
        for figure, one, other in workload.ratios:
            a, b = (self.figures.get(name, {}).get(figure, []) for name in (one, other))
            if a and len(a) == len(b):
                self.ratios[f"{one} / {other}, {figure}"] = [x / y for x, y in zip(a, b, strict=True)]

    def write(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{self.workload}.json").write_text(json.dumps(asdict(self), indent=1) + "\n")
        (folder / f"{self.workload}.md").write_text(self.markdown())
        draw(self, folder / f"{self.workload}.png")

    def markdown(self) -> str:
        names = [name for found in self.figures.values() for name in found]
        columns = list(dict.fromkeys(names))
        lines = [f"## {self.workload}", "", f"{self.what}. Median (range) of {self.rounds} rounds.", ""]
        if len(columns) > len(self.figures) and len(self.figures) < 3:
            lines += _table(
                ["", *self.figures], [[c, *(_cell(f.get(c)) for f in self.figures.values())] for c in columns]
            )
        else:
            rows = [[name, *(_cell(found.get(c)) for c in columns)] for name, found in self.figures.items()]
            lines += _table(["", *columns], rows)
        lines += ["", *(f"- **{name}: {_cell(values)}**" for name, values in self.ratios.items())]
        lines += [f"- {name}: FAILED in {len(why)} rounds: {why[-1]}" for name, why in self.failures.items()]
        lines += ["", *(f"- {name}: {text}" for name, text in self.settings.items())]
        return "\n".join([*lines, "", f"`{self.command}`, {self.machine}", ""])


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return ["| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows)]


def _cell(values: Sequence[float] | None) -> str:
    if not values:
        return "-"
    low, high = min(values), max(values)
    median = shown(statistics.median(values))
    return median if len(values) == 1 else f"{median} ({shown(low)} - {shown(high)})"


def shown(value: float) -> str:
    """Three digits are all that such figures are worth."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def draw(result: Result, path: Path) -> None:
    """The main figure of each system: a bar for the median, a line for the range."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    found = {name: one[result.main] for name, one in result.figures.items() if one.get(result.main)}
    if len(found) < 2:  # one system: all its figures
        found = {figure: values for one in result.figures.values() for figure, values in one.items()}
    medians = [statistics.median(values) for values in found.values()]
    ranges = [
        [median - min(values) for median, values in zip(medians, found.values(), strict=True)],
        [max(values) - median for median, values in zip(medians, found.values(), strict=True)],
    ]
    figure, axes = pyplot.subplots(figsize=(8, 1.2 + 0.35 * max(1, len(found))))
    colors = ["#1f6f8b" if name == "pullet" else "#b9bdc1" for name in found]
    axes.barh(list(found), medians, xerr=ranges, color=colors, ecolor="#444444")
    axes.set_xscale("log" if medians and min(medians) > 0 and max(medians) > 20 * min(medians) else "linear")
    for place, median in enumerate(medians):
        axes.annotate(f" {shown(median)}", (median, place), va="center", fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel(result.main if len(found) > 1 else "")
    axes.set_title(result.what, fontsize=9, wrap=True)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110, bbox_inches="tight")
    pyplot.close(figure)
