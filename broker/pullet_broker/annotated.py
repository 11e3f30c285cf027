"""Build values by the annotations of a method: its parameters on the worker, its result on the client.

Where an annotation holds no model (see `models`), nothing is built and nothing is spent. A value that fits no part of
its annotation is left as it came: annotations are not checked, they only say what a dict was.
"""

from __future__ import annotations

import collections.abc
import inspect
import types
import typing
from collections.abc import Callable
from typing import Any

from pullet_broker.errors import DecodeError
from pullet_broker.models import Build, builder, is_model

_SEQUENCES = {
    list: list,
    set: set,
    frozenset: frozenset,
    collections.abc.Sequence: list,
    collections.abc.Iterable: list,
}
_MAPPINGS = (dict, collections.abc.Mapping, collections.abc.MutableMapping)
_AWAITABLES = (collections.abc.Coroutine, collections.abc.Awaitable)
_STREAMS = (
    collections.abc.Iterator,
    collections.abc.Iterable,
    collections.abc.Generator,
    collections.abc.AsyncIterator,
    collections.abc.AsyncIterable,
    collections.abc.AsyncGenerator,
)


class Arguments:
    """Builds the arguments of one method. `of_item`: the method takes a list, and a job has one of its items."""

    def __init__(self, method: Callable[..., Any], *, of_item: bool = False) -> None:
        hints = hints_of(method)
        if of_item:
            hints = {name: _element(hint) for name, hint in hints.items()}
        self._signature = _signature(method)
        parameters = self._signature.parameters.values() if self._signature else ()
        found = {one.name: value_builder(hints.get(one.name)) for one in parameters}
        self._kinds = {one.name: one.kind for one in parameters}
        self._builders = {name: build for name, build in found.items() if build is not None}

    @property
    def builds_anything(self) -> bool:
        """False where `build` returns all as it came."""
        return bool(self._builders)

    def build(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Raises `DecodeError` when plain data do not make the model that is wanted."""
        if not self._builders or self._signature is None:
            return args, kwargs
        try:
            bound = self._signature.bind(*args, **kwargs)
        except TypeError:
            return args, kwargs  # the call will say so, and better
        for name, build in self._builders.items():
            if name in bound.arguments:
                bound.arguments[name] = self._part(name, build, bound.arguments[name])
        return bound.args, bound.kwargs

    def _part(self, name: str, build: Build, value: Any) -> Any:
        kind = self._kinds[name]
        if kind is inspect.Parameter.VAR_POSITIONAL:
            return tuple(_built(build, one, f"argument *{name}") for one in value)
        if kind is inspect.Parameter.VAR_KEYWORD:
            return {key: _built(build, one, f"argument **{name}") for key, one in value.items()}
        return _built(build, value, f"argument {name}")


def result_builder(method: Callable[..., Any], *, of_item: bool = False) -> Build | None:
    """Builds what a method returns, or what its coroutine does; None where its annotation asks for nothing.

    `of_item`: it returns a list, and a job gets one of its items.
    """
    hint = _awaited(hints_of(method).get("return"))
    build = value_builder(_element(hint) if of_item else hint)
    return None if build is None else lambda value: _built(build, value, "the result")


def item_builder(method: Callable[..., Any]) -> Build | None:
    """Builds what a generator method yields."""
    hint = hints_of(method).get("return")
    if typing.get_origin(hint) not in _STREAMS:
        return None
    build = value_builder(typing.get_args(hint)[0])
    return None if build is None else lambda value: _built(build, value, "an item")


def value_builder(hint: Any) -> Build | None:
    """Builds a value of an annotation, or None where it holds no model."""
    if isinstance(hint, type) and typing.get_origin(hint) is None:
        return builder(hint, _field_builders) if is_model(hint) else _named_tuple(hint)
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        return value_builder(args[0])
    if origin is typing.Union or origin is types.UnionType:
        return _union(args)
    if origin is tuple:
        return _tuple(args)
    if origin in _SEQUENCES and args and (build := value_builder(args[0])):
        return _sequence(_SEQUENCES[origin], build)
    if origin in _MAPPINGS and len(args) == 2:
        return _mapping(value_builder(args[0]), value_builder(args[1]))
    return None


def hints_of(target: Any) -> dict[str, Any]:
    """The annotations of a function or a class; one that cannot be resolved is left out, the others count."""
    try:
        return typing.get_type_hints(target, include_extras=True)
    except Exception:  # a name that exists for type checkers only, or whatever else an annotation may do
        return {name: hint for name, hint in _each_hint(target) if hint is not None}


def _each_hint(target: Any) -> typing.Iterator[tuple[str, Any]]:
    function = getattr(target, "__func__", target)
    for name, hint in getattr(function, "__annotations__", {}).items():
        alone = types.SimpleNamespace(__annotations__={name: hint})
        try:
            yield name, typing.get_type_hints(alone, getattr(function, "__globals__", {}), include_extras=True)[name]
        except Exception:
            yield name, None


def _field_builders(cls: type) -> dict[str, Build]:
    found = {name: value_builder(hint) for name, hint in hints_of(cls).items()}
    return {name: build for name, build in found.items() if build is not None}


def _named_tuple(cls: type) -> Build | None:
    names: tuple[str, ...] | None = getattr(cls, "_fields", None)
    if names is None or not issubclass(cls, tuple):
        return None
    builders = _field_builders(cls)

    def build(value: Any) -> Any:
        parts = {
            name: builders[name](part) if name in builders else part for name, part in zip(names, value, strict=True)
        }
        return cls(**parts)

    return build


def _union(args: tuple[Any, ...]) -> Build | None:
    found = [(arg, value_builder(arg)) for arg in args]
    if not any(build for _, build in found):
        return None

    def build(value: Any) -> Any:
        if value is None or any(type(value) is arg for arg, _ in found):
            return value
        for _, one in found:
            if one is not None:
                try:
                    return one(value)
                except (ValueError, TypeError):
                    continue
        return value

    return build


def _sequence(kind: Callable[[Any], Any], build: Build) -> Build:
    return lambda value: (
        kind(build(one) for one in value) if isinstance(value, (list, set, frozenset, tuple)) else value
    )


def _tuple(args: tuple[Any, ...]) -> Build | None:
    builders = [value_builder(arg) for arg in args if arg is not Ellipsis]
    if not any(builders):
        return None
    every = builders[0] if len(args) == 2 and args[1] is Ellipsis else None

    def build(value: Any) -> Any:
        if not isinstance(value, (tuple, list)) or not (every or len(value) == len(builders)):
            return value
        each = [every] * len(value) if every else builders
        return tuple(one(part) if one else part for one, part in zip(each, value, strict=True))

    return build


def _mapping(keys: Build | None, values: Build | None) -> Build | None:
    if keys is None and values is None:
        return None

    def build(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {keys(key) if keys else key: values(part) if values else part for key, part in value.items()}

    return build


def _element(hint: Any) -> Any:
    return typing.get_args(hint)[0] if typing.get_origin(hint) in _SEQUENCES and typing.get_args(hint) else None


def _awaited(hint: Any) -> Any:
    return typing.get_args(hint)[-1] if typing.get_origin(hint) in _AWAITABLES and typing.get_args(hint) else hint


def _built(build: Build, value: Any, what: str) -> Any:
    try:
        return build(value)
    except Exception as error:  # what a class raises that is built: it may be anything
        reason = f"{type(error).__name__}: {error}"[:300]
        raise DecodeError(f"{what} does not fit its annotation: {reason}") from error


def _signature(method: Callable[..., Any]) -> inspect.Signature | None:
    try:
        return inspect.signature(method)
    except (TypeError, ValueError):
        return None  # a method written in C may have none
