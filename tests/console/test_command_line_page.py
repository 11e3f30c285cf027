"""docs/command-line.md: every command of it runs, and answers with the lines of titles that the page shows."""

from __future__ import annotations

import re
import shlex
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pullet import Client
from pullet_broker.address import Address
from pullet_broker.embedded import EmbeddedServer
from pullet_broker.settings import Queue
from pullet_console.cli import VERBS
from tests.console.conftest import Pullet
from tests.support.workers import running

PAGE = (Path(__file__).parents[2] / "docs" / "command-line.md").read_text()
BLOCKS = re.findall(r"```sh\n(.*?)```\n(?:```\n(.*?)```\n)?", PAGE, re.DOTALL)


class Chess:
    """The engine of the page; a job at depth 400 runs until the test ends."""

    def __init__(self) -> None:
        self.busy, self.over = threading.Semaphore(0), threading.Event()

    def eval(self, fen: str, depth: int = 12) -> int:
        if "K" not in fen:
            raise ValueError("no white king")
        if depth == 400:
            self.busy.release()
            self.over.wait(60)
        return 34

    def lines(self, fen: str) -> Iterator[dict[str, int]]:
        for depth in range(1, 4):
            yield {"depth": depth, "cp": 30 + depth}


FEN = "8/8/8/4k3/8/8/4P3/4K3 w - -"


@pytest.fixture
def chess() -> Iterator[str]:
    """The queue of the page: two jobs run, some wait, one is delayed, two are dead; a third worker is free."""
    with EmbeddedServer.start() as server:
        address, queue, engine = Address(server.url), Queue(name="chess"), Chess()
        with Client(Chess, queue, address) as client:
            futures = [client.submit("eval", FEN, depth=400) for _ in range(2)]
            with (
                running(queue, address, lambda: engine, name="chess-4f1a"),
                running(queue, address, lambda: engine, name="chess-9c20"),
            ):
                for _ in futures:
                    assert engine.busy.acquire(timeout=10)
                with running(queue, address, lambda: engine, name="chess-77aa"):
                    for future in [client.submit("eval", "8/8/8/4k3/8/8/8/8 w - -") for _ in range(2)]:
                        assert future.exception(10)
                    delayed = client.options(delay=3600).submit("eval", FEN)
                    assert client.flush(10)
                    yield server.url
                    delayed.cancel()
                    engine.over.set()


@pytest.mark.slow
def test_every_command_runs_and_answers_as_shown(pullet: Pullet, chess: str) -> None:
    assert len(BLOCKS) >= 12
    for commands, sample in BLOCKS:
        for command in commands.splitlines():
            shown = pullet(*shlex.split(command)[1:], env={"PULLET_REDIS": chess})
            assert shown.code == 0, f"{command}: {shown.err}"
        for title in re.findall(r"^(?:QUEUE|JOB|WORKER|COUNT) .*$", sample, re.MULTILINE):
            assert title.split() == [word for word in shown.out.split() if word in title.split()][: len(title.split())]
        if sample.startswith(("{", "34", "2 jobs")):
            assert shown.out == sample


def test_every_verb_is_told_of() -> None:
    for verb in set(VERBS) - {"demo", "ui"}:
        assert f"pullet {verb}" in PAGE, verb
