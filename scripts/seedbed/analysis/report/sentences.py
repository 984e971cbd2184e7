"""Sentences that the terminal summary, `advise`, the page and the figures share.

The argument `name` is a function that returns the title or short title of a method.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from seedbed.analysis.curves import Curves, FitRecord
from seedbed.analysis.curves import Stretch as Interval
from seedbed.analysis.decide.advise import (
    MARGIN,
    Advice,
    ChoiceOutlook,
    Plan,
    Stretch,
    leaders,
)
from seedbed.analysis.decide.contrasts import ContrastResult
from seedbed.analysis.decide.costs import MEASURES
from seedbed.analysis.decide.crossovers import Crossover, ratio_text
from seedbed.analysis.decide.design import NextCell
from seedbed.analysis.decide.priors import QueryPrices
from seedbed.analysis.settings import PublishedShift

Name = Callable[[str], str]

INTERVALS = (
    "Intervals have a coverage of {coverage:g}%. Differences are paired by test item, and their "
    "intervals cover the noise of test items and of training runs. The intervals of curves, "
    "crossovers and advice also cover the variation between draws of the seeds, and the misfit of "
    "the curves."
)
INTERVALS_UNPAIRED = (
    "Intervals have a coverage of {coverage:g}%. Differences are between independent rows, not "
    "paired by test item, and their intervals cover the noise of test items and of training runs. "
    "The intervals of curves, crossovers and advice also cover the variation between draws of the "
    "seeds, and the misfit of the curves."
)
CROSSOVERS = (
    "Where one method becomes better than another, at equal numbers of queries and at equal cost, "
    "with intervals. “Below” and “above” mark ends of an interval beyond the measured range."
)
FINDINGS = "The contrasts that the study states, tested on its cells:"
FINDINGS_ABOUT = (
    "The contrasts that the study's file states, tested on its cells. Intervals cover the noise of "
    "test items and of training runs and, if there are replicates, of draws of the seeds. "
    "They are not adjusted for the number of tests."
)
BUDGET_RATIO = "BR, the budget ratio, is the number of teacher queries per seed."
BEST_OF_COLUMN = (
    "marks the best method of a column and those statistically tied with it, unless all are tied"
)
TRANSFERRED = (
    "This task has no results in this study: the answer is transferred from {tasks}. Its intervals "
    "include the variation between these tasks; its costs are the geometric means of theirs."
)
BY_OTHERS = "judging by other tasks, "
TWO_TASKS = "Two tasks say little about the variation between tasks{so}."
LOSS_IS_HIGH = ", so the expected loss errs on the high side"
NO_CROSSOVER = "no crossover"
NO_DIFFERENCE = "no difference"
TOO_FEW_BUDGETS = "fewer than two budgets in common"
UNKNOWN = "unknown"
NO_LEADER = "no method leads at any budget ratio that all methods share"
NOTHING_IN_COMMON = "the methods have no budget in common"
NONE = "–"


# Numbers.


def percent(share: float) -> str:
    """Return a share in percent with one digit, without the sign."""
    return f"{100 * share:.1f}"


def span(low: float, high: float) -> str:
    """Return an interval of shares in percent."""
    return f"{percent(low)} to {percent(high)}"


class Measured(Protocol):
    """An accuracy with its interval."""

    @property
    def accuracy(self) -> float:
        """The accuracy, a fraction."""

    @property
    def low(self) -> float:
        """Lower end of the interval."""

    @property
    def high(self) -> float:
        """Upper end."""


def accuracy_text(found: Measured) -> str:
    """Return an accuracy in percent with its interval."""
    return f"{percent(found.accuracy)}% ({span(found.low, found.high)})"


def gain_text(difference: float, low: float | None, high: float | None) -> str:
    """Return a difference of accuracies in points, with its interval if it has one."""
    text = f"{points(difference)} points"
    return text if low is None or high is None else f"{text} ({points(low)} to {points(high)})"


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


def queries_text(queries: int, seeds: int) -> str:
    """Return a budget of teacher queries, with its budget ratio."""
    return f"{queries:,} teacher queries ({amount('budget_ratio', queries / seeds)})"


def times(factor: float) -> str:
    """Return the factor by which a question lies beyond the data, never "1 times"."""
    return f"{max(factor, 1.01):.3g} times" if factor < 1.1 else f"{factor:.2g} times"


def capital(text: str) -> str:
    """Return a text with its first letter in upper case."""
    return text[:1].upper() + text[1:]


# Advice.


def either(methods: Sequence[str], of: Sequence[str], name: Name) -> str:
    """Return tied methods as "AA or QR", or "any method" if all of three or more are tied."""
    if len(methods) == len(of) > 2:
        return "any method"
    return listed(map(name, methods), "or")


class Chosen(Protocol):
    """A choice: a method, a mixture, or no training."""

    @property
    def method(self) -> str:
        """Its name."""

    @property
    def shares(self) -> Mapping[str, float]:
        """Shares of the methods in its queries; none for no training."""

    @property
    def measured(self) -> bool:
        """Whether students were trained on it and evaluated."""


def choice_text(choice: Chosen, name: Name, link: str = "and") -> str:
    """Return a choice, as "NQ", "40% QR and 60% NQ" or "the base model"."""
    if not choice.shares:
        return "the base model"
    if len(choice.shares) == 1 or choice.measured:
        return name(choice.method)
    return listed((f"{100 * of:.3g}% {name(one)}" for one, of in choice.shares.items()), link)


def choice_title(choice: Chosen, name: Name) -> str:
    """Return a choice as the head of a table row."""
    text = capital(choice_text(choice, name))
    mixed = len(choice.shares) > 1 and not choice.measured
    return f"{text} (not measured)" if mixed else text


def advice_sentences(advice: Advice, budget: str, name: Name) -> tuple[str, str, str]:
    """Return advice in three sentences, the same on the terminal and the page.

    The first says what to buy; the second, how sure that is and how much it is expected to lose;
    the third, what twice the budget is expected to bring, or what to measure next.

    Args:
        advice: the advice.
        budget: the budget that was asked about, as text.
        name: titles of methods.
    """
    if advice.basis == "priors":
        return _priors_sentences(advice, budget, name)
    return _buy_text(advice, budget, name), _sure_text(advice, name), _more_text(advice, name)


def _buy_text(advice: Advice, budget: str, name: Name) -> str:
    best = advice.best
    asked = f"With {advice.seeds:,} seeds and {budget},"
    going = BY_OTHERS if advice.basis == "other tasks" else ""
    if not best.shares:
        right = f"{percent(best.accuracy)}% right"
        answers = f"the base model answers {right},"
        if going:
            interval = span(best.low, best.high)
            answers = f"{going}the base model is expected to answer {right} ({interval}),"
        return f"{asked} do not train: {answers} and no data is expected to make it better."
    bought = f"{_queries_text(best, name)}{' and no more' if advice.saves else ''}"
    return (
        f"{asked} buy {bought}: {going}the student is expected to answer "
        f"{percent(best.accuracy)}% right ({span(best.low, best.high)})."
    )


def _queries_text(best: ChoiceOutlook, name: Name) -> str:
    """Return the queries of a choice, as "100 queries of NQ" or "100 queries, 40% QR and ..."."""
    made = choice_text(best, name)
    if len(best.shares) == 1 or best.measured:
        return f"{best.budget:,} queries of {made}"
    return f"{best.budget:,} queries, {made} (not measured)"


def _sure_text(advice: Advice, name: Name) -> str:
    best, beyond = advice.best, advice.beyond
    start = "It"
    if beyond > 1:
        start = f"This is {times(beyond)} beyond the data, where intervals are wider; it"
    if len(advice.outlook) == 1:
        # Without a competitor, a probability of being best of 100% means nothing.
        where = "all of these tasks have" if advice.basis == "other tasks" else "was measured"
        return f"{start} is the only choice that {where}."
    divided = len(advice.alone) > 1
    text = (
        f"{start} is the best choice with a probability of "
        f"{100 * best.probability_best:.0f}%, and is expected to lose "
        f"{percent(best.expected_regret)} points to the best {'division' if divided else 'one'}"
    )
    rivals = [
        f"{choice_text(entry, name)} ({100 * entry.probability_best:.0f}%)"
        for entry in advice.rivals
    ]
    if rivals:
        text += f"; statistically tied with {listed(rivals)}"
    return f"{text}."


def _more_text(advice: Advice, name: Name) -> str:
    found = []
    if advice.doubling is not None:
        gain = advice.doubling
        interval = f"{points(gain.low)} to {points(gain.high)}"
        found.append(
            f"twice the budget is expected to bring {points(gain.gain)} points ({interval})"
        )
    elif not advice.best.shares:
        data = max(advice.outlook[1:], key=lambda entry: entry.accuracy, default=None)
        if data is not None:
            lost = percent(advice.best.accuracy - data.accuracy)
            found.append(
                f"trained on {choice_text(data, name)}, it is expected to lose {lost} points"
            )
    elif advice.saves:
        found.append("more queries are not expected to help")
    else:
        found.append("twice the budget is too far beyond the data to predict its gain")
    if advice.design:
        cell = advice.design[0]
        cost = money(cell.usd) if cell.usd else queries_to_ask(cell)
        price = (
            f"for {cost}" if cell.usd else f"for {cost} queries" if cell.queries else "at no cost"
        )
        measured = choice_text(cell, name)
        found.append(
            f"measuring {measured} with {cell.seeds:,} seeds and {cell.budget:,} queries "
            f"{'' if cell.new else 'again '}first, {price}, is expected to lower the loss from "
            f"{points(cell.regret_before, sign=False)} to {points(cell.regret_after, sign=False)}"
        )
    elif len(advice.outlook) > 1:
        kind = "pilot" if advice.basis == "other tasks" else "further cell"
        found.append(f"no {kind} is expected to improve the choice")
    return f"{capital('; '.join(found))}." if found else ""


PRIORS = "this task has no results, so this is advice from priors alone"


def _priors_sentences(advice: Advice, budget: str, name: Name) -> tuple[str, str, str]:
    best = advice.best
    bought = [f"{round(of * best.budget):,} of {name(one)}" for one, of in best.shares.items()]
    buy = f"With {advice.seeds:,} seeds and {budget}, buy {listed(bought)}: {PRIORS}."
    pilot = "The accuracy of the student is unknown"
    if advice.pilot is not None:
        pilot += (
            f"; a pilot of {advice.pilot.queries:,} queries of each method, with which `snakemake "
            f"spend` starts, is expected to bring {points(advice.pilot.gain)} points after paying "
            f"for its queries, with {advice.pilot.items:,} test items"
        )
    else:
        pilot += ", and the budget is too small for a pilot to pay off"
    return buy, advice.reason, f"{pilot}."


def unmeasured_text(study: str, cells: int) -> str:
    """Return the commands that measure a task of a study without results, as two sentences.

    Args:
        study: name of the study.
        cells: number of its cells of the task.
    """
    asked = f"--config study={study}"
    return (
        f"The study has {cells:,} cells of this task, and none is measured: `snakemake evaluations "
        f"{asked}` measures them. `snakemake quote {asked}` says what that costs."
    )


def assumed_text(prices: QueryPrices) -> str:
    """Return the source of dollars before the first answer, as a sentence; "" without a price."""
    if not prices.usd:
        return ""
    paid = f" of {listed(prices.models)}" if prices.models else ""
    return (
        f"Dollars are from the cost estimate, with the prices{paid} and text lengths that are "
        f"not measured yet ({prices.lengths}): the first answers will show the cost of a query."
    )


def advice_notes(advice: Advice, name: Name) -> list[str]:
    """Return further remarks on an answer, each a sentence."""
    best, found = advice.best, []
    also = [
        f"{count:,.0f} {kind} queries"
        for count, kind in (
            (best.augmenter_queries, "augmenter"),
            (best.further_queries, "further teacher"),
        )
        if count and count >= 0.5
    ]
    if also:
        found.append(f"The first choice also takes {listed(also)}.")
    if (cheaper := advice.cheaper) is not None:
        lost = max(0.0, best.accuracy - cheaper.choice.accuracy)
        made = _queries_text(cheaper.choice, name) if cheaper.choice.shares else "no training"
        cost, instead = (
            money(value) if cheaper.by == "usd" else f"{value:,.0f}"
            for value in (cheaper.cost, cheaper.instead_of)
        )
        unit = {"usd": "", "tokens": " tokens", "queries": " queries of all models"}[cheaper.by]
        found.append(
            f"The cheapest choice that is expected to lose at most {100 * MARGIN:.1f} points is "
            f"{made}: it loses {percent(lost)}, and costs {cost} instead of {instead}{unit}."
        )
    if advice.unjudged:
        listing = "; ".join(f"{name(one)}: {why}" for one, why in advice.unjudged.items())
        found.append(f"Not judged: {listing}.")
    if advice.failed:
        cells = [f"{one.cell} ({100 * one.probability:.0f}%)" for one in advice.failed]
        found.append(f"Probably a failed training, to be run again: {listed(cells)}.")
    return found


def points(share: float, sign: bool = True) -> str:
    """Return a difference of accuracies in points, small ones with two digits."""
    return f"{100 * share:+.1f}" if sign else f"{100 * share:.2f}"


def stretches_text(parts: Sequence[tuple[str, str]]) -> str:
    """Return which methods to use from which place on, from ordered (methods, place) pairs."""
    (first, start), *others = parts
    steps = [f"from {start}, use {first}" if start else f"use {first}"]
    return "; ".join([*steps, *(f"from {place}, {names}" for names, place in others)])


def leaders_text(
    fit: Curves, seeds: int, name: Name, confidence: float, parts: Sequence[Stretch] | None = None
) -> str:
    """Return which methods to use from which budget ratio on, as a clause; "" if none leads.

    An example is "use AA; from BR 1.5, QR or NQ". "or" joins statistically tied methods.
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
        # Beyond this ratio, some methods were not measured.
        text += f"; up to {amount('budget_ratio', parts[-1].high)}"
    return text


