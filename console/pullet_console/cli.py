"""The `pullet` command. Heavy imports happen inside the verbs that need them."""

from __future__ import annotations

import importlib.util
import os
import sys
import time

import click

import pullet


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(pullet.__version__, prog_name="pullet")
def main() -> None:
    """Share a pool of warm, stateful Ray actors between any number of callers."""


@main.command()
@click.option("--jobs", type=click.IntRange(100, 1797), default=1797, show_default=True, help="Images to read.")
def demo(jobs: int) -> None:
    """Read handwritten digits with four workers and three callers; one worker gets a kill -9 half-way.

    Starts a Redis of its own unless PULLET_REDIS names one, and a local Ray unless RAY_ADDRESS does. The exit code is
    1 when an answer is missing or different from what the engine answers when it is called directly.
    """
    begun = time.monotonic()
    missing = [name for name in ("ray", "rich", "sklearn") if importlib.util.find_spec(name) is None]
    if missing:
        raise click.ClickException(f'the demo needs {", ".join(missing)}: pip install "pullet[demo]"')
    # Read when Ray is imported: that a worker or its pool ended is no news here, and would spoil the live view.
    os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", "A worker died or was killed|Task Keeper")
    try:
        from pullet_console.demo.show import run

        code = run(jobs, begun)
    except KeyboardInterrupt:
        code = 130
    except (pullet.PulletError, ConnectionError) as error:  # the latter is Ray's, for a cluster that does not answer
        raise click.ClickException(str(error)) from None
    sys.exit(code)


@main.command()
@click.argument("engine", metavar="MODULE:ENGINE")
@click.option("--workers", type=click.IntRange(min=1), default=1, show_default=True, help="How many engines.")
@click.option("--queue", help="The queue they take jobs from. [default: the engine's name in lower case]")
@click.option("--num-cpus", type=click.FloatRange(min=0), default=1.0, show_default=True, help="CPUs of each.")
@click.option("--num-gpus", type=click.FloatRange(min=0), default=0.0, show_default=True, help="GPUs of each.")
def worker(engine: str, workers: int, queue: str | None, num_cpus: float, num_gpus: float) -> None:
    """Keep a pool of workers for MODULE:ENGINE until it is stopped; then let them finish their jobs.

    Uses the Redis at PULLET_REDIS and the Ray cluster at RAY_ADDRESS, or starts what is not named.
    """
    if importlib.util.find_spec("ray") is None:
        raise click.ClickException('workers need Ray: pip install "pullet[ray]"')
    sys.path.insert(0, os.getcwd())
    from pullet_console.worker import keep_pool

    try:
        keep_pool(engine, queue, workers, num_cpus, num_gpus)
    except (pullet.PulletError, ConnectionError) as error:
        raise click.ClickException(str(error)) from None


if __name__ == "__main__":
    main()
