"""How far a job is, as its engine says: a line of plain text in Redis and in inboxes.

    1 7 0.4 page 3 of 8

The words are the attempt, the number of the report within it, the fraction, and a text.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from pullet_broker.job import whole
from pullet_broker.reply import sendable

TEXT = 200
"""Characters of the text that travel."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job is."""

    fraction: float
    """From 0 to 1."""
    text: str = ""
    """What it does."""
    attempt: int = 1
    """Which attempt says so."""

    def __str__(self) -> str:
        return f"{self.fraction:.0%} {self.text}".rstrip()


def pack_progress(progress: Progress, number: int) -> str:
    text = " ".join(progress.text.split())
    return f"{progress.attempt} {number} {progress.fraction:.6g} {sendable(text, TEXT)}"


def read_progress(raw: bytes) -> tuple[Progress, int] | None:
    """What was said, and its number; None for what no worker of ours wrote."""
    words = raw.split(b" ", 3)
    try:
        fraction = float(words[2])
        text = words[3].decode(errors="replace")
    except (IndexError, ValueError):
        return None
    if not (math.isfinite(fraction) and 0 <= fraction <= 1):
        return None
    return Progress(fraction, text, whole(words[0], 1)), whole(words[1], 0)
