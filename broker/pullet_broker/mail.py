"""The names of what lies in an inbox: a job's id alone for its reply, more behind a colon for what comes before it.

    4f3a...          the reply
    4f3a...:17       item 17 of a stream
    4f3a...:progress how far the job is
    :open            the inbox was made anew

No id of a job has a colon.
"""

from __future__ import annotations

PROGRESS = b"progress"


def read_name(name: bytes) -> tuple[bytes, int | bytes]:
    """Job, and the index of an item or the word behind the colon, for a name with a colon."""
    job, _, what = name.partition(b":")
    return job, int(what) if what.isdigit() and len(what) <= 15 else what
