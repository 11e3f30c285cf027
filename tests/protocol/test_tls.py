"""TLS with a CA of one's own and certificates of clients, as redis-py takes them in the query of a URL."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

import pullet
from pullet_broker.address import Address
from pullet_broker.errors import ServerRefused, ServerUnavailable
from pullet_broker.link import Link
from pullet_broker.server_binary import find_server
from pullet_broker.settings import Queue
from pullet_broker.wire import MISSING
from tests.support.leaks import wait_until
from tests.support.servers import Node, free_port
from tests.support.workers import Kit, calling, everything_shown, running

SECRET = "s3cret-word"


def speaks_tls(program: Path) -> bool:
    """One that was built with TLS gets as far as to miss its certificate."""
    tried = subprocess.run([str(program), "--port", "0", "--tls-port", "1"], capture_output=True, text=True, timeout=10)
    return "Failed to configure TLS" in tried.stdout + tried.stderr


@pytest.fixture(scope="module")
def program() -> Path:
    """Wheels have servers without TLS; those of distributions have it."""
    names = [shutil.which(name) for name in ("valkey-server", "redis-server")]
    for found in [*(Path(name) for name in names if name), find_server().server]:
        if speaks_tls(found):
            return found
    pytest.skip("no server on PATH was built with TLS")


@pytest.fixture(scope="module")
def secured(program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Node, Path]]:
    """A server that wants a certificate of its clients, and the folder with their files."""
    folder = tmp_path_factory.mktemp("tls")
    ca = trustme.CA()
    ca.cert_pem.write_to_path(folder / "ca.pem")
    for name, cert in (("server", ca.issue_cert("127.0.0.1")), ("client", ca.issue_cert("client@example.org"))):
        cert.private_key_pem.write_to_path(folder / f"{name}.key")
        for blob in cert.cert_chain_pems:
            blob.write_to_path(folder / f"{name}.pem", append=True)
    trustme.CA().cert_pem.write_to_path(folder / "other.pem")
    node = Node(
        folder / "server",
        program=program,
        **{
            "port": 0,
            "tls-port": free_port(),
            "tls-cert-file": folder / "server.pem",
            "tls-key-file": folder / "server.key",
            "tls-ca-cert-file": folder / "ca.pem",
            "requirepass": SECRET,
        },
    )
    query = f"ssl_ca_certs={folder}/ca.pem&ssl_certfile={folder}/client.pem&ssl_keyfile={folder}/client.key"
    node.url = f"rediss://:{SECRET}@127.0.0.1:{node.port}/0?{query}"
    with node:
        yield node, folder


def test_callers_and_workers_talk_tls(secured: tuple[Node, Path]) -> None:
    node, _ = secured
    queue, address = Queue(name="tls"), Address(node.url)
    with running(queue, address), calling(queue, address) as client:
        assert list(client.map(Kit.echo, range(50))) == list(range(50))
        assert client.submit(Kit.echo, b"x" * 1_000_000).result(10) == b"x" * 1_000_000
        assert SECRET not in repr(client) + client._repr_html_()
    with pytest.warns(RuntimeWarning, match="nothing is persisted"):
        pullet.connect(Kit, node.url)


def test_who_does_not_wait_for_a_reply_does_not_by_tls_either(secured: tuple[Node, Path]) -> None:
    """Where the server has sent something that is no reply, as its tickets for the next session."""
    node, _ = secured
    link = Link(Address(node.url), "test")
    link.open()
    assert link.receive(wait=False) is MISSING
    link.send(("BLPOP", "nothing", 1), ("ECHO", "x" * 100_000))
    assert link.receive(wait=False) is MISSING
    assert link.receive() is None
    replies = []
    assert wait_until(lambda: replies.append(link.receive(wait=False)) or replies[-1] is not MISSING)
    assert replies[-1] == b"x" * 100_000
    assert (link.execute("PING"), link.opened) == (b"PONG", 1)
    link.close()


def test_a_server_with_an_unknown_ca_is_not_trusted(secured: tuple[Node, Path]) -> None:
    node, _ = secured
    for url in (node.url.replace("/ca.pem", "/other.pem"), node.url.partition("?")[0]):
        with pytest.raises(ServerRefused, match=r"certificate verify failed.*check ssl_ca_certs") as raised:
            Link(Address(url), "test").open()
        assert SECRET not in everything_shown(raised.value)


def test_a_client_without_a_certificate_gets_no_answer(secured: tuple[Node, Path]) -> None:
    node, folder = secured
    url = f"{node.url.partition('?')[0]}?ssl_ca_certs={folder}/ca.pem"
    with pytest.raises((ServerRefused, ServerUnavailable)) as raised:  # TLS 1.3 says why only where it is in time
        Link(Address(url), "test").execute("PING")
    assert SECRET not in everything_shown(raised.value)


def test_a_file_that_is_not_there_is_named(secured: tuple[Node, Path]) -> None:
    node, _ = secured
    with pytest.raises(ServerRefused, match=r"cannot read ssl_ca_certs=.*/nowhere.pem") as raised:
        Link(Address(node.url.replace("/ca.pem", "/nowhere.pem")), "test").open()
    assert SECRET not in everything_shown(raised.value)
