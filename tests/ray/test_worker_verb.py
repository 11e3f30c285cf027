"""`pullet worker`: a pool without a program of one's own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

import pullet
from pullet_broker.address import Address
from pullet_broker.link import Link
from pullet_broker.settings import Queue


def start(engine: str, queue: Queue, address: Address) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "pullet_console.cli", "worker", engine, "--queue", queue.name, "--workers", "2"]
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    return subprocess.Popen(
        command,
        env=environment | {"PULLET_REDIS": address.url},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.mark.slow
def test_it_serves_callers_and_drains_when_it_is_stopped(queue: Queue, address: Address, link: Link) -> None:
    process = start("tests.ray.engines:Echo", queue, address)
    assert process.stdout is not None
    with pullet.connect(None, address, queue=queue) as client:
        assert client.submit("say", "hi").result(60) == "hi"
        assert f"take jobs from queue '{queue.name}'" in process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    assert "draining" in process.stdout.read()
    assert link.execute("HLEN", queue.keys.fixed("workers")) == 0


@pytest.mark.slow
def test_an_engine_that_is_not_there_is_one_clear_error(queue: Queue, address: Address) -> None:
    process = start("tests.ray.engines:Nobody", queue, address)
    _, text = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "Nobody" in text
