"""`connect`: what it refuses and what it warns of, and that a password is never shown."""

from __future__ import annotations

import pickle
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import pullet
from pullet.connecting import queue_name
from pullet_broker.address import Address
from pullet_broker.embedded import EmbeddedServer
from pullet_broker.errors import PulletError, ServerRefused, ServerUnavailable
from pullet_broker.link import Link
from tests.support.proxy import Proxy
from tests.support.workers import Kit, everything_shown

pytestmark = [pytest.mark.timeout(30), pytest.mark.filterwarnings("ignore:nothing is persisted")]

SECRET = "Geheim-4711"


@pytest.fixture
def own() -> Iterator[EmbeddedServer]:
    with EmbeddedServer.start() as server:
        yield server


def configure(server: EmbeddedServer, name: str, value: str) -> None:
    link = Link(Address(server.url), "test")
    link.execute("CONFIG", "SET", name, value)
    link.close()


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1/0", "unix:///nowhere/at/all", "redis://nowhere.invalid:6379/0"])
def test_where_nothing_answers_the_error_says_where(url: str) -> None:
    start = time.monotonic()
    with pytest.raises(ServerUnavailable, match="no answer from") as raised:
        pullet.connect(Kit, url)
    assert url in str(raised.value)
    assert isinstance(raised.value, ConnectionError)
    assert time.monotonic() - start < 10


def test_without_any_address_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PULLET_REDIS", raising=False)
    with pytest.raises(ServerUnavailable, match="PULLET_REDIS"):
        pullet.connect(Kit)


def test_the_environment_names_the_server(own: EmbeddedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULLET_REDIS", own.url)
    with pullet.connect(Kit) as client:
        assert own.url.removeprefix("unix://") in repr(client)


@pytest.mark.parametrize(
    "login", ["", f":{SECRET}@", f"user:{SECRET}@", f":{SECRET}%2F%40@"], ids=["none", "wrong", "no such user", "signs"]
)
def test_a_wrong_password_is_refused_and_never_shown(own: EmbeddedServer, login: str) -> None:
    configure(own, "requirepass", "the right one")
    url = own.tcp_url.replace("redis://", f"redis://{login}")

    with pytest.raises(ServerRefused, match="password") as raised:
        pullet.connect(Kit, url)

    assert own.tcp_url.removeprefix("redis://") in str(raised.value)
    assert SECRET not in everything_shown(raised.value)
    assert SECRET not in everything_shown(pickle.loads(pickle.dumps(raised.value)))


def test_the_right_password_works_and_is_never_shown(own: EmbeddedServer) -> None:
    configure(own, "requirepass", SECRET)
    url = own.tcp_url.replace("redis://", f"redis://:{SECRET}@")
    with pullet.connect(Kit, url) as client:
        future = client.submit(Kit.echo, 1)
        assert client.flush(10)
        assert SECRET not in repr(client) + str(client) + repr(future) + repr(Address(url)) + str(Address(url))
        future.cancel()


def test_a_password_comes_from_a_file_in_the_process_that_connects(own: EmbeddedServer, tmp_path: Path) -> None:
    configure(own, "requirepass", SECRET)
    file = tmp_path / "password"
    address = Address(own.tcp_url, password_file=str(file))
    with pytest.raises(ServerRefused, match="cannot read the password file"):
        pullet.connect(Kit, address)
    file.write_text(SECRET + "\n")
    with pullet.connect(Kit, address) as client:
        assert SECRET.encode() not in pickle.dumps(client)


@pytest.mark.parametrize(
    "url",
    [
        f"redis://:{SECRET}/x@127.0.0.1:1/0",
        f"redis://:x/{SECRET}@127.0.0.1:1/0",
        f"redis://:{SECRET}@x@127.0.0.1:1/0",
        f"redis://:{SECRET}#x@127.0.0.1:1/0",
        f"redis://:{SECRET}?x@127.0.0.1:1/0",
        f"redis://127.0.0.1:1/0?password={SECRET}",
        f"unix:///nowhere?password={SECRET}",
        f"http://:{SECRET}@127.0.0.1:1/0",
        f"redis://:{SECRET}@127.0.0.1:port/0",
        f"redis://:{SECRET}@127.0.0.1:1/0/{'x' * 10}",
    ],
)
def test_a_password_in_a_url_that_is_no_url_is_not_shown_either(url: str) -> None:
    assert SECRET not in repr(Address(url)) + str(Address(url))
    with pytest.raises((PulletError, ValueError)) as raised:
        pullet.connect(Kit, url)
    assert SECRET not in everything_shown(raised.value)


def test_a_server_that_may_evict_jobs_is_refused(own: EmbeddedServer) -> None:
    configure(own, "maxmemory-policy", "allkeys-lru")
    with pytest.raises(ServerRefused, match="CONFIG SET maxmemory-policy noeviction"):
        pullet.connect(Kit, own.url)


def test_a_server_that_is_too_old_is_refused(own: EmbeddedServer) -> None:
    def grow_old(answer: bytes) -> bytes:
        return answer.replace(b"redis_version:7", b"redis_version:6").replace(b"valkey_version:", b"hidden_version:")

    with Proxy(own.tcp_url) as proxy:
        proxy.rewrite = grow_old
        with pytest.raises(ServerRefused, match=r"7\.0 or newer") as raised:
            pullet.connect(Kit, proxy.url)
    assert "6." in raised.value.found


@pytest.mark.filterwarnings("error")
def test_a_server_that_persists_nothing_is_warned_of_at_the_callers_line(own: EmbeddedServer) -> None:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        pullet.connect(Kit, own.url).close()
    (warning,) = seen
    assert "appendonly yes" in str(warning.message)
    assert warning.filename == __file__


@pytest.mark.parametrize(
    ("engine", "name"),
    [(Kit, "kit"), ("some.module:Chess", "chess"), ("Outer.Inner", "outer.inner"), (lambda: 1, "lambda")],
)
def test_a_queue_is_called_like_its_engine(engine: Any, name: str) -> None:
    assert queue_name(engine) == name


def test_a_client_without_an_engine_needs_the_name_of_its_queue(own: EmbeddedServer) -> None:
    with pytest.raises(ValueError, match="queue="):
        pullet.connect(None, own.url)
    with pullet.connect(None, own.url, queue="chess") as client:
        assert client.queue == "chess"


def test_connecting_starts_nothing(own: EmbeddedServer) -> None:
    with Proxy(own.tcp_url) as proxy, pullet.connect(Kit, proxy.url):
        assert proxy.accepted == 1, "one look at the server"
