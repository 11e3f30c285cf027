"""Engines for tests on Ray: in a module of their own, because the workers import it too."""

from __future__ import annotations

import asyncio
import gc
import os
import time
from pathlib import Path

from pullet import Client


class Echo:
    def __init__(self, greeting: str = "") -> None:
        self.greeting = greeting
        self.calls = 0

    def say(self, text: str) -> str:
        return self.greeting + text

    def count(self) -> int:
        self.calls += 1
        return self.calls

    def frozen(self) -> int:
        """Objects that the garbage collector of its process does not look at any more."""
        return gc.get_freeze_count()

    def pid(self) -> int:
        return os.getpid()

    def started(self, seconds: float) -> float:
        """When it was started; takes `seconds`."""
        now = time.time()
        time.sleep(seconds)
        return now

    def fail(self, text: str) -> None:
        raise KeyError(text)

    def hold(self, gate: str) -> int:
        """Run until the file `gate` exists."""
        while not Path(gate).exists():
            time.sleep(0.01)
        return os.getpid()

    def die(self) -> None:
        os._exit(1)


class Broken:
    def __init__(self) -> None:
        raise RuntimeError("no model at /models/chess.bin")

    def run(self) -> None:
        """Nobody gets here."""


class Searcher:
    """Uses another engine of its group."""

    def __init__(self, evaluator: Client[Echo]) -> None:
        self.evaluator = evaluator

    def move(self, board: str) -> str:
        return self.evaluator.submit(Echo.say, f"after {board}").result(20)


class Busy:
    """Keeps its worker busy in each way there is."""

    def sleep(self, gate: str) -> None:
        while not Path(gate).exists():
            time.sleep(1.0)

    def spin(self, gate: str) -> int:
        turns = 0
        while turns % 10_000 or not Path(gate).exists():
            turns += 1
        return turns


class AsyncBusy:
    """It is built on its loop; its methods run many at once."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()

    async def wait(self, gate: str) -> None:
        while not Path(gate).exists():
            await asyncio.sleep(0.05)
