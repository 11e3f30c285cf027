"""What a worker's process keeps, so that a job with large values need not ask the system for it."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys, threading
from pullet_workers.lean import make_lean

size = 1 << 20

def jobs(count):
    for _ in range(count):
        blocks = [b"x" * size for _ in range(4)]
        del blocks

def work():
    if sys.argv[1] == "lean":
        make_lean()
    jobs(20)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    jobs(50)
    print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / 50)

thread = threading.Thread(target=work)
thread.start()
thread.join()
"""
PAGES = 4 * (1 << 20) / resource.getpagesize()
"""Of one job's blocks."""


def faults_of_a_job(how: str) -> float:
    """With glibc's own settings, whatever those of this process are."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    command = [sys.executable, "-c", PROGRAM, how]
    return float(subprocess.run(command, env=env, capture_output=True, text=True, check=True, timeout=60).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other allocators have other habits")
def test_large_values_of_each_job_use_the_memory_of_the_job_before() -> None:
    assert faults_of_a_job("plain") > PAGES / 2, "a process as Python starts it, or this test shows nothing"
    assert faults_of_a_job("lean") < PAGES / 20
