"""`pullet ui`: serve the dashboard until it is stopped."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import uvicorn

from pullet_console.reading.reader import Reader
from pullet_console.ui.app import make_app
from pullet_console.ui.live import Broadcast
from pullet_console.ui.monitor import Monitor
from pullet_console.ui.settings import NotServed, Settings


class Server(uvicorn.Server):
    """Ends the streams of open pages before it waits for them."""

    def __init__(self, config: uvicorn.Config, broadcast: Broadcast) -> None:
        super().__init__(config)
        self._broadcast = broadcast

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._broadcast.close()
        await super().shutdown(sockets)


def make_server(settings: Settings) -> Server:
    """A server that is ready to run; asks Redis once, so that a wrong address is told at once."""
    with Reader(settings.redis) as reader:
        reader.server()
    broadcast = Broadcast()
    app = make_app(settings, Monitor(settings.redis, settings.queues), broadcast)
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, server_header=False, timeout_graceful_shutdown=5
    )
    return Server(config, broadcast)


@contextlib.contextmanager
def listening(settings: Settings) -> Iterator[socket.socket]:
    """The socket; port 0 takes any that is free. Raises `NotServed` when the port is taken."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((settings.host.strip("[]"), settings.port))
            listener.listen(128)  # from now on a browser waits instead of being refused
        except OSError as error:
            raise NotServed(
                f"cannot listen on {settings.host}:{settings.port}: {error.strerror}; choose another --port"
            ) from None
        yield listener
    finally:
        listener.close()


def serve(settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM. Raises `NotServed`, and `ServerUnavailable` when Redis does not answer."""
    server = make_server(settings)
    with listening(settings) as listener:
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        url = f"http://{host}:{listener.getsockname()[1]}/"
        mode = "reads and acts" if settings.may_act else "reads only; --allow-actions lets it retry, purge, pause"
        print(f"pullet: the dashboard of {settings.redis} is at {url} ({mode})", flush=True)
        server.run(sockets=[listener])
