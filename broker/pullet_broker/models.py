"""Enums, dataclasses, pydantic and msgspec models: sent as plain data, and built again where an annotation names them.

The wire never says what a value was: the worker builds arguments by the annotations of its engine's method, the client
builds results by the return annotation. Without one, plain data arrive: a dict of the fields, an enum's value.

pydantic and msgspec are never imported here: where they are not loaded, nobody has made a model of theirs.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from enum import Enum
from typing import Any

Build = Callable[[Any], Any]


def is_model(cls: type) -> bool:
    """One of the classes that `plain` knows."""
    return issubclass(cls, Enum) or dataclasses.is_dataclass(cls) or _is_pydantic(cls) or _is_struct(cls)


def plain(value: Any) -> Any:
    """The fields of a model as a dict, an enum as its value; what they hold is left as it is."""
    cls = type(value)
    if isinstance(value, Enum):
        return value.value
    if _is_pydantic(cls):
        named = {_input_name(name, field): getattr(value, name) for name, field in cls.model_fields.items()}
        return named | (value.__pydantic_extra__ or {})
    if _is_struct(cls):
        values = [getattr(value, name) for name in cls.__struct_fields__]
        return (
            values if cls.__struct_config__.array_like else dict(zip(cls.__struct_encode_fields__, values, strict=True))
        )
    return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}


def builder(cls: type, build_fields: Callable[[type], dict[str, Build]]) -> Build:
    """What makes an instance of a model from its plain data. `build_fields`: builders for a dataclass's fields."""
    if issubclass(cls, Enum):
        return lambda value: value if isinstance(value, cls) else cls(value)
    if _is_pydantic(cls):
        validate: Build = cls.model_validate  # type: ignore[attr-defined]
        return validate
    if _is_struct(cls):
        return lambda value: sys.modules["msgspec"].convert(value, cls, dec_hook=_as_it_is)
    return _dataclass_builder(cls, build_fields)


def _dataclass_builder(cls: type, build_fields: Callable[[type], dict[str, Build]]) -> Build:
    fields = {field.name: field.init for field in dataclasses.fields(cls)}
    builders: dict[str, Build] | None = None

    def build(value: Any) -> Any:
        nonlocal builders
        if not isinstance(value, dict) or not value.keys() <= fields.keys():
            raise ValueError(f"not the fields of a {cls.__qualname__}")
        if builders is None:  # at the first use: the class may name itself
            builders = build_fields(cls)
        parts = {name: builders[name](part) if name in builders else part for name, part in value.items()}
        made = cls(**{name: part for name, part in parts.items() if fields[name]})
        for name, part in parts.items():
            if not fields[name]:
                object.__setattr__(made, name, part)
        return made

    return build


def _as_it_is(wanted: type, value: Any) -> Any:
    """msgspec asks for types it does not know, such as arrays: the codec has made them already."""
    if isinstance(value, wanted):
        return value
    raise NotImplementedError(f"a {type(value).__name__} is not a {wanted.__name__}")


def _input_name(name: str, field: Any) -> str:
    """The name under which pydantic's validation takes a field."""
    alias = field.validation_alias if field.validation_alias is not None else field.alias
    return alias if isinstance(alias, str) else name


def _is_pydantic(cls: type) -> bool:
    module = sys.modules.get("pydantic")
    return module is not None and issubclass(cls, module.BaseModel)


def _is_struct(cls: type) -> bool:
    module = sys.modules.get("msgspec")
    return module is not None and issubclass(cls, module.Struct)
