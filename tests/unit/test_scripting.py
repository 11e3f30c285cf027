"""The scripts' headers are true: what they name is what the text uses and what the typed functions give."""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pullet_broker import scripting
from pullet_broker.job import Entry, Job, new_client_id
from pullet_broker.keys import LANE_KEYS, PREFIXES
from pullet_broker.moves.cancel import cancel
from pullet_broker.moves.cycle import Outcome, claim, cycle, fail, give_back, reconcile
from pullet_broker.moves.dead import purge, replay
from pullet_broker.moves.emptying import empty
from pullet_broker.moves.finding import find, late, watch
from pullet_broker.moves.life import beat, forget, promote, reap, spill
from pullet_broker.moves.part import part
from pullet_broker.moves.progress import progress
from pullet_broker.moves.submit import submit
from pullet_broker.moves.survey import survey
from pullet_broker.parts import Packed
from pullet_broker.scripting import FOLDER, NAMES, Call, Script, assemble, key_names, load, read_header
from pullet_broker.settings import Queue

QUEUE = Queue(name="q")
CLIENT = "0" * 32
ENTRY = Entry(4, "1-0", "job", "work", b"", CLIENT, "")

CALLS: dict[str, Callable[[], Call[Any]]] = {
    "submit": lambda: submit(QUEUE, CLIENT, 1, 1, [Job("a", "work", b""), Job("b", "work", b"")]),
    "cycle": lambda: cycle(QUEUE, new_client_id(), [Outcome(ENTRY, b"")], 1, alone=True, high_first=False),
    "fail": lambda: fail(QUEUE, "w", Outcome(ENTRY, b""), retry_after_ms=None),
    "give_back": lambda: give_back(QUEUE, "w", [ENTRY]),
    "reap": lambda: reap(QUEUE, "w", blame=True),
    "reconcile": lambda: reconcile(QUEUE, "w", [ENTRY]),
    "promote": lambda: promote(QUEUE, "w"),
    "cancel": lambda: cancel(QUEUE, "job"),
    "forget": lambda: forget(QUEUE, "w"),
    "beat": lambda: beat(QUEUE, "w", 1, "{}", ["v"]),
    "survey": lambda: survey(QUEUE),
    "claim": lambda: claim(QUEUE, "w", ENTRY),
    "spill": lambda: spill(QUEUE, "w", "here"),
    "find": lambda: find(QUEUE, "job", "0-0"),
    "watch": lambda: watch(QUEUE, "job", CLIENT),
    "late": lambda: late(QUEUE, ["job"]),
    "part": lambda: part(QUEUE, "w", ENTRY, 0, [b"a", b"b"]),
    "progress": lambda: progress(QUEUE, "w", ENTRY, "1 1 0.5 text"),
    "replay": lambda: replay(QUEUE, "job"),
    "purge": lambda: purge(QUEUE, "job"),
    "empty": lambda: empty(QUEUE, 1),
}
REST = {"submit": 2 * 11, "cycle": 7, "give_back": 2, "reconcile": 2, "beat": 1, "part": 2, "late": 1}
"""How many ARGV each of them gives beyond the named ones."""

every_script = pytest.mark.parametrize("name", NAMES)


def source(name: str) -> str:
    return (FOLDER / f"{name}.lua").read_text()


def parts_of(name: str) -> list[str]:
    header = read_header(source(name))
    return header["USES"] + header["SELDOM"]


def test_each_script_has_a_file_and_each_file_is_a_script() -> None:
    assert sorted(NAMES) == sorted(file.stem for file in FOLDER.glob("*.lua"))
    assert set(CALLS) == set(NAMES)


def test_each_shared_part_is_used() -> None:
    used = {part for name in NAMES for part in parts_of(name)}
    assert used == {file.stem for file in (FOLDER / "shared").glob("*.lua")}


@every_script
def test_the_header_says_what_a_reader_needs(name: str) -> None:
    header = read_header(source(name))
    assert {"KEYS", "ARGV", "RETURNS", "ATOMIC"} <= set(header)
    assert source(name).startswith(f"-- {name}: ")


@every_script
def test_the_keys_in_the_header_are_those_in_the_text(name: str) -> None:
    named = {"lane" if key == "LANES" else key for key in load(name).keys}
    assert set(re.findall(r"\bkey\.(\w+)", assemble(name))) == named


@every_script
def test_the_arguments_in_the_header_are_those_in_the_text(name: str) -> None:
    assert set(re.findall(r"\barg\.(\w+)", assemble(name))) == set(load(name).args)


@every_script
def test_only_an_open_ended_script_reads_beyond_its_named_arguments(name: str) -> None:
    text = assemble(name)
    assert bool(re.search(r"\brest\b|\bARGV\b", text)) == load(name).open_ended
    assert not re.search(r"\bKEYS\b", text)


@every_script
def test_each_shared_part_that_a_script_names_is_needed(name: str) -> None:
    parts = parts_of(name)
    texts = {shared: (FOLDER / "shared" / f"{shared}.lua").read_text() for shared in parts}
    for name_of_part, text in texts.items():
        offered = re.findall(r"^local function (\w+)", text, re.MULTILINE)
        others = [source(name), *(other for key, other in texts.items() if key != name_of_part)]
        code = [re.sub("--.*", "", other) for other in others]
        assert any(re.search(rf"(?<![.'])\b{word}\b", other) for word in offered for other in code), name_of_part


