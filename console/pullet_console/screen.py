"""What people see: tables that fit the terminal, ages and sizes in short, JSON for programs.

Every text that is printed here goes through `inert`. Colours are rich's business: none without a terminal or with
NO_COLOR.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from pullet_console.inert import inert

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

WIDE = 200
"""Columns where nobody looks: what is read by a program is not to be cut."""
GAP = 2


@dataclass(frozen=True)
class Column:
    """One column of a table. Those of the highest `rank` go first where the terminal is narrow; 0 stays."""

    title: str
    rank: int = 0
    right: bool = False
    most: int = 60
    """Characters of one cell."""


@dataclass(frozen=True)
class Styled:
    """A cell in a colour."""

    text: str
    style: str


Cell = str | Styled


def console() -> Console:
    """Of this terminal, or of whatever stdout is."""
    from rich.console import Console

    width = None if sys.stdout.isatty() or os.environ.get("COLUMNS") else WIDE
    return Console(file=sys.stdout, width=width, highlight=False, markup=False, emoji=False)


def table(columns: Sequence[Column], rows: Sequence[Sequence[Cell]], width: int) -> Table:
    """As many of the columns as fit into the width."""
    from rich.cells import cell_len
    from rich.table import Table
    from rich.text import Text

    texts = [[_text(cell, column.most) for cell, column in zip(row, columns, strict=True)] for row in rows]
    widths = [
        max([cell_len(column.title), *(cell_len(row[i][0]) for row in texts)]) for i, column in enumerate(columns)
    ]
    kept = _fitting([column.rank for column in columns], widths, width)
    made = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="dim", collapse_padding=True)
    for i in kept:
        column = columns[i]
        made.add_column(column.title, justify="right" if column.right else "left", no_wrap=True, overflow="ellipsis")
    for row in texts:
        made.add_row(*(Text(row[i][0], style=row[i][1]) for i in kept))
    return made


def _text(cell: Cell, most: int) -> tuple[str, str]:
    return (inert(cell.text, most), cell.style) if isinstance(cell, Styled) else (inert(cell, most), "")


def _fitting(ranks: Sequence[int], widths: Sequence[int], width: int) -> list[int]:
    """The places of the columns that are kept: the highest ranks go until the others fit."""
    kept = list(range(len(ranks)))
    while sum(widths[i] + GAP for i in kept) - GAP > width and any(ranks[i] for i in kept):
        worst = max(kept, key=lambda i: (ranks[i], i))
        kept.remove(worst)
    return kept


def show(columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> None:
    """Print a table."""
    screen = console()
    screen.print(table(columns, rows, screen.width))


def facts(pairs: Sequence[tuple[str, str]]) -> None:
    """Names and values, a line each; values of several lines are set in below their name."""
    wide = max((len(name) for name, _ in pairs), default=0)
    for name, value in pairs:
        text = inert(value, 100_000, lines=True)
        if "\n" in text:
            click.echo(f"{name}\n" + "\n".join(f"    {line}" for line in text.rstrip("\n").split("\n")))
        else:
            click.echo(f"{name:<{wide}}  {text}")


def say(text: str) -> None:
    """A line for people."""
    click.echo(inert(text, 2_000))


def note(text: str) -> None:
    """A line beside the answer: on stderr, so that it is in nobody's way."""
    click.echo(inert(text, 2_000), err=True)


def write_json(value: Any, *, line: bool = False) -> None:
    """For programs: all of ASCII, so that nothing in it is obeyed by a terminal either."""
    click.echo(json.dumps(value, default=_plain, indent=None if line else 2))


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    return repr(value)


def count(number: int, what: str) -> str:
    """1 job, 2 jobs."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def age(seconds: float | None) -> str:
    """A span in short: 12ms, 4.7s, 3m12s, 2h05m, 3d04h."""
    if seconds is None:
        return "-"
    if seconds < 1:
        return f"{seconds * 1000:.0f}ms"
    if seconds < 60:
        return f"{seconds:.1f}s"
    whole = int(seconds)
    for size, name, part, smaller in ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "m"), (60, "m", 1, "s")):
        if whole >= size:
            return f"{whole // size}{name}{whole % size // part:02d}{smaller}"
    return f"{whole}s"


def size(number: int | None) -> str:
    """Bytes in short."""
    if number is None:
        return "-"
    amount, unit = float(number), "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if amount < 1000 or unit == "TB":
            break
        amount /= 1000
    return f"{amount:.0f} {unit}" if unit == "B" or amount >= 100 else f"{amount:.1f} {unit}"
