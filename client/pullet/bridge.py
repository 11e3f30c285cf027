"""What another system may add to the futures of a process: to lend what a waiting thread holds, and to refer to an
outcome in its own way. The client knows no such system; `pullet_workers.bridge` is the one for Ray."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from functools import cache
from typing import Any, Protocol

log = logging.getLogger("pullet.client")

GROUP = "pullet.bridges"
"""Entry points of this distribution: the package that must be loaded already, and the module that then installs a
bridge. They serve a process that has only the client, such as a Ray task that calls `pullet.connect`."""


class Bell(Protocol):
    """Something that one thread waits for and another rings once."""

    def wait(self, timeout: float | None) -> None:
        """Until it was rung, at most `timeout` seconds. May return early."""

    def ring(self) -> None:
        """From any thread; never raises, never blocks for long."""

    def close(self) -> None:
        """Nobody waits any more."""


class Bridge(Protocol):
    """A system of which this process is a part."""

    def reopen(self, engine: Any, queue: Any, address: Any, options: Any, known: Any, /) -> Any:
        """Opens a pickled client in another process, so that the bridge is there as well."""

    def bell(self) -> Bell | None:
        """For a long wait of this thread: to wait for it gives others what the thread holds. None: nothing."""

    def ref(self, future: Any) -> Any:
        """The system's own reference to the outcome of a future."""


_installed: list[Bridge] = []


def install(bridge: Bridge) -> None:
    """Use this bridge in this process from now on."""
    _installed[:] = [bridge]


def installed() -> Bridge | None:
    return _installed[0] if _installed else None


def find() -> Bridge | None:
    """The bridge of this process, looked for where none is installed. Takes about 1 ms the first time."""
    if not _installed:
        for package, load in _offered():
            if package in sys.modules:
                try:
                    load()
                except ImportError as error:  # a part of the distribution is not there: then nothing is added
                    log.warning("cannot load a bridge", extra={"package": package, "error": str(error)})
    return installed()


@cache
def _offered() -> list[tuple[str, Callable[[], Any]]]:
    from importlib.metadata import PackageNotFoundError, distribution  # not needed before somebody waits long

    try:
        points = distribution("pullet").entry_points
    except PackageNotFoundError:
        return []  # a bare checkout: a bridge is there once its module is imported
    return [(point.name, point.load) for point in points if point.group == GROUP]