@every_script
def test_all_but_those_that_bring_new_data_run_on_a_full_server(name: str) -> None:
    first = load(name).text.splitlines()[0]
    assert first == ("#!lua" if name in {"submit", "part", "progress", "replay"} else "#!lua flags=allow-oom")


@every_script
def test_a_call_gives_exactly_the_named_arguments(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[set[str]] = []
    arguments = Script.arguments

    def spy(script: Script, **named: Any) -> list[Any]:
        given.append(set(named))
        return arguments(script, **named)

    monkeypatch.setattr(Script, "arguments", spy)
    CALLS[name]()
    assert given == [set(load(name).args)]


@every_script
def test_a_call_is_a_command_with_the_keys_of_its_queue(name: str) -> None:
    call = CALLS[name]()
    command = call.command()
    assert command[:3] == ("EVALSHA", call.script.sha, len(call.keys))
    last = command[-1]
    count = len(command) - 1 + last.number if isinstance(last, Packed) else len(command)
    assert count == 3 + len(call.keys) + len(call.script.args) + REST.get(name, 0)
    lanes = len(LANE_KEYS) - 1 if "LANES" in call.script.keys else 0
    assert len(call.keys) == len(call.script.keys) + lanes
    assert all(key.startswith("pullet:{q}:") for key in call.keys)


def test_a_script_called_for_a_place_gets_its_lane_too() -> None:
    call = give_back(QUEUE.at("node-1"), "w", [ENTRY])
    assert call.keys == (*give_back(QUEUE, "w", [ENTRY]).keys, "pullet:{q}:jobs:at:node-1")


@every_script
def test_lanes_come_last_because_there_may_be_one_more(name: str) -> None:
    assert "LANES" not in load(name).keys[:-1]


@every_script
def test_keys_that_depend_on_an_entry_are_put_together_where_they_stand(name: str) -> None:
    kinds = re.findall(r"\b(\w+)_key\(", assemble(name))
    assert set(kinds) <= set(PREFIXES)
    assert load(name).text.count("KEYS[1]:match('^.-}:')") == len(kinds)


def test_lanes_stand_in_the_place_of_their_name() -> None:
    keys = QUEUE.keys
    assert key_names(keys, ["config", "LANES", "dead"]) == [keys.fixed("config"), *keys.lanes, keys.fixed("dead")]


def test_a_script_is_known_by_the_digest_of_its_text() -> None:
    script = load("forget")
    assert script.sha == hashlib.sha1(script.text.encode()).hexdigest()
    assert load("forget") is script


def test_the_named_arguments_come_in_the_order_of_the_header() -> None:
    script = Script("x", (), ("a", "b", "c"), False, "")
    assert script.arguments(c=3, a=1, b=2) == [1, 2, 3]
    with pytest.raises(KeyError):
        script.arguments(a=1, b=2)


def test_a_header_is_read_up_to_the_first_line_of_code() -> None:
    lines = ["-- x: what", "-- KEYS     config LANES (five)", "-- ARGV     a b ...", "--          more"]
    text = "\n".join([*lines, "local x", "-- USES     entry"])
    assert read_header(text) == {
        "KEYS": ["config", "LANES"],
        "ARGV": ["a", "b", "..."],
        "USES": [],
        "SELDOM": [],
        "OOM": [],
    }


@every_script
def test_the_server_gets_places_for_names_and_no_function_that_nobody_calls(name: str) -> None:
    text = load(name).text
    assert not re.search(r"\b(key|arg)\.|\brest\b|--", text)
    for function in re.findall(r"^local function (\w+)", text, re.MULTILINE):
        assert len(re.findall(rf"(?<!\.)\b{function}\b", text)) > 1, function


@every_script
def test_a_script_is_put_together_in_a_moment(name: str) -> None:
    """Callers and workers do it when they start, and for `reap` a lost job waits: it took 0.2 s when each function was
    looked for by a pattern of its own. Calls are counted, in Python and in C, because times differ."""
    load.__wrapped__(name)  # which compiles the patterns
    calls = 0

    def count(frame: object, event: str, arg: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        load.__wrapped__(name)
    finally:
        sys.setprofile(before)
    assert calls < 1_300


def test_what_few_calls_need_stands_where_the_script_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scripting, "FOLDER", tmp_path)
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "often.lua").write_text(
        "local function often() return key.lane[2] end\nlocal function never()\n  return 1\nend\n"
    )
    (tmp_path / "shared" / "rare.lua").write_text(
        "local function rare(i) return key.lane[i], arg.a, rest end -- a word\n"
    )
    lines = ["-- KEYS     config LANES", "-- ARGV     a ...", "-- USES     often", "-- SELDOM   rare"]
    (tmp_path / "x.lua").write_text(
        "\n".join([*lines, "local function seldom()", "  -- SELDOM", "  rare(1)", "end", "often(seldom)", ""])
    )
    first = "#!lua\nlocal KEYS,ARGV=KEYS,ARGV\nlocal key_lane={KEYS[2],KEYS[3],KEYS[4],KEYS[5],KEYS[6],KEYS[7]}\n"
    rare = "local function rare(i) return key_lane[i], ARGV[1], 2 end\n"
    often = "local function often() return KEYS[3] end\n"
    assert load.__wrapped__("x").text == f"{first}{often}local function seldom()\n{rare}  rare(1)\nend\noften(seldom)\n"
