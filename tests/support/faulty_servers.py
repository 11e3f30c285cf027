"""Servers with a fault, for those who look for faults."""

from __future__ import annotations

import contextlib
import socketserver
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from pullet_broker.address import Address
from pullet_broker.errors import ServerUnavailable
from pullet_broker.link import Link
from pullet_broker.server_binary import find_server
from tests.support.servers import free_port


@contextlib.contextmanager
def server_without_disk(folder: Path) -> Iterator[Address]:
    """A real server whose append-only file cannot grow: the limit of its process stands for the end of the disk.

    SIGXFSZ is ignored, so that a write over the limit fails, as it does on a full disk.
    """
    port = free_port()
    program = str(find_server().server)
    settings = f"--port {port} --bind 127.0.0.1 --dir {folder} --appendonly yes --appendfsync everysec --save ''"
    shell = f"trap '' XFSZ; ulimit -f 64; exec {program} {settings}"
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(["/bin/sh", "-c", shell], stdout=log, stderr=log)
    try:
        address = Address(f"redis://127.0.0.1:{port}/0")
        _await(address)
        yield address
    finally:
        process.kill()
        process.wait()


def _await(address: Address) -> None:
    link, deadline = Link(address, "test"), time.monotonic() + 15
    while True:
        try:
            link.execute("PING")
            break
        except ServerUnavailable:
            assert time.monotonic() < deadline, "the server did not come up"
            time.sleep(0.02)
    link.close()


class _Old(socketserver.StreamRequestHandler):
    """Answers as Redis 6.2 does to what a client asks first."""

    def handle(self) -> None:
        while words := self._command():
            name = words[0].upper()
            if name == b"INFO":
                text = b"redis_version:6.2.14\r\nmaxmemory_policy:noeviction\r\naof_enabled:1\r\nused_memory:1000\r\n"
                self.wfile.write(b"$%d\r\n%s\r\n" % (len(text), text))
            elif name == b"TIME":
                now = b"%d" % time.time()
                self.wfile.write(b"*2\r\n$%d\r\n%s\r\n$1\r\n0\r\n" % (len(now), now))
            elif name == b"PING":
                self.wfile.write(b"+PONG\r\n")
            elif name in (b"CLIENT", b"SELECT"):
                self.wfile.write(b"+OK\r\n")
            else:
                self.wfile.write(b"-ERR not this old server\r\n")

    def _command(self) -> list[bytes]:
        head = self.rfile.readline()
        words = []
        for _ in range(int(head[1:]) if head else 0):
            size = int(self.rfile.readline()[1:])
            words.append(self.rfile.read(size + 2)[:-2])
        return words


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True


@contextlib.contextmanager
def old_server() -> Iterator[Address]:
    """Something that says it is Redis 6.2."""
    with _Server(("127.0.0.1", 0), _Old) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield Address(f"redis://127.0.0.1:{server.server_address[1]}/0")
        finally:
            server.shutdown()
            thread.join()
