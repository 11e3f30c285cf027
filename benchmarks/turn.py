"""One turn of one system: its workers and callers as processes, warm, and gone at the end."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from benchmarks.server import Server
from benchmarks.system import ROOT, System

START_S = 60
"""How long workers may take to start."""
ANSWER_S = 90
"""How long one measurement may take."""
STOP_S = 10
PAYLOAD = "x" * 100
FAST = (0.0,)
"""Workers whose speed does not matter."""


class Failed(Exception):
    """This system could not be measured this time."""


class Caller:
    """A process that submits jobs and waits for them, as `driver` says."""

    def __init__(self, system: System, environment: dict[str, str], log: IO[str]) -> None:
        self._process = _start(system, "call", environment, log, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._name = system.name

    def ask(self, measurement: str, *arguments: Any) -> dict[str, Any]:
        self.begin(measurement, *arguments)
        return self.answer()

    def begin(self, measurement: str, *arguments: Any) -> None:
        assert self._process.stdin
        try:
            self._process.stdin.write(json.dumps([measurement, arguments]) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise Failed(f"{self._name}: a caller has ended") from None

    def answer(self, timeout_s: float = ANSWER_S) -> Any:
        assert self._process.stdout
        ready, _, _ = select.select([self._process.stdout], [], [], timeout_s)
        line = self._process.stdout.readline() if ready else ""
        if not line:
            raise Failed(f"{self._name}: no answer within {timeout_s:.0f} s" if not ready else "a caller has ended")
        return json.loads(line)

    @property
    def pid(self) -> int:
        return self._process.pid

    def close(self) -> None:
        assert self._process.stdin
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        _end([self._process])


class Turn:
    """A system at work. `callers` are ready; `workers` are the processes that run jobs, or that started the actors."""

    def __init__(
        self, system: System, callers: list[Caller], workers: list[subprocess.Popen[str]], folder: Path
    ) -> None:
        self.system, self.callers, self.workers = system, callers, workers
        self.seats, self._log = folder / "seats", folder / "log"

    def warm(self, workers: int) -> None:
        """Until every worker has run something, and the callers are connected."""
        caller, seen, deadline = self.callers[0], set[float](), time.monotonic() + START_S
        while len(seen) < workers:
            if time.monotonic() > deadline:
                raise Failed(f"{len(seen)} of {workers} workers run jobs after {START_S} s; {self.log_tail()}")
            answers = caller.ask("many", "nap", [1.0] * 2 * workers)["answers"]
            seen |= {worker for worker, _ in answers}
        for one in self.callers:
            one.ask("many", "echo", [PAYLOAD] * 50)

    def together(self, measurement: str, arguments: Sequence[Sequence[Any]]) -> list[dict[str, Any]]:
        """All callers at the same time."""
        for caller, given in zip(self.callers, arguments, strict=True):
            caller.begin(measurement, *given)
        return [check(caller.answer()) for caller in self.callers]

    def ask(self, measurement: str, *arguments: Any) -> dict[str, Any]:
        """The first caller alone."""
        return check(self.callers[0].ask(measurement, *arguments))

    def naps(self) -> list[tuple[float, int, int]]:
        """When, at which worker and in which process each long nap began, in that order."""
        notes = (path.name.split("-")[1:] for path in self.seats.glob("nap-*"))
        return sorted((float(at), int(worker), int(pid)) for at, worker, pid in notes)

    def log_tail(self) -> str:
        return " | ".join(self._log.read_text(errors="replace").splitlines()[-3:])[-500:]


def check(found: dict[str, Any]) -> dict[str, Any]:
    """Every answer must be right: a system that is fast and wrong is not shown as fast."""
    if found.get("wrong"):
        raise Failed(f"{found['wrong']} of {found['jobs']} answers are wrong or missing {found['errors']}")
    return found


@contextlib.contextmanager
def a_turn(
    system: System, server: Server, *, callers: int = 1, speeds: Sequence[float] = FAST, warm: bool = True
) -> Iterator[Turn]:
    """Workers of these speeds (seconds of a nap of 1), and so many callers."""
    server.clear()
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "log").open("w") as log:
        (Path(folder) / "seats").mkdir()
        environment = {"BENCH_URL": server.url, "BENCH_SEATS": str(Path(folder) / "seats")}
        groups = [speeds] if system.is_together else [[speed] for speed in speeds]
        running: list[subprocess.Popen[str]] = []
        calling: list[Caller] = []
        try:
            for number, group in enumerate(groups):
                own = {"BENCH_SPEEDS": ",".join(map(str, group)), "BENCH_WORKER": str(number)}
                running.append(_start(system, "work", environment | own, log))
            own = {"BENCH_SPEEDS": ",".join(map(str, speeds)), "BENCH_WORKER": "-1"}
            calling = [Caller(system, environment | own, log) for _ in range(callers)]
            turn = Turn(system, calling, running, Path(folder))
            for caller in calling:
                try:
                    caller.answer(START_S)
                except Failed:
                    raise Failed(f"does not start: {turn.log_tail()}") from None
            if warm:
                turn.warm(len(speeds))
            yield turn
        finally:
            for caller in calling:
                caller.close()
            _end(running)


def _start(system: System, role: str, environment: dict[str, str], log: IO[str], **pipes: Any) -> subprocess.Popen[str]:
    command = [str(system.python), "-m", "benchmarks.driver", role, system.name]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment = {**inherited, **environment, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, text=True, stderr=log, start_new_session=True, **({"stdout": log} | pipes)
    )


def _end(processes: list[subprocess.Popen[str]]) -> None:
    """Ask them to stop, then kill whatever is left of their sessions."""
    for process in processes:
        if process.poll() is None:
            process.terminate()
    deadline = time.monotonic() + STOP_S
    for process in processes:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, deadline - time.monotonic()))
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
