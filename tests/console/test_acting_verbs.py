"""The verbs that change something: on a live queue, and asking first where something would be gone."""

from __future__ import annotations

import json
import sys
from concurrent.futures import CancelledError

import pytest

from pullet_broker.job import new_job_id
from pullet_broker.link import Link
from tests.console.conftest import Life, Pullet
from tests.support.leaks import wait_until
from tests.support.scribe import Scribe, a_job


def test_submit_prints_the_id_and_wait_gets_the_result(pullet: Pullet, life: Life) -> None:
    life.kit.go.set()
    submitted = pullet("submit", life.name, "echo", '{"fen": "8/8"}')
    assert submitted.code == 0
    job = submitted.out.strip()
    waited = pullet("jobs", "wait", job, "--timeout", "20")
    assert (waited.code, json.loads(waited.out)) == (0, {"fen": "8/8"})
    told = pullet("jobs", "wait", job, "-q", life.name, "--json").json
    assert (told["job"], told["value"], told["attempts"]) == (job, {"fen": "8/8"}, 1)
    assert pullet("submit", life.name, "echo", "1", "--json").json.keys() == {"queue", "job"}


def test_submit_waits_and_streams(pullet: Pullet, life: Life) -> None:
    life.kit.go.set()
    assert pullet("submit", life.name, "echo", "plain text", "--wait").json == "plain text"
    assert pullet("submit", life.name, "echo", "value=[1, 2]", "--wait").json == [1, 2]
    told = pullet("submit", life.name, "echo", "1", "--wait", "--json").json
    assert told["value"] == 1
    streamed = pullet("submit", life.name, "count", "3", "0", "--stream")
    assert (streamed.code, streamed.out.split()) == (0, ["0", "1", "2"])


def test_a_job_that_fails_shows_the_remote_traceback(pullet: Pullet, life: Life) -> None:
    life.kit.go.set()
    failed = pullet("submit", life.name, "boom", "no king", "--wait")
    assert failed.code == 1
    assert "ValueError: no king" in failed.err
    assert "raise ValueError(text)" in failed.err
    assert failed.err.splitlines()[-1].startswith("try: pullet jobs show ")
    missing = pullet("submit", life.name, "nothing", "--stream")
    assert (missing.code, "nothing" in missing.err) == (1, True)


def test_waiting_too_long_lets_the_job_go_on(pullet: Pullet, life: Life) -> None:
    late = pullet("submit", life.name, "echo", "1", "--wait", "--timeout", "0.1")
    assert (late.code, "it goes on" in late.err) == (1, True)
    job = late.err.splitlines()[-1].split()[4]
    late = pullet("jobs", "wait", job, "--timeout", "0.1")
    assert late.code == 1
    life.kit.go.set()
    assert pullet("jobs", "wait", job, "--timeout", "20").json == 1


def test_options_of_submit(pullet: Pullet, life: Life) -> None:
    job = pullet("submit", life.name, "echo", "1", "-o", "delay=60", "-o", "priority=1").out.strip()
    assert pullet("jobs", "show", job, "--json").json["job"]["state"] == "delayed"
    for wrong in ("delay", "colour=red", "priority=high"):
        assert pullet("submit", life.name, "echo", "-o", wrong).code == 2
    assert pullet("submit", life.name, "echo", "--wait", "--stream").code == 2


def test_cancel(pullet: Pullet, life: Life) -> None:
    told = pullet("jobs", "cancel", life.delayed)
    assert (told.code, f"{life.delayed}: cancelled" in told.out) == (0, True)
    assert "too late" in pullet("jobs", "cancel", life.done).out
    assert "asked" in pullet("jobs", "cancel", life.waiting).out
    several = pullet("jobs", "cancel", life.waiting, life.done)
    assert (several.code, "cancel 2 jobs" in several.err) == (2, True)
    unknown = pullet("jobs", "cancel", new_job_id())
    assert (unknown.code, unknown.err.splitlines()[-1]) == (1, "try: pullet jobs ls")


