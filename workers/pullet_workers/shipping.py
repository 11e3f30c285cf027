"""How an engine gets from the program that makes a pool to the workers that build it.

Pickled by reference: the workers import its module. Beside it by value, the module's code itself, for the workers that
cannot import it: a script's neighbour, a checkout on the driver only. `__main__` and notebooks always go by value.
What that code imports in turn must be there.
"""

from __future__ import annotations

import functools
import logging
import pickle
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import ray.cloudpickle as cloudpickle

from pullet_broker.meanings import meanings, restore
from pullet_workers.engine import resolve_factory
from pullet_workers.traits import class_of

log = logging.getLogger("pullet.pool")

VALUE_BYTES = 16 << 20
"""The most that may travel by value; the globals that an engine uses travel with it."""


@dataclass(frozen=True)
class Parcel:
    """An engine on its way."""

    name: str
    """As errors call it: "module.Class"."""
    by_reference: bytes
    """The factory, and what the annotations of its engine mean."""
    by_value: bytes | None = None
    why_not: str = ""
    """Why it cannot travel by value."""


def pack(engine: Callable[..., Any] | str) -> bytes:
    """A class, a `functools.partial` of one, another factory, or "module:Class", which this process need not have."""
    if isinstance(engine, str):
        return pickle.dumps(Parcel(engine, _dumps((engine, [])), None, "it is given by name"))
    factory: Any = engine
    while isinstance(factory, functools.partial):
        factory = factory.func
    module = sys.modules.get(getattr(factory, "__module__", None) or "")
    name = f"{getattr(module, '__name__', '?')}.{getattr(factory, '__qualname__', type(factory).__qualname__)}"
    load = (engine, meanings(class_of(factory)))
    by_value, why_not = _by_value(load, module)
    return pickle.dumps(Parcel(name, _dumps(load), by_value, why_not))


class _Explained(functools.partial[Any]):
    """A factory that says what to do where it needs a module that the worker does not have."""

    parcel: Parcel

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().__call__(*args, **kwargs)
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(_remedies(self.parcel, error), name=error.name) from error


def open_engine(data: bytes) -> Callable[[], Any]:
    """In a worker: the factory of the engine, from what `pack` made.

    Raises `ImportError` with the remedies where a module is missing; so does the factory.
    """
    parcel: Parcel = pickle.loads(data)
    try:
        factory = _Explained(resolve_factory(_open(parcel)))
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(_remedies(parcel, error), name=error.name) from error
    factory.parcel = parcel
    return factory


def _open(packed: Parcel) -> Any:
    try:
        return _unload(packed.by_reference)
    except (ImportError, AttributeError) as error:  # no such module, or one of that name without the class
        if packed.by_value is None:
            raise
        log.info("an engine is not importable and used by value", extra={"engine": packed.name, "error": str(error)})
        return _unload(packed.by_value)


def _unload(data: bytes) -> Any:
    engine, known = cloudpickle.loads(data)
    restore(known)
    return engine


def _remedies(packed: Parcel, error: ModuleNotFoundError) -> str:
    by_value = (
        "its own module came by value, but not what that imports"
        if packed.by_value is not None
        else f"it could not come by value: {packed.why_not}"
    )
    return (
        f"the workers cannot import {error.name!r}, which the engine {packed.name} needs ({by_value}). Install it on "
        'all nodes; or ship it with ray.init(runtime_env={"working_dir": "..."}) or ray.init(runtime_env='
        '{"py_modules": [...]}); or put its folder on the PYTHONPATH of the nodes'
    )


def _by_value(load: Any, module: ModuleType | None) -> tuple[bytes | None, str]:
    if module is None or module.__name__ == "__main__":
        return None, "it has no module of its own"
    if _is_installed(module):
        return None, f"{module.__name__!r} is an installed package"
    registered = module.__name__ in cloudpickle.list_registry_pickle_by_value()
    try:
        if not registered:
            cloudpickle.register_pickle_by_value(module)
        data = _dumps(load)
    except Exception as error:  # what its globals are made of may raise anything; the reference may still do
        return None, f"{type(error).__name__}: {error}"
    finally:
        if not registered:
            cloudpickle.unregister_pickle_by_value(module)
    return (data, "") if len(data) <= VALUE_BYTES else (None, f"with its globals it is {len(data)} bytes large")


def _is_installed(module: ModuleType) -> bool:
    """Does it come with Python or from pip? Then it is imported everywhere, never copied."""
    file = getattr(module, "__file__", None)
    if file is None:
        return module.__name__ in sys.builtin_module_names
    roots = {Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    return not roots.isdisjoint(Path(file).parents)


def _dumps(value: Any) -> bytes:
    data: bytes = cloudpickle.dumps(value)  # pyright: ignore[reportPrivateImportUsage]
    return data
