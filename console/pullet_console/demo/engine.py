"""The engine of the demo: slow to build, warm once it is built, and as fast as the place it found."""

from __future__ import annotations

import fcntl
import itertools
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    from numpy.typing import NDArray

DIGITS = 1797
"""Images that come with scikit-learn."""
JOB_S = 0.035
"""Run time of one job on a fast worker."""
SLOWER = 4
"""How many times slower the workers at `SLOW_PLACES` are."""
SLOW_PLACES = (2, 3)


class Reading(TypedDict):
    """What the engine says of one image. Times are those of `time.time`."""

    digit: int
    place: int | None
    ready: float
    """When the engine was built."""
    started: float
    """When it began with this image."""


class Digits:
    """Reads handwritten digits with a classifier that it trains when it is built: about two seconds, once a worker.

    `places` is a folder in which each worker takes the lowest free place, by a lock on a file. The kernel frees it
    when the process dies, however it dies, so a replacement gets the speed of the worker that it replaces.

    The speeds are simulated: an image costs a quarter of a millisecond, and the rest of a job's time is slept. So four
    workers behave like four machines also on a computer with two cores, where four that compute would only slow each
    other down. Without `places` nothing is slept.
    """

    def __init__(self, places: Path | None = None) -> None:
        self._place: int | None = None
        if places:
            self._place, self._lock = take_place(places)
        self._job_s = job_s(self._place)
        self._model = train()
        self._ready = time.time()

    def read(self, pixels: NDArray[Any]) -> Reading:
        """The digit in one image of 8x8 pixels."""
        started, until = time.time(), time.monotonic() + self._job_s
        digit = int(self._model.predict(pixels.reshape(1, -1).astype(float))[0])
        time.sleep(max(0.0, until - time.monotonic()))
        return Reading(digit=digit, place=self._place, ready=self._ready, started=started)

    def close(self) -> None:
        """Leave the place to another worker."""
        if self._place is not None:
            self._lock.close()


def load() -> tuple[NDArray[Any], NDArray[Any]]:
    """All images (n, 8, 8), as bytes from 0 to 16, and the digits that they show."""
    from sklearn.datasets import load_digits

    pixels, digits = load_digits(return_X_y=True)
    return pixels.reshape(-1, 8, 8).astype("uint8"), digits


def train() -> Any:
    """A classifier made from every second image; the others it has never seen. Every run makes the same one."""
    from sklearn.model_selection import GridSearchCV
    from sklearn.svm import SVC

    images, digits = load()
    pixels = images[::2].reshape(-1, 64).astype(float)
    settings = {"gamma": [0.0005, 0.001, 0.002], "C": [1, 3]}
    return GridSearchCV(SVC(), settings, cv=4).fit(pixels, digits[::2]).best_estimator_


def take_place(folder: Path) -> tuple[int, IO[bytes]]:
    """The lowest number that no living process holds, and the open file that holds it."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in itertools.count():
        file = (folder / f"place-{number}").open("ab")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return number, file
        except BlockingIOError:
            file.close()
    raise AssertionError("itertools.count has no end")


def job_s(place: int | None) -> float:
    """Run time of one job at a place."""
    if place is None:
        return 0.0
    return JOB_S * SLOWER if place in SLOW_PLACES else JOB_S
