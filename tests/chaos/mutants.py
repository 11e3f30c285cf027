"""`make chaos-mutants`: the protocol is broken on purpose, in a copy of the sources, and the chaos run must find it.

Each is run twice with the same seed and faults: as it is, which must be right, and broken, which must be wrong in the
way that is expected.
"""

from __future__ import annotations

import re
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import click

from tests.chaos.patch import Patch, copy_sources, run_copy


@dataclass(frozen=True)
class Mutant:
    """One rule taken out."""

    name: str
    patch: Patch
    expected: tuple[str, ...]
    """At least one of these must be found."""
    run: tuple[str, ...]


def _with_faults(*faults: str, long: int = 0) -> tuple[str, ...]:
    only = [word for fault in faults for word in ("--only", fault)]
    return "--jobs", "1500", "--seconds", "24", "--faults", "24", "--poison", "0", "--long", str(long), *only


MUTANTS = (
    Mutant(
        "fence removed",
        Patch(
            "broker/pullet_broker/scripts/cycle.lua",
            (
                (
                    "  elseif redis.pcall('XACK', lane, 'workers', entry) ~= 1 then\n    if draft",
                    "  elseif not redis.pcall('XACK', lane, 'workers', entry) then\n    if draft",
                ),
            ),
        ),
        ("doubled",),
        _with_faults("deliver late what was cut off", "stop a worker and kill the controller", long=8),
    ),
    Mutant(
        "pending entries not compared after a reconnect",
        Patch(
            "workers/pullet_workers/consumer.py",
            (
                (
                    "        found = self.link.run(reconcile(self._queue, self.label, held))\n",
                    "        found = type(self.link.run(reconcile(self._queue, self.label, held)))([], [])\n",
                ),
            ),
        ),
        ("lost", "hung", "stranded"),
        _with_faults("lose replies", "cut connections"),
    ),
    Mutant(
        "submit without the sequence check",
        Patch(
            "broker/pullet_broker/scripts/submit.lua",
            (
                ("if link < known_link then return {'STALE', mark, 0, 0, 0} end\n", ""),
                ("if count > 0 and first > mark + 1 then\n", "if false then\n"),
                ("  if number > mark then\n", "  if true then\n"),
                ("    mark = number\n", "    mark = math.max(mark, number)\n"),
            ),
        ),
        ("doubled",),
        _with_faults("deliver late what was cut off"),
    ),
    Mutant(
        "suspects not alone",
        Patch(
            "broker/pullet_broker/scripts/reap.lua",
            (("  reissue(key.lane[(blame or was_suspect) and 2 or 1], flat", "  reissue(key.lane[1], flat"),),
        ),
        ("condemned",),
        # takes of some 16 jobs, and all submitted within a second: so jobs that kill have neighbours in every hand
        ("--jobs", "1500", "--seconds", "1", "--faults", "0", "--poison", "2", "--budget", "0.02", "--drain", "300"),
    ),
)


@click.command(help=__doc__)
@click.option("--seed", default=1, show_default=True)
@click.option("--only", "names", multiple=True, type=click.Choice([mutant.name for mutant in MUTANTS]))
def main(seed: int, names: tuple[str, ...]) -> None:
    caught = True
    for mutant in MUTANTS:
        if names and mutant.name not in names:
            continue
        whole, broken = _play(None, mutant.run, seed), _play(mutant, mutant.run, seed)
        right = not whole and bool(set(broken) & set(mutant.expected))
        caught &= right
        print(f"{mutant.name}: {'caught' if right else 'NOT CAUGHT'}, seed {seed}", flush=True)
        print(f"  as it is: {_words(whole)}\n  broken:   {_words(broken)}", flush=True)
    sys.exit(0 if caught else 1)


def _play(mutant: Mutant | None, arguments: tuple[str, ...], seed: int) -> dict[str, int]:
    """What the run found, and how often."""
    with tempfile.TemporaryDirectory(prefix="chaos-mutant-") as scratch:
        copy_sources(Path(scratch), None if mutant is None else mutant.patch)
        run = run_copy(Path(scratch), "tests.chaos", "--seed", str(seed), "--drain", "90", *arguments)
    if run.returncode not in (0, 1) or not run.stdout.rstrip().endswith(("right", "WRONG")):
        raise RuntimeError(f"the run did not come to its end:\n{run.stdout}\n{run.stderr}")
    found = re.findall(r"^  (\w+) +(\d+)   ", run.stdout, re.MULTILINE)
    return {finding: int(count) for finding, count in found if int(count)}


def _words(found: dict[str, int]) -> str:
    return ", ".join(f"{finding} {count}" for finding, count in found.items()) or "right"


if __name__ == "__main__":
    main()
