"""Dead letters as people look at them: in rows, and grouped by what went wrong. No I/O."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pullet_broker.letter import DeadLetter


@dataclass(frozen=True)
class LetterView:
    """One dead letter in a list. Times are seconds since the epoch, on the server's clock."""

    id: str
    method: str
    error_type: str
    error: str
    """The first line of what it said."""
    attempts: int
    crashes: int
    worker: str
    client: str
    submitted_at: float
    died_at: float
    cursor: str
    """The page that goes on behind this letter begins here."""


@dataclass(frozen=True)
class LetterPage:
    """Some dead letters, the newest first, and where the next page begins."""

    letters: tuple[LetterView, ...]
    next: str
    """The cursor of the next page; empty at the end."""


@dataclass(frozen=True)
class LetterGroup:
    """Letters of one method with the same type of error."""

    error_type: str
    method: str
    count: int
    first_at: float
    last_at: float
    example: str
    """The id of the latest of them."""
    error: str
    """What that one said, in one line."""


def view_letter(letter: DeadLetter) -> LetterView:
    return LetterView(
        id=letter.id,
        method=letter.method,
        error_type=letter.error_type,
        error=letter.error.partition("\n")[0],
        attempts=letter.attempts,
        crashes=letter.crashes,
        worker=letter.worker,
        client=letter.client,
        submitted_at=letter.submitted_at,
        died_at=letter.died_at,
        cursor=letter.cursor,
    )


def group(letters: Iterable[LetterView]) -> list[LetterGroup]:
    """By error and method, the largest group first."""
    groups: dict[tuple[str, str], LetterGroup] = {}
    for letter in letters:
        known = groups.get((letter.error_type, letter.method))
        newest = known is None or letter.died_at >= known.last_at
        groups[letter.error_type, letter.method] = LetterGroup(
            letter.error_type,
            letter.method,
            1 if known is None else known.count + 1,
            letter.died_at if known is None else min(known.first_at, letter.died_at),
            letter.died_at if known is None else max(known.last_at, letter.died_at),
            letter.id if known is None or newest else known.example,
            letter.error if known is None or newest else known.error,
        )
    return sorted(groups.values(), key=lambda one: -one.count)
