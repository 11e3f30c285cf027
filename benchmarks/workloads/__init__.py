"""The workloads, in the order in which they run."""

from benchmarks.workloads.life import FOOTPRINT, RECOVERY
from benchmarks.workloads.mixed import HEAD_OF_LINE, MIXED
from benchmarks.workloads.payload import PAYLOAD
from benchmarks.workloads.scale import DEPTH, WIDTH
from benchmarks.workloads.throughput import LATENCY, SEVERAL, THROUGHPUT

ALL = (THROUGHPUT, SEVERAL, LATENCY, MIXED, HEAD_OF_LINE, PAYLOAD, RECOVERY, FOOTPRINT, WIDTH, DEPTH)
SHORT = (THROUGHPUT, LATENCY)
"""What `make bench` runs."""
