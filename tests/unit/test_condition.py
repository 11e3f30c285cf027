"""The condition of a future: as `threading.Condition`, as far as `concurrent.futures` uses it."""

from __future__ import annotations

import threading
from collections.abc import Callable

from pullet.condition import Condition
from tests.support.leaks import wait_until


def in_threads(count: int, work: Callable[[], object]) -> list[threading.Thread]:
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    return threads


def test_all_who_wait_are_told_and_nobody_else_later() -> None:
    condition, told = Condition(), list[bool]()

    def wait() -> None:
        with condition:
            told.append(condition.wait(30))

    threads = in_threads(5, wait)
    assert wait_until(lambda: len(condition.blocked or ()) == 5)
    with condition:
        condition.notify_all()
    for thread in threads:
        thread.join(30)
    assert told == [True] * 5
    with condition:
        assert condition.wait(0) is False


def test_who_waited_in_vain_leaves_nothing_behind() -> None:
    condition = Condition()
    with condition:
        assert condition.wait(0.001) is False
        assert not condition.blocked
        condition.notify_all()


def test_it_waits_without_the_lock_however_often_that_is_held() -> None:
    condition, seen = Condition(), list[str]()

    def tell() -> None:
        with condition:
            seen.append("told")
            condition.notify_all()

    with condition, condition:
        thread = threading.Thread(target=tell)
        thread.start()
        assert condition.wait(30) is True
        seen.append("woke")
        thread.join(0)
    thread.join(30)
    assert seen == ["told", "woke"]


def test_it_excludes_others_as_a_lock_does() -> None:
    condition, counts = Condition(), [0]

    def count() -> None:
        for _ in range(2000):
            with condition:
                counts[0] += 1

    for thread in in_threads(4, count):
        thread.join(30)
    assert counts == [8000]
