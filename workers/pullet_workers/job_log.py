"""Log records made while a job runs say which: in a worker's process, and nowhere else."""

from __future__ import annotations

import logging
import time
from typing import Any

from pullet.running import current_jobs
from pullet_broker.reply import sendable

WIDTH = 300
"""Characters of one record that a job keeps."""
NAMED = 3
"""Jobs of a batch that are named in a record."""


class JobRecords:
    """Makes records as the factory before it does. Each gets `pullet_job`, the job's id, and `pullet_attempt`, empty
    and 0 outside of a job; so a format may have `%(pullet_job)s`. Its text is kept with the job, for a dead letter.

    The names are long because `extra=` must not hold a name that a record has already.
    """

    def __init__(self, make: Any) -> None:
        self._make = make

    def __call__(self, *args: Any, **kwargs: Any) -> logging.LogRecord:
        record: logging.LogRecord = self._make(*args, **kwargs)
        jobs = current_jobs()
        record.pullet_job = ", ".join(job.id for job in jobs[:NAMED]) + (" ..." if len(jobs) > NAMED else "")
        record.pullet_attempt = jobs[0].attempt if jobs else 0
        if jobs:
            line = as_line(record)
            for job in jobs:
                job.note(line)
        return record


def name_jobs_in_records() -> None:
    """From now on, in this process."""
    before = logging.getLogRecordFactory()
    if not isinstance(before, JobRecords):
        logging.setLogRecordFactory(JobRecords(before))


def as_line(record: logging.LogRecord) -> str:
    """Time, level, logger and message."""
    try:
        text = record.getMessage()
    except Exception:  # arguments that do not fit the message: whoever shows the record says so
        text = f"<a message that cannot be made of {type(record.msg).__name__}>"
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.created))
    return sendable(f"{at} {record.levelname} {record.name}: {' '.join(text.split())}", WIDTH)
