"""The errors of pullet: the tree that the module shows is the tree that is there, and errors cross processes."""

from __future__ import annotations

import builtins
import copy
import pickle
import re
from typing import Any

import pytest

import pullet
from pullet_broker import errors
from pullet_broker.errors import PulletError


def classes() -> dict[str, type]:
    return {
        name: found
        for name, found in vars(errors).items()
        if isinstance(found, type) and issubclass(found, PulletError)
    }


def documented() -> dict[str, tuple[str | None, str | None]]:
    """Class -> parent in the drawn tree, and the builtin that it also is."""
    found: dict[str, tuple[str | None, str | None]] = {}
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        drawn = re.match(r"    ([ |]*)(\+-- )?([A-Z]\w+)(?: .*)?$", line)
        if not drawn:
            continue
        depth = (len(drawn[1]) + len(drawn[2] or "")) // 4
        also = re.search(r"\(also (\w+)\)", line)
        del path[depth:]
        found[drawn[3]] = (path[-1] if path else None, also and also[1])
        path.append(drawn[3])
    return found


def test_the_tree_in_the_docstring_is_the_tree_of_the_classes() -> None:
    real = {}
    for name, cls in classes().items():
        parent, *also = (base.__name__ for base in cls.__bases__)
        real[name] = (None if cls is PulletError else parent, also[0] if also else None)
    assert documented() == real


@pytest.mark.parametrize("name", sorted(classes()))
def test_an_error_carries_its_evidence_through_pickling(name: str) -> None:
    evidence = {"queue": "chess", "limit": 3, "path": "args[0]"}
    raised = classes()[name]("it is full", **evidence)

    for sent in (pickle.loads(pickle.dumps(raised)), copy.copy(raised), copy.deepcopy(raised)):
        assert type(sent) is type(raised)
        assert str(sent) == "it is full"
        assert sent.evidence == evidence
        assert (sent.queue, sent.limit) == ("chess", 3)


def test_evidence_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="QueueFull has no 'limit'"):
        _ = errors.QueueFull("full").limit
    assert not hasattr(errors.QueueFull("full"), "queue")


@pytest.mark.parametrize(
    ("name", "builtin"), [(name, also) for name, (_, also) in documented().items() if also is not None]
)
def test_who_knows_only_the_builtin_catches_the_error_too(name: str, builtin: str) -> None:
    with pytest.raises(getattr(builtins, builtin)):
        raise classes()[name]("no")


def test_every_error_is_a_public_name() -> None:
    public: dict[str, Any] = {name: getattr(pullet, name) for name in pullet.__all__}
    missing = {name for name, cls in classes().items() if public.get(name) is not cls}
    assert not missing
