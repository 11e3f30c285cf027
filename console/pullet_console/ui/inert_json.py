"""Answers as JSON that a browser can take, whatever strangers have put into Redis: long texts are cut."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

from starlette.responses import Response

TEXT = 300
LONG = {
    "traceback": 40_000,
    "error": 4_000,
    "result": 8_000,
    "args": 4_000,
    "kwargs": 4_000,
    "redis_cli": 4_000,
    "python": 8_000,
}
"""Characters of fields that people read in full."""


def plain(value: Any, most: int = TEXT) -> Any:
    """Dataclasses as dicts, texts cut, numbers that JSON has."""
    if isinstance(value, str):
        return value if len(value) <= most else f"{value[:most]}… ({len(value):,} characters)"
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {one.name: getattr(value, one.name) for one in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {plain(str(name)): plain(one, LONG.get(str(name), most)) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one, most) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, (int, float, bool)) or value is None else plain(str(value), most)


def dump(value: Any) -> str:
    """As text, in ASCII: a lone surrogate is no UTF-8."""
    return json.dumps(plain(value), separators=(",", ":"))


class Answer(Response):
    """A JSON answer."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return dump(content).encode()
