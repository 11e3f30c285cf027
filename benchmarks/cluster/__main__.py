"""What a pool does on a cluster of several nodes when things go wrong, or grow. All nodes are on this machine.

    make bench-cluster                      about eight minutes
    make bench-cluster ARGS="--kills 5 --only killed_workers"

Exits with 1 when a figure misses what was asked for.
"""

from __future__ import annotations

import argparse
import functools
import platform
import sys
import time
import warnings

import ray

from benchmarks.cluster.deaths import held_interpreter, hung_worker, killed_workers, lost_controller, lost_nodes
from benchmarks.cluster.figures import Figure, table
from benchmarks.cluster.nodes import SETTINGS, a_cluster
from benchmarks.cluster.speeds import concurrency, elasticity, mixed_speeds
from pullet_broker.address import Address
from pullet_broker.embedded import EmbeddedServer


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20, help="how many workers are killed")
    parser.add_argument("--only", help="one measurement by name")
    asked = parser.parse_args()
    measurements = [
        functools.partial(killed_workers, times=asked.kills),
        hung_worker,
        held_interpreter,
        lost_nodes,
        lost_controller,
        concurrency,
        elasticity,
        mixed_speeds,
    ]
    names = [getattr(one, "func", one).__name__ for one in measurements]
    if asked.only and asked.only not in names:
        parser.error(f"--only {asked.only}: expected one of {', '.join(names)}")
    warnings.simplefilter("ignore", RuntimeWarning)  # nothing here needs to be persisted
    print(f"Ray {ray.__version__}, Python {platform.python_version()}, {SETTINGS}\n", flush=True)
    figures: list[Figure] = []
    with EmbeddedServer.start() as server, a_cluster() as cluster:
        for name, measure in zip(names, measurements, strict=True):
            if asked.only in (None, name):
                begun = time.monotonic()
                figures += measure(cluster, Address(server.url))
                print(f"{name}: {time.monotonic() - begun:.0f} s", flush=True)
    print("\n" + table(figures))
    return int(not all(figure.holds for figure in figures))


if __name__ == "__main__":
    sys.exit(main())
