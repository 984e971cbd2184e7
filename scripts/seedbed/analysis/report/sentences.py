"""Every sentence of the terminal summary, of `advise`, of the figures and of the page.

Each place shows the same sentences; a `name` is the function that turns a method into its title or
short title there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from seedbed.analysis.curves import Curves, FitRecord
from seedbed.analysis.curves import Stretch as Interval
from seedbed.analysis.decide.advise import Advice, Plan, Stretch, leaders
from seedbed.analysis.decide.contrasts import ContrastResult
from seedbed.analysis.decide.costs import MEASURES
from seedbed.analysis.decide.crossovers import Crossover, ratio_text
from seedbed.analysis.decide.design import NextCell
from seedbed.analysis.settings import PublishedShift

Name = Callable[[str], str]

INTERVALS = (
    "Intervals cover {coverage:g}%. Differences are paired by test item, and their intervals cover "
    "the noise of the test items and of training runs. The intervals of curves, crossovers and "
    "advice also cover the variation between draws of the seeds, and what the form of the curves "
    "may miss."
)
INTERVALS_UNPAIRED = (
    "Intervals cover {coverage:g}%. Differences are those of independent rows, not paired by test "
    "item, and their intervals cover the noise of the test items and of training runs. The "
    "intervals of curves, crossovers and advice also cover the variation between draws of the "
    "seeds, and what the form of the curves may miss."
)
CROSSOVERS = (
    "Where one method becomes better than another, at equal numbers of queries and at equal cost, "
    "with intervals. “Below” and “above” mark ends of an interval beyond the measured range."
)
FINDINGS = "The contrasts that the study states, tested on its cells:"
FINDINGS_ABOUT = (
    "The contrasts that the study's file states, tested on its cells. Intervals cover the noise of "
    "the test items and of training runs, and with replicates of draws of the seeds; "
    "they are not adjusted for the number of tests."
)
BUDGET_RATIO = "BR, the budget ratio, is the number of teacher queries per seed."
TRANSFERRED = (
    "This task has no results in this study: the answer is transferred from {tasks}. Its intervals "
    "include the variation between these tasks; its costs are the geometric means of theirs."
)
TWO_TASKS = "Two tasks say little about the variation between tasks."
_WIDENED = "the intervals are wider, as the slope of the curves may change there"
NONE = "–"


# Numbers.


def percent(share: float) -> str:
    """Return a share in percent with one digit, without the sign."""
    return f"{100 * share:.1f}"


def span(low: float, high: float) -> str:
    """Return an interval of shares in percent."""
    return f"{percent(low)} to {percent(high)}"


def money(usd: float | None) -> str:
    """Return dollars; a dash where they are unknown."""
    if usd is None:
        return "-"
    return f"${usd:,.0f}" if usd >= 100 else f"${usd:.2f}" if usd >= 0.1 else f"${usd:.2g}"


def p_value(p: float) -> str:
    """Return a p-value with two significant digits at most."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"


def amount(measure: str, value: float, unit: bool = True) -> str:
    """Return a budget ratio or a cost, with its unit."""
    number = ratio_text(value)
    if measure == "usd":
        return f"${number}"
    if not unit:
        return number
    units = {"hours": "hours"}
    return (
        f"BR {number}"
        if measure == "budget_ratio"
        else f"{number} {units.get(measure, MEASURES.get(measure))}"
    )


def range_text(measure: str, low: float, high: float) -> str:
    """Return a range of budget ratios or costs, with its unit once."""
    if measure in ("budget_ratio", "usd"):
        return f"{amount(measure, low)} to {amount(measure, high, unit=False)}"
    return f"{amount(measure, low, unit=False)} to {amount(measure, high)}"


def listed(words: Iterable[str], link: str = "and") -> str:
    """Return words as "a, b and c"."""
    *most, last = words
    return f"{', '.join(most)} {link} {last}" if most else last


def times(factor: float) -> str:
    """Return how far beyond the data a question is, never "1 times"."""
    return f"{max(factor, 1.01):.3g} times" if factor < 1.1 else f"{factor:.2g} times"


