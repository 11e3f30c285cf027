"""The Ray side of pullet: `Pool` starts and keeps the workers of a queue, `Group` places several pools together."""

from pullet_workers.group import Group, Part
from pullet_workers.pool import Pool

__all__ = ["Group", "Part", "Pool"]
