"""Web servers as people run them: handlers submit, in processes that were forked with a client that was in use."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pullet import Client
from pullet_broker.address import Address
from pullet_broker.link import Link
from pullet_broker.settings import Queue
from tests.support.leaks import wait_until
from tests.support.scribe import Scribe
from tests.support.workers import ROOT, Kit, running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]
CALLS = 60
SERVERS = {
    "FastAPI on uvicorn": ("uvicorn", "tests.client.test_web_servers:fastapi_app", "--factory", "--port", "0"),
    "Django on gunicorn": (
        *("gunicorn", "tests.client.test_web_servers:django_app()", "--bind", "127.0.0.1:0"),
        *("--preload", "--workers", "2", "--threads", "4"),
    ),
}
"""gunicorn loads the program, and so connects, before it forks."""


def connected() -> Client[Kit]:
    """As in a module of a program: made once, and used at once."""
    queue, address = Queue(name=os.environ["QUEUE"]), Address(os.environ["PULLET_REDIS"])
    client: Client[Kit] = Client(Kit, queue, address)
    assert client.submit(Kit.echo, "before the fork").result(20) == "before the fork"
    return client


def fastapi_app() -> Any:
    from fastapi import FastAPI

    app, client = FastAPI(), connected()

    @app.get("/{n}")
    async def echo(n: int) -> dict[str, int]:
        return {"value": await client.submit(Kit.echo, n), "pid": os.getpid()}

    return app


def django_app() -> Any:
    import django
    from django.conf import settings
    from django.core.wsgi import get_wsgi_application
    from django.http import HttpRequest, JsonResponse
    from django.urls import path

    client = connected()

    def echo(request: HttpRequest, n: int) -> JsonResponse:
        return JsonResponse({"value": client.submit(Kit.echo, n).result(20), "pid": os.getpid()})

    settings.configure(ROOT_URLCONF=(path("<int:n>", echo),), ALLOWED_HOSTS=["*"], SECRET_KEY="test")
    django.setup()
    return get_wsgi_application()


@contextmanager
def serving(command: tuple[str, ...], queue: Queue, address: Address, log: Path) -> Iterator[str]:
    """The URL of the server. At the end it stops when it is told to."""
    known = {**os.environ, "QUEUE": queue.name, "PULLET_REDIS": address.url, "PYTHONUNBUFFERED": "1"}
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", *command], cwd=ROOT, env=known, stdout=out, stderr=subprocess.STDOUT
        )
    try:
        assert wait_until(lambda: b"http://127.0.0.1:" in log.read_bytes() or process.poll() is not None, 60)
        assert process.poll() is None, log.read_text()
        port = log.read_text().partition("http://127.0.0.1:")[2].split()[0]
        yield f"http://127.0.0.1:{port}"
        process.terminate()
        assert process.wait(20) in (0, -15), log.read_text()
    finally:
        process.kill()
        process.wait()


def get(url: str) -> dict[str, int]:
    with urllib.request.urlopen(url, timeout=30) as answer:
        found: dict[str, int] = json.load(answer)
        return found


@pytest.mark.parametrize("name", SERVERS)
def test_handlers_submit_and_answer(name: str, queue: Queue, address: Address, link: Link, tmp_path: Path) -> None:
    kit = Kit()
    with (
        running(queue, address, kit),
        serving(SERVERS[name], queue, address, tmp_path / "log") as url,
        ThreadPoolExecutor(16) as threads,
    ):
        answers = list(threads.map(lambda n: get(f"{url}/{n}"), range(CALLS)))
    assert [answer["value"] for answer in answers] == list(range(CALLS))
    ran = [value for value in kit.calls if isinstance(value, int)]
    assert sorted(ran) == list(range(CALLS)), "each once"
    log = (tmp_path / "log").read_text()
    assert "Traceback" not in log
    assert "Error" not in log
    assert Scribe(link, queue).entries() == 0