def capital(text: str) -> str:
    """Return a text with a capital at its start."""
    return text[:1].upper() + text[1:]


# Advice.


def either(methods: Sequence[str], of: Sequence[str], name: Name) -> str:
    """Return tied methods as "AA or QR"; "any method" for all of three or more."""
    if len(methods) == len(of) > 2:
        return "any method"
    return listed(map(name, methods), "or")


def use_text(advice: Advice, methods: Sequence[str], name: Name) -> str:
    """Return which method to use, with those that are statistically tied with it."""
    best = {entry.method for entry in (advice.best, *advice.rivals)}
    return f"use {either([method for method in methods if method in best], methods, name)}"


def expected_text(advice: Advice, name: Name) -> str:
    """Return what to expect of the best method, as a clause."""
    best = advice.best
    text = (
        f"{name(best.method)} is expected to reach {percent(best.accuracy)}% "
        f"({span(best.low, best.high)})"
    )
    # A method without a competitor is surely the best, which says nothing.
    if len(advice.outlook) > 1:
        text += f" and is best with a probability of {100 * best.probability_best:.0f}%"
    rivals = [
        f"{name(entry.method)} ({100 * entry.probability_best:.0f}%)" for entry in advice.rivals
    ]
    if rivals:
        text += f", statistically tied with {listed(rivals)}"
    also = [
        f"{count:,.0f} {kind} queries"
        for count, kind in (
            (best.augmenter_queries, "augmenter"),
            (best.further_queries, "further teacher"),
        )
        if count and count >= 0.5
    ]
    return f"{text}; it also takes {listed(also)}" if also else text


def beyond_text(factor: float, short: bool = False) -> str:
    """Return how far a question lies beyond the data, as a sentence; "" within it."""
    if factor <= 1:
        return ""
    reason = "the intervals are wider" if short else _WIDENED
    return f"This is {times(factor)} beyond the data: {reason}."


def answer_text(advice: Advice, budget: str, methods: Sequence[str], name: Name) -> str:
    """Return the advice for a question, as sentences; `budget` is the question's, as text."""
    use = use_text(advice, methods, name)
    text = f"With {advice.seeds:,} seeds and {budget}, {use}. {expected_text(advice, name)}."
    return f"{text} {beyond_text(advice.beyond, short=True)}".rstrip()


def stretches_text(parts: Sequence[tuple[str, str]]) -> str:
    """Return which methods to use from where on, from (methods, place) pairs in their order."""
    (first, start), *others = parts
    steps = [f"from {start}, use {first}" if start else f"use {first}"]
    return "; ".join([*steps, *(f"from {place}, {names}" for names, place in others)])


def leaders_text(
    fit: Curves, seeds: int, name: Name, confidence: float, parts: Sequence[Stretch] | None = None
) -> str:
    """Return which methods to use from which budget ratio on, as a clause; "" if none leads.

    As in "use AA; from BR 1.5, QR or NQ": methods that are statistically tied stand together.
    """
    parts = leaders(fit, seeds, confidence) if parts is None else parts
    if not parts:
        return ""
    budgets = [cell.budget_ratio for cell in fit.cells(fit.nearest_size(seeds))]
    names = [either(part.methods, fit.methods, name) for part in parts]
    places = [amount("budget_ratio", part.low) for part in parts]
    if parts[0].low <= (1 + 1e-9) * min(budgets):
        places[0] = ""
    text = stretches_text(list(zip(names, places, strict=True)))
    if parts[-1].high < (1 - 1e-9) * max(budgets):
        # Beyond, not all methods were measured.
        text += f"; up to {amount('budget_ratio', parts[-1].high)}"
    return text


def curves_text(seeds: int, measured: bool) -> str:
    """Return the caption of the page's curves; `measured` says whether cells are shown."""
    points = " Points are measured cells." if measured else ""
    return (
        f"With {seeds:,} seeds. Lines are expected accuracies with intervals; the dashed line is "
        f"your budget.{points}"
    )


def map_text(seeds: int, leading: str) -> str:
    """Return the caption of the page's map; `leading` is of the seeds that are asked about."""
    return (
        f"With {seeds:,} seeds: {leading or 'no method leads'}. Stripes mark statistically tied "
        "methods; the circle is your question."
    )


