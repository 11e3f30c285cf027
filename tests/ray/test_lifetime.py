"""How pools begin and end: with nothing running, with Ctrl-C, with `kill -9` of their owner."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.leaks import wait_until

MARK = "PULLET_TEST_MARK"

SCRIPT = """
import json, os, time
from pullet_workers import Pool
from tests.ray.engines import Echo

pool = Pool(Echo, workers=2)
print(json.dumps([pool.submit(Echo.say, "hi").result(20), pool.redis]), flush=True)
{then}
"""

BUSY = """with pool:
    pool.submit(Echo.started, 600)
    print("busy", flush=True)
    time.sleep(600)
"""


def start(then: str, mark: str) -> subprocess.Popen[str]:
    environment = {name: value for name, value in os.environ.items() if name not in ("PULLET_REDIS", "RAY_ADDRESS")}
    return subprocess.Popen(
        [sys.executable, "-W", "error::UserWarning", "-c", SCRIPT.format(then=then)],
        env=environment | {MARK: mark, "PYTHONPATH": os.getcwd()},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def marked(mark: str) -> list[str]:
    """Processes that carry the mark in their environment: everything the script has started.

    Left out are Ray's own services, some of which notice the end of a killed cluster only after half a minute.
    """
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"{MARK}={mark}".encode() in (folder / "environ").read_bytes():
                found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()[:90])
        except OSError:
            continue  # it ended meanwhile, or is not ours
    services = ("ray::DashboardAgent", "ray::RuntimeEnvAgent", "/site-packages/ray/")
    return [name for name in found if not any(service in name for service in services)]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks for processes in /proc")
class TestNothingIsLeft:
    def answer(self, process: subprocess.Popen[str]) -> str:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, process.stderr and process.stderr.read()
        said, url = json.loads(line)
        assert said == "hi"
        return str(url)

    def test_when_the_with_block_ends(self) -> None:
        process = start("with pool: pass", "ends")
        url = self.answer(process)
        assert process.wait(60) == 0
        assert wait_until(lambda: not marked("ends"), 20), marked("ends")
        assert not Path(url.removeprefix("unix://")).exists()

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_when_it_is_interrupted(self, number: int) -> None:
        process = start(BUSY, "interrupted")
        self.answer(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "busy\n"
        process.send_signal(number)
        assert process.wait(60) != 0
        assert wait_until(lambda: not marked("interrupted"), 30), marked("interrupted")

    def test_when_its_owner_is_killed(self) -> None:
        process = start("time.sleep(600)", "killed")
        self.answer(process)
        process.kill()
        process.wait()
        assert wait_until(lambda: not marked("killed"), 30), marked("killed")

    def test_when_the_script_forgets_to_close_it(self) -> None:
        process = start("pass", "forgotten")
        self.answer(process)
        assert process.wait(60) == 0
        assert wait_until(lambda: not marked("forgotten"), 30), marked("forgotten")
