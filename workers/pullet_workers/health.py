"""The engine's own `health()`: when to ask it, and what its answer means. No threads, no clock."""

from __future__ import annotations

import math
from typing import Any

HEALTH_S = 10.0
"""The least time between two questions."""


class Unhealthy(Exception):
    """The engine says that it cannot go on. Its worker leaves, and is replaced."""


class Health:
    """One question at a time; an engine without the hook is always well."""

    def __init__(self, has_hook: bool, now: float) -> None:
        self.next_at = now + HEALTH_S if has_hook else float("inf")

    def is_due(self, now: float) -> bool:
        """True once, when it is time to ask."""
        due = now >= self.next_at
        if due:
            self.next_at = now + HEALTH_S
        return due

    def left_ms(self, now: float) -> int | None:
        """Until the next question; None when there will be none."""
        return None if math.isinf(self.next_at) else max(1, math.ceil(1000 * (self.next_at - now)))


def judge(answer: Any) -> None:
    """Raises `Unhealthy` when the engine's answer was False. None, as from a hook that only raises, is well."""
    if answer is False:
        raise Unhealthy("the engine's health() returned False: the worker ends, to be replaced")


def raised(error: BaseException) -> Unhealthy:
    """What follows from a hook that raised."""
    found = Unhealthy(f"the engine's health() raised {type(error).__name__}: {error}; the worker ends, to be replaced")
    found.__cause__ = error
    return found