def missing_rows_text(rows: float) -> str:
    """Return how many rows a filter costs a choice, as a clause."""
    return f"it has {rows:,.0f} fewer rows than without a filter"


def left_out_text(reason: str) -> str:
    """Return a sentence on a task that is left out of the transfer, with the reason."""
    return f"Not transferred from {reason}."


def elsewhere_text(leading: str) -> str:
    """Return which method to use at other budgets, as a sentence; "" if none leads."""
    return f"Single methods, at any budget: {leading}." if leading else ""


def curves_text(seeds: int, measured: bool) -> str:
    """Return the caption of the page's curves; `measured` says whether cells are shown."""
    points = " Points are measured cells." if measured else ""
    return (
        f"With {seeds:,} seeds. Lines are expected accuracies with intervals; the dashed line is "
        f"your budget.{points}"
    )


def map_text(seeds: int, leading: str) -> str:
    """Return the caption of the page's map; `leading` is the clause of `leaders_text`, or ""."""
    return (
        f"With {seeds:,} seeds: {leading or 'no method leads'}. Stripes mark statistically tied "
        "methods; the circle is your question."
    )


def next_text(advice: Advice) -> str:
    """Return the sentence that introduces the next cells to measure."""
    pilot = " as a pilot of this task" if advice.basis == "other tasks" else ""
    before = points(advice.design[0].regret_before, sign=False)
    return (
        f"To improve the choice, measure one of these next{pilot}. The choice is expected to lose "
        f"{before} points now; after one of them:"
    )


