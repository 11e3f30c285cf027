"""Plain data become what an annotation says, and nothing else decides what is built."""

from __future__ import annotations

import dataclasses
import inspect
import sys
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping, Sequence
from decimal import Decimal
from enum import Enum, Flag, IntEnum
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, Optional, Union

import pytest

from pullet_broker.annotated import Arguments, item_builder, result_builder, value_builder
from pullet_broker.codec import decode, encode
from pullet_broker.errors import DecodeError, EncodeError

if TYPE_CHECKING:
    from nowhere import Missing  # pyright: ignore[reportMissingImports]


class Side(Enum):
    WHITE = "w"
    BLACK = "b"


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Right(Flag):
    READ = 1
    WRITE = 2


@dataclasses.dataclass
class Move:
    start: str
    end: str
    side: Side = Side.WHITE


@dataclasses.dataclass(frozen=True)
class Tree:
    value: Decimal
    left: Tree | None = None
    right: Optional[Tree] = None  # noqa: UP045
    total: int = dataclasses.field(init=False, default=0)


class Point(NamedTuple):
    x: int
    side: Side


MOVE, TREE = Move("e2", "e4", Side.BLACK), Tree(Decimal("1.5"), Tree(Decimal(2)), None)


def sent(value: Any) -> Any:
    """As it arrives without an annotation."""
    return decode(encode(value))


def built(hint: Any, value: Any) -> Any:
    build = value_builder(hint)
    assert build is not None
    return build(sent(value))


@pytest.mark.parametrize(
    ("hint", "value"),
    [
        (Side, Side.BLACK),
        (Level, Level.HIGH),
        (Right, Right.READ | Right.WRITE),
        (Move, MOVE),
        (Tree, TREE),
        (Point, Point(1, Side.WHITE)),
        (list[Move], [MOVE, MOVE]),
        (Sequence[Side], [Side.WHITE]),
        (set[Side], {Side.WHITE, Side.BLACK}),
        (frozenset[Level], frozenset({Level.LOW})),
        (tuple[Move, int], (MOVE, 3)),
        (tuple[Side, ...], (Side.WHITE, Side.BLACK)),
        (dict[Side, Move], {Side.WHITE: MOVE}),
        (Mapping[str, list[Level]], {"a": [Level.LOW]}),
        (Move | None, None),
        (Move | None, MOVE),
        (Union[int, Move], 3),  # noqa: UP007
        (int | Move, MOVE),
        (Move | Tree, TREE),
        (Annotated[Move, "fast"], MOVE),
    ],
)
def test_what_is_annotated_comes_back_as_it_was(hint: Any, value: Any) -> None:
    again = built(hint, value)
    assert again == value
    assert type(again) is type(value)


@pytest.mark.parametrize("hint", [int, str, list[int], dict[str, Any], Any, None, tuple[int, str], list, "text", set])
def test_nothing_is_spent_where_there_is_nothing_to_build(hint: Any) -> None:
    assert value_builder(hint) is None


def test_without_an_annotation_plain_data_arrive() -> None:
    assert sent(MOVE) == {"start": "e2", "end": "e4", "side": "b"}
    assert sent([Level.HIGH, Side.WHITE]) == [2, "w"]
    assert type(sent(Level.HIGH)) is int
    assert sent({Side.WHITE: 1}) == {"w": 1}


def test_fields_set_after_init_come_back_too() -> None:
    tree = Tree(Decimal(1))
    object.__setattr__(tree, "total", 7)
    assert built(Tree, tree).total == 7


@pytest.mark.parametrize(
    "data",
    [{"start": "e2"}, {"start": "e2", "end": "e4", "more": 1}, {"start": "e2", "end": "e4", "side": "x"}, 3, None, []],
)
def test_data_that_make_no_model_are_refused(data: Any) -> None:
    def method(self: Any) -> Move:
        raise NotImplementedError

    build = result_builder(method)
    assert build is not None
    with pytest.raises(DecodeError, match="the result does not fit its annotation"):
        build(data)


def test_a_field_that_cannot_travel_is_named() -> None:
    with pytest.raises(EncodeError) as caught:
        encode(Move(object(), "e4"))  # type: ignore[arg-type]
    assert caught.value.path == "value.start"


