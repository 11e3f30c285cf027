"""`pullet worker`: a pool without a program of one's own."""

from __future__ import annotations

import importlib.util
import os
import sys

import click

from pullet_console.commands.options import named_address, redis_option
from pullet_console.configuration import from_file
from pullet_console.refusals import Refusal

engine_argument = click.argument(
    "engine", metavar="MODULE:ENGINE", envvar="PULLET_ENGINE", required=True, default=from_file("engine")
)
workers_option = click.option(
    "--workers",
    metavar="N|MIN..MAX|per-node|per-gpu|per-cpu",
    envvar="PULLET_WORKERS",
    default=from_file("workers"),
    help="How many engines. [PULLET_WORKERS; default: 1]",
)


@click.command()
@engine_argument
@workers_option
@click.option(
    "--queue",
    "-q",
    envvar="PULLET_QUEUE",
    default=from_file("queue"),
    help="The queue they take jobs from. [PULLET_QUEUE; default: the engine's name in lower case]",
)
@redis_option
@click.option("--num-cpus", type=click.FloatRange(min=0), default=1.0, show_default=True, help="CPUs of each.")
@click.option("--num-gpus", type=click.FloatRange(min=0), default=0.0, show_default=True, help="GPUs of each.")
@click.option("--concurrency", type=click.IntRange(min=1), help="Jobs that one runs at once.")
@click.option("--drain-timeout", type=click.FloatRange(min=0), default=30.0, show_default=True, help="Seconds.")
@click.option("--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True, help="On stderr.")
def worker(  # click gives one argument for each option
    engine: str,
    workers: str | int | None,
    queue: str | None,
    redis: str | None,
    num_cpus: float,
    num_gpus: float,
    concurrency: int | None,
    drain_timeout: float,
    log_format: str,
) -> None:
    """Keep a pool of workers for MODULE:ENGINE until it is stopped; then let them finish their jobs.

    Uses the Redis that is named and the Ray cluster at RAY_ADDRESS, or starts what is not named.

    \b
    pullet worker shop.ocr:Ocr --workers 8 --queue ocr
    pullet worker shop.ocr:Ocr --workers 0..8 --num-gpus 0.5
    """
    need_ray()
    from pullet_console.commands.workers import read_scale
    from pullet_console.keeping import keep_pool
    from pullet_console.logs import show_logs

    show_logs(log_format)
    scale = read_scale(str(1 if workers is None else workers))
    if scale == 0:
        raise click.BadParameter("a pool has at least one worker; 0..N may shrink to none", param_hint="--workers")
    keep_pool(
        engine,
        scale,
        queue,
        named_address(redis),
        num_cpus=num_cpus,
        num_gpus=num_gpus,
        concurrency=concurrency,
        drain_timeout=drain_timeout,
    )


def need_ray() -> None:
    """Engines are imported from where the command is typed."""
    if importlib.util.find_spec("ray") is None:
        raise Refusal("workers need Ray", 'pip install "pullet[ray]"')
    sys.path.insert(0, os.getcwd())
