"""examples/web_app.py behind a real uvicorn, with a real HTTP client."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import httpx
import pytest

from pullet_broker.embedded import EmbeddedServer
from pullet_broker.link import Link
from pullet_broker.settings import Queue
from tests.examples.conftest import serving
from tests.support.leaks import wait_until

QUEENS = Queue(name="queens")
SOLUTIONS = {7: 40, 8: 92}


@pytest.fixture(scope="module")
def web(server: EmbeddedServer) -> Iterator[httpx.Client]:
    with serving("web_app", PULLET_REDIS=server.url) as url, httpx.Client(base_url=url, timeout=60) as client:
        yield client


def test_submit_await_and_stream(web: httpx.Client) -> None:
    assert web.get("/count", params={"n": 7}).json() == SOLUTIONS[7]
    assert web.get("/count", params={"n": 99}).status_code == 422
    assert web.get("/jobs/nobody").status_code == 404

    submitted = web.post("/jobs", params={"n": 8})
    assert submitted.status_code == 202
    found = {}

    def is_done() -> bool:
        found.update(web.get(f"/jobs/{submitted.json()['job']}").json())
        return bool(found["state"] == "done")

    assert wait_until(is_done, 60)
    assert found["count"] == SOLUTIONS[8]

    with web.stream("GET", "/solutions", params={"n": 6}) as events:
        assert events.headers["content-type"].startswith("text/event-stream")
        boards = [json.loads(line.removeprefix("data: ")) for line in events.iter_lines() if line]
    assert sorted(boards) == [[1, 3, 5, 0, 2, 4], [2, 5, 1, 4, 0, 3], [3, 0, 4, 1, 5, 2], [4, 2, 0, 5, 3, 1]]


def test_a_client_that_goes_away_ends_its_job(web: httpx.Client, link: Link) -> None:
    done, cancelled = ended_as(link, "done"), ended_as(link, "cancelled")
    with web.stream("GET", "/solutions", params={"n": 12}) as events:
        assert next(events.iter_lines()).startswith("data: ")
    assert wait_until(lambda: ended_as(link, "cancelled") == cancelled + 1, 30), "left in the middle of a stream"

    with socket.create_connection((web.base_url.host, web.base_url.port)) as waiting:
        waiting.sendall(b"GET /count?n=12 HTTP/1.1\r\nHost: test\r\n\r\n")
        assert wait_until(lambda: running(link) == 1, 30)
    assert wait_until(lambda: ended_as(link, "cancelled") == cancelled + 2, 30), "left while the answer was awaited"
    assert running(link) == 0
    assert ended_as(link, "done") == done


def ended_as(link: Link, how: str) -> int:
    """Jobs that ended so far."""
    return int(link.execute("HGET", QUEENS.keys.fixed("stats"), how) or 0)


def running(link: Link) -> int:
    return int(link.execute("XPENDING", QUEENS.keys.lane("normal"), "workers")[0])
