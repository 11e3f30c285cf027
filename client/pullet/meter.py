"""The progress bar of a `map`: tqdm's where it is installed, else rich's, else a plain line on a terminal."""

from __future__ import annotations

import sys
import time
import warnings
from importlib import import_module
from typing import Any, Protocol

EVERY_S = 0.1
"""How often the plain line is written anew."""


class Meter(Protocol):
    """Counts what is done."""

    def advance(self) -> None: ...
    def close(self) -> None: ...


class NoMeter:
    def advance(self) -> None:
        pass

    def close(self) -> None:
        pass


NO_METER = NoMeter()


def meter(total: int | None, title: str) -> Meter:
    """The best one that this process can show. `total` is None where nobody knows it."""
    for make in (TqdmMeter, RichMeter):
        try:
            return make(total, title)
        except ImportError:
            continue
    return LineMeter(total, title) if sys.stderr is not None and sys.stderr.isatty() else NO_METER


class TqdmMeter:
    def __init__(self, total: int | None, title: str) -> None:
        with warnings.catch_warnings():  # in a notebook without ipywidgets it draws with text, and says more than that
            warnings.simplefilter("ignore")
            self._bar: Any = import_module("tqdm.auto").tqdm(total=total, desc=title or None)

    def advance(self) -> None:
        self._bar.update()

    def close(self) -> None:
        self._bar.close()


class RichMeter:
    def __init__(self, total: int | None, title: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, console=Console(stderr=True))
        self._task = self._bar.add_task(title, total=total)
        self._bar.start()

    def advance(self) -> None:
        self._bar.advance(self._task)

    def close(self) -> None:
        self._bar.stop()


class LineMeter:
    def __init__(self, total: int | None, title: str) -> None:
        self._total, self._title = total, title
        self._done, self._shown_at = 0, 0.0

    def advance(self) -> None:
        self._done += 1
        if time.monotonic() - self._shown_at >= EVERY_S:
            self._show("")

    def close(self) -> None:
        self._show("\n")

    def _show(self, end: str) -> None:
        self._shown_at = time.monotonic()
        of = "" if self._total is None else f" of {self._total}"
        print(f"\r{self._title}{' ' if self._title else ''}{self._done}{of}", end=end, file=sys.stderr, flush=True)
