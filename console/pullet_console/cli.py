"""The `pullet` command. Heavy imports happen inside the verbs that need them."""

from __future__ import annotations

import click
import pullet


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(pullet.__version__, prog_name="pullet")
def main() -> None:
    """Share a pool of warm, stateful Ray actors between any number of callers."""
