"""Annotations that are texts keep their meaning in a process that gets their class by value."""

from __future__ import annotations

import subprocess
import sys
import types
from collections.abc import Iterator
from typing import Any

import cloudpickle
import pytest

from pullet_broker.meanings import meanings, restore

SHOP = """
from __future__ import annotations
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple, TYPE_CHECKING
import decimal

if TYPE_CHECKING:
    from nowhere import Nothing

class Colour(Enum):
    RED = "red"

class Place(NamedTuple):
    shelf: int
    colour: Colour

@dataclass
class Item:
    place: Place
    parts: list[Item]

@dataclass
class Order:
    items: dict[str, Item]

class Base:
    def first(self, order: Order) -> Item | None: ...

class Shop(Base):
    @staticmethod
    def price(item: Item, of: Nothing) -> decimal.Decimal: ...
    @classmethod
    def make(cls, colour: Colour) -> Shop: ...
    def plain(self, number: int) -> str: ...
"""


@pytest.fixture
def shop() -> Iterator[Any]:
    """A module that travels by value."""
    made = types.ModuleType("only_here_shop")
    sys.modules[made.__name__] = made
    exec(SHOP, made.__dict__)
    cloudpickle.register_pickle_by_value(made)
    yield made
    cloudpickle.unregister_pickle_by_value(made)


def test_models_are_made_in_the_other_process(shop: Any) -> None:
    order = {"items": {"a": {"place": (3, "red"), "parts": [{"place": (4, "red"), "parts": []}]}}}
    data = cloudpickle.dumps((shop.Shop, meanings(shop.Shop), order))
    child = """
import pickle, sys
from pullet_broker.annotated import Arguments, result_builder
from pullet_broker.meanings import restore
cls, known, order = pickle.loads(bytes.fromhex(sys.stdin.read()))
print(Arguments(cls(). first).build((order,), {})[0][0])
restore(known)
print(Arguments(cls().first).build((order,), {})[0][0])
print(result_builder(cls.first)(order["items"]["a"]))
print(Arguments(cls.price).build((order["items"]["a"], 1), {})[0][0].place)
print(Arguments(cls.make).build(("red",), {})[0][0])
print("only_here_shop" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", child], input=data.hex(), capture_output=True, text=True)
    part = "Item(place=Place(shelf=4, colour=<Colour.RED: 'red'>), parts=[])"
    item = f"Item(place=Place(shelf=3, colour=<Colour.RED: 'red'>), parts=[{part}])"
    assert done.stdout.splitlines() == [
        str(order),
        f"Order(items={{'a': {item}}})",
        item,
        "Place(shelf=3, colour=<Colour.RED: 'red'>)",
        "Colour.RED",
        "False",
    ], done.stderr


def test_what_names_no_model_does_not_travel(shop: Any) -> None:
    known = {f"{owner.__name__}.{name}": sorted(hints) for owner, name, hints in meanings(shop.Shop)}
    assert known == {
        "Base.first": ["order", "return"],
        "Shop.price": ["item"],
        "Shop.make": ["colour"],
        "Order.": ["items"],
        "Item.": ["parts", "place"],
        "Place.": ["colour"],
    }


def test_where_the_module_is_nothing_is_touched(shop: Any) -> None:
    before = dict(shop.Base.first.__annotations__)
    restore(meanings(shop.Shop))
    assert shop.Base.first.__annotations__ == before == {"order": "Order", "return": "Item | None"}


def test_annotations_that_are_no_texts_have_not_lost_anything() -> None:
    class Plain:
        def run(self, value: Any) -> Any: ...

    Plain.run.__annotations__ = {"value": int, "return": str}
    assert meanings(Plain) == []
    assert meanings(None) == []
    assert meanings(dict) == []
