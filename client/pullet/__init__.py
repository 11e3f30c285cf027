"""Share a pool of warm, stateful Ray actors between any number of callers.

    chess = pullet.connect(Chess, "redis://host/0")
    value = chess.submit(Chess.eval, fen).result()

The workers are started with `from pullet_workers import Pool`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from pullet_broker.errors import (
    ClientClosed,
    DecodeError,
    EncodeError,
    EngineFailed,
    JobError,
    JobExpired,
    JobLost,
    JobTimeout,
    JobUnreadable,
    NameRefused,
    NoJob,
    PoolMissing,
    PulletError,
    QueueFull,
    RayMissing,
    RemoteError,
    Retry,
    SchemaMismatch,
    ServerError,
    ServerFull,
    ServerMissing,
    ServerRefused,
    ServerUnavailable,
    TooLarge,
    UnknownMethod,
    WorkerLost,
)
from pullet_broker.settings import Affinity, Encoding, Lease, Lifetimes, Limits, Prefetch, Queue

if TYPE_CHECKING:
    from pullet.batching import batch
    from pullet.client import Client
    from pullet.connecting import connect
    from pullet.dead import DeadLetters
    from pullet.future import Future
    from pullet.handle import JobHandle
    from pullet.mapping import MapOptions
    from pullet.options import Options, OptionWords, defaults
    from pullet.resolve import RemoteTraceback, register_error
    from pullet.results import Results
    from pullet.running import RunningJob, current_job, current_jobs
    from pullet.stream import Stream
    from pullet_broker.letter import DeadLetter
    from pullet_broker.progress import Progress

__version__ = "0.1.0"

__all__ = [
    "Affinity",
    "Client",
    "ClientClosed",
    "DeadLetter",
    "DeadLetters",
    "DecodeError",
    "EncodeError",
    "Encoding",
    "EngineFailed",
    "Future",
    "JobError",
    "JobExpired",
    "JobHandle",
    "JobLost",
    "JobTimeout",
    "JobUnreadable",
    "Lease",
    "Lifetimes",
    "Limits",
    "MapOptions",
    "NameRefused",
    "NoJob",
    "OptionWords",
    "Options",
    "PoolMissing",
    "Prefetch",
    "Progress",
    "PulletError",
    "Queue",
    "QueueFull",
    "RayMissing",
    "RemoteError",
    "RemoteTraceback",
    "Results",
    "Retry",
    "RunningJob",
    "SchemaMismatch",
    "ServerError",
    "ServerFull",
    "ServerMissing",
    "ServerRefused",
    "ServerUnavailable",
    "Stream",
    "TooLarge",
    "UnknownMethod",
    "WorkerLost",
    "batch",
    "connect",
    "current_job",
    "current_jobs",
    "defaults",
    "register_error",
]

_AT_FIRST_USE = {
    "Client": "pullet.client",
    "DeadLetter": "pullet_broker.letter",
    "DeadLetters": "pullet.dead",
    "Future": "pullet.future",
    "JobHandle": "pullet.handle",
    "MapOptions": "pullet.mapping",
    "OptionWords": "pullet.options",
    "Options": "pullet.options",
    "Progress": "pullet_broker.progress",
    "RemoteTraceback": "pullet.resolve",
    "Results": "pullet.results",
    "RunningJob": "pullet.running",
    "Stream": "pullet.stream",
    "batch": "pullet.batching",
    "connect": "pullet.connecting",
    "current_job": "pullet.running",
    "current_jobs": "pullet.running",
    "defaults": "pullet.options",
    "register_error": "pullet.resolve",
}


def __getattr__(name: str) -> Any:
    """Load the client's half at its first use: a program that only names errors or an engine pays nothing for it."""
    if name not in _AT_FIRST_USE:
        raise AttributeError(f"module 'pullet' has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(_AT_FIRST_USE[name]), name)
    return found
