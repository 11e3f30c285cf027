"""`pullet dev`: server, Ray and pool in one process; a saved file starts the pool anew, and no job is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import pullet
from pullet_broker.address import Address
from pullet_broker.settings import Queue
from tests.support.leaks import wait_until

ENGINE = """
class Greeter:
    def greet(self, name):
        return f"{greeting} {{name}}"
"""


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.filterwarnings("ignore:nothing is persisted")
def test_it_serves_and_starts_anew_on_save(queue: Queue, address: Address, tmp_path: Path) -> None:
    module = tmp_path / "greeter_of_the_test.py"
    module.write_text(ENGINE.format(greeting="hello"))
    command = [sys.executable, "-m", "pullet_console.cli", "dev", "greeter_of_the_test:Greeter"]
    command += ["--queue", queue.name, "--redis", address.url, "--no-ui"]
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    log = (tmp_path / "log").open("w+")
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        with pullet.connect(None, address, queue=queue) as client:
            assert client.submit("greet", "you").result(90) == "hello you"
            module.write_text(ENGINE.format(greeting="good day"))
            assert wait_until(lambda: client.submit("greet", "you").result(60) == "good day you", 90)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    finally:
        process.kill()
        log.seek(0)
        print(log.read())
    log.seek(0)
    assert "saved; the pool starts anew" in log.read()
    log.close()
