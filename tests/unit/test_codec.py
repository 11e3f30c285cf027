"""The codec: what travels, and in what form. What it refuses: see test_codec_refusals."""

from __future__ import annotations

import math
import pathlib
import struct
import subprocess
import sys
import threading
import uuid
import zoneinfo
from collections import Counter, OrderedDict, defaultdict, namedtuple
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as stn

from pullet_broker import codec
from pullet_broker.codec import decode, decode_call, encode, encode_call

BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")
Point = namedtuple("Point", "x y")


class Text(str):
    def __str__(self) -> str:
        return "something else"


class Number(int):
    pass


class Odd(tzinfo):
    def utcoffset(self, moment: datetime | None) -> timedelta | None:
        return None if moment is None else timedelta(hours=3, microseconds=7)


class Stamp(datetime):
    pass


def same(left: Any, right: Any) -> bool:
    """Equal with equal types all the way down; nan is nan, -0.0 is not 0.0, and zones count."""
    if type(left) is not type(right):
        return False
    if isinstance(left, np.ndarray):
        return left.dtype == right.dtype and left.shape == right.shape and left.tobytes() == right.tobytes()
    if isinstance(left, np.generic):
        return left.dtype == right.dtype and left.tobytes() == right.tobytes()
    if isinstance(left, float):
        return struct.pack("d", left) == struct.pack("d", right)
    if isinstance(left, complex):
        return same(left.real, right.real) and same(left.imag, right.imag)
    if isinstance(left, Decimal):
        return str(left) == str(right)
    if isinstance(left, (datetime, time)):
        zones = (left.tzinfo, right.tzinfo)
        return (
            left.replace(tzinfo=None) == right.replace(tzinfo=None) and zones[0] == zones[1] and left.fold == right.fold
        )
    if isinstance(left, (list, tuple)):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return same(list(left.items()), list(right.items()))
    if isinstance(left, (set, frozenset)):
        return len(left) == len(right) and all(any(same(item, other) for other in right) for item in left)
    return bool(left == right)


EXACT = [
    None, True, False, 0, -1, 2**63 - 1, -(2**63), 2**64 - 1, 2**64, -(2**63) - 1, 10**1000, -(10**1000),
    0.0, -0.0, 1.5, math.inf, -math.inf, math.nan, 5e-324,
    "", "text", "\N{CHICKEN}\0", b"", b"\xc7\x00\x01", b"\xff" * 300, "\xc7\0",
    [], [[]], [1, [2, (3,)]], {}, {"a": {1: [None]}},
    {b"k": 1, None: 2, 1.5: 3, True: 4, (1, (2,)): 5, frozenset({1}): 6},
    (), ((),), (1,), ([], {}, ((b"x",), {})), [(), 1], [(1, 2), (3, 4)], {(0, 0): "a", (0, 1): "b"},
    set(), {1, "a", (2, 3)}, frozenset(), frozenset({frozenset({1}), 2}),
    1 + 2j, complex(-0.0, math.nan),
    date(1, 1, 1), date.max, datetime.min, datetime.max, datetime(2024, 10, 27, 2, 30, fold=1),
    datetime(2024, 7, 1, 12, tzinfo=timezone.utc),
    datetime(2024, 7, 1, tzinfo=timezone(timedelta(hours=-5, seconds=3))),
    datetime(2024, 7, 1, 12, tzinfo=BERLIN), datetime(2024, 10, 27, 2, 30, fold=1, tzinfo=BERLIN),
    datetime(1, 1, 1, tzinfo=BERLIN), datetime(9999, 12, 31, 23, tzinfo=zoneinfo.ZoneInfo("UTC")),
    time(), time.max, time(3, fold=1), time(3, tzinfo=timezone(timedelta(minutes=90))), time(3, tzinfo=BERLIN),
    timedelta.min, timedelta.max, timedelta(microseconds=-1),
    uuid.UUID(int=0), uuid.UUID("1b4e28ba-2fa1-11d2-883f-0016d3cca427"),
    Decimal("0.10"), Decimal("-0"), Decimal("sNaN"), Decimal("Infinity"), Decimal("1e-400"),
    pathlib.Path("/a/ü"), pathlib.Path(), pathlib.PurePosixPath("a/../b"), pathlib.PureWindowsPath(r"C:\a\b"),
    np.float64(1.5), np.float32(math.nan), np.int8(-1), np.uint64(2**64 - 1), np.bool_(True), np.complex64(1j),
    np.datetime64("2024-01-01T00:00:00", "ns"), np.datetime64("NaT", "25s"), np.timedelta64(5, "D"), np.float16(2),
    np.arange(12).reshape(3, 4), np.zeros((0, 5), "f4"), np.array(1.5), np.array([], "U"), np.array(["a", "bcd"]),
    np.array([b"ab", b""]), np.array([True, False]), np.arange(3, dtype=">i2"), np.array(["2024-01-01"], "M8[D]"),
    {"batch": [np.ones((2, 2), "c8"), (np.int64(1),)]},
]  # fmt: skip


@pytest.mark.parametrize("value", EXACT, ids=lambda value: type(value).__name__)
def test_travels_exactly(value: Any) -> None:
    assert same(decode(encode(value)), value)
    assert same(decode(memoryview(encode(value))), value)
    assert same(decode_call(encode_call((value,), {"k": value})), ((value,), {"k": value}))


