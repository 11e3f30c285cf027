"""What the codec refuses: values that cannot travel, with their place and what to do, and bytes made to harm."""

from __future__ import annotations

import math
from datetime import time
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pullet_broker.codec import MAX, decode, decode_call, encode, encode_call
from pullet_broker.errors import DecodeError, EncodeError, TooLarge
from tests.unit.test_codec import VALUES, Odd, Stamp

REFUSED = [
    ({"move": [1, object()]}, "args[0]['move'][1]", "object", "plain data"),
    ([{Stamp(2024, 1, 1)}], "args[0][0], an item", "Stamp", "plain datetime"),
    (np.array([None]), "args[0]", "numpy.ndarray", "dtype object"),
    ([np.zeros(1, "i4,f4")], "args[0][0]", "numpy.ndarray", "dtype"),
    (np.longdouble(1), "args[0]", "numpy.longdouble", "64 bits"),
    (np.ma.masked_array([1], [True]), "args[0]", "MaskedArray", "asarray"),
    (time(3, tzinfo=Odd()), "args[0]", "datetime.time", "send a datetime"),
    ({"a": "\ud800"}, "args[0]['a']", "str", "surrogates"),
    (memoryview(b"abcd")[::2], "args[0]", "memoryview", ""),
    (Exception("x"), "args[0]", "Exception", "plain data"),
    (int, "args[0]", "type", "plain data"),
    (iter([]), "args[0]", "list_iterator", "plain data"),
]


@pytest.mark.parametrize(("value", "path", "kind", "advice"), REFUSED, ids=[row[1] + " " + row[2] for row in REFUSED])
def test_refused_with_its_place_and_what_to_do(value: Any, path: str, kind: str, advice: str) -> None:
    with pytest.raises(EncodeError) as caught:
        encode_call((value,), {})
    assert caught.value.path == path
    assert caught.value.type_name.endswith(kind)
    assert str(caught.value).startswith(f"{path} is a {caught.value.type_name} and cannot travel: ")
    assert advice in str(caught.value)


def test_places_in_keyword_arguments_and_results() -> None:
    with pytest.raises(EncodeError, match=r"^kwargs\['depth'\]\['x'\] is a"):
        encode_call((1,), {"depth": {"x": object()}})
    with pytest.raises(EncodeError, match=r"^result\[0\] is a"):
        encode([object()], name="result")


def test_deep_and_circular_values_are_refused() -> None:
    circular: list[Any] = [1]
    circular.append(circular)
    deep: Any = ()
    for _ in range(5000):
        deep = (deep,)
    for value in (circular, deep, {"a": circular}):
        with pytest.raises(EncodeError, match=r"^value is a .* nested deeper than"):
            encode(value)


def test_a_packer_that_failed_is_not_used_again() -> None:
    for _ in range(3):
        with pytest.raises(EncodeError):
            encode([b"left over" * 10, object()])
        assert encode([1]) == msgpack.packb([1])


def test_limits_count_bytes_on_both_sides() -> None:
    data = encode(b"x" * 100)
    assert encode(b"x" * 100, limit=len(data)) == data
    assert decode(data, limit=len(data)) == b"x" * 100
    for call in (
        lambda: encode(b"x" * 100, limit=len(data) - 1),
        lambda: decode(data, limit=len(data) - 1),
        lambda: encode_call((b"x" * 100,), {}, limit=100),
        lambda: decode_call(encode_call((b"x" * 100,), {}), limit=100),
        lambda: encode(bytes(MAX)),
    ):
        with pytest.raises(TooLarge) as caught:
            call()
        assert caught.value.size > caught.value.limit


def marked(code: int, *fields: Any) -> bytes:
    return msgpack.packb([msgpack.ExtType(code, b""), *fields])


