"""Whether what a job raised is worth another try. Types are compared by name: nothing is imported."""

from __future__ import annotations

from collections.abc import Collection

from pullet_broker.errors import Retry
from pullet_broker.failure import type_names


def is_worth_a_retry(error: BaseException, retry_on: Collection[str], no_retry_on: Collection[str]) -> bool:
    """By the names of the error's class and its bases; `no_retry_on` wins, and `retry_on` may be empty: all.

    An engine that raises `Retry` is asked for nothing more.
    """
    if isinstance(error, Retry):
        return True
    names = type_names(error)
    if names.intersection(no_retry_on):
        return False
    return not retry_on or not names.isdisjoint(retry_on)
