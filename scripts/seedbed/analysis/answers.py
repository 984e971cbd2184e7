"""What a study answers to one question: a task, so many seeds, and a budget or an accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from seedbed.analysis.advice import Advice, Reach, advise, borrow, reach
from seedbed.analysis.costs import Prices
from seedbed.analysis.crossovers import ratio_text
from seedbed.analysis.figures.drawing import group_titles
from seedbed.analysis.fits import Fit
from seedbed.analysis.report import outlook_text, percent
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
        answers = _borrowed(fits, question, confidence)
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


def _borrowed(fits: Sequence[Fit], question: Question, confidence: float) -> list[Answer]:
    known = list(dict.fromkeys(fit.record["task"] for fit in fits))
    missing = f"task {question.task}: the study has results of {', '.join(known) or 'none'}"
    if question.queries is None:
        raise ValueError(f"{missing}; from other tasks there is advice by queries alone")
    by_models: dict[tuple[str, ...], list[Fit]] = {}
    for fit in fits:
        by_models.setdefault(tuple(fit.record[name] for name in COORDINATES[1:]), []).append(fit)
    answers = []
    for group in by_models.values():
        tasks = tuple(fit.record["task"] for fit in group)
        try:
            said = borrow(group, question.seeds, question.queries, confidence)
            answers.append(Answer(group[0], said, borrowed=tasks))
        except ValueError as error:
            answers.append(Answer(group[0], None, f"{missing}; {error}"))
    # Ablations that only one task has say nothing, and need not say so where others do.
    return [answer for answer in answers if answer.said] or answers


def advice_text(
    study: str, question: Question, answers: Sequence[Answer], confidence: float, titles: Titles
) -> str:
    """Return answers as tables and sentences for a person."""
    names = group_titles([answer.fit for answer in answers], titles)
    lines = []
    for answer, name in zip(answers, names, strict=True):
        if answer.borrowed:
            tasks = ", ".join(titles.title(task) for task in answer.borrowed)
            lines.append(f"{titles.title(question.task)}: no results, borrowed from {tasks}")
        else:
            lines.append(f"{name} (study {study})")
        if answer.said is None:
            lines.append(f"  nothing to say: {answer.reason}")
        elif isinstance(answer.said, Advice):
            lines += _budget_lines(answer.said, confidence, titles)
        else:
            lines += _target_lines(question, answer.said, confidence, titles)
        lines.append("")
    return "\n".join(lines)


def _budget_lines(advice: Advice, confidence: float, titles: Titles) -> list[str]:
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
    said = f"  {outlook_text(advice, titles)}. By {advice.basis}."
    if advice.beyond > 1:
        said += (
            f" This is {advice.beyond:.2g} times beyond the data: the intervals are widened by what"
            " curves missed at held-out budgets."
        )
    lines.append(said)
    for cell in advice.next_cells:
        price = "" if cell.usd is None else f", {money(cell.usd)}"
        lines.append(
            f"  To know more: {titles.short(cell.method)} again with {cell.seeds:,} seeds and "
            f"{cell.budget:,} queries{price}; the lead's standard error would go from "
            f"{100 * cell.doubt_before:.2f} to {100 * cell.doubt_after:.2f} points."
        )
    return lines


def money(usd: float | None) -> str:
    """Return dollars as text; a dash where they are not known."""
    if usd is None:
        return "-"
    return f"${usd:,.0f}" if usd >= 100 else f"${usd:.2f}" if usd >= 0.1 else f"${usd:.2g}"


def _target_lines(
    question: Question, found: Sequence[Reach], confidence: float, titles: Titles
) -> list[str]:
    head = ("", "queries", "accuracy, %", f"{100 * confidence:g}% interval", "reached in", "cost")
    lines = [
        f"  {question.seeds:,} seeds, to reach {percent(question.target)}%",
        "  {:<26}{:>10}{:>12}{:>16}{:>12}{:>10}".format(*head),
    ]
    for one in found:
        interval = f"{percent(one.low)} to {percent(one.high)}"
        queries = "-" if one.budget is None else f"{one.budget:,}"
        lines.append(
            f"  {titles.title(one.method):<26}{queries:>10}{percent(one.accuracy):>12}"
            f"{interval:>16}{100 * one.probability:>11.0f}%{money(one.costs.get('usd')):>10}"
        )
    best = found[0]
    if best.budget is None:
        return [
            *lines,
            "  No method is expected to reach it within what was measured; their best is shown.",
        ]
    ratio = ratio_text(best.budget / question.seeds)
    cost = best.costs.get("usd")
    least = "the fewest teacher queries" if cost is None else f"the least money, {money(cost)}"
    return [
        *lines,
        f"  {titles.short(best.method)} is expected to reach it with {least}: "
        f"{best.budget:,} queries, BR {ratio}.",
    ]


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
