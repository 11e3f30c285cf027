"""The limit: the commands of the same jobs from a C client, compiled here with `cc`. See limit.c."""

from __future__ import annotations

import shutil
import struct
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.server import Server
from pullet_broker.codec import encode, encode_call
from pullet_broker.job import Entry, Job, new_client_id, new_job_id
from pullet_broker.link import Link
from pullet_broker.moves.cycle import OUTCOMES, Outcome, cycle
from pullet_broker.moves.life import beat
from pullet_broker.moves.submit import submit
from pullet_broker.parts import pack
from pullet_broker.reply import pack_reply
from pullet_broker.scripting import Arg
from pullet_broker.settings import Queue

SETTINGS = (
    "C client: submit of 256 jobs, 4 ahead; cycle of 64 (commit and take); inbox read, UNLINK, XTRIM; nothing decoded"
)
CONSUMER = "limit.c-1.000000"


def missing() -> str | None:
    """Why it cannot be measured here."""
    return None if shutil.which("cc") else "no C compiler (cc) on PATH"


def measure(server: Server, jobs: int, payload: str) -> tuple[float, float]:
    """Jobs a second, and CPU seconds of the client."""
    queue, client = Queue(name="limit"), new_client_id()
    with tempfile.TemporaryDirectory() as folder, server.link() as link:
        program, spec = Path(folder) / "limit", Path(folder) / "spec"
        source = Path(__file__).with_name("limit.c")
        subprocess.run(["cc", "-O2", "-o", program, source], check=True)
        link.run(beat(queue, CONSUMER, 0, "{}"))
        link.run(submit(queue, client, 1, 1, []))
        spec.write_bytes(_spec(link, queue, client, jobs, payload))
        command = [str(program), str(spec), server.host, str(server.port)]
        answer = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if answer.returncode:
        raise RuntimeError(answer.stderr.strip())
    seconds, cpu_s = map(float, answer.stdout.split())
    return jobs / seconds, cpu_s


def _spec(link: Link, queue: Queue, client: str, jobs: int, payload: str) -> bytes:
    step = queue.limits.batch_jobs
    batches = []
    for first in range(1, jobs + 1, step):
        some = [Job(new_job_id(), "echo", encode_call((payload,), {})) for _ in range(min(step, jobs + 1 - first))]
        batches.append(submit(queue, client, 1, first, some))
    entry = Entry(4, "0-1", "0" * 32, "echo", b"", client, "")
    with_one = cycle(
        queue, CONSUMER, [Outcome(entry, pack_reply("ok", 1, "limit", 1, encode(payload)))], OUTCOMES,
        alone=False, high_first=False, yields=True,
    )  # fmt: skip
    fixed, tail = with_one.command()[:-7], with_one.command()[-4:]
    link.bring([batches[0].script, with_one.script])
    keys = queue.keys
    inbox = keys.inbox(client)
    trim = ("XTRIM", inbox, "MINID")
    read = ("XREAD", "COUNT", 64, "BLOCK", 10_000, "STREAMS", inbox)
    blocks = [
        str(jobs).encode(),
        str(len(batches)).encode(),
        str(len(fixed)).encode(),
        _arguments(fixed),
        _arguments(tail),
        keys.reply("").encode(),
        _head(read),
        _head(trim),
        *(_packed(batch.command()) for batch in batches),
    ]
    return b"".join(struct.pack("=I", len(block)) + block for block in blocks)


def _packed(command: Sequence[Arg]) -> bytes:
    return b"".join(map(bytes, pack(command)))


def _arguments(command: Sequence[Arg]) -> bytes:
    """Without the line that says how many there are."""
    return _packed(command).partition(b"\r\n")[2]


def _head(command: Sequence[Arg]) -> bytes:
    """A command whose last argument is still to come."""
    return b"*%d\r\n%s" % (len(command) + 1, _arguments(command))
