"""The live view on a terminal. `plain` is what takes its place elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text
from typing_extensions import Self

from pullet_console.demo.summary import WORK_HEAD, facts, work_cells
from pullet_console.demo.verdict import Verdict
from pullet_console.demo.watch import Picture, Row

COLOURS = {"busy": "green", "idle": "cyan", "starting": "yellow", "killed": "bold red"}


class TerminalView:
    """Redraws the picture in place; what is said goes above it and stays."""

    def __init__(self) -> None:
        self._console = Console(highlight=False)
        self._live = Live(console=self._console, auto_refresh=False, transient=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._live.stop()

    def say(self, text: str, lines: Sequence[str] = ()) -> None:
        self._console.print(f"[bold]{escape(text)}[/]")
        for line in lines:
            self._console.print("  " + line, markup=False, soft_wrap=True)

    def show(self, picture: Picture) -> None:
        self._live.start()
        self._live.update(draw(picture), refresh=True)

    def conclude(self, verdict: Verdict, lines: Sequence[str]) -> None:
        self._live.stop()
        grid = Table.grid(padding=(0, 2))
        for label, text in facts(verdict):
            grid.add_row(Text(label, "bold"), text)
        self._console.print("", grid, "", work_table(verdict), "", sep="\n")
        self.say(lines[0], lines[1:])
        for text in verdict.doubts:
            self._console.print(f"[yellow]{escape(text)}[/]")
        for text in verdict.failures:
            self._console.print(f"[bold red]{escape(text)}[/]")


def draw(picture: Picture) -> Group:
    """The picture as rich draws it."""
    callers = "   ".join(f"{name} {done}/{share}" for name, done, share in picture.callers)
    news = (Text(text, "red") for text in picture.news)
    return Group("", head(picture), "", worker_table(picture.rows), "", Text(callers), *news)


def head(picture: Picture) -> Table:
    grid = Table.grid(padding=(0, 1), expand=True)
    for ratio in (1, None, None, None):
        grid.add_column(ratio=ratio, no_wrap=True)
    bar = ProgressBar(total=picture.jobs, completed=picture.done)
    counts = f"{picture.done:,} of {picture.jobs:,}"
    grid.add_row(bar, Text(counts, "bold"), f"backlog {picture.backlog:,}", f"{picture.elapsed_s:.0f} s")
    return grid


def worker_table(rows: Sequence[Row]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", expand=True)
    table.add_column("worker")
    table.add_column("pid", justify="right")
    table.add_column("speed")
    table.add_column("state", width=8)
    table.add_column("jobs", justify="right")
    table.add_column("busy", justify="right")
    table.add_column("current job", ratio=1, no_wrap=True)
    for row in rows:
        state = Text(row.state, COLOURS.get(row.state, ""))
        alive = row.state in ("busy", "idle")
        job = f"{row.job[-8:]} for {row.job_s * 1000:.0f} ms" if row.job else ""
        busy = f"{row.busy:.0%}" if alive else ""
        table.add_row(row.name, str(row.pid or ""), row.speed, state, f"{row.jobs:,}", busy, job)
    return table


def work_table(verdict: Verdict) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for number, title in enumerate(WORK_HEAD):
        table.add_column(title, justify="left" if number < 2 else "right")
    for work in verdict.work:
        table.add_row(*work_cells(work, verdict), style="red" if work.is_dead else "")
    return table
