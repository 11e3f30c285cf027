"""`pullet dev`: everything in one terminal."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import click

from pullet_console.commands.options import named_address, redis_option
from pullet_console.commands.worker import engine_argument, need_ray, workers_option
from pullet_console.configuration import from_file

UI_NEEDS = ("starlette", "uvicorn")


@click.command()
@engine_argument
@workers_option
@click.option("--queue", "-q", envvar="PULLET_QUEUE", default=from_file("queue"), help="The queue. [PULLET_QUEUE]")
@redis_option
@click.option("--num-cpus", type=click.FloatRange(min=0), default=1.0, show_default=True, help="CPUs of each.")
@click.option("--data", type=click.Path(file_okay=False, path_type=Path), help="Keep the server's data here.")
@click.option("--ui/--no-ui", default=True, help="The dashboard, where it is installed.")
def dev(  # click gives one argument for each option
    engine: str,
    workers: str | int | None,
    queue: str | None,
    redis: str | None,
    num_cpus: float,
    data: Path | None,
    ui: bool,
) -> None:
    """A server, a local Ray and a pool of MODULE:ENGINE in this terminal, until Ctrl-C. Starts anew on save.

    The server and Ray are started unless PULLET_REDIS and RAY_ADDRESS name some.

    \b
    pullet dev shop.ocr:Ocr --workers 2
    """
    need_ray()
    from pullet_console.commands.workers import read_scale
    from pullet_console.developing import run

    number = str(1 if workers is None else workers)
    scale = read_scale(number)
    most = scale[1] if isinstance(scale, tuple) else scale if isinstance(scale, int) else 1
    options = ["--workers", number, "--num-cpus", str(num_cpus), *(["--queue", queue] if queue else [])]
    shown = ui and all(importlib.util.find_spec(name) for name in UI_NEEDS)
    run(engine, options, named_address(redis), most * num_cpus, data, [] if shown else None)