def test_dead_retry_and_purge(pullet: Pullet, life: Life) -> None:
    assert "runs again" in pullet("dead", "retry", life.dead).out
    gone = pullet("dead", "retry", life.dead)
    assert (gone.code, "no dead letter" in gone.err) == (1, True)
    life.kit.go.set()
    assert wait_until(lambda: pullet("dead", "ls", life.name, "--json").json["letters"] != [])

    asked = pullet("dead", "retry", "--all", "-q", life.name)
    assert (asked.code, asked.err.splitlines()[-1]) == (2, f"try: pullet dead retry --all -q {life.name} --yes")
    assert "run 1 dead job of" in asked.err
    assert "1 job run again" in pullet("dead", "retry", "--all", "-q", life.name, "--error", "ValueError", "-y").out
    assert wait_until(lambda: pullet("dead", "ls", life.name, "--json").json["letters"] != [])
    assert "0 dead jobs" in pullet("dead", "purge", "--all", "-q", life.name, "--method", "echo", "-y").out
    assert pullet("dead", "purge", life.dead).code == 2
    assert "1 dead job thrown away" in pullet("dead", "purge", life.dead, "--yes").out
    assert pullet("dead", "ls", life.name, "--json").json["letters"] == []
    assert pullet("dead", "purge").code == 2
    assert pullet("dead", "retry", life.dead, "--all").code == 2


def test_pause_and_resume(pullet: Pullet, life: Life) -> None:
    assert f"pullet queue resume {life.name}" in pullet("queue", "pause", life.name).out
    assert life.client.paused
    assert pullet("queue", "resume", life.name).code == 0
    assert not life.client.paused


def test_drain_waits_for_the_last_job(pullet: Pullet, life: Life) -> None:
    late = pullet("queue", "drain", life.name, "--timeout", "0.2")
    assert late.code == 1
    assert "3 wait, 1 run, 1 are delayed" in late.err
    pullet("jobs", "cancel", life.delayed)
    life.kit.go.set()
    drained = pullet("queue", "drain", life.name, "--timeout", "30", "--json").json
    assert drained["queue"] == life.name


def test_purge_cancels_what_waits(pullet: Pullet, life: Life) -> None:
    waiting = life.client.job(life.waiting).future
    asked = pullet("queue", "purge", life.name)
    assert (asked.code, f"cancel 4 jobs of {life.name}?" in asked.err) == (2, True)
    assert pullet("queue", "purge", life.name, "--yes", "--json").json == {"queue": life.name, "cancelled": 4}
    with pytest.raises(CancelledError):
        waiting.result(10)
    assert pullet("jobs", "show", life.running, "--json").json["job"]["state"] == "running"


def test_a_question_is_asked_on_a_terminal(pullet: Pullet, life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pullet_console.commands.options.is_terminal", lambda: True)
    refused = pullet("queue", "purge", life.name, input="n\n")
    assert refused.code == 130
    assert "cancel 4 jobs" in refused.out
    assert "4 jobs of" in pullet("queue", "purge", life.name, input="y\n").out


def test_a_queue_of_many_jobs_is_purged(pullet: Pullet, scribe: Scribe, link: Link) -> None:
    for _ in range(5):
        scribe.caller().submit(*(a_job() for _ in range(200)))
    assert pullet("queue", "purge", scribe.queue.name, "--yes", "--json").json["cancelled"] == 1000


def test_steering_workers_needs_ray(pullet: Pullet, life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    for verb in (["drain", life.name], ["restart", life.name], ["scale", life.name, "2"]):
        shown = pullet("workers", *verb)
        assert (shown.code, shown.err.splitlines()[-1]) == (1, "try: export RAY_ADDRESS=auto")
    assert pullet("workers", "scale", life.name, "many").code == 2
    monkeypatch.setitem(sys.modules, "ray", None)
    assert "pip install" in pullet("worker", "module:Engine").err


def test_bench_measures_and_cleans_up(pullet: Pullet, link: Link) -> None:
    found = pullet("bench", "--jobs", "300", "--payload", "1k", "--json").json
    assert (found["jobs"], found["payload_bytes"], found["workers"]) == (300, 1000, 1)
    assert found["jobs_per_s"] == pytest.approx(300 / found["seconds"])
    assert 0 < found["p50_ms"] <= found["p95_ms"] <= found["p99_ms"]
    assert not [key for key in link.execute("KEYS", "pullet:*") if b"{bench-" in key]
    assert pullet("bench", "--payload", "lots").code == 2
