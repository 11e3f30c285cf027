"""The verbs that look: each on a live queue, its JSON read as what it says it is."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from pullet_broker.embedded import EmbeddedServer
from pullet_broker.inspection import ServerFacts
from pullet_console.reading.job import JobDetail
from pullet_console.reading.jobs import JobPage
from pullet_console.reading.letters import LetterGroup, LetterView
from pullet_console.reading.queues import QueueSummary, WorkerView
from tests.console.conftest import Life, Pullet
from tests.support.leaks import wait_until


def typed(kind: Any, row: dict[str, Any]) -> Any:
    """The row as what it says it is: no field more or less, each of its type."""
    assert set(row) == {one.name for one in fields(kind)}
    return TypeAdapter(kind).validate_json(json.dumps(row), strict=True)


def test_status(pullet: Pullet, life: Life) -> None:
    shown = pullet("status", life.name)
    assert shown.code == 0
    row = next(line.split() for line in shown.out.splitlines() if line.startswith(life.name))
    assert row[1:4] == ["3", "1", "1"]
    assert "1/1 busy" in shown.out
    assert f"1 dead job in {life.name}: pullet dead ls {life.name}" in shown.out

    found = pullet("status", "--json").json
    server = dict(found["server"])
    assert server.pop("address").startswith("unix://")
    typed(ServerFacts, server)
    rows = {row["name"]: row for row in found["queues"]}
    assert rows[life.name].pop("rates") is None
    one = typed(QueueSummary, rows[life.name])
    assert (one.waiting, one.running, one.delayed, one.dead, one.workers_busy) == (3, 1, 1, 1, 1)


def test_status_says_what_is_unusual(pullet: Pullet, life: Life) -> None:
    assert pullet("queue", "pause", life.name).code == 0
    assert f"{life.name} is paused: pullet queue resume {life.name}" in pullet("status").out
    assert pullet("queue", "resume", life.name).code == 0
    assert f"{life.name} is paused" not in pullet("status").out


def test_jobs_ls(pullet: Pullet, life: Life) -> None:
    shown = pullet("jobs", "ls", life.name)
    assert shown.code == 0
    assert all(job in shown.out for job in (life.running, life.waiting, life.delayed))
    assert life.done not in shown.out
    assert "'depth', 0" in shown.out

    pages = pullet("jobs", "ls", life.name, "--json").json["pages"]
    found = {page["state"]: typed(JobPage, page) for page in pages}
    assert [one.id for one in found["running"].jobs] == [life.running]
    assert [one.id for one in found["delayed"].jobs] == [life.delayed]
    assert found["waiting"].jobs[0].id == life.waiting
    assert found["waiting"].jobs[0].arguments.args == ("'depth'", "0")


def test_jobs_ls_goes_on_where_it_stopped(pullet: Pullet, life: Life) -> None:
    def page(*args: str) -> dict[str, Any]:
        found: dict[str, Any] = pullet("jobs", "ls", life.name, "--state", "waiting", "--json", *args).json["pages"][0]
        return found

    first = page("--limit", "2")
    second = page("--limit", "2", "--after", first["next"])
    assert [len(first["jobs"]), len(second["jobs"])] == [2, 1]
    assert second["next"] == ""
    assert not {job["id"] for job in first["jobs"]} & {job["id"] for job in second["jobs"]}
    assert "--after" in pullet("jobs", "ls", life.name, "--state", "waiting", "--limit", "2").out
    assert pullet("jobs", "ls", life.name, "--state", "waiting", "--after", "nonsense").code == 2
    assert pullet("jobs", "ls", life.name, "--after", "normal 1-1").code == 2


@pytest.mark.parametrize("state", ["running", "waiting", "delayed", "dead", "done"])
def test_jobs_show(pullet: Pullet, life: Life, state: str) -> None:
    job = str(getattr(life, state))
    shown = pullet("jobs", "show", job)
    assert shown.code == 0
    assert job in shown.out
    found = pullet("jobs", "show", job, "-q", life.name, "--json").json
    assert found["queue"] == life.name
    detail = typed(JobDetail, found["job"])
    assert (detail.id, detail.state) == (job, state)
    assert (detail.result == "'well'") == (state == "done")
    assert bool(detail.traceback) == (state == "dead")


def test_dead_ls_and_show(pullet: Pullet, life: Life) -> None:
    shown = pullet("dead", "ls", life.name)
    assert (shown.code, life.dead in shown.out, "no white king" in shown.out) == (0, True, True)
    letters = pullet("dead", "ls", life.name, "--json").json["letters"]
    assert typed(LetterView, letters[0]).error_type == "builtins.ValueError"
    groups = pullet("dead", "ls", life.name, "--grouped", "--json").json["groups"]
    assert typed(LetterGroup, groups[0]).count == 1
    assert "no white king" in pullet("dead", "ls", life.name, "--grouped").out
    assert "no dead letters" in pullet("dead", "ls", life.name, "--error", "KeyError").out

    shown = pullet("dead", "show", life.dead)
    assert "raise ValueError(text)" in shown.out
    assert typed(JobDetail, pullet("dead", "show", life.dead, "--json").json["job"]).error == "no white king"
    other = pullet("dead", "show", life.waiting)
    assert (other.code, "pullet jobs show" in other.err) == (1, True)


def test_workers_ls(pullet: Pullet, life: Life) -> None:
    shown = pullet("workers", "ls", life.name)
    assert (shown.code, "gpu3" in shown.out) == (0, True)
    assert wait_until(lambda: pullet("workers", "ls", life.name, "--json").json["workers"][0]["method"] == "hold")
    (row,) = pullet("workers", "ls", life.name, "--json").json["workers"]
    worker = typed(WorkerView, row)
    assert (worker.name, worker.state, worker.in_hand) == ("gpu3", "busy", 1)


def test_queue_keys(pullet: Pullet, life: Life) -> None:
    shown = pullet("queue", "keys", life.name)
    assert f"pullet:{{{life.name}}}:jobs:suspect" in shown.out
    rows = {row["key"]: row for row in pullet("queue", "keys", life.name, "--json").json["keys"]}
    lane = rows[f"pullet:{{{life.name}}}:jobs"]
    assert (lane["type"], lane["size"]) == ("stream", 4)
    assert "XREVRANGE 'pullet:" in lane["command"]
    assert rows[f"pullet:{{{life.name}}}:reply:<job>"]["size"] is None


def test_check(pullet: Pullet, life: Life) -> None:
    assert pullet("check", life.name).code == 0
    failing = pullet("check", life.name, "--workers", "2", "--dead", "0")
    assert failing.code == 1
    assert "1 worker of at least 2; 1 dead letter" in failing.err
    told = pullet("check", life.name, "--dead", "0", "--json")
    assert (told.code, json.loads(told.out)["faults"]) == (1, ["1 dead letter"])
    typed(QueueSummary, json.loads(told.out)["summary"])
    nobody = pullet("check", life.name, env={"PULLET_REDIS": "redis://127.0.0.1:1"})
    assert (nobody.code, nobody.err.splitlines()[-1]) == (3, "try: pullet doctor")


def test_trace(pullet: Pullet, life: Life, tmp_path: Path) -> None:
    unknown = pullet("trace", life.name)
    assert (unknown.code, "--seconds" in unknown.err.splitlines()[-1]) == (1, True)
    life.client.pause()  # only so that the workers have heard that somebody watches before the jobs end
    shown = pullet("trace", life.name, "--seconds", "0.1")
    assert shown.code == 1
    assert wait_until(lambda: _end_one(life) and "traceEvents" in pullet("trace", life.name, "-o", "-").out, 30)
    written = pullet("trace", life.name, "-o", "mine.json")
    assert "mine.json" in written.err
    trace = json.loads((tmp_path / "mine.json").read_text())
    bars = [one for one in trace["traceEvents"] if one["ph"] == "X"]
    assert {"echo", "hold"} & {one["name"] for one in bars}
    for bar in bars:
        assert bar["dur"] >= 1
        assert bar["ts"] > 1e15
    names = {one["args"]["name"] for one in trace["traceEvents"] if one["ph"] == "M"}
    assert any(name.startswith("gpu3.") for name in names)


def _end_one(life: Life) -> bool:
    life.client.resume()
    life.kit.go.set()
    return bool(life.client.submit("echo", 1).result(10))


@pytest.fixture(scope="module")
def empty_server() -> Any:
    with EmbeddedServer.start() as server:
        yield server


def test_a_server_without_queues(pullet: Pullet, empty_server: EmbeddedServer) -> None:
    env = {"PULLET_REDIS": empty_server.tcp_url}
    assert "no queues yet" in pullet("status", env=env).out
    assert pullet("status", "--json", env=env).json["queues"] == []
    shown = pullet("jobs", "ls", env=env)
    assert (shown.code, "there are no queues" in shown.err) == (1, True)


def test_the_queue_may_be_left_out_where_there_is_one(pullet: Pullet, empty_server: EmbeddedServer) -> None:
    env = {"PULLET_REDIS": empty_server.tcp_url}
    assert pullet("submit", "ocr", "page", "1", env=env).code == 0
    assert "page" in pullet("jobs", "ls", env=env).out
    assert pullet("submit", "chess", "eval", "1", env=env).code == 0
    which = pullet("jobs", "ls", env=env)
    assert (which.code, which.err.splitlines()) == (
        2,
        ["pullet: which queue? There are chess, ocr", "try: pullet jobs ls chess"],
    )
    assert "eval" in pullet("jobs", "ls", env=env | {"PULLET_QUEUE": "chess"}).out
