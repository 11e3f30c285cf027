"""The Ray side of pullet: `Pool` starts and keeps the workers of a queue, `Group` places several pools together."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

import pullet_workers.bridge as bridge  # from here on futures of this process know Ray

if TYPE_CHECKING:
    from pullet_workers.group import Group, Part
    from pullet_workers.pool import Pool

__all__ = ["Group", "Part", "Pool", "bridge"]

_AT_FIRST_USE = {"Group": "pullet_workers.group", "Part": "pullet_workers.group", "Pool": "pullet_workers.pool"}


def __getattr__(name: str) -> Any:
    """Load Ray when a pool is used: a process that only unpickles one need not have it."""
    if name not in _AT_FIRST_USE:
        raise AttributeError(f"module 'pullet_workers' has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(_AT_FIRST_USE[name]), name)
    return found
