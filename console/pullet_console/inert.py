"""The one way of foreign text to a terminal or a log: names, methods, errors and arguments may come from anybody.

An ANSI escape may recolour, overwrite or report what is on a terminal, a mark of direction may reorder it, a newline
may forge a line of a log. Whatever is not a printable character is therefore written as Python would escape it.
"""

from __future__ import annotations

MOST = 200
"""Characters of one text, unless the caller knows better."""


def inert(text: object, most: int = MOST, *, lines: bool = False) -> str:
    """The text with every character visible and none obeyed, cut after `most` characters.

    `lines`: line ends stay, as in a traceback; each still counts as one character.
    """
    whole = str(text)
    shown = whole[:most]
    if not shown.isprintable():
        shown = "".join(_visible(sign, lines) for sign in shown)
    return shown + "…" if len(whole) > most else shown


def _visible(sign: str, lines: bool) -> str:
    if sign.isprintable() or (lines and sign == "\n"):
        return sign
    if sign == "\t" and lines:
        return "    "
    return sign.encode("unicode_escape").decode()
