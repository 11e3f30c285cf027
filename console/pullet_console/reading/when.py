"""Times as people read them."""

from __future__ import annotations

from datetime import datetime


def clock(seconds: float) -> str:
    """A time since the epoch, in the zone of whoever reads: `2026-11-26 23:04:12`. Nonsense is a question mark."""
    try:
        return datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M:%S")
    except (OverflowError, OSError, ValueError):
        return "?"
