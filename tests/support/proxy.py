"""A TCP proxy between clients and a server, that can do what networks do."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from urllib.parse import urlsplit

RESET = struct.pack("ii", 1, 0)


class Proxy:
    """Listens at `url`. Connections go to the server it points to; change that, or cut or hold them, at any time."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._lock = threading.Lock()
        self._pipes: list[Pipe] = []
        self._down = False
        self.accepted = 0
        """Connections so far."""
        self.rewrite: Callable[[bytes], bytes] = lambda data: data
        """What becomes of the server's answers."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}/0"
        threading.Thread(target=self._accept, name="proxy", daemon=True).start()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *raised: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def cut(self) -> None:
        """End all connections, as a server that crashed does."""
        for pipe in self.pipes():
            pipe.cut()

    def refuse(self) -> None:
        """End each new connection at once; those there are stay."""
        self._down = True

    def go_down(self) -> None:
        """End all connections, and each new one at once."""
        self.refuse()
        self.cut()

    def come_up(self, target: str | None = None) -> None:
        """Take connections again, to another server where one is given."""
        self._target, self._down = target or self._target, False

    def hold(self, name: str = "") -> list[Pipe]:
        """Half-open: nothing passes through the connections there are, in either direction, until they are released.

        With `name` only through those whose client called itself something with it.
        """
        held = self.pipes(name)
        for pipe in held:
            pipe.flowing.clear()
        return held

    def mute(self, name: str = "") -> list[Pipe]:
        """Let what the clients say reach the server, and its answers go astray."""
        muted = self.pipes(name)
        for pipe in muted:
            pipe.muted = True
        return muted

    def delay(self, seconds: float, name: str = "") -> list[Pipe]:
        """Let everything through these connections arrive late, and in order."""
        delayed = self.pipes(name)
        for pipe in delayed:
            pipe.delay_s = seconds
        return delayed

    def pipes(self, name: str = "") -> list[Pipe]:
        """The connections there are; with `name` only those whose client called itself something with it."""
        with self._lock:
            self._pipes = [pipe for pipe in self._pipes if pipe.is_open]
            return [pipe for pipe in self._pipes if name.encode() in pipe.head]

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            self.accepted += 1
            try:
                if self._down:
                    raise ConnectionRefusedError
                pipe = Pipe(near, _connect(self._target), self.rewrite)
            except OSError:
                _reset(near)
                continue
            with self._lock:
                self._pipes.append(pipe)
            if self._down:  # since we looked
                self.cut()


class Pipe:
    """One connection through the proxy."""

    def __init__(self, near: socket.socket, far: socket.socket, rewrite: Callable[[bytes], bytes]) -> None:
        self._near, self._far = near, far
        self.port = near.getpeername()[1]
        """The client's end."""
        self.head = b""
        """What the client said first; its name is in it."""
        self.muted = False
        """Answers go astray."""
        self.delay_s = 0.0
        self.flowing = threading.Event()
        self.flowing.set()
        ways = ((near, far, self._look), (far, near, rewrite))
        self._ways = [threading.Thread(target=self._pump, args=way, name="proxy-pipe", daemon=True) for way in ways]
        for thread in self._ways:
            thread.start()

    @property
    def is_open(self) -> bool:
        """One of its ways is: the other side may have gone."""
        return any(thread.is_alive() for thread in self._ways)

    def cut(self) -> None:
        self.flowing.set()
        _reset(self._near)
        _reset(self._far)

    def sever(self) -> None:
        """The client's end is cut; what it had sent still arrives."""
        _reset(self._near)

    def release(self) -> None:
        """What was held arrives after all."""
        self.flowing.set()

    def _look(self, data: bytes) -> bytes:
        self.head = (self.head + data)[:1000]
        return data

    def _pump(self, source: socket.socket, sink: socket.socket, rewrite: Callable[[bytes], bytes]) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                self.flowing.wait()
                if self.delay_s:
                    threading.Event().wait(self.delay_s)
                if not (self.muted and source is self._far):
                    sink.sendall(rewrite(data))
            self.flowing.wait()
            sink.shutdown(socket.SHUT_WR)


def _connect(url: str) -> socket.socket:
    parts = urlsplit(url)
    return socket.create_connection((parts.hostname or "127.0.0.1", parts.port or 6379), timeout=None)


def _reset(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        end.shutdown(socket.SHUT_RDWR)
    end.close()
