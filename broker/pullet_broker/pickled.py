"""`codec="pickle"`: values of any class, for those who trust everybody who can write to the server.

Reading a pickle runs code of whoever wrote it. So a side reads one only if it asked for that itself, and a worker
answers in pickles only to a caller that sent one. A pickled value is `[mark 15, pickle, buffers]`; what large arrays
hold lies beside the pickle, and they arrive as views of it.
"""

from __future__ import annotations

import importlib
import pickle
from typing import Any

from msgpack import ExtType

from pullet_broker.errors import DecodeError, EncodeError

MARK = ExtType(15, b"")
HEAD = b"\x93\xc7\x00\x0f"
"""How every pickled value begins."""

REFUSED = (
    "it is pickled, and to read a pickle runs code of whoever wrote it, so this side refuses; if you trust everybody "
    'who can write to this server, say codec="pickle" here too, in pullet.connect or Pool, else leave it out there'
)


def check_cloudpickle() -> Any:
    """The package, or `ImportError` saying how to install it."""
    try:
        return importlib.import_module("cloudpickle")
    except ImportError as error:
        raise ImportError('codec="pickle" needs the package cloudpickle: pip install "pullet[pickle]"') from error


def lower(value: Any, name: str) -> list[Any]:
    """A value as what msgpack packs. Raises `EncodeError`; `name` is what that calls it."""
    buffers: list[pickle.PickleBuffer] = []
    try:
        data = check_cloudpickle().dumps(value, protocol=5, buffer_callback=buffers.append)
        return [MARK, data, [buffer.raw() for buffer in buffers]]
    except Exception as error:  # what a class raises that is pickled: it may be anything
        kind = f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
        reason = f"{type(error).__name__}: {error}"[:300]
        raise EncodeError(f"{name} cannot be pickled: {reason}", path=name, type_name=kind) from error


def build(fields: Any) -> Any:
    """The value, from what `lower` made. This runs what the pickle says."""
    match fields:
        case [ExtType(), bytes(data), [*buffers]] if all(type(one) is bytes for one in buffers):
            try:
                return pickle.loads(data, buffers=buffers)
            except Exception as error:  # a pickle may call anything, and that may raise anything
                reason = f"{type(error).__name__}: {error}"[:300]
                raise DecodeError(f"it cannot be unpickled here: {reason}", size=len(data)) from error
    raise ValueError("a pickle with the wrong fields")
