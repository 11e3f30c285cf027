"""Share a pool of warm, stateful Ray actors between any number of callers.

    chess = pullet.connect(Chess, "redis://host/0")
    value = chess.submit(Chess.eval, fen).result()

The workers are started with `from pullet_workers import Pool`.
"""

from pullet.client import Client
from pullet.connecting import connect
from pullet.future import Future
from pullet.options import Options
from pullet.resolve import RemoteTraceback, register_error
from pullet.results import Results
from pullet_broker.errors import (
    ClientClosed,
    DecodeError,
    EncodeError,
    EngineFailed,
    JobError,
    JobExpired,
    JobLost,
    JobUnreadable,
    NameRefused,
    PulletError,
    QueueFull,
    RemoteError,
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
from pullet_broker.settings import Lease, Lifetimes, Limits, Prefetch, Queue

__version__ = "0.1.0"

__all__ = [
    "Client",
    "ClientClosed",
    "DecodeError",
    "EncodeError",
    "EngineFailed",
    "Future",
    "JobError",
    "JobExpired",
    "JobLost",
    "JobUnreadable",
    "Lease",
    "Lifetimes",
    "Limits",
    "NameRefused",
    "Options",
    "Prefetch",
    "PulletError",
    "Queue",
    "QueueFull",
    "RemoteError",
    "RemoteTraceback",
    "Results",
    "SchemaMismatch",
    "ServerError",
    "ServerFull",
    "ServerMissing",
    "ServerRefused",
    "ServerUnavailable",
    "TooLarge",
    "UnknownMethod",
    "WorkerLost",
    "connect",
    "register_error",
]