def next_cell_text(cell: NextCell) -> str:
    """Return whether a cell is new or a repetition."""
    return "a new cell" if cell.new else "again"


def queries_to_ask(cell: NextCell) -> str:
    """Return the number of queries that a cell still needs."""
    return f"{cell.queries:,}" if cell.queries else "none, its data exists"


def plan_sentences(
    found: Sequence[Plan],
    seeds: int,
    target: float,
    name: Name,
    untrained: float | None = None,
    priors: bool = False,
    measured: bool = True,
) -> tuple[str, str, str]:
    """Return the cheapest way to reach an accuracy, or that there is none, in three sentences.

    Args:
        found: the plans, the cheapest first.
        seeds: seed-set size.
        target: the accuracy, a fraction.
        name: titles of methods.
        untrained: accuracy of the base model; None if it is not known.
        priors: whether the plans come from the priors alone.
        measured: whether the accuracy of the base model was measured; if not, it is transferred
            from other tasks.
    """

    def ratio(budget: float) -> str:
        return amount("budget_ratio", budget / seeds)

    best, asked = found[0], f"{percent(target)}%"
    never = [one for one in found if one.budget is None]
    rest = ""
    if never:
        most = max(one.looked_to for one in never)
        verb = "is" if len(never) == 1 else "are"
        rest = (
            f"{capital(listed(choice_text(one, name) for one in never))} {verb} not expected to "
            f"reach it with up to {most:,} queries; numbers in brackets are the queries with the "
            "highest expected accuracy."
        )
    if untrained is not None and untrained >= target:
        right = f"{percent(untrained)}% right"
        if measured:
            return f"Do not train: the base model already answers {right}.", "", rest
        answers = f"{BY_OTHERS}the base model is expected to answer {right}"
        return f"Do not train: {answers}.", "", rest
    alone = f": {PRIORS}" if priors else ""
    going = "" if measured else BY_OTHERS
    anchor = f" {_anchor_text(best, untrained)}" if priors else ""
    if best.budget is None:
        most = max(one.looked_to for one in found)
        return (
            f"With {seeds:,} seeds, {going}no method is expected to reach {asked} with up to "
            f"{most:,} queries ({ratio(most)}){alone}.",
            f"The highest expected accuracy is {percent(best.accuracy)}%, by "
            f"{choice_text(best, name)}, which reaches {asked} with a probability of "
            f"{100 * best.probability:.0f}%.{anchor}",
            "Numbers in brackets are the queries with each choice's highest expected accuracy.",
        )
    priced = all(one.costs.get("usd") is not None for one in found if one.budget is not None)
    least = f"the least money, {money(best.costs['usd'])}" if priced else "the fewest queries"
    mixed = len(best.shares) > 1 and not best.measured
    mark = " (not measured)" if mixed and not priors else ""
    buy = (
        f"With {seeds:,} seeds, {going}{choice_text(best, name)}{mark} is "
        f"expected to reach {asked} with {least}: {best.budget:,} teacher queries "
        f"({ratio(best.budget)}){alone}."
    )
    sure = f"It reaches it with a probability of {100 * best.probability:.0f}%"
    if best.beyond > 1:
        sure += f", {times(best.beyond)} beyond the data, where intervals are wider"
    if best.budget == best.looked_from:
        sure += (
            f"; budgets below {ratio(best.budget)} were not considered"
            if priors
            else "; no smaller budget was measured, so fewer queries may suffice"
        )
    return buy, f"{sure}.{anchor}", rest


