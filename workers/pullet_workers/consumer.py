"""One incarnation of a worker as the server sees it: what both loops do beside running jobs."""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Callable, Sequence

from pullet_broker.address import Address
from pullet_broker.errors import ServerError, ServerRefused, ServerUnavailable
from pullet_broker.job import Entry
from pullet_broker.link import Link
from pullet_broker.moves.cycle import (
    OUTCOMES,
    RETURNS,
    SUSPECT,
    Standing,
    claim,
    give_back,
    needs_claim,
    read_waited,
    reconcile,
    wait_for_work,
)
from pullet_broker.moves.life import beat, forget
from pullet_broker.schema import schema_mismatch
from pullet_broker.scripting import FOR_OTHERS, load
from pullet_broker.settings import Queue
from pullet_workers.commit import commit
from pullet_workers.hand import Hand
from pullet_workers.report import Record, Report
from pullet_workers.rest import rest_among

log = logging.getLogger("pullet.worker")

BLOCK_MS = 5000
"""How long an idle worker waits in one read, unless it is to compare before that. Its heart hears of a pause, and ends
the read."""
STORM_MS = 2000
"""The same while suspects are not waited for, so that it asks for them at times."""
COMPARE_S = 5.0
"""How often a worker compares what is pending for it with what it holds.

One that rests does both more seldom: see `rest.py`."""


