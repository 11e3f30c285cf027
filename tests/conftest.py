"""What all tests share: a real server, a queue of one's own, and a check that nothing is left behind."""

from __future__ import annotations

import itertools
import signal
import threading
from collections.abc import Iterator

import pytest

from pullet_broker.address import Address
from pullet_broker.embedded import EmbeddedServer
from pullet_broker.link import Link
from pullet_broker.settings import Queue
from tests.support.leaks import check_keys, wait_until

_numbers = itertools.count(1)


def pytest_configure() -> None:
    """What tests start can be interrupted also where a shell that runs them in the background has Ctrl-C ignored."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tests of one `xdist_group` share what there may be only one of: a Ray cluster, the folder of the built site."""
    shares = hasattr(item.config, "workerinput") and item.get_closest_marker("xdist_group") is not None
    if shares and "@" not in item.nodeid.rpartition("]")[2]:
        text = "give --dist loadgroup, as make test does, and have pytest below 9.2: with it xdist has no groups"
        pytest.fail(f"{item.nodeid} does not share a process with its group: {text}", pytrace=False)


@pytest.fixture(scope="session")
def server() -> Iterator[EmbeddedServer]:
    """One real server for the whole run; tests use queues of their own."""
    with EmbeddedServer.start() as started:
        yield started


@pytest.fixture
def address(server: EmbeddedServer) -> Address:
    return Address(server.url)


@pytest.fixture
def link(address: Address) -> Iterator[Link]:
    """A connection of the test's own."""
    opened = Link(address, "test")
    yield opened
    opened.close()


@pytest.fixture
def queue(link: Link) -> Iterator[Queue]:
    """A queue that no other test uses. After the test every key left has a TTL or a place in the documented set."""
    made = Queue(name=f"test-{next(_numbers)}")
    yield made
    check_keys(link, made)


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    """Threads of pullet end with what started them."""
    before = set(threading.enumerate())
    yield

    def left() -> list[str]:
        return [one.name for one in set(threading.enumerate()) - before if one.name.startswith("pullet-")]

    assert wait_until(lambda: not left()), f"threads left: {left()}"
