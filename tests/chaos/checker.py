"""Says from history and ledger what went wrong. Pure: no process, no server, no clock.

The arithmetic is that of Jepsen's total queue, and more. Each finding is a list of evidence; an empty one is right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from tests.chaos.accounts import Account, Accounts, Read, keep_accounts
from tests.chaos.forgotten import Forgotten
from tests.chaos.history import Event
from tests.chaos.ledger import Commit, Ledger, Story

MOST_EXTRA = 0.003
"""Executions that faults explain, beyond the first of each job, as a share of the jobs."""
HAND = 5
"""Jobs that a worker has in hand. So many again for each job that kills are no sign of anything, however small the run:
its neighbours may have run, and nobody was told."""
MAX_CRASHES = 3
MEMORY_BYTES = 1 << 20
"""How much more than before there may be in memory after a drain."""

FINDINGS = {
    "lost": "accepted, and without an outcome",
    "hung": "its caller never heard of its outcome",
    "unexpected": "ran, and was never submitted",
    "kept": "was refused by a full server, and is stored or ran",
    "doubled": "has more than one committed outcome",
    "changed": "was read with two different outcomes",
    "false": "was read or committed with what none of its executions gave",
    "revived": "was issued again after its outcome was committed",
    "forgotten": "was accepted or read, and then forgotten by the server",
    "condemned": "is a dead letter, and kills nobody",
    "poison": "kills its workers, and did not end as a dead letter after exactly three",
    "unexplained": "ran again, and no fault had hit the worker that had it",
    "extra": "too many executions beyond the first",
    "stranded": "left on the server after the drain",
    "keys": "left without a TTL",
    "memory": "left in memory",
}


@dataclass(frozen=True)
class Remains:
    """What is on the server when all is over."""

    stranded: dict[str, int] = field(default_factory=dict)
    """What there is of entries, pending entries, parked jobs, and consumers of the dead."""
    keys: list[str] = field(default_factory=list)
    """Keys without a TTL that should have one."""
    memory_bytes: int = 0
    """More than before the run, when all that has a TTL is gone."""


@dataclass
class Verdict:
    jobs: int
    executions: int
    extra: int = 0
    """Executions beyond the first of each job that does not kill its worker."""
    renewed: int = 0
    """Those with a crash of the server between, where it may forget; not among the extra ones."""
    dead_letters: int = 0
    """Jobs of which worker after worker died."""
    unlucky: int = 0
    """Those among them that kill nobody, and had really been started by three workers that faults killed."""
    forgotten: int = 0
    """Jobs that were accepted, and then forgotten by the server. Not wrong where it may forget."""
    wrong: dict[str, list[str]] = field(default_factory=lambda: {finding: [] for finding in FINDINGS})
    """Finding -> evidence."""

    @property
    def is_right(self) -> bool:
        return not any(self.wrong.values())


def check(
    events: list[Event],
    ledger: Ledger,
    remains: Remains,
    crashes: Sequence[Forgotten] = (),
    *,
    durable: bool = True,
    hand: int = HAND,
) -> Verdict:
    """`durable`: the server forgets nothing (`appendfsync always`). `hand`: how many jobs a worker may have in hand."""
    accounts = keep_accounts(events)
    verdict = Verdict(len(accounts.jobs), sum(event.what == "begin" for event in events))
    judge = Judge(accounts, verdict, durable)
    for job, account in accounts.jobs.items():
        judge.look_at(account, ledger.get(job, Story()))
    judge.look_at_strangers(ledger)
    judge.look_at_remains(remains)
    judge.look_at_extra(hand)
    if durable:
        verdict.wrong["forgotten"] += [f"{crash}" for crash in crashes if crash.jobs or crash.replies]
    return verdict


class Judge:
    """Looks at one job after the other."""

    def __init__(self, accounts: Accounts, verdict: Verdict, durable: bool) -> None:
        self._accounts, self._verdict, self._wrong, self._durable = accounts, verdict, verdict.wrong, durable

    def look_at(self, account: Account, story: Story) -> None:
        self._see_its_end(account, story)
        self._see_what_was_read(account, story)
        self._see_its_death(account, story)
        if account.kind != "poison":
            self._see_its_executions(account)

    def look_at_strangers(self, ledger: Ledger) -> None:
        """Jobs whose caller was killed before it could note them are known to the server only."""
        unnoted = [job for job in ledger if job not in self._accounts.jobs]
        self._wrong["lost"] += [f"job {job} has no outcome" for job in unnoted if not ledger[job].commits]
        strangers = set(self._accounts.strangers)
        if len(strangers) > len(unnoted):
            self._wrong["unexpected"] += sorted(strangers)

    def look_at_remains(self, remains: Remains) -> None:
        self._wrong["stranded"] += [f"{count} {what}" for what, count in remains.stranded.items() if count]
        self._wrong["keys"] += remains.keys
        if remains.memory_bytes > MEMORY_BYTES:
            self._wrong["memory"].append(f"{remains.memory_bytes} bytes more than before")

    def look_at_extra(self, hand: int) -> None:
        verdict = self._verdict
        killers = sum(account.kind == "poison" for account in self._accounts.jobs.values())
        if verdict.extra > max(hand * max(1, killers), MOST_EXTRA * verdict.jobs):
            self._wrong["extra"].append(f"{verdict.extra} executions beyond the first of {verdict.jobs} jobs")

    def _see_its_end(self, account: Account, story: Story) -> None:
        if account.accepted and not story.issued:
            self._verdict.forgotten += 1
            if self._durable:
                self._wrong["lost"].append(f"{account.name} was accepted, and the server has never had it")
        if story.issued and not story.commits:
            self._wrong["lost"].append(f"{account.name} has no outcome")
        if account.refused and (story.issued or account.executions):
            self._wrong["kept"].append(f"{account.name} ({account.kind}): issued {story.issued} times")
        if not (account.read or account.by_successor or account.refused):
            self._wrong["hung"].append(account.name)
        if self._durable and len(story.commits) > 1:
            self._wrong["doubled"].append(f"{account.name}: {', '.join(map(str, story.commits))}")
        if self._durable and story.revived:
            self._wrong["revived"].append(account.name)

    def _see_what_was_read(self, account: Account, story: Story) -> None:
        committed, given = {_as_read(one) for one in story.commits}, {one.token for one in account.executions}
        read = [one for one in account.read + account.by_successor if one[0] != "JobLost"]
        if self._durable and len(set(read)) > 1:
            self._wrong["changed"].append(f"{account.name}: {read}")
        if self._durable and not set(read) <= committed:
            self._wrong["false"].append(f"{account.name}: read {read}, committed {sorted(map(str, committed))}")
        for outcome, token in {*read, *committed}:
            if (token is not None and token not in given) or outcome not in (
                _ENDS.get(account.kind, "ok"),
                "WorkerLost",
            ):
                self._wrong["false"].append(f"{account.name} ({account.kind}): {outcome} {token}")
        if self._durable and any(outcome == "JobLost" for outcome, _ in account.read):
            self._wrong["lost"].append(f"{account.name} ended as JobLost")

    def _see_its_death(self, account: Account, story: Story) -> None:
        """Dead letters are those that kill, each after three workers that died with it in hand."""
        self._verdict.dead_letters += bool(story.killed)
        if account.kind != "poison":
            if self._is_unlucky(account, story):
                self._verdict.unlucky += 1
            elif story.killed or any(one.outcome == "crashed" for one in story.commits):
                self._wrong["condemned"].append(f"{account.name} ({account.kind}), workers {story.killed}")
            return
        if not story.issued:
            return  # its caller was killed before it had sent it; one that was accepted is lost
        started = {one.pid for one in account.executions}
        others = started.difference(story.killed)
        # it counts as well when a fault kills a worker that has it in hand, and does not when that was told to leave
        unearned = set(story.killed) - started - set(self._accounts.hits) - set(self._accounts.poisoned)
        if self._durable and (len(story.killed) != MAX_CRASHES or unearned or len(others) > MAX_CRASHES):
            self._wrong["poison"].append(f"{account.name}: ran on {sorted(started)}, blamed for {story.killed}")

    def _is_unlucky(self, account: Account, story: Story) -> bool:
        started, hits = {one.pid for one in account.executions}, self._accounts.hits
        return len(story.killed) == MAX_CRASHES and all(pid in started and pid in hits for pid in story.killed)

    def _see_its_executions(self, account: Account) -> None:
        for before, after in pairwise(account.executions):
            if not self._durable and self._accounts.server_died(before.began_at, after.began_at):
                self._verdict.renewed += 1
                continue
            self._verdict.extra += 1
            if not self._accounts.explain(before, after):
                self._wrong["unexplained"].append(
                    f"{account.name} ({account.kind}): on {before.pid} at {before.began_at:.3f}, "
                    f"on {after.pid} {after.began_at - before.began_at:.3f} s later"
                )


_ENDS = {"raising": "ValueError", "poison": "WorkerLost"}
_READ = {"error": "ValueError", "crashed": "WorkerLost"}


def _as_read(commit: Commit) -> Read:
    return _READ.get(commit.outcome, commit.outcome), commit.token
