"""How the options that only workers read travel: in short JSON, exception types by name."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

NAMES = 32
"""Exception types in one option."""


def check_types(option: str, types: Any) -> None:
    """Raises `TypeError` for anything but a tuple of exception classes or their names."""
    sane = isinstance(types, tuple) and len(types) <= NAMES
    if not sane or not all(isinstance(one, str) or _is_error(one) for one in types):
        raise TypeError(
            f'{option}={types!r}: expected a tuple of at most {NAMES} exception classes, or names as "shop.errors.Busy"'
        )


@lru_cache(maxsize=256)
def pack_opts(
    retries: int,
    backoff: float | None,
    retry_on: tuple[Any, ...],
    no_retry_on: tuple[Any, ...],
    stream: bool = False,
    timeout: float | None = None,
) -> str:
    """Short JSON of what is given, for the worker; empty when nothing is."""
    opts: dict[str, Any] = {"stream": 1} if stream else {}
    if timeout is not None:
        opts["timeout"] = timeout
    if not retries:
        return json.dumps(opts, separators=(",", ":")) if opts else ""
    opts["retries"] = retries
    if backoff is not None:
        opts["backoff"] = backoff
    for name, types in (("retry_on", retry_on), ("no_retry_on", no_retry_on)):
        if types:
            opts[name] = names_of(types)
    return json.dumps(opts, separators=(",", ":"))


def names_of(types: tuple[Any, ...]) -> list[str]:
    """The names of exception types, each with its module."""
    return [one if isinstance(one, str) else f"{one.__module__}.{one.__qualname__}" for one in types]


def _is_error(one: Any) -> bool:
    return isinstance(one, type) and issubclass(one, BaseException)
