"""The options of a job as the worker reads them from its entry."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

FIRST_RETRY_S = 1.0


@dataclass(frozen=True)
class Opts:
    retries: int = 0
    timeout: float | None = None
    """Seconds that one run may take."""
    stream: bool = False
    """Send the items of the generator as they come."""
    retry_on: tuple[str, ...] = ()
    """Names of exception types; empty: all."""
    no_retry_on: tuple[str, ...] = ()
    backoff: float = FIRST_RETRY_S
    """The longest wait before the first retry, in seconds."""


def read_opts(text: str) -> Opts:
    """Options from the short JSON of an entry. What is not understood counts as not given: it may be hostile."""
    try:
        given = json.loads(text)
        return Opts(
            retries=max(0, int(given.get("retries", 0))),
            retry_on=_names(given.get("retry_on", ())),
            no_retry_on=_names(given.get("no_retry_on", ())),
            backoff=_seconds(given.get("backoff", FIRST_RETRY_S)),
            stream=bool(given.get("stream")),
            timeout=_time_limit(given.get("timeout")),
        )
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        return Opts()


def _names(given: Any) -> tuple[str, ...]:
    if not (isinstance(given, list) and all(isinstance(name, str) for name in given)):
        return ()
    return tuple(given)


def _time_limit(given: Any) -> float | None:
    seconds = float(given or 0)
    return seconds if math.isfinite(seconds) and seconds > 0 else None


def _seconds(given: Any) -> float:
    seconds = float(given)
    return seconds if math.isfinite(seconds) and seconds >= 0 else FIRST_RETRY_S
