"""A Serve application of the tests: replicas that consume tasks."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

from ray import serve
from ray.serve.schema import TaskProcessorConfig
from ray.serve.task_consumer import task_consumer, task_handler

from pullet_broker.address import Address
from pullet_broker.settings import Lease
from pullet_workers.serve import AdapterConfig

ADAPTER = "pullet_workers.serve.PulletTaskProcessorAdapter"


def config_of(queue: str, address: Address) -> TaskProcessorConfig:
    """With a short lease, so that a test need not wait for long."""
    settings = AdapterConfig(redis=address, lease=Lease(beat_s=0.5, tick_ms=400, ticks=4))
    return TaskProcessorConfig(queue_name=queue, adapter=ADAPTER, adapter_config=settings, max_retries=0)


def app_of(config: TaskProcessorConfig, replicas: int) -> Any:
    @serve.deployment(
        num_replicas=replicas,
        max_ongoing_requests=4,
        health_check_period_s=1,
        ray_actor_options={"num_cpus": 0.1},
    )
    @task_consumer(task_processor_config=config)
    class Pages:
        @task_handler
        def where(self) -> int:
            return os.getpid()

        @task_handler
        async def shout(self, text: str) -> str:
            await asyncio.sleep(0)
            return text.upper()

        @task_handler
        def boom(self) -> None:
            raise LookupError("no such page")

        @task_handler
        def hold(self, folder: str) -> int:
            """Notes who runs it; the first one to run it never ends."""
            place = Path(folder)
            (place / str(os.getpid())).touch()
            while len(list(place.iterdir())) == 1:
                os.sched_yield()
            return os.getpid()

        def __call__(self) -> str:
            return "here"

    return Pages.bind()
