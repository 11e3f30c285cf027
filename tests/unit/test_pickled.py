"""`codec="pickle"`: any class travels between two sides that asked for it, and nowhere else."""

from __future__ import annotations

import os
import pathlib
import pickle
from collections import OrderedDict, namedtuple
from dataclasses import dataclass
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pullet.testing import InlinePool
from pullet_broker import pickled
from pullet_broker.codec import decode, decode_call, encode, encode_call, is_pickled
from pullet_broker.errors import DecodeError, EncodeError, TooLarge
from pullet_broker.settings import Encoding

PICKLE = Encoding(codec="pickle")
ZLIB = Encoding(codec="pickle", compression="zlib", compress_over_bytes=0)
Point = namedtuple("Point", "x y")


@dataclass
class Board:
    fen: str
    moves: list[Any]


class Odd:
    """Of no kind that travels otherwise."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return type(other) is Odd and other.value == self.value

    def __hash__(self) -> int:
        return hash(self.value)


class Engine:
    def echo(self, value: Any) -> Any:
        return value


class Bomb:
    """Its pickle makes a file when it is read."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("how", [PICKLE, ZLIB], ids=["plain", "compressed"])
@pytest.mark.parametrize(
    "value", [Odd(7), Board("8/8", [Point(1, 2)]), OrderedDict(b=1), bytearray(b"ab"), [Odd], (1,)]
)
def test_any_class_travels_as_itself(value: Any, how: Encoding) -> None:
    data = encode(value, how=how)
    assert is_pickled(data)
    back = decode(data, pickles=True)
    assert back == value
    assert type(back) is type(value)
    assert decode_call(encode_call((value,), {"k": value}, how=how), pickles=True) == ((value,), {"k": value})


def test_functions_travel_by_value() -> None:
    assert decode(encode(lambda x: x + 1, how=PICKLE), pickles=True)(1) == 2


def test_what_is_the_same_either_way_is_not_pickled() -> None:
    for value in (None, True, 7, 2**80, 1.5, "text", b"bytes"):
        assert encode(value, how=PICKLE) == encode(value)


def test_arrays_are_views_of_what_came() -> None:
    array = np.arange(1000.0)
    back = decode(encode({"a": array}, how=PICKLE), pickles=True)["a"]
    assert (back == array).all()
    assert not back.flags.owndata


@pytest.mark.parametrize("how", [PICKLE, ZLIB], ids=["plain", "compressed"])
def test_a_side_that_did_not_ask_refuses_and_runs_nothing(tmp_path: pathlib.Path, how: Encoding) -> None:
    trap = tmp_path / "trap"
    for data in (encode([Bomb(trap)], how=how), encode_call((Bomb(trap),), {}, how=how)):
        for read in (decode, decode_call):
            with pytest.raises(DecodeError, match=r'say codec="pickle" here too, in pullet.connect or Pool'):
                read(data)
    assert not trap.exists()
    decode(data, pickles=True)
    assert trap.exists(), "the trap works"


def test_a_pickle_inside_of_a_value_is_refused_on_either_side(tmp_path: pathlib.Path) -> None:
    trap = tmp_path / "trap"
    inner = [pickled.MARK, pickle.dumps(Bomb(trap)), []]
    for value in ([inner], {"a": inner}, [[inner], {}], [msgpack.ExtType(1, b""), inner]):
        for pickles in (False, True):
            with pytest.raises(DecodeError, match="unknown extension 15"):
                decode(msgpack.packb(value), pickles=pickles)
    assert not trap.exists()


HOSTILE = [
    [pickled.MARK, b"", []],
    [pickled.MARK, b"not a pickle", []],
    [pickled.MARK, "text", []],
    [pickled.MARK, pickle.dumps(1), [1]],
    [pickled.MARK, pickle.dumps(1), {}],
    [pickled.MARK, pickle.dumps(np.arange(99.0), protocol=5, buffer_callback=lambda buffer: None), []],
    [pickled.MARK, b"cno_such_module\nname\n.", []],
]


@pytest.mark.parametrize("value", HOSTILE)
def test_what_is_no_pickle_is_a_decode_error(value: Any) -> None:
    with pytest.raises(DecodeError):
        decode(msgpack.packb(value), pickles=True)


def test_what_cannot_be_pickled_says_why() -> None:
    import threading

    with pytest.raises(EncodeError, match=r"the arguments cannot be pickled: .*lock"):
        encode_call((threading.Lock(),), {}, how=PICKLE)


def test_limits_hold() -> None:
    data = encode(Odd("x" * 1000), how=PICKLE)
    with pytest.raises(TooLarge):
        encode(Odd("x" * 1000), how=PICKLE, limit=1000)
    with pytest.raises(TooLarge):
        decode(data, limit=1000, pickles=True)


@given(st.binary(max_size=100))
@settings(max_examples=300, deadline=None)
def test_bytes_behind_the_mark_of_a_pickle_are_refused_unread(data: bytes) -> None:
    with pytest.raises(DecodeError):
        decode(pickled.HEAD + data)


def test_settings_are_checked() -> None:
    with pytest.raises(ValueError, match="expected one of 'msgpack', 'pickle'"):
        Encoding(codec="json")  # type: ignore[arg-type]


def test_in_an_inline_pool() -> None:
    with InlinePool(Engine, codec="pickle") as pool:
        assert pool.submit(Engine.echo, Odd(7)).result() == Odd(7)
    with InlinePool(Engine) as pool, pytest.raises(EncodeError):
        pool.submit(Engine.echo, Odd(7))
