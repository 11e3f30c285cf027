"""A real Serve application whose replicas consume tasks through pullet."""

from __future__ import annotations

import os
import runpy
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pullet_broker.address import Address
from pullet_broker.settings import Queue
from tests.support.leaks import wait_until
from tests.support.workers import ROOT

pytest.importorskip("ray.serve.schema")

from ray import serve
from ray.serve.task_consumer import instantiate_adapter_from_config

from pullet_workers.serve import AdapterConfig, PulletTaskProcessorAdapter
from tests.ray.serve_app import app_of, config_of

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("local_ray"),
    pytest.mark.filterwarnings("ignore:nothing is persisted"),
]


@pytest.fixture
def adapter(queue: Queue, address: Address) -> Iterator[PulletTaskProcessorAdapter]:
    """The caller's, beside an application of two replicas."""
    config = config_of(queue.name, address)
    serve.start(proxy_location="Disabled")
    serve.run(app_of(config, 2), name="pages", route_prefix=None)
    made = instantiate_adapter_from_config(config)
    yield made
    made.client.close(wait=False)
    serve.shutdown()


def outcome(adapter: PulletTaskProcessorAdapter, task: str) -> Any:
    assert wait_until(lambda: adapter.get_task_status_sync(task).status not in ("PENDING", "STARTED"), 60)
    ended = adapter.get_task_status_sync(task)
    return ended.status, ended.result


def replicas(adapter: PulletTaskProcessorAdapter) -> list[str]:
    return [name for one in adapter.health_check_sync() for name in one]


def test_replicas_consume_tasks_and_another_runs_those_of_a_killed_one(
    adapter: PulletTaskProcessorAdapter, tmp_path: Path
) -> None:
    assert wait_until(lambda: len(replicas(adapter)) == 2, 30)
    assert all(name.startswith("pages-Pages-") for name in replicas(adapter))
    assert outcome(adapter, adapter.enqueue_task_sync("shout", ["async"]).id) == ("SUCCESS", "ASYNC")
    status, error = outcome(adapter, adapter.enqueue_task_sync("boom").id)
    assert (status, type(error)) == ("FAILURE", LookupError)
    later = adapter.enqueue_task_sync("where", delay=60)
    assert adapter.cancel_task_sync(later.id)
    assert outcome(adapter, later.id) == ("REVOKED", None)
    assert adapter.get_metrics_sync()["dead"] == 1

    held = adapter.enqueue_task_sync("hold", [str(tmp_path)])
    assert wait_until(lambda: len(list(tmp_path.iterdir())) == 1, 30)
    (first,) = (int(one.name) for one in tmp_path.iterdir())
    assert adapter.get_task_status_sync(held.id).status == "STARTED"
    os.kill(first, signal.SIGKILL)
    status, second = outcome(adapter, held.id)
    assert status == "SUCCESS"
    assert second != first
    assert wait_until(lambda: len(replicas(adapter)) == 2, 60), "Serve replaces the replica"


def test_a_replica_that_serve_ends_finishes_its_tasks(adapter: PulletTaskProcessorAdapter) -> None:
    assert outcome(adapter, adapter.enqueue_task_sync("where").id)[0] == "SUCCESS"
    serve.delete("pages")
    assert wait_until(lambda: replicas(adapter) == [], 30), "they have left, and not with their lease"
    waiting = adapter.enqueue_task_sync("where")
    assert adapter.get_task_status_sync(waiting.id).status == "PENDING"


def test_the_example_of_the_docs_runs(
    local_ray: None, address: Address, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    program = runpy.run_path(str(ROOT / "examples" / "serve_tasks.py"), run_name="example")
    monkeypatch.setattr(program["config"], "adapter_config", AdapterConfig(redis=address))
    serve.start(proxy_location="Disabled")
    try:
        assert program["main"]() == 0
    finally:
        serve.shutdown()
    printed = capsys.readouterr().out.splitlines()  # Ray may have its say there too
    assert [line for line in printed if line.startswith("PAGE")] == [f"PAGE {number}" for number in range(20)]
