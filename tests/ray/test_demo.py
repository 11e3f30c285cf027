"""`pullet demo`: its figures are computed right, it ends well, and Ctrl-C leaves nothing behind."""

from __future__ import annotations

import io
import itertools
import json
import math
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from pullet_console.demo import inside
from pullet_console.demo.callers import Answer
from pullet_console.demo.engine import Reading, take_place
from pullet_console.demo.ideal import Machine, ideal_makespan
from pullet_console.demo.strike import REST_S, Strike, choose
from pullet_console.demo.verdict import judge
from pullet_console.demo.view import draw
from pullet_console.demo.watch import Picture, Row, update
from tests.support.leaks import wait_until

pytestmark = pytest.mark.ray

MARK = "PULLET_TEST_MARK"
JOBS = 400


# -- the ideal makespan


def best_by_trying(jobs: int, machines: Sequence[Machine]) -> float:
    """The least makespan of all ways to share out the jobs."""
    best = math.inf
    for counts in itertools.product(range(jobs + 1), repeat=len(machines)):
        ends = [one.since + n * one.job_s if n else 0.0 for one, n in zip(machines, counts, strict=True)]
        if sum(counts) == jobs and all(end <= one.until for one, end in zip(machines, ends, strict=True)):
            best = min(best, max(ends))
    return best


@pytest.mark.parametrize(
    "machines",
    [
        [Machine(1.0), Machine(1.0), Machine(1.0)],
        [Machine(1.0), Machine(4.0), Machine(4.0)],
        [Machine(1.0, until=2.5), Machine(1.0, since=3.5), Machine(4.0)],
        [Machine(0.5, since=10.0), Machine(1.0, since=0.25), Machine(3.0, until=2.0)],
    ],
)
def test_the_ideal_is_the_best_of_all_schedules(machines: list[Machine]) -> None:
    for jobs in range(9):
        assert ideal_makespan(jobs, machines) == pytest.approx(best_by_trying(jobs, machines))


def test_there_is_no_ideal_when_all_machines_die_before_the_last_job() -> None:
    with pytest.raises(ValueError, match="only 2 of 3 jobs"):
        ideal_makespan(3, [Machine(1.0, until=2.9)])


# -- the verdict


def answer(index: int, digit: int, worker: str, started: float, attempts: int = 1) -> Answer:
    reading = Reading(digit=digit, place=0, ready=0.0, started=started)
    return Answer(index, asked=100.0, arrived=started + 1, worker=worker, attempts=attempts, run_s=1.0, reading=reading)


STRIKE = Strike("a", 1, "job", at=101.5)


def test_the_verdict_of_a_good_run() -> None:
    answers = [answer(0, 7, "a", 100), answer(1, 8, "b", 100), answer(2, 9, "b", 101.75, attempts=2)]
    verdict = judge(answers, [7, 8, 9], [7, 3, 9], STRIKE)

    assert (verdict.missing, verdict.different, verdict.failures) == (0, 0, [])
    assert (verdict.right, verdict.unseen) == (0, 1), "image 1 is the only one not trained on, and 8 is not 3"
    assert (verdict.recovery_s, verdict.recovered_by) == (0.25, "b")
    assert verdict.makespan_s == 2.75
    assert verdict.ideal_s == 2.0, "a does one job before it dies, b two"


def test_missing_and_different_answers_fail() -> None:
    failed = Answer(2, asked=100.0, arrived=101.0, worker="b", attempts=1, run_s=0.0, reading=None, error="OSError: no")
    verdict = judge([answer(0, 7, "a", 100), answer(1, 1, "b", 102, attempts=2), failed], [7, 8, 9], [7, 8, 9], STRIKE)

    assert (verdict.missing, verdict.different) == (1, 1)
    assert [line.split(":")[0] for line in verdict.failures] == [
        "1 jobs failed",
        "1 answers are missing",
        "1 answers differ from those of the engine called directly",
    ]


def test_a_run_without_a_recovery_fails() -> None:
    verdict = judge([answer(0, 7, "a", 100)], [7], [7], strike=None)

    assert verdict.failures == ["no job ran again after the kill, so the recovery has no time"]


# -- what is seen and done on the way


def record(name: str, job_since: float | None, mean_s: float = 0.1, node: str = "here") -> dict[str, Any]:
    done = 10 if mean_s else 0
    seen = {"job": job_since and "j", "job_since": job_since, "done": done, "busy_s": mean_s * done}
    return {"name": name, "pid": 1, "node": node, "state": "busy", **seen}


def test_the_victim_is_a_local_worker_in_the_middle_of_a_job() -> None:
    fast, slow = record("fast", 9.99), record("slow", 9.99, mean_s=0.4)
    others = [record("idle", None), record("new", 9.99, mean_s=0), record("far", 9.99, node="there")]
    ending = record("ending", 9.9 + REST_S / 2)

    assert choose([slow, *others, fast], "here", now=10.0) == fast
    assert choose([ending, *others, slow], "here", now=10.0) == slow
    assert choose([ending, *others], "here", now=10.0) is None
    assert choose([{"name": "starting", "state": "starting", "pid": None, "node": None}], "here", now=10.0) is None


def test_a_worker_that_is_always_at_a_job_is_busy_all_the_time() -> None:
    row = Row("a")
    for now in range(20):
        update(row, {"pid": 1, "state": "busy", "busy_s": 0.0, "job": "j", "job_since": 0.5}, float(now))

    assert row.busy == 1.0
    assert row.job_s == 18.5


