"""What every caller does: send a share of the images, take the answers as they come.

Run as a module it is the caller that knows nothing of Ray: `python -m pullet_console.demo.callers IMAGES PART BEGIN`
takes the server from `PULLET_REDIS`, the images from a file of numpy's, and prints one answer a line, as JSON.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, wait
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import pullet
from pullet_console.demo.engine import Digits, Reading

if TYPE_CHECKING:
    from numpy.typing import NDArray

CALLERS = 3
WINDOW = 40
"""Jobs that one caller has in flight."""


@dataclass(frozen=True)
class Answer:
    """How the job of one image ended. Times are those of `time.time`."""

    index: int
    """Which image."""
    asked: float
    arrived: float
    worker: str
    attempts: int
    run_s: float
    reading: Reading | None
    """None when the job failed; `error` says how."""
    error: str = ""


def share(part: int, jobs: int) -> range:
    """Which images are those of one caller: every third one."""
    return range(part, jobs, CALLERS)


def ask(client: pullet.Client[Digits], images: NDArray[Any], part: int, begin: float) -> Iterator[Answer]:
    """From the time `begin` on send a share of the images, `WINDOW` at a time, and yield each answer as it comes."""
    time.sleep(max(0.0, begin - time.time()))
    waiting = iter(share(part, len(images)))
    flight: dict[pullet.Future[Reading], tuple[int, float]] = {}
    while True:
        for index in itertools.islice(waiting, WINDOW - len(flight)):
            asked = time.time()
            flight[client.submit(Digits.read, images[index])] = index, asked
        if not flight:
            return
        wait(flight, return_when=FIRST_COMPLETED)
        for future in [one for one in flight if one.done()]:
            index, asked = flight.pop(future)
            yield _answer(index, asked, future)


def _answer(index: int, asked: float, future: pullet.Future[Reading]) -> Answer:
    error = future.exception()
    return Answer(
        index=index,
        asked=asked,
        arrived=time.time(),
        worker=(future.worker or "?").split(".")[0],
        attempts=future.attempts,
        run_s=future.run_s or 0.0,
        reading=None if error else future.result(),
        error=f"{type(error).__name__}: {error}" if error else "",
    )


def main(images: str, part: str, begin: str) -> None:
    """The plain process."""
    import numpy

    threading.Thread(target=_end_with_parent, daemon=True).start()
    with pullet.connect(Digits) as client:
        for answer in ask(client, numpy.load(images), int(part), float(begin)):
            print(json.dumps(asdict(answer)), flush=True)
    if "ray" in sys.modules:
        raise SystemExit("this caller must not need Ray, but something has imported it")


def _end_with_parent() -> None:
    """The other end of stdin closes when the demo ends, also when it is killed."""
    while os.read(0, 1):  # not through sys.stdin: its lock, held here, would break the interpreter's exit
        continue
    os._exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
