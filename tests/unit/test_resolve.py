"""From a committed reply to a resolved future: every outcome, errors as themselves, and nothing that runs code."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pullet.future import Future
from pullet.resolve import RemoteTraceback, _registered, register_error, resolve
from pullet_broker.codec import encode
from pullet_broker.errors import (
    EncodeError,
    JobExpired,
    JobUnreadable,
    RemoteError,
    TooLarge,
    UnknownMethod,
    WorkerLost,
)
from pullet_broker.reply import Failure, pack_failure, pack_reply
from pullet_broker.settings import Limits, Queue

QUEUE = Queue(name="q", limits=Limits(result_bytes=1000))


def resolved(raw: bytes) -> Future[Any]:
    future: Future[Any] = Future("01job", lambda job: None)
    resolve(future, raw, QUEUE)
    assert future.done()
    return future


def raised(raw: bytes) -> BaseException:
    error = resolved(raw).exception(0)
    assert error is not None
    return error


def failed(type_name: str, *args: Any, text: str = "text", traceback: str = "", kind: str = "raised") -> bytes:
    return pack_reply("error", 2, "gpu-3", 7, pack_failure(Failure(type_name, text, list(args), traceback, kind)))


def test_a_value_arrives_with_its_story() -> None:
    future = resolved(pack_reply("ok", 3, "gpu-3", 1500, encode({"cp": 12})))
    assert future.result(0) == {"cp": 12}
    assert (future.attempts, future.worker, future.run_s) == (3, "gpu-3", 0.0015)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="there every object has a dict of its own")
def test_a_future_with_an_outcome_has_no_dict_for_the_garbage_collector_to_look_at() -> None:
    futures: list[Future[Any]] = [Future("01job", lambda job: None) for _ in range(200)]
    for future in futures:
        resolve(future, pack_reply("ok", 1, "gpu-3", 1500, encode(7)), QUEUE)
        assert future.result(0) == 7
        assert not [one for one in gc.get_referents(future) if type(one) is dict and "job_id" in one]


def test_a_builtin_exception_arrives_as_itself_with_cause_and_note() -> None:
    error = raised(failed("builtins.KeyError", "fen", 3, traceback='File "chess.py", line 3\nKeyError'))

    assert type(error) is KeyError
    assert error.args == ("fen", 3)
    assert isinstance(error.__cause__, RemoteTraceback)
    assert 'File "chess.py", line 3' in str(error.__cause__)
    if sys.version_info >= (3, 11):
        assert error.__notes__ == ["worker gpu-3, attempt 2, job 01job"]


def test_a_registered_class_arrives_as_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pullet.resolve._registered", {**_registered})

    @register_error
    class IllegalMove(Exception):
        pass

    name = f"{IllegalMove.__module__}.{IllegalMove.__qualname__}"
    error = raised(failed(name, "e2e5"))
    assert type(error) is IllegalMove
    assert error.args == ("e2e5",)


def test_a_registered_class_that_cannot_be_built_arrives_as_remote_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pullet.resolve._registered", {**_registered})

    @register_error
    class Picky(Exception):
        def __init__(self, number: int) -> None:
            super().__init__(f"number {int(number)}")

    name = f"{Picky.__module__}.{Picky.__qualname__}"
    error = raised(failed(name, "number seven", text="number seven"))
    assert type(error) is RemoteError
    assert "number seven" in str(error)


def test_any_other_class_arrives_as_remote_error() -> None:
    error = raised(failed("chess.IllegalMove", "e2e5", text="e2e5", traceback="the traceback"))

    assert type(error) is RemoteError
    assert str(error) == "chess.IllegalMove: e2e5"
    assert (error.type_name, error.traceback) == ("chess.IllegalMove", "the traceback")
    assert isinstance(error.__cause__, RemoteTraceback)


@pytest.mark.parametrize("name", ["SystemExit", "KeyboardInterrupt", "GeneratorExit", "BaseException"])
def test_what_would_end_the_caller_is_never_raised_as_itself(name: str) -> None:
    error = raised(failed(f"builtins.{name}", 1))
    assert type(error) is RemoteError
    assert error.type_name == f"builtins.{name}"


@pytest.mark.parametrize(
    "name",
    ["os.system", "builtins.eval", "builtins.exec", "builtins.print", "builtins.object", "builtins.os.system", ""],
)
def test_nothing_but_an_exception_is_ever_called(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert type(raised(failed(name, "print('run')"))) is RemoteError
    assert capsys.readouterr().out == ""


def test_no_module_is_imported_by_name() -> None:
    unused = "xml.dom.pulldom"
    assert unused not in sys.modules
    before = set(sys.modules)

    assert type(raised(failed(f"{unused}.PullDOM"))) is RemoteError
    assert type(raised(failed("antigravity.Error"))) is RemoteError

    assert set(sys.modules) == before


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("ExceptionGroup", ["several", []]),
        ("ExceptionGroup", ["several", ["text"]]),
        ("UnicodeDecodeError", ["only text"]),
        ("FileNotFoundError", [2, "No such file", "a"]),
        ("StopIteration", [1]),
    ],
)
def test_builtins_with_arguments_of_their_own_arrive_somehow(name: str, args: list[Any]) -> None:
    error = raised(failed(f"builtins.{name}", *args))
    assert name in (type(error).__name__, getattr(error, "type_name", "").removeprefix("builtins."))


@pytest.mark.parametrize("name", ["StopIteration", "StopAsyncIteration"])
def test_whatever_was_raised_an_awaiting_task_ends(name: str) -> None:
    async def story() -> BaseException | None:
        future: Future[Any] = Future("01job", lambda job: None)
        waiting = asyncio.ensure_future(_outcome(future))
        await asyncio.sleep(0)
        resolve(future, failed(f"builtins.{name}", 1), QUEUE)
        return await asyncio.wait_for(waiting, 2)

    assert isinstance(asyncio.run(story()), Exception)


async def _outcome(future: Future[Any]) -> BaseException | None:
    try:
        await future
    except Exception as error:
        return error
    return None


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("method", UnknownMethod),
        ("unreadable", JobUnreadable),
        ("too_large", TooLarge),
        ("unencodable", EncodeError),
    ],
)
def test_what_the_worker_states_is_an_error_of_pullet(kind: str, expected: type[Exception]) -> None:
    error = raised(failed("pullet.JobError", text="no such method", kind=kind))
    assert type(error) is expected
    assert str(error) == "no such method"


def test_words_of_the_scripts_become_their_outcomes() -> None:
    assert resolved(b"cancelled 1 - 0\n").cancelled()
    assert type(raised(b"expired 1 - 0\n")) is JobExpired
    lost = raised(b"crashed 3 gpu-3 0\n")
    assert type(lost) is WorkerLost
    assert (lost.job, lost.attempts, lost.worker) == ("01job", 3, "gpu-3")


def test_an_outcome_of_a_later_release_says_so() -> None:
    assert "'postponed'" in str(raised(b"postponed 1 - 0\n"))


def test_a_result_over_the_limit_is_refused() -> None:
    assert type(raised(pack_reply("ok", 1, "w", 1, encode(b"x" * 2000)))) is TooLarge


def test_a_future_that_was_cancelled_stays_cancelled() -> None:
    future: Future[Any] = Future("01job", lambda job: None)
    future.cancel()
    for raw in (pack_reply("ok", 1, "w", 1, encode(1)), failed("builtins.ValueError"), b"cancelled 1 - 0\n"):
        resolve(future, raw, QUEUE)
    with pytest.raises(concurrent.futures.CancelledError):
        future.result(0)


def hostile(**fields: Any) -> bytes:
    plain = {"type_name": "a.B", "text": "", "args": [], "traceback": "", "kind": "raised"}
    return pack_reply("error", 1, "w", 1, encode({**plain, **fields}))


GARBAGE = {
    "nothing": b"",
    "no head": b"\n",
    "a word": b"ok",
    "no payload": b"ok 1 w 1",
    "three words": b"ok 1 w\n\x01",
    "no number": b"ok one w 1\n\x01",
    "no text": b"\xff 1 w 1\n\x01",
    "ages of run time": b"ok 1 w " + b"9" * 400 + b"\n\x01",
    "no value": b"ok 1 w 1\n",
    "never used byte": b"ok 1 w 1\n\xc1",
    "no failure": b"error 1 w 1\n",
    "a number as failure": b"error 1 w 1\n\x01",
    "an empty failure": b"error 1 w 1\n\x80",
    "kind is a list": hostile(kind=[1]),
    "kind is None": hostile(kind=None),
    "type is None": hostile(type_name=None),
    "type is a list": hostile(type_name=[1]),
    "args are None": hostile(type_name="builtins.ValueError", args=None),
    "args are a number": hostile(type_name="builtins.ValueError", args=7),
    "texts are something else": hostile(text=None, traceback=[1]),
    "one field more": hostile(more=1),
}


@pytest.mark.parametrize("what", GARBAGE)
def test_garbage_becomes_an_error_and_harms_nobody(what: str) -> None:
    assert isinstance(raised(GARBAGE[what]), Exception)


@given(st.binary(max_size=200) | st.binary(max_size=200).map(lambda tail: b"error 1 w 1\n" + tail))
def test_no_bytes_keep_a_future_from_its_end(raw: bytes) -> None:
    resolved(raw)
