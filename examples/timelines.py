"""What was measured in a run of work_stealing.py, and its picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

Span = tuple[int, float, float]
"""Engine, start and end of one job, in seconds of this machine's monotonic clock."""


@dataclass
class Run:
    """One way, measured. Times in seconds; `speeds` are those of the engines."""

    way: str
    speeds: tuple[float, ...]
    start: float
    end: float
    spans: list[Span]

    @property
    def makespan(self) -> float:
        return self.end - self.start

    @property
    def busy(self) -> list[float]:
        return [
            sum(end - start for engine, start, end in self.spans if engine == place)
            for place in range(len(self.speeds))
        ]

    @property
    def ideal(self) -> float:
        counts = [sum(engine == place for engine, _, _ in self.spans) for place in range(len(self.speeds))]
        rates = [count / busy for count, busy in zip(counts, self.busy, strict=True) if count]
        return len(self.spans) / sum(rates)

    @property
    def utilisation(self) -> float:
        return sum(self.busy) / (len(self.speeds) * self.makespan)

    def __str__(self) -> str:
        return (
            f"{self.way:<21} {self.makespan:5.2f} s, ideal {self.ideal:5.2f} s: "
            f"efficiency {self.ideal / self.makespan:4.2f}, utilisation {self.utilisation:4.2f}"
        )


def draw(runs: list[Run], path: Path) -> None:
    """One panel a way, one row an engine; all with the same time axis."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(len(runs), 1, sharex=True, figsize=(10, 1.2 + 1.5 * len(runs)), squeeze=False)
    for panel, run in zip(panels[:, 0], runs, strict=True):
        for place, speed in enumerate(run.speeds):
            bars = [(start - run.start, end - start) for engine, start, end in run.spans if engine == place]
            panel.broken_barh(
                bars, (place - 0.4, 0.8), linewidth=0, color="tab:green" if speed == min(run.speeds) else "tab:orange"
            )
        panel.axvline(run.makespan, color="black", linewidth=1)
        panel.set_yticks(range(len(run.speeds)), [f"{speed * 1000:.0f} ms" for speed in run.speeds])
        panel.invert_yaxis()
        panel.set_title(f"{run.way}: {run.makespan:.2f} s, engines busy {run.utilisation:.0%}", loc="left", fontsize=10)
    panels[-1, 0].set_xlabel("seconds")
    panels[-1, 0].set_xlim(left=0)
    figure.tight_layout()
    figure.savefig(path, dpi=120)
