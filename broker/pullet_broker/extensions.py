"""The types that plain msgpack does not know, and how each one travels.

Every extension is a msgpack array whose first item is a *mark* (an extension type with an empty payload) and
whose other items are the fields: the tuple `(1, 2)` is `[mark 1, 1, 2]`. One packer writes a whole value and one
unpacker reads it, so that msgpack's own depth limit holds and nothing is copied once a level.

    code  type                       fields
    1     tuple                      the items
    2, 3  set, frozenset             the items
    4     int of more than 64 bits   bytes, big-endian, signed
    5     complex                    real, imaginary
    6     datetime                   year, month, day, hour, minute, second, microsecond, fold [, offset, zone]
    7     date                       year, month, day
    8     time                       hour, minute, second, microsecond, fold [, offset, zone]
    9     timedelta                  days, seconds, microseconds
    10    UUID                       16 bytes
    11    Decimal                    text
    12    pathlib paths              "path", "posix" or "windows" (pure paths); text with forward slashes
    13    numpy.ndarray              dtype, shape, bytes in C order
    14    numpy scalar               dtype, bytes

`offset` is in microseconds east of UTC, `zone` an IANA key; either may be nil. The codes are part of the wire:
never give one a new meaning.
"""

from __future__ import annotations

import math
import pathlib
import re
import sys
from collections.abc import Callable, Collection
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from functools import lru_cache
from importlib import import_module
from typing import Any
from uuid import UUID

from msgpack import ExtType

from pullet_broker.models import is_model, plain

_DTYPE = re.compile(r"[<>|][biufcmMSU]\d{1,9}(\[\d{0,9}[A-Za-zμ]{1,7}\])?")
_ZONE = re.compile(r"[A-Za-z0-9_+-]{1,32}(/[A-Za-z0-9_+-]{1,32}){0,2}")
_MICROSECOND = timedelta(microseconds=1)
_PATHS: dict[str, type[pathlib.PurePath]]
_PATHS = {"path": pathlib.Path, "posix": pathlib.PurePosixPath, "windows": pathlib.PureWindowsPath}
_MARKS = [ExtType(code, b"") for code in range(1, 15)]
_TUPLE, _SET, _FROZENSET, _INT, _COMPLEX, _DATETIME, _DATE, _TIME, _TIMEDELTA, *_REST = _MARKS
_UUID, _DECIMAL, _PATH, _ARRAY, _SCALAR = _REST


class Unsupported(TypeError):
    """A value that has no place on the wire; the text says what to send instead."""


def lower(value: Any) -> Any:
    """Turn a value that msgpack does not know into one that it does, at its top level only."""
    cls = type(value)
    lowering = _LOWER.get(cls) or _lowering_of(cls)
    return lowering(value)


def _lowering_of(cls: type) -> Callable[[Any], Any]:
    if is_model(cls):
        return plain
    for base in cls.__mro__:
        if base in _EXACT:
            raise Unsupported(f"send a plain {base.__name__}; what this subclass adds would be lost")
        lowering = _LOWER.get(base) or _LOWER_NUMPY.get((base.__module__, base.__name__))
        if lowering is not None:
            return lowering
    raise Unsupported("send plain data (numbers, text, lists, dicts, arrays) and build it on the other side")


def _lower_int(value: int) -> Any:
    value = int.__int__(value)
    size = value.bit_length() // 8 + 1
    return value if size <= 8 else [_INT, value.to_bytes(size, "big", signed=True)]


def _lower_datetime(value: datetime) -> list[Any]:
    day = [value.year, value.month, value.day, value.hour, value.minute, value.second]
    return [_DATETIME, *day, value.microsecond, value.fold, *_lower_zone(value.utcoffset(), value.tzinfo)]


def _lower_time(value: time) -> list[Any]:
    zone = _lower_zone(value.utcoffset(), value.tzinfo)
    if value.tzinfo is not None and not zone:
        raise Unsupported("its zone has neither a key nor a fixed offset; send a datetime, or a naive time")
    return [_TIME, value.hour, value.minute, value.second, value.microsecond, value.fold, *zone]


