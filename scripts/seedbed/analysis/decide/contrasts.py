"""Whether a study shows what the paper found (arXiv 2409.19759), each finding by tests.

Every test is of a contrast: a weighted sum of the accuracies of cells. Its variance is that of the
test items, paired and clustered, and, where the task has replicates, of what another draw of the
seeds (the same for all cells of a draw) and another training run would change: see `replicates`.
Quantiles are of the t distribution, with degrees of freedom by Satterthwaite (1946, doi
10.2307/3002019).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
import polars as pl
from pydantic import JsonValue

from seedbed.analysis.curves import Curves
from seedbed.analysis.curves.crossings import GRID_POINTS, sign_changes
from seedbed.analysis.curves.records import Subscripted
from seedbed.analysis.curves.replicates import noise_between_replicates
from seedbed.analysis.tables.comparisons import POWER
from seedbed.analysis.tables.outcomes import (
    NO_AUGMENTER,
    ON_A_CURVE,
    Outcomes,
    clustered_standard_error,
    resampled_accuracies,
)
from seedbed.records import Part, Record

ANSWERS, REPHRASED, NEW = "answer_augmentation", "question_rephrase", "new_question"

ABOUT = (
    "Tests of the four findings of arXiv 2409.19759 on this study's cells. estimate, low and high "
    "are fractions (of ln BR for the shift's place); a test is `found` where the whole interval is "
    "above nothing, `opposite` where it is below, and `open` otherwise. No adjustment is made for "
    "there being several."
)


class Tested(Subscripted, Part):
    """One test of a contrast.

    Attributes:
        finding: number of the contrast, from 1.
        task: the task.
        student: the student.
        claim: what is tested, as a sentence that is true if the estimate is above 0.
        estimate: the difference; None where it could not be computed.
        low: lower end of its interval; None if it has none.
        high: upper end.
        verdict: "found", "open", "opposite", or "not in this study".
        noise: what the interval holds: "test items", or "test items, seeds and training".
        detectable: the smallest true difference that such a test finds with 80% power; None where
            the interval has no end.
        unit: of the estimate: a fraction, or the logarithm of a budget ratio.
        margin: what the estimate holds beside the difference: how much of a loss counts as little.
    """

    finding: int
    task: str
    student: str
    claim: str
    estimate: float | None
    low: float | None
    high: float | None
    verdict: Literal["found", "open", "opposite", "not in this study"]
    noise: str
    detectable: float | None
    unit: Literal["accuracy", "ln BR"] = "accuracy"
    margin: float = 0.0


class ContrastRecord(Subscripted, Part):
    """A contrast that the study states, with its tests."""

    finding: int
    text: str
    tests: tuple[Tested, ...]
    name: str = ""


class ContrastsSettings(Part):
    """The coverage of the intervals."""

    confidence: float


class ContrastsRecord(Subscripted, Record):
    """`findings.json`."""

    about: str
    settings: ContrastsSettings
    findings: tuple[ContrastRecord, ...]
    provenance: dict[str, JsonValue] | None = None


FINDINGS = {
    1: "As the budget ratio grows, the best method shifts from answer augmentation to new prompts, "
    "and later with fewer seeds.",
    2: "Question rephrase is robust to a weak augmenter, new question is not.",
    3: "Keeping only verified answers gives little, measured by what more data gives.",
    4: "Another student shows the same pattern.",
}
"""The paper's findings, in our words."""


def check_findings(
    by_task: Mapping[str, Outcomes],
    fits: Sequence[Curves],
    augmenters: Sequence[str],
    confidence: float,
) -> ContrastsRecord:
    """Return the record that `findings.json` holds.

    Args:
        by_task: the outcomes of every task.
        fits: the fits, for where curves cross.
        augmenters: the study's augmenters, the strongest first.
        confidence: coverage of the intervals.
    """
    tests = [
        test
        for outcomes in by_task.values()
        for test in _Task(outcomes, augmenters, confidence).tests(fits)
    ]
    return ContrastsRecord(
        about=ABOUT,
        settings=ContrastsSettings(confidence=confidence),
        findings=tuple(
            ContrastRecord(
                finding=number,
                text=text,
                tests=tuple(test for test in tests if test.finding == number),
            )
            for number, text in FINDINGS.items()
        ),
    )


