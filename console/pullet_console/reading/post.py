"""Pages of dead letters, and all of them in groups."""

from __future__ import annotations

from collections.abc import Iterator

from pullet_broker.letter import read_letter
from pullet_broker.link import Link
from pullet_broker.moves.dead import PAGE, letters_before
from pullet_broker.settings import Queue
from pullet_console.reading.letters import LetterGroup, LetterPage, LetterView, group, view_letter


def list_letters(link: Link, queue: Queue, *, before: str, limit: int, method: str, error: str) -> LetterPage:
    """Up to `limit` letters that fit, the newest first."""
    found: list[LetterView] = []
    for letter in _walk(link, queue, before):
        if len(found) == limit:
            return LetterPage(tuple(found), found[-1].cursor)
        if method in ("", letter.method) and error in ("", letter.error_type, letter.error_type.rpartition(".")[2]):
            found.append(letter)
    return LetterPage(tuple(found), "")


def group_letters(link: Link, queue: Queue) -> list[LetterGroup]:
    return group(_walk(link, queue, ""))


def _walk(link: Link, queue: Queue, before: str) -> Iterator[LetterView]:
    while page := link.execute(*letters_before(queue, before)):
        for place, flat in page:
            yield view_letter(read_letter(place, flat, _no_arguments))
            before = place.decode()
        if len(page) < PAGE:
            return


def _no_arguments(job: str) -> None:
    """A list shows none."""
