"""The wire format: a queue has the one of the first release that used it, and no other release may touch it."""

from __future__ import annotations

from pullet_broker.errors import SchemaMismatch
from pullet_broker.settings import SCHEMA, Queue


def schema_mismatch(queue: Queue, found: str = "another one") -> SchemaMismatch:
    """What is raised wherever a script answers SCHEMA, or `config` names another format."""
    return SchemaMismatch(
        f"expected queue {queue.name!r} in wire format {SCHEMA}, found {found}: it was made by an incompatible release "
        "of pullet; use the same release for all callers and workers, or another queue name",
        queue=queue.name,
        expected=SCHEMA,
        found=found,
    )


def check_schema(queue: Queue, found: bytes | None) -> None:
    """Raise `SchemaMismatch` unless `found`, the field `schema` of `config`, is our wire format, or not there yet."""
    if found and found != str(SCHEMA).encode():
        raise schema_mismatch(queue, found.decode(errors="replace")[:20])
