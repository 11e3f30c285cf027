"""Errors of an engine in its caller: groups as groups, and data from the wire that never becomes code."""

from __future__ import annotations

import os
import pickle
import sys
from pathlib import Path
from typing import Any

import msgpack
import pytest

from pullet import RemoteError, RemoteTraceback
from pullet_broker.address import Address
from pullet_broker.codec import encode
from pullet_broker.errors import DecodeError
from pullet_broker.link import Link
from pullet_broker.settings import Queue
from tests.support.workers import Kit, calling, running

pytestmark = pytest.mark.timeout(40)


class Custom(Exception):
    """A class that the caller has not registered."""


class Troubled(Kit):
    def several(self, nested: bool = False, size: int = 2) -> None:
        members: list[Exception] = []
        for text in ("first", *("x" * size,) * (size > 2), "second"):
            try:
                raise ValueError(text)
            except ValueError as error:
                members.append(error)
        members.append(Custom("own"))
        if nested:
            members.append(ExceptionGroup("inner", [KeyError("deep")]))  # noqa: F821
        raise ExceptionGroup("outer", members)  # noqa: F821

    def many(self) -> None:
        raise ExceptionGroup("many", [ValueError("x" * 20_000) for _ in range(500)])  # noqa: F821

    def ending(self) -> None:
        raise BaseExceptionGroup("ends", [KeyboardInterrupt(), ValueError("v")])  # noqa: F821


groups = pytest.mark.skipif(sys.version_info < (3, 11), reason="exception groups are of Python 3.11")


def raised(queue: Queue, address: Address, method: Any, *args: Any) -> BaseException:
    with running(queue, address, Troubled), calling(queue, address, Troubled) as client:
        error = client.submit(method, *args).exception(10)
    assert error is not None
    return error


@groups
def test_an_exception_group_comes_back_as_one(queue: Queue, address: Address) -> None:
    error: Any = raised(queue, address, Troubled.several, True)
    assert type(error) is ExceptionGroup  # noqa: F821
    assert error.message == "outer"
    first, second, own, inner = error.exceptions
    assert [type(one) for one in error.exceptions] == [ValueError, ValueError, RemoteError, ExceptionGroup]  # noqa: F821
    assert (first.args, second.args, own.type_name) == (("first",), ("second",), f"{__name__}.Custom")
    assert inner.exceptions[0].args == ("deep",)
    assert isinstance(error.__cause__, RemoteTraceback)
    assert "in several" in str(error.__cause__)
    assert "in several" in str(first.__cause__)
    matched, rest = error.split(ValueError)
    assert (len(matched.exceptions), len(rest.exceptions)) == (2, 2)


@groups
def test_a_group_too_large_to_travel_still_tells_what_it_was(queue: Queue, address: Address) -> None:
    error = raised(queue, address, Troubled.many)
    assert "many" in str(error)
    assert "485 more exceptions" in str(error.__cause__)


@groups
def test_a_group_with_what_would_end_the_caller_is_a_remote_error(queue: Queue, address: Address) -> None:
    error: Any = raised(queue, address, Troubled.ending)
    assert type(error) is RemoteError
    assert error.type_name == "builtins.BaseExceptionGroup"


def test_every_error_has_the_note_of_its_worker(queue: Queue, address: Address) -> None:
    error: Any = raised(queue, address, Kit.boom)
    (note,) = error.__notes__
    assert note.startswith("worker worker")
    assert ", attempt 1, job 0" in note
    if sys.version_info < (3, 11):
        assert note in str(error.__cause__)


# -- who can write to Redis must not be able to run code in a caller

EVIL = Path("/tmp") / f"pullet-was-here-{os.getpid()}"


class Bomb:
    """Unpickled, it makes a file."""

    def __reduce__(self) -> tuple[Any, ...]:
        return EVIL.touch, ()


def failure(type_name: str, *args: Any, **more: Any) -> bytes:
    fields = {"type_name": type_name, "text": "t", "args": list(args), "traceback": "", "kind": "raised"}
    return b"error 1 w 1\n" + encode({**fields, **more})


def nest(depth: int) -> dict[str, Any]:
    fields = {"type_name": "builtins.ExceptionGroup", "text": "", "args": ["g"], "traceback": "", "kind": "raised"}
    return fields | ({"members": [nest(depth - 1)]} if depth else {})


BOMB = pickle.dumps(Bomb())
HOSTILE = {
    "a pickle": b"ok 1 w 1\n" + BOMB,
    "a pickle as bytes": b"ok 1 w 1\n" + encode(BOMB),
    "a pickle as an extension": b"ok 1 w 1\n" + msgpack.packb(msgpack.ExtType(1, BOMB)),
    "a pickle in a marked array": b"ok 1 w 1\n" + msgpack.packb([msgpack.ExtType(13, b""), "|O", [1], BOMB]),
    "an object array": b"ok 1 w 1\n" + msgpack.packb([msgpack.ExtType(13, b""), "O", [1], b"x" * 8]),
    "a function for an error": failure("os.system", f"touch {EVIL}"),
    "a builtin function for an error": failure("builtins.eval", f"__import__('pathlib').Path({str(EVIL)!r}).touch()"),
    "a module that is not loaded": failure("antigravity.Error", "x"),
    "a class of a loaded module": failure("subprocess.Popen", ["touch", str(EVIL)]),
    "a pickle for the args": failure("builtins.ValueError", BOMB),
    "a group of functions": failure("builtins.ExceptionGroup", "g", members=[nest(0) | {"type_name": "os.system"}]),
    "a group without end": failure("builtins.ExceptionGroup", "g", members=[nest(100)]),
    "members of no kind": failure("builtins.ExceptionGroup", "g", members=7),
    "a kind by name": failure("builtins.ValueError", "x", kind="os.system"),
    "dunder names": failure("builtins.ValueError.__class__.__base__", "x"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_nothing_from_the_wire_is_imported_unpickled_or_called(
    queue: Queue, address: Address, link: Link, what: str
) -> None:
    """A stranger writes the reply of a job, and its inbox entry, as a worker would."""
    with calling(queue, address) as client:
        future = client.submit(Kit.echo, 1)
        assert client.flush(10)
        loaded = set(sys.modules)
        link.execute("SET", queue.keys.reply(future.job_id), HOSTILE[what], "PX", 60_000)
        (inbox,) = link.execute("KEYS", queue.keys.inbox("*").replace("{", "\\{"))
        link.execute("XADD", inbox, "*", future.job_id, HOSTILE[what])
        try:
            value = future.result(10)
        except Exception as error:
            value = error
    assert not EVIL.exists()
    assert "antigravity" not in sys.modules
    assert set(sys.modules) - loaded <= {"numpy"} | {name for name in sys.modules if name.startswith("numpy.")}
    assert isinstance(value, (bytes, RemoteError, DecodeError, ValueError, Exception))
    assert type(value).__module__.split(".")[0] in ("builtins", "pullet_broker")
    EVIL.unlink(missing_ok=True)