def test_a_place_is_free_again_when_its_holder_is_gone(tmp_path: Path) -> None:
    holders = [take_place(tmp_path) for _ in range(4)]
    assert [number for number, _ in holders] == [0, 1, 2, 3]

    holders[2][1].close()
    assert take_place(tmp_path)[0] == 2


def test_the_picture_fits_a_small_terminal() -> None:
    rows = [Row(f"digits-{n:04x}", 4_000_000 + n, "slow", "busy", 1797, "f" * 32, 12.345) for n in range(5)]
    callers = [("driver", 599, 599), ("Ray task", 599, 599), ("plain process", 599, 599)]
    news = ["kill -9 4000000: digits-0000 died with job ffffffff in hand", "the job ran again 50 ms later"]
    shown = io.StringIO()
    Console(file=shown, width=80, height=24).print(draw(Picture(60.0, 1796, 1797, 1797, rows, callers, news)))
    lines = shown.getvalue().splitlines()

    assert max(map(len, lines)) <= 80
    assert len(lines) <= 16, "with what stands above it, it must not be higher than the terminal"
    assert "1,796 of 1,797" in shown.getvalue()
    assert all(row.name in shown.getvalue() for row in rows)


def test_the_lines_to_paste_suit_the_address() -> None:
    for url, options in [("unix:///tmp/x/s", ["-s", "/tmp/x/s"]), ("redis://h:1/2", ["-u", "redis://h:1/2"])]:
        for line in inside.lines(url, "digits"):
            words = shlex.split(line)
            assert words[1:3] == options
            assert words[4].startswith("pullet:{digits}:"), "the braces are quoted for the shell"


# -- the whole


class Demo:
    """A running `pullet demo` without a terminal, in a session of its own."""

    def __init__(self, mark: str, jobs: int) -> None:
        self.mark = mark
        own = {name: text for name, text in os.environ.items() if name not in ("PULLET_REDIS", "RAY_ADDRESS")}
        self.process = subprocess.Popen(
            [Path(sys.executable).with_name("pullet"), "demo", "--jobs", str(jobs)],
            env=own | {MARK: mark},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        assert self.process.stdout is not None
        self.lines: Iterator[str] = iter(self.process.stdout)

    def read_until(self, pattern: str) -> list[str]:
        """The lines up to the first that matches."""
        read = []
        for line in self.lines:
            read.append(line.rstrip("\n"))
            if re.search(pattern, line):
                return read
        raise AssertionError(f"no line matches {pattern!r}:\n" + "\n".join(read))

    def left(self) -> list[str]:
        """The processes that this demo has started and that still run."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if f"{MARK}={self.mark}".encode() in (folder / "environ").read_bytes():
                    found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()[:90])
            except OSError:
                continue  # it ended meanwhile, or is not ours
        return found


@pytest.fixture
def demo(request: pytest.FixtureRequest) -> Iterator[Demo]:
    started = Demo(f"{request.node.name}-{os.getpid()}", JOBS)
    yield started
    if started.process.poll() is None:
        os.killpg(started.process.pid, signal.SIGKILL)
    started.process.communicate()


@pytest.mark.timeout(240)
@pytest.mark.slow
def test_the_demo_succeeds_and_takes_everything_down(demo: Demo) -> None:
    output = "\n".join(demo.lines)

    assert demo.process.wait(60) == 0, output
    assert f"{JOBS} of {JOBS}: 0 missing, 0 different" in output
    assert "\033" not in output, "no colours and no cursor movements where there is no terminal"
    again = re.search(r"the job ran again (\d+) ms later, on digits-\w+", output)
    assert again, output
    assert int(again[1]) < 1000
    assert re.search(r"makespan +[\d.]+ s; ideal [\d.]+ s; efficiency [01]\.\d+", output), output
    jobs = re.findall(r"^digits-\w+ +(?:fast|slow)(?:, killed)? +(\d+) ", output, re.MULTILINE)
    assert len(jobs) >= 4
    assert sum(map(int, jobs)) == JOBS
    assert output.count(" XPENDING ") == 2, "once to paste while it runs, once in the summary"
    assert wait_until(lambda: not demo.left()), demo.left()


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_look_inside_then_stop_with_ctrl_c(demo: Demo) -> None:
    read = demo.read_until(r" [1-9]\d*/400 ")
    lines = [line for line in read if "-cli" in line]
    length, pending, workers = (subprocess.check_output(line, shell=True, text=True) for line in lines)

    assert int(length) > 0
    assert int(pending.split()[0]) > 0
    assert {json.loads(one)["name"].split("-")[0] for one in workers.splitlines()} == {"digits"}

    os.killpg(demo.process.pid, signal.SIGINT)  # as a terminal does: the whole foreground group
    rest = "\n".join(demo.lines)

    assert demo.process.wait(60) == 130, rest
    assert "Traceback" not in rest
    assert wait_until(lambda: not demo.left()), demo.left()


def test_a_caller_without_ray_stays_without_ray() -> None:
    code = "import sys, pullet_console.demo.callers; print(*{name.split('.')[0] for name in sys.modules})"
    loaded = set(subprocess.check_output([sys.executable, "-c", code], text=True).split())

    assert not loaded & {"ray", "sklearn", "pullet_workers"}
