"""What a notebook shows of a handle: a small table in which every text is escaped."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

SHOWN = 300
"""Characters of one text."""


def table(title: str, rows: Mapping[str, object]) -> str:
    """An HTML table with one row a fact; texts may come from anywhere."""
    body = "".join(f"<tr><th style='text-align:left'>{_text(name)}</th>{_cell(rows[name])}</tr>" for name in rows)
    return f"<table><caption style='text-align:left'><b>{_text(title)}</b></caption>{body}</table>"


def seconds(time_s: float | None) -> str:
    """A run time as people read it."""
    if time_s is None:
        return "-"
    return f"{time_s * 1000:.1f} ms" if time_s < 1 else f"{time_s:.1f} s"


def _cell(value: object) -> str:
    return f"<td style='text-align:left'>{_text(value)}</td>"


def _text(value: object) -> str:
    text = str(value)
    return escape(text if len(text) <= SHOWN else text[:SHOWN] + " ...")
