"""Logs of the verbs that run for long: on stderr, a line an event, as text or as JSON, with nothing in them obeyed."""

from __future__ import annotations

import json
import logging
from typing import Any

from pullet_console.inert import inert

LONGEST = 20_000
_OWN = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class _Text(logging.Formatter):
    """`2026-11-26 23:04:12 WARNING pullet.pool: its jobs come back worker=gpu3`; a traceback is below it."""

    def format(self, record: logging.LogRecord) -> str:
        more = "".join(f" {name}={inert(value)}" for name, value in _extra(record).items())
        head = f"{self.formatTime(record, '%Y-%m-%d %H:%M:%S')} {record.levelname} {inert(record.name)}: "
        trace = f"\n{inert(self.formatException(record.exc_info), LONGEST, lines=True)}" if record.exc_info else ""
        return f"{head}{inert(record.getMessage(), 2_000)}{more}{trace}"


class _Json(logging.Formatter):
    """One object a line, of ASCII alone."""

    def format(self, record: logging.LogRecord) -> str:
        told: dict[str, Any] = {
            "time": round(record.created, 3),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **_extra(record),
        }
        if record.exc_info:
            told["traceback"] = self.formatException(record.exc_info)
        return json.dumps(told, default=repr)


def _extra(record: logging.LogRecord) -> dict[str, Any]:
    return {name: value for name, value in vars(record).items() if name not in _OWN}


def to_terminal(form: str) -> logging.Handler:
    """A handler for stderr; `form` is text or json."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Json() if form == "json" else _Text())
    return handler


def show_logs(form: str) -> None:
    """Have what pullet logs shown, from INFO on."""
    log = logging.getLogger("pullet")
    log.setLevel(logging.INFO)
    log.addHandler(to_terminal(form))
