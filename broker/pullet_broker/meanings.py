"""What the annotations of an engine mean, for a process that gets its class by value.

`from __future__ import annotations` makes them texts. A class of `__main__`, of a notebook or of a module that only one
side has travels without the names that its texts use, so in the other process they mean nothing, and a dataclass would
stay the dict that it travelled as. So what they mean goes with it, where that is a model (see `models`).
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Iterator
from typing import Any

from pullet_broker.annotated import hints_of
from pullet_broker.models import is_model

Meanings = list[tuple[type, str, dict[str, Any]]]
"""A class, the name of one of its functions or "", and what the annotations there that name models are."""


def meanings(cls: type | None) -> Meanings:
    """Of the methods of an engine, and of the models that they name, and of those that these name in turn."""
    found: Meanings = []
    waiting = [] if cls is None else list(_functions(cls))
    seen = set(waiting)
    for owner, name in waiting:
        known = {part: hint for part, hint in _texts(owner, name).items() if any(_models(hint))}
        if known:
            found.append((owner, name, known))
            named = {(model, "") for hint in known.values() for model in _models(hint)} - seen
            waiting += named
            seen |= named
    return found


def restore(known: Meanings) -> None:
    """In the other process: give meanings back to those that have lost theirs."""
    for owner, name, hints in known:
        target = _target(owner, name)
        lost = hints.keys() - hints_of(target).keys()
        if lost:
            target.__annotations__ = inspect.get_annotations(target) | {part: hints[part] for part in lost}


def _functions(cls: type) -> Iterator[tuple[type, str]]:
    for base in cls.__mro__:
        yield from ((base, name) for name in vars(base) if inspect.isfunction(_target(base, name)))


def _target(owner: type, name: str) -> Any:
    """What has the annotations. Classes and functions go by these two, as not every function can be pickled."""
    member = vars(owner)[name] if name else owner
    return getattr(member, "__func__", member)


def _texts(owner: type, name: str) -> dict[str, Any]:
    """The annotations that are texts, as what they mean."""
    target = _target(owner, name)
    said = inspect.get_annotations(target)
    hints = hints_of(target)
    return {
        part: hints[part] for part in said.keys() & hints.keys() if isinstance(said[part], (str, typing.ForwardRef))
    }


def _models(hint: Any) -> Iterator[type]:
    """The classes in an annotation that plain data can be made into."""
    for part in typing.get_args(hint):
        yield from _models(part)
    if isinstance(hint, type) and not typing.get_args(hint) and (is_model(hint) or hasattr(hint, "_fields")):
        yield hint
