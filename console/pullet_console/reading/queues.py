"""A queue and its workers at one moment, as numbers. No I/O."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pullet_broker.errors import NameRefused
from pullet_broker.job import whole
from pullet_broker.keys import check_queue_name
from pullet_broker.moves.survey import Survey
from pullet_broker.scripting import Arg
from pullet_broker.settings import Queue

MOST = 1e15
"""No count, time or size of a worker comes near."""


@dataclass(frozen=True)
class WorkerView:
    """One worker that is registered at its queue. Times are seconds since the epoch."""

    consumer: str
    """Its name in Redis, new with each incarnation."""
    name: str
    state: str
    """starting, idle, busy, paused, draining, left, failed; silent: its last beats are missing"""
    host: str
    pid: int
    node: str
    """The Ray node it runs on; empty without Ray."""
    since: float
    done: int
    failed: int
    busy_s: float
    running: int
    """Jobs that it runs now, as it says itself."""
    in_hand: int
    """Jobs that it has taken and that have not ended, as Redis sees it."""
    job: str
    """The one that runs longest; empty without one."""
    method: str
    rss: int
    """Bytes of memory of its process."""
    missed: int
    """How many looks, about one a second, have found its beat unchanged; at ten its jobs go to others."""


@dataclass(frozen=True)
class QueueSummary:
    """One queue in numbers."""

    name: str
    at: float
    """The server's clock at this look."""
    waiting: int
    """Jobs that nobody has taken, delayed ones that are due included: the backlog."""
    running: int
    delayed: int
    """Jobs that are not due yet."""
    suspects: int
    """Of those that wait or run, the jobs whose worker died with them in hand."""
    dead: int
    """Dead letters that are kept."""
    oldest_s: float
    """How long the oldest waiting job has waited."""
    submitted: int
    """This and the following count since the queue was made. Jobs that were accepted."""
    done: int
    """Jobs that ended well."""
    failed: int
    """Jobs that ended with an error: the engine's, a time-out, or the death of their workers."""
    cancelled: int
    expired: int
    retried: int
    recovered: int
    """Jobs that were issued again after the death of their worker."""
    workers_busy: int
    workers: int
    wanted: int | None
    """Workers that the pool's controller wants; None where none has noted it."""
    paused: bool
    trouble: str
    """What keeps workers from starting, as the controller has noted it."""
    limit: int | None
    """The backlog limit that somebody has set for all callers."""


@dataclass(frozen=True)
class Rates:
    """Per second, between two looks."""

    done: float
    failed: float


def rates(before: QueueSummary, after: QueueSummary) -> Rates | None:
    """None where there is no time between the two looks, or the counters began anew."""
    passed = after.at - before.at
    if passed <= 0 or after.done < before.done or after.failed < before.failed:
        return None
    return Rates((after.done - before.done) / passed, (after.failed - before.failed) / passed)


QUEUES = "pullet:{*}:config"
"""The pattern of the key that every queue has from its first job or worker on."""
_CONFIG = re.compile(r"pullet:\{([^}]*)\}:config")


def read_names(keys: Sequence[bytes]) -> set[str]:
    """The queues to which these keys belong; what pullet cannot have named is left out."""
    names = set()
    for key in keys:
        found = _CONFIG.fullmatch(key.decode(errors="replace"))
        try:
            names |= {check_queue_name(found[1])} if found else set()
        except NameRefused:
            continue
    return names


def ask_numbers(queue: Queue, now_ms: int) -> list[tuple[Arg, ...]]:
    """What a survey does not tell, for `read_summary` and `read_workers`."""
    key = queue.keys.fixed
    return [
        ("ZCOUNT", key("delayed"), f"({now_ms}", "+inf"),
        ("XLEN", queue.keys.lane("suspect")),
        ("XLEN", key("dead")),
        ("HGETALL", key("stats")),
        ("HGETALL", key("pool")),
        ("HGETALL", key("missed")),
        ("HGETALL", key("config")),
    ]