def next_text(advice: Advice, name: Name) -> str:
    """Return what the next cells to measure are for, as a clause."""
    first, second = (name(entry.method) for entry in advice.outlook[:2])
    pilot = " as a pilot of this task" if advice.basis == "other tasks" else ""
    before = 100 * advice.next_cells[0].doubt_before
    return (
        f"To tell {first} and {second} apart, measure one of these next{pilot}. The standard error "
        f"of their difference is {before:.2f} points now"
    )


def next_cell_text(cell: NextCell) -> str:
    """Return whether a cell is new or measured again."""
    return "a new cell" if cell.new else "again"


def queries_to_ask(cell: NextCell) -> str:
    """Return how many queries a cell takes that were not asked yet."""
    return f"{cell.queries:,}" if cell.queries else "none, its data exists"


def plan_text(found: Sequence[Plan], seeds: int, name: Name) -> str:
    """Return the cheapest plan for an accuracy as sentences, or that there is none."""

    def ratio(budget: float) -> str:
        return amount("budget_ratio", budget / seeds)

    best = found[0]
    if best.budget is None:
        most = max(one.looked_to for one in found)
        return (
            f"No method is expected to reach it with up to {most:,} queries ({ratio(most)}). The "
            f"highest expected accuracy is {percent(best.accuracy)}%, by {name(best.method)}. "
            "Queries in brackets are where each method's expected accuracy is highest."
        )
    priced = all(one.costs.get("usd") is not None for one in found if one.budget is not None)
    least = f"the least money, {money(best.costs['usd'])}" if priced else "the fewest queries"
    text = (
        f"{name(best.method)} is expected to reach it with {least}: {best.budget:,} teacher "
        f"queries ({ratio(best.budget)}), with a probability of {100 * best.probability:.0f}%."
    )
    if best.budget == best.looked_from:
        text += " No smaller budget was measured: fewer may do."
    if best.beyond > 1:
        text += f" This plan is {times(best.beyond)} beyond the data."
    never = [one for one in found if one.budget is None]
    if never:
        most = max(one.looked_to for one in never)
        verb = "is" if len(never) == 1 else "are"
        text += (
            f" {listed(name(one.method) for one in never)} {verb} not expected to reach it with up "
            f"to {most:,} queries; queries in brackets are where expected accuracy is highest."
        )
    if any(one.beyond > 1 for one in found):
        text += f" Beyond the data, accuracies are extrapolated from the curves; {_WIDENED}."
    return text


# Comparisons and crossovers.


def difference_text(row: Mapping[str, Any], name: Name) -> str:
    """Return a paired difference of two methods at a budget, from a row of the comparisons."""
    pair = f"{name(row['method'])} minus {name(row['reference'])}"
    text = f"BR {row['budget_ratio']:.3g}: {pair} = {100 * row['difference']:+.1f} points"
    if row["low"] is None:
        return text
    return (
        f"{text} ({100 * row['low']:+.1f} to {100 * row['high']:+.1f}), {p_value(row['p_holm'])} "
        f"(Holm, {row['family_size']} tests); 80% power for "
        f"{100 * row['detectable']:.1f}"
    )


def crossover_text(record: Crossover, name: Name) -> str:
    """Return a crossover, or that there is none, as one sentence."""
    measure = record.measure
    pair = f"{name(record.reference)} and {name(record.method)}"
    by = "" if measure == "budget_ratio" else f" by {MEASURES[measure]}"
    return f"{pair}{by}: {'; '.join(crossover_clauses(record, name))}."


