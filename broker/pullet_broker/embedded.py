"""A private Redis or Valkey server for one process: nothing to install as a service, nothing left behind.

    with EmbeddedServer.start() as server:
        redis.Redis.from_url(server.url)

The server lives exactly as long as its owner, the process that started it, however that ends:

    owner  --pipe-->  supervisor (sh)  -->  server
                           +-------------->  watch: reads the pipe, kills the server at its end

Only the owner holds the write end of the pipe, so the kernel closes it even after `kill -9`. PR_SET_PDEATHSIG would
follow the thread that called `start`, not the process. The supervisor has a session of its own: Ctrl-C in the
terminal reaches the owner, which may still drain its jobs before the server goes.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any
from urllib.parse import quote

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from pullet_broker.errors import ServerUnavailable
from pullet_broker.server_binary import ServerBinary, find_server

_START_DEADLINE_S = 15.0  # from the last sign of life; a server that loads a long log gives one
_STOP_DEADLINE_S = 10.0
_LOCK_DEADLINE_S = 5.0  # the server of an owner that was just killed may still be writing its last lines
_SOCKET_PATH_LIMIT = 100  # bytes; sun_path holds 107 on Linux, 103 on macOS
_PORT_TRIES = 20

# $1: how to stop the server; $2: the private folder; then the server's command line.
# `read` is a builtin, so killing the watch leaves no process behind, and the last `wait` leaves no zombie.
_SUPERVISOR = """
exec 3<&0 </dev/null
how=$1 home=$2; shift 2
"$@" 3<&- & server=$!
(read -r _ <&3; kill -s "$how" "$server") & watch=$!
wait "$server"
kill "$watch"
wait
rm -rf "$home"
"""


class EmbeddedServer:
    """A running server of one's own; `start` makes one, `close` or the end of the process ends it.

    `url` is the unix socket (the fastest way in), `tcp_url` a port on 127.0.0.1 for what cannot use it.
    """

    url: str
    tcp_url: str
    pid: int
    binary: ServerBinary

    def __init__(self, binary: ServerBinary, home: Path, process: subprocess.Popen[bytes], log: IO[bytes]) -> None:
        self.binary = binary
        self.url = "unix://" + quote(str(home / "s"))
        self._process = process
        self._log = log
        self._stop = weakref.finalize(self, _stop, process, log, home)
        _owned.add(self)

    @classmethod
    def start(cls, folder: Path | None = None) -> EmbeddedServer:
        """Start a server and wait until it answers.

        Without `folder` its data is gone when it stops. With `folder` (made if missing) the data stays there, in an
        append-only file synced every second, and the next server started on it finds it.

        Raises `ServerMissing` without a server program, and `ServerUnavailable` when the server does not come up
        (`log` has its last lines) or another one uses the folder.
        """
        binary = find_server()
        with _locked(folder) as lock:
            server = cls(binary, *_launch(binary, folder, lock))
        try:
            server._await_ready()
        except BaseException:
            server.close()
            raise
        return server

    def close(self) -> None:
        """Stop the server and remove its private folder. May be repeated; does nothing in a forked child."""
        self._stop()

    def __enter__(self) -> EmbeddedServer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _await_ready(self) -> None:
        with redis.Redis.from_url(self.url, socket_timeout=2, retry=Retry(NoBackoff(), 0)) as client:
            self.pid = self._await_answer(client)
            self.tcp_url = f"redis://127.0.0.1:{_listen(client)}/0"

    def _await_answer(self, client: redis.Redis) -> int:
        deadline = time.monotonic() + _START_DEADLINE_S
        while time.monotonic() < deadline:
            info = _look(client)
            if info and not info["loading"]:
                return int(info["process_id"])
            if info:
                deadline = time.monotonic() + _START_DEADLINE_S
            if self._ended_within(0.003):
                raise self._no_start("ended while starting")
        raise self._no_start(f"gave no answer within {_START_DEADLINE_S:g} s")

    def _ended_within(self, seconds: float) -> bool:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        return self._process.returncode is not None

    def _no_start(self, what: str) -> ServerUnavailable:
        size = os.fstat(self._log.fileno()).st_size
        tail = os.pread(self._log.fileno(), 4096, max(0, size - 4096))  # a seek would move the server's end as well
        lines = "\n".join(tail.decode(errors="replace").splitlines()[-12:])
        program = str(self.binary.server)
        return ServerUnavailable(f"the embedded server {program} {what}:\n{lines}", program=program, log=lines)

    def _disown(self) -> None:
        """In a forked child: let go of the pipe, which must have no other holder than the owner."""
        self._stop.detach()
        if self._process.stdin:
            self._process.stdin.close()


_owned: weakref.WeakSet[EmbeddedServer] = weakref.WeakSet()


def _disown_all() -> None:
    for server in list(_owned):
        server._disown()


os.register_at_fork(after_in_child=_disown_all)


@contextlib.contextmanager
def _locked(folder: Path | None) -> Iterator[tuple[int, ...]]:
    """Makes the folder and locks it. The server inherits the lock, which thus lasts until the last writer is gone."""
    if folder is None:
        yield ()
        return
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (folder / "pullet.lock").open("ab") as file:
            lock = fcntl.fcntl(file, fcntl.F_DUPFD_CLOEXEC, 10)  # a shell script uses 0-9 as it likes
    except OSError as error:
        raise ServerUnavailable(f"cannot keep data in {folder}: {error}", folder=str(folder), log="") from error
    try:
        _lock(lock, folder)
        yield (lock,)
    finally:
        os.close(lock)


def _lock(lock: int, folder: Path) -> None:
    deadline = time.monotonic() + _LOCK_DEADLINE_S
    while True:
        try:
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                message = f"another embedded server keeps its data in {folder}: connect to that one, or stop it"
                raise ServerUnavailable(message, folder=str(folder), log="") from None
        time.sleep(0.02)


def _launch(
    binary: ServerBinary, folder: Path | None, lock: tuple[int, ...]
) -> tuple[Path, subprocess.Popen[bytes], IO[bytes]]:
    how = "TERM" if folder else "KILL"  # TERM writes out the log; nothing of a throw-away server is worth the wait
    home = _private_folder()
    log = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  has no name, so it outlives the private folder
    command = ["/bin/sh", "-c", _SUPERVISOR, "pullet-embedded", how, str(home), *_command_line(binary, home, folder)]
    process = subprocess.Popen(
        command, bufsize=0, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True, pass_fds=lock
    )
    return home, process, log


def _private_folder() -> Path:
    default = tempfile.gettempdir()
    too_long = len(os.fsencode(default)) + len("/pullet-12345678/s") > _SOCKET_PATH_LIMIT
    return Path(tempfile.mkdtemp(prefix="pullet-", dir="/tmp" if too_long else default))


def _command_line(binary: ServerBinary, home: Path, folder: Path | None) -> list[str]:
    settings = {
        "bind": "127.0.0.1",
        "port": "0",  # opened by `_listen` once the server runs
        "protected-mode": "yes",
        "unixsocket": str(home / "s"),
        "unixsocketperm": "700",
        "dir": str(folder.resolve() if folder else home),
        "save": "",
        "appendonly": "yes" if folder else "no",
        "appendfsync": "everysec",
        "maxmemory-policy": "noeviction",
    }
    return [str(binary.server), *(word for name, value in settings.items() for word in (f"--{name}", value))]


def _look(client: redis.Redis) -> dict[str, Any] | None:
    """What INFO says, which is answered even while data is loading, or None when there is no answer yet."""
    try:
        answer: dict[str, Any] = client.info()
    except (redis.ConnectionError, redis.TimeoutError):
        return None
    return answer


def _listen(client: redis.Redis) -> int:
    """Opens a free TCP port. Whoever takes it between our look and the server's bind only costs us another try."""
    for _ in range(_PORT_TRIES):
        port = _free_port()
        with contextlib.suppress(redis.ResponseError):
            client.config_set("port", port)
            return port
    raise ServerUnavailable(f"no free port on 127.0.0.1 in {_PORT_TRIES} tries", log="")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _stop(process: subprocess.Popen[bytes], log: IO[bytes], home: Path) -> None:
    """Order: close the pipe; the watch stops the server; the supervisor cleans up; what is still there is killed."""
    if process.stdin:
        process.stdin.close()
    try:
        process.wait(_STOP_DEADLINE_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    log.close()
    shutil.rmtree(home, ignore_errors=True)
