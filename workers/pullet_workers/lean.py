"""What a worker's process does once, when its engine is built, so that its jobs need not pay for it again and again."""

from __future__ import annotations

import gc

LARGEST = 31 << 20
"""Bytes. Blocks from 32 MiB on never stay with glibc."""


def make_lean() -> None:
    """For a process that is this worker's alone: both are settings of the whole process."""
    _forget_what_stays()
    _keep_freed_memory()


def _forget_what_stays() -> None:
    """The engine and all modules live as long as their worker. The garbage collector need not look through them again
    and again, for 40 ms each time even with a small engine, while a job waits."""
    gc.collect()
    gc.freeze()


def _keep_freed_memory() -> None:
    """A job of 1 MiB has four blocks of that size: received, decoded, encoded, and what hiredis reads into. glibc may
    give them back to the system with every job, as it happens to find them, and each next one pays for 1,000 fresh
    pages: 3 of 5 ms. It keeps up to twice the largest block that was ever freed, which is this one; its pages are never
    touched, so it costs nothing."""
    bytearray(LARGEST)