def crossover_clauses(record: Crossover, name: Name) -> list[str]:
    """Return what is to say of the crossover of two methods, without naming the two."""
    status, measure = record.status, record.measure
    if status == "unknown":
        return [f"unknown ({record.reason})"]
    if record.range is None:
        by_queries = measure == "budget_ratio"
        return ["fewer than two budgets in common" if by_queries else "no range in common"]
    over = range_text(measure, *record.range)
    if status == "equal":
        return [f"no difference from {over}"]
    clauses = [
        f"crossover to {name(found.overtaken_by)} at "
        f"{amount(measure, found.at)} ({interval_text(found, record)}), then ahead by "
        f"{lead_text(found.lead_after)}"
        for found in record.crossings
    ]
    if status == "none":
        leader = record.leader_at_lowest or record.reference
        (other,) = {record.reference, record.method} - {leader}
        lead = lead_text(record.lead or 0.0)
        clauses = [f"no crossover from {over}, {name(leader)} is ahead by {lead}"]
        for turn in record.possible:
            side, edge = ("below", turn.high) if turn.low is None else ("above", turn.low)
            place = f"{side} {amount(measure, edge or 0.0)}"
            clauses.append(f"a crossover to {name(turn.overtaken_by)} {place} is not excluded")
        opposite = record.share_of_the_other or 0.0
        apart = record.draws_without_crossing
        # Draws may cross anywhere, so that no place of a crossover is worth a word.
        if apart is not None and apart - opposite <= 1 - _WORTH_SAYING:
            clauses.append(f"{name(leader)} is {_throughout(apart - opposite)}")
        if opposite >= _WORTH_SAYING:
            clauses.append(f"{name(other)} is {_throughout(opposite)}")
    return clauses


def _throughout(probability: float) -> str:
    return f"ahead throughout with a probability of {100 * probability:.0f}%"


def lead_text(lead: float) -> str:
    """Return the greatest lead of a method, as by how much it is ahead."""
    return "less than 0.5 points" if lead < 0.005 else f"up to {100 * lead:.1f} points"


_WORTH_SAYING = 0.025
"""Probability worth a word: half of what an interval of 95% leaves out."""


def interval_text(interval: Interval, record: Crossover) -> str:
    """Return the interval of a crossover; an end beyond the measured range is below or above it."""
    lowest, highest = record.range or (0.0, 0.0)
    low, high = interval.low, interval.high
    start = amount(record.measure, lowest if low is None else low, unit=False)
    end = amount(record.measure, highest if high is None else high, unit=False)
    return f"{'below ' if low is None else ''}{start} to {'above ' if high is None else ''}{end}"


def published_text(shift: PublishedShift) -> str:
    """Return where others found a crossover from the first method."""
    place = f"{shift.low:g}" if shift.high is None else f"{shift.low:g} to {shift.high:g}"
    of = "" if shift.seeds is None else f", {shift.seeds:,} seeds"
    return f"BR {place} ({shift.source}{of})"


# The fit and the contrasts.


def model_text(record: FitRecord) -> str:
    """Return the sizes of noise that the cells show, and which cells lie far off."""
    noise = record.noise
    text = (
        f"Standard deviations: {100 * noise.training_runs:.1f} points between training runs, "
        f"{100 * noise.draws_of_seeds:.1f} between draws of the seeds, {100 * noise.missed:.1f} of "
        "what the form of the curves misses."
    )
    if record.far_off:
        found = [f"{one.cell} ({100 * one.probability:.0f}%)" for one in record.far_off]
        text += f" Probably a failed training, to be run again: {listed(found)}."
    return text


def contrast_text(test: ContrastResult) -> str:
    """Return a test of a contrast: its claim, the verdict, the estimate and its interval."""
    claim = test.claim.removesuffix(".")
    if test.verdict == "not in this study":
        return f"{claim}: {test.verdict}."
    logs = test.unit == "ln BR"

    def number(value: float | None) -> str:
        if value is None:
            return "no limit"
        return f"{value:+.2f}" if logs else f"{100 * value:+.1f}"

    unit = "" if logs else " points"
    margin = " above the margin" if test.margin else ""
    estimate = "no estimate" if test.estimate is None else f"{number(test.estimate)}{unit}"
    interval = f"{number(test.low)} to {number(test.high)}"
    text = f"{claim}: {test.verdict}, {estimate}{margin} ({interval})"
    if test.verdict == "open" and test.detectable is not None:
        least = f"{test.detectable:.2f}" if logs else f"{100 * test.detectable:.1f} points"
        text += f"; 80% power for {least}"
    return f"{text}."
