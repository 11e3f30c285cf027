"""submit: a client's batch of jobs, each accepted once however often the call is repeated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Any, NamedTuple

from pullet_broker.drafts import draft
from pullet_broker.job import Job
from pullet_broker.moves.finding import READERS
from pullet_broker.parts import LARGE, Buffer, Packed, pack_some
from pullet_broker.scripting import Arg, Call, Command, Script, load
from pullet_broker.settings import SCHEMA, Queue


class Answer(Enum):
    OK = b"OK"
    GAP = b"GAP"
    """Earlier numbers are missing, or the draft of large arguments is: send again from `mark + 1`."""
    FULL = b"FULL"
    """The backlog limit was reached after `mark`."""
    STALE = b"STALE"
    """A newer connection of this client has taken over."""
    SCHEMA = b"SCHEMA"


@dataclass(slots=True)
class Submitted:
    answer: Answer
    mark: int
    """Highest number that is accepted."""
    new_inbox: bool
    """The inbox was missing and has been made: replies may have been appended to nothing."""
    backlog: int
    limit: int


WIDTH = 11
"""Arguments of one job."""

EMPTY = Job("", "", b"")
"""Takes the place of a job that needs not be sent again."""


def submit(queue: Queue, client: str, link: int, first: int, jobs: Sequence[Job]) -> Call[Submitted]:
    """Jobs numbered from `first`; with no jobs it only announces `link` and asks for the mark."""
    form, keys, most = _form(queue, client), queue.keys, queue.limits.blob_over_bytes
    drafts: list[Command] = []
    pieces: list[Buffer] = []
    for number, job in enumerate(jobs, first):
        if len(job.args) > most:
            drafts.append(_draft(keys.draft_blob(client, link, number), job.args))
        pieces.append(_pack_job(job, most))
    args = [*form.head, link, first, *form.tail, Packed(WIDTH * len(jobs), pieces)]
    return Call(form.script, form.keys, args, _read, drafts)


class _Form(NamedTuple):
    """What all calls of one client have in common."""

    script: Script
    keys: Sequence[str]
    head: Sequence[Arg]
    """The arguments before `link` and `first`."""
    tail: Sequence[Arg]


@lru_cache(maxsize=256)
def _form(queue: Queue, client: str) -> _Form:
    script = load("submit")
    args = script.arguments(
        schema=SCHEMA,
        me=client,
        link=0,
        first=0,
        client_ms=queue.lifetimes.client_ms,
        home_ms=queue.affinity.home_ms,
        backlog=queue.limits.backlog_jobs,
        blob=queue.keys.blob_prefix,
        draft=queue.keys.draft_blob_prefix,
        reply=queue.keys.reply_prefix,
        inline=queue.limits.inline_bytes,
        most=READERS,
    )
    place = script.args.index("link")
    return _Form(script, _keys(queue, client), args[:place], args[place + 2 :])


def _draft(name: str, args: Buffer) -> Command:
    return draft(name, args if len(args) <= LARGE else (args,))


def _pack_job(job: Job, most: int) -> bytes:
    """Its arguments: most of them are the same for many jobs, and are packed once for all. 0.7 us, or 2 one by one."""
    is_large = len(job.args) > most
    args = b"" if is_large else job.args
    traits = ("i" if job.named else "") + ("o" if job.once else "")
    treatment = _treatment(job.opts, job.lane, job.delay_ms, job.expires_ms, job.ttl_ms, int(is_large), job.key, traits)
    name = job.id.encode()
    return b"$%d\r\n%s\r\n%s$%d\r\n%s%s" % (len(name), name, _method(job.method), len(args), args, treatment)


@lru_cache(maxsize=1024)
def _method(name: str) -> bytes:
    return pack_some((name,))


@lru_cache(maxsize=1024)
def _treatment(*arguments: str | int) -> bytes:
    """What comes behind the arguments of the call, the end of whose line is here."""
    return b"\r\n" + pack_some(arguments)


def _keys(queue: Queue, client: str) -> tuple[str, ...]:
    keys = queue.keys
    own = {"client": keys.client(client), "inbox": keys.inbox(client)}
    names = [name for name in load("submit").keys if name != "LANES"]
    return (*(own.get(name) or keys.fixed(name) for name in names), *keys.lanes)


def _read(raw: Any) -> Submitted:
    if type(raw) is int:
        return Submitted(Answer.OK, raw, False, 0, 0)
    answer, mark, new_inbox, backlog, limit = raw
    return Submitted(Answer(answer), mark, bool(new_inbox), backlog, limit)
