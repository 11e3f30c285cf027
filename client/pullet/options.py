"""What `Client.options` sets: how the next jobs are treated."""

from __future__ import annotations

import json
from dataclasses import dataclass

from pullet_broker.job import Job, lane_of
from pullet_broker.keys import check_length
from pullet_broker.parts import Buffer


@dataclass(frozen=True, kw_only=True)
class Options:
    """Times in seconds. Checked when built: `ValueError` says which is wrong."""

    priority: int = 0
    """Above 0: before all others; below 0: after them."""
    retries: int = 0
    """How often a job that raised is run again."""
    expires: float | None = None
    """Drop the job when it has waited this long without being started."""
    delay: float = 0.0
    """Do not start it before this has passed; a tick of about 1 s more or less."""
    key: str | None = None
    """Run the job where others with this key (1 to 128 bytes of UTF-8) ran, as long as that node has workers."""
    keep: float | bool = False
    """Leave the reply in Redis after it was read: True for the usual result TTL, or a number of seconds."""

    def __post_init__(self) -> None:
        if self.retries < 0 or self.delay < 0 or self.keep < 0:
            raise ValueError(f"retries, delay and keep must not be negative: {self}")
        if self.expires is not None and self.expires <= 0:
            raise ValueError(f"expires={self.expires}: expected a number of seconds above 0, or None")
        if self.key is not None:
            check_length("key", self.key)

    def job(self, job_id: str, method: str, args: Buffer, *, stream: bool = False) -> Job:
        """A job with these options."""
        if self is DEFAULT and not stream:
            return Job(job_id, method, args)
        return Job(
            job_id,
            method,
            args,
            opts=_packed(retries=self.retries, stream=int(stream)),
            lane=lane_of(self.priority),
            delay_ms=_milliseconds(self.delay),
            expires_ms=_milliseconds(self.expires or 0),
            ttl_ms=_milliseconds(0 if self.keep is True else self.keep),
            key=self.key or "",
        )


DEFAULT = Options()


def _packed(**opts: int) -> str:
    """Short JSON of what is given; empty when nothing is."""
    given = {name: value for name, value in opts.items() if value}
    return json.dumps(given, separators=(",", ":")) if given else ""


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000)) if seconds else 0
