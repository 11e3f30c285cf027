"""Traces: the spans of callers and workers are joined, and nothing is there without a tracer."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pullet_broker.address import Address
from pullet_broker.link import Link
from pullet_broker.settings import Queue
from pullet_broker.tracing import is_used, pack_context, read_context
from tests.support.workers import ROOT, Kit, calling

PARENT = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"


def run(what: str, *given: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.support.traced", what, pickle.dumps(given).hex()]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, text=True)


@pytest.fixture
def spans(queue: Queue, address: Address, tmp_path: Path) -> dict[str, list[dict[str, Any]]]:
    """What a caller and a worker, each in its process, have told: their spans by name."""
    told = [str(tmp_path / name) for name in ("worker", "caller")]
    worker = run("work", queue, address, told[0])
    caller = run("call", queue, address, told[1])
    assert caller.wait(60) == 0
    worker.communicate(timeout=30)
    assert worker.returncode == 0
    found: dict[str, list[dict[str, Any]]] = {}
    for file in told:
        for span in json.loads(Path(file).read_text()):
            found.setdefault(span["name"], []).append(span)
    return found


def test_one_trace_has_the_spans_of_caller_and_worker(spans: dict[str, list[dict[str, Any]]], queue: Queue) -> None:
    (order,) = spans["order"]
    trace, submits = order["context"]["trace_id"], spans[f"submit {queue.name}"]
    assert len(submits) == 7
    assert all((one["context"]["trace_id"], one["kind"]) == (trace, "SpanKind.PRODUCER") for one in submits)
    assert {one["parent_id"] for one in submits} == {order["context"]["span_id"]}

    by_id = {one["context"]["span_id"]: one for one in submits}
    processes = spans[f"process {queue.name}"]
    alone = [one for one in processes if "messaging.batch.message_count" not in one["attributes"]]
    assert {one["attributes"]["pullet.method"] for one in alone} == {"price", "refuse", "later"}
    for one in alone:
        submit = by_id[one["parent_id"]]
        assert one["context"]["trace_id"] == trace
        assert one["kind"] == "SpanKind.CONSUMER"
        for name in ("messaging.message.id", "messaging.destination.name", "messaging.system"):
            assert one["attributes"][name] == submit["attributes"][name]
    (refused,) = [one for one in alone if one["attributes"]["pullet.method"] == "refuse"]
    assert refused["status"]["status_code"] == "ERROR"
    assert refused["attributes"]["error.type"] == "builtins.ValueError"

    (batch,) = [one for one in processes if one not in alone]
    assert batch["attributes"]["messaging.batch.message_count"] == 4
    counts = {one["context"]["span_id"] for one in submits if one["attributes"]["pullet.method"] == "count"}
    assert {link["context"]["span_id"] for link in batch["links"]} == counts
    assert batch["parent_id"] is None


def test_nothing_travels_without_a_tracer(queue: Queue, address: Address, link: Link) -> None:
    import opentelemetry.trace  # noqa: F401 - an import is no tracer

    assert not is_used()
    with calling(queue, address) as client:
        client.submit(Kit.echo, 1)
        client.flush()
        ((_, flat),) = link.execute("XRANGE", queue.keys.lane("normal"), "-", "+")
        assert flat[flat.index(b"opts") + 1] == b""


def test_a_context_stands_beside_the_other_options() -> None:
    packed = pack_context('{"retries":2}', {"traceparent": PARENT})
    assert json.loads(packed)["retries"] == 2
    assert read_context(packed) == {"traceparent": PARENT}
    assert read_context(pack_context("", {})) == {}


@pytest.mark.parametrize(
    "opts",
    ["", "{}", '{"trace"', '{"trace":7}', '{"trace":{"a":1}}', '["trace"]', '{"trace":{"a":"' + "x" * 2000 + '"}}'],
)
def test_a_context_that_makes_no_sense_is_none(opts: str) -> None:
    assert read_context(opts) == {}
