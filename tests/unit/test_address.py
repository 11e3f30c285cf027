"""Where the server is, and not a word of the password."""

from __future__ import annotations

import pickle
import traceback
from pathlib import Path

import pytest

from pullet_broker.address import PASSWORD_FILE, URL, USER, Address
from pullet_broker.errors import ServerRefused, ServerUnavailable
from pullet_broker.link import Link

SECRET = "s3cr3t"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://host", "redis://host"),
        ("redis://host:6380/2", "redis://host:6380/2"),
        (f"redis://:{SECRET}@host:6380/2", "redis://host:6380/2"),
        (f"rediss://user:{SECRET}@host/0", "rediss://host/0"),
        (f"redis://host/0?password={SECRET}", "redis://host/0"),
        (f"redis://host/0?db=1&password={SECRET}#x", "redis://host/0"),
        (f"redis://user:{SECRET}%40@host", "redis://host"),
        (f"redis://user:a@{SECRET}@host", "redis://host"),
    ],
)
def test_it_shows_the_server_and_no_password(url: str, shown: str) -> None:
    address = Address(url)
    assert str(address) == f"{address}" == shown
    assert repr(address) == f"Address({shown!r})"


@pytest.mark.parametrize("sign", ["/", "?", "#"])
def test_a_password_with_a_sign_that_should_be_escaped_is_hidden_too(sign: str) -> None:
    for address in (Address(f"redis://:{SECRET}{sign}{SECRET}@host/0"), Address(f"redis://u:1{sign}{SECRET}@host")):
        assert SECRET not in str(address) + repr(address)


def test_a_socket_is_shown_with_its_path() -> None:
    assert "/run/redis/s" in str(Address(f"unix://user:{SECRET}@/run/redis/s"))
    assert SECRET not in str(Address(f"unix://user:{SECRET}@/run/redis/s"))


@pytest.mark.parametrize("url", [f"redis://:{SECRET}@127.0.0.1:1/0", f"unix://:{SECRET}@/nowhere/s"])
def test_no_error_of_a_connection_shows_the_password(url: str) -> None:
    with pytest.raises(ServerUnavailable) as raised:
        Link(Address(url), "test").open()
    assert SECRET not in "".join(traceback.format_exception(raised.value)) + repr(raised.value.evidence)


@pytest.mark.parametrize(
    "url", [f"redis://:{SECRET}@host:port", f"redis://:{SECRET}/1@host:1", f"http://:{SECRET}@host"]
)
def test_no_error_of_a_bad_url_shows_the_password(url: str) -> None:
    with pytest.raises(Exception) as raised:
        Link(Address(url), "test").open()
    error: BaseException | None = raised.value
    while error is not None:
        assert SECRET not in f"{error} {error!r}"
        error = error.__cause__ or error.__context__


def test_the_password_is_read_from_its_file_when_it_is_needed(tmp_path: Path) -> None:
    file = tmp_path / "password"
    address = Address("redis://host", username="user", password_file=str(file))
    file.write_text("first\n")
    assert address.credentials() == {"username": "user", "password": "first"}
    file.write_text("second")
    assert address.credentials()["password"] == "second"


def test_a_password_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    file = tmp_path / "missing"
    with pytest.raises(ServerRefused, match=f"{file}: No such file.*{PASSWORD_FILE}"):
        Address("redis://host", password_file=str(file)).credentials()


def test_without_user_or_file_there_are_no_extra_credentials() -> None:
    assert Address("redis://host").credentials() == {}


def test_it_can_come_from_the_environment() -> None:
    environ = {URL: "redis://host", USER: "user", PASSWORD_FILE: "/run/password"}
    assert Address.from_environment(environ) == Address("redis://host", "user", "/run/password")
    assert Address.from_environment({URL: "redis://host"}) == Address("redis://host")
    assert Address.from_environment({USER: "user"}) is None
    assert Address.from_environment({URL: ""}) is None


def test_an_address_is_taken_as_it_is_and_survives_pickling() -> None:
    address = Address.of(f"redis://:{SECRET}@host")
    assert Address.of(address) is address
    assert pickle.loads(pickle.dumps(address)) == address
