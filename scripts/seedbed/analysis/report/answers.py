"""What a study answers to one question: a task, so many seeds, and a budget or an accuracy."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from seedbed.analysis.curves.fits import Fit
from seedbed.analysis.decide.advise import Advice, advise
from seedbed.analysis.decide.costs import Prices
from seedbed.analysis.decide.crossovers import ratio_text
from seedbed.analysis.decide.expectations import sizes_beyond
from seedbed.analysis.decide.reaching import Reach, reach
from seedbed.analysis.decide.transfer import borrow, borrow_reach
from seedbed.analysis.report.charts.places import place_titles
from seedbed.analysis.report.report import leaders_text, outlook_text, percent
from seedbed.analysis.settings import Titles

COORDINATES = ("task", "student", "teacher", "augmenter", "filter")


@dataclass(frozen=True)
class Question:
    """What is asked. One of `queries`, `usd` and `target` is given.

    Attributes:
        task: the task.
        seeds: seed questions.
        queries: teacher queries, the budget.
        usd: US dollars, the budget.
        target: accuracy to reach at the least cost, a fraction.
    """

    task: str
    seeds: int
    queries: int | None = None
    usd: float | None = None
    target: float | None = None


@dataclass(frozen=True)
class Answer:
    """What cells of one student, teacher, augmenter and filter say.

    Attributes:
        fit: their fit; of other tasks, if the task has no results, that of the first.
        said: the advice, or by method the least budgets; None where they say nothing.
        reason: why they say nothing, or "".
        borrowed: the tasks that it is borrowed from; none if the task has results.
    """

    fit: Fit
    said: Advice | list[Reach] | None
    reason: str = ""
    borrowed: tuple[str, ...] = ()


def ask(
    fits: Sequence[Fit], question: Question, confidence: float, prices: Prices | None = None
) -> list[Answer]:
    """Return what each fit of a task answers; of a task without results, what others let expect.

    Args:
        fits: the study's fits.
        question: the question.
        confidence: coverage of the intervals.
        prices: by model, what its tokens cost.

    Raises:
        ValueError: if none of the fits can say anything of the seeds and the budget.
    """
    own = [fit for fit in fits if fit.record["task"] == question.task]
    answers = [_answer(fit, question, confidence, prices or {}) for fit in own]
    if not own:
        answers = _borrowed(fits, question, confidence, prices or {})
    if not any(answer.said for answer in answers):
        raise ValueError("; ".join(dict.fromkeys(answer.reason for answer in answers)))
    return answers


def _answer(fit: Fit, question: Question, confidence: float, prices: Prices) -> Answer:
    seeds = question.seeds
    try:
        if question.target is not None:
            return Answer(fit, reach(fit, seeds, question.target, confidence, prices))
        said = advise(fit, seeds, question.queries, confidence, question.usd, prices)
        return Answer(fit, said)
    except ValueError as error:
        return Answer(fit, None, str(error))


def _borrowed(
    fits: Sequence[Fit], question: Question, confidence: float, prices: Prices
) -> list[Answer]:
    known = list(dict.fromkeys(fit.record["task"] for fit in fits))
    missing = f"task {question.task}: the study has results of {', '.join(known) or 'none'}"
    if not fits:
        raise ValueError(missing)
    by_models: dict[tuple[str, ...], list[Fit]] = {}
    for fit in fits:
        by_models.setdefault(tuple(fit.record[name] for name in COORDINATES[1:]), []).append(fit)
    seeds = question.seeds
    answers = []
    for group in by_models.values():
        tasks = tuple(fit.record["task"] for fit in group)
        try:
            if question.target is not None:
                said = borrow_reach(group, seeds, question.target, confidence, prices)
            else:
                said = borrow(group, seeds, question.queries, confidence, question.usd, prices)
            answers.append(Answer(group[0], said, borrowed=tasks))
        except ValueError as error:
            answers.append(Answer(group[0], None, f"{missing}; {error}"))
    # Ablations that only one task has say nothing, and need not say so where others do.
    return [answer for answer in answers if answer.said] or answers


def advice_text(
    study: str, question: Question, answers: Sequence[Answer], confidence: float, titles: Titles
) -> str:
    """Return answers as tables and sentences for a person."""
    lines = []
    for answer, name in zip(answers, _names(question, answers, titles), strict=True):
        lines.append(f"{name} (study {study})")
        if answer.borrowed:
            tasks = ", ".join(titles.title(task) for task in answer.borrowed)
            lines += _wrapped(
                f"This task has no results here: what follows is borrowed from {tasks}. How far a "
                "task may lie from the others is estimated from how far these lie apart, and is in "
                "the intervals; what it costs is the geometric mean of what they cost."
            )
            if len(answer.borrowed) == 2:
                lines += _wrapped("Two tasks say little of how far tasks lie apart.")
        if answer.said is None:
            lines += _wrapped(f"nothing to say: {answer.reason}")
        elif isinstance(answer.said, Advice):
            lines += _budget_lines(answer, confidence, titles)
        else:
            lines += _target_lines(question, answer, confidence, titles)
        lines.append("")
    return "\n".join(lines)


def _names(question: Question, answers: Sequence[Answer], titles: Titles) -> list[str]:
    """Return what to call each answer: the task that is asked about, and what sets it apart."""
    places = [{**answer.fit.record, "task": question.task} for answer in answers]
    return place_titles(places, titles)


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, 98, initial_indent="  ", subsequent_indent="  ")


def _budget_lines(answer: Answer, confidence: float, titles: Titles) -> list[str]:
    advice: Advice = answer.said
    if advice.usd is None:
        ratio = ratio_text(advice.budget / advice.seeds)
        lines = [f"  {advice.seeds:,} seeds, {advice.budget:,} teacher queries: BR {ratio}"]
    else:
        lines = [f"  {advice.seeds:,} seeds, {money(advice.usd)}"]
    head = ["", "queries", "accuracy, %", f"{100 * confidence:g}% interval", "best in"]
    head += ["regret, points", "cost"]
    lines.append("  {:<26}{:>10}{:>12}{:>16}{:>9}{:>16}{:>10}".format(*head))
    for entry in advice.outlook:
        interval = f"{percent(entry.low)} to {percent(entry.high)}"
        lines.append(
            f"  {titles.title(entry.method):<26}{entry.budget:>10,}{percent(entry.accuracy):>12}"
            f"{interval:>16}{100 * entry.probability_best:>8.0f}%"
            f"{100 * entry.expected_regret:>16.1f}{money(entry.costs.get('usd')):>10}"
        )
    said = f"{outlook_text(advice, titles)}. By {advice.basis}."
    if advice.beyond > 1:
        said += f" This is {_times(advice.beyond)} beyond the data: {_WIDENED}."
    lines += _wrapped(said)
    if advice.usd is None and not answer.borrowed and sizes_beyond(answer.fit, advice.seeds) == 1:
        elsewhere = leaders_text(answer.fit, advice.seeds, titles, confidence)
        lines += _wrapped(f"With other budgets: {elsewhere}." if elsewhere else "")
    if advice.next_cells:
        lines += _next_lines(advice, titles)
    return lines


_WIDENED = (
    "the intervals are widened by what curves missed at held-out budgets beyond noise, or by what "
    "noise can hide"
)


def _times(factor: float) -> str:
    """Return how far beyond the data something is; 2 digits, but never 1 for what is beyond."""
    return f"{max(factor, 1.01):.3g} times" if factor < 1.1 else f"{factor:.2g} times"


def _next_lines(advice: Advice, titles: Titles) -> list[str]:
    """Return what to measure next, as sentences of a line each."""
    names = [titles.short(entry.method) for entry in advice.outlook[:2]]
    before = advice.next_cells[0].doubt_before
    pilot = "Pilot cells of this task" if advice.basis == "other tasks" else "Cells"
    lines = _wrapped(
        f"{pilot} that would tell most, for what their data costs, of whether {names[0]} is better "
        f"than {names[1]}; the standard error of that difference is {100 * before:.2f} points, and "
        "with one of them:"
    )
    for cell in advice.next_cells:
        price = "" if cell.usd is None else f", {money(cell.usd)}"
        price = f"{cell.queries:,} queries to ask{price}" if cell.queries else "its data is there"
        kind = "a new cell" if cell.new else "again"
        lines.append(
            f"    {100 * cell.doubt_after:.2f} points  {titles.short(cell.method)} with "
            f"{cell.seeds:,} seeds and {cell.budget:,} queries, {kind} ({price})"
        )
    return lines


def money(usd: float | None) -> str:
    """Return dollars as text; a dash where they are not known."""
    if usd is None:
        return "-"
    return f"${usd:,.0f}" if usd >= 100 else f"${usd:.2f}" if usd >= 0.1 else f"${usd:.2g}"


def _target_lines(
    question: Question, answer: Answer, confidence: float, titles: Titles
) -> list[str]:
    found: Sequence[Reach] = answer.said
    head = ("", "queries", "accuracy, %", f"{100 * confidence:g}% interval", "reached in", "cost")
    lines = [
        f"  {question.seeds:,} seeds, to reach {percent(question.target)}%",
        "  {:<26}{:>10}{:>12}{:>16}{:>12}{:>10}  {}".format(*head, "beyond the data"),
    ]
    for one in found:
        interval = f"{percent(one.low)} to {percent(one.high)}"
        queries = f"{one.at:,}" if one.budget is not None else f"({one.at:,})"
        beyond = "" if one.beyond == 1 else _times(one.beyond)
        lines.append(
            f"  {titles.title(one.method):<26}{queries:>10}{percent(one.accuracy):>12}"
            f"{interval:>16}{100 * one.probability:>11.0f}%{money(one.costs.get('usd')):>10}"
            f"  {beyond}".rstrip()
        )
    said = [*_untrained(question, answer), _plan_text(question, found, titles)]
    if any(one.beyond > 1 for one in found):
        said.append(f"Beyond the data it is curves that say how accuracy goes on; {_WIDENED}.")
    return [*lines, *(line for text in said for line in _wrapped(text))]


def _untrained(question: Question, answer: Answer) -> list[str]:
    untrained = answer.fit.record["untrained"]
    if answer.borrowed or not untrained or untrained["accuracy"] < question.target:
        return []
    return [f"The untrained student has {percent(untrained['accuracy'])}% without any query."]


def _plan_text(question: Question, found: Sequence[Reach], titles: Titles) -> str:
    """Return the cheapest plan as sentences, or that there is none, and how far was looked."""
    best = found[0]
    if best.budget is None:
        most = max(one.looked_to for one in found)
        return (
            "No method is expected to reach it; looked for were budgets up to "
            f"{most:,} queries, BR {ratio_text(most / question.seeds)}. Most is expected of "
            f"{titles.short(best.method)}, {percent(best.accuracy)}%. In brackets are the queries "
            "with which most is expected of each."
        )
    ratio = ratio_text(best.budget / question.seeds)
    reaching = [one for one in found if one.budget is not None]
    priced = all(one.costs.get("usd") is not None for one in reaching)
    least = (
        f"the least money, {money(best.costs['usd'])}" if priced else "the fewest teacher queries"
    )
    text = (
        f"{titles.short(best.method)} is expected to reach it with {least}: "
        f"{best.budget:,} queries, BR {ratio}; it is reached in {100 * best.probability:.0f}% of "
        "resamples."
    )
    if best.budget == best.looked_from:
        text += " These are the fewest that were measured: fewer may do."
    if best.beyond > 1:
        text += f" This plan is {_times(best.beyond)} beyond the data."
    never = [titles.short(one.method) for one in found if one.budget is None]
    if never:
        most = max(one.looked_to for one in found if one.budget is None)
        text += (
            f" {' and '.join(never)} {'is' if len(never) == 1 else 'are'} not expected to, up to "
            f"{most:,} queries; in brackets are those with which most is expected."
        )
    return text


def advice_json(question: Question, answers: Sequence[Answer]) -> dict[str, Any]:
    """Return answers as JSON: accuracies, intervals, regrets and probabilities are fractions."""
    return {
        "question": asdict(question),
        "answers": [
            {name: answer.fit.record[name] for name in COORDINATES}
            | {"task": question.task, "borrowed": list(answer.borrowed)}
            | _said(answer)
            for answer in answers
        ],
    }


def _said(answer: Answer) -> dict[str, Any]:
    if answer.said is None:
        return {"reason": answer.reason}
    if isinstance(answer.said, Advice):
        return asdict(answer.said)
    return {"reach": [asdict(one) for one in answer.said]}