HOSTILE = {
    "empty": b"",
    "never used": b"\xc1",
    "trailing": encode(1) + b"\0",
    "trailing after marks": encode((1,)) + b"\0",
    "cut": encode([1, 2])[:-1],
    "array of 4 G": b"\xdd\xff\xff\xff\xff",
    "map of 4 G": b"\xdf\xff\xff\xff\xff",
    "bytes of 4 G": b"\xc6\xff\xff\xff\xff",
    "deep arrays": b"\x91" * 100_000 + b"\xc0",
    "deep tuples": b"\x92\xc7\x00\x01" * 100_000 + b"\xc0",
    "bad utf-8": b"\xa1\xff",
    "list as key": b"\x81\x90\x01",
    "set in set": marked(2, []),
    "mark alone": b"\xc7\x00\x01",
    "mark as value": msgpack.packb({"a": msgpack.ExtType(1, b"")}),
    "mark as key": b"\x81\xc7\x00\x01\x01",
    "mark in second place": msgpack.packb([1, msgpack.ExtType(1, b"")]),
    "mark twice": marked(1, msgpack.ExtType(1, b"")),
    "mark with payload": msgpack.packb([msgpack.ExtType(1, b"x")]),
    "long form of a mark": b"\x91\xc8\x00\x00\x01",
    "unknown mark": marked(99),
    "unknown extension": msgpack.packb(msgpack.ExtType(42, b"abcd")),
    "timestamp far away": b"\xc7\x0c\xff" + b"\xff" * 12,
    "int from text": marked(4, "9"),
    "complex from text": marked(5, "1", 2.0),
    "year 0": marked(6, 0, 1, 1, 0, 0, 0, 0, 0),
    "pickled datetime": marked(6, b"\x07\xe8\x01\x01\0\0\0\0\0\0", None),
    "offset of days": marked(6, 2024, 1, 1, 0, 0, 0, 0, 0, 10**12, None),
    "offset too big": marked(6, 2024, 1, 1, 0, 0, 0, 0, 0, 2**64 - 1, None),
    "zone outside": marked(6, 2024, 1, 1, 0, 0, 0, 0, 0, 0, "../../etc/passwd"),
    "zone absolute": marked(8, 1, 0, 0, 0, 0, None, "/etc/passwd"),
    "zone is a folder": marked(8, 1, 0, 0, 0, 0, None, "Europe"),
    "no zone at all": marked(8, 1, 0, 0, 0, 0, None, None),
    "half a zone": marked(8, 1, 0, 0, 0, 0, 0),
    "day 32": marked(7, 2024, 1, 32),
    "timedelta nan": marked(9, math.nan, 0, 0),
    "timedelta huge": marked(9, 2**63, 0, 0),
    "short uuid": marked(10, b"1234"),
    "uuid from text": marked(10, "1" * 16),
    "decimal": marked(11, "0x10"),
    "decimal exponent": marked(11, "1e" + "9" * 30),
    "unknown path": marked(12, "os.system", "ls"),
    "array of objects": marked(13, "|O", [1], bytes(8)),
    "array of objects by name": marked(13, "object", [1], bytes(8)),
    "array of records": marked(13, "i4,O", [1], bytes(12)),
    "array too short": marked(13, "<f8", [2], bytes(8)),
    "array too long": marked(13, "<f8", [1], bytes(16)),
    "array negative": marked(13, "<f8", [-1, -1], bytes(8)),
    "array overflow": marked(13, "<f8", [2**62, 0], b""),
    "array with a bool side": marked(13, "<f8", [True], bytes(8)),
    "array of many sides": marked(13, "<f8", [1] * 65, bytes(8)),
    "array with huge items": marked(13, "<U999999999", [0], b""),
    "array with odd width": marked(13, "<f3", [1], bytes(3)),
    "array of unknown unit": marked(13, "<M8[foo]", [1], bytes(8)),
    "array of long doubles": marked(13, "<f16", [1], bytes(16)),
    "array without fields": marked(13),
    "scalar of objects": marked(14, "|O", bytes(8)),
    "scalar too short": marked(14, "<f8", b""),
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_bytes_raise_only_decode_error(data: bytes) -> None:
    with pytest.raises(DecodeError) as caught:
        decode(data)
    assert len(str(caught.value)) < 300


def colliding(count: int) -> list[Any]:
    """Packed integers whose hashes are all the same."""
    prime = 2**61 - 1  # Python's hash of an int is its rest to this
    numbers = [(prime * number << 61).to_bytes(24, "big") for number in range(1, count + 1)]
    return [[msgpack.ExtType(4, b""), number] for number in numbers]


@pytest.mark.parametrize("code", [2, 3])
def test_a_set_of_keys_made_to_collide_is_refused(code: int) -> None:
    with pytest.raises(DecodeError, match="share so few hashes"):
        decode(marked(code, *colliding(5000)))


def test_a_dict_of_keys_made_to_collide_is_refused() -> None:
    keys = [msgpack.packb(key) for key in colliding(5000)]
    with pytest.raises(DecodeError, match="share so few hashes"):
        decode(b"\xde" + len(keys).to_bytes(2, "big") + b"".join(key + b"\xc0" for key in keys))


def test_large_sets_and_dicts_of_honest_keys_travel() -> None:
    value = {(i, -i): {2**70 + i} for i in range(20_000)}
    assert decode(encode([value, set(value)])) == [value, set(value)]


@given(st.binary(max_size=200))
@settings(max_examples=500, deadline=None)
def test_random_bytes(data: bytes) -> None:
    survives(data)


# Marks, containers and the dtype of an array in random order: most are almost right.
PIECES = st.one_of(
    st.integers(0, 16).map(lambda code: b"\xc7\x00" + bytes([code])),
    st.integers(0x80, 0x9F).map(lambda byte: bytes([byte])),
    st.one_of(st.integers(), st.text(max_size=4), st.floats(), st.binary(max_size=16)).map(encode),
    st.sampled_from(["<f8", "|O", "<U2", "<M8[s]", "UTC", "Europe", "path"]).map(encode),
)


@given(st.lists(PIECES, max_size=12).map(b"".join))
@settings(max_examples=500, deadline=None)
def test_random_pieces(data: bytes) -> None:
    survives(data)


@given(VALUES, st.data())
@settings(max_examples=500, deadline=None)
def test_mutated_values(value: Any, draw: st.DataObject) -> None:
    data = bytearray(encode(value))
    for _ in range(draw.draw(st.integers(1, 4))):
        position = draw.draw(st.integers(0, len(data)))
        data[position : position + draw.draw(st.integers(0, 2))] = draw.draw(st.binary(max_size=3))
    survives(bytes(data))


def survives(data: bytes) -> None:
    """Either DecodeError or a value of the known types, which can then be packed again."""
    for read in (decode, decode_call):
        try:
            value = read(data)
        except DecodeError:
            continue
        encode(value)


@pytest.mark.parametrize("value", [1, [], [[]], [[], {}, 1], [{}, {}], [[], {1: 2}], ((), {}), {"a": 1}])
def test_a_value_that_is_not_a_call(value: Any) -> None:
    with pytest.raises(DecodeError, match="not the arguments of a call"):
        decode_call(encode(value))