@dataclass(frozen=True)
class Look:
    """All that was read of one queue in one look."""

    name: str
    at_ms: int
    survey: Survey
    delayed: int
    suspects: int
    dead: int
    stats: dict[str, str]
    pool: dict[str, str]
    missed: dict[str, str]
    config: dict[str, str]

    @property
    def exists(self) -> bool:
        """Is there such a queue? From its first job or worker on there is."""
        return bool(self.config)


def read_look(name: str, at_ms: int, survey: Survey, numbers: Sequence[Any]) -> Look:
    """From the survey and the answers to `ask_numbers`."""
    delayed, suspects, dead, *hashes = numbers
    return Look(
        name,
        at_ms,
        survey,
        delayed,
        suspects,
        dead,
        *map(read_hash, hashes),
    )


def read_hash(flat: Sequence[bytes]) -> dict[str, str]:
    text = [part.decode(errors="replace") for part in flat]
    return dict(zip(text[::2], text[1::2], strict=True))


def summarise(look: Look) -> QueueSummary:
    """The queue in numbers."""

    def counter(*names: str) -> int:
        return sum(_whole(look.stats.get(name, "")) or 0 for name in names)

    survey = look.survey
    return QueueSummary(
        name=look.name,
        at=look.at_ms / 1000,
        waiting=survey.waiting,
        running=survey.running,
        delayed=look.delayed,
        suspects=look.suspects,
        dead=look.dead,
        oldest_s=survey.oldest_s,
        submitted=counter("submitted"),
        done=counter("done"),
        failed=counter("error", "timeout", "crashed"),
        cancelled=counter("cancelled"),
        expired=counter("expired"),
        retried=counter("retried"),
        recovered=counter("recovered"),
        workers_busy=sum(survey.jobs.get(consumer, 0) > 0 for consumer in survey.records),
        workers=len(survey.records),
        wanted=_whole(look.pool.get("wanted", "")),
        paused=survey.paused,
        trouble=look.pool.get("trouble", ""),
        limit=_whole(look.config.get("backlog", "")),
    )


def list_workers(look: Look) -> list[WorkerView]:
    """The workers that are registered, by name."""
    survey = look.survey
    found = [
        _worker(consumer, record, survey.jobs.get(consumer, 0), look.missed.get(consumer, ""))
        for consumer, record in survey.records.items()
    ]
    return sorted(found, key=lambda worker: (worker.name, worker.consumer))


SILENT = 6
"""A worker that has missed more looks than this is shown as silent. In a large fleet an idle one rests for half a
lease: five looks, and one more means nothing on a busy machine."""


def _worker(consumer: str, record: Mapping[str, Any], in_hand: int, missed: str) -> WorkerView:
    looks = _whole(missed.partition(" ")[0]) or 0
    return WorkerView(
        consumer=consumer,
        name=_text(record, "name") or consumer,
        state="silent" if looks > SILENT else _text(record, "state") or "unknown",
        host=_text(record, "host"),
        pid=int(_number(record, "pid")),
        node=_text(record, "node"),
        since=_number(record, "since"),
        done=int(_number(record, "done")),
        failed=int(_number(record, "failed")),
        busy_s=_number(record, "busy_s"),
        running=int(_number(record, "running")),
        in_hand=in_hand,
        job=_text(record, "job"),
        method=_text(record, "method"),
        rss=int(_number(record, "rss")),
        missed=looks,
    )


def _text(record: Mapping[str, Any], name: str) -> str:
    value = record.get(name)
    return value if isinstance(value, str) else "" if value is None else json.dumps(value)


def _number(record: Mapping[str, Any], name: str) -> float:
    """A number of a record; 0 for what is none or cannot be: anybody may have written it."""
    value = record.get(name)
    return float(value) if isinstance(value, (int, float)) and 0 <= value < MOST else 0.0


def _whole(text: str) -> int | None:
    found = whole(text.encode(errors="replace"), -1)
    return found if found >= 0 else None
