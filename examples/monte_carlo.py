"""A Monte Carlo simulation in numpy: many small jobs behind one progress bar, and one long job that says how far it is.

make example NAME=monte_carlo
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass

import numpy as np

import pullet
from pullet_workers import Pool


@dataclass(frozen=True)
class Option:
    """An Asian call: the right to buy at `strike` what has cost `spot`, paid by its average price in a year."""

    spot: float = 100.0
    strike: float = 105.0
    rate: float = 0.03
    volatility: float = 0.2
    days: int = 250


@dataclass
class Sums:
    """Of discounted payoffs: what is needed for their mean and its error."""

    count: int = 0
    total: float = 0.0
    squares: float = 0.0

    def __add__(self, other: Sums) -> Sums:
        return Sums(self.count + other.count, self.total + other.total, self.squares + other.squares)

    def __str__(self) -> str:
        mean = self.total / self.count
        error = math.sqrt((self.squares / self.count - mean**2) / self.count)
        return f"{mean:.3f} +- {error:.3f} from {self.count:,} paths"


class Market:
    """Simulates prices. Options and sums travel as plain data and arrive as what the annotations say."""

    def run(self, seed: int, option: Option, paths: int) -> Sums:
        """The geometric average, whose price is known: see `exact`."""
        step = 1 / option.days
        shocks = np.random.default_rng(seed).standard_normal((paths, option.days), dtype=np.float32)
        drift = (option.rate - option.volatility**2 / 2) * step
        logs = np.cumsum(drift + option.volatility * math.sqrt(step) * shocks, axis=1)
        average = option.spot * np.exp(logs.mean(axis=1, dtype=np.float64))
        payoffs = math.exp(-option.rate) * np.maximum(average - option.strike, 0)
        return Sums(paths, float(payoffs.sum()), float((payoffs**2).sum()))

    def run_long(self, seed: int, option: Option, paths: int, rounds: int) -> Sums:
        """One job that takes a while and reports after each round."""
        sums = Sums()
        for done in range(rounds):
            sums += self.run(seed + done, option, paths)
            pullet.current_job().report((done + 1) / rounds, str(sums))
        return sums


def exact(option: Option) -> float:
    """The price of a geometric Asian call (Kemna and Vorst, 1990): Black and Scholes with another mean and variance."""
    n = option.days
    variance = option.volatility**2 * (n + 1) * (2 * n + 1) / (6 * n**2)
    mean = (option.rate - option.volatility**2 / 2) * (n + 1) / (2 * n) + math.log(option.spot)
    d = (mean - math.log(option.strike) + variance) / math.sqrt(variance)
    above = math.exp(mean + variance / 2) * normal(d) - option.strike * normal(d - math.sqrt(variance))
    return math.exp(-option.rate) * above


def normal(x: float) -> float:
    return (1 + math.erf(x / math.sqrt(2))) / 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=200)
    jobs = parser.parse_args().jobs
    option = Option()
    with Pool(Market, workers=2) as pool:
        what = {"option": option, "paths": 5_000}
        results = pool.map(Market.run, range(jobs), kwargs=what, ordered=False, progress=True)
        print(f"many jobs:  {sum(results, Sums())}")

        future = pool.submit(Market.run_long, jobs, option, paths=5_000, rounds=20)
        future.add_progress_callback(lambda progress: print(f"  {progress.fraction:4.0%}  {progress.text}"))
        print(f"a long job: {future.result()}")
    print(f"exact:      {exact(option):.3f}")


if __name__ == "__main__":
    main()
