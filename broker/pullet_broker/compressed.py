"""Compression of whole encoded values: `[mark 16, algorithm, size, bytes]`, mark 17 where a pickle is inside.

Both sides read what either algorithm wrote, whatever they write themselves. What is unpacked is never longer than the
`size` that stands before it, and that is checked against the limit first.

When it pays (2 cores, `make bench-payload`): zlib packs 45-110 MB/s of text or JSON to a half or a third, zstd 150-250
MB/s. A server on the same machine moves more than that; a network of 1 Gbit/s, passed twice, 60. So zstd is faster
there, zlib is not, and either saves memory of the server.
"""

from __future__ import annotations

import importlib
import zlib
from typing import Any

import msgpack
from msgpack import ExtType

from pullet_broker.errors import TooLarge
from pullet_broker.parts import Buffer

PLAIN, PICKLED = b"\x94\xc7\x00\x10", b"\x94\xc7\x00\x11"
"""How compressed values begin."""

_WRONG = "a compressed value that is longer or shorter than it says"

LEVEL = 1
"""Of both algorithms: higher ones take several times as long for a tenth less."""
WORTH = 0.9
"""What does not become shorter than this part of itself travels as it is."""
SAMPLE = 8 << 10
"""Bytes that are tried first at the start, in the middle and at the end of something much longer."""


def check_algorithm(name: str) -> None:
    """Raises `ImportError` where the package of an algorithm is missing."""
    if name == "zstd":
        _zstandard()


def compress(data: Buffer, algorithm: str, *, is_pickle: bool) -> Buffer:
    """The compressed value, or `data` itself where that saves nothing."""
    if len(data) > 16 * SAMPLE and not _is_worth(b"".join(_samples(data)), algorithm):
        return data
    packed = _compress(data, algorithm)
    if len(packed) > WORTH * len(data):
        return data
    mark = ExtType(17 if is_pickle else 16, b"")
    framed: Buffer = msgpack.Packer().pack([mark, algorithm, len(data), packed])
    return framed


def expand(data: Buffer, limit: int) -> bytes:
    """What was compressed. Raises `TooLarge` before it unpacks more than `limit`, else `ValueError`."""
    match msgpack.unpackb(data):
        case [ExtType(), str(algorithm), int(size), bytes(packed)] if size > 0:
            if size > limit:
                raise TooLarge(f"the value unpacks to {size} bytes; the limit is {limit}", size=size, limit=limit)
            expanded = _expand(packed, algorithm, size)
            if len(expanded) == size:
                return expanded
    raise ValueError(_WRONG)


def _compress(data: Buffer, algorithm: str) -> bytes:
    if algorithm == "zlib":
        return zlib.compress(data, LEVEL)
    packed: bytes = _zstandard().ZstdCompressor(level=LEVEL).compress(data)
    return packed


def _expand(packed: bytes, algorithm: str, size: int) -> bytes:
    if algorithm == "zlib":
        return _expand_zlib(packed, size)
    if algorithm == "zstd":
        return _expand_zstd(packed, size)
    raise ValueError(f"compressed with {algorithm[:20]!r}, which this release does not know; update it")


def _expand_zlib(packed: bytes, size: int) -> bytes:
    reader = zlib.decompressobj()
    try:
        expanded = reader.decompress(packed, size + 1)
    except zlib.error as error:
        raise ValueError(str(error)) from None
    if not reader.eof or reader.unused_data:
        raise ValueError(_WRONG)
    return expanded


def _expand_zstd(packed: bytes, size: int) -> bytes:
    zstandard = _zstandard()
    try:
        if zstandard.frame_content_size(packed) != size:  # it would reserve what the frame says, whatever the limit
            raise ValueError(_WRONG)
        found: bytes = zstandard.ZstdDecompressor().decompress(packed, max_output_size=size, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise ValueError(str(error)) from None
    return found


def _samples(data: Buffer) -> list[bytes]:
    middle = len(data) // 2
    return [bytes(data[:SAMPLE]), bytes(data[middle : middle + SAMPLE]), bytes(data[-SAMPLE:])]


def _is_worth(sample: bytes, algorithm: str) -> bool:
    return len(_compress(sample, algorithm)) <= WORTH * len(sample)


def _zstandard() -> Any:
    try:
        return importlib.import_module("zstandard")
    except ImportError as error:
        text = 'compression="zstd" needs the package zstandard: pip install "pullet[zstd]"'
        raise ImportError(text) from error
