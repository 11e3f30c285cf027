"""`pullet submit`: one job from the command line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from pullet_console.commands.options import address_of, json_option, redis_option
from pullet_console.refusals import NO_CONNECTION, Refusal
from pullet_console.screen import write_json

if TYPE_CHECKING:
    from pullet import Client, Future

STORE_S = 10.0
"""How long a job may take to the server."""


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("queue")
@click.argument("method")
@click.argument("args", nargs=-1, metavar="[ARG | NAME=ARG]...")
@redis_option
@json_option
@click.option("--wait", is_flag=True, help="Wait for the result and print it.")
@click.option("--stream", is_flag=True, help="Print the items of a generator method as they come, one a line.")
@click.option("--timeout", type=click.FloatRange(min=0), help="With --wait: seconds. [default: as long as it takes]")
@click.option(
    "--option",
    "-o",
    "options",
    multiple=True,
    metavar="NAME=VALUE",
    help="As client.options(): priority=1, retries=3, expires=60, delay=5, key=game-17.",
)
def submit(  # click gives one argument for each option
    queue: str,
    method: str,
    args: tuple[str, ...],
    redis: str | None,
    as_json: bool,
    wait: bool,
    stream: bool,
    timeout: float | None,
    options: tuple[str, ...],
) -> None:
    """Submit one call of METHOD to QUEUE, and print the id of the job. Arguments are JSON, or else plain text.

    \b
    pullet submit chess eval "8/8/8/4k3/8/8/4P3/4K3 w - -" depth=15 --wait
    pullet submit chess lines startpos --stream
    pullet submit ocr page '{"url": "file:///a.pdf", "page": 3}' -o priority=1 -o delay=60
    """
    if wait and stream:
        raise click.UsageError("--wait prints the result, --stream its items: choose one")
    given, named = read_call(args)
    client = _connect(queue, address_of(redis), options)
    try:
        if stream:
            _stream(client, method, given, named, queue)
            return
        future = _submit(client, method, given, named)
        if wait:
            from pullet_console.outcomes import print_outcome

            print_outcome(future, timeout, queue, as_json=as_json)
            return
        _await_stored(client, future)
        if as_json:
            write_json({"queue": queue, "job": future.job_id})
        else:
            click.echo(future.job_id)
    finally:
        client.detach()


def _connect(queue: str, address: Any, options: tuple[str, ...]) -> Client[Any]:
    import warnings

    import pullet

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what is to be said of the server, `pullet doctor` says
        client: Client[Any] = pullet.connect(None, address, queue=queue)
    try:
        given: dict[str, Any] = {"keep": True, **dict(read_pair(text) for text in options)}
        return client.options(**given)
    except (TypeError, ValueError) as error:
        raise click.BadParameter(str(error), param_hint="--option") from None


def _submit(client: Client[Any], method: str, args: list[Any], named: dict[str, Any]) -> Future[Any]:
    from pullet import PulletError

    try:
        return client.submit(method, *args, **named)
    except (TypeError, ValueError) as error:
        if isinstance(error, PulletError):
            raise
        raise click.BadParameter(
            f"{error}; is the value of an option of another kind?", param_hint="--option"
        ) from None


def _await_stored(client: Client[Any], future: Future[Any]) -> None:
    """Until the server has the job. Raises what refused it."""
    stored = client.flush(STORE_S)
    if future.done() and not future.cancelled() and (error := future.exception(0)):
        raise error
    if not stored:
        raise Refusal(
            f"the server has not stored job {future.job_id} within {STORE_S:g} s", "pullet doctor", NO_CONNECTION
        )


def _stream(client: Client[Any], method: str, args: list[Any], named: dict[str, Any], queue: str) -> None:
    from pullet_console.outcomes import describe

    stream = client.stream(method, *args, **named)
    try:
        for item in stream:
            write_json(item, line=True)
    except Exception as error:
        raise describe(error, stream.job_id, queue) from None


def read_call(texts: tuple[str, ...]) -> tuple[list[Any], dict[str, Any]]:
    """Positional and named arguments. `depth=15` is a named one; to pass such a text, quote it as JSON: `"a=b"`."""
    args: list[Any] = []
    named: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if equals and name.isidentifier():
            named[name] = read_value(value)
        else:
            args.append(read_value(text))
    return args, named


def read_pair(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise click.BadParameter(f"{text!r}: expected NAME=VALUE", param_hint="--option")
    return name, read_value(value)


def read_value(text: str) -> Any:
    """JSON where it is JSON, else the text."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
