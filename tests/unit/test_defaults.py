"""Options that are said beforehand: on a class, a method, a client; and which of them counts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import pullet
from pullet import Options
from pullet.options import DEFAULT, OptionWords
from pullet.testing import InlinePool


@pullet.defaults(retries=1, expires=60)
class Base:
    def plain(self) -> int:
        return 1

    @pullet.defaults(retries=2, priority=1)
    def careful(self) -> int:
        return 2

    @pullet.batch(max_batch_size=4)
    @pullet.defaults(delay=3)
    def many(self, items: list[int]) -> list[int]:
        return items

    @pullet.defaults(keep=True)
    def lines(self) -> Iterator[int]:
        yield 1

    @staticmethod
    @pullet.defaults(retries=9)
    def free() -> int:
        return 3


@pullet.defaults(expires=5)
class Derived(Base):
    def careful(self) -> int:
        return 4


class Bare:
    def plain(self) -> int:
        return 1


class Spy:
    """Takes the place of the connections, and keeps the options of what is submitted."""

    def __init__(self) -> None:
        self.seen: list[Options] = []

    def submit(self, method: str, payload: bytes, options: Options, build: Any) -> None:
        self.seen.append(options)

    stream = submit


def asked(engine: Any, method: Any, *args: Any, given: OptionWords | None = None, **options: Any) -> Options:
    """The options with which a call goes out."""
    pool: InlinePool[Any] = InlinePool(engine, defaults=given)
    pool._core = spy = Spy()
    pool.options(**options).submit(method, *args)
    return spy.seen[0]


def test_without_any_there_are_none() -> None:
    assert asked(Bare, Bare.plain) is DEFAULT
    assert asked(Bare, Bare.plain, given={}) is DEFAULT


def test_a_method_says_more_than_its_class_and_a_class_more_than_its_base() -> None:
    assert asked(Base, Base.plain) == Options(retries=1, expires=60)
    assert asked(Base, Base.careful) == Options(retries=2, priority=1, expires=60)
    assert asked(Base, "careful") == asked(Base, Base.careful)
    assert asked(Base, Base.free) == Options(retries=9, expires=60)
    assert asked(Base, Base.many, 1) == Options(retries=1, expires=60, delay=3)
    assert asked(Derived, Derived.plain) == Options(retries=1, expires=5)
    assert asked(Derived, Derived.careful) == Options(retries=1, expires=5), "a method of its own is another method"


def test_a_client_says_more_than_the_class_and_a_call_more_than_the_client() -> None:
    assert asked(Base, Base.careful, given={"retries": 5}) == Options(retries=5, priority=1, expires=60)
    assert asked(Base, Base.careful, given={"retries": 5}, retries=0) == Options(priority=1, expires=60)
    assert asked(Bare, Bare.plain, given={"retries": 5}, priority=-1) == Options(retries=5, priority=-1)


def test_a_stream_has_them_too() -> None:
    pool = InlinePool(Base)
    pool._core = spy = Spy()
    pool.stream(Base.lines)
    assert spy.seen == [Options(retries=1, expires=60, keep=True)]


def test_options_of_options_add_up_and_leave_the_client_as_it_was() -> None:
    pool = InlinePool(Base)
    pool._core = spy = Spy()
    quick = pool.options(expires=1)
    for one in (quick.options(retries=7), quick, pool):
        one.submit(Base.plain)
    assert spy.seen == [Options(retries=7, expires=1), Options(retries=1, expires=1), Options(retries=1, expires=60)]


@pytest.mark.parametrize(("wrong", "error"), [({"retries": -1}, ValueError), ({"retris": 1}, TypeError)])
def test_what_makes_no_sense_is_refused_where_it_is_said(wrong: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"retri"):
        pullet.defaults(**wrong)
    with pytest.raises(error, match=r"retri"):
        InlinePool(Bare, defaults=wrong)
    with pytest.raises(error, match=r"retri"):
        InlinePool(Bare).options(**wrong)


def test_the_words_are_the_fields() -> None:
    assert list(OptionWords.__annotations__) == list(Options.__dataclass_fields__)
