"""Every Redis key of pullet, and the only place that builds one.

All keys of a queue share the hash tag `{<queue>}`, so that they live in one slot of a Redis Cluster.

===============  ======  ============================================  =================  ======================
key              type    holds                                         written by         ends
===============  ======  ============================================  =================  ======================
jobs:again       stream  given back, or of the dead and not suspected  give_back, reap    entries deleted
jobs:suspect     stream  jobs whose worker died with them in hand      reap, give_back    entries deleted
jobs:high        stream  waiting and running, priority > 0             submit, fail       entries deleted
jobs             stream  waiting and running, priority 0               submit, fail       entries deleted
jobs:low         stream  waiting and running, priority < 0             submit, fail       entries deleted
jobs:at:<place>  stream  jobs whose key lives at that place            submit, cycle      forget, spill
places           set     the places that have such a lane              beat (register)    forget, spill
home:<key>       string  the place where the jobs of a key run         cycle, claim       TTL, from its last use
delayed          zset    job id -> due time (ms of Redis TIME)         submit, fail       promote, cancel
parked           hash    job id -> packed fields of a delayed job      submit, fail       promote, cancel
reply:<job>      string  the committed reply                           whoever settles    TTL, or its reader
part:<job>       stream  items of a generator: attempt, index, value   part               TTL, or its reader
inbox:<client>   stream  replies, items, progress: see `mail`          settle, part ...   TTL, trimmed by client
client:<client>  string  "<highest accepted number> <link>"            submit             TTL
blob:<job>       string  arguments over `Limits.blob_over`             submit             whoever settles, purge
draft:blob:<n>   string  large arguments on their way, see `drafts`    client             submit, or TTL 60 s
draft:reply:<n>  string  a large reply on its way, see `drafts`        worker             cycle, or TTL 60 s
dead             stream  dead letters                                  fail, reap         capped, replay, purge
buried           hash    job id -> its entry in `dead`                 fail, reap         with the entry
storm            string  "<suspects that killed> <workers> <ms>"       reap, cycle        TTL 10 min
workers          hash    consumer -> who it is (JSON)                  beat               reap, forget
beats            hash    consumer -> its own beat number               beat, reap         forget
missed           hash    consumer -> "<unchanged looks> <beat seen>"   beat (tick)        forget
tick             string  who made the last tick                        beat               TTL 0.9 s
cancelled        zset    job id -> when it was asked to stop (0: void)  cancel, submit     settle, tick
stops            stream  job id, force, for who runs it; calls to all  cancel, pause      capped, TTL 1 min
watched          hash    job id -> clients that wait for it too        watch              settle, TTL
named            hash    job id that a caller chose -> when (ms)       submit, replay     settle
progress         hash    job id -> how far it is, see `progress`       progress           settle, TTL
stats            hash    counters                                      whoever counts     stays
events           stream  how attempts ended, while somebody watches    whoever settles    TTL 1 h, capped
actions          stream  what people did from the dashboard             actions            capped
config           hash    schema, paused, backlog, keyed, watched       submit, pause ...  stays
pool             hash    what the controller notes: owners, scale ...  controller         with the pool
===============  ======  ============================================  =================  ======================

Fixed keys without a TTL: the five lanes, `dead`, `buried`, `workers`, `beats`, `missed`, `stats`, `config`, `pool`,
`actions`, and `delayed`, `parked`, `cancelled`, `named` while they hold something. While a place has workers, or jobs
wait there, it has its lane and is in `places`. Everything else has a TTL or ends with its job.
"""

from __future__ import annotations

import re

from pullet_broker.errors import NameRefused

GROUP = "workers"
"""The consumer group of each lane."""

LANES = ("again", "suspect", "high", "normal", "low")
"""The streams of a queue. Scripts know a lane by its number in this tuple, counted from 1."""

LANE_KEYS = ("jobs:again", "jobs:suspect", "jobs:high", "jobs", "jobs:low")

