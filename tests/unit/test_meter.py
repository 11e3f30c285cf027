"""The progress bar of `map`: tqdm's, else rich's, else a plain line on a terminal, else none."""

from __future__ import annotations

import io
import sys
import types
from typing import Any, ClassVar

import pytest

from pullet.future import Future
from pullet.meter import NO_METER, LineMeter, RichMeter, meter
from pullet.results import Results


def answered(item: int) -> Future[int]:
    future: Future[int] = Future(str(item), lambda job: None)
    future.set_result(item)
    return future


def results(items: Any = range(5)) -> Results[int]:
    return Results(answered, items, window=2, ordered=True, return_exceptions=False)


class Bar:
    """What tqdm would be."""

    made: ClassVar[list[Bar]] = []

    def __init__(self, total: int | None, desc: str | None) -> None:
        self.total, self.desc, self.count, self.closed = total, desc, 0, False
        self.made.append(self)

    def update(self) -> None:
        self.count += 1

    def close(self) -> None:
        self.closed = True


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither tqdm nor rich can be imported."""
    for name in ("tqdm", "tqdm.auto", "rich", "rich.console", "rich.progress"):
        monkeypatch.setitem(sys.modules, name, None)


def test_tqdm_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    module: Any = types.ModuleType("tqdm.auto")
    module.tqdm = Bar
    monkeypatch.setitem(sys.modules, "tqdm", types.ModuleType("tqdm"))
    monkeypatch.setitem(sys.modules, "tqdm.auto", module)
    found = results()
    found.show_progress("eval")
    assert list(found) == [0, 1, 2, 3, 4]
    bar = Bar.made.pop()
    assert (bar.total, bar.desc, bar.count, bar.closed) == (5, "eval", 5, True)


def test_a_bar_is_closed_when_the_loop_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    module: Any = types.ModuleType("tqdm.auto")
    module.tqdm = Bar
    monkeypatch.setitem(sys.modules, "tqdm", types.ModuleType("tqdm"))
    monkeypatch.setitem(sys.modules, "tqdm.auto", module)
    found = results(iter(range(5)))
    found.show_progress()
    for _ in found:
        break
    bar = Bar.made.pop()
    assert (bar.total, bar.count, bar.closed) == (None, 1, True)


def test_then_rich(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("rich")
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    found = results()
    found.show_progress("eval")
    assert isinstance(found._meter, RichMeter)
    assert list(found) == [0, 1, 2, 3, 4]
    assert "5/5" in screen.getvalue()


@pytest.mark.usefixtures("bare")
def test_then_a_line_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    found = results()
    found.show_progress("eval")
    assert isinstance(found._meter, LineMeter)
    assert list(found) == [0, 1, 2, 3, 4]
    assert screen.getvalue().endswith("\reval 5 of 5\n")


@pytest.mark.usefixtures("bare")
def test_nothing_is_written_into_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert meter(3, "eval") is NO_METER
    monkeypatch.setattr(sys, "stderr", None)
    assert meter(3, "eval") is NO_METER


def test_the_repr_says_how_far_it_is() -> None:
    found = results()
    assert repr(found) == "<pullet.Results: 0 of 5 yielded, 2 in flight>"
    list(found)
    assert repr(found) == "<pullet.Results: 5 of 5 yielded, 0 in flight>"
    assert "of ?" in repr(results(iter([])))
