"""tarsk: a supervisor in Rust, the tasks in a Python child."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from tarsk import App, AsyncResult

from benchmarks import engine

SETTINGS = "1 child, 1 slot (100, its default, for echo); results polled every 5 ms (default 50)"
REQUIRES = ["tarsk-redis==0.2.*"]
VERSION_OF = "tarsk-redis"
RECOVERY = "the task's own timeout + 30 s"

app = App(broker=os.environ["BENCH_URL"])


@app.task(result_ttl=600)
def echo(value: str) -> str:
    return engine.echo(value)


@app.task(result_ttl=600)
def nap(factor: float) -> list[float]:
    return engine.nap_here(factor)


def work() -> None:
    program = str(Path(sys.executable).with_name("tarsk"))
    slots = "1" if engine.speeds()[0] else "100"
    command = ["worker", "--app", f"{__name__}:app", "--broker", os.environ["BENCH_URL"], "--children", "1"]
    os.execv(program, [program, *command, "--slots", slots])


class Caller:
    def submit(self, task: str, values: list[Any]) -> list[AsyncResult]:
        chosen = echo if task == "echo" else nap
        return [app.result(chosen.send(value)) for value in values]

    def result(self, handle: AsyncResult) -> Any:
        return handle.get(timeout=60, poll=0.005)

    def close(self) -> None:
        return


def connect() -> Caller:
    return Caller()
