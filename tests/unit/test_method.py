"""Which methods a caller may name, and whether the arguments fit, seen on the client before anything is sent."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest

from pullet.method import Methods
from pullet_broker.errors import UnknownMethod


class Base:
    def inherited(self, x: int) -> int:
        return x


class Chess(Base):
    limit = 3

    def eval(self, fen: str, depth: int = 12) -> int:
        return depth

    def many(self, *fens: str) -> int:
        return len(fens)

    def only(self, fen: str, /, *, depth: int) -> int:
        return depth

    def loose(self, *, depth: int = 1) -> int:
        return depth

    def rest(self, fen: str, **options: Any) -> None: ...

    @staticmethod
    def parse(fen: str) -> str:
        return fen

    @classmethod
    def build(cls, path: str) -> Chess:
        return cls()

    @property
    def name(self) -> str:
        return "chess"

    def _private(self) -> None: ...


class Other:
    def eval(self, fen: str) -> int:
        return 0


def check(method: Callable[..., Any] | str, *args: Any, **kwargs: Any) -> None:
    Methods(Chess).find(method).check(args, kwargs)


@pytest.mark.parametrize(
    ("method", "args", "kwargs"),
    [
        (Chess.eval, ("fen",), {}),
        (Chess.eval, ("fen", 3), {}),
        (Chess.eval, ("fen",), {"depth": 3}),
        (Chess.eval, (), {"depth": 3, "fen": "fen"}),
        ("eval", ("fen",), {}),
        (Chess.many, (), {}),
        (Chess.many, ("a",) * 50, {}),
        (Chess.only, ("fen",), {"depth": 1}),
        (Chess.loose, (), {}),
        (Chess.rest, ("fen",), {"any": 1}),
        (Chess.parse, ("fen",), {}),
        (Chess.build, ("path",), {}),
        (Chess.inherited, (1,), {}),
        (Base.inherited, (1,), {}),
        (Chess().eval, ("fen",), {}),
    ],
)
def test_arguments_that_fit_pass(method: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    check(method, *args, **kwargs)


@pytest.mark.parametrize(
    ("method", "args", "kwargs"),
    [
        (Chess.eval, (), {}),
        (Chess.eval, ("fen", 1, 2), {}),
        (Chess.eval, ("fen",), {"dept": 3}),
        (Chess.eval, ("fen",), {"fen": "fen"}),
        ("eval", (), {}),
        (Chess.only, ("fen",), {}),
        (Chess.only, ("fen", 1), {}),
        (Chess.only, (), {"fen": "fen", "depth": 1}),
        (Chess.loose, (1,), {}),
        (Chess.parse, (), {}),
        (Chess.parse, ("self", "fen"), {}),
        (Chess.build, (Chess, "path"), {}),
    ],
)
def test_arguments_that_do_not_fit_raise_and_name_the_method(
    method: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    name = method if isinstance(method, str) else method.__name__
    with pytest.raises(TypeError, match=rf"^{name}\(.*\).*: "):
        check(method, *args, **kwargs)


def test_an_unknown_method_says_what_there_is() -> None:
    with pytest.raises(UnknownMethod, match="Chess has no method 'evaluate'; it has build, eval, inherited") as raised:
        check("evaluate")
    assert raised.value.method == "evaluate"
    assert "_private" not in str(raised.value)


@pytest.mark.parametrize("method", ["_private", "__init__", "__class__", Chess._private, Chess.__init__])
@pytest.mark.parametrize("engine", [Chess, None])
def test_private_methods_are_not_offered(engine: Any, method: Any) -> None:
    with pytest.raises(UnknownMethod, match="private"):
        Methods(engine).find(method)


@pytest.mark.parametrize("name", ["limit", "name"])
def test_what_cannot_be_called_is_no_method(name: str) -> None:
    with pytest.raises(UnknownMethod, match=f"no method '{name}'"):
        check(name)


@pytest.mark.parametrize("method", [Other.eval, Other().eval])
def test_a_method_of_another_class_is_refused_though_its_name_exists(method: Any) -> None:
    with pytest.raises(UnknownMethod, match=r"Other\.eval .* Chess"):
        check(method, "fen")


@pytest.mark.parametrize("method", [lambda self: None, functools.partial(Chess.eval, depth=1), len])
def test_a_function_that_is_no_method_is_refused(method: Any) -> None:
    with pytest.raises(UnknownMethod):
        check(method)


def test_an_engine_made_by_partial_is_its_class() -> None:
    engine = functools.partial(functools.partial(Chess), "stockfish")
    assert Methods(engine).engine is Chess
    with pytest.raises(TypeError):
        Methods(engine).find(Chess.eval).check((), {})


def test_without_the_class_a_name_is_taken_as_it_is() -> None:
    method = Methods(None).find("anything")
    method.check((1, 2, 3), {"x": 4})
    assert method.name == "anything"


def test_without_the_class_a_method_still_has_its_signature() -> None:
    method = Methods(None).find(Chess.eval)
    method.check(("fen",), {"depth": 1})
    with pytest.raises(TypeError):
        method.check((), {})


def test_a_method_without_a_signature_is_left_to_the_worker() -> None:
    class Native:
        work = max

    Methods(Native).find("work").check((1, 2, 3), {})


def test_a_decorated_method_keeps_the_signature_it_shows() -> None:
    def traced(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs)

        return wrapper

    class Traced:
        @traced
        def work(self, x: int) -> int:
            return x

    method = Methods(Traced).find(Traced.work)
    method.check((1,), {})
    with pytest.raises(TypeError):
        method.check((), {})