@dataclass(frozen=True)
class _Contrast:
    """A contrast: its estimate, its standard error, and the degrees of freedom of that."""

    estimate: float
    error: float
    freedom: float

    def interval(self, confidence: float) -> tuple[float, float, float]:
        """Return the estimate and its interval."""
        from scipy.stats import t

        half = float(t.ppf(0.5 + confidence / 2, self.freedom)) * self.error
        return self.estimate, self.estimate - half, self.estimate + half


_RESAMPLES = 400
"""Resamples of the test items that tell how much of replicates' differences is theirs."""


class _Task:
    """The tests of one task, on the cells of the models that most of its cells have."""

    def __init__(self, outcomes: Outcomes, augmenters: Sequence[str], confidence: float) -> None:
        self.outcomes = outcomes
        self.confidence = confidence
        self.cells = outcomes.cells.with_row_index("row").filter(ON_A_CURVE)
        self.strength = {name: index for index, name in enumerate(augmenters)}
        place = ["method", "augmenter", "teacher", "seeds", "filter", "budget", "student"]
        rows = self.cells["row"].to_numpy()
        self.noise = noise_between_replicates(
            self.cells.select(pl.struct(place).rank("dense")).to_series().to_numpy(),
            self.cells["seeds"].to_numpy().astype(float),
            self.cells["replicate"].to_numpy(),
            outcomes.correct[rows].mean(axis=1),
            resampled_accuracies(outcomes, _RESAMPLES, 0)[:, rows],
        )

    def main(self, column: str, **among: str) -> str | None:
        """Return the value of a column that most cells have."""
        cells = self.cells.filter(*(pl.col(name) == value for name, value in among.items()))
        if column == "augmenter":
            cells = cells.filter(pl.col(column) != NO_AUGMENTER)
        counts = cells.group_by(column).len().sort(pl.col("len"), column, descending=[True, False])
        return counts[column][0] if counts.height else None

    def of(self, **coordinates: Any) -> pl.DataFrame:
        """Return the cells of some coordinates, without a filter if none is named."""
        wanted = {"filter": "none", **coordinates}
        if wanted["method"] == ANSWERS:
            wanted["augmenter"] = NO_AUGMENTER
        return self.cells.filter(*(pl.col(name) == value for name, value in wanted.items()))

    def place(self, **coordinates: Any) -> dict[int, float]:
        """Return the rows of the replicates of a place, each with its share of the mean."""
        rows = self.of(**coordinates)["row"].to_list()
        return dict.fromkeys(rows, 1 / len(rows)) if rows else {}

    def contrast(self, *terms: tuple[float, Mapping[int, float]]) -> _Contrast | None:
        """Return a weighted sum of means of places; None if a place is empty."""
        if not all(places for _, places in terms):
            return None
        weights = np.zeros(len(self.outcomes.correct))
        for factor, places in terms:
            for row, share in places.items():
                weights[row] += factor * share
        by_item = weights @ self.outcomes.correct
        error = clustered_standard_error(by_item, self.outcomes.clusters)
        if error is None:
            return None
        of_draws = (
            self.cells.with_columns(weight=pl.Series(weights[self.cells["row"].to_numpy()]))
            .group_by("seeds", "replicate")
            .agg(pl.col("weight").sum())
        )
        spread = float((of_draws["weight"] ** 2 / of_draws["seeds"]).sum())
        parts = [
            (error**2, self.outcomes.cluster_count - 1),
            (self.noise.seed_variance * spread, self.noise.draw_freedom),
            (self.noise.run_variance * float(np.sum(weights**2)), self.noise.run_freedom),
        ]
        whole = sum(variance for variance, _ in parts)
        # Satterthwaite's: the variance's own variance is the sum of those of its parts.
        doubt = sum(variance**2 / freedom for variance, freedom in parts if variance > 0)
        freedom = whole**2 / doubt if doubt > 0 else float(self.outcomes.cluster_count - 1)
        return _Contrast(float(by_item.mean()), float(np.sqrt(whole)), freedom)

    def test(self, finding: int, student: str, claim: str, found: _Contrast | None) -> Tested:
        """Return a test of whether a contrast is above nothing."""
        from scipy.stats import t

        if found is None:
            return self.tested(finding, student, claim, None, None)
        quantiles = t.ppf([0.5 + self.confidence / 2, POWER], found.freedom)
        detectable = float(sum(quantiles) * found.error)
        return self.tested(finding, student, claim, found.interval(self.confidence), detectable)

    def tested(
        self,
        finding: int,
        student: str,
        claim: str,
        found: tuple[float | None, float, float] | None,
        detectable: float | None,
    ) -> Tested:
        """Return a test from its estimate and interval."""
        noise = "test items, seeds and training" if self.noise.run_freedom else "test items"
        estimate, low, high = found or (None, None, None)
        verdict = "not in this study"
        if found is not None:
            verdict = "found" if low > 0 else "opposite" if high < 0 else "open"
        return Tested(
            finding=finding,
            task=self.outcomes.task,
            student=student,
            claim=claim,
            estimate=estimate,
            low=_finite(low),
            high=_finite(high),
            verdict=verdict,
            noise=noise,
            detectable=detectable,
        )

    def tests(self, fits: Sequence[Curves]) -> Iterator[Tested]:
        """Yield the tests of all findings that the task has cells for."""
        student, teacher = self.main("student"), self.main("teacher")
        augmenter = self.main("augmenter")
        if student is None or augmenter is None:
            return
        at = {"student": student, "teacher": teacher, "augmenter": augmenter}
        yield from self._shift(1, at)
        yield from self._later_with_fewer_seeds(at, fits)
        yield from self._weak_augmenter(at)
        yield from self._verification(at)
        for other in self.cells["student"].unique().sort().to_list():
            if other != student:
                yield from self._shift(4, at | {"student": other})

    def _shared(self, methods: Sequence[str], at: Mapping[str, Any]) -> dict[int, list[int]]:
        """Return the budgets that methods have in common, by seed-set size."""
        common = None
        for method in methods:
            found = self.of(**at, method=method)
            places = set(found.select("seeds", "budget").unique().rows())
            common = places if common is None else common & places
        shared: dict[int, list[int]] = {}
        for seeds, budget in sorted(common or ()):
            shared.setdefault(seeds, []).append(budget)
        return shared

    def _shift(self, finding: int, at: Mapping[str, str]) -> Iterator[Tested]:
        for seeds, budgets in self._shared((ANSWERS, NEW), at).items():
            if len(budgets) < 2:
                continue
            ends = ((budgets[0], 1, "ahead of"), (budgets[-1], -1, "behind"))
            for budget, sign, words in ends:
                place = at | {"seeds": seeds, "budget": budget}
                found = self.contrast(
                    (sign, self.place(method=ANSWERS, **place)),
                    (-sign, self.place(method=NEW, **place)),
                )
                claim = f"With {seeds:,} seeds, answer augmentation is {words} new question at BR "
                yield self.test(finding, at["student"], f"{claim}{budget / seeds:.3g}.", found)

    def _later_with_fewer_seeds(
        self, at: Mapping[str, str], fits: Sequence[Curves]
    ) -> Iterator[Tested]:
        shared = self._shared((ANSWERS, NEW), at)
        few, *more = [seeds for seeds, budgets in shared.items() if len(budgets) > 1] or [0]
        wanted = {"task": self.outcomes.task, "filter": "none", **at}
        fit = next((fit for fit in fits if asdict(fit.group) == wanted), None)
        for many in more:
            claim = "The shift from answer augmentation to new question comes later (in ln BR) "
            claim += f"with {few:,} seeds than with {many:,}."
            found = None
            if fit is not None and fit.models:
                found = _difference_of_shifts(fit, few, many, self.confidence)
            detectable = None
            if found is not None and np.isfinite(found[1:]).all():
                detectable = _detectable((found[2] - found[1]) / 2, self.confidence)
            test = self.tested(1, at["student"], claim, found, detectable)
            yield test.model_copy(
                update={"noise": "test items, and as far as seen seeds and training"}
            )

    def _weak_augmenter(self, at: Mapping[str, str]) -> Iterator[Tested]:
        used = set(self.cells["augmenter"].to_list()) & self.strength.keys()
        # The strongest is the main one, unless that is the weakest of all.
        *stronger, weak = sorted(used, key=lambda name: self.strength[name]) or [""]
        if not stronger:
            return
        strong = at["augmenter"] if at["augmenter"] in stronger else stronger[0]
        at, weak_at = at | {"augmenter": strong}, at | {"augmenter": weak}
        places = [
            {"seeds": seeds, "budget": budget}
            for seeds, budgets in self._shared((REPHRASED, NEW), weak_at).items()
            for budget in budgets
            if budget in self._shared((REPHRASED, NEW), at).get(seeds, [])
        ]

        def loss(method: str, place: Mapping[str, Any], factor: float) -> Iterator[Any]:
            yield factor, self.place(method=method, **(dict(at) | dict(place)))
            yield -factor, self.place(method=method, **(weak_at | dict(place)))

        for place in places:
            where = f"with {place['seeds']:,} seeds at BR {place['budget'] / place['seeds']:.3g}"
            yield self.test(
                2,
                at["student"],
                f"New question loses by the weak augmenter {where}.",
                self.contrast(*loss(NEW, place, 1)),
            )
            yield self.test(
                2,
                at["student"],
                f"New question loses more by it than question rephrase {where}.",
                self.contrast(*loss(NEW, place, 1), *loss(REPHRASED, place, -1)),
            )
            # Robustness is a loss that is small: within a margin, which is ours.
            found = self.contrast(*loss(REPHRASED, place, -1))
            shifted = found and replace(found, estimate=found.estimate + _LITTLE)
            claim = f"Question rephrase loses less than {100 * _LITTLE:g} points by it {where}."
            yield self.test(2, at["student"], claim, shifted)

    def _verification(self, at: Mapping[str, str]) -> Iterator[Tested]:
        """Test what verification gives at a budget against what the next larger budget gives."""
        for kind in ("verified", "verified_matched"):
            gains, more = [], []
            for method in (ANSWERS, REPHRASED, NEW):
                verified = self._shared((method,), at | {"filter": kind})
                for seeds, budgets in verified.items():
                    plain = self._shared((method,), at).get(seeds, [])
                    for budget in budgets:
                        larger = [other for other in plain if other > budget]
                        if budget not in plain or not larger:
                            continue
                        where = dict(at) | {"seeds": seeds, "method": method}
                        same = self.place(budget=budget, **where)
                        kept = self.place(budget=budget, **(where | {"filter": kind}))
                        gains += [(1, kept), (-1, same)]
                        more += [(1, self.place(budget=larger[0], **where)), (-1, same)]
            if not gains:
                continue
            count = len(gains) / 2
            name = kind.replace("_", " ")
            gain = self.contrast(*((f / count, p) for f, p in gains))
            claim = f"Answers that are {name} gain less than {100 * _LITTLE:g} points over all."
            less = gain and replace(gain, estimate=_LITTLE - gain.estimate)
            yield self.test(3, at["student"], claim, less)
            terms = [*more, *((-f, p) for f, p in gains)]
            claim = f"The next larger budget gains more than answers that are {name} do."
            lead = self.contrast(*((f / count, p) for f, p in terms))
            yield self.test(3, at["student"], claim, lead)


