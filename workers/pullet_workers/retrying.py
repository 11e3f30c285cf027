"""Whether an attempt that raised is followed by another one, and when. No I/O, no clock."""

from __future__ import annotations

import random

from pullet_broker.errors import YEAR_S, Retry
from pullet_broker.job import Entry
from pullet_broker.reply import Failure, sendable
from pullet_broker.retrying import is_worth_a_retry
from pullet_workers.opts import read_opts

LONGEST_RETRY_S = 300.0
NOTE = 500
"""Characters of a note."""


def retry_after_ms(entry: Entry, error: BaseException, failure: Failure) -> int | None:
    """When to run the job again, or None: it has failed for good.

    Only what the engine itself raised, or its taking too long, is worth another try: arguments that cannot be read
    stay so.
    """
    if not entry.opts or failure.kind not in ("raised", "timeout"):
        return None
    opts = read_opts(entry.opts)
    if entry.raised >= opts.retries or not is_worth_a_retry(error, opts.retry_on, opts.no_retry_on):
        return None
    after_s = _asked_for(error) if isinstance(error, Retry) else None
    return retry_delay_ms(entry.raised, opts.backoff) if after_s is None else round(1000 * after_s)


def retry_delay_ms(raised: int, first_s: float) -> int:
    """Exponential back-off with full jitter: up to `first_s`, twice, four times ... that, at most 5 min."""
    return round(1000 * random.random() * min(LONGEST_RETRY_S, first_s * 2.0 ** max(0, min(raised, 20))))


def note(failure: Failure) -> str:
    """Type and text in one short line, for the job's history."""
    text = " ".join(failure.text[:NOTE].split())
    return sendable(f"{failure.error_type} {text}", NOTE)


def _asked_for(error: Retry) -> float | None:
    try:
        after = error.after
        return float(after) if after is not None and 0 <= after <= YEAR_S else None
    except Exception:  # a class of the engine's own may be made of anything
        return None
