"""What a look has found, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. `remedy` is what to type or to change; empty where all is well."""

    about: str
    level: Level
    found: str
    remedy: str = ""


def ok(about: str, found: str) -> Finding:
    return Finding(about, "ok", found)


def warn(about: str, found: str, remedy: str) -> Finding:
    return Finding(about, "warn", found, remedy)


def fail(about: str, found: str, remedy: str) -> Finding:
    return Finding(about, "fail", found, remedy)
