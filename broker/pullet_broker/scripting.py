"""Load the Lua scripts and call them: from a file with a header to an EVALSHA command and a typed answer.

A script's header names its KEYS and ARGV once, for the reader and for the machine:

    -- KEYS     config workers LANES      (LANES stands for the five streams, and a sixth for a worker: its place's)
    -- ARGV     schema consumer ...       (... : more, described below it)
    -- USES     entry settle              (files of scripts/shared/, put in front)
    -- SELDOM   reissue                   (more of them, put where the line `-- SELDOM` stands, in a function)
    -- OOM      allow                     (runs on a full server too)

The script writes `key.config`, `key.lane[i]`, `arg.schema`, and `rest`, the place of the first of the others; the
server gets `KEYS[1]`, `ARGV[1]`: tables of them would be made anew in every call. So would all functions, which is why
those that a script does not call are left out. `at_key(place)` and `home_key(key)` build the keys that depend on what
an entry says; `keys.py` knows them all.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Any, Generic, TypeAlias, TypeVar

from pullet_broker.keys import LANE_KEYS, PREFIXES, Keys
from pullet_broker.parts import Buffer, Packed, Parts

T = TypeVar("T")
Arg: TypeAlias = "str | int | float | Buffer | Parts | Packed"
Command: TypeAlias = "tuple[Arg, ...]"

FOLDER = Path(__file__).parent / "scripts"

NAMES = (
    "submit",
    "cycle",
    "fail",
    "give_back",
    "reap",
    "reconcile",
    "promote",
    "cancel",
    "forget",
    "beat",
    "survey",
    "claim",
    "spill",
    "find",
    "watch",
    "late",
    "part",
    "progress",
    "replay",
    "purge",
    "empty",
)

FOR_OTHERS = ("submit", "cancel", "find", "watch", "late", "survey")
"""What clients and the console call: workers load these too, for accounts that may load none."""


@dataclass(frozen=True, eq=False)
class Script:
    """One Lua script: its text as the server gets it, and the names of its KEYS and ARGV."""

    name: str
    keys: tuple[str, ...]
    args: tuple[str, ...]
    open_ended: bool
    text: str

    @cached_property
    def sha(self) -> str:
        return hashlib.sha1(self.text.encode()).hexdigest()

    def arguments(self, **named: Arg) -> list[Arg]:
        """The named ARGV in the order of the header."""
        return list(map(named.__getitem__, self.args))


@dataclass(slots=True)  # not frozen: a lone job makes two, and each would take 0.6 us more
class Call(Generic[T]):
    """One call of a script, built without I/O; `parse` turns the raw reply into the answer."""

    script: Script
    keys: Sequence[str]
    args: Sequence[Arg]
    parse: Callable[[Any], T]
    drafts: Sequence[Command] = ()
    """To be sent just before it: large values that it refers to, see `drafts`."""

    def command(self) -> Command:
        return ("EVALSHA", self.script.sha, len(self.keys), *self.keys, *self.args)


@cache
def load(name: str) -> Script:
    """The script `scripts/<name>.lua`, with the shared parts it uses."""
    header = read_header((FOLDER / f"{name}.lua").read_text())
    keys, args = tuple(header["KEYS"]), header["ARGV"]
    open_ended = args[-1:] == ["..."]
    args = args[:-1] if open_ended else args
    flags = " flags=allow-oom" if header["OOM"] == ["allow"] else ""
    text = f"#!lua{flags}\n{_resolved(assemble(name), keys, args)}"
    return Script(name, keys, tuple(args), open_ended, text)


def assemble(name: str) -> str:
    """The code of a script with its shared parts, without comments, and without functions that it does not call."""
    source = (FOLDER / f"{name}.lua").read_text()
    header = read_header(source)
    code = re.sub(r"^ *-- SELDOM$", lambda _: _shared(header["SELDOM"]), source, flags=re.MULTILINE)
    code = re.sub(r" *--.*", "", _shared(header["USES"]) + code)
    return _without_idle(re.sub(r"\n\s*\n+", "\n", code))


def _without_idle(code: str) -> str:
    """Without the functions that nothing calls, and those that only they call."""
    while True:
        uses = Counter(_NAMES.findall(code))
        idle = [found for found in _FUNCTIONS.finditer(code) if uses[found[1]] == 1]
        if not idle:
            return code
        for found in reversed(idle):  # so that the places of those before it stay right
            code = code[: found.start()] + code[_end_of_function(code, found) :]


def _end_of_function(code: str, head: re.Match[str]) -> int:
    """Behind its line, where that is all of it, else behind the next line that is its `end`."""
    line_end = code.index("\n", head.end())
    is_all = _ENDS.search(code, head.start(), line_end)
    return line_end + 1 if is_all else code.index("\nend\n", line_end) + len("\nend\n")


_FUNCTIONS = re.compile(r"^local function (\w+)\(", re.MULTILINE)
_NAMES = re.compile(r"(?<!\.)\b\w+")  # not those of fields
_ENDS = re.compile(r"\bend$")


def _shared(parts: Sequence[str]) -> str:
    return "".join((FOLDER / "shared" / f"{part}.lua").read_text() for part in parts)


def read_header(source: str) -> dict[str, list[str]]:
    """The `-- NAME  words` lines at the top of a script, comments in brackets left out."""
    found: dict[str, list[str]] = {"KEYS": [], "ARGV": [], "USES": [], "SELDOM": [], "OOM": []}
    for line in source.splitlines():
        if not line.startswith("--"):
            break
        if match := re.match(r"-- ([A-Z]+)\s+([^(]*)", line):
            found[match[1]] = match[2].split()
    return found


def key_names(keys: Keys, names: Sequence[str]) -> list[str]:
    """The keys that a header names."""
    found: list[str] = []
    for name in names:
        found.extend(keys.lanes if name == "LANES" else [keys.fixed(name)])
    return found


@lru_cache(maxsize=1024)
def fixed_keys(script: Script, keys: Keys) -> tuple[str, ...]:
    """`key_names` of a script whose KEYS are all fixed ones; remembered, because they never change."""
    return tuple(key_names(keys, script.keys))


def _resolved(code: str, keys: Sequence[str], args: Sequence[str]) -> str:
    """With the places of KEYS and ARGV for their names, and keys that depend on an entry put together where they stand.

    Raises `KeyError` for a name that is not in the header.
    """
    key = {name: f"KEYS[{place}]" for place, name in enumerate(keys, 1)}
    arg = {name: f"ARGV[{place}]" for place, name in enumerate(args, 1)}
    if "LANES" in keys:
        lane = [f"KEYS[{len(keys) + number}]" for number in range(len(LANE_KEYS) + 1)]  # no sixth without a place
        code = re.sub(r"\bkey\.lane\[(\d)\]", lambda found: lane[int(found[1]) - 1], code)
        code, looked_up = re.subn(r"\bkey\.lane\b", "key_lane", code)
        code = f"local key_lane={{{','.join(lane)}}}\n{code}" if looked_up else code
    code = re.sub(r"\bkey\.(\w+)", lambda found: key[found[1]], code)
    code = re.sub(r"\barg\.(\w+)", lambda found: arg[found[1]], code)
    code = re.sub(r"\brest\b", str(len(args) + 1), code)
    build = rf"\b({'|'.join(PREFIXES)})_key\(([^()]*)\)"
    code = re.sub(build, lambda found: f"(KEYS[1]:match('^.-}}:')..'{PREFIXES[found[1]]}'..{found[2]})", code)
    return f"local KEYS,ARGV=KEYS,ARGV\n{code}"  # what is local is found in half the time
