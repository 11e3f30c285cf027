"""What people may do from the dashboard, and the log of what they did."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from pullet.dead import DeadLetters
from pullet_broker.address import Address
from pullet_broker.moves.actions import log_action
from pullet_broker.moves.cancel import cancel
from pullet_broker.moves.pausing import pause, resume
from pullet_broker.settings import Queue
from pullet_console.reading.reader import Reader

log = logging.getLogger("pullet.console")

MOST_JOBS = 1000
"""Jobs that one action may name."""


class Actions:
    """Each action answers with what it did, and is logged: in the queue's `actions`, and under `pullet.console`."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._known: dict[str, Callable[[Reader, Queue, Mapping[str, Any]], dict[str, Any]]] = {
            "retry": self._retry,
            "purge": self._purge,
            "pause": lambda reader, queue, _: _done(pause, queue, reader),
            "resume": lambda reader, queue, _: _done(resume, queue, reader),
            "cancel": lambda reader, queue, given: {"answer": reader.run(cancel(queue, _text(given, "job")))},
        }

    def run(self, reader: Reader, queue: Queue, name: str, given: Mapping[str, Any], by: str) -> dict[str, Any]:
        """Raises `ValueError` for an action that there is not, or one that misses something."""
        action = self._known.get(name)
        if action is None:
            raise ValueError(f"there is no action {name[:40]!r}: expected one of {', '.join(self._known)}")
        done = action(reader, queue, given)
        what = _describe(name, given)
        log.warning("an action from the dashboard", extra={"queue": queue.name, "action": what, "done": done, "by": by})
        reader.ask(*log_action(queue, by, what, str(done)))
        return done

    def _retry(self, reader: Reader, queue: Queue, given: Mapping[str, Any]) -> dict[str, Any]:
        letters = DeadLetters(queue, self._address)
        if "jobs" in given:
            return {"retried": sum(letters.replay(job) for job in _jobs(given))}
        return {"retried": letters.replay_all(method=_choice(given, "method"), error=_choice(given, "error"))}

    def _purge(self, reader: Reader, queue: Queue, given: Mapping[str, Any]) -> dict[str, Any]:
        letters = DeadLetters(queue, self._address)
        if "jobs" in given:
            return {"purged": sum(letters.purge(job) for job in _jobs(given))}
        return {"purged": letters.purge_all(method=_choice(given, "method"), error=_choice(given, "error"))}


def _done(do: Callable[[Queue, Callable[..., Any]], None], queue: Queue, reader: Reader) -> dict[str, Any]:
    do(queue, reader.ask)
    return {"done": True}


def _text(given: Mapping[str, Any], name: str) -> str:
    value = given.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= 200:
        raise ValueError(f"{name}: expected a text of 1 to 200 characters")
    return value


def _choice(given: Mapping[str, Any], name: str) -> str | None:
    """Must be said, even if it is null: nobody empties everything by leaving something out."""
    if name not in given:
        raise ValueError(f"expected jobs, or method and error (null for all): {name} is missing")
    value = given[name]
    if value is not None and not isinstance(value, str):
        raise ValueError(f"{name}: expected a text or null")
    return value


def _jobs(given: Mapping[str, Any]) -> list[str]:
    jobs = given["jobs"]
    if not isinstance(jobs, list) or len(jobs) > MOST_JOBS or not all(isinstance(job, str) for job in jobs):
        raise ValueError(f"jobs: expected at most {MOST_JOBS} ids")
    return jobs


def _describe(name: str, given: Mapping[str, Any]) -> str:
    told = [f"{key}={str(value)[:80]!r}" for key, value in given.items() if key != "jobs"]
    if isinstance(given.get("jobs"), list):
        told.append(f"{len(given['jobs'])} jobs")
    return " ".join([name, *told])
