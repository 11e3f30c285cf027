"""The three callers as the demo sees them: each runs somewhere else, a thread here collects its answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError
from typing import IO, TYPE_CHECKING, Any

import numpy
import ray

from pullet_broker.address import URL
from pullet_console.demo.callers import Answer, ask, share
from pullet_console.demo.engine import Digits
from pullet_workers import Pool

if TYPE_CHECKING:
    from numpy.typing import NDArray

JOIN_S = 5.0


class Caller:
    """One caller; `answers` grows while it runs. `error` says why it ended too early."""

    name = ""

    def __init__(self, pool: Pool[Digits], images: NDArray[Any], part: int) -> None:
        self._pool, self._images, self._part = pool, images, part
        self.share = len(share(part, len(images)))
        self.answers: list[Answer] = []
        self.error = ""
        self._thread = threading.Thread(target=self._run, name=f"pullet-demo-{part}", daemon=True)

    def start(self, begin: float) -> None:
        """Get ready, and ask from the time `begin` on."""
        self._begin = begin
        self._thread.start()

    @property
    def is_over(self) -> bool:
        return not self._thread.is_alive()

    def stop(self) -> None:
        """End it wherever it is. May be repeated, and called before `start`."""
        if self._thread.ident:
            self._thread.join(JOIN_S)

    def _run(self) -> None:
        try:
            for answer in self._collect():
                self.answers.append(answer)
        except CancelledError:
            self.error = "stopped"
        except Exception as error:  # whatever it is, the summary shows it and counts what is missing
            self.error = f"{type(error).__name__}: {error}"

    def _collect(self) -> Iterator[Answer]:
        raise NotImplementedError


class Driver(Caller):
    """This process, which made the pool. When the pool is closed its futures end, and so does its thread."""

    name = "driver"

    def _collect(self) -> Iterator[Answer]:
        return ask(self._pool, self._images, self._part, self._begin)

    def stop(self) -> None:
        return


class RayTask(Caller):
    """A Ray task that got the pool as an argument."""

    name = "Ray task"

    def start(self, begin: float) -> None:
        task: Any = ray.remote(num_cpus=0, max_retries=0)(ask)
        self._answers = task.remote(self._pool, self._images, self._part, begin)
        super().start(begin)

    def _collect(self) -> Iterator[Answer]:
        for ref in self._answers:
            yield ray.get(ref)

    def stop(self) -> None:
        if not self.is_over:
            ray.cancel(self._answers, force=True)
        super().stop()


class PlainProcess(Caller):
    """A process of its own, without Ray; see `callers.main`."""

    name = "plain process"

    def start(self, begin: float) -> None:
        self._file = tempfile.NamedTemporaryFile(suffix=".npy")  # noqa: SIM115  the process reads it later
        numpy.save(self._file, self._images)
        self._file.flush()
        # The server of the pool has no persistence, which is what a demo wants: no warning about it.
        words = [sys.executable, "-W", "ignore::RuntimeWarning", "-m", "pullet_console.demo.callers"]
        self._process = subprocess.Popen(
            [*words, self._file.name, str(self._part), str(begin)],
            env=os.environ | {URL: os.environ.get(URL) or self._pool.redis},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is for the demo, which stops this process by itself
        )
        super().start(begin)

    def _collect(self) -> Iterator[Answer]:
        out, err = _streams(self._process)
        for line in out:
            yield Answer(**json.loads(line))
        said = err.read().strip()
        if self._process.wait() != 0:
            raise RuntimeError(f"exit code {self._process.returncode}: {said[-500:]}")

    def stop(self) -> None:
        if self._thread.ident:
            self._process.kill()
            self._process.wait()
        super().stop()


def _streams(process: subprocess.Popen[str]) -> tuple[IO[str], IO[str]]:
    assert process.stdout is not None
    assert process.stderr is not None
    return process.stdout, process.stderr
