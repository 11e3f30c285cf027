"""A dashboard in this process, and what may be asked of it."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pullet_broker.address import Address
from pullet_console.ui.serve import Server, listening, make_server
from pullet_console.ui.settings import Settings
from tests.support.leaks import wait_until


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Dashboard:
    port: int
    settings: Settings
    server: Server

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def action_headers(self) -> dict[str, str]:
        """What a page of its own sends with an action."""
        return {
            "Origin": self.url,
            "X-Pullet-Action": self.settings.action_token,
            "Content-Type": "application/json",
        }

    def ask(self, method: str, path: str, headers: dict[str, str] | None = None, body: str | None = None) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            answer = connection.getresponse()
            told = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, told, answer.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Any:
        """The JSON of an answer that must be there."""
        answer = self.ask("GET", path, headers)
        assert answer.status == 200, (answer.status, answer.body[:500])
        return answer.json

    def act(self, path: str, given: dict[str, Any]) -> Answer:
        return self.ask("POST", path, self.action_headers, json.dumps(given))


@contextmanager
def dashboard(address: Address, **options: Any) -> Iterator[Dashboard]:
    """A dashboard that listens, until the end of the block."""
    settings = Settings(redis=address, port=0, **options)
    with listening(settings) as listener:
        server = make_server(settings)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="pullet-dashboard")
        thread.start()
        try:
            assert wait_until(lambda: server.started), "the dashboard did not start"
            yield Dashboard(listener.getsockname()[1], settings, server)
        finally:
            server.should_exit = True
            thread.join(15)
    assert not thread.is_alive(), "the dashboard did not end"
