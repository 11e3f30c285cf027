"""What a caller may call: the public methods of the engine, and whether the arguments fit."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from pullet.batching import batch_of
from pullet.options import OptionWords, defaults_of
from pullet_broker.annotated import item_builder, result_builder
from pullet_broker.errors import UnknownMethod


class Methods:
    """The methods of one engine class, or of an engine that is known only by its queue (`engine` None)."""

    def __init__(self, engine: Any) -> None:
        self.engine: type | None = _class_of(engine)
        self._known: dict[Any, Method] = {}

    def find(self, method: Callable[..., Any] | str) -> Method:
        """Raises `UnknownMethod` for what the engine does not offer."""
        found = self._known.get(method)
        if found is None:
            found = self._known[method] = self._describe(method)
        return found

    def _describe(self, method: Callable[..., Any] | str) -> Method:
        name = method if isinstance(method, str) else getattr(method, "__name__", repr(method))
        if name.startswith("_"):
            raise UnknownMethod(f"{name!r} is private: call a public method of the engine", method=name)
        if self.engine is None:
            return Method(name, None if isinstance(method, str) else functools.partial(method, None))
        own = inspect.getattr_static(self.engine, name, None)
        if own is None or not callable(getattr(self.engine, name)):
            raise UnknownMethod(f"{self.engine.__name__} has no method {name!r}; it has {self._offered()}", method=name)
        bound = getattr(self.engine, name)
        if not isinstance(method, str) and _plain(method) is not _plain(bound):
            raise UnknownMethod(
                f"{getattr(method, '__qualname__', method)} is no method of {self.engine.__name__}: use its own queue",
                method=name,
            )
        free = isinstance(own, (staticmethod, classmethod))
        return Method(name, bound if free else functools.partial(bound, None), defaults_of(self.engine, bound))

    def _offered(self) -> str:
        names = [name for name in dir(self.engine) if not name.startswith("_") and callable(getattr(self.engine, name))]
        return ", ".join(names) or "none"


class Method:
    """One method by name, with its signature where the class is at hand."""

    def __init__(self, name: str, function: Callable[..., Any] | None, defaults: OptionWords | None = None) -> None:
        self.name = name
        self.defaults = defaults or OptionWords()
        """The options of its jobs, as the class says."""
        plain = _unbound(function) if function is not None else None
        self.build = result_builder(plain, of_item=batch_of(plain) is not None) if plain is not None else None
        """Makes the result what the method's annotation says, from plain data; None where nothing is to be made."""
        self.build_item = build_item = item_builder(plain) if plain is not None else None
        """The same for what a generator method yields."""
        if build_item is not None:
            self.build = lambda values: [build_item(value) for value in values]
        self._signature = _signature(function)
        self._least, self._most = _positional_bounds(self._signature)

    def check(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Raises `TypeError` when the arguments do not fit."""
        if not kwargs and self._least <= len(args) <= self._most:
            return  # the common case, without the cost of a full bind
        if self._signature is not None:
            try:
                self._signature.bind(*args, **kwargs)
            except TypeError as error:
                raise TypeError(f"{self.name}{self._signature}: {error}") from None


def _class_of(engine: Any) -> type | None:
    while isinstance(engine, functools.partial):
        engine = engine.func
    return engine if isinstance(engine, type) else None


def _plain(method: Any) -> Any:
    return getattr(method, "__func__", method)


def _unbound(function: Callable[..., Any]) -> Callable[..., Any]:
    return function.func if isinstance(function, functools.partial) else function


def _signature(function: Callable[..., Any] | None) -> inspect.Signature | None:
    try:
        return inspect.signature(function) if function is not None else None
    except (TypeError, ValueError):
        return None  # a method written in C may have none; the worker checks then


def _positional_bounds(signature: inspect.Signature | None) -> tuple[int, float]:
    if signature is None:
        return 0, float("inf")
    least, most = 0, 0.0
    for parameter in signature.parameters.values():
        required = parameter.default is parameter.empty
        if parameter.kind is parameter.VAR_POSITIONAL:
            most = float("inf")
        elif parameter.kind is parameter.KEYWORD_ONLY and required:
            return 1, 0.0  # never fits without keywords: always bind
        elif parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            least, most = least + required, most + 1
    return least, most
