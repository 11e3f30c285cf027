"""The numbers for Prometheus, Grafana and scalers: they are the truth, and what is shipped fits them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from pullet_broker.address import Address
from pullet_broker.link import Link
from pullet_broker.settings import Queue
from pullet_console.metrics import Exposition
from pullet_console.ui.monitor import Monitor
from tests.support.dashboard import Dashboard, dashboard
from tests.support.leaks import wait_until
from tests.support.scribe import Scribe, a_job
from tests.support.workers import Kit, calling, running

FOLDER = Path(__file__).parents[2] / "deploy" / "observability"


@pytest.fixture
def here(address: Address) -> Iterator[Dashboard]:
    with dashboard(address) as found:
        yield found


@pytest.fixture
def numbers(address: Address, queue: Queue) -> Iterator[Callable[[], dict[tuple[str, ...], float]]]:
    """Looks once, and gives all that /metrics says of the queue: name and labels -> value."""
    monitor = Monitor(address, (queue.name,))

    def look() -> dict[tuple[str, ...], float]:
        monitor.turn()
        found = {}
        for family in text_string_to_metric_families(Exposition(monitor).text().decode()):
            for sample in family.samples:
                labels = dict(sample.labels)
                labels.pop("queue", None)
                found[(sample.name, *(labels[name] for name in sorted(labels)))] = sample.value
        return found

    yield look
    monitor.stop()


def test_counters_are_those_of_the_history(
    queue: Queue, address: Address, numbers: Callable[[], dict[tuple[str, ...], float]]
) -> None:
    with running(queue, address) as worker, calling(queue, address) as client:
        numbers()  # from now on somebody watches
        assert wait_until(lambda: worker.runner.report.witness.offset_us is not None)
        assert list(client.map(Kit.echo, range(300))) == list(range(300))
        client.options(retries=2, backoff=0.01).submit(Kit.boom).exception(20)
        client.submit(Kit.boom).exception(20)
        found = numbers()
    assert found["pullet_jobs_submitted_total",] == 302
    assert found["pullet_jobs_finished_total", "ok"] == 300
    assert found["pullet_jobs_finished_total", "error"] == 2
    assert found["pullet_job_retries_total",] == 2
    assert found["pullet_job_run_seconds_count", "echo"] == 300
    assert found["pullet_job_wait_seconds_count", "echo"] == 300
    assert found["pullet_job_run_seconds_bucket", "+Inf", "echo"] == 300
    assert found["pullet_job_run_seconds_count", "boom"] == 4, "attempts, not jobs"
    assert found["pullet_queue_dead",] == 2
    assert found["pullet_redis_up",] == 1
    assert found["pullet_engine_start_seconds_count",] == 1


def test_the_backlog_for_scalers_is_the_truth_whatever_happens(
    here: Dashboard, link: Link, queue: Queue, numbers: Callable[[], dict[tuple[str, ...], float]]
) -> None:
    """The stream's own lag turns null when entries end out of order; this must not."""
    scribe = Scribe(link, queue)
    caller, worker = scribe.caller(), scribe.worker()

    def is_told(waiting: int, running: int) -> None:
        answer = here.get(f"/api/queues/{queue.name}/backlog")
        assert answer == {"queue": queue.name, "backlog": waiting, "running": running}
        found = numbers()
        assert (found["pullet_queue_waiting",], found["pullet_queue_running",]) == (waiting, running)

    is_told(0, 0)
    jobs = caller.submit(*(a_job() for _ in range(10)))
    is_told(10, 0)
    taken = worker.take(4)
    is_told(6, 4)
    worker.finish(taken[2])  # out of order
    is_told(6, 3)
    worker.give_back(taken[3])
    is_told(7, 2)
    worker.fail(taken[0])  # a dead letter
    is_told(7, 1)
    worker.fail(taken[1], 60_000)  # parked: nobody can take it
    is_told(7, 0)
    scribe.make_due()
    is_told(8, 0)
    scribe.promote()
    is_told(8, 0)
    scribe.cancel(jobs[5])  # is in the backlog until somebody meets it
    is_told(8, 0)
    assert len(worker.take(20)) == 7
    is_told(0, 7)
    scribe.reap(worker.name, blame=False)
    is_told(7, 0)
    scribe.replay(jobs[0])
    is_told(8, 0)


def test_a_queue_that_nobody_knows_has_a_backlog_of_nought(here: Dashboard) -> None:
    assert here.get("/api/queues/nobody/backlog") == {"queue": "nobody", "backlog": 0, "running": 0}
    assert here.ask("GET", "/api/queues/no%20name/backlog").status == 404


def exported() -> set[str]:
    """The names that /metrics has, as it writes them."""
    monitor = Monitor(Address("redis://127.0.0.1:1/0"))
    text = Exposition(monitor).text().decode()
    names = set()
    for name, kind in re.findall(r"^# TYPE (\w+) (\w+)$", text, re.MULTILINE):
        names |= {name} if kind != "histogram" else {f"{name}_{end}" for end in ("bucket", "count", "sum")}
    return names


