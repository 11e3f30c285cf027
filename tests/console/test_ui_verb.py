"""`pullet ui` through its real entry point, in a process of its own."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

from pullet_broker.address import Address
from tests.console.conftest import Pullet


def test_it_serves_until_it_is_told_to_stop(address: Address, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pullet_console.cli", "ui", "--redis", address.url, "--port", "0"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        line = process.stdout.readline()
        assert "reads only" in line
        url = re.search(r"http://127\.0\.0\.1:\d+/", line)
        assert url, line
        with urlopen(url[0], timeout=20) as page:
            assert b"<title>pullet</title>" in page.read()
        with urlopen(f"{url[0]}metrics", timeout=20) as page:
            assert b"pullet_redis_up" in page.read()
        live = urlopen(f"{url[0]}api/live", timeout=20)  # an open page does not keep it from ending
        assert live.readline() == b"event: start\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) in (0, -signal.SIGTERM)
        live.close()
    finally:
        process.kill()
        process.wait()


def test_beyond_this_machine_it_needs_a_token(pullet: Pullet) -> None:
    ran = pullet("ui", "--host", "0.0.0.0")
    assert ran.code == 2
    assert "PULLET_UI_TOKEN" in ran.err
    assert "try: pullet ui --help" in ran.err


def test_without_a_server_it_says_so(pullet: Pullet) -> None:
    ran = pullet("ui", "--redis", "redis://127.0.0.1:1/0")
    assert ran.code == 3
    assert "127.0.0.1:1" in ran.err


def test_a_port_that_is_taken_is_told(pullet: Pullet) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ran = pullet("ui", "--port", str(taken.getsockname()[1]))
    assert ran.code == 2
    assert "--port" in ran.err
