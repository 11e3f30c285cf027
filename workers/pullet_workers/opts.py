"""The options of a job as the worker reads them from its entry."""

from __future__ import annotations

import json
from dataclasses import dataclass


@dataclass(frozen=True)
class Opts:
    retries: int = 0
    stream: bool = False
    """Send the items of the generator as they come."""


def read_opts(text: str) -> Opts:
    """Options from the short JSON of an entry. What is not understood counts as not given: it may be hostile."""
    try:
        given = json.loads(text)
        return Opts(retries=max(0, int(given.get("retries", 0))), stream=bool(given.get("stream")))
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        return Opts()
