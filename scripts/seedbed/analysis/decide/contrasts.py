"""Tests of a study's contrasts on its cells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, TypedDict

import numpy as np
import polars as pl
from pydantic import JsonValue

from seedbed.analysis.curves import Curves, Difference, Measured, noise_between_runs
from seedbed.analysis.decide.costs import CellUse, Prices, cell_costs
from seedbed.analysis.decide.settings import (
    STRONG,
    WEAK,
    Contrast,
    ContrastPoint,
    ContrastTest,
    NamedContrast,
)
from seedbed.analysis.tables.comparisons import POWER
from seedbed.analysis.tables.outcomes import NO_AUGMENTER, Outcomes
from seedbed.config.words import NONE
from seedbed.records import Part, Record

ABOUT = (
    "Tests of the study's contrasts on its cells. estimate, low and high are fractions or "
    "differences of ln BR, as unit says, and include the margin. A test is `found` if its whole "
    "interval is above 0, `opposite` if it is below 0, and `open` otherwise. Tests are not "
    "adjusted for their number."
)


Verdict = Literal["found", "open", "opposite", "not in this study"]


class ContrastResult(Part):
    """The result of one test of a contrast.

    Attributes:
        finding: number of the contrast, from 1.
        task: the task.
        student: the student.
        claim: the tested claim, a sentence that is true if the estimate is above 0.
        estimate: the difference; None where it could not be computed.
        low: lower end of its interval; None if it has none.
        high: upper end.
        verdict: "found", "open", "opposite", or "not in this study".
        noise: sources of noise in the interval: "test items, seeds and training" with replicates,
            else "test items, and training as the model estimates it".
        detectable: the smallest true difference that such a test finds with 80% power; None if an
            end of the interval is infinite.
        unit: unit of the estimate: accuracy, a fraction, or the logarithm of a budget ratio.
        margin: loss that still supports the claim; the estimate includes it.
    """

    finding: int
    task: str
    student: str
    claim: str
    estimate: float | None
    low: float | None
    high: float | None
    verdict: Verdict
    noise: str
    detectable: float | None
    unit: Literal["accuracy", "ln BR"]
    margin: float


class ContrastRecord(Part):
    """A contrast that the study states, with its tests."""

    finding: int
    text: str
    tests: tuple[ContrastResult, ...]
    name: str = ""


class ContrastsSettings(Part):
    """The coverage of the intervals."""

    confidence: float


class ContrastsRecord(Record):
    """`findings.json`."""

    about: str
    settings: ContrastsSettings
    findings: tuple[ContrastRecord, ...]
    provenance: dict[str, JsonValue] | None = None


def check_contrasts(
    by_task: Mapping[str, Outcomes],
    fits: Sequence[Curves],
    contrasts: Sequence[NamedContrast],
    augmenters: Sequence[str],
    confidence: float,
    prices: Prices | None = None,
) -> ContrastsRecord:
    """Test the contrasts of a study.

    Args:
        by_task: the outcomes of every task.
        fits: the curves, for tests of crossovers.
        contrasts: the contrasts to test.
        augmenters: the study's augmenters, the strongest first.
        confidence: coverage of the intervals.
        prices: prices of tokens by model, for tests at equal dollars.
    """
    runs = noise_between_runs(fits)
    tasks = [
        _Task(Measured(one, runs), augmenters, fits, confidence, prices or {})
        for one in by_task.values()
    ]
    return ContrastsRecord(
        about=ABOUT,
        settings=ContrastsSettings(confidence=confidence),
        findings=tuple(
            ContrastRecord(
                finding=number,
                name=contrast.name,
                text=contrast.sentence,
                tests=tuple(test for task in tasks for test in task.tests(number, contrast)),
            )
            for number, contrast in enumerate(contrasts, start=1)
        ),
    )


@dataclass(frozen=True)
class _Place:
    """The coordinates of a test, which fill the placeholders of its claim."""

    student: str
    filter: str
    method: str | None
    seeds: int
    budget: int

    @property
    def words(self) -> dict[str, str]:
        return {
            "student": self.student.replace("_", " "),
            "filter": self.filter.replace("_", " "),
            "method": (self.method or "").replace("_", " "),
            "seeds": f"{self.seeds:,}",
            "budget": f"{self.budget:,}",
            "budget_ratio": f"{self.budget / self.seeds:.3g}",
        }


class _Task:
    """The tests of one task, by default on cells of its most frequent models."""

    def __init__(
        self,
        measured: Measured,
        augmenters: Sequence[str],
        fits: Sequence[Curves],
        confidence: float,
        prices: Prices,
    ) -> None:
        self.measured = measured
        self.confidence = confidence
        self.prices = prices
        self.fits = [fit for fit in fits if fit.group.task == measured.task]
        cells = measured.cells
        self.student = _most(cells["student"])
        self.teacher = _most(cells["teacher"])
        self.augmenter = _most(cells["augmenter"].filter(cells["augmenter"] != NO_AUGMENTER))
        self.used = [name for name in augmenters if name in set(cells["augmenter"])]

    def tests(self, number: int, contrast: Contrast) -> Iterator[ContrastResult]:
        """Yield the tests of a contrast for which the task has cells, sorted by place."""
        if self.augmenter is None:
            return
        found = [
            test
            for one in contrast.tests
            for student in self._students(one)
            for test in (
                self._crossovers(number, one, student)
                if one.crossover is not None
                else self._differences(number, one, student)
            )
        ]
        # The sort is stable: tests at the same place keep the order of the file.
        yield from (test for _, test in sorted(found, key=lambda pair: pair[0]))

    def _students(self, test: ContrastTest) -> list[str]:
        if test.student == "main":
            return [self.student] if self.student is not None else []
        return sorted({*self.measured.cells["student"]} - {self.student})

    # --- differences of accuracy

    def _differences(
        self, number: int, test: ContrastTest, student: str
    ) -> Iterator[tuple[tuple[Any, ...], ContrastResult]]:
        points = (*test.better, *test.worse, *test.measured)
        for order, kind in enumerate(test.filters):
            places = [
                place
                for method in test.methods or (None,)
                for place in self._places(points, test.budget, student, kind, method)
            ]
            for together in [places] if test.pooled and places else [[one] for one in places]:
                weights: dict[int, float] = {}
                for place in together:
                    for sign, side in ((1, test.better), (-1, test.worse)):
                        for point in side:
                            factor = sign * point.weight / len(together)
                            for row, share in self._mean(point, place, points).items():
                                weights[row] = weights.get(row, 0.0) + factor * share
                difference = self.measured.contrast(weights)
                at = (np.inf, np.inf) if test.pooled else (together[0].seeds, together[0].budget)
                claim = test.claim.format(**together[0].words)
                tested = self._tested(number, student, claim, difference, test.margin)
                yield (student, *at, order), tested
            if not places:
                yield from self._unpriced(number, test, student, kind, order)

    def _unpriced(
        self, number: int, test: ContrastTest, student: str, kind: str, order: int
    ) -> Iterator[tuple[tuple[Any, ...], ContrastResult]]:
        """Yield a result that names the unknown costs, at the first place that lacks only these."""
        points = (*test.better, *test.worse, *test.measured)
        known = [point for point in points if point.budget != "equal_usd"]
        if len(known) == len(points):
            return
        for method in test.methods or (None,):
            for place in self._places(known, test.budget, student, kind, method):
                found = [
                    self._cells(point, student, kind, method)
                    .filter(pl.col("seeds") == place.seeds * point.seeds_times)
                    .to_dicts()
                    for point in points
                ]
                lacking = {one for cells in found for cell in cells for one in self._usd(cell)[1]}
                if all(found) and lacking:
                    claim = test.claim.format(**place.words).removesuffix(".")
                    claim += f" (not known: {', '.join(sorted(lacking))})"
                    tested = self._tested(number, student, claim, None, test.margin)
                    yield (student, place.seeds, place.budget, order), tested
                    return

    def _places(
        self,
        points: Sequence[ContrastPoint],
        budget: str,
        student: str,
        kind: str,
        method: str | None,
    ) -> list[_Place]:
        """Return the places at which all points were measured, by seeds and budget."""
        common: set[tuple[int, int]] | None = None
        for point in points:
            cells = self._cells(point, student, kind, method)
            found = set(cells.select("seeds", "budget").unique().rows())
            if not point.at_the_test:
                # Places without this point are removed below.
                continue
            common = found if common is None else common & found
        places = [_Place(student, kind, method, *at) for at in sorted(common or ())]
        places = [one for one in places if all(self._mean(point, one, points) for point in points)]
        if budget == "each":
            return places
        ends = []
        for seeds in dict.fromkeys(place.seeds for place in places):
            of_size = [place for place in places if place.seeds == seeds]
            if len(of_size) > 1:
                ends.append(of_size[0 if budget == "lowest" else -1])
        return ends

    def _cells(
        self, point: ContrastPoint, student: str, kind: str, method: str | None
    ) -> pl.DataFrame:
        cells = self.measured.cells
        augmenter = self._augmenter(point.augmenter)
        return cells.filter(
            pl.col("student") == (point.student or student),
            pl.col("teacher") == (point.teacher or self.teacher),
            pl.col("filter") == (point.filter or kind),
            pl.col("method") == (point.method or method),
            pl.col("augmenter").is_in([augmenter, NO_AUGMENTER]),
        )

    def _augmenter(self, word: str | None) -> str | None:
        if word is None:
            return self.augmenter
        if word not in (STRONG, WEAK):
            return word
        if len(self.used) < 2:
            # A single augmenter is neither strong nor weak.
            return None
        *stronger, weak = self.used
        if word == WEAK:
            return weak
        return self.augmenter if self.augmenter in stronger else stronger[0]

    def _mean(
        self, point: ContrastPoint, place: _Place, points: Sequence[ContrastPoint]
    ) -> Mapping[int, float]:
        """Return the mean over the replicates of a point, as weights of rows; empty if none.

        Args:
            point: the point.
            place: the coordinates of the test.
            points: all points of the test; the first one at the place defines the dollars.
        """
        cells = self._cells(point, place.student, place.filter, place.method)
        cells = cells.filter(pl.col("seeds") == place.seeds * point.seeds_times)
        rows = {
            budget: part["row"].to_list()
            for (budget,), part in cells.sort("budget").group_by("budget", maintain_order=True)
        }
        if point.budget == "next":
            larger = [budget for budget in rows if budget > place.budget]
            return _weights([1.0], [rows[larger[0]]], 1.0) if larger else {}
        if point.budget == "same" and point.budget_times == 1:
            return _weights([1.0], [rows[place.budget]], 1.0) if place.budget in rows else {}
        if point.budget == "same":
            return _weights([*rows], [*rows.values()], place.budget * point.budget_times)
        first = next(other for other in points if other.at_the_test)
        reference = self._cells(first, place.student, place.filter, place.method).filter(
            pl.col("seeds") == place.seeds, pl.col("budget") == place.budget
        )
        wanted = self._mean_usd(reference)
        costs = [self._mean_usd(cells.filter(pl.col("budget") == budget)) for budget in rows]
        known = [cost for cost in costs if cost is not None and cost > 0]
        if wanted is None or wanted <= 0 or len(known) < len(costs):
            return {}
        return _weights(known, [*rows.values()], wanted)

    def _usd(self, cell: Mapping[str, object]) -> tuple[float | None, list[str]]:
        """Return the cost of a cell's data in dollars, and its unknown parts."""
        # The cost of training is left out: tests at equal dollars compare the cost of data.
        use = replace(CellUse.of(cell), student=NO_AUGMENTER)
        costs, unknown = cell_costs(use, self.prices)
        return costs["usd"], unknown if costs["usd"] is None else []

    def _mean_usd(self, cells: pl.DataFrame) -> float | None:
        """Return the mean cost of replicates in dollars; None if one is not known."""
        found = [self._usd(cell)[0] for cell in cells.to_dicts()]
        known = [cost for cost in found if cost is not None]
        return sum(known) / len(known) if known and len(known) == len(found) else None

    # --- crossovers

    def _crossovers(
        self, number: int, test: ContrastTest, student: str
    ) -> Iterator[tuple[tuple[Any, ...], ContrastResult]]:
        if test.crossover is None:
            return
        pair = (test.crossover.before, test.crossover.after)
        points = [ContrastPoint(method=method) for method in pair]
        places = self._places(points, "lowest", student, NONE, None)
        sizes = [place.seeds for place in places]
        wanted = {"student": student, "teacher": self.teacher, "augmenter": self.augmenter}
        wanted |= {"task": self.measured.task, "filter": NONE}
        fit = next((fit for fit in self.fits if asdict(fit.group) == wanted), None)
        for many in sizes[1:]:
            delay = fit.crossover_delay(pair, sizes[0], many, self.confidence) if fit else None
            estimate, low, high = delay or (None, None, None)
            words = {"few": f"{sizes[0]:,}", "many": f"{many:,}"}
            tested = ContrastResult(
                finding=number,
                task=self.measured.task,
                student=student,
                claim=test.claim.format(**words, student=student.replace("_", " ")),
                noise="test items, and the noise of seeds and training that the fit sees",
                unit="ln BR",
                margin=0.0,
                **_verdict(estimate, low, high, self.confidence),
            )
            yield (student, np.inf, np.inf, many), tested

    def _tested(
        self, number: int, student: str, claim: str, found: Difference | None, margin: float
    ) -> ContrastResult:
        """Return a test of whether a difference plus the margin is above 0."""
        outcome = _verdict(None, None, None, self.confidence)
        if found is not None:
            found += margin
            outcome = _verdict(found.estimate, *found.interval(self.confidence), self.confidence)
            outcome["detectable"] = found.detectable(self.confidence, POWER)
        return ContrastResult(
            finding=number,
            task=self.measured.task,
            student=student,
            claim=claim,
            noise=self.measured.covers,
            unit="accuracy",
            margin=margin,
            **outcome,
        )


