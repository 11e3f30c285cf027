"""docs/inspect.md is true: each of its `redis-cli` lines runs here against a queue whose state is known."""

from __future__ import annotations

import ast
import os
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import ANY
from urllib.parse import unquote

import pytest

from pullet_broker.embedded import EmbeddedServer
from pullet_broker.link import Link
from pullet_broker.moves.cycle import Standing, cycle
from pullet_broker.server_binary import find_server
from pullet_broker.settings import SCHEMA
from tests.support.known import (
    ARGS,
    BEATS,
    BUSY,
    CHESS,
    ERROR,
    HOUR_MS,
    KEY,
    LARGE_ARGS,
    PLACE,
    RECORDS,
    REPLY,
    SILENT,
    Known,
    clean,
    fill,
)

PAGE = (Path(__file__).parents[2] / "docs" / "inspect.md").read_text()
COMMANDS = re.findall(r"^\s*(redis-cli .*)$", PAGE, re.MULTILINE)
SAMPLES = dict(re.findall(r"^```sh\n(redis-cli .*)\n```\n```\n((?:(?!```).*\n)+)```$", PAGE, re.MULTILINE))
"""Each command that has a block of its own, and the block after it: what the page says it prints."""


@pytest.fixture
def known(link: Link) -> Iterator[Known]:
    clean(link)
    filled = Known(link)
    fill(filled)
    yield filled
    clean(link)


# -- what each line must show


@dataclass
class Line:
    """What a command shows: a list of values in order, a set of values, pairs, or entries of a stream by their id."""

    shows: Any
    at: dict[str, str] = field(default_factory=dict)
    """What to put for the placeholders of the page."""
    more: bool = False
    """Other pairs may be shown as well: newer servers tell more."""
    before: tuple[Any, ...] = ()
    """A command to run before this one."""
    after: Callable[[], bool] = lambda: True
    """What must hold afterwards."""


def lines(known: Known) -> dict[str, Line]:
    """What the page shows, by command: without quotes, and with keys as in the table of `pullet_broker.keys`."""
    return {
        **lanes(known),
        **one_job(known),
        **waiting_elsewhere(known),
        **keyed(known),
        **workers_and_keys(known),
        **pausing(known),
    }


def lanes(known: Known) -> dict[str, Line]:
    at, last = known.entries, known.entries["given"]
    group = {"name": "workers", "consumers": 2, "pending": 2, "last-delivered-id": last, "lag": None}
    return {
        "TIME": Line([ANY, ANY], after=lambda: int(at["large"].partition("-")[0]) <= known.now_ms()),
        "XLEN jobs": Line([5]),
        "XPENDING jobs workers": Line([2, at["run"], at["run too"], BUSY, "1", SILENT, "1"]),
        "XPENDING jobs workers - + 10": Line([at["run"], BUSY, ANY, 1, at["run too"], SILENT, ANY, 1]),
        "XINFO GROUPS jobs": Line(group, more=True),
        "XRANGE jobs (<last-delivered-id> + COUNT 1": Line(
            {at["waiting"]: fields(known, "waiting")}, at={"last-delivered-id": last}
        ),
        # 3 normal, 1 high, 1 low, 1 given back, 1 suspect, 1 at its place, and the retry that is due
        "EVAL_RO ... 7 jobs:again jobs:suspect jobs:high jobs jobs:low delayed places": Line([9]),
    }


def one_job(known: Known) -> dict[str, Line]:
    jobs, at = known.jobs, known.entries
    issued = {at[name]: fields(known, name) for name in ("run", "run too", "waiting", "next", "large")}
    since = int(jobs["waiting"][:12], 16)
    recent = {entry: issued[entry] for entry in issued if int(entry.partition("-")[0]) >= since}
    return {
        "GET reply:<job>": Line([REPLY.decode("latin-1")], at={"job": jobs["finished"]}),
        "ZSCORE delayed <job>": Line([known.read("ZSCORE", "delayed", jobs["later"])], at={"job": jobs["later"]}),
        "XRANGE jobs <milliseconds> + COUNT 10": Line(recent, at={"milliseconds": str(since)}),
        "XRANGE jobs <entry> <entry>": Line({at["run"]: fields(known, "run")}, at={"entry": at["run"]}),
        "XPENDING jobs workers <entry> <entry> 1": Line([at["run"], BUSY, ANY, 1], at={"entry": at["run"]}),
        "STRLEN blob:<job>": Line([len(LARGE_ARGS)], at={"job": jobs["large"]}),
    }