def _lower_zone(offset: timedelta | None, zone: tzinfo | None) -> list[Any]:
    key = zone.key if _is_zoneinfo(zone) else None  # type: ignore[union-attr]
    if offset is None and key is None:
        return []
    return [None if offset is None else offset // _MICROSECOND, key]


def _lower_path(value: pathlib.PurePath) -> list[Any]:
    name = next(name for name, kind in _PATHS.items() if isinstance(value, kind))
    return [_PATH, name, value.as_posix()]


def _lower_array(value: Any) -> list[Any]:
    if type(value).__name__ not in ("ndarray", "memmap"):
        raise Unsupported("send numpy.asarray(it), and what it holds beside the array on its own")
    _check_dtype(value.dtype)
    # An array that lies in order is packed from where it is; dates and text have no buffer of their own.
    plain = value.flags.c_contiguous and value.dtype.kind in "biufc"
    return [_ARRAY, value.dtype.str, list(value.shape), value.data if plain else value.tobytes()]


def _lower_scalar(value: Any) -> list[Any]:
    _check_dtype(value.dtype)
    return [_SCALAR, value.dtype.str, value.tobytes()]


def _check_dtype(dtype: Any) -> None:
    # The bytes of a long double mean other numbers on other machines, under the same name.
    if dtype.kind not in "biufcmMSU" or dtype.char in "gG":
        raise Unsupported(f"dtype {dtype.name} does not travel; send numbers of 64 bits or fewer, dates or text")


CROWD = 256
"""So many keys may have any hashes."""


def check_hashes(keys: Collection[Any]) -> None:
    """Raises `ValueError` for keys made to collide: to put n of them into a set or dict takes n * n steps.

    Python keys the hashes of text, bytes and dates only, so anybody can find numbers and tuples with equal ones.
    """
    if len(keys) > CROWD and 4 * len(set(map(hash, keys))) < len(keys):
        raise ValueError(f"{len(keys)} keys of a set or dict share so few hashes that somebody must have chosen them")


def _build_set(fields: list[Any]) -> set[Any]:
    check_hashes(fields)
    return set(fields)


def _check(fields: list[Any], *types: type) -> list[Any]:
    if [type(field) for field in fields] != list(types):
        raise ValueError("an extension with the wrong fields")
    return fields


def _build_datetime(fields: list[Any]) -> datetime:
    *parts, fold = _check(fields[:8], *[int] * 8)
    naive = datetime(*parts, fold=fold)
    if len(fields) == 8:
        return naive
    fixed, zone = _build_zones(fields[8:])
    if zone is not None:
        aware = naive.replace(tzinfo=zone)
        # Where this machine's time zone data say otherwise, the instant counts and the name is dropped.
        if fixed is None or aware.utcoffset() == fixed.utcoffset(None):
            return aware
    return naive.replace(tzinfo=fixed)


def _build_time(fields: list[Any]) -> time:
    *parts, fold = _check(fields[:5], *[int] * 5)
    fixed, zone = _build_zones(fields[5:]) if len(fields) > 5 else (None, None)
    return time(*parts, fold=fold).replace(tzinfo=zone or fixed)


def _is_zoneinfo(zone: object) -> bool:
    module = sys.modules.get("zoneinfo")  # not imported: then nobody has made one
    return module is not None and isinstance(zone, module.ZoneInfo)


def _build_zones(fields: list[Any]) -> tuple[timezone | None, tzinfo | None]:
    offset, key = fields
    fixed = None if offset is None else timezone(timedelta(microseconds=_check([offset], int)[0]))
    zone = None if key is None else _zone(_check([key], str)[0])
    if fixed is None and zone is None:
        raise ValueError("no offset, and no such time zone on this machine (pip install tzdata)")
    return fixed, zone


def _zone(key: str) -> tzinfo | None:
    import zoneinfo  # costs as much as the rest of this module, and few values need it

    # zoneinfo looks a key up as a path and inside the tzdata package, so only plain keys go there.
    if not _ZONE.fullmatch(key):
        raise ValueError("a time zone with a strange key")
    try:
        return zoneinfo.ZoneInfo(key)
    except (KeyError, ValueError, OSError, ImportError):
        return None


def _build_path(fields: list[Any]) -> pathlib.PurePath:
    name, text = _check(fields, str, str)
    return _PATHS[name](text)


def _build_array(fields: list[Any]) -> Any:
    dtype, shape, data = _check(fields, str, list, bytes)
    if len(shape) > 64 or not all(type(side) is int and 0 <= side < 2**63 for side in shape):
        raise ValueError("an array with an impossible shape")
    return _view(dtype, tuple(shape), data)


def _build_scalar(fields: list[Any]) -> Any:
    dtype, data = _check(fields, str, bytes)
    return _view(dtype, (), data)[()]


def _view(name: str, shape: tuple[int, ...], data: bytes) -> Any:
    """A read-only array over `data`, without a copy."""
    ndarray, dtype = _array_type(name)
    if math.prod(shape) * dtype.itemsize != len(data):
        raise ValueError("an array whose bytes do not fit its shape")
    return ndarray(shape, dtype, buffer=data)


@lru_cache(maxsize=128)
def _array_type(name: str) -> tuple[Any, Any]:
    """numpy's array type and a dtype. numpy is imported here, when the first array arrives."""
    if not _DTYPE.fullmatch(name):
        raise ValueError("an array with a dtype that does not travel")
    try:
        numpy = import_module("numpy")
    except ImportError:
        raise ValueError("a numpy array, and numpy is not installed here (pip install numpy)") from None
    dtype = numpy.dtype(name)
    _check_dtype(dtype)
    return numpy.ndarray, dtype


# Subclasses of these say more than the base can hold: the nanoseconds of a pandas.Timestamp, for one.
_EXACT = frozenset({datetime, date, time, timedelta})
_LOWER: dict[type, Callable[[Any], Any]] = {
    tuple: lambda value: [_TUPLE, *value],
    set: lambda value: [_SET, *value],
    frozenset: lambda value: [_FROZENSET, *value],
    **{list: list, dict: dict, str: str.__str__, int: _lower_int, float: float.__float__},
    **{kind: lambda value: bytes(memoryview(value)) for kind in (bytes, bytearray)},
    complex: lambda value: [_COMPLEX, value.real, value.imag],
    datetime: _lower_datetime,
    date: lambda value: [_DATE, value.year, value.month, value.day],
    time: _lower_time,
    timedelta: lambda value: [_TIMEDELTA, value.days, value.seconds, value.microseconds],
    UUID: lambda value: [_UUID, value.bytes],
    Decimal: lambda value: [_DECIMAL, Decimal.__str__(value)],
    pathlib.PurePath: _lower_path,
}
# By name, so that numpy is not imported for callers who do not use it.
_LOWER_NUMPY = {("numpy", "ndarray"): _lower_array, ("numpy", "generic"): _lower_scalar}
# Every type by its code: what rebuilds it from its fields, which come from the wire and are not to be trusted.
BUILDERS: dict[int, Callable[[list[Any]], Any]] = {
    1: tuple,
    2: _build_set,
    3: lambda fields: frozenset(_build_set(fields)),
    4: lambda fields: int.from_bytes(_check(fields, bytes)[0], "big", signed=True),
    5: lambda fields: complex(*_check(fields, float, float)),
    6: _build_datetime,
    7: lambda fields: date(*_check(fields, int, int, int)),
    8: _build_time,
    9: lambda fields: timedelta(*_check(fields, int, int, int)),
    10: lambda fields: UUID(bytes=_check(fields, bytes)[0]),
    11: lambda fields: Decimal(_check(fields, str)[0]),
    12: _build_path,
    13: _build_array,
    14: _build_scalar,
}
