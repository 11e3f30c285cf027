"""Compression: what is worth it travels packed, any side reads it, and no bomb unpacks beyond the limit."""

from __future__ import annotations

import os
import sys
import tracemalloc
import zlib
from typing import Any

import msgpack
import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from pullet_broker import compressed
from pullet_broker.codec import decode, decode_call, encode, encode_call
from pullet_broker.errors import DecodeError, TooLarge
from pullet_broker.settings import Encoding

ALGORITHMS = ["zlib", "zstd"]
TEXT = "the quick brown fox jumps over the lazy dog " * 1000


def packing(algorithm: Any, over: int = 0) -> Encoding:
    return Encoding(compression=algorithm, compress_over_bytes=over)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("value", [TEXT, [TEXT, (1, TEXT)], np.zeros(100_000), {"a": TEXT.encode()}], ids=lambda v: "")
def test_any_side_reads_it(value: Any, algorithm: str) -> None:
    data = encode(value, how=packing(algorithm))
    assert len(data) < len(encode(value)) / 10
    assert np.array_equal(decode(data), value) if isinstance(value, np.ndarray) else decode(data) == value
    assert decode(memoryview(bytes(data))) is not None
    args, _ = decode_call(encode_call((TEXT,), {}, how=packing(algorithm)))
    assert args == (TEXT,)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_only_above_the_size_and_only_where_it_saves_something(algorithm: str) -> None:
    size = len(encode(TEXT))
    assert encode(TEXT, how=packing(algorithm, size)) == encode(TEXT)
    assert len(encode(TEXT, how=packing(algorithm, size - 1))) < size
    for noise in (os.urandom(50_000), os.urandom(2_000_000)):
        assert encode(noise, how=packing(algorithm)) == encode(noise)


def test_of_something_long_a_sample_is_tried_first(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    pack = compressed._compress

    def look(data: Any, algorithm: str) -> bytes:
        seen.append(len(data))
        return pack(data, algorithm)

    monkeypatch.setattr(compressed, "_compress", look)
    encode(os.urandom(4_000_000), how=packing("zlib"))
    assert seen == [3 * compressed.SAMPLE]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_limit_counts_what_it_unpacks_to(algorithm: str) -> None:
    data, size = encode(TEXT, how=packing(algorithm)), len(encode(TEXT))
    assert decode(data, limit=size) == TEXT
    for call in (
        lambda: decode(data, limit=size - 1),
        lambda: encode(TEXT, how=packing(algorithm), limit=size - 1),
        lambda: decode_call(encode_call((TEXT,), {}, how=packing(algorithm)), limit=size),
    ):
        with pytest.raises(TooLarge) as caught:
            call()
        assert caught.value.size > caught.value.limit


BIG = 256 << 20


def bomb(algorithm: str, size: int, says: int) -> bytes:
    packed = zlib.compress(bytes(size), 9) if algorithm == "zlib" else zstandard.ZstdCompressor().compress(bytes(size))
    return msgpack.packb([msgpack.ExtType(16, b""), algorithm, says, packed])


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_bomb_takes_no_more_memory_than_it_says(algorithm: str) -> None:
    data = bomb(algorithm, BIG, 1000)
    tracemalloc.start()
    try:
        with pytest.raises(DecodeError, match="longer or shorter than it says"):
            decode(data)
        assert tracemalloc.get_traced_memory()[1] < len(data) * 3 + 1_000_000
    finally:
        tracemalloc.stop()


def frame(algorithm: Any, size: Any, packed: Any) -> bytes:
    return msgpack.packb([msgpack.ExtType(16, b""), algorithm, size, packed])


PACKED = zlib.compress(encode(TEXT))
UNSIZED = zstandard.ZstdCompressor(write_content_size=False).compress(encode(TEXT))
HOSTILE = {
    "unknown": frame("lzma", 5, b"12345"),
    "number": frame(7, 5, b"12345"),
    "negative": frame("zlib", -1, PACKED),
    "empty": frame("zlib", 0, b""),
    "says less": frame("zlib", len(encode(TEXT)) - 1, PACKED),
    "says more": frame("zlib", len(encode(TEXT)) + 1, PACKED),
    "cut": frame("zlib", len(encode(TEXT)), PACKED[:-1]),
    "more behind": frame("zlib", len(encode(TEXT)), PACKED + b"x"),
    "no zlib": frame("zlib", 10, b"nonsense"),
    "no zstd": frame("zstd", 10, b"nonsense"),
    "zstd without a size": frame("zstd", len(encode(TEXT)), UNSIZED),
    "zstd cut": frame("zstd", len(encode(TEXT)), zstandard.ZstdCompressor().compress(encode(TEXT))[:-1]),
    "zstd more behind": frame("zstd", len(encode(TEXT)), zstandard.ZstdCompressor().compress(encode(TEXT)) + b"x"),
    "packed twice": frame("zlib", len(frame("zlib", 9, PACKED)), zlib.compress(frame("zlib", 9, PACKED))),
    "within a value": msgpack.packb([[msgpack.ExtType(16, b""), "zlib", len(encode(TEXT)), PACKED]]),
    "head alone": compressed.PLAIN,
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_bytes_raise_only_decode_error(data: bytes) -> None:
    with pytest.raises(DecodeError):
        decode(data)


@given(st.binary(max_size=100), st.sampled_from(["zlib", "zstd"]), st.integers(0, 2**64 - 1))
@settings(max_examples=300, deadline=None)
def test_random_bytes(data: bytes, algorithm: str, size: int) -> None:
    for hostile in (frame(algorithm, size, data), compressed.PLAIN + data, compressed.PICKLED + data):
        with pytest.raises((DecodeError, TooLarge)):
            decode(hostile)


@given(st.recursive(st.integers() | st.text() | st.binary(), lambda one: st.lists(one) | st.tuples(one, one)))
@settings(deadline=None)
def test_every_value_comes_back(value: Any) -> None:
    for algorithm in ALGORITHMS:
        assert decode(encode(value, how=packing(algorithm))) == value


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode(TEXT, how=packing("zstd"))
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(DecodeError, match=r'pip install "pullet\[zstd\]"'):
        decode(data)
    with pytest.raises(ImportError, match=r'pip install "pullet\[zstd\]"'):
        packing("zstd")