_LITTLE = 0.03
"""Loss or gain that counts as little, a margin of ours: a fifth of the 15 points that the paper saw
new question lose by a weak augmenter."""


def _detectable(half: float, confidence: float) -> float:
    """Return what a test finds with 80% power, from half its interval, taken for normal."""
    from scipy.stats import norm

    return half * float(1 + norm.ppf(POWER) / norm.ppf(0.5 + confidence / 2))


def _difference_of_shifts(
    fit: Curves, few: int, many: int, confidence: float
) -> tuple[float | None, float, float] | None:
    """Return by how much ln BR of the shift is larger with few seeds, with its interval.

    Each size has the range of its own cells. A shift that is not in it lies before or beyond it, so
    that a difference may be known to lie above or below a number only; the interval's low end is of
    the least that the resamples' differences can be, its high end of the most. The estimate is None
    where it is not one number.
    """
    places = [_shifts(fit, seeds) for seeds in (few, many)]
    if None in places:
        return None
    (few_least, few_most), (many_least, many_most) = places
    least, most = few_least - many_most, few_most - many_least
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    low = float(np.quantile(least[1:], tails[0], method="lower"))
    high = float(np.quantile(most[1:], tails[1], method="higher"))
    return (float(least[0]) if least[0] == most[0] else None), low, high


