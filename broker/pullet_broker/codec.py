"""How values become bytes and come back: msgpack with a few extension types, and nothing that runs code.

    type                                        arrives as
    None, bool, int (any size), float           itself, nan and inf too
    str, bytes, list, dict                      itself; dict keys may be anything hashable in this table
    tuple, set, frozenset, complex              itself, at any depth
    date, time, datetime, timedelta             itself; aware ones keep their UTC offset, and the zoneinfo key where
                                                this machine has that zone with that offset; other tzinfo classes
                                                become a fixed offset
    UUID, Decimal                               itself
    pathlib paths                               Path for Path; PurePosixPath and PureWindowsPath as themselves
    numpy.ndarray (memmap)                      ndarray, READ-ONLY, over the received bytes; `.copy()` to write
    numpy scalars                               itself; numpy.str_ and numpy.bytes_ as str and bytes
    bytearray, memoryview                       bytes
    namedtuple                                  tuple; itself where an annotation names it
    OrderedDict, defaultdict, Counter           dict
    other subclasses of str, int, float, list,
    tuple, dict, set, bytes, UUID, Decimal      the base type
    msgpack timestamp (from other writers)      aware datetime in UTC
    subclasses of datetime, date, time, ...     EncodeError
    dataclass, pydantic and msgspec models      dict of the fields; itself where an annotation names it (`annotated`)
    Enum (IntEnum and StrEnum too)              its value; itself where an annotation names it
    any other class                             EncodeError
    arrays of objects, records, long doubles    EncodeError

`encode` and `decode` take one value. `encode_call` and `decode_call` take the arguments of a call, which have a
fixed place on the wire and so need no mark: use them for calls, since `decode` of `((b"...",), {})` takes thrice
as long. Each marked value (all but None, bool, small int, float, str, bytes, list, dict) costs some tenths of a
microsecond a side, arrays 3 us.

Both sides check the size in bytes first: a packed byte may become 70 bytes in memory (a list of empty lists). Keys
made to collide are refused. A value may also travel compressed (`compressed`) or, where both sides ask for that, as a
pickle (`pickled`); see `Encoding`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from reprlib import repr as short
from typing import Any, NoReturn

import msgpack

from pullet_broker import compressed, pickled
from pullet_broker.errors import DecodeError, EncodeError, TooLarge
from pullet_broker.extensions import BUILDERS, CROWD, Unsupported, check_hashes, lower
from pullet_broker.models import is_model, plain
from pullet_broker.parts import LARGE, Buffer
from pullet_broker.settings import Encoding

MAX = 8 * 1024 * 1024
"""The default limit of one encoded value, in bytes."""

DEPTH = 511
"""How deep the packer goes."""

_TOO_DEEP = f"it is nested deeper than {DEPTH}, or contains itself"
PLAIN = Encoding()
_SAME_EITHER_WAY = frozenset({type(None), bool, int, float, str, bytes})
_CANNOT_ENCODE = (TypeError, ValueError, ArithmeticError, BufferError, RuntimeError)
_CANNOT_DECODE = (
    *_CANNOT_ENCODE,
    LookupError,
    AssertionError,
    MemoryError,
    ImportError,
    msgpack.UnpackException,
)
# The first byte of a mark, an extension with an empty payload. Where it is absent, so are marks.
_EXT8 = 0xC7


def encode(value: Any, *, limit: int = MAX, name: str = "value", how: Encoding = PLAIN) -> Buffer:
    """Pack one value. `name` is what errors call it: `result['board']`.

    Raises EncodeError, which says what cannot travel and where it sits, and TooLarge.
    """
    pickles = how.codec == "pickle" and type(value) not in _SAME_EITHER_WAY
    try:
        data = _pack(pickled.lower(value, name) if pickles else value)
    except EncodeError:
        raise
    except _CANNOT_ENCODE as error:
        raise _refusal({name: value}, error) from None
    if how.compression is None and len(data) <= limit:
        return data
    return _fitted(data, limit, how, f"{name} encodes to", is_pickle=pickles)


def encode_call(args: Sequence[Any], kwargs: Mapping[str, Any], *, limit: int = MAX, how: Encoding = PLAIN) -> Buffer:
    """Pack the arguments of a call. Raises as `encode` does, with places such as `args[0]['board']`."""
    pickles = how.codec == "pickle"
    root = [[*args], kwargs]
    try:
        data = _pack(pickled.lower(root, "the arguments") if pickles else root)
    except EncodeError:
        raise
    except _CANNOT_ENCODE as error:
        raise _refusal({"args": args, "kwargs": kwargs}, error) from None
    if how.compression is None and len(data) <= limit:
        return data
    return _fitted(data, limit, how, "the arguments encode to", is_pickle=pickles)


def decode(data: Buffer, *, limit: int = MAX, pickles: bool = False) -> Any:
    """Unpack one value. `pickles`: read such too, which runs code of whoever wrote them.

    Raises DecodeError for bytes that `encode` cannot have written, and TooLarge.
    """
    if len(data) > limit:
        raise _too_large("the value has", len(data), limit)
    try:
        # To look through a view is slow, through what it is a view of is not.
        whole = data.obj if type(data) is memoryview and type(data.obj) is bytes else data
        if type(whole) is not bytes or _EXT8 in whole:
            return _unpack_any(data, limit, pickles)
        return msgpack.unpackb(data, strict_map_key=False, timestamp=3, ext_hook=_unmarked)
    except (TooLarge, DecodeError):
        raise
    except _CANNOT_DECODE as error:
        # Two hundred characters: the text may quote what a stranger wrote.
        reason = f"{type(error).__name__}: {error}"[:200]
        raise DecodeError(f"{len(data)} bytes are not a value: {reason}", size=len(data)) from error


def decode_call(data: Buffer, *, limit: int = MAX, pickles: bool = False) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Unpack what `encode_call` packed. Raises as `decode` does."""
    call = decode(data, limit=limit, pickles=pickles)
    if type(call) is list and len(call) == 2:
        args, kwargs = call
        if type(args) is list and type(kwargs) is dict and (not kwargs or all(type(key) is str for key in kwargs)):
            return tuple(args), kwargs
    raise DecodeError(f"{len(data)} bytes are a value, but not the arguments of a call", size=len(data))


