"""What all verbs have in common: help, errors, exit codes, where settings come from, completion."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import pullet as library
from pullet_broker.errors import QueueFull, ServerFull, ServerMissing, ServerRefused, ServerUnavailable
from pullet_console.cli import VERBS
from pullet_console.commands.submit import read_call
from pullet_console.commands.workers import read_scale
from pullet_console.configuration import settings_of
from pullet_console.refusals import refusal_of
from pullet_console.screen import Column, age, size, table
from tests.console.conftest import Pullet

INSTALLED = Path(sys.executable).with_name("pullet")


def test_the_installed_command_says_its_version() -> None:
    done = subprocess.run([INSTALLED, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"pullet, version {library.__version__}\n"


def test_help_loads_nothing_heavy() -> None:
    code = "import sys; sys.argv = ['pullet', '--help']\nfrom pullet_console.cli import main\n"
    code += "try: main()\nfinally: print('LOADED', *{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.rpartition("LOADED")[2].split())
    assert "click" in loaded
    assert not loaded & {"redis", "rich", "ray", "numpy", "asyncio", "starlette"}


def test_help_is_instant() -> None:
    """Under 0.3 s of CPU time, in the best of several runs: whatever else runs on the machine only ever adds."""
    seen = []
    for _ in range(10):
        before = os.times()
        subprocess.run([INSTALLED, "--help"], capture_output=True, check=True)
        after = os.times()
        seen.append(after.children_user + after.children_system - before.children_user - before.children_system)
        if seen[-1] < 0.3:
            return
    raise AssertionError(f"pullet --help takes {seen} s")


def test_every_verb_helps(pullet: Pullet) -> None:
    listed = pullet("--help").out
    for verb in VERBS:
        assert verb in listed
        for flag in ("-h", "--help"):
            assert f"Usage: pullet {verb}" in pullet(verb, flag).out


@pytest.mark.parametrize("words", [["bogus"], ["status", "--bogus"], ["jobs"], ["jobs", "bogus"], ["submit"], []])
def test_wrong_usage_is_2_and_names_the_help(pullet: Pullet, words: list[str]) -> None:
    shown = pullet(*words)
    assert shown.code == 2
    assert "--help" in (shown.err + shown.out)


def test_no_server_named_is_3(pullet: Pullet) -> None:
    shown = pullet("status", env={"PULLET_REDIS": None})
    assert shown.code == 3
    assert shown.err.splitlines()[-1] == "try: export PULLET_REDIS=redis://127.0.0.1:6379/0"


@pytest.mark.parametrize("verb", [["status"], ["jobs", "ls"], ["submit", "q", "m"], ["dead", "ls", "q"], ["check"]])
def test_no_server_there_is_3(pullet: Pullet, verb: list[str]) -> None:
    shown = pullet(*verb, "--redis", "redis://:geheim@127.0.0.1:1/0")
    assert shown.code == 3
    assert shown.err.splitlines()[-1] == "try: pullet doctor"
    assert "geheim" not in shown.err


@pytest.mark.parametrize(
    ("error", "code", "then"),
    [
        (ServerUnavailable("x"), 3, "pullet doctor"),
        (ServerRefused("x"), 3, "pullet doctor"),
        (ServerMissing("x"), 1, 'pip install "pullet[embedded]"'),
        (ServerFull("x"), 1, "pullet status"),
        (QueueFull("x"), 1, "pullet status"),
        (ConnectionError("of Ray"), 1, "pullet doctor"),
    ],
)
def test_each_error_has_a_code_and_a_next_command(error: Exception, code: int, then: str) -> None:
    refusal = refusal_of(error)
    assert refusal is not None
    assert (refusal.code, refusal.then) == (code, then)


def test_a_bug_is_not_taken_for_a_refusal() -> None:
    assert refusal_of(KeyError("x")) is None


def test_a_queue_that_is_not_there(pullet: Pullet) -> None:
    shown = pullet("jobs", "ls", "nobody")
    assert (shown.code, shown.err.splitlines()[-1]) == (1, "try: pullet status")
    assert pullet("jobs", "ls", "a/b").code == 1


def test_settings_come_from_flag_then_environment_then_file(pullet: Pullet, tmp_path: Path) -> None:
    (tmp_path / "pullet.toml").write_text('redis = "redis://127.0.0.1:3"\n')

    def asked(*args: str, env: str | None = None) -> str:
        return pullet("status", *args, env={"PULLET_REDIS": env}).err

    assert "127.0.0.1:3" in asked()
    assert "127.0.0.1:2" in asked(env="redis://127.0.0.1:2")
    assert "127.0.0.1:1" in asked("--redis", "redis://127.0.0.1:1", env="redis://127.0.0.1:2")


def test_pyproject_is_read_from_below(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.pullet]\nqueue = "chess"\nredis_password_file = "secret"\n')
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    (below / "pyproject.toml").write_text("[project]\n")
    assert settings_of(str(below)) == {"queue": "chess", "redis_password_file": str(tmp_path / "secret")}


@pytest.mark.parametrize("text", ["redis = ", 'colour = "red"', 'redis_password = "x"'])
def test_a_file_that_is_wrong_is_told(pullet: Pullet, tmp_path: Path, text: str) -> None:
    (tmp_path / "pullet.toml").write_text(text)
    shown = pullet("status", env={"PULLET_REDIS": None})
    assert shown.code == 2
    assert "pullet.toml" in shown.err


def test_calls_are_json_or_text() -> None:
    assert read_call(("1", "8/8 w", '"1"', "depth=15", "mode=fast", "null", '"a=b"')) == (
        [1, "8/8 w", "1", None, "a=b"],
        {"depth": 15, "mode": "fast"},
    )


def test_scales() -> None:
    assert [read_scale(text) for text in ("4", "0..8", "per-node")] == [4, (0, 8), "per-node"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0121, "12ms"), (4.71, "4.7s"), (192, "3m12s"), (7500, "2h05m"), (273600, "3d04h"), (None, "-")],
)
def test_ages_are_short(seconds: float | None, text: str) -> None:
    assert age(seconds) == text


@pytest.mark.parametrize(("number", "text"), [(0, "0 B"), (3_100_000, "3.1 MB"), (250_000, "250 kB"), (None, "-")])
def test_sizes_are_short(number: int | None, text: str) -> None:
    assert size(number) == text


def test_columns_go_by_rank_where_it_is_narrow() -> None:
    columns = [Column("QUEUE"), Column("MIDDLE", rank=1), Column("LAST", rank=2)]
    rows = [["chess", "x" * 10, "y" * 10]]
    assert [str(one.header) for one in table(columns, rows, 80).columns] == ["QUEUE", "MIDDLE", "LAST"]
    assert [str(one.header) for one in table(columns, rows, 20).columns] == ["QUEUE", "MIDDLE"]
    assert [str(one.header) for one in table(columns, rows, 3).columns] == ["QUEUE"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete(shell: str) -> None:
    env = os.environ | {"_PULLET_COMPLETE": f"{shell}_source"}
    script = subprocess.run([INSTALLED], env=env, capture_output=True, text=True).stdout
    assert "_PULLET_COMPLETE" in script
    words = {
        "COMP_WORDS": "pullet jo",
        "COMP_CWORD": "jo" if shell == "fish" else "1",
        "_PULLET_COMPLETE": f"{shell}_complete",
    }
    done = subprocess.run([INSTALLED], env=os.environ | words, capture_output=True, text=True).stdout
    assert "jobs" in done
