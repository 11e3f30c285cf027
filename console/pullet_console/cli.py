"""The `pullet` command. Each verb is loaded when it is called: `pullet --help` loads click, and nothing else."""

from __future__ import annotations

import importlib
import sys
from typing import Any, NoReturn

import click

import pullet

VERBS = {
    "demo": "See it at work: engines, callers, and a kill -9.",
    "dev": "A server, Ray and a pool in one terminal; reloads on save.",
    "worker": "Keep a pool of workers until it is stopped.",
    "status": "All queues on one screen.",
    "top": "Workers and queues, live.",
    "submit": "Submit one job.",
    "jobs": "List, show, cancel and wait for jobs.",
    "dead": "Look at jobs that failed for good, run them again.",
    "queue": "Pause, resume, drain and purge queues; show their keys.",
    "workers": "List, drain, restart and scale workers.",
    "ui": "The dashboard, and the numbers for Prometheus.",
    "bench": "Measure throughput and latency on this machine.",
    "trace": "Write the last jobs as a trace for Perfetto.",
    "doctor": "Find what is wrong, and the remedy.",
    "check": "Is it well? The exit code tells health checks.",
    "acl": "Print the rules of accounts for the server.",
}
"""Name and short help of each; `pullet_console.commands.<name>` holds the command under that name."""


class Verbs(click.Group):
    """The verbs, loaded at their first use, and the one place where errors become texts and exit codes."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        module = importlib.import_module(f"pullet_console.commands.{cmd_name}")
        found: click.Command = getattr(module, cmd_name)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))

    def main(self, *args: Any, **kwargs: Any) -> NoReturn:
        try:
            sys.exit(super().main(*args, **kwargs | {"standalone_mode": False}) or 0)
        except click.UsageError as error:
            _show_usage(error)
            sys.exit(2)
        except click.ClickException as error:
            error.show()
            sys.exit(error.exit_code)
        except (click.Abort, KeyboardInterrupt):
            sys.exit(130)
        except Exception as error:
            from pullet_console.refusals import refusal_of

            refusal = refusal_of(error)
            if refusal is None:
                raise
            refusal.show()
            sys.exit(refusal.code)


def _show_usage(error: click.UsageError) -> None:
    from pullet_console.inert import inert

    path = error.ctx.command_path if error.ctx else "pullet"
    if error.ctx:
        click.echo(error.ctx.get_usage(), err=True)
    click.echo(f"pullet: {inert(error.format_message(), 1_000)}", err=True)
    click.echo(f"try: {path} --help", err=True)


@click.command(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]}, no_args_is_help=True)
@click.version_option(pullet.__version__, prog_name="pullet")
def main() -> None:
    """Share a pool of warm, stateful Ray actors between any number of callers.

    The server is the one that --redis, PULLET_REDIS or pullet.toml names.
    """


if __name__ == "__main__":
    main()