def is_pickled(data: Buffer) -> bool:
    """Was this written with `codec="pickle"`? Runs nothing."""
    return data[:4] in (pickled.HEAD, compressed.PICKLED)


def _fitted(data: Buffer, limit: int, how: Encoding, what: str, *, is_pickle: bool) -> Buffer:
    """The limit counts what the other side unpacks to."""
    if len(data) > limit:
        raise _too_large(what, len(data), limit)
    if how.compression is None or len(data) <= how.compress_over_bytes:
        return data
    return compressed.compress(data, how.compression, is_pickle=is_pickle)


# A packer costs more to build than a small value costs to pack, and only one thread may use it at a time: so it is
# taken from this list and put back, which are atomic. One that failed, or grew, is left to the collector.
_packers: list[Any] = []


def _pack(value: Any) -> Buffer:
    """What is large stays in the buffer of its packer, which nobody uses again."""
    try:
        packer = _packers.pop()
    except IndexError:
        packer = msgpack.Packer(default=lower, strict_types=True, buf_size=LARGE, autoreset=False)
    packer.pack(value)
    view: memoryview = packer.getbuffer()
    if len(view) > LARGE:
        return view
    data = bytes(view)
    view.release()
    packer.reset()
    _packers.append(packer)
    return data


def _unpack_any(data: Buffer, limit: int, pickles: bool) -> Any:
    """A value that may be marked, compressed or pickled as a whole. What is compressed is not compressed again."""
    head = data[:4]
    if head in (compressed.PLAIN, compressed.PICKLED):
        data = compressed.expand(data, limit)
        head = data[:4]
    if head != pickled.HEAD:
        return _unpack_marked(data)
    if not pickles:
        raise DecodeError(pickled.REFUSED, size=len(data))
    return pickled.build(msgpack.unpackb(data))


