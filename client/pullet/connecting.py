"""`connect`: from an engine class and an address to a `Client`, with the checks that belong at the start."""

from __future__ import annotations

import functools
import re
import warnings
from typing import Any, TypeVar

from pullet.client import Client
from pullet.options import OptionWords
from pullet_broker.address import Address
from pullet_broker.errors import ServerUnavailable
from pullet_broker.settings import Codec, Queue

E = TypeVar("E")


def connect(
    engine: type[E] | None,
    redis: str | Address | None = None,
    *,
    queue: str | Queue | None = None,
    defaults: OptionWords | None = None,
    codec: Codec | None = None,
) -> Client[E]:
    """A client of the queue of `engine`. Starts nothing and needs no Ray.

    `redis` is a URL (`redis://`, `rediss://`, `unix://`, `redis+sentinel://`, `redis+cluster://`; see
    docs/connections.md); without it the environment's `PULLET_REDIS` is used.
    `queue` is the engine's class name in lower case unless given. `engine` may be None where the class is not at
    hand: name the queue, and submit methods by name. `defaults` are the options of the jobs of this client, as in
    `defaults={"retries": 2}`: see `pullet.defaults`. With `codec="pickle"`, here and at the pool, arguments and results
    may be of any class; whoever can write to the server can then run code here.

    Raises `ServerUnavailable` when nothing answers, `ServerRefused` for a server that cannot be used: a wrong
    password, older than 7.0, or one that may evict jobs. Raises `SchemaMismatch` when an incompatible release uses the
    queue. Warns when nothing is persisted.
    """
    from pullet_broker.inspection import inspect_server  # not needed before somebody connects

    address = find_address(redis)
    settings = Queue.of(queue or queue_name(engine), codec)
    for warning in inspect_server(address, settings):
        warnings.warn(warning, RuntimeWarning, stacklevel=2)
    return Client(engine, settings, address, defaults)


def find_address(redis: str | Address | None) -> Address:
    """The server that is meant, or `ServerUnavailable` when none is named."""
    found = Address.of(redis) if redis else Address.from_environment()
    if found is None:
        raise ServerUnavailable(
            'no server is named: pass a URL, as in connect(Engine, "redis://127.0.0.1:6379/0"), or set PULLET_REDIS'
        )
    return found


def queue_name(engine: Any) -> str:
    """The queue of an engine that names none: its class name in lower case, or the last part of "module:Class"."""
    while isinstance(engine, functools.partial):
        engine = engine.func
    if engine is None:
        raise ValueError("connect(None) needs queue=, the name of the queue")
    name = engine.rpartition(":")[2] if isinstance(engine, str) else getattr(engine, "__name__", "engine")
    return re.sub(r"[^A-Za-z0-9._-]", "-", name).strip("-._").lower() or "engine"