CONVERTED = [
    (bytearray(b"ab"), b"ab"),
    (memoryview(b"abcd")[1:3], b"bc"),
    (Point(1, (2,)), (1, (2,))),
    (OrderedDict(b=1, a=2), {"b": 1, "a": 2}),
    (defaultdict(list, a=[1]), {"a": [1]}),
    (Counter("aab"), {"a": 2, "b": 1}),
    (Text("plain"), "plain"),
    ({Text("key"): Number(3)}, {"key": 3}),
    (Number(2**70), 2**70),
    (np.str_("text\0"), "text\0"),
    (np.bytes_(b"raw"), b"raw"),
    (np.arange(10)[::3], np.array([0, 3, 6, 9])),
    (np.asfortranarray(np.arange(6).reshape(2, 3)), np.arange(6).reshape(2, 3)),
    (datetime(2024, 1, 1, tzinfo=Odd()), datetime(2024, 1, 1, tzinfo=timezone(timedelta(hours=3, microseconds=7)))),
]


@pytest.mark.parametrize(("value", "arrives"), CONVERTED, ids=lambda value: type(value).__name__)
def test_travels_as_its_base(value: Any, arrives: Any) -> None:
    assert same(decode(encode(value)), arrives)


def test_arrays_arrive_read_only_and_aligned() -> None:
    array = decode(encode({"a": 1, "frame": np.arange(5.0)}))["frame"]
    assert not array.flags.writeable
    assert array.flags.aligned
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 1


def test_a_memory_map_arrives_as_an_array(tmp_path: pathlib.Path) -> None:
    mapped = np.memmap(tmp_path / "frames", "u1", mode="w+", shape=(4,))
    assert same(decode(encode(mapped)), np.zeros(4, "u1"))


def test_a_zone_with_another_offset_here_keeps_the_instant() -> None:
    data = encode(datetime(2024, 7, 1, 12, tzinfo=BERLIN))
    moment = decode(data.replace(encode(7_200_000_000), encode(7_100_000_000)))
    assert moment.utcoffset() == timedelta(seconds=7100)
    unknown = decode(data.replace(b"Europe/Berlin", b"Europe/Narnia"))
    assert unknown == datetime(2024, 7, 1, 10, tzinfo=timezone.utc)


def test_a_foreign_timestamp_becomes_a_datetime() -> None:
    assert decode(msgpack.packb(msgpack.Timestamp(0))) == datetime(1970, 1, 1, tzinfo=timezone.utc)


# Every type that travels. Keys and set items are hashable ones; two that are equal would merge, as in Python.
ZONES = st.none() | st.sampled_from([timezone.utc, BERLIN, zoneinfo.ZoneInfo("Asia/Kolkata")]) | st.builds(
    timezone, st.timedeltas(timedelta(hours=-23), timedelta(hours=23))
)  # fmt: skip
DTYPES = stn.boolean_dtypes() | stn.integer_dtypes() | stn.floating_dtypes() | stn.unicode_string_dtypes()
ATOMS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.integers(-(2**200), 2**200), st.floats(), st.text(), st.binary(),
    st.complex_numbers(), st.dates(), st.datetimes(timezones=ZONES), st.times(timezones=ZONES), st.timedeltas(),
    st.uuids(), st.decimals().filter(lambda number: not number.is_snan()),
    st.text("ab/.ü", max_size=8).map(pathlib.PurePosixPath),
    st.floats().map(np.float64), st.integers(0, 255).map(np.uint8),
)  # fmt: skip
KEYS = st.recursive(
    ATOMS, lambda inner: st.lists(inner, max_size=3).map(tuple) | st.frozensets(inner, max_size=3), max_leaves=4
)
ARRAYS = stn.arrays(DTYPES, stn.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
VALUES = st.recursive(
    ATOMS | ARRAYS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(KEYS, inner, max_size=4)
        | st.sets(KEYS, max_size=4)
    ),
    max_leaves=12,
)


@given(VALUES)
@settings(deadline=None)
def test_every_value_travels_exactly(value: Any) -> None:
    assert same(decode(encode(value)), value)


def test_threads_do_not_share_a_packer() -> None:
    wrong: list[Any] = []

    def work(number: int) -> None:
        value = [(number, i) for i in range(50)]
        wrong.extend(1 for _ in range(200) if decode(encode(value)) != value)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_call_is_plain_msgpack() -> None:
    assert encode_call((b"x", 1), {"depth": 2}) == msgpack.packb([[b"x", 1], {"depth": 2}])


def test_codes_on_the_wire_do_not_change() -> None:
    assert encode((1, 2)).hex() == "93c700010102"
    assert encode(uuid.UUID(int=1)).hex() == "92c7000ac410" + "00" * 15 + "01"
    assert sorted(codec.BUILDERS) == list(range(1, 15))


LAZY = """
import sys
from pullet_broker.codec import decode, encode
from datetime import date
import enum
Kind = enum.Enum("Kind", "A")
value = {"a": [1, (2, {3}), 2**80, date(2024, 1, 1)]}
assert decode(encode(value)) == value
try:
    encode(Kind.A)
except TypeError:
    pass
assert "numpy" not in sys.modules
"""

WITHOUT = """
import sys
sys.modules["numpy"] = None
from pullet_broker.codec import decode
try:
    decode(bytes.fromhex(sys.argv[1]))
except ValueError as error:
    assert "pip install numpy" in str(error), error
else:
    raise SystemExit("no error")
"""


def run(program: str, *args: str) -> None:
    path = str(pathlib.Path(codec.__file__).parents[1])
    program = f"import sys; sys.path.insert(0, {path!r})\n{program}"
    done = subprocess.run([sys.executable, "-c", program, *args], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_numpy_is_imported_only_for_arrays() -> None:
    run(LAZY)


def test_an_array_without_numpy_says_what_to_install() -> None:
    run(WITHOUT, encode(np.zeros(2)).hex())