def _anchor_text(best: Plan, untrained: float | None) -> str:
    """Return the accuracies that the priors expect, and how to narrow them."""
    between = f"between {percent(best.low)} and {percent(best.high)}%"
    if untrained is None:
        return (
            f"The priors do not know how hard the task is: with {best.at:,} queries they expect "
            f"{between}. The base model's accuracy on some test items narrows this: add "
            "untrained_accuracy=0.3 if it is 30%."
        )
    return (
        f"With the base model at {percent(untrained)}%, the priors expect {between} with "
        f"{best.at:,} queries; a pilot narrows this."
    )


# Comparisons and crossovers.


def difference_text(row: Mapping[str, Any], name: Name) -> str:
    """Return a paired difference of two methods at a budget, from a row of the comparisons."""
    pair = f"{name(row['method'])} minus {name(row['reference'])}"
    gain = gain_text(row["difference"], row["low"], row["high"])
    text = f"BR {row['budget_ratio']:.3g}: {pair} = {gain}"
    if row["low"] is None:
        return text
    return (
        f"{text}, {p_value(row['p_holm'])} (Holm, {row['family_size']} tests); 80% power for "
        f"{100 * row['detectable']:.1f}"
    )


def crossover_text(record: Crossover, name: Name) -> str:
    """Return a sentence on the crossover of two methods, or on its absence."""
    measure = record.measure
    pair = f"{name(record.reference)} and {name(record.method)}"
    by = "" if measure == "budget_ratio" else f" by {MEASURES[measure]}"
    return f"{pair}{by}: {'; '.join(crossover_clauses(record, name))}."


