"""The outbox: numbers, batches, and what each answer of the server means for the jobs on their way."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from pullet.future import Future
from pullet.outbox import KEPT_S, Batch, Outbox, Pending
from pullet_broker.job import Job
from pullet_broker.moves.submit import EMPTY, Answer, Submitted
from pullet_broker.settings import Limits

LIMITS = Limits(batch_jobs=3, batch_bytes=1000)
NOW = 1000.0


def pending(name: str, size: int = 0) -> Pending:
    """A job; one with a capital letter waits for room."""
    return Pending(Job(name, "m", b"x" * size), Future(name, lambda job: None), waits=name.isupper())


def outbox(*names: str) -> tuple[Outbox, list[Pending]]:
    """An outbox into which these jobs were put."""
    made, items = Outbox(LIMITS), [pending(name) for name in names]
    for item in items:
        made.put(item)
    return made, items


def send(box: Outbox) -> list[Batch]:
    """Everything that may be sent now."""
    batches = []
    while (batch := box.next_batch()) is not None:
        batches.append(batch)
    return batches


def answer(kind: Answer, mark: int) -> Submitted:
    return Submitted(kind, mark, new_inbox=False, backlog=0, limit=0)


def names(items: Iterable[Pending]) -> str:
    return "".join(item.job.id for item in items)


def reconnect(box: Outbox, mark: int) -> tuple[int, int] | None:
    """The answers on their way are lost; a new connection learns the mark."""
    return box.resume(mark, NOW)


def numbered(batches: Iterable[Batch]) -> dict[int, str]:
    return {item.number: item.job.id for batch in batches for item in batch.items}


def test_jobs_are_numbered_from_1_in_the_order_of_their_sending() -> None:
    box, items = outbox(*"abcd")
    assert [item.number for item in items] == [0, 0, 0, 0]

    assert numbered(send(box)) == {1: "a", 2: "b", 3: "c", 4: "d"}
    box.put(pending("e"))
    assert box.next_number == 5
    assert numbered(send(box)) == {5: "e"}


def test_a_batch_is_bounded_by_jobs() -> None:
    box, _ = outbox(*"abcdefg")
    assert [names(batch.items) for batch in send(box)] == ["abc", "def", "g"]


def test_a_batch_is_bounded_by_bytes() -> None:
    box = Outbox(LIMITS)
    for name in "abcd":
        box.put(pending(name, size=380))
    assert [names(batch.items) for batch in send(box)] == ["ab", "cd"]


def test_a_job_over_the_bound_goes_alone() -> None:
    box = Outbox(LIMITS)
    for name, size in (("a", 0), ("b", 5000), ("c", 0)):
        box.put(pending(name, size))
    assert [names(batch.items) for batch in send(box)] == ["a", "b", "c"]


def test_size_counts_the_bytes_that_wait_for_their_first_sending() -> None:
    box, items = outbox(*"abcd")
    assert box.size == sum(item.job.size for item in items)

    box.next_batch()
    assert (box.size, box.waiting) == (items[3].job.size, 1)
    send(box)
    assert (box.size, box.waiting) == (0, 0)


def test_accepted_jobs_leave_and_their_futures_know() -> None:
    box, items = outbox(*"abcd")
    send(box)
    assert (len(box), len(box.flying)) == (4, 2)

    box.answered(answer(Answer.OK, 3), NOW)
    assert [item.future.accepted for item in items] == [True, True, True, False]
    assert len(box) == 1
    box.answered(answer(Answer.OK, 4), NOW)
    assert (len(box), len(box.flying)) == (0, 0)


def test_after_a_gap_nothing_is_sent_until_all_refusals_are_in() -> None:
    box, _ = outbox(*"abcdefg")
    send(box)
    box.put(pending("h"))

    for _ in range(2):
        assert box.answered(answer(Answer.GAP, 0), NOW).forgotten is None
        assert box.next_batch() is None
    box.answered(answer(Answer.GAP, 0), NOW)

    again = send(box)
    assert numbered(again) == dict(enumerate("abcdefgh", 1)), "the same numbers, the new job last"
    assert [batch.first for batch in again] == [1, 4, 7]


def test_after_a_gap_only_what_is_above_the_mark_is_sent_again() -> None:
    box, _ = outbox(*"abcdefg")
    send(box)

    box.answered(answer(Answer.OK, 3), NOW)
    for _ in range(2):
        box.answered(answer(Answer.GAP, 3), NOW)

    assert numbered(send(box)) == {4: "d", 5: "e", 6: "f", 7: "g"}


def test_a_full_queue_rejects_what_it_did_not_take_and_closes_the_ranks() -> None:
    box, items = outbox(*"abcdefg")
    send(box)

    verdict = box.answered(answer(Answer.FULL, 1), NOW)
    assert names(verdict.rejected) == "bc"
    assert items[0].future.accepted
    for _ in range(2):
        verdict = box.answered(answer(Answer.GAP, 1), NOW)
        assert not verdict.rejected

    assert numbered(send(box)) == {2: "d", 3: "e", 4: "f", 5: "g"}


@pytest.mark.parametrize("kind", [Answer.GAP, Answer.STALE])
def test_only_a_full_queue_changes_numbers(kind: Answer) -> None:
    box, items = outbox(*"abcdef")
    send(box)

    box.answered(answer(Answer.OK, 3), NOW)
    box.answered(answer(kind, 2), NOW)

    send(box)
    assert [item.number for item in items] == [1, 2, 3, 4, 5, 6]


def test_a_full_queue_has_forgotten_nothing() -> None:
    box, _ = outbox(*"ab")
    send(box)

    verdict = box.answered(answer(Answer.FULL, 0), NOW)

    assert names(verdict.rejected) == "ab"
    assert verdict.forgotten is None
    box.put(pending("c"))
    assert numbered(send(box)) == {1: "c"}


def test_a_full_queue_has_forgotten_nothing_that_is_no_longer_kept() -> None:
    box, _ = outbox(*"abc")
    send(box)
    box.answered(answer(Answer.OK, 3), NOW)
    for name in "defghi":
        box.put(pending(name))
    send(box)

    verdict = box.answered(answer(Answer.FULL, 3), NOW + KEPT_S + 1)
    assert names(verdict.rejected) == "def"
    verdict = box.answered(answer(Answer.GAP, 3), NOW + KEPT_S + 1)

    assert verdict.forgotten is None
    assert numbered(send(box)) == {4: "g", 5: "h", 6: "i"}


def test_after_a_reconnect_the_mark_tells_what_was_accepted() -> None:
    box, items = outbox(*"abcd")
    send(box)

    assert reconnect(box, 3) is None

    assert numbered(send(box)) == {4: "d"}
    assert [item.future.accepted for item in items] == [True, True, True, False]


def test_jobs_whose_answer_was_lost_are_let_go_of_like_all_others() -> None:
    box, _ = outbox(*"ab")
    send(box)
    reconnect(box, 2)
    for name in "cd":
        box.put(pending(name))
    send(box)
    box.answered(answer(Answer.OK, 4), NOW)
    box.put(pending("e"))
    send(box)
    box.answered(answer(Answer.OK, 5), NOW + KEPT_S + 1)

    assert reconnect(box, 0) == (1, 4), "nothing but e is kept"


def test_what_the_server_forgot_is_sent_again_while_it_is_kept() -> None:
    box, items = outbox(*"abc")
    send(box)
    box.answered(answer(Answer.OK, 3), NOW)
    box.put(pending("d"))
    send(box)

    assert box.answered(answer(Answer.GAP, 1), NOW + KEPT_S - 0.1).forgotten is None

    assert numbered(send(box)) == {2: "b", 3: "c", 4: "d"}
    box.answered(answer(Answer.OK, 4), NOW + KEPT_S)
    assert all(item.future.accepted for item in items)


def test_a_job_that_has_its_answer_is_sent_again_as_an_empty_place() -> None:
    box, items = outbox(*"abc")
    send(box)
    box.answered(answer(Answer.OK, 3), NOW)
    items[1].future.set_result(None)

    reconnect(box, 0)

    (batch,) = send(box)
    assert batch.jobs == [items[0].job, EMPTY, items[2].job]
    assert [item.number for item in batch.items] == [1, 2, 3]


def test_what_is_forgotten_and_not_kept_is_named_and_the_rest_starts_anew() -> None:
    box, items = outbox(*"abc")
    send(box)
    box.answered(answer(Answer.OK, 3), NOW)
    later = [pending(name) for name in "def"]
    for item in later:
        box.put(item)
    send(box)
    box.answered(answer(Answer.OK, 6), NOW + KEPT_S + 1)
    later[1].future.set_result(None)
    box.put(pending("g"))

    assert reconnect(box, 1) == (2, 3)
    assert [item.number for item in items] == [1, 2, 3], "so that the caller can tell which were lost"
    box.renew()

    assert box.next_number == 1
    assert box.size == sum(item.job.size for item in (later[0], later[2], pending("g")))
    assert numbered(send(box)) == {1: "d", 2: "f", 3: "g"}
    assert box.size == 0


def test_a_job_can_be_withdrawn_until_it_was_sent() -> None:
    box, _ = outbox(*"abcde")
    box.next_batch()

    assert not box.withdraw("a")
    assert box.withdraw("d")
    assert not box.withdraw("d")

    assert numbered(send(box)) == {4: "e"}
    assert box.size == 0


def test_a_job_that_is_to_be_sent_again_can_be_withdrawn() -> None:
    """Whoever cancels it would be there first: the server would meet the cancel before the job."""
    box, _ = outbox(*"abc")
    send(box)
    reconnect(box, mark=1)

    assert not box.withdraw("a"), "the server has it"
    assert box.withdraw("b")
    assert not box.withdraw("b")
    assert numbered(send(box)) == {2: "", 3: "c"}, "its number is taken"
    assert not box.withdraw("c")


def test_abandon_returns_what_was_never_accepted_and_the_outbox_can_be_used_again() -> None:
    box, _ = outbox(*"abcdefg")
    box.next_batch()
    box.next_batch()
    box.answered(answer(Answer.OK, 3), NOW)

    assert names(box.abandon()) == "defg"
    assert (len(box), box.size, len(box.flying), box.waiting) == (0, 0, 0, 0)

    box.put(pending("h"))
    assert reconnect(box, 3) is None, "the server has forgotten nothing"
    assert numbered(send(box)) == {4: "h"}


def test_a_job_that_waits_is_held_by_a_full_queue_and_offered_alone() -> None:
    box, items = outbox(*"aBcDE")
    send(box)
    verdict = box.answered(answer(Answer.FULL, 0), NOW)
    assert names(verdict.rejected) == "ac"
    box.answered(answer(Answer.GAP, 0), NOW)
    assert (box.stuck, len(box), box.waiting, len(box.flying)) == (3, 3, 3, 0)
    assert box.size == sum(item.job.size for item in items if item.waits)
    assert box.next_batch() is None

    probe = box.probe()
    assert probe is not None
    assert numbered([probe]) == {1: "B"}
    assert box.probe() is None, "one at a time"
    box.answered(answer(Answer.FULL, 0), NOW)
    assert (box.stuck, numbered([box.probe()])) == (3, {1: "B"})  # type: ignore[list-item]
    box.answered(answer(Answer.OK, 1), NOW)
    assert box.stuck == 0
    assert numbered(send(box)) == {2: "D", 3: "E"}


def test_who_does_not_wait_goes_past_those_that_are_held() -> None:
    box, _ = outbox("A")
    send(box)
    box.answered(answer(Answer.FULL, 0), NOW)
    for name in "bCd":
        box.put(pending(name))
    assert numbered(send(box)) == {1: "b", 2: "d"}
    assert box.stuck == 2
    assert names(box.answered(answer(Answer.FULL, 1), NOW).rejected) == "d"
    assert box.stuck == 2, "the last answer was that the queue is full"


def test_where_one_is_accepted_those_that_are_held_come_first() -> None:
    box, _ = outbox("A")
    send(box)
    box.answered(answer(Answer.FULL, 0), NOW)
    box.put(pending("b"))
    send(box)
    box.answered(answer(Answer.OK, 1), NOW)
    box.put(pending("c"))
    assert numbered(send(box)) == {2: "A", 3: "c"}


def test_a_job_that_is_held_can_be_withdrawn_or_end() -> None:
    box, items = outbox(*"AB")
    send(box)
    items[0].future.set_result(None)
    box.answered(answer(Answer.FULL, 0), NOW)
    assert box.stuck == 1, "a job that was cancelled on its way is not held"
    assert box.withdraw("B")
    assert (box.stuck, len(box), box.size) == (0, 0, 0)
    assert box.probe() is None


def test_a_probe_whose_answer_was_lost_is_held_again() -> None:
    box, _ = outbox(*"AB")
    send(box)
    box.answered(answer(Answer.FULL, 0), NOW)
    assert box.probe()
    reconnect(box, mark=0)
    assert (box.stuck, numbered([box.probe()])) == (2, {1: "A"})  # type: ignore[list-item]


def test_a_probe_that_was_accepted_before_its_answer_was_lost_is_not_sent_again() -> None:
    box, items = outbox(*"AB")
    send(box)
    box.answered(answer(Answer.FULL, 0), NOW)
    assert box.probe()
    reconnect(box, mark=1)
    assert items[0].future.accepted
    assert (box.stuck, numbered([box.probe()])) == (1, {2: "B"})  # type: ignore[list-item]


def test_held_jobs_are_abandoned_like_others_and_may_be_held_again() -> None:
    box, _ = outbox(*"AbC")
    send(box)
    box.answered(answer(Answer.FULL, 0), NOW)
    left = box.abandon()
    assert (names(left), box.stuck, box.size) == ("AC", 0, 0)
    box.hold(left)
    assert (box.stuck, box.size) == (2, sum(item.job.size for item in left))


def test_a_full_server_ends_what_was_never_sent_and_nothing_else() -> None:
    box, items = outbox(*"abCdE")
    box.next_batch()
    assert names(box.refuse()) == "d"
    assert (names(box.doubtful), box.stuck, len(box), len(box.flying)) == ("abC", 1, 4, 0)
    assert box.size == items[4].job.size

    assert box.refuse() == []
    assert reconnect(box, mark=2) is None
    assert [item.future.accepted for item in items] == [True, True, False, False, False]
    assert (names(box.doubtful), box.stuck) == ("", 2)
    assert numbered([box.probe()]) == {3: "C"}  # type: ignore[list-item]


def test_a_full_server_ends_what_it_surely_has_not() -> None:
    box, items = outbox(*"abC")
    send(box)
    reconnect(box, mark=1)
    assert box.doubtful == [], "they are to be sent again"
    box.put(pending("d"))
    assert names(box.refuse()) == "bd"
    assert (box.next_number, box.stuck, box.size) == (2, 1, items[2].job.size)
    assert reconnect(box, mark=1) is None
    assert numbered([box.probe()]) == {2: "C"}  # type: ignore[list-item]


def test_a_new_identity_sends_held_jobs_anew() -> None:
    box, _ = outbox(*"ABc")
    send(box)
    box.answered(answer(Answer.FULL, 0), NOW)
    box.put(pending("d"))
    box.renew()
    assert numbered(send(box)) == {1: "A", 2: "B", 3: "d"}


def test_hasty_jobs_go_when_the_server_is_away_and_the_others_stay() -> None:
    made, items = outbox("a", "b", "c", "d", "e", "f")
    for item in items[::2]:
        item.hasty = True
    assert made.next_batch() is not None  # a, b, c are sent
    made.answered(Submitted(Answer.OK, 1, False, 1, 10), NOW)  # a is accepted
    size = made.size

    unsent, sent = made.shed()

    assert ([item.job.id for item in unsent], [item.job.id for item in sent]) == (["e"], ["c"])
    assert made.size == size - items[4].job.size
    for item in unsent + sent:
        item.future.set_exception(ConnectionError())
    assert made.shed() == ([], [])
    made.resume(1, NOW)
    batch = made.next_batch()
    assert batch is not None
    assert [job.id for job in batch.jobs] == ["b", "", "d"], "what was sent keeps its number, empty"


def test_what_has_its_outcome_keeps_its_number_and_nothing_else() -> None:
    box, (_, item, _) = outbox(*"abc")
    send(box)
    future = item.settle()
    assert (future.job_id, item.job, item.number) == ("b", EMPTY, 2)
    reconnect(box, 0)
    assert [names(batch.items) for batch in send(box)] == ["ac"]
    assert item.number == 2


def test_there_is_work_while_something_is_to_be_sent() -> None:
    box, _ = outbox("a", "B")
    assert box.has_unsent
    send(box)
    assert not box.has_unsent, "an answer is to come"
    box.answered(answer(Answer.FULL, 0), NOW)
    assert not box.has_unsent, "what is held waits for room"
    assert box.stuck == 1
    box.put(pending("c"))
    assert box.has_unsent
