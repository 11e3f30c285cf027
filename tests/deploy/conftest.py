"""A server with the accounts that `pullet acl` prints, each program that there is, and a queue on it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from itertools import count

import pytest

from pullet_broker.scripting import FOR_OTHERS, load
from pullet_broker.settings import Lease, Queue
from tests.support.accounts import PROGRAMS, Accounts, Guarded
from tests.support.leaks import check_keys

_numbers = count(1)


@pytest.fixture(scope="module", params=PROGRAMS.values(), ids=PROGRAMS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    with Guarded(tmp_path_factory.mktemp("roles"), request.param) as node:
        yield node


@pytest.fixture
def queue(server: Guarded) -> Iterator[Queue]:
    made = Queue(name=f"roles-{next(_numbers)}", lease=Lease(beat_s=0.2, tick_ms=180))
    yield made
    with closing(server.link("root")) as root:
        check_keys(root, made)


@pytest.fixture
def accounts(server: Guarded, queue: Queue) -> Iterator[Accounts]:
    with closing(Accounts(server, queue)) as made:
        made.links["worker"].bring([load(name) for name in FOR_OTHERS])
        yield made
