"""Keys: one hash tag a queue, and no name that could leave it."""

from __future__ import annotations

import re

import pytest

from pullet_broker import keys
from pullet_broker.errors import NameRefused
from pullet_broker.keys import LANE_KEYS, LANES, Keys, check_length, check_queue_name
from tests.support.leaks import FIXED


@pytest.mark.parametrize("name", ["a", "A1", "chess", "gpu.v2_x-y", "0", "x" * 64])
def test_these_names_are_taken(name: str) -> None:
    assert check_queue_name(name) == name


@pytest.mark.parametrize(
    "name", ["", " ", "a b", "a:b", "{a}", "a}", "-a", ".a", "_a", "a\n", "ä", "a/b", "a*", "x" * 65, None, 7, b"a"]
)
def test_these_names_are_refused_and_shown(name: object) -> None:
    with pytest.raises(NameRefused, match=re.escape(repr(name))) as refused:
        Keys(name)  # type: ignore[arg-type]
    assert refused.value.name == name
    assert isinstance(refused.value, ValueError)


def test_every_key_of_a_queue_is_in_one_slot_of_a_cluster() -> None:
    k = Keys("chess")
    built = [
        *k.lanes,
        k.fixed("config"),
        k.reply("j"),
        k.inbox("c"),
        k.blob("j"),
        k.client("c"),
        k.at("p"),
        k.home("x}:y"),
        k.lane("low"),
    ]
    assert all(re.match(r"pullet:\{chess\}:[a-z]", key) for key in built)
    assert len(set(built)) == len(built) - 1, "only lane('low') is there twice"


def test_prefixes_are_the_keys_without_their_last_part() -> None:
    k = Keys("q")
    assert (k.reply("j"), k.inbox("c"), k.blob("j")) == (
        k.reply_prefix + "j",
        k.inbox_prefix + "c",
        k.blob_prefix + "j",
    )


def test_lanes_are_found_by_name() -> None:
    k = Keys("q")
    assert [k.lane(lane) for lane in LANES] == list(k.lanes) == [k.fixed(name) for name in LANE_KEYS]
    assert k.lane("normal") == "pullet:{q}:jobs"


def test_one_queue_never_builds_a_key_of_another() -> None:
    one, other = Keys("a"), Keys("a.b")
    assert not set(one.lanes) & set(other.lanes)
    assert not other.fixed("").startswith(one.fixed(""))


def test_the_table_names_every_fixed_key() -> None:
    described = re.findall(r"^([a-z:]+)  +(?:stream|zset|hash|set|string) ", keys.__doc__ or "", re.MULTILINE)
    assert set(described) == FIXED | {"tick", "watched", "progress", "storm", "events", "stops"}


def test_a_place_adds_one_lane() -> None:
    assert Keys("q", "node-1").lanes == (*Keys("q").lanes, "pullet:{q}:jobs:at:node-1")


@pytest.mark.parametrize("text", ["x", "game-17", "}{", "ä" * 64, "x" * 128, " ", "\0"])
def test_these_are_places_and_keys_of_jobs(text: str) -> None:
    assert check_length("key", text) == text


@pytest.mark.parametrize("text", ["", "x" * 129, "ä" * 65, "\ud800", 7, b"x", None])
def test_these_are_not_and_it_is_said_why(text: object) -> None:
    with pytest.raises(ValueError, match=r"^key=.*: expected a text of 1 to 128 bytes"):
        check_length("key", text)  # type: ignore[arg-type]
