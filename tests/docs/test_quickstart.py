"""docs/quickstart.md: its files are written, its commands typed, in two terminals, and they print what it shows."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.examples import ROOT, fenced, is_as_shown
from tests.support.leaks import wait_until
from tests.support.pages import OF_RAY, environment, start

pytestmark = [pytest.mark.docs, pytest.mark.ray, pytest.mark.xdist_group("ray"), pytest.mark.timeout(300)]

PAGE = ROOT / "docs" / "quickstart.md"
SERVER = r"redis://127\.0\.0\.1:\d+/0"


@contextmanager
def terminal(command: str, folder: Path) -> Iterator[str]:
    """A command that goes on beside the others; the address of the server that it prints. Ctrl-C ends it."""
    said = folder / "terminal.txt"
    with said.open("w") as out:
        process = subprocess.Popen(
            command.split(), cwd=folder, env=environment(), stdout=out, stderr=out, start_new_session=True
        )
    try:
        assert wait_until(lambda: "take jobs from queue" in said.read_text(), 120), said.read_text()
        found = re.search(SERVER, said.read_text())
        assert found
        yield found[0]
    finally:
        process.send_signal(signal.SIGINT)
        try:
            assert process.wait(90) == 0
        finally:
            process.kill()


def test_its_files_and_commands_do_what_it_shows(tmp_path: Path) -> None:
    blocks = list(fenced(PAGE))
    for file in blocks:
        if file.language == "python":
            (tmp_path / file.title).write_text(file.text)
    typed = [one for one in blocks if one.language == "sh"]
    (first,) = (one for one in typed if one.title == "terminal 1")
    alone, later = typed[: typed.index(first)], typed[typed.index(first) + 1 :]
    for one in alone:
        said = OF_RAY.sub("", start(["bash", "-ec", one.text], tmp_path, 120))
        assert is_as_shown(said, one.shown or "nothing is shown"), f"{one.place} prints\n{said}"
    with terminal(first.text, tmp_path) as server:
        exported = re.sub(SERVER, server, next(line for line in later[0].text.splitlines() if "export" in line))
        for one in later:
            text = re.sub(SERVER, server, one.text)
            said = start(["bash", "-ec", f"{exported}\n{text}"], tmp_path, 60)
            assert is_as_shown(said, one.shown or "nothing is shown"), f"{one.place} prints\n{said}"