def _shifts(fit: Curves, seeds: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the least and the most that ln BR of the shift can be.

    Of the curves first, then of each resample; None without a range in common.
    """
    means = [fit.means(seeds, method) for method in (ANSWERS, NEW)]
    low = max(series.ratios.min() for series in means)
    high = min(series.ratios.max() for series in means)
    if low >= high:
        return None
    ratios = np.geomspace(low, high, GRID_POINTS)
    (answers, answer_draws), (new, new_draws) = (
        fit.curve(seeds, method, ratios) for method in (ANSWERS, NEW)
    )
    leads = np.vstack([new - answers, new_draws - answer_draws])
    found = [_shift_of(np.log(ratios), lead) for lead in leads]
    return tuple(np.array(found).T)


def _shift_of(positions: np.ndarray, lead: np.ndarray) -> tuple[float, float]:
    """Return the least and the most that the place of the first turn to a lead can be."""
    changes, first, _ = sign_changes(positions, lead)
    turns = [place for place, direction in changes if direction > 0]
    if turns:
        return turns[0], turns[0]
    if first > 0:
        return -np.inf, float(positions[0])
    return float(positions[-1]), np.inf


def _finite(value: float | None) -> float | None:
    return float(value) if value is not None and np.isfinite(value) else None


def finding_text(test: Mapping[str, Any]) -> str:
    """Return a test as one line: its claim, its estimate with the interval, and the verdict."""
    if test["verdict"] == "not in this study":
        return f"{test['claim']} {test['verdict'].capitalize()}."
    logs = "ln BR" in test["claim"]

    def number(value: float | None) -> str:
        if value is None:
            return "no limit"
        return f"{value:+.2f}" if logs else f"{100 * value:+.1f}"

    unit = "" if logs else " points"
    unit += " to spare" if "less than" in test["claim"] else ""
    interval = f"{number(test['low'])} to {number(test['high'])}"
    estimate = "no estimate" if test["estimate"] is None else number(test["estimate"]) + unit
    text = f"{test['claim']} {estimate} ({interval}): {test['verdict']}"
    if test["verdict"] == "open" and test["detectable"] is not None:
        # Why nothing came out, as far as numbers can say.
        least = f"{test['detectable']:.2f}" if logs else f"{100 * test['detectable']:.1f} points"
        text += f", where {least} could be seen with 80% power"
    return f"{text}."
