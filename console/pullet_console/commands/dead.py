"""`pullet dead`: jobs that failed for good."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from pullet_console.commands.jobs import find, show_pairs
from pullet_console.commands.options import (
    confirm,
    json_option,
    pick_queue,
    queue_argument,
    queue_option,
    reading,
    redis_option,
    yes_option,
)
from pullet_console.refusals import Refusal
from pullet_console.screen import Cell, Column, Styled, age, count, say, show, write_json

if TYPE_CHECKING:
    from pullet.dead import DeadLetters
    from pullet_console.reading.reader import Reader

GROUPS = (
    Column("COUNT", right=True),
    Column("METHOD", rank=1, most=24),
    Column("ERROR", most=32),
    Column("SAID", rank=3, most=60),
    Column("LAST", rank=2, right=True),
    Column("LATEST JOB", rank=4, most=40),
)
LETTERS = (
    Column("JOB", most=40),
    Column("METHOD", rank=1, most=24),
    Column("ERROR", rank=2, most=40),
    Column("SAID", rank=5, most=60),
    Column("DIED", rank=3, right=True),
    Column("TRIES", rank=4, right=True),
    Column("WORKER", rank=6, most=40),
)

method_option = click.option("--method", default="", help="Only calls of this method.")
error_option = click.option("--error", default="", help="Only with this type of error: TimeoutError.")


def choosing(verb: Callable[..., None]) -> Callable[..., None]:
    """The options of a verb that acts on the JOBs named, or on all that fit."""
    everything = click.option("--all", "everything", is_flag=True, help="All that fit.")
    for add in (yes_option, error_option, method_option, everything, redis_option, queue_option):
        verb = add(verb)
    return click.argument("job", nargs=-1)(verb)


@click.group()
def dead() -> None:
    """Jobs that failed for good: look at them, run them again, throw them away."""


@dead.command("ls")
@queue_argument
@redis_option
@json_option
@method_option
@error_option
@click.option("--grouped", is_flag=True, help="One line for each method and type of error.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="At most so many.")
@click.option("--before", default="", help="Go on behind the `next` of an earlier --json.")
def ls(  # click gives one argument for each option
    queue: str | None,
    redis: str | None,
    as_json: bool,
    method: str,
    error: str,
    grouped: bool,
    limit: int,
    before: str,
) -> None:
    """The dead letters of a QUEUE, the newest first."""
    if before.strip("0123456789-"):
        raise click.UsageError(f"--before {before}: expected the `next` of an earlier --json")
    with reading(redis) as reader:
        name = pick_queue(reader, queue)
        now = reader.now()
        if grouped:
            _groups(reader, name, now, as_json)
            return
        page = reader.letters(name, before=before, limit=limit, method=method, error=error)
    if as_json:
        write_json({"queue": name, "letters": page.letters, "next": page.next})
        return
    if not page.letters:
        say("no dead letters")
        return
    rows: list[list[Cell]] = [
        [
            one.id,
            one.method,
            Styled(one.error_type, "red"),
            one.error,
            f"{age(max(0.0, now - one.died_at))} ago",
            str(one.attempts),
            one.worker,
        ]
        for one in page.letters
    ]
    show(LETTERS, rows)
    if page.next:
        say(f"more: pullet dead ls {name} --before {page.next}")
    say(f"look at one: pullet dead show {page.letters[0].id} -q {name}")


def _groups(reader: Reader, name: str, now: float, as_json: bool) -> None:
    groups = reader.letter_groups(name)
    if as_json:
        write_json({"queue": name, "groups": groups})
        return
    rows: list[list[Cell]] = [
        [
            f"{one.count:,}",
            one.method,
            Styled(one.error_type, "red"),
            one.error,
            f"{age(max(0.0, now - one.last_at))} ago",
            one.example,
        ]
        for one in groups
    ]
    show(GROUPS, rows)


@dead.command("show")
@click.argument("job")
@queue_option
@redis_option
@json_option
def show_letter(job: str, queue: str | None, redis: str | None, as_json: bool) -> None:
    """One dead letter: its arguments, how each attempt ended, the remote traceback."""
    with reading(redis) as reader:
        name, detail = find(reader, job, queue)
        now = reader.now()
    if detail.state != "dead":
        raise Refusal(f"job {job} is no dead letter: it is {detail.state}", f"pullet jobs show {job} -q {name}")
    if as_json:
        write_json({"queue": name, "job": detail})
        return
    show_pairs(name, detail, now)


@dead.command()
@choosing
def retry(  # click gives one argument for each option
    job: tuple[str, ...],
    queue: str | None,
    redis: str | None,
    everything: bool,
    method: str,
    error: str,
    yes: bool,
) -> None:
    """Run dead JOBs once more, as if they were new; or --all that fit.

    \b
    pullet dead retry 01a20070e0f58ce51d40ee9433a0bea3
    pullet dead retry --all --error TimeoutError -q chess
    """
    _check(job, everything)
    with reading(redis) as reader:
        if everything:
            name, letters, number = _fitting(reader, queue, method, error)
            confirm(f"run {count(number, 'dead job')} of {name} again", yes)
            say(f"{count(letters.replay_all(method=method or None, error=error or None), 'job')} run again")
            return
        for one in job:
            name, _ = find(reader, one, queue)
            if not _letters(reader, name).replay(one):
                raise Refusal(f"job {one} is no dead letter of {name}", f"pullet dead ls {name}")
            say(f"{one} runs again")


@dead.command()
@choosing
def purge(  # click gives one argument for each option
    job: tuple[str, ...],
    queue: str | None,
    redis: str | None,
    everything: bool,
    method: str,
    error: str,
    yes: bool,
) -> None:
    """Throw dead JOBs away for good; or --all that fit."""
    _check(job, everything)
    with reading(redis) as reader:
        if everything:
            name, letters, number = _fitting(reader, queue, method, error)
            confirm(f"throw away {count(number, 'dead job')} of {name}", yes)
            say(f"{count(letters.purge_all(method=method or None, error=error or None), 'dead job')} thrown away")
            return
        found = [(one, find(reader, one, queue)[0]) for one in job]
        confirm(f"throw away {count(len(found), 'dead job')}", yes)
        for one, name in found:
            if not _letters(reader, name).purge(one):
                raise Refusal(f"job {one} is no dead letter of {name}", f"pullet dead ls {name}")
        say(f"{count(len(found), 'dead job')} thrown away")


def _check(jobs: tuple[str, ...], everything: bool) -> None:
    if bool(jobs) == everything:
        raise click.UsageError("name dead jobs, or give --all (with --method, --error)")


def _fitting(reader: Reader, queue: str | None, method: str, error: str) -> tuple[str, DeadLetters, int]:
    """The queue, its letters, and how many of them fit."""
    name = pick_queue(reader, queue)
    number = sum(
        one.count
        for one in reader.letter_groups(name)
        if method in ("", one.method) and error in ("", one.error_type, one.error_type.rpartition(".")[2])
    )
    return name, _letters(reader, name), number


def _letters(reader: Reader, name: str) -> DeadLetters:
    from pullet.dead import DeadLetters
    from pullet_broker.settings import Queue

    return DeadLetters(Queue(name=name), reader.address)
