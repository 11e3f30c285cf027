"""Puts the history together: for each job what its callers and workers saw, and which processes were hit when. Pure."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from tests.chaos.history import Event, of_kind

Read = tuple[str, "str | None"]
"""How a job ended for who waited, and the token of the execution that the value is from."""

GAVE_UP = ("CancelledError", "ClientClosed", "TimeoutError")
"""Outcomes of a caller that has waited for too long: nobody cancels a job here."""
REFUSED = "ServerFull"
"""That of a job which the server has not got."""
SLACK_S = 0.5
"""A hit is noted before it is dealt, and a job may begin between the two."""
WOKEN_S = 2.0
"""How long one that was stopped may go on with what it had in hand before it hears that this is not its any more."""


@dataclass(frozen=True)
class Execution:
    token: str
    pid: int
    began_at: float


@dataclass
class Account:
    """One job."""

    name: str
    kind: str
    accepted: bool = False
    read: list[Read] = field(default_factory=list)
    by_successor: list[Read] = field(default_factory=list)
    """Read by one that took the place of a caller that was killed, or read once more."""
    executions: list[Execution] = field(default_factory=list)
    refused: bool = False
    """Its caller was told that the server is full and has not got it."""


@dataclass
class Accounts:
    jobs: dict[str, Account] = field(default_factory=dict)
    """By the jobs' ids."""
    strangers: list[str] = field(default_factory=list)
    """Names that ran and that nobody submitted."""
    hits: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))
    """When each process was killed, told to end, or stopped for longer than its lease."""
    poisoned: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))
    """When each worker was killed by a job of its own."""
    woken: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))
    """When each of those that were stopped went on: with what it had in hand, though it had counted as dead."""
    server_kills: list[float] = field(default_factory=list)

    def explain(self, before: Execution, after: Execution) -> bool:
        """A fault made a job of the one worker run on the other."""
        since, until = before.began_at - SLACK_S, after.began_at
        ends = [*self.hits.get(before.pid, ()), *self.poisoned.get(before.pid, ())]
        return any(since <= at <= until for at in ends) or any(
            until - WOKEN_S <= at <= until for at in self.woken.get(after.pid, ())
        )

    def server_died(self, since: float, until: float) -> bool:
        return any(since - SLACK_S <= at <= until for at in self.server_kills)


def keep_accounts(events: list[Event]) -> Accounts:
    found, by_name = Accounts(), {}
    for event in of_kind(events, "submit"):
        by_name[event["name"]] = found.jobs[event["id"]] = Account(event["name"], event["kind"])
    for event in events:
        if event.what == "hit":
            found.hits[event["pid"]].append(event.at)
        elif event.what == "continued":
            found.woken[event["pid"]].append(event.at)
        elif event.what == "server down" and event["killed"]:
            found.server_kills.append(event.at)
        elif event.what == "accepted":
            for job in event["ids"]:
                found.jobs[job].accepted = True
        elif event.about.get("outcome") in GAVE_UP:
            continue
        elif event.what == "got" and event["outcome"] == REFUSED:
            found.jobs[event["id"]].refused = True
        elif event.what == "got":
            found.jobs[event["id"]].read.append((event["outcome"], event["value"]))
        elif event.what in ("found", "again"):
            found.jobs[event["id"]].by_successor.append((event["outcome"], event["value"]))
        elif event.what == "begin":
            _begin(found, event, by_name.get(event["name"]))
    return found


def _begin(found: Accounts, event: Event, account: Account | None) -> None:
    if account is None:
        found.strangers.append(event["name"])
        return
    account.executions.append(Execution(event["token"], event.pid, event.at))
    if account.kind == "poison":
        found.poisoned[event.pid].append(event.at)
