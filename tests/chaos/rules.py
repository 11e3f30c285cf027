"""The rules that keep the holes H1-H23 of docs/promises.md closed: how to take one out, and which tests see it."""

from __future__ import annotations

from dataclasses import dataclass

from tests.chaos.patch import Patch

SCRIPTS = "broker/pullet_broker/scripts"
LAG = "(function() local g = redis.call('XINFO', 'GROUPS', lane)[1]; return tonumber(g and field(g, 'lag') or 0) end)()"


@dataclass(frozen=True)
class Rule:
    hole: str
    says: str
    patch: Patch
    tests: tuple[str, ...]
    """Files below `tests`, with the names of tests. At least one of them fails without the rule."""


def _rule(hole: str, says: str, file: str, change: tuple[str, str], *tests: str) -> Rule:
    return Rule(hole, says, Patch(file, (change,)), tests)


RULES = (
    _rule(
        "H1",
        "beats are written on a full server",
        f"{SCRIPTS}/beat.lua",
        ("-- OOM      allow\n", ""),
        "protocol/test_full_server.py",
    ),
    _rule(
        "H2",
        "who is not registered takes nothing",
        f"{SCRIPTS}/cycle.lua",
        ("if redis.call('HEXISTS', key.workers, arg.consumer) == 0 then\n", "if false then\n"),
        "protocol/test_take.py::test_a_stranger_takes_nothing_but_commits_what_it_holds",
    ),
    _rule(
        "H2",
        "ticks look at every consumer that holds something",
        f"{SCRIPTS}/beat.lua",
        ("    if not registered[row[1]] then registered[row[1]] = 2 end\n", ""),
        "protocol/test_ticks.py::test_an_unknown_consumer_that_holds_something_is_dead_after_two_looks",
    ),
    _rule(
        "H3",
        "what is pending and not held is adopted",
        f"{SCRIPTS}/reconcile.lua",
        ("if flat then adopted[#adopted + 1] = {number, row[1], flat} else", "if not flat then"),
        "protocol/test_reap.py::test_a_lost_answer_is_adopted_and_run",
    ),
    _rule(
        "H4",
        "who compares holds the right to take",
        "workers/pullet_workers/exchange.py",
        ("self._right = threading.Lock()", "self._right = threading.Semaphore(9)"),
        "workers/test_races.py::test_what_is_being_fetched_is_not_taken_for_stranded",
    ),
    _rule(
        "H5",
        "numbers above the next one are a gap",
        f"{SCRIPTS}/submit.lua",
        ("if count > 0 and first > mark + 1 then\n", "if false then\n"),
        "protocol/test_submit.py::test_numbers_above_the_next_one_are_a_gap_and_store_nothing",
    ),
    _rule(
        "H6",
        "accepted jobs are kept for a while, and sent again",
        "client/pullet/outbox.py",
        ("KEPT_S = 5.0", "KEPT_S = -1.0"),
        "client/test_forgotten.py::test_what_is_still_kept_is_sent_again_in_order",
    ),
    _rule(
        "H7",
        "all arguments are checked before the first write",
        f"{SCRIPTS}/cycle.lua",
        ("  if not (lane_of(ARGV[i]) and", "  if i == rest and not (lane_of(ARGV[i]) and"),
        "protocol/test_cycle.py::test_one_malformed_outcome_changes_nothing_at_all",
    ),
    _rule(
        "H7",
        "an inbox that refuses stops nobody",
        f"{SCRIPTS}/shared/settle.lua",
        ("redis.pcall('XADD', arg.inbox", "redis.call('XADD', arg.inbox"),
        "protocol/test_cycle.py::test_a_broken_inbox_does_not_stop_the_neighbours",
    ),
    _rule(
        "H8",
        "a cancel only asks",
        f"{SCRIPTS}/cancel.lua",
        (
            "-- The tombstone decides;",
            "redis.call('SET', arg.reply .. arg.job, 'cancelled 1 - 0\\n')\n-- The tombstone decides;",
        ),
        "protocol/test_cancel_races.py",
    ),
    _rule(
        "H8",
        "tombstones end after a day",
        f"{SCRIPTS}/beat.lua",
        ("  redis.call('ZREMRANGEBYSCORE', key.cancelled, '-inf', now() - 86400000)\n", ""),
        "protocol/test_ticks.py::test_tombstones_are_dropped_after_a_day",
    ),
    _rule(
        "H8",
        "a cancel that came too late meets no later job",
        f"{SCRIPTS}/submit.lua",
        ("redis.call('ZADD', key.cancelled, 'XX', 0, id)", ""),
        "protocol/test_cancel.py::test_a_cancel_that_came_too_late_does_not_meet_a_later_job_with_the_same_id",
    ),
    _rule(
        "H9",
        "suspects have a lane of their own",
        f"{SCRIPTS}/reap.lua",
        ("  reissue(key.lane[(blame or was_suspect) and 2 or 1], flat", "  reissue(key.lane[1], flat"),
        "protocol/test_take.py::test_a_suspect_is_taken_first_and_alone",
    ),
    _rule(
        "H9",
        "who holds something is given no suspect",
        f"{SCRIPTS}/cycle.lua",
        ("may_take_suspect and arg.alone == '1' and key.lane[2]", "may_take_suspect and key.lane[2]"),
        "protocol/test_take.py::test_a_worker_that_holds_something_is_given_no_suspect",
    ),
    _rule(
        "H10",
        "an idle worker takes one entry a lane",
        "broker/pullet_broker/moves/cycle.py",
        ('consumer, "COUNT", 1, "BLOCK"', 'consumer, "COUNT", 9, "BLOCK"'),
        "protocol/test_take.py::test_a_worker_that_waits_gets_at_most_one_of_each_lane_in_order",
    ),
    _rule(
        "H10",
        "a pause calls those that wait",
        "broker/pullet_broker/moves/pausing.py",
        ('        execute("XADD", stops, "MAXLEN", "~", STOPS_KEPT, "*", "call", 1)\n', ""),
        "workers/test_rest.py::test_a_pause_and_its_end_are_heard_at_once",
    ),
    _rule(
        "H10",
        "a storm ends the read that may bring a suspect",
        "workers/pullet_workers/runner.py",
        ("if beaten.paused or stormy or", "if beaten.paused or"),
        "workers/test_rest.py::test_a_storm_ends_the_read_that_may_bring_a_suspect",
    ),
    _rule(
        "H11",
        "a lease is ticks, of which there is one in a tick's time",
        f"{SCRIPTS}/beat.lua",
        ("if left >= 0 and left <= tonumber(arg.tick_ms) then", "if false then"),
        "protocol/test_ticks.py::test_within_a_tick_time_no_time_passes_for_anybody",
    ),
    _rule(
        "H11",
        "a clock that was set back ends no ticks",
        f"{SCRIPTS}/beat.lua",
        ("if left >= 0 and left <= tonumber(arg.tick_ms) then", "if left >= 0 then"),
        "protocol/test_ticks.py::test_a_clock_that_is_set_back_does_not_end_the_ticks",
    ),
    _rule(
        "H11",
        "who made a tick does not rest",
        "workers/pullet_workers/heart.py",
        ("self._queue.lease.beat_s if beaten.ticked else self.rest.beat_s", "self.rest.beat_s"),
        "workers/test_rest.py::test_who_makes_the_ticks_does_not_rest",
    ),
    _rule(
        "H12",
        "the controller does what a tick finds",
        "workers/pullet_workers/registry.py",
        ("                tend(self._link, self._queue, self._name, beaten)\n", ""),
        "workers/test_controller_end.py::test_it_makes_ticks_while_there_is_no_worker",
    ),
    _rule(
        "H13",
        "the backlog is what is there and not pending",
        f"{SCRIPTS}/survey.lua",
        ("math.max(0, field(stream, 'length') - pending[1])", LAG),
        "protocol/test_survey.py",
    ),
    _rule(
        "H14",
        "large arguments go with their job",
        f"{SCRIPTS}/cycle.lua",
        ("    if traits ~= '' and traits:find('b', 1, true) then redis.call('UNLINK', arg.blob .. job) end\n", ""),
        "protocol/test_cycle.py::test_large_arguments_go_with_the_job",
    ),
    _rule(
        "H14",
        "drafts that no job has use for are deleted",
        f"{SCRIPTS}/submit.lua",
        ("if drafts and #drafts > renamed then", "if false then"),
        "protocol/test_drafts.py",
    ),
    _rule(
        "H14",
        "a draft whose script never comes ends by itself",
        "broker/pullet_broker/drafts.py",
        (', "PX", TTL_MS)', ")"),
        "protocol/test_drafts.py",
    ),
    _rule(
        "H15",
        "an inbox that was made anew is said so",
        f"{SCRIPTS}/submit.lua",
        ("return {status, mark, new_inbox and 1 or 0,", "return {status, mark, 0,"),
        "protocol/test_submit.py::test_a_lost_inbox_is_made_again_and_said_so",
    ),
    _rule(
        "H16",
        "what is no longer pending is dropped after a reconnect",
        "workers/pullet_workers/consumer.py",
        ("        self._hand.drop(held[place] for place in found.lost)\n", ""),
        "workers/test_races.py::test_an_outcome_does_not_end_another_job_under_the_same_entry",
    ),
    _rule(
        "H16",
        "on whichever connection",
        "workers/pullet_workers/exchange.py",
        ("        self._hand.drop(held[place] for place in lost)\n", ""),
        "workers/test_races.py::test_no_second_connection_ends_another_job_under_the_same_entry",
    ),
    _rule(
        "H17",
        "only who holds the entry stores items",
        f"{SCRIPTS}/part.lua",
        ("if pending.err or #pending == 0 then return 'FENCED' end\n", ""),
        "protocol/test_part.py::test_whoever_does_not_hold_the_entry_adds_nothing",
    ),
    _rule(
        "H17",
        "an item is stored once",
        f"{SCRIPTS}/part.lua",
        ("  if index >= known then\n", "  if true then\n"),
        "protocol/test_part.py::test_the_next_attempt_repeats_nothing",
    ),
    _rule(
        "H18",
        "every fourth take begins with high",
        "workers/pullet_workers/exchange.py",
        ("high_first=self._takes % HIGH_EVERY == 0", "high_first=False"),
        "workers/test_races.py::test_urgent_jobs_are_not_starved_by_those_that_were_given_back",
    ),
    _rule(
        "H19",
        "beats end with the runner",
        "workers/pullet_workers/heart.py",
        ("while self._alive() and self._pass_time():", "while self._pass_time():"),
        "workers/test_races.py::test_a_worker_whose_runner_is_gone_stops_beating",
    ),
    _rule(
        "H20",
        "an entry leaves the hand by one atomic step",
        "workers/pullet_workers/hand.py",
        (
            "        try:\n            entry = self._queued.popleft()\n",
            "        try:\n            entry = self._queued[0]\n            threading.Event().wait(1e-6)\n"
            "            with contextlib.suppress(IndexError):\n                self._queued.popleft()\n",
        ),
        "unit/test_hand.py::test_two_threads_agree_on_who_has_an_entry",
    ),
    _rule(
        "H21",
        "a forked child is a client of its own",
        "client/pullet/core.py",
        (
            'jobs are the parent\'s."""\n        self._lock = threading.Lock()\n        self._build()\n',
            'jobs are the parent\'s."""\n        self._lock, same = threading.Lock(), self._sender.client\n'
            "        self._build()\n        self._sender.client = same\n",
        ),
        "client/test_processes.py::test_a_forked_child_is_a_client_of_its_own",
    ),
    _rule(
        "H22",
        "jobs that kill slow the suspects",
        f"{SCRIPTS}/cycle.lua",
        ("may_take_suspect and arg.alone == '1' and key.lane[2]", "arg.alone == '1' and key.lane[2]"),
        "protocol/test_storm.py::test_once_a_suspect_has_killed_one_runs_at_a_time",
    ),
    _rule(
        "H23",
        "who is vouched for is not dead",
        f"{SCRIPTS}/beat.lua",
        ("for i = rest, #ARGV do redis.call('HDEL', key.missed, ARGV[i]) end\n", ""),
        "protocol/test_ticks.py::test_a_worker_that_is_vouched_for_is_not_dead",
    ),
)
