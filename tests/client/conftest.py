"""What tests of clients share beside the fixtures of all tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pullet_broker.address import Address
from pullet_broker.embedded import EmbeddedServer
from pullet_broker.link import Link


@pytest.fixture
def own() -> Iterator[Link]:
    """A connection to a server of the test's own, whose settings may be changed."""
    with EmbeddedServer.start() as server:
        link = Link(Address(server.url), "test")
        yield link
        link.close()
