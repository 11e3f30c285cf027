"""The view without a terminal: plain lines, one a second."""

from __future__ import annotations

from collections.abc import Sequence

from typing_extensions import Self

from pullet_console.demo.summary import WORK_HEAD, facts, work_cells
from pullet_console.demo.verdict import Verdict
from pullet_console.demo.watch import Picture, Row

EVERY_S = 1.0


class PlainView:
    """Prints to stdout, each line at once."""

    def __init__(self) -> None:
        self._next_s = 0.0
        self._told = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        return

    def say(self, text: str, lines: Sequence[str] = ()) -> None:
        for line in (text, *("  " + line for line in lines)):
            print(line, flush=True)

    def show(self, picture: Picture) -> None:
        for text in picture.news[self._told :]:
            self.say(text)
        self._told = len(picture.news)
        if picture.elapsed_s >= self._next_s:
            self._next_s = picture.elapsed_s + EVERY_S
            self.say(line(picture))

    def conclude(self, verdict: Verdict, lines: Sequence[str]) -> None:
        self.say("")
        for label, text in facts(verdict):
            self.say(f"{label:<10} {text}")
        self.say("")
        for cells in (WORK_HEAD, *(work_cells(work, verdict) for work in verdict.work)):
            self.say("  ".join(cell.ljust(14) if place < 2 else cell.rjust(9) for place, cell in enumerate(cells)))
        self.say("")
        self.say(lines[0], lines[1:])
        for text in verdict.doubts:
            self.say(f"warning: {text}")
        for text in verdict.failures:
            self.say(f"failed: {text}")


def line(picture: Picture) -> str:
    """The picture in one line."""
    workers = "  ".join(_cell(row) for row in picture.rows)
    return f"{picture.elapsed_s:5.1f} s  {picture.done}/{picture.jobs}  backlog {picture.backlog}  {workers}"


def _cell(row: Row) -> str:
    busy = f" {row.busy:.0%}" if row.state in ("busy", "idle") else ""
    return f"{row.name.rpartition('-')[2]} {row.state}{busy} {row.jobs}"
