"""One job as its page shows it: with its items, and lines to copy."""

from __future__ import annotations

import dataclasses
import shlex
from typing import Any

from pullet.dead import DeadLetters
from pullet_broker.errors import ServerError
from pullet_broker.progress import Progress, read_progress
from pullet_broker.settings import Queue
from pullet_console.reading.arguments import show_result
from pullet_console.reading.job import JobDetail
from pullet_console.reading.reader import Reader

ITEMS = 50
"""Items of a generator that a page shows: the newest."""


def show_job(reader: Reader, name: str, job: str) -> dict[str, Any]:
    """All that is known of a job, and how to get it elsewhere."""
    queue = Queue(name=name)
    detail = reader.job(name, job)
    items = _items(reader, queue, job)
    shown: dict[str, Any] = {one.name: getattr(detail, one.name) for one in dataclasses.fields(detail)}
    shown["queue"], shown["parts"] = name, items
    shown["items"] = items[-1]["index"] + 1 if items else detail.items
    shown["progress"], shown["log"] = _progress(reader, queue, job), _log(reader, queue, detail)
    shown["python"] = _python(reader, name, job)
    shown["redis_cli"] = _redis_cli(reader, queue, detail)
    if detail.arguments is not None:
        shown["call"] = detail.arguments.text[:4000]
    return shown


def _items(reader: Reader, queue: Queue, job: str) -> list[dict[str, Any]]:
    """What a generator has yielded so far."""
    try:
        entries = reader.ask("XREVRANGE", queue.keys.part(job), "+", "-", "COUNT", ITEMS)
    except ServerError as error:
        if str(error.evidence.get("answer", "")).startswith("WRONGTYPE"):
            return []
        raise
    found = []
    for place, flat in reversed(entries):
        fields = dict(zip(flat[::2], flat[1::2], strict=False))
        index = int(place.partition(b"-")[2] or 1) - 1
        found.append({"index": index, "result": show_result(fields.get(b"value", b""))})
    return found


def _progress(reader: Reader, queue: Queue, job: str) -> Progress | None:
    raw = reader.ask("HGET", queue.keys.fixed("progress"), job)
    found = read_progress(raw) if raw else None
    return found[0] if found else None


def _log(reader: Reader, queue: Queue, detail: JobDetail) -> list[str]:
    """The last lines of its log, which a dead letter keeps."""
    if detail.state != "dead":
        return []
    letter = DeadLetters(queue, reader.address).get(detail.id)
    return list(letter.log) if letter else []


def _python(reader: Reader, name: str, job: str) -> str:
    return "\n".join(
        (
            "import pullet",
            "",
            f"client = pullet.connect(None, {str(reader.address)!r}, queue={name!r})",
            f"print(client.job({job!r}).result())",
        )
    )


def _redis_cli(reader: Reader, queue: Queue, detail: JobDetail) -> str:
    cli = f"redis-cli -u {shlex.quote(str(reader.address))}"
    reply, parts = shlex.quote(queue.keys.reply(detail.id)), shlex.quote(queue.keys.part(detail.id))
    lines = [f"{cli} GET {reply}", f"{cli} XRANGE {parts} - +"]
    if detail.state in ("waiting", "running"):
        lane = detail.lane if not detail.lane.startswith("at:") else ""
        stream = queue.keys.lane(lane) if lane else queue.keys.at(detail.lane.removeprefix("at:"))
        lines.insert(0, f"{cli} XPENDING {shlex.quote(stream)} workers - + 100")
    if detail.state == "delayed":
        lines.insert(0, f"{cli} ZSCORE {shlex.quote(queue.keys.fixed('delayed'))} {shlex.quote(detail.id)}")
    if detail.state == "dead":
        lines.insert(0, f"{cli} HGET {shlex.quote(queue.keys.fixed('buried'))} {shlex.quote(detail.id)}")
    return "\n".join(lines)
