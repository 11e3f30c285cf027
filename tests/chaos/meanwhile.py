"""How the other jobs fare while some keep killing workers. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from tests.chaos.history import Event, of_kind


@dataclass(frozen=True)
class Meanwhile:
    """From the first start of a job that kills its worker to the end of the last one."""

    seconds: float
    jobs: int
    """Others that ended then."""
    busy_s: float
    """For how long some of them were waiting or running."""
    wait_s: tuple[float, float, float]
    """From their submit to their outcome: median, 99 of 100, longest."""

    @property
    def rate(self) -> float:
        """Jobs a second, as long as there were any."""
        return self.jobs / self.busy_s if self.busy_s else 0.0


def look_meanwhile(events: list[Event]) -> Meanwhile | None:
    """None where no job kills."""
    kinds = {event["id"]: event["kind"] for event in of_kind(events, "submit")}
    names = {event["name"]: event["kind"] for event in of_kind(events, "submit")}
    starts = [event.at for event in of_kind(events, "begin") if names.get(event["name"]) == "poison"]
    ends = [event.at for event in of_kind(events, "got", "found") if kinds.get(event["id"]) == "poison"]
    if not starts or not ends:
        return None
    since, until = starts[0], ends[-1]
    asked = {event["id"]: event.at for event in of_kind(events, "submit") if event["kind"] != "poison"}
    told: dict[str, float] = {}
    for event in of_kind(events, "got", "found"):
        if event["id"] in asked:
            told.setdefault(event["id"], event.at)
    waits = sorted(told[job] - asked[job] for job in told if since <= told[job] <= until)
    spans = [(asked[job], told.get(job, until)) for job in asked]
    return Meanwhile(until - since, len(waits), _covered(spans, since, until), _marks(waits))


def _marks(waits: list[float]) -> tuple[float, float, float]:
    if not waits:
        return 0.0, 0.0, 0.0
    return waits[len(waits) // 2], waits[len(waits) * 99 // 100], waits[-1]


def _covered(spans: list[tuple[float, float]], since: float, until: float) -> float:
    """How much of the time from `since` to `until` lies in any of the spans."""
    spans = [(max(since, start), min(until, end)) for start, end in spans if start <= until and end >= since]
    steps = sorted([(start, 1) for start, _ in spans] + [(end, -1) for _, end in spans])
    covered, depth = 0.0, 0
    for (at, change), (following, _) in pairwise([*steps, (until, 0)]):
        depth += change
        covered += (following - at) if depth > 0 else 0.0
    return covered
