"""`docker compose up` for real: from images built here to answers, through the loss of a node and of the server.

make compose-test
"""

from __future__ import annotations

import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

import pullet
from pullet_broker.address import Address
from pullet_console.demo.engine import Digits, load
from tests.support.containers import Engine, an_engine, make_images, missing
from tests.support.leaks import wait_until
from tests.support.servers import free_port

pytestmark = [
    pytest.mark.containers,
    pytest.mark.xdist_group("containers"),
    pytest.mark.timeout(1800),
    pytest.mark.skipif(missing() != "", reason=missing()),
]

HEALTHY_S = 60
JOBS = 20_000


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    folder = tmp_path_factory.mktemp("containers")
    with an_engine(folder) as made:
        make_images(made, folder)
        made.environment["PULLET_UI_PORT"] = str(free_port())
        yield made


@pytest.fixture(scope="module")
def port() -> int:
    """Of Redis on this machine: one that nobody else uses."""
    return free_port()


@pytest.fixture(scope="module")
def up(engine: Engine, port: int) -> Iterator[float]:
    """The project's services run; how long that took."""
    begun = time.monotonic()
    try:
        engine.compose("up", "--detach", "--no-build", PULLET_REDIS_PORT=str(port))
        assert wait_until(lambda: "take jobs from queue" in engine.logs("pool"), 180, every_s=1), engine.logs("pool")
        yield time.monotonic() - begun
    finally:
        engine.compose("down", "--volumes", PULLET_REDIS_PORT=str(port))


@pytest.fixture(scope="module")
def password(engine: Engine, up: float, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As the file tells to get it."""
    folder = tmp_path_factory.mktemp("secrets")
    engine.compose("cp", "redis:/run/pullet/client", str(folder))
    return folder / "client"


@pytest.fixture
def client(port: int, password: Path) -> Iterator[pullet.Client[Digits]]:
    address = Address(f"redis://127.0.0.1:{port}/0", "client", str(password))
    connected = pullet.connect(Digits, address)
    yield connected
    connected.close(wait=False)  # after a failure its jobs may wait for ever


@pytest.fixture(scope="module")
def images() -> tuple[list[Any], list[int]]:
    """Pictures, and what an engine on this machine reads in them."""
    here, pixels = Digits(), load()[0][::2]
    return list(pixels), [here.read(image)["digit"] for image in pixels]


def test_it_answers_from_outside(up: float, client: pullet.Client[Digits], images: tuple[list[Any], list[int]]) -> None:
    pixels, digits = images
    read = [reading["digit"] for reading in client.map(Digits.read, pixels)]
    assert read == digits
    print(f"healthy and at work after {up:.0f} s")


def test_nothing_listens_beyond_this_machine(engine: Engine, up: float) -> None:
    published = engine.podman("ps", "--format", "{{.Ports}}").split()
    assert published
    assert all(re.match(r"127\.0\.0\.1:\d+->", port) for port in published), published


def test_the_password_is_shown_nowhere(engine: Engine, up: float, password: Path) -> None:
    secret = password.read_text().strip()
    assert len(secret) == 64
    shown = engine.podman("ps", "--format=json") + "".join(map(engine.logs, ("redis", "head", "worker", "pool", "ui")))
    shown += "".join(Path(f"/proc/{one}/cmdline").read_text() for one in _processes(engine))
    assert secret not in shown


def test_the_dashboard_asks_for_its_token(engine: Engine, up: float) -> None:
    page = f"http://127.0.0.1:{engine.environment['PULLET_UI_PORT']}"
    assert wait_until(lambda: _answers(page), 60, every_s=1), engine.logs("ui")
    assert f"open {page}/?token=" in engine.logs("ui")
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(f"{page}/metrics", timeout=5)
    token = engine.compose("exec", "-T", "ui", "cat", "/run/pullet/ui_token").strip()
    asked = urllib.request.Request(f"{page}/metrics", headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(asked, timeout=5) as answer:
        assert b"pullet_" in answer.read()


def test_more_nodes_come_with_a_word(engine: Engine, up: float, port: int) -> None:
    engine.compose("up", "--detach", "--no-build", "--no-recreate", "--scale", "worker=3", PULLET_REDIS_PORT=str(port))
    assert wait_until(lambda: len(engine.containers("worker")) == 3, 60, every_s=1)


def under_way(
    client: pullet.Client[Digits], images: tuple[list[Any], list[int]]
) -> tuple[list[Future[Any]], list[int]]:
    """Jobs of which some are done and many are not, and what each should find."""
    pixels, digits = images
    several = JOBS // len(pixels)
    futures = [client.submit(Digits.read, image) for image in pixels * several]
    assert wait_until(lambda: sum(future.done() for future in futures) > len(pixels), 60, every_s=0.1)
    return futures, digits * several


def test_a_node_dies_and_every_job_is_answered(
    engine: Engine, client: pullet.Client[Digits], images: tuple[list[Any], list[int]]
) -> None:
    futures, digits = under_way(client, images)
    engine.crash(engine.containers("worker")[0])
    assert [future.result(180)["digit"] for future in futures] == digits


def test_the_server_dies_and_every_job_is_answered(
    engine: Engine, client: pullet.Client[Digits], images: tuple[list[Any], list[int]]
) -> None:
    futures, digits = under_way(client, images)
    engine.crash(engine.containers("redis")[0])
    assert wait_until(lambda: bool(engine.containers("redis")), 60, every_s=0.5), "its restart policy brings it back"
    assert [future.result(180)["digit"] for future in futures] == digits


def test_jobs_wait_through_down_and_up(
    engine: Engine, client: pullet.Client[Digits], port: int, images: tuple[list[Any], list[int]]
) -> None:
    client.pause()  # an idle worker may take one more job
    futures = [client.submit(Digits.read, image) for image in images[0]]
    assert client.flush(10)
    engine.compose("down", PULLET_REDIS_PORT=str(port))
    assert not all(future.done() for future in futures)
    engine.compose("up", "--detach", "--no-build", PULLET_REDIS_PORT=str(port))
    client.resume()
    assert [future.result(180)["digit"] for future in futures] == images[1]


def _answers(page: str) -> bool:
    try:
        with urllib.request.urlopen(f"{page}/healthz", timeout=5) as answer:
            return int(answer.status) == 200
    except OSError:
        return False


def _processes(engine: Engine) -> list[str]:
    found = engine.podman("ps", "--quiet").split()
    return [pid for one in found for pid in engine.podman("top", one, "hpid").split()[1:]]