def crossover_clauses(record: Crossover, name: Name) -> list[str]:
    """Return clauses on the crossover of two methods, without naming the pair."""
    status, measure = record.status, record.measure
    if status == "unknown":
        return [unknown_text(record.reason)]
    if record.range is None:
        return [too_few_text(measure)]
    over = range_text(measure, *record.range)
    if status == "equal":
        return [f"{NO_DIFFERENCE} from {over}"]
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
        clauses = [f"{NO_CROSSOVER} from {over}, {name(leader)} is ahead by {lead}"]
        for turn in record.possible:
            side, edge = ("below", turn.high) if turn.low is None else ("above", turn.low)
            place = f"{side} {amount(measure, edge or 0.0)}"
            clauses.append(f"a crossover to {name(turn.overtaken_by)} {place} is not excluded")
        opposite = record.share_of_the_other or 0.0
        apart = record.draws_without_crossing
        # If draws cross at many different places, no single place is worth naming.
        if apart is not None and apart - opposite <= 1 - _WORTH_SAYING:
            clauses.append(f"{name(leader)} is {_throughout(apart - opposite)}")
        if opposite >= _WORTH_SAYING:
            clauses.append(f"{name(other)} is {_throughout(opposite)}")
    return clauses


def unknown_text(reason: str | None) -> str:
    """Return the word "unknown", with the reason if there is one."""
    return f"{UNKNOWN} ({reason})" if reason else UNKNOWN


