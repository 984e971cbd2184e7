"""The data behind the page's controls: the advice at each of their positions, as text and numbers.

The function behind `snakemake advise` computes the advice on a grid of seeds and budgets, and
`sentences` phrases it. The page's script only inserts the texts and draws the charts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from seedbed.analysis.curves import Curves
from seedbed.analysis.decide.advise import (
    Advice,
    Stretch,
    advise,
    leaders,
    merged,
    prospects,
    reach,
    stretches_of,
)
from seedbed.analysis.decide.choices import Spending
from seedbed.analysis.decide.costs import Prices, cost_line
from seedbed.analysis.decide.design import further_cells
from seedbed.analysis.report import sentences as say
from seedbed.analysis.report.charts.places import all_methods, group_titles, with_curves
from seedbed.analysis.report.charts.theme import colour
from seedbed.analysis.report.page.plots import STRIPES, plots
from seedbed.analysis.settings import Titles

SIZES = 7
BUDGETS = 25
TARGETS = 21
"""Numbers of positions of the controls for seeds, budget and the accuracy to reach."""

HEADS = {
    "budget": (
        "choice",
        "queries",
        "accuracy, %",
        "interval",
        "best in, %",
        "regret, points",
        "cost",
    ),
    "reach": (
        "choice",
        "queries",
        "accuracy, %",
        "interval",
        "reached in, %",
        "beyond the data",
        "cost",
    ),
}
"""Column heads of the table of choices, for a question about a budget or about an accuracy."""

_STEP = 1.1
"""Factor between successive budgets in the search for one that reaches an accuracy."""

_BEYOND = 2.0
"""Factor by which the budget control extends beyond the highest measured budget ratio."""


@dataclass(frozen=True)
class _Explored:
    """A fit with the settings of its advice."""

    fit: Curves
    titles: Titles
    confidence: float
    prices: Prices
    money: bool

    def size(self, seeds: int) -> dict[str, object] | None:
        """Return the page's data for a number of seeds; None if no budget has advice."""
        further = further_cells(self.fit, seeds, self.prices)
        spending = Spending.of(self.fit, seeds, self.prices)
        found: list[Advice] = []
        for budget in self.budgets(seeds):
            asked = {"usd": budget} if self.money else {"budget": int(budget)}
            try:
                advice = advise(
                    self.fit,
                    seeds,
                    confidence=self.confidence,
                    prices=self.prices,
                    further=further,
                    spending=spending,
                    **asked,
                )
            except ValueError:
                # No method has such a budget, for example because the money is too little.
                continue
            found.append(advice)
        if not found:
            return None
        measured = [] if self.money else self.fit.cells(seeds)
        stretches = self.stretches(seeds, found)
        return {
            "seeds": seeds,
            "shown": f"{seeds:,}",
            "spoken": f"{seeds:,} seeds",
            "rows": [self.row(advice) for advice in found],
            "reach": [] if self.money else self.reach(seeds, spending),
            "curves": [self.point(advice, entry) for advice in found for entry in advice.alone]
            + [
                {
                    "kind": "cell",
                    "at": cell.budget_ratio,
                    "method": self.titles.title(cell.method),
                    "accuracy": _percent(cell.accuracy),
                    "budget": f"{cell.budget:,} teacher queries",
                    "expected": f"{say.percent(cell.accuracy)}% measured",
                }
                for cell in measured
            ],
            "curves_text": say.curves_text(seeds, bool(measured)),
            "map": self.tiles(seeds, stretches),
            "map_text": say.map_text(seeds, self.leaders(seeds, stretches)),
        }

    def budgets(self, seeds: int) -> list[float]:
        """Return the budgets at the control's positions, in queries or dollars."""
        cells = self.fit.record.cells
        if not self.money:
            ratios = [cell.budget_ratio for cell in cells]
            ends = min(ratios) * seeds, max(ratios) * seeds * _BEYOND
            between = np.geomspace(*ends, BUDGETS).round().astype(int)
            known = {cell.budget for cell in cells if cell.seeds == seeds}
            return sorted({*known, *between.tolist()})
        nearest = self.fit.nearest_size(seeds)
        lines = [
            cost_line(self.fit, nearest, method, "usd", self.prices)[0]
            for method in self.fit.methods
            if self.fit.cells(nearest, method)
        ]
        known_lines = [line for line in lines if line is not None]
        if not lines or len(known_lines) < len(lines):
            return []
        ends = (
            max(line.amounts[0] for line in known_lines),
            max(line.amounts[-1] for line in known_lines),
        )
        # Two digits, as a person would type them.
        return sorted({float(f"{amount:.2g}") for amount in np.geomspace(*ends, BUDGETS)})

    def place(self, advice: Advice) -> float:
        """Return the position of a budget on the charts' axis."""
        return (advice.usd or 0.0) if advice.budget is None else advice.budget / advice.seeds

    def budget(self, advice: Advice) -> str:
        """Return a budget as text."""
        if advice.budget is None:
            return say.money(advice.usd)
        return f"{advice.budget:,} teacher queries"

    def leading(self, advice: Advice) -> tuple[str, ...]:
        """Return the best method and the methods tied with it, in the study's order."""
        best = {entry.method for entry in advice.leading}
        return tuple(method for method in self.fit.methods if method in best)

    def row(self, advice: Advice) -> dict[str, object]:
        """Return the page's content for one position of its controls."""
        budget, title = self.budget(advice), self.titles.title
        shown = budget
        if advice.budget is not None:
            shown = say.queries_text(advice.budget, advice.seeds)
        return {
            "at": advice.usd if advice.budget is None else advice.budget,
            "x": self.place(advice),
            "shown": shown,
            "spoken": budget,
            "said": say.advice_sentences(advice, shown, title),
            "notes": say.advice_notes(advice, title),
            "outlook": [
                [
                    say.choice_title(entry, title),
                    f"{entry.budget:,}",
                    say.percent(entry.accuracy),
                    say.span(entry.low, entry.high),
                    f"{100 * entry.probability_best:.0f}",
                    say.percent(entry.expected_regret),
                    say.money(entry.costs.get("usd")),
                ]
                for entry in advice.outlook
            ],
            "next_text": say.next_text(advice) if advice.design else "",
            "next": [
                [
                    f"{say.choice_text(cell, title)}, {say.next_cell_text(cell)}",
                    f"{cell.seeds:,}",
                    f"{cell.budget:,}",
                    say.queries_to_ask(cell),
                    say.money(cell.usd),
                    say.points(cell.regret_after, sign=False),
                ]
                for cell in advice.design
            ],
        }

    def reach(self, seeds: int, spending: Spending) -> list[dict[str, object]]:
        """Return the page's content for each accuracy to reach."""
        try:
            found = prospects(self.fit, seeds, spending, _STEP)
        except ValueError:
            return []
        title, base = self.titles.title, self.fit.record.untrained
        centres = np.concatenate([one.centres for one in found.named])
        untrained = None if base is None else base.accuracy
        rows = []
        for target in np.linspace(centres.min(), centres.max(), TARGETS).round(3).tolist():
            plans = reach(found, target, self.confidence)
            at = plans[0].at
            said = say.plan_sentences(plans, seeds, target, title, untrained)
            rows.append(
                {
                    "at": _percent(target),
                    "x": at / seeds,
                    "shown": f"{say.percent(target)}%",
                    "spoken": f"{say.percent(target)} percent right",
                    "said": said,
                    "notes": [],
                    "outlook": [
                        [
                            say.choice_title(one, title),
                            f"{one.at:,}" if one.budget is not None else f"({one.at:,})",
                            say.percent(one.accuracy),
                            say.span(one.low, one.high),
                            f"{100 * one.probability:.0f}",
                            "" if one.beyond == 1 else say.times(one.beyond),
                            say.money(one.costs.get("usd")),
                        ]
                        for one in plans
                    ],
                    "next_text": "",
                    "next": [],
                }
            )
        return rows

    def point(self, advice: Advice, entry: Any) -> dict[str, object]:
        """Return a point of a method's curve."""
        interval = say.span(entry.low, entry.high)
        return {
            "kind": "curve",
            "at": self.place(advice),
            "method": self.titles.title(entry.method),
            "accuracy": _percent(entry.accuracy),
            "low": _percent(entry.low),
            "high": _percent(entry.high),
            "budget": self.budget(advice),
            "expected": f"{say.percent(entry.accuracy)}% ({interval})",
        }

    def stretches(self, seeds: int, found: Sequence[Advice]) -> list[Stretch]:
        """Return the stretches of leading methods over all budgets of the control."""
        places = [self.place(advice) for advice in found]
        # Stretches narrower than a step of the control are merged.
        step = max(np.diff(np.log(places)), default=0.0) * 1.01
        parts = stretches_of(places, [self.leading(advice) for advice in found])
        if self.money or not (inside := leaders(self.fit, seeds, self.confidence)):
            return merged(parts, step)
        # Within the data, the stretches are those that the sentences name.
        low, high = inside[0].low, inside[-1].high
        before = [replace(one, high=min(one.high, low)) for one in parts if one.low < low]
        after = [replace(one, low=max(one.low, high)) for one in parts if one.high > high]
        return merged([*merged(before, step), *inside, *merged(after, step)])

    def tiles(self, seeds: int, stretches: Sequence[Stretch]) -> list[dict[str, object]]:
        """Return the stripes of the map's row for one number of seeds."""
        return [
            {
                "seeds": f"{seeds:,}",
                "stripe": stripe,
                "at": float(f"{one.low:.6g}"),
                "to": float(f"{one.high:.6g}"),
                "method": self.titles.title(one.methods[stripe * len(one.methods) // STRIPES]),
                "from": say.amount("usd" if self.money else "budget_ratio", one.low),
                "leading": say.either(one.methods, self.fit.methods, self.titles.title),
            }
            for one in stretches
            for stripe in range(STRIPES)
        ]

    def leaders(self, seeds: int, stretches: Sequence[Stretch]) -> str:
        """Return a clause on which methods lead from which budget on."""
        title = self.titles.title
        if not self.money:
            return say.leaders_text(self.fit, seeds, title, self.confidence)
        return say.stretches_text(
            [
                (say.either(one.methods, self.fit.methods, title), say.money(one.low))
                for one in stretches
            ]
        )


def explorer_data(
    fits: Sequence[Curves], titles: Titles, confidence: float, prices: Prices
) -> dict[str, object]:
    """Return the data of the page's controls, ready for JSON.

    Args:
        fits: the fits.
        titles: titles of methods, tasks and models.
        confidence: coverage of the intervals.
        prices: prices of tokens by model.

    Returns:
        `heads` of the table of choices, `plots` by unit ("queries", "usd"), and `fits`. Each fit
        has its title and, by unit, a list with the page's content for each number of seeds.
    """
    shown = with_curves(fits)
    methods = all_methods(shown)
    titled = [*zip(shown, group_titles(shown, titles), strict=True)]
    # The page opens with the first fit: the one with most cells.
    titled.sort(key=lambda pair: -len(pair[0].record.cells))
    colours = {titles.title(method): colour(methods, method) for method in methods}
    return {
        "heads": HEADS,
        "plots": {"queries": plots(colours, False), "usd": plots(colours, True)} if shown else {},
        "fits": [
            {
                "title": title,
                **{
                    unit: [
                        size
                        for seeds in _sizes(fit)
                        if (size := _Explored(fit, titles, confidence, prices, money).size(seeds))
                    ]
                    for unit, money in (("queries", False), ("usd", True))
                },
                "usd_unknown": _unknown(fit, prices),
            }
            for fit, title in titled
        ],
    }


def _sizes(fit: Curves) -> list[int]:
    """Return the numbers of seeds at the control's positions: measured ones, and some between."""
    if len(fit.seeds) == 1:
        return fit.seeds
    between = np.geomspace(fit.seeds[0], fit.seeds[-1], SIZES).round().astype(int)
    return sorted({*fit.seeds, *between.tolist()})


def _unknown(fit: Curves, prices: Prices) -> str:
    missing: dict[str, None] = {}
    for seeds in fit.seeds:
        for method in fit.methods:
            if fit.cells(seeds, method):
                missing |= dict.fromkeys(cost_line(fit, seeds, method, "usd", prices)[1])
    return f"Unknown cost ({'; '.join(missing)})" if missing else ""


def _percent(share: float) -> float:
    """Return a share in percent, rounded to hundredths to keep the page small."""
    return round(100 * share, 2)
