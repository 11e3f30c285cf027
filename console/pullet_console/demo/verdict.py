"""What the demo comes to: the answers held against the engine itself, and the time against the ideal."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean

from pullet_console.demo.callers import Answer
from pullet_console.demo.engine import SLOW_PLACES, Reading
from pullet_console.demo.ideal import Machine, ideal_makespan
from pullet_console.demo.strike import Strike

RECOVERY_S = 1.0
EFFICIENCY = 0.95


@dataclass(frozen=True)
class Work:
    """What one worker did. `since` and `until` in seconds from the first job's submission."""

    name: str
    slow: bool
    jobs: int
    job_s: float
    since: float
    until: float = math.inf
    """When it was killed."""

    @property
    def is_dead(self) -> bool:
        return self.until < math.inf


@dataclass(frozen=True)
class Verdict:
    """The figures of the summary. Times in seconds, None where they could not be computed."""

    jobs: int
    missing: int
    different: int
    right: int
    """Answers that are the digit shown, among the `unseen` images that the classifier was not trained on."""
    unseen: int
    work: Sequence[Work]
    strike_s: float | None
    recovery_s: float | None
    recovered_by: str
    makespan_s: float | None
    ideal_s: float | None
    problems: Sequence[str]

    @property
    def efficiency(self) -> float | None:
        return self.ideal_s / self.makespan_s if self.ideal_s and self.makespan_s else None

    @property
    def failures(self) -> list[str]:
        """Why the demo failed; empty when it did not."""
        checks = {
            f"{self.missing} answers are missing": self.missing > 0,
            f"{self.different} answers differ from those of the engine called directly": self.different > 0,
            "no job ran again after the kill, so the recovery has no time": self.recovery_s is None,
            "the efficiency could not be computed": self.efficiency is None,
        }
        return [*self.problems, *(text for text, failed in checks.items() if failed)]

    @property
    def doubts(self) -> list[str]:
        """What should be better, but is no wrong answer."""
        late = self.recovery_s is not None and self.recovery_s > RECOVERY_S
        idle = self.efficiency is not None and self.efficiency < EFFICIENCY
        checks = {f"the recovery took more than {RECOVERY_S:g} s": late, f"the efficiency is below {EFFICIENCY}": idle}
        return [text for text, doubtful in checks.items() if doubtful]


def judge(
    answers: Sequence[Answer],
    direct: Sequence[int],
    labels: Sequence[int],
    strike: Strike | None,
    problems: Sequence[str] = (),
) -> Verdict:
    """Hold the answers against `direct`, what the engine answers by itself, and `labels`, what the images show."""
    read = {answer.index: answer.reading["digit"] for answer in answers if answer.reading}
    unseen = range(1, len(direct), 2)
    begun = min((answer.asked for answer in answers), default=0.0)
    work = work_of(answers, strike, begun)
    again = last_rerun(answers)
    done = len(read)
    return Verdict(
        jobs=len(direct),
        missing=len(direct) - done,
        different=sum(digit != direct[index] for index, digit in read.items()),
        right=sum(read.get(index) == labels[index] for index in unseen),
        unseen=len(unseen),
        work=work,
        strike_s=strike.at - begun if strike else None,
        recovery_s=again[1]["started"] - strike.at if strike and again else None,
        recovered_by=again[0].worker if again else "",
        makespan_s=max(answer.arrived for answer in answers) - begun if answers else None,
        ideal_s=_ideal(done, work),
        problems=[*problems, *errors_of(answers)],
    )


def work_of(answers: Sequence[Answer], strike: Strike | None, begun: float) -> list[Work]:
    """What each worker did, the fast ones first."""
    by_worker: dict[str, list[tuple[Answer, Reading]]] = defaultdict(list)
    for answer in answers:
        if answer.reading:
            by_worker[answer.worker].append((answer, answer.reading))
    work = [
        Work(
            name=name,
            slow=done[0][1]["place"] in SLOW_PLACES,
            jobs=len(done),
            job_s=mean(answer.run_s for answer, _ in done),
            since=max(0.0, done[0][1]["ready"] - begun),
            until=strike.at - begun if strike and strike.worker == name else math.inf,
        )
        for name, done in by_worker.items()
    ]
    return sorted(work, key=lambda one: (one.slow, one.since, one.name))


def last_rerun(answers: Sequence[Answer]) -> tuple[Answer, Reading] | None:
    """Of the jobs that a worker died with, the one that began again last."""
    reruns = [(answer, answer.reading) for answer in answers if answer.reading and answer.attempts > 1]
    return max(reruns, key=lambda pair: pair[1]["started"], default=None)


def errors_of(answers: Sequence[Answer]) -> list[str]:
    """One line for each kind of error."""
    errors = [answer.error for answer in answers if answer.error]
    return [f"{errors.count(text)} jobs failed: {text}" for text in sorted(set(errors))]


def _ideal(jobs: int, work: Sequence[Work]) -> float | None:
    try:
        return ideal_makespan(jobs, [Machine(one.job_s, one.since, one.until) for one in work])
    except ValueError:
        return None
