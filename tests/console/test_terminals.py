"""The installed command in a terminal: 80 columns, 40 columns, without colours, interrupted."""

from __future__ import annotations

import subprocess

from pullet_broker.address import Address
from tests.console.conftest import Life
from tests.support.terminal import PULLET, Terminal


def verbs(life: Life) -> list[list[str]]:
    return [
        ["status"],
        ["status", life.name, "--json"],
        ["jobs", "ls", life.name],
        ["jobs", "show", life.running],
        ["dead", "ls", life.name],
        ["dead", "ls", life.name, "--grouped"],
        ["dead", "show", life.dead],
        ["workers", "ls", life.name],
        ["check", life.name],
    ]


def in_terminals(life: Life, address: Address, columns: int) -> list[Terminal]:
    """All verbs that look, at once."""
    shown = [Terminal(*verb, columns=columns, env={"PULLET_REDIS": address.url}) for verb in verbs(life)]
    for one in shown:
        assert one.end() == 0, one.text
    return shown


def tables(shown: list[Terminal]) -> list[str]:
    """The lines of tables: those from a line of titles on, as far as their first column goes on."""
    found = []
    for one in shown:
        titles = [i for i, line in enumerate(one.lines) if line[:5] in ("QUEUE", "JOB  ", "WORKE", "COUNT")]
        found += [line for i in titles for line in one.lines[i : i + 2]]
    return found


def test_tables_fit_into_80_columns(life: Life, address: Address) -> None:
    lines = tables(in_terminals(life, address, 80))
    assert len(lines) >= 10
    assert max(len(line.rstrip()) for line in lines) <= 80
    assert any("DEAD" in line for line in lines)


def test_tables_fit_into_40_columns(life: Life, address: Address) -> None:
    lines = tables(in_terminals(life, address, 40))
    assert max(len(line.rstrip()) for line in lines) <= 40
    assert any("WAITING" in line for line in lines)
    assert any(life.running in line for line in lines), "an id is of no use when it is cut"


def test_colours_only_on_a_terminal_and_not_with_no_color(life: Life, address: Address) -> None:
    env = {"PULLET_REDIS": address.url}
    coloured, plain = (
        Terminal("status", columns=80, env=env),
        Terminal("status", columns=80, env=env | {"NO_COLOR": "1"}),
    )
    assert (coloured.end(), plain.end()) == (0, 0)
    assert "\x1b[31m" in coloured.text  # the dead letters
    assert "\x1b[3" not in plain.text
    piped = subprocess.run([PULLET, "status", "--redis", address.url], capture_output=True, text=True, check=True)
    assert "\x1b" not in piped.stdout


def test_top_is_live_until_it_is_interrupted(life: Life, address: Address) -> None:
    shown = Terminal("top", life.name, "--interval", "0.1", columns=80, env={"PULLET_REDIS": address.url})
    shown.read_until(lambda text: "hold" in text and text.count("gpu3") >= 3)
    shown.interrupt()
    assert shown.end() == 0
    piped = subprocess.run([PULLET, "top", "--redis", address.url], capture_output=True, text=True)
    assert (piped.returncode, piped.stderr.splitlines()[-1]) == (2, "try: pullet status --watch")


def test_status_watches_until_it_is_interrupted(life: Life, address: Address) -> None:
    env = {"PULLET_REDIS": address.url}
    shown = Terminal("status", life.name, "--watch", "--interval", "0.1", columns=80, env=env)
    shown.read_until(lambda text: text.count("DONE/s") >= 3 and "0.0" in text)
    shown.interrupt()
    assert shown.end() == 0


def test_a_question_on_a_terminal(life: Life, address: Address) -> None:
    env = {"PULLET_REDIS": address.url}
    shown = Terminal("queue", "purge", life.name, columns=80, env=env)
    shown.read_until(lambda text: "[y/N]" in text)
    shown.type("n\n")
    assert shown.end() == 130
    assert life.client.job(life.waiting).state == "waiting"
