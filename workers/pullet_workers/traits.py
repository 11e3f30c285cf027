"""What an engine's methods are: plain, async, in batches. Read from the class, before anything is built."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pullet.batching import Batch, batch_of

HOOKS = ("close", "health")
"""Called by the worker itself: they say nothing about what callers call."""
ASYNC_CONCURRENCY = 1000
"""Jobs at once of an engine with async methods, unless the pool says otherwise."""


@dataclass(frozen=True)
class Traits:
    """Which kinds of methods an engine has."""

    plain: bool = True
    """It has methods that run in a thread."""
    on_loop: frozenset[str] = frozenset()
    """The names of its async methods and async generators."""
    batches: Mapping[str, Batch] = field(default_factory=dict)
    """Its batch methods by name."""

    def is_simple(self, concurrency: int | None) -> bool:
        """One job at a time, in one thread."""
        return not self.on_loop and concurrency in (None, 1)


def traits_of(cls: type) -> Traits:
    methods = {name: found for name in dir(cls) if (found := _method(cls, name)) is not None}
    on_loop = frozenset(name for name, method in methods.items() if runs_on_loop(method))
    batches = {name: batch for name, method in methods.items() if (batch := batch_of(method)) is not None}
    return Traits(plain=len(on_loop) < max(1, len(methods)), on_loop=on_loop, batches=batches)


def runs_on_loop(method: Callable[..., Any]) -> bool:
    """An async method, or an async generator."""
    return inspect.iscoroutinefunction(method) or inspect.isasyncgenfunction(method)


def _method(cls: type, name: str) -> Callable[..., Any] | None:
    if name.startswith("_") or name in HOOKS:
        return None
    own = inspect.getattr_static(cls, name)
    if isinstance(own, (property, functools.cached_property, type)):
        return None
    found = getattr(cls, name, None)
    return found if callable(found) else None


def class_of(factory: Any) -> type | None:
    """The class that a factory builds, where it can be known without building: a class, a `functools.partial` of
    one, or a function with an annotated return type."""
    while isinstance(factory, functools.partial):
        factory = factory.func
    if isinstance(factory, type):
        return factory
    try:
        promised = typing.get_type_hints(factory).get("return")
    except (TypeError, NameError, AttributeError):
        return None
    return promised if isinstance(promised, type) else None