def used(text: str) -> set[str]:
    return set(re.findall(r"\bpullet_\w+", text))


def test_the_grafana_dashboard_is_whole_and_asks_for_what_there_is() -> None:
    board = json.loads((FOLDER / "grafana.json").read_text())
    assert {"title", "uid", "schemaVersion", "panels", "templating", "time"} <= set(board)
    panels = board["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels) >= 12
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {(place["x"] + dx, place["y"] + dy) for dx in range(place["w"]) for dy in range(place["h"])}
        assert place["x"] + place["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells
        assert panel["targets"]
        for target in panel["targets"]:
            assert used(target["expr"]) <= exported(), target["expr"]
            assert target["datasource"]["uid"] == "${datasource}"
    assert [one["name"] for one in board["templating"]["list"]] == ["datasource", "queue"]


def test_the_rules_ask_for_what_there_is() -> None:
    groups = yaml.safe_load((FOLDER / "rules.yml").read_text())["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert len(rules) >= 5
    for rule in rules:
        assert used(rule["expr"]) <= exported(), rule["alert"]
        assert {"summary", "description"} <= set(rule["annotations"])


@pytest.mark.skipif(not shutil.which("promtool"), reason="no promtool on this machine: apt-get install prometheus")
@pytest.mark.parametrize("what", [["check", "rules"], ["check", "config"], ["test", "rules"]])
def test_promtool_accepts_what_is_shipped(what: list[str]) -> None:
    file = {"config": "prometheus.yml"}.get(what[1], "rules_test.yml" if what[0] == "test" else "rules.yml")
    done = subprocess.run(["promtool", *what, file], cwd=FOLDER, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_scaler_asks_where_the_dashboard_answers(here: Dashboard) -> None:
    documents = list(yaml.safe_load_all((FOLDER / "keda.yaml").read_text()))
    (trigger,) = documents[1]["spec"]["triggers"]
    path = re.sub(r"^http://[^/]+", "", trigger["metadata"]["url"])
    assert isinstance(here.get(path)[trigger["metadata"]["valueLocation"]], int)
    assert trigger["authenticationRef"]["name"] == documents[0]["metadata"]["name"]


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.skipif(not shutil.which("prometheus"), reason="no prometheus on this machine: apt-get install prometheus")
def test_a_prometheus_that_scrapes_sees_the_history(
    here: Dashboard, queue: Queue, address: Address, tmp_path: Path
) -> None:
    config = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "5s"}
    config["scrape_configs"][0]["static_configs"][0]["targets"] = [f"127.0.0.1:{here.port}"]
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config))
    shutil.copy(FOLDER / "rules.yml", tmp_path)
    with prometheus(tmp_path) as url, running(queue, address) as worker, calling(queue, address) as client:
        assert wait_until(lambda: worker.runner.report.witness.offset_us is not None, 20)
        done = failed = 0
        for round in range(20):
            assert list(client.map(Kit.echo, range(50))) == list(range(50))
            done += 50
            if round % 4 == 0:
                client.submit(Kit.boom).exception(20)
                failed += 1
        want = f'{{queue="{queue.name}"}}'

        def sees(query: str, value: float) -> None:
            assert wait_until(lambda: ask(url, query) == value, 40), f"{query}: {ask(url, query)}, expected {value}"

        sees(f'pullet_jobs_finished_total{{queue="{queue.name}",outcome="ok"}}', done)
        sees(f'pullet_jobs_finished_total{{queue="{queue.name}",outcome="error"}}', failed)
        sees(f"pullet_jobs_submitted_total{want}", done + failed)
        sees(f"pullet_queue_dead{want}", failed)
        sees(f"sum(pullet_job_run_seconds_count{want})", done + failed)
        sees(f"pullet_queue_waiting{want}", 0)
        assert wait_until(lambda: (ask(url, "count_over_time(pullet_redis_up[2m])") or 0) >= 60, 110)


def ask(url: str, query: str) -> float | None:
    """The value of an instant query, or None."""
    from urllib.parse import urlencode

    with urlopen(f"{url}/api/v1/query?{urlencode({'query': query})}", timeout=10) as answer:
        found: Any = json.load(answer)["data"]["result"]
    return float(found[0]["value"][1]) if found else None


class prometheus:
    """A server in a folder that holds its configuration."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> str:
        import socket

        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command = ["prometheus", "--config.file=prometheus.yml", f"--web.listen-address=127.0.0.1:{port}"]
        log = (self._folder / "log").open("w")
        self._process = subprocess.Popen(
            [*command, "--storage.tsdb.path=data"], cwd=self._folder, stdout=log, stderr=subprocess.STDOUT
        )
        url = f"http://127.0.0.1:{port}"
        assert wait_until(lambda: _is_ready(url), 30), (self._folder / "log").read_text()[-2000:]
        return url

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(20)


def _is_ready(url: str) -> bool:
    try:
        with urlopen(f"{url}/-/ready", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