def waiting_elsewhere(known: Known) -> dict[str, Line]:
    jobs, at = known.jobs, known.entries
    due = [known.read("ZSCORE", "delayed", jobs[name]) for name in ("retry", "later")]
    assert HOUR_MS - 60_000 < int(due[1]) - known.now_ms() <= HOUR_MS
    suspect = {**fields(known, "suspect"), "attempt": "2", "crashes": "1", "since": ANY, "errors": ANY}
    error = {"error": ERROR.decode("latin-1"), "worker": BUSY, "since": at["taken dead"].partition("-")[0]}
    error["errors"] = ANY  # its line is compared with the sample
    return {
        "ZRANGE delayed 0 -1 WITHSCORES": Line([jobs["retry"], due[0], jobs["later"], due[1]]),
        "HGET parked <job>": Line([known.read("HGET", "parked", jobs["later"])], at={"job": jobs["later"]}),
        "XRANGE jobs:suspect - + COUNT 10": Line({at["suspect"]: suspect}),
        "XLEN dead": Line([1]),
        "XREVRANGE dead + - COUNT 1": Line({at["dead"]: {**fields(known, "dead"), **error}}),
        "HGET buried <job>": Line([at["dead"]], at={"job": jobs["dead"]}),
    }


def fields(known: Known, name: str) -> dict[str, Any]:
    args = {"args": "", "blob": "1"} if name == "large" else {"args": ARGS.decode("latin-1")}
    return {"id": known.jobs[name], "method": "eval", "client": known.client, "opts": "", **args}


def keyed(known: Known) -> dict[str, Line]:
    return {
        "SMEMBERS places": Line({PLACE}),
        f"GET home:{KEY}": Line([PLACE]),
        f"XLEN jobs:at:{PLACE}": Line([1]),
    }


def workers_and_keys(known: Known) -> dict[str, Line]:
    return {
        "HGETALL workers": Line({BUSY: RECORDS[BUSY], SILENT: RECORDS[SILENT]}),
        "HGETALL beats": Line({BUSY: f"{BEATS}", SILENT: "1"}),
        "HGETALL missed": Line({BUSY: f"0 {BEATS}", SILENT: f"{BEATS - 1} 1"}),
        "HGETALL stats": Line(
            {"submitted": "14", "done": "1", "error": "1"}
            | {"dead": "1", "retried": "1", "recovered": "1", "given_back": "1"}
        ),
        "HGETALL config": Line({"schema": str(SCHEMA), "keyed": "1"}),
        "--scan --pattern *": Line(key_names(known)),
    }


def key_names(known: Known) -> set[str]:
    keys, fixed = CHESS.keys, "dead buried workers beats missed stats config delayed parked places"
    own = {keys.client(known.client), keys.inbox(known.client), keys.blob(known.jobs["large"])}
    return {
        *keys.lanes,
        *map(keys.fixed, fixed.split()),
        *own,
        keys.at(PLACE),
        keys.home(KEY),
        *(keys.reply(known.jobs[n]) for n in ("finished", "dead")),
    }


def pausing(known: Known) -> dict[str, Line]:
    def standing() -> Standing:
        return known.link.run(cycle(CHESS, BUSY, [], 1, alone=False, high_first=False)).standing

    paused = ("HSET", CHESS.keys.fixed("config"), "paused", 1)
    return {
        "HSET config paused 1": Line([1], after=lambda: standing() is Standing.PAUSED),
        "HDEL config paused": Line([1], before=paused, after=lambda: standing() is Standing.OK),
    }


# -- the page against the server