def _unpack_marked(data: Buffer) -> Any:
    reader = _Reader()
    hooks: dict[str, Any] = {"ext_hook": reader.mark, "list_hook": reader.sequence}
    if len(data) > LARGE:  # it costs a microsecond a dict, and collisions in less harm nobody
        hooks["object_pairs_hook"] = _build_dict
    value = msgpack.unpackb(data, strict_map_key=False, timestamp=3, **hooks)
    if reader.open:
        raise ValueError("a mark outside the first place of an array")
    return value


def _build_dict(pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
    if len(pairs) > CROWD:
        check_hashes([key for key, _ in pairs])
    return dict(pairs)


def _unmarked(code: int, payload: bytes) -> NoReturn:
    raise ValueError(f"unknown extension {code}; it may come from a newer release of pullet")


class _Mark:
    """What stands in the first place of a marked array while it is read. Unhashable: it cannot become a key."""

    __slots__ = ("build",)
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, build: Callable[[list[Any]], Any]) -> None:
        self.build = build


_MARKS = {code: _Mark(build) for code, build in BUILDERS.items()}


class _Reader:
    """Builds the marked arrays of one value, and counts the marks that no array has used."""

    __slots__ = ("open",)

    def __init__(self) -> None:
        self.open = 0

    def mark(self, code: int, payload: bytes) -> _Mark:
        mark = _MARKS.get(code)
        if payload or mark is None:
            _unmarked(code, payload)
        self.open += 1
        return mark

    def sequence(self, items: list[Any]) -> Any:
        if items and type(items[0]) is _Mark:
            mark = items.pop(0)
            self.open -= 1
            return mark.build(items)
        return items


def _too_large(what: str, size: int, limit: int) -> TooLarge:
    return TooLarge(f"{what} {size} bytes; the limit is {limit}", size=size, limit=limit)


def _refusal(roots: Mapping[str, Any], error: Exception) -> EncodeError:
    """The error for what could not be packed. Slow, since it packs again part by part to find the place."""
    place, value, error = _culprit(roots, error)
    kind = f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
    reason = str(error) if isinstance(error, Unsupported) else f"{type(error).__name__}: {error}"
    return EncodeError(f"{place} is a {kind} and cannot travel: {reason}", path=place, type_name=kind)


def _culprit(roots: Mapping[str, Any], error: Exception) -> tuple[str, Any, Exception]:
    """The innermost part that cannot be packed on its own, its place, and why."""
    place, value = next(iter(roots.items()))
    if "recursion" in str(error):  # msgpack's word for too deep: to look for the place would take seconds
        return place, value, Unsupported(_TOO_DEEP)
    parts: Iterator[tuple[str, Any]] = iter(roots.items())
    for _ in range(DEPTH):
        for step, part in parts:
            failure = _failure(part)
            if failure is not None:
                place, value, error = step, part, failure
                break
        else:
            return place, value, error
        parts = _parts(place, value)
    root = next(name for name in roots if place.startswith(name))
    return root, roots[root], Unsupported(_TOO_DEEP)


def _failure(value: Any) -> Exception | None:
    try:
        _pack(value)
    except _CANNOT_ENCODE as error:
        return error
    return None


def _parts(place: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield f"{place}, key {short(key)}", key
            yield f"{place}[{short(key)}]", part
    elif isinstance(value, (list, tuple)):
        yield from ((f"{place}[{index}]", part) for index, part in enumerate(value))
    elif isinstance(value, (set, frozenset)):
        yield from ((f"{place}, an item", part) for part in value)
    elif is_model(type(value)) and isinstance(fields := plain(value), dict):
        yield from ((f"{place}.{name}", part) for name, part in fields.items())
