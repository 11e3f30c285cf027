"""The command line as people meet it: its real entry point, on a real server."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from pullet import Client
from pullet_broker.address import Address
from pullet_broker.link import Link
from pullet_broker.settings import Queue
from pullet_console.cli import main
from tests.support.scribe import Scribe
from tests.support.workers import Kit, calling, running


@dataclass
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.code == 0, self.err
        return json.loads(self.out)


Pullet = Callable[..., Ran]


@pytest.fixture
def scribe(link: Link, queue: Queue) -> Scribe:
    return Scribe(link, queue)


@pytest.fixture
def pullet(address: Address, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pullet:
    """Runs the command in this process, in a folder that is empty, with the test's server as PULLET_REDIS."""
    monkeypatch.chdir(tmp_path)

    def run(*args: str, env: dict[str, str | None] | None = None, **more: Any) -> Ran:
        monkeypatch.setattr("sys.argv", ["pullet", *args])  # an error says what to type: the same, and a word more
        given = {"PULLET_REDIS": address.url, "PULLET_QUEUE": None, "RAY_ADDRESS": None, "COLUMNS": None, **(env or {})}
        done = CliRunner().invoke(main, list(args), prog_name="pullet", env=given, **more)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return Ran(done.exit_code, done.stdout, done.stderr)

    return run


@dataclass
class Life:
    """A queue with a worker that holds a job, jobs that wait, a delayed one and a dead letter."""

    queue: Queue
    client: Client[Any]
    kit: Kit
    running: str
    waiting: str
    delayed: str
    dead: str
    done: str

    @property
    def name(self) -> str:
        return self.queue.name


@pytest.fixture
def life(queue: Queue, address: Address) -> Iterator[Life]:
    kit = Kit()
    with running(queue, address, kit, name="gpu3"), calling(queue, address) as client:
        done = client.options(keep=True).submit("echo", "well")
        assert done.result(10) == "well"
        dead = client.submit("boom", "no white king")
        assert dead.exception(10)
        held = client.submit("hold", 3)
        assert kit.started.wait(10)
        waiting = [client.submit("fail_first", "depth", 0) for _ in range(3)]
        delayed = client.options(delay=3600).submit("echo", "later")
        assert client.flush(10)
        yield Life(queue, client, kit, held.job_id, waiting[0].job_id, delayed.job_id, dead.job_id, done.job_id)
        kit.go.set()
        held.result(10)
