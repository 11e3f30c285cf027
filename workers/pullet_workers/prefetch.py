"""How many jobs to take at once: as many as fit a budget of run time. No I/O, no clock."""

from __future__ import annotations

from pullet_broker.settings import Prefetch

WEIGHT = 0.2
"""Of the newest run time in the moving average."""
CEILING = 4
"""One run counts as at most this many budgets, so that a single long job does not slow the tiny ones for long."""

LEAST_AHEAD = 16
"""Fewer jobs than this are not worth a cycle of their own beside those that run."""


class Pace:
    """An exponentially weighted moving average of run times, and what follows from it."""

    def __init__(self, prefetch: Prefetch) -> None:
        self._budget_s, self._most = prefetch.budget_s, prefetch.most_jobs
        self._ceiling_s = CEILING * prefetch.budget_s
        self.expected_s: float | None = None
        """Seconds a job takes, as far as is known."""
        self._mean_s = 0.0  # the same with a ceiling for each run

    def ran(self, run_s: float, jobs: int = 1) -> None:
        """`jobs` jobs took `run_s` seconds together."""
        each = run_s / jobs
        capped = each if each < self._ceiling_s else self._ceiling_s
        if self.expected_s is None:
            self.expected_s, self._mean_s = each, capped
            return
        weight = WEIGHT if jobs == 1 else 1 - (1 - WEIGHT) ** jobs
        self.expected_s += weight * (each - self.expected_s)
        self._mean_s += weight * (capped - self._mean_s)

    def want(self) -> int:
        """Jobs to take now; one while nothing is known."""
        if self.expected_s is None:
            return 1
        if self._mean_s * self._most <= self._budget_s:
            return self._most
        return max(1, int(self._budget_s / self._mean_s))

    def want_ahead(self) -> int:
        """Jobs to take while as many run, both in one budget; 0 where they are too few for that."""
        if self.expected_s is None:
            return 0
        if 2 * self._mean_s * self._most <= self._budget_s:
            return self._most
        want = int(self._budget_s / self._mean_s / 2)
        return want if want >= LEAST_AHEAD else 0
