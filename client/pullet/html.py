"""What a notebook shows of a handle, or of many things: a small table in which every text is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

SHOWN = 300
"""Characters of one text."""


def table(title: str, rows: Mapping[str, object]) -> str:
    """An HTML table with one row a fact; texts may come from anywhere."""
    return _framed(title, "".join(f"<tr>{_head(name)}{_cell(rows[name])}</tr>" for name in rows))


def grid(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """An HTML table with one row a thing."""
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return _framed(title, f"<tr>{''.join(map(_head, columns))}</tr>{body}")


def seconds(time_s: float | None) -> str:
    """A run time as people read it."""
    if time_s is None:
        return "-"
    return f"{time_s * 1000:.1f} ms" if time_s < 1 else f"{time_s:.1f} s"


def _framed(title: str, body: str) -> str:
    return f"<table><caption style='text-align:left'><b>{_text(title)}</b></caption>{body}</table>"


def _head(value: object) -> str:
    return f"<th style='text-align:left'>{_text(value)}</th>"


def _cell(value: object) -> str:
    return f"<td style='text-align:left'>{_text(value)}</td>"


def _text(value: object) -> str:
    text = str(value)
    return escape(text if len(text) <= SHOWN else text[:SHOWN] + " ...")
