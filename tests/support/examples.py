"""The examples in the docs: where they are, and what they take for granted."""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
AROUND = ("README.md", "CONTRIBUTING.md", "examples/README.md")
PAGES = sorted([*(ROOT / name for name in AROUND), *(ROOT / "docs").rglob("*.md")])
FENCED = re.compile(r'^```(\w*)(?: title="([^"\n]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
SHOWN = re.compile(r"\n\n?```\n(.*?)^```$", re.MULTILINE | re.DOTALL)
Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
ROOMS = ("broker", "client", "workers", "console")

GIVEN = """
import time
from collections.abc import Iterator
from typing import Any
import redis
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
import pullet
from pullet import Client
from pullet_console.reading.reader import Reader
from pullet_broker.address import Address
from pullet_broker.embedded import EmbeddedServer
from pullet_workers import Group, Part, Pool
from tests.support.readers import Cache, Crawler, Evaluator, Model, Ocr, Searcher

url: str
node_id: str
fen: str
fens: list[str]
board: str
path: str
move: str
batch: list[str]
address: Address
"""
"""What a reader has by then: their engines, and names for what they call them with."""

UNLESS_DEFINED = {
    "Chess": "from tests.support.readers import Chess",
    "Engine": "from tests.support.readers import Engine",
    "chess": "chess: Client[Chess]",
    "client": "client: Client[Chess]",
    "pool": "pool: Pool[Chess]",
}
"""The same, where the examples themselves do not define it."""


@dataclass(frozen=True)
class Example:
    """One block of code, and the line on which it begins."""

    file: Path
    line: int
    language: str
    text: str
    title: str = ""
    """The file that it is, as in ```python title="primes.py"."""
    shown: str | None = None
    """What it prints: the block without a language that follows it at once."""

    @property
    def place(self) -> str:
        return f"{self.file.relative_to(ROOT)}:{self.line}"


def fenced(page: Path) -> Iterator[Example]:
    """The fenced blocks of a page."""
    text = page.read_text()
    for match in FENCED.finditer(text):
        after = SHOWN.match(text, match.end())
        shown = after[1] if after and match[1] else None
        yield Example(page, text[: match.start(3)].count("\n") + 1, match[1], match[3], match[2] or "", shown)


def is_as_shown(said: str, shown: str) -> bool:
    """Is this what the page shows? `...` there stands for anything."""
    pattern = ".*".join(re.escape(part) for part in shown.strip().split("..."))
    return re.fullmatch(pattern, said.strip(), re.DOTALL) is not None


def documented() -> Iterator[Example]:
    """The indented blocks of docstrings that are Python. Others are tables and drawings."""
    for room in ROOMS:
        for file in sorted((ROOT / room).rglob("*.py")):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, Documented):
                    yield from _in_docstring(file, node)


def _in_docstring(file: Path, node: Documented) -> Iterator[Example]:
    text = ast.get_docstring(node)
    if text is None:
        return
    first = node.body[0].lineno
    for match in re.finditer(r"(?:^(?:    .*)?\n)*^    .*$", text, re.MULTILINE):
        code = textwrap.dedent(match[0]).strip("\n")
        if is_python(code):
            line = first + text[: match.start()].count("\n") + (len(match[0]) - len(match[0].lstrip("\n")))
            yield Example(file, line, "python", code + "\n")


def is_python(text: str) -> bool:
    try:
        return bool(ast.parse(text).body)
    except SyntaxError:
        return False
