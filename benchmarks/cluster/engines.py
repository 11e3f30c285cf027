"""Engines of the cluster bench. Every job says where and when it began: all nodes share one clock."""

from __future__ import annotations

import asyncio
import ctypes
import os
import time
from typing import Any

import ray


class Sleeper:
    """Waits instead of working, so that two cores can stand in for many machines."""

    def __init__(self, start_s: float = 0.0) -> None:
        time.sleep(start_s)
        self.ready_at = time.time()

    def work(self, seconds: float) -> tuple[int, float]:
        """Process and start of the job, which takes `seconds`."""
        begun = time.time()
        time.sleep(seconds)
        return os.getpid(), begun

    def hold_interpreter(self, seconds: int) -> int:
        """Hold the GIL in C: no thread of the worker runs meanwhile, not even its heart."""
        ctypes.PyDLL(None).sleep(seconds)
        return os.getpid()


class AsyncSleeper:
    async def work(self, seconds: float) -> tuple[int, float]:
        begun = time.time()
        await asyncio.sleep(seconds)
        return os.getpid(), begun


class Uneven:
    """As fast as its node's label says."""

    def __init__(self) -> None:
        here = ray.get_runtime_context().get_node_id()
        labels = next(node["Labels"] for node in ray.nodes() if node["NodeID"] == here)
        self.job_s = float(labels["job_s"])
        self.ready_at = time.time()

    def work(self) -> dict[str, Any]:
        begun = time.time()
        time.sleep(self.job_s)
        return {
            "worker": os.getpid(),
            "ready": self.ready_at,
            "job_s": self.job_s,
            "ended": time.time(),
            "begun": begun,
        }
