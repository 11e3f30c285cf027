"""The job that a worker runs, as its engine's code sees it: see `pullet.current_job`."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeAlias

from pullet.running import RunningJob
from pullet_broker.job import Entry
from pullet_broker.progress import Progress
from pullet_workers.opts import read_opts
from pullet_workers.reports import Reports

OpenReports: TypeAlias = Callable[[Entry], Reports]


class Attempt(RunningJob):
    """One is made for every job, so it does next to nothing until it is asked."""

    __slots__ = ("_began", "_entry", "_open", "reports")

    def __init__(self, entry: Entry, open_reports: OpenReports) -> None:
        self.id, self.attempt, self.method, self._lines = entry.job, entry.attempt, entry.method, None
        self._entry, self._open = entry, open_reports
        self.reports: Reports | None = None
        """Where it tells how far it is, once it does."""
        if entry.opts:
            self._began = time.monotonic()

    @property
    def deadline(self) -> float | None:
        limit_s = read_opts(self._entry.opts).timeout if self._entry.opts else None
        return None if limit_s is None else self._began + limit_s

    def _tell(self, progress: Progress) -> None:
        if self.reports is None:
            self.reports = self._open(self._entry)
        self.reports.tell(progress)