def _weights(
    amounts: Sequence[float], rows: Sequence[Sequence[int]], wanted: float
) -> Mapping[int, float]:
    """Return the weights of rows whose sum is the accuracy at an amount; empty beyond all amounts.

    Args:
        amounts: ascending budgets or costs.
        rows: the replicates at each amount.
        wanted: the amount; between two, the accuracy is interpolated in the logarithm.
    """
    for amount, replicates in zip(amounts, rows, strict=True):
        if np.isclose(amount, wanted, rtol=1e-9):
            return dict.fromkeys(replicates, 1 / len(replicates))
    above = int(np.searchsorted(amounts, wanted))
    if not 0 < above < len(amounts):
        return {}
    low, high = np.log(amounts[above - 1]), np.log(amounts[above])
    share = float((np.log(wanted) - low) / (high - low))
    return {
        row: part / len(replicates)
        for part, replicates in ((1 - share, rows[above - 1]), (share, rows[above]))
        for row in replicates
    }


def _most(values: pl.Series) -> str | None:
    """Return the most frequent value; of several, the first in alphabetical order."""
    counts = values.value_counts().sort("count", values.name, descending=[True, False])
    return counts[values.name][0] if counts.height else None


class _Outcome(TypedDict):
    """The outcome of a test, as fields of its result."""

    estimate: float | None
    low: float | None
    high: float | None
    verdict: Verdict
    detectable: float | None


def _verdict(
    estimate: float | None, low: float | None, high: float | None, confidence: float
) -> _Outcome:
    """Return the outcome of a test, from its interval, whose ends are None without a test."""
    verdict: Verdict = "not in this study"
    detectable = None
    if low is not None and high is not None:
        verdict = "found" if low > 0 else "opposite" if high < 0 else "open"
        detectable = _detectable((high - low) / 2, confidence)
    return {
        "estimate": estimate,
        "low": _finite(low),
        "high": _finite(high),
        "verdict": verdict,
        "detectable": detectable,
    }


def _detectable(half: float, confidence: float) -> float | None:
    """Return the difference that a test finds with 80% power, assuming a normal distribution.

    Args:
        half: half of the width of its interval.
        confidence: coverage of the interval.
    """
    from scipy.stats import norm

    if not np.isfinite(half):
        return None
    return half * float(1 + norm.ppf(POWER) / norm.ppf(0.5 + confidence / 2))


def _finite(value: float | None) -> float | None:
    return float(value) if value is not None and np.isfinite(value) else None
