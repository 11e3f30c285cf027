"""A caller and a worker in processes of their own, which write the spans that they have ended to a file each."""

from __future__ import annotations

import json
import pickle
import sys
from pathlib import Path
from typing import Any

import pullet
from pullet_broker.address import Address
from pullet_broker.settings import Queue


class Shop:
    def price(self, name: str) -> int:
        return len(name)

    def refuse(self) -> None:
        raise ValueError("sold out")

    async def later(self, value: int) -> int:
        return value

    @pullet.batch(max_batch_size=4, batch_wait_timeout_s=5)
    def count(self, items: list[str]) -> list[int]:
        return [len(items)] * len(items)


def collect() -> Any:
    """Set up a tracer, as the program of a user does; what it gives holds the ended spans."""
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return exporter


def write(exporter: Any, file: str) -> None:
    spans = [json.loads(span.to_json()) for span in exporter.get_finished_spans()]
    Path(file).write_text(json.dumps(spans))


def work(queue: Queue, address: Address, file: str) -> None:
    from pullet_workers.runner import Runner

    exporter = collect()
    runner = Runner(queue, address, Shop, name="shop")
    runner.start()
    sys.stdin.read()
    runner.drain(10)
    write(exporter, file)


def call(queue: Queue, address: Address, file: str) -> None:
    from opentelemetry import trace

    exporter = collect()
    client = pullet.Client(Shop, queue, address)
    with trace.get_tracer("shop").start_as_current_span("order"):
        assert client.submit(Shop.price, "egg").result(30) == 3
        assert isinstance(client.submit(Shop.refuse).exception(30), ValueError)
        assert client.submit(Shop.later, 7).result(30) == 7
        assert [one.result(30) for one in [client.submit(Shop.count, "x") for _ in range(4)]] == [4] * 4
    client.close()
    write(exporter, file)


if __name__ == "__main__":
    {"work": work, "call": call}[sys.argv[1]](*pickle.loads(bytes.fromhex(sys.argv[2])))