PLACE_LANE = len(LANES) + 1
"""The number under which a worker knows the lane of its own place."""

PREFIXES = {"at": "jobs:at:", "home": "home:", "part": "part:"}
"""What scripts put before a place, a key or a job that they learn only from an entry."""

MOST_BYTES = 128
"""The longest key of a job, and the longest name of a place, in UTF-8."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_JOB = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


def check_queue_name(name: str) -> str:
    """Return `name`, or raise `NameRefused` when it could break out of its key or its hash tag."""
    if isinstance(name, str) and _NAME.fullmatch(name):
        return name
    raise NameRefused(
        f"queue name {name!r} is not allowed: expected 1 to 64 of the characters A-Z a-z 0-9 . _ - "
        "with a letter or digit first; choose another name",
        name=name,
    )


def check_length(what: str, text: str) -> str:
    """Return `text`, or raise `ValueError` where it is no name for a place or the key of a job."""
    try:
        if 0 < len(text.encode()) <= MOST_BYTES:
            return text
    except (AttributeError, UnicodeEncodeError):
        pass
    raise ValueError(f"{what}={text!r}: expected a text of 1 to {MOST_BYTES} bytes in UTF-8")


def check_job_id(job: str) -> str:
    """Return `job`, or raise `ValueError` where a caller must not give a job this id."""
    if isinstance(job, str) and _JOB.fullmatch(job):
        return job
    raise ValueError(f"id={job!r}: expected 1 to 128 of the characters A-Z a-z 0-9 . _ - with a letter or digit first")


def pattern(name: str, queue: str | None = None) -> str:
    """As the rules of an account name the key called `name` in the table above, of one queue or of all: a glob.

    `*` stands for a part of the name that varies, and for all keys of the queue.
    """
    return f"pullet:{{{'*' if queue is None else check_queue_name(queue)}}}:{name}"


class Keys:
    """The keys of one queue, as they are seen from a place, or from none."""

    def __init__(self, queue: str, place: str = "") -> None:
        self.queue = check_queue_name(queue)
        self._base = f"pullet:{{{queue}}}:"
        self.lanes = tuple(self._base + name for name in LANE_KEYS)
        if place:
            self.lanes += (self.at(place),)
        self.lane_numbers = {lane.encode(): number for number, lane in enumerate(self.lanes, 1)}
        """By the names of the streams, as a read answers them."""
        self.reply_prefix, self.inbox_prefix = self._base + "reply:", self._base + "inbox:"
        self.blob_prefix, self.draft_blob_prefix = self._base + "blob:", self._base + "draft:blob:"
        self.draft_reply_prefix = self._base + "draft:reply:"

    def fixed(self, name: str) -> str:
        """The key called `name` in the table above, for names without a `<...>` part."""
        return self._base + name

    def lane(self, lane: str) -> str:
        """The stream of a lane, by its name in `LANES`."""
        return self.lanes[LANES.index(lane)]

    def at(self, place: str) -> str:
        """The lane of a place."""
        return self._base + PREFIXES["at"] + place

    def home(self, key: str) -> str:
        """Where the key of a job lives."""
        return self._base + PREFIXES["home"] + key

    def reply(self, job: str) -> str:
        return self.reply_prefix + job

    def inbox(self, client: str) -> str:
        return self.inbox_prefix + client

    def part(self, job: str) -> str:
        return self._base + PREFIXES["part"] + job

    def blob(self, job: str) -> str:
        return self.blob_prefix + job

    def draft_blob(self, client: str, link: int, number: int) -> str:
        """Of the job with this number; on each connection its own, so that none takes what another delivers late."""
        return f"{self.draft_blob_prefix}{client}:{link}:{number}"

    def draft_reply(self, consumer: str, lane: int, entry: str) -> str:
        """Of one attempt."""
        return f"{self.draft_reply_prefix}{consumer}:{lane}:{entry}"

    def client(self, client: str) -> str:
        return f"{self._base}client:{client}"
