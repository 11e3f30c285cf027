"""`pullet ui`: the dashboard."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import click

from pullet_console.commands.options import address_of, redis_option
from pullet_console.refusals import USAGE, Refusal


@click.command()
@redis_option
@click.option("--queue", "-q", "queues", multiple=True, help="Only this queue; may be repeated. [default: all]")
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen; elsewhere it needs a token.")
@click.option("--port", type=click.IntRange(0, 65535), default=8420, show_default=True, help="0: any that is free.")
@click.option("--token", envvar="PULLET_UI_TOKEN", help="What everybody must show. [PULLET_UI_TOKEN]")
@click.option("--token-file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="The same, in a file.")
@click.option("--public-host", "public_hosts", multiple=True, help="A name under which it is reached; may be repeated.")
@click.option("--allow-actions", is_flag=True, help="Retry, purge, pause, cancel. [default: it only reads]")
def ui(  # click gives one argument for each option
    redis: str | None,
    queues: tuple[str, ...],
    host: str,
    port: int,
    token: str | None,
    token_file: Path | None,
    public_hosts: tuple[str, ...],
    allow_actions: bool,
) -> None:
    """Show queues, workers and jobs in a browser, and give Prometheus its numbers at /metrics.

    It reads Redis alone and needs no Ray.

    \b
    pullet ui
    pullet ui --redis redis://host:6379/0 --allow-actions
    """
    missing = [name for name in ("starlette", "uvicorn") if importlib.util.find_spec(name) is None]
    if missing:
        raise Refusal(f"the dashboard needs {' and '.join(missing)}", 'pip install "pullet[ui]"')
    from pullet_console.ui.serve import serve
    from pullet_console.ui.settings import NotServed, Settings

    try:
        serve(
            Settings(
                redis=address_of(redis),
                queues=queues,
                host=host,
                port=port,
                token=token_file.read_text().strip() if token_file else token or "",
                may_act=allow_actions,
                public_hosts=public_hosts,
            )
        )
    except NotServed as error:
        raise Refusal(str(error), "pullet ui --help", USAGE) from None
