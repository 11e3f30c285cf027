"""Engines reach workers that cannot import their module: pack here, build in a process that knows less."""

from __future__ import annotations

import functools
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ray")

import ray.cloudpickle as cloudpickle

from pullet_workers import shipping
from pullet_workers.shipping import open_engine, pack
from tests.ray.engines import Echo

HERE_ONLY = """
import threading
from typing import NamedTuple
from here_only_base import offset

LOCK = {lock}
STEP = 7

def step(n):
    return n + STEP

class Order(NamedTuple):
    number: int

class Engine:
    def __init__(self, start=0):
        self.n = start
    def next(self):
        self.n = step(self.n)
        return self.n, LOCK is None, __name__
    {later}

def make():
    return Engine(100)
"""

ELSEWHERE = """
import sys
from pullet_workers.shipping import open_engine
for name in ("here_only", "here_only_base"):
    try:
        __import__(name)
    except ImportError:
        continue
    sys.exit(name + " can be imported here, so this shows nothing")
try:
    engine = open_engine(bytes.fromhex(sys.stdin.read()))()
    print({say})
except Exception as error:
    print(type(error).__name__, getattr(error, "name", None), error)
"""


def elsewhere(parcel: bytes, say: str = "engine.next()") -> str:
    """What a process says of the engine that has pullet, and not the module."""
    path = ":".join(entry for entry in sys.path if "here_only" not in entry)
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE.replace("{say}", say)],
        input=parcel.hex(),
        env={"PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def here_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Makes a module that this process can import, and others cannot."""

    def make(base: str = "", later: str = "", lock: str = "None") -> types.ModuleType:
        folder = tmp_path / "here_only_folder"
        folder.mkdir()
        text = HERE_ONLY.format(lock=lock, later=later)
        (folder / "here_only.py").write_text(text if base else text.replace("from here_only_base import offset", ""))
        (folder / "here_only_base.py").write_text(base)
        monkeypatch.syspath_prepend(folder)
        import here_only  # type: ignore[import-not-found]

        return here_only  # type: ignore[no-any-return]

    yield make
    for name in ("here_only", "here_only_base"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ("engine", "first"),
    [
        (lambda module: module.Engine, 7),
        (lambda module: functools.partial(module.Engine, start=10), 17),
        (lambda module: functools.partial(functools.partial(module.Engine), 20), 27),
        (lambda module: module.make, 107),
    ],
)
def test_an_engine_of_a_module_that_only_the_driver_has_goes_by_value(here_only: Any, engine: Any, first: int) -> None:
    module = here_only()
    assert elsewhere(pack(engine(module))) == str((first, True, "here_only"))
    assert cloudpickle.list_registry_pickle_by_value() == set(), "that module only, and only meanwhile"


def test_a_module_that_the_user_registered_stays_registered(here_only: Any) -> None:
    module = here_only()
    cloudpickle.register_pickle_by_value(module)
    try:
        assert elsewhere(pack(module.Engine)).startswith("(7")
        assert cloudpickle.list_registry_pickle_by_value() == {"here_only"}
    finally:
        cloudpickle.unregister_pickle_by_value(module)


def test_the_reference_is_used_where_it_can_be(here_only: Any) -> None:
    module = here_only()
    engine = open_engine(pack(module.Engine))()
    assert type(engine) is module.Engine


def test_annotations_that_are_texts_mean_the_same_there(here_only: Any) -> None:
    module = here_only(later="def take(self, order: 'Order'): return order")
    say = "__import__('pullet_broker.annotated').annotated.Arguments(engine.take).build(([3],), {})[0]"
    assert elsewhere(pack(module.Engine), say) == "(Order(number=3),)"
    assert elsewhere(pack(functools.partial(module.make)), say) == "([3],)", "nobody knows what this makes"


def test_what_the_module_imports_in_turn_is_named_with_the_remedies(here_only: Any) -> None:
    module = here_only(base="def offset(): pass", later="def base(self): return offset()")
    said = elsewhere(pack(module.Engine))
    assert said.startswith("ModuleNotFoundError here_only_base the workers cannot import 'here_only_base'")
    for word in ("here_only.Engine", "came by value", "Install it", "working_dir", "py_modules", "PYTHONPATH"):
        assert word in said


def test_what_the_constructor_imports_is_named_as_well(here_only: Any) -> None:
    module = here_only(later="def __new__(cls, *args): import here_only_base; return object.__new__(cls)")
    said = elsewhere(pack(module.Engine))
    assert "cannot import 'here_only_base'" in said
    assert "PYTHONPATH" in said


def test_what_cannot_go_by_value_says_why(here_only: Any) -> None:
    module = here_only(lock="threading.Lock()")
    said = elsewhere(pack(module.Engine))
    assert said.startswith("ModuleNotFoundError here_only the workers cannot import 'here_only'")
    assert "it could not come by value" in said
    assert "lock" in said
    assert type(open_engine(pack(module.Engine))()) is module.Engine, "where the module is, nothing is amiss"


def test_globals_that_are_too_large_do_not_travel(here_only: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    module = here_only()
    monkeypatch.setattr(shipping, "VALUE_BYTES", 100)
    assert "bytes large" in elsewhere(pack(module.Engine))


def test_an_engine_given_by_name_is_imported_by_the_worker_alone(here_only: Any) -> None:
    here_only()
    sys.modules.pop("here_only")
    parcel = pack("here_only:Engine")
    assert "here_only" not in sys.modules
    assert "cannot import 'here_only'" in elsewhere(parcel)
    assert open_engine(parcel)().next()[0] == 7


def test_installed_packages_are_never_copied() -> None:
    import collections

    import msgpack

    for engine in (collections.OrderedDict, msgpack.Packer, dict):
        assert len(pack(engine)) < 600
        assert type(open_engine(pack(engine))()) is engine


def test_an_error_of_the_constructor_stays_what_it_is() -> None:
    with pytest.raises(ValueError, match="boom"):
        open_engine(pack(functools.partial(_fail, "boom")))()
    assert open_engine(pack(functools.partial(Echo, "hi ")))().say("you") == "hi you"


def _fail(text: str) -> None:
    raise ValueError(text)
