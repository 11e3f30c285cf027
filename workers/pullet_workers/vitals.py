"""What one look at the queue says of each worker: does it live, is it worn out, how long do jobs take. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pullet_broker.moves.survey import Survey
from pullet_broker.settings import Lease
from pullet_workers.member import Member
from pullet_workers.pulse import Pulse
from pullet_workers.rest import longest
from pullet_workers.scaling import Load
from pullet_workers.spec import WorkerOptions

IDLE_HANG_S = 60.0
"""A worker without a job that shows no life for this long is replaced, unless `hang_timeout` is less; in that, how long
such a worker may rest does not count."""
MOST = 1e15
"""No count, time or size of a worker comes near."""
WEIGHT = 0.3
"""Of the newest look in the moving average of run times."""


class Vitals:
    """Notes on the members what their records say, and names those that live."""

    def __init__(self, options: WorkerOptions, lease: Lease) -> None:
        self._options = options
        self._rest_s = longest(lease).beat_s
        self._pulse = Pulse()
        self._worked: dict[str, tuple[float, int]] = {}
        self._run_s: float | None = None

    def examine(self, survey: Survey, members: Iterable[Member], now: float) -> set[str]:
        """The names of the workers to vouch for: their processes are there, as Ray says, and they are not hung."""
        # who takes or ends a job lives, whatever its beat: code that held the interpreter may just have come back
        signs = {consumer: f"{beat} {survey.jobs.get(consumer, 0)}" for consumer, beat in survey.beats.items()}
        still = self._pulse.look(signs, now)
        incarnations = _by_name(survey)
        living = set()
        for member in members:
            own = incarnations.get(member.name, {})
            member.jobs = sum(survey.jobs.get(consumer, 0) for consumer in own)
            if member.state != "leaving":  # that one has its own time limit
                member.hung = bool(own) and min(still.get(one, 0.0) for one in own) > self._patience_s(member)
                member.retiring = member.retiring or next(filter(None, map(self._worn_out, own.values())), None)
            if not member.hung:
                living.add(member.name)
        return living

    def lose_sight(self) -> None:
        """The server could not be asked: nobody could beat, and that is no sign of anything."""
        self._pulse.forget()

    def load(self, survey: Survey) -> Load:
        """The queue's work, with the mean run time since the looks before."""
        jobs, busy_s = 0, 0.0
        seen = {}
        for consumer, record in survey.records.items():
            busy, done = _number(record, "busy_s"), int(_number(record, "done") + _number(record, "failed"))
            busy_before, done_before = self._worked.get(consumer, (0.0, 0))
            seen[consumer] = (busy, done)
            if done > done_before:
                jobs, busy_s = jobs + done - done_before, busy_s + max(0.0, busy - busy_before)
        self._worked = seen
        if jobs:
            newest = busy_s / jobs
            self._run_s = newest if self._run_s is None else self._run_s + WEIGHT * (newest - self._run_s)
        return Load(survey.waiting, survey.running, survey.oldest_s, self._run_s)

    def _patience_s(self, member: Member) -> float:
        limit = self._options.hang_timeout or float("inf")
        return limit if member.jobs else min(limit + self._rest_s, IDLE_HANG_S)

    def _worn_out(self, record: Mapping[str, Any]) -> str | None:
        jobs, rss = self._options.max_jobs_per_worker, self._options.max_rss
        if jobs is not None and _number(record, "done") + _number(record, "failed") >= jobs:
            return f"it has run {jobs} jobs"
        if rss is not None and _number(record, "rss") >= rss:
            return f"its process has more than {rss} bytes in memory"
        return None


def _by_name(survey: Survey) -> dict[str, dict[str, dict[str, Any]]]:
    """Worker -> its consumers and their records."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for consumer, record in survey.records.items():
        found.setdefault(str(record.get("name")), {})[consumer] = record
    return found


def _number(record: Mapping[str, Any], name: str) -> float:
    """A number of a record; 0 for what is none or cannot be: anybody may have written it."""
    value = record.get(name)
    return float(value) if isinstance(value, (int, float)) and 0 <= value < MOST else 0.0
