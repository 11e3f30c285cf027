"""`pullet trace`: the last jobs as a picture."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import click

from pullet_console.commands.options import pick_queue, queue_argument, reading, redis_option
from pullet_console.refusals import FAILED, Refusal
from pullet_console.screen import count, note

if TYPE_CHECKING:
    from pullet_console.reading.reader import Reader


@click.command()
@queue_argument
@redis_option
@click.option(
    "--output", "-o", type=click.File("w", lazy=True), default="trace.json", show_default=True, help="- is stdout."
)
@click.option("--seconds", type=click.FloatRange(min=0.1), help="Watch for so long first.")
def trace(queue: str | None, redis: str | None, output: Any, seconds: float | None) -> None:
    """Write the jobs of a QUEUE that ended last as a trace: a row for each worker, a bar for each job.

    Workers tell how jobs end only while somebody watches: `pullet ui`, or this verb with --seconds. Open the file at
    https://ui.perfetto.dev, or in chrome://tracing.

    \b
    pullet trace chess --seconds 10
    """
    from pullet_console.tracing import chrome_trace

    with reading(redis) as reader:
        name = pick_queue(reader, queue)
        begun = reader.now()
        if seconds is not None:
            _watch(reader, name, seconds)
        attempts = [one for one in reader.events(name) if seconds is None or one.ended >= begun]
    if not attempts:
        why = "no job ended meanwhile" if seconds is not None else "nobody watched"
        raise Refusal(
            f"nothing is known of the last jobs of {name}: {why}", f"pullet trace {name} --seconds 10", FAILED
        )
    json.dump(chrome_trace(name, attempts), output)
    output.write("\n")
    workers = len({one.consumer for one in attempts})
    note(
        f"{count(len(attempts), 'job')} of {count(workers, 'worker')} in {output.name}; open it at https://ui.perfetto.dev"
    )


def _watch(reader: Reader, name: str, seconds: float) -> None:
    """Have the workers tell how jobs end, for this time."""
    from pullet_broker.events import WATCH_MS, watch_until
    from pullet_broker.settings import Queue

    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        reader.ask(*watch_until(Queue(name=name), int(reader.now() * 1000) + WATCH_MS))
        time.sleep(min(left, WATCH_MS / 2000))
