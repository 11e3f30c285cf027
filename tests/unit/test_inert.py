"""Foreign text is shown and never obeyed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pullet_console.inert import inert


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text, ÄÖÜ 日本", "plain text, ÄÖÜ 日本"),
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("\x9b2J", r"\x9b2J"),
        ("null\0byte", r"null\x00byte"),
        ("a\u202eb\u2066c\u200fd", r"a\u202eb\u2066c\u200fd"),
        ("line\nforged: line\r", r"line\nforged: line\r"),
        ("tab\tbell\a", r"tab\tbell\x07"),
        ("\ud800", r"\ud800"),
        ("\u2028\ufeff\u200b", r"\u2028\ufeff\u200b"),
        ("<script>alert(1)</script>", "<script>alert(1)</script>"),
    ],
)
def test_what_is_not_printable_is_escaped(text: str, shown: str) -> None:
    assert inert(text) == shown


def test_line_ends_may_stay() -> None:
    assert inert("a\n\tb\x1b[2J\r\n", lines=True) == "a\n    b\\x1b[2J\\r\n"


def test_long_texts_are_cut_before_they_cost() -> None:
    assert inert("x" * 1_000_000, 10) == "x" * 10 + "…"
    assert len(inert("\0" * 1_000_000)) < 1_000


@given(st.text())
def test_nothing_is_left_that_a_terminal_obeys(text: str) -> None:
    assert inert(text, 10_000).isprintable()
    assert all(line.isprintable() for line in inert(text, 10_000, lines=True).split("\n"))
