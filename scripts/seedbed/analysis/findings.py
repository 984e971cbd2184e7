"""Whether a study shows what the paper found (arXiv 2409.19759), each finding by tests.

Every test is of a contrast: a weighted sum of the accuracies of cells. Its standard error holds the
test items, paired and clustered, and, where the task has replicates, what another draw of seeds and
another training run would change: the variance between replicates of one place, pooled over the
task, times the sum of the squared weights. That variance holds some of the items' noise a second
time, so intervals are rather too wide than too narrow.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from seedbed.analysis.comparisons import POWER
from seedbed.analysis.crossovers import sign_changes
from seedbed.analysis.fits import Fit
from seedbed.analysis.outcomes import (
    NO_AUGMENTER,
    ON_A_CURVE,
    Outcomes,
    clustered_standard_error,
)

ANSWERS, REPHRASED, NEW = "answer_augmentation", "question_rephrase", "new_question"

ABOUT = (
    "Tests of the four findings of arXiv 2409.19759 on this study's cells. estimate, low and high "
    "are fractions (of ln BR for the shift's place); a test is `found` where the whole interval is "
    "above nothing, `opposite` where it is below, and `open` otherwise. No adjustment is made for "
    "there being several."
)


@dataclass(frozen=True)
class Tested:
    """One test of a finding.

    Attributes:
        finding: number of the finding in the paper's order, 1 to 4.
        task: the task.
        student: the student.
        claim: what is tested, as a sentence that is true if the estimate is above 0.
        estimate: the contrast; None where it could not be had.
        low: lower end of its interval; None if it has none.
        high: upper end.
        verdict: "found", "open", "opposite", or "not in this study".
        noise: what the interval holds: "test items", or "test items, seeds and training".
        detectable: the smallest true contrast that such a test finds with 80% power; None where
            the interval has no end.
    """

    finding: int
    task: str
    student: str
    claim: str
    estimate: float | None
    low: float | None
    high: float | None
    verdict: str
    noise: str
    detectable: float | None


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
    fits: Sequence[Fit],
    augmenters: Sequence[str],
    confidence: float,
) -> dict[str, Any]:
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
    return {
        "about": ABOUT,
        "settings": {"confidence": confidence},
        "findings": [
            {
                "finding": number,
                "text": text,
                "tests": [asdict(test) for test in tests if test.finding == number],
            }
            for number, text in FINDINGS.items()
        ],
    }


class _Task:
    """The tests of one task, on the cells of the models that most of its cells have."""

    def __init__(self, outcomes: Outcomes, augmenters: Sequence[str], confidence: float) -> None:
        self.outcomes = outcomes
        self.confidence = confidence
        self.cells = outcomes.cells.with_row_index("row").filter(ON_A_CURVE)
        self.strength = {name: index for index, name in enumerate(augmenters)}
        self.variance, self.freedom = self._between_replicates()

    def _between_replicates(self) -> tuple[float, int]:
        place = ["method", "augmenter", "teacher", "seeds", "filter", "budget", "student"]
        accuracy = self.outcomes.correct.mean(axis=1)
        spread = (
            self.cells.with_columns(accuracy=pl.Series(accuracy[self.cells["row"].to_numpy()]))
            .group_by(place)
            .agg(pl.col("accuracy").var(ddof=1).alias("variance"), pl.len().alias("count"))
            .filter(pl.col("count") > 1)
        )
        freedom = int((spread["count"] - 1).sum()) if spread.height else 0
        if not freedom:
            return 0.0, 0
        return float((spread["variance"] * (spread["count"] - 1)).sum() / freedom), freedom

    def main(self, column: str, **among: str) -> str | None:
        """Return the value of a column that most cells have."""
        cells = self.cells.filter(*(pl.col(name) == value for name, value in among.items()))
        if column == "augmenter":
            cells = cells.filter(pl.col(column) != NO_AUGMENTER)
        counts = cells.group_by(column).len().sort(pl.col("len"), column, descending=[True, False])
        return counts[column][0] if counts.height else None

    def place(self, **coordinates: Any) -> dict[int, float]:
        """Return the rows of the replicates of a place, each with its share of the mean."""
        wanted = {"filter": "none", **coordinates}
        if wanted["method"] == ANSWERS:
            wanted["augmenter"] = NO_AUGMENTER
        rows = self.cells.filter(*(pl.col(name) == value for name, value in wanted.items()))[
            "row"
        ].to_list()
        return dict.fromkeys(rows, 1 / len(rows)) if rows else {}

    def contrast(
        self, *terms: tuple[float, Mapping[int, float]]
    ) -> tuple[float, float, float] | None:
        """Return a weighted sum of means of places with its interval; None if a place is empty."""
        from scipy.stats import norm, t

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
        whole = float(np.hypot(error, np.sqrt(self.variance * np.sum(weights**2))))
        level = 0.5 + self.confidence / 2
        z = float(t.ppf(level, self.freedom) if self.freedom else norm.ppf(level))
        estimate = float(by_item.mean())
        return estimate, estimate - z * whole, estimate + z * whole

    def test(
        self, finding: int, student: str, claim: str, found: tuple[float, float, float] | None
    ) -> Tested:
        """Return a test from its estimate and interval."""
        from scipy.stats import norm

        noise = "test items, seeds and training" if self.freedom else "test items"
        place = (finding, self.outcomes.task, student, claim)
        blank = Tested(*place, None, None, None, "not in this study", noise, None)
        if found is None:
            return blank
        estimate, low, high = found
        verdict = "found" if low > 0 else "opposite" if high < 0 else "open"
        # Half the interval is z standard errors; power takes a few more.
        needed = 1 + norm.ppf(POWER) / norm.ppf(0.5 + self.confidence / 2)
        return replace(
            blank,
            estimate=estimate,
            low=_finite(low),
            high=_finite(high),
            verdict=verdict,
            detectable=_finite(needed * (high - low) / 2),
        )

    def tests(self, fits: Sequence[Fit]) -> Iterator[Tested]:
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
            wanted = {"filter": "none", **at, "method": method}
            if method == ANSWERS:
                wanted["augmenter"] = NO_AUGMENTER
            found = self.cells.filter(*(pl.col(k) == v for k, v in wanted.items()))
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
        self, at: Mapping[str, str], fits: Sequence[Fit]
    ) -> Iterator[Tested]:
        shared = self._shared((ANSWERS, NEW), at)
        sizes = [seeds for seeds, budgets in shared.items() if len(budgets) > 1]
        if len(sizes) < 2:
            return
        few, many = sizes[0], sizes[-1]
        claim = "The shift from answer augmentation to new question comes later (in ln BR) "
        claim += f"with {few:,} seeds than with {many:,}."
        wanted = {"task": self.outcomes.task, "filter": "none", **at}
        fit = next(
            (fit for fit in fits if all(fit.record[k] == v for k, v in wanted.items())), None
        )
        found = None
        if fit is not None and fit.models:
            found = _difference_of_shifts(fit, few, many, self.confidence)
        test = self.test(1, at["student"], claim, found)
        yield replace(test, noise="test items, and as far as seen seeds and training")

    def _weak_augmenter(self, at: Mapping[str, str]) -> Iterator[Tested]:
        others = set(self.cells["augmenter"].to_list()) - {NO_AUGMENTER, at["augmenter"]}
        if not others:
            return
        weak = max(others, key=lambda name: (self.strength.get(name, -1), name))
        weak_at = at | {"augmenter": weak}
        places = [
            {"seeds": seeds, "budget": budget}
            for seeds, budgets in self._shared((REPHRASED, NEW), weak_at).items()
            for budget in budgets
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
            shifted = found and tuple(value + _LITTLE for value in found)
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
            less = gain and (_LITTLE - gain[0], _LITTLE - gain[2], _LITTLE - gain[1])
            yield self.test(3, at["student"], claim, less)
            terms = [*more, *((-f, p) for f, p in gains)]
            claim = f"The next larger budget gains more than answers that are {name} do."
            lead = self.contrast(*((f / count, p) for f, p in terms))
            yield self.test(3, at["student"], claim, lead)


_LITTLE = 0.03
"""Loss or gain that counts as little, a margin of ours: a fifth of the 15 points that the paper saw
new question lose by a weak augmenter."""


def _difference_of_shifts(
    fit: Fit, few: int, many: int, confidence: float
) -> tuple[float, float, float] | None:
    """Return by how much ln BR of the shift is larger with few seeds, with its interval.

    A resample without a shift in the range has it beyond the range's end, or before its start.
    """
    low = max(fit.means(s, m).ratios.min() for s in (few, many) for m in (ANSWERS, NEW))
    high = min(fit.means(s, m).ratios.max() for s in (few, many) for m in (ANSWERS, NEW))
    if low >= high:
        return None
    ratios = np.geomspace(low, high, 257)
    positions = np.log(ratios)
    places = []
    for seeds in (few, many):
        (answers, answer_draws) = fit.curve(seeds, ANSWERS, ratios)
        (new, new_draws) = fit.curve(seeds, NEW, ratios)
        rows = np.vstack([new - answers, new_draws - answer_draws])
        places.append(np.array([_shift_of(positions, row) for row in rows]))
    with np.errstate(invalid="ignore"):
        difference = places[0] - places[1]
    # Beyond the range in both: nothing is known of the difference.
    difference = np.where(np.isnan(difference), 0.0, difference)
    if not np.isfinite(difference[0]):
        return None
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    lowest, highest = np.quantile(difference[1:], tails, method="nearest")
    return float(difference[0]), float(lowest), float(highest)


def _shift_of(positions: np.ndarray, lead: np.ndarray) -> float:
    changes, first, _ = sign_changes(positions, lead)
    turns = [place for place, direction in changes if direction > 0]
    if turns:
        return turns[0]
    return -np.inf if first > 0 else np.inf


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def finding_text(test: Mapping[str, Any]) -> str:
    """Return a test as one line: its claim, its estimate with the interval, and the verdict."""
    if test["estimate"] is None:
        return f"{test['claim']} {test['verdict'].capitalize()}."
    logs = "ln BR" in test["claim"]

    def number(value: float | None) -> str:
        if value is None:
            return "beyond the range"
        return f"{value:+.2f}" if logs else f"{100 * value:+.1f}"

    unit = "" if logs else " points"
    unit += " to spare" if "less than" in test["claim"] else ""
    interval = f"{number(test['low'])} to {number(test['high'])}"
    text = f"{test['claim']} {number(test['estimate'])}{unit} ({interval}): {test['verdict']}"
    if test["verdict"] == "open" and test["detectable"] is not None:
        # Why nothing came out, as far as numbers can say.
        least = f"{test['detectable']:.2f}" if logs else f"{100 * test['detectable']:.1f} points"
        text += f", where {least} could be seen with 80% power"
    return f"{text}."