class Consumer:
    """Registers, compares, waits, gives back and leaves. Only the thread that takes calls its methods."""

    def __init__(
        self,
        queue: Queue,
        address: Address,
        hand: Hand,
        record: Record,
        report: Report,
        pass_time: Callable[[], None],
    ) -> None:
        self.name: str | None = None
        """The name under which it takes now; new with each incarnation."""
        self.label = "-"
        """The same as scripts want it."""
        self.connection_id = 0
        """Of the connection that may be blocked in a read."""
        self.waits = False
        """It is in a blocking read, or about to be."""
        self.waits_empty_handed = True
        """That read was begun with nothing in hand, so that it may bring a suspect."""
        self.waits_for_suspects = False
        """It may bring one."""
        self.compare_at = 0.0
        """When to compare next, on the monotonic clock."""
        self.rest = rest_among(1, queue.lease)
        """What its heart has heard."""
        self.link = Link.to(queue, address, "take")
        self._queue, self._hand, self._record, self._report = queue, hand, record, report
        self._pass_time = pass_time
        self._compared_at = float("-inf")
        self._settled = 0  # the connection whose id is known, and on which the scripts were brought that others call

    def register(self) -> None:
        """Start an incarnation: a new name, known to the server before the first read."""
        self._hand.clear()
        host = "".join(c if c.isalnum() or c in "-_" else "-" for c in os.uname().nodename.split(".")[0])
        name = f"{self._record.name}.{host}-{os.getpid()}.{os.urandom(3).hex()}"
        beaten = self.link.run(beat(self._queue, name, 0, self._record.text(self._report)))
        self._heed_schema(beaten.standing)
        self.name = self.label = name
        self._report.state = "busy" if self._hand.runs else "idle"

    def is_compare_due(self) -> bool:
        """Always so after a reconnect."""
        return not self.link.is_open or time.monotonic() >= self.compare_at

    def compare_soon(self) -> None:
        """A reply got lost: look what the server thinks we hold before anything else."""
        self._compared_at, self.compare_at = float("-inf"), 0.0

    def compare(self) -> None:
        """Adopt what is pending for us and not held, drop what is held and not pending. See `reconcile.lua`.

        Nobody may take or commit meanwhile.
        """
        self.link.open()
        if self._settled != self.link.opened:  # a server that was restarted has forgotten its scripts
            self.link.bring([load(name) for name in FOR_OTHERS])
            self.connection_id = int(self.link.execute("CLIENT", "ID"))
            self._settled = self.link.opened
        held = self._hand.held()
        found = self.link.run(reconcile(self._queue, self.label, held))
        self._hand.drop(held[place] for place in found.lost)
        suspects = [entry for entry in found.adopted if entry.lane == SUSPECT]
        self._hand.take(entry for entry in found.adopted if entry.lane != SUSPECT)
        if suspects and self._hand.is_empty:
            self._hand.take([suspects.pop()])
        self.give_back(suspects)
        self._compared_at = time.monotonic()
        self.compare_at = self._compared_at + COMPARE_S

    def heed(self, standing: Standing) -> bool:
        """Act on how the queue sees this worker; True when it may take."""
        if standing in (Standing.OK, Standing.YIELD):
            return True
        self._heed_schema(standing)
        if standing is Standing.PAUSED:
            self._report.state = "paused"
            self._pass_time()
        elif standing is Standing.NOGROUP:
            self._make_groups()
        else:
            self.register()  # it counted as dead: its jobs are other workers' now
        return False

    def _heed_schema(self, standing: Standing) -> None:
        """No release can work with another one's wire format."""
        if standing is Standing.SCHEMA:
            raise schema_mismatch(self._queue)

    def wait(self, block_ms: int | None = None, *, most: int = 1, calm: bool = True) -> list[Entry]:
        """Wait for work, and take up to `most` entries of what comes; the rest is given back.

        A suspect is only waited for while nothing is in hand, and nothing is taken beside it. Not `calm`: suspects
        kill worker after worker just now, and are not waited for at all.
        """
        self.waits_empty_handed = idle = self._hand.is_empty
        self.waits_for_suspects, self.waits = calm and idle, True
        if idle:
            self.compare_at = self._compared_at + self.rest.times * COMPARE_S
        most_ms = round(self.rest.times * BLOCK_MS) if idle and calm else BLOCK_MS if calm else STORM_MS
        left_ms = math.ceil(1000 * max(0.0, self.compare_at - time.monotonic()))
        block = max(1, min(block_ms or most_ms, most_ms, left_ms))
        try:
            command = wait_for_work(self._queue, self.label, block, suspects=self.waits_for_suspects)
            raw = self.link.wait(block / 1000, *command)
        except ServerUnavailable:
            raise
        except ServerError as error:
            if not str(error.evidence.get("answer")).startswith(("NOGROUP", "UNBLOCKED")):
                raise
            self.register()
            return []
        finally:
            self.waits = False
            self.compare_at = min(self.compare_at, time.monotonic() + COMPARE_S)  # what comes now may keep it busy
        found = read_waited(self._queue, raw)
        if len(found) == 1 <= most and not found[0].key:  # as nearly always
            self._hand.take(found)
            return found
        return self._keep(found, most)

    def _keep(self, found: list[Entry], most: int) -> list[Entry]:
        """Take what this worker may have at once, and give back the rest."""
        kept = found[:1] if found and found[0].lane == SUSPECT else [one for one in found if one.lane != SUSPECT][:most]
        kept = [entry for entry in kept if not needs_claim(entry) or self._claim(entry)]
        self._hand.take(kept)
        self.give_back([entry for entry in found if not any(entry is one for one in kept)])
        return kept

    def end_wait(self) -> None:
        """From another thread: end its blocking read. What the server gave it meanwhile is found by comparing."""
        if not (self.connection_id and self.waits):
            return
        link = Link.to(self._queue, self.link.address, "wake")
        try:
            link.execute("CLIENT", "UNBLOCK", self.connection_id)
        except ServerRefused:
            self.link.interrupt()  # this account may not, so the connection ends
        except ServerError as error:
            log.debug("cannot wake the blocking read", extra={"error": str(error)})
        finally:
            link.close()

    def _claim(self, entry: Entry) -> bool:
        return self.link.run(claim(self._queue, self.label, entry))

    def give_back(self, entries: Sequence[Entry], link: Link | None = None) -> None:
        for start in range(0, len(entries), RETURNS):
            (link or self.link).run(give_back(self._queue, self.label, entries[start : start + RETURNS]))

    def fetch_arguments(self, entries: Sequence[Entry]) -> None:
        """Fill in large arguments, which travel beside the entry."""
        wanted = [entry for entry in entries if entry.large and not entry.args and not entry.problem]
        if not wanted:
            return
        found = self.link.execute("MGET", *(self._queue.keys.blob(entry.job) for entry in wanted))
        for entry, blob in zip(wanted, found, strict=True):
            if blob is None:
                entry.problem = "its arguments are gone from the server"
            else:
                entry.args = blob

    def leave(self, link: Link | None = None) -> None:
        """Give back what was not started, commit what was, be forgotten. Repeat it when the server was away.

        `link`: another thread does it, because the one that takes cannot.
        """
        link = link or self.link
        self._hand.reclaim()
        if not self.link.is_open:
            self.compare()
        aside = self._hand.set_aside()
        try:
            self.give_back(aside.queued, link)
            finished = [*self._hand.commit(OUTCOMES), *aside.finished]
            for start in range(0, len(finished), OUTCOMES):
                commit(link, self._queue, self.label, finished[start : start + OUTCOMES])
        except ServerError:
            self._hand.take_back(aside)
            raise
        left = link.run(reconcile(self._queue, self.label, ())).adopted
        # one that must not be repeated may run still: its worker's end is its end
        self.give_back([entry for entry in left if not entry.once], link)
        link.run(forget(self._queue, self.label))

    def _make_groups(self) -> None:
        """A lane has lost its group: register once more, which makes it again."""
        self.link.run(beat(self._queue, self.label, 0, self._record.text(self._report)))