def test_arguments_of_every_kind_are_built() -> None:
    def play(first: Move, /, *rest: Move, side: Side = Side.WHITE, plain: int = 3, **more: Level) -> None: ...

    args, kwargs = Arguments(play).build((sent(MOVE), sent(MOVE)), {"side": "b", "high": 2})
    assert args == (MOVE, MOVE)
    assert kwargs == {"side": Side.BLACK, "high": Level.HIGH}


def test_arguments_that_do_not_fit_are_left_to_the_call() -> None:
    def play(move: Move) -> None: ...

    assert Arguments(play).build((1, 2), {}) == ((1, 2), {})
    with pytest.raises(DecodeError, match="argument move"):
        Arguments(play).build(({"start": 1},), {})


def test_the_results_of_coroutines_and_generators() -> None:
    async def ponder() -> Move:
        raise NotImplementedError

    def later() -> Coroutine[Any, Any, Move]:
        raise NotImplementedError

    def moves() -> Iterator[Move]:
        yield MOVE

    async def stream() -> AsyncIterator[Move]:
        yield MOVE

    for method in (ponder, later):
        build = result_builder(method)
        assert build is not None
        assert build(sent(MOVE)) == MOVE
    for generator in (moves, stream):
        build = item_builder(generator)
        assert build is not None
        assert build(sent(MOVE)) == MOVE
    assert item_builder(ponder) is None


def test_an_annotation_that_cannot_be_resolved_harms_no_other() -> None:
    def play(unknown: Missing, move: Move) -> Missing: ...  # type: ignore[empty-body]

    assert Arguments(play).build((1, sent(MOVE)), {}) == ((1, MOVE), {})
    assert result_builder(play) is None
    assert result_builder(inspect.signature) is None
    assert Arguments(print).build((1,), {}) == ((1,), {})


def test_hostile_depth_is_an_error_and_no_more() -> None:
    data: Any = {"value": Decimal(1)}
    for _ in range(20_000):
        data = {"value": Decimal(1), "left": data}

    def method() -> Tree:
        raise NotImplementedError

    build = result_builder(method)
    assert build is not None
    with pytest.raises(DecodeError):
        build({"value": 1, "left": data, "right": 3, "more": 4})


def test_a_class_that_raises_whatever_it_likes_is_an_error_of_the_data() -> None:
    @dataclasses.dataclass
    class Picky:
        value: int

        def __post_init__(self) -> None:
            raise RuntimeError("not today")

    def method() -> Any: ...

    method.__annotations__["return"] = Picky
    build = result_builder(method)
    assert build is not None
    with pytest.raises(DecodeError, match="not today"):
        build({"value": 1})


def test_the_data_never_say_what_is_built() -> None:
    """Names of classes in the data are data."""
    assert built(Move, {"start": "os.system", "end": "__class__"}) == Move("os.system", "__class__")
    with pytest.raises(ValueError, match="not the fields"):
        built(Move, {"__class__": "os.system", "start": "1", "end": "2"})


def test_models_of_pydantic() -> None:
    pydantic = pytest.importorskip("pydantic")
    model: Any = pydantic.create_model(
        "Position", fen=(str, ...), moves=(list[Move], []), depth=(int, pydantic.Field(3, alias="searchDepth"))
    )
    value = model(fen="8/8", moves=[MOVE], searchDepth=5)
    assert sent(value) == {"fen": "8/8", "moves": [sent(MOVE)], "searchDepth": 5}
    assert built(model, value) == value
    assert built(list[model], [value]) == [value]
    with pytest.raises(ValueError, match="fen"):
        built(model, {"searchDepth": 1})


def test_models_of_msgspec() -> None:
    msgspec = pytest.importorskip("msgspec")
    struct = msgspec.defstruct("Score", [("cp", int), ("line", list[str]), ("best", Move | None, None)], rename="camel")
    packed = msgspec.defstruct("Packed", [("a", int), ("b", str)], array_like=True)
    value = struct(cp=3, line=["e4"], best=MOVE)
    assert built(struct, value) == value
    assert built(packed, packed(1, "x")) == packed(1, "x")
    with pytest.raises(ValueError, match="cp"):
        built(struct, {"line": []})


def test_neither_library_is_loaded_by_us() -> None:
    before = set(sys.modules)
    encode([MOVE, Side.WHITE, TREE])
    value_builder(dict[str, list[Move]])
    assert not {"pydantic", "msgspec"} & (set(sys.modules) - before)
