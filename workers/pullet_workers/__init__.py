"""The Ray side of pullet: `Pool` starts and keeps the workers of a queue."""

from pullet_workers.pool import Pool

__all__ = ["Pool"]
