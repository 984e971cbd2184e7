"""Measure how often studies of identical methods report a difference.

Prints the table on false alarms in docs/statistics.md; each study takes about a second:

    export OMP_NUM_THREADS=1 PYTHONPATH=scripts:tests/unit
    python tests/benchmarks/false_alarms.py --studies 200

A study has three methods with one curve, two seed-set sizes and four budget ratios. The statements
that count as findings are: a comparison that is significant after Holm's adjustment, a pair with
one method ahead without a caveat, and a size at which one method is recommended throughout.
"""

from __future__ import annotations

import argparse
import json
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from itertools import combinations, product
from pathlib import Path

import numpy as np
import polars as pl
from analysis_simulation import METHODS, Truth, coordinates

from seedbed.analysis.curves import Curves, curves_from
from seedbed.analysis.curves.fitting import fit_decay
from seedbed.analysis.decide.advise import leaders
from seedbed.analysis.decide.contrasts import ContrastRecord, check_contrasts
from seedbed.analysis.decide.crossovers import find_crossovers
from seedbed.analysis.decide.settings import ContrastPoint, ContrastTest, NamedContrast
from seedbed.analysis.report.sentences import crossover_clauses
from seedbed.analysis.settings import CrossoverSettings, FitSettings
from seedbed.analysis.tables.comparisons import compare_methods
from seedbed.analysis.tables.outcomes import Outcomes

CONFIDENCE = 0.95
SEEDS, RATIOS = (100, 1000), (1, 4, 16, 64)
TRUTH = Truth()
LIKE = METHODS[1]
"""Method of the simulated truth whose curve all methods have."""


@dataclass(frozen=True)
class Alarms:
    """The findings of a study of identical methods.

    Attributes:
        compared: share of single comparisons with p below 0.05, unadjusted.
        significant: whether a comparison is significant after Holm's adjustment.
        contrasted: share of contrasts, each a pair of methods at a point, that are not open.
        ahead: whether a method of a pair is ahead without a caveat.
        alone: whether one method is recommended throughout at a size.
        noise: the noise that the comparisons include.
    """

    compared: float
    significant: bool
    contrasted: float
    ahead: bool
    alone: bool
    noise: str


def study(seed: int, items: int, noise: float, replicates: int) -> Outcomes:
    """Outcomes of a study of identical methods.

    Args:
        seed: of the random numbers.
        items: test items.
        noise: standard deviation between training runs, a fraction.
        replicates: draws of the seeds.
    """
    from scipy.stats import norm

    generator = np.random.default_rng([seed, 78])
    draws = {
        (size, replicate): generator.normal(0, TRUTH.between_draws * np.sqrt(100 / size))
        for size, replicate in product(SEEDS, range(replicates))
    }
    cells, shares = [], []
    for method, size, ratio, replicate in product(METHODS, SEEDS, RATIOS, range(replicates)):
        cells.append(coordinates(method, size, size * ratio, replicate=replicate))
        own = draws[size, replicate] + generator.normal(0, noise)
        shares.append(TRUTH.accuracy(LIKE, size, ratio) + own)
    cells.append(coordinates("untrained", 0, 0))
    shares.append(TRUTH.floor)
    hard = np.sqrt(TRUTH.shared) * generator.normal(size=items)
    own = np.sqrt(1 - TRUTH.shared) * generator.normal(size=(len(cells), items))
    correct = hard + own < norm.ppf(np.array(shares))[:, None]
    ratios = [cell["budget"] / cell["seeds"] if cell["seeds"] else None for cell in cells]
    table = pl.DataFrame(cells).with_columns(budget_ratio=pl.Series(ratios))
    names = tuple(map(str, range(items)))
    return Outcomes("mini_math", table, names, np.arange(items), correct.astype(float))


def examine(seed: int, items: int, noise: float, replicates: int, samples: int = 400) -> Alarms:
    """Simulate a study of identical methods, and return its findings."""
    outcomes = {"mini_math": study(seed, items, noise, replicates)}
    settings = FitSettings(methods=METHODS, bootstrap_samples=samples, confidence=CONFIDENCE)
    fits = curves_from(*fit_decay(outcomes, settings))
    (fit,) = fits
    table = compare_methods(outcomes, settings, {fit.group: fit.run_noise})
    tests = [test for one in _contrasts(outcomes, fits) for test in one.tests]
    crossed = find_crossovers(fits, CrossoverSettings(confidence=CONFIDENCE))
    stretches = [leaders(fit, size, CONFIDENCE) for size in fit.seeds]
    return Alarms(
        compared=float((table["p"] < 1 - CONFIDENCE).mean()),
        significant=bool((table["p_holm"] < 1 - CONFIDENCE).any()),
        contrasted=float(np.mean([test.verdict != "open" for test in tests])),
        ahead=any(
            one.status == "none" and len(crossover_clauses(one, str)) == 1
            for one in crossed.crossovers
        ),
        alone=any(len(found) == 1 and len(found[0].methods) == 1 for found in stretches),
        noise=table["noise"][0],
    )


def _contrasts(outcomes: dict[str, Outcomes], fits: list[Curves]) -> tuple[ContrastRecord, ...]:
    """Return the tests of each pair of methods at each point."""
    tests = [
        ContrastTest(
            claim="{seeds}, {budget}",
            better=(ContrastPoint(method=better),),
            worse=(ContrastPoint(method=worse),),
        )
        for better, worse in combinations(METHODS, 2)
    ]
    contrast = NamedContrast(name="pairs", sentence="One is better.", tests=tuple(tests))
    return check_contrasts(outcomes, fits, [contrast], ("mini_teacher",), CONFIDENCE).findings


def main() -> None:
    """Run the simulation and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument("--first", type=int, default=0, help="seed of the first study")
    parser.add_argument("--items", type=int, nargs="+", default=[1319, 5000])
    parser.add_argument("--noise", type=float, nargs="+", default=[0.8, 2.0], help="points")
    parser.add_argument("--replicates", type=int, nargs="+", default=[1, 3])
    parser.add_argument("--samples", type=int, default=400, help="draws of a study's posterior")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--output", type=Path, help="a line of JSON for each study")
    args = parser.parse_args()
    started = time.time()
    print(
        "| Items, noise between runs, replicates | Comparisons, % | Contrasts, % "
        "| Studies: significant after Holm, % | ahead without caveat, % | to be used alone, % |"
    )
    print("| --- | --- | --- | --- | --- | --- |", flush=True)
    with ProcessPoolExecutor(args.processes) as pool:
        for items, noise, replicates in product(args.items, args.noise, args.replicates):
            jobs = [
                pool.submit(examine, args.first + n, items, noise / 100, replicates, args.samples)
                for n in range(args.studies)
            ]
            found = []
            for job in as_completed(jobs):
                found.append(job.result())
                if args.output:
                    said = {"items": items, "points": noise, "replicates": replicates}
                    with args.output.open("a") as lines:
                        lines.write(json.dumps({**said, **asdict(found[-1])}) + "\n")
            print(f"| {items:,}, {noise:g}, {replicates} {row(found)} |", flush=True)
    print(f"\n{args.studies} studies each, {time.time() - started:.0f} s.")


def row(found: list[Alarms]) -> str:
    """Return the shares of some studies, in percent, as cells of a Markdown table."""
    names = ("compared", "contrasted", "significant", "ahead", "alone")
    shares = (100 * np.mean([getattr(one, name) for one in found]) for name in names)
    return "".join(f"| {share:.1f} " for share in shares).rstrip()


if __name__ == "__main__":
    main()