def too_few_text(measure: str) -> str:
    """Return why two methods cannot be compared at equal queries or cost."""
    return TOO_FEW_BUDGETS if measure == "budget_ratio" else "no range in common"


def _throughout(probability: float) -> str:
    return f"ahead throughout with a probability of {100 * probability:.0f}%"


def lead_text(lead: float) -> str:
    """Return the greatest lead of a method, to follow "ahead by"."""
    return "less than 0.5 points" if lead < 0.005 else f"up to {100 * lead:.1f} points"


_WORTH_SAYING = 0.025
"""Least probability that is worth mentioning: one tail of a 95% interval."""


def interval_text(interval: Interval, record: Crossover) -> str:
    """Return the interval of a crossover, with "below" or "above" for ends beyond its range."""
    return ends_text(record.measure, interval.low, interval.high, record.range or (0.0, 0.0))


def ends_text(
    measure: str, low: float | None, high: float | None, within: tuple[float, float]
) -> str:
    """Return the interval of a crossover from its ends; an end beyond a range is None."""
    start = amount(measure, within[0] if low is None else low, unit=False)
    end = amount(measure, within[1] if high is None else high, unit=False)
    return f"{'below ' if low is None else ''}{start} to {'above ' if high is None else ''}{end}"


def published_text(shift: PublishedShift) -> str:
    """Return a published crossover from the first method to another."""
    place = f"{shift.low:g}" if shift.high is None else f"{shift.low:g} to {shift.high:g}"
    of = "" if shift.seeds is None else f", {shift.seeds:,} seeds"
    return f"BR {place} ({shift.source}{of})"


# The fit and the contrasts.


def model_text(record: FitRecord) -> str:
    """Return the standard deviations of the noise, and cells far below their curve."""
    noise = record.noise
    text = (
        f"Standard deviations: {100 * noise.training_runs:.1f} points between training runs, "
        f"{100 * noise.draws_of_seeds:.1f} between draws of the seeds, {100 * noise.missed:.1f} "
        "from the misfit of the curves."
    )
    if record.far_off:
        found = [f"{one.cell} ({100 * one.probability:.0f}%)" for one in record.far_off]
        text += f" Probably a failed training, to be run again: {listed(found)}."
    return text


def contrast_text(test: ContrastResult) -> str:
    """Return the claim of a contrast, its verdict, the estimate and the interval."""
    claim = test.claim.removesuffix(".")
    if test.verdict == "not in this study":
        return f"{claim}: {test.verdict}."
    logs = test.unit == "ln BR"

    def number(value: float) -> str:
        return f"{value:+.2f}" if logs else points(value)

    unit = "" if logs else " points"
    margin = " above the margin" if test.margin else ""
    estimate = "no estimate" if test.estimate is None else f"{number(test.estimate)}{unit}"
    if test.low is None:
        interval = "unbounded" if test.high is None else f"at most {number(test.high)}"
    elif test.high is None:
        interval = f"{number(test.low)} or more"
    else:
        interval = f"{number(test.low)} to {number(test.high)}"
    text = f"{claim}: {test.verdict}, {estimate}{margin} ({interval})"
    if test.verdict == "open" and test.detectable is not None:
        least = f"{test.detectable:.2f}" if logs else f"{100 * test.detectable:.1f} points"
        text += f"; 80% power for {least}"
    return f"{text}."
