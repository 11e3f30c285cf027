"""Life and death of workers: beat (with the tick), reap, forget, promote, spill."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pullet_broker.moves.cycle import Standing
from pullet_broker.moves.settling import burying, settling
from pullet_broker.scripting import Call, fixed_keys, load
from pullet_broker.settings import SCHEMA, Queue

REAPED = 100
"""The most entries that one reap, promote or spill issues again."""


@dataclass(frozen=True, slots=True)
class Beaten:
    standing: Standing
    dead: list[str]
    """Consumers that this tick found dead: reap each, then forget it."""
    due: bool
    """Delayed jobs are due: promote."""
    spill: list[str]
    """Places where jobs wait too long, or where nobody works any more: spill each."""
    watched_us: int = 0
    """The server's time in microseconds while somebody wants to hear how jobs end, else 0."""
    paused: bool = False
    calm: bool = True
    """Suspects do not kill worker after worker just now: see `Cycled`."""
    workers: int = 0
    """Registered now, the dead that nobody has reaped yet among them."""
    ticked: bool = False
    """This beat made the tick."""


def beat(
    queue: Queue, consumer: str, number: int | None, record: str = "", vouched: Sequence[str] = ()
) -> Call[Beaten]:
    """Show that `consumer` lives. `number` 0 registers it; None is a watcher, which takes nothing and only makes ticks.

    `record` (JSON) says who the worker is, or replaces what is known of it; `vouched` are consumers known to live.
    """
    script = load("beat")
    args = script.arguments(
        schema=SCHEMA,
        consumer=consumer,
        number="" if number is None else number,
        record=record,
        tick_ms=queue.lease.tick_ms,
        lease=queue.lease.ticks,
        spill_ms=queue.affinity.spill_ms,
    )
    return Call(script, fixed_keys(script, queue.keys), [*args, *vouched], _read_beaten)


def _read_beaten(raw: Any) -> Beaten:
    standing, dead, due, spill, watched_us, paused, calm, workers, ticked = raw
    silent, places = [name.decode() for name in dead], [name.decode() for name in spill]
    return Beaten(
        Standing(standing),
        silent,
        bool(due),
        places,
        watched_us,
        paused=bool(paused),
        calm=bool(calm),
        workers=workers,
        ticked=bool(ticked),
    )


@dataclass(frozen=True, slots=True)
class Reaped:
    issued: int
    buried: int
    more: bool
    """The bound of one call was reached: reap again."""


def reap(queue: Queue, consumer: str, *, blame: bool) -> Call[Reaped]:
    """Issue again what a dead consumer had taken. `blame`: it died by itself, so its jobs are suspects."""
    script = load("reap")
    args = script.arguments(
        consumer=consumer,
        blame=int(blame),
        max_crashes=queue.limits.max_crashes,
        most=REAPED,
        **burying(queue),
        **settling(queue),
    )
    return Call(script, fixed_keys(script, queue.keys), args, lambda raw: Reaped(raw[0], raw[1], bool(raw[2])))


def forget(queue: Queue, consumer: str) -> Call[bool]:
    """Remove a consumer that holds nothing; False while something is pending for it."""
    script = load("forget")
    return Call(script, fixed_keys(script, queue.keys), script.arguments(consumer=consumer), bool)


def promote(queue: Queue, consumer: str) -> Call[int]:
    """Issue up to `REAPED` delayed jobs that are due; says how many there were."""
    script = load("promote")
    args = script.arguments(consumer=consumer, most=REAPED, **settling(queue))
    return Call(script, fixed_keys(script, queue.keys), args, int)


def spill(queue: Queue, consumer: str, place: str) -> Call[int]:
    """Give up to `REAPED` jobs that wait too long at a place to all workers; says how many entries it took there."""
    script = load("spill")
    args = script.arguments(
        consumer=consumer, place=place, spill_ms=queue.affinity.spill_ms, most=REAPED, **settling(queue)
    )
    return Call(script, fixed_keys(script, queue.keys), args, int)