def what(command: str) -> str:
    """The name of a command in `lines`."""
    words = shlex.split(command)[1:]
    if words[0] == "EVAL_RO":
        words[1] = "..."
    return " ".join(words).replace(CHESS.keys.fixed(""), "")


@pytest.fixture(scope="module")
def cli() -> str:
    found = find_server().cli
    if found is None:
        reason = "no redis-cli or valkey-cli beside the server program"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return str(found)


@pytest.mark.parametrize("command", COMMANDS, ids=what)
def test_a_line_shows_what_the_page_says(command: str, known: Known, server: EmbeddedServer, cli: str) -> None:
    line = lines(known).get(what(command))
    assert line, f"nothing is known here of what `{command}` should show"
    if line.before:
        known.link.execute(*line.before)

    shown = run(typed(command, line.at), server, cli)

    assert in_form(values(shown), line) == line.shows, shown
    assert line.after()
    real = leaves(shown)
    wrong = [leaf for leaf in leaves(SAMPLES[command]) if not any(is_sample_of(leaf, other) for other in real)]
    assert not wrong, f"the sample on the page has {wrong}, the server shows\n{shown}"


def test_the_page_has_all_lines_each_in_a_block_with_its_sample(known: Known) -> None:
    assert sorted(map(what, COMMANDS)) == sorted(lines(known))
    assert set(COMMANDS) == set(SAMPLES)


def typed(command: str, at: dict[str, str]) -> list[str]:
    """The words of a command whose placeholders are filled in, as a shell reads them too."""
    for name, value in at.items():
        command = command.replace(f"<{name}>", value)
    words = shlex.split(command)
    shell = subprocess.run(["sh", "-c", rf"printf '%s\n' {command}"], capture_output=True, text=True, check=True)
    assert shell.stdout.splitlines() == words
    return words


def run(words: list[str], server: EmbeddedServer, cli: str) -> str:
    """What a person at a terminal sees."""
    socket = unquote(server.url.removeprefix("unix://"))
    command = [cli, "-s", socket, "--no-raw", *words[1:]]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=10, check=True)
    return done.stdout.decode("latin-1")


def leaves(shown: str) -> list[str]:
    """The lines without the numbers of nested lists in front, and without what differs from run to run."""
    shown = re.sub(r"^(\s+3\) \(integer\)) \d+$", r"\1 <idle>", shown, flags=re.MULTILINE)
    shown = re.sub(r"[0-9a-f]{32}", "<id>", shown)
    shown = re.sub(r"\d{13}(-\d+)?", "<milliseconds>", shown)
    shown = re.sub(r'"\d{10}"', "<seconds>", shown)
    return [bare(line) for line in shown.splitlines() if line.strip()]


def bare(line: str) -> str:
    return re.sub(r"^\s*(\d+\) +)*", "", line)


def is_sample_of(sample: str, real: str) -> bool:
    """Equal, or cut short with `...`."""
    return real.startswith(sample[:-3]) if sample.endswith("...") else real == sample


def values(shown: str) -> list[Any]:
    """The values of an answer, nested lists flattened: strings as latin-1, integers, None."""
    return [value(bare(line)) for line in shown.splitlines() if line.strip()]


def value(leaf: str) -> Any:
    if leaf.startswith('"'):
        return ast.literal_eval(f"b{leaf}").decode("latin-1")
    return None if leaf == "(nil)" else int(leaf.removeprefix("(integer) "))


def in_form(flat: list[Any], line: Line) -> Any:
    """The values as the line expects them: as they are, as a set, as pairs, or as entries with their pairs."""
    if isinstance(line.shows, set):
        return set(flat)
    if not isinstance(line.shows, dict):
        return flat
    if not isinstance(next(iter(line.shows.values())), dict):
        pairs = dict(zip(flat[::2], flat[1::2], strict=True))
        return {name: pairs.get(name) for name in line.shows} if line.more else pairs
    starts = [place for place, found in enumerate(flat) if re.fullmatch(r"\d{13}-\d+", str(found))]
    parts = [flat[start:end] for start, end in zip(starts, [*starts[1:], None], strict=True)]
    return {part[0]: dict(zip(part[1::2], part[2::2], strict=True)) for part in parts}
