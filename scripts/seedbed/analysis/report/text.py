"""The terminal's text: the summary of a study, and the answers of `advise`."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import asdict

from seedbed.analysis.decide.advise import Advice, Plan
from seedbed.analysis.report import sentences as say
from seedbed.analysis.report.answers import Answer, Question
from seedbed.analysis.report.charts.places import place_titles
from seedbed.analysis.report.summary import Report, SizeSummary
from seedbed.analysis.settings import Titles


def summary_text(report: Report, page: str) -> str:
    """Return the report as plain text. Lines have at most 100 columns, except in tables.

    Args:
        report: the report.
        page: path of the HTML page, which the last line names.
    """
    lines = wrapped(f"Study {report.study}: accuracy in %; * {say.BEST_OF_COLUMN}")
    for line in (report.missing, *report.cautions):
        lines += wrapped(line)
    for fit in report.fits:
        lines += ["", fit.title, f"  {fit.setting}"]
        if fit.base:
            lines.append(f"  base model {fit.base}")
        for size in fit.sizes:
            lines += ["", *_table(size)]
            for line in (*size.differences, *size.crossovers):
                lines += wrapped(line, "  ", "    ")
        lines += ["", *wrapped(fit.model, "  "), "  Advice:"]
        for size in fit.sizes:
            lines += wrapped(size.advice, "  - ", "    ")
    if report.findings:
        lines += ["", say.FINDINGS]
    for finding in report.findings:
        lines += wrapped(f"{finding.number}. {finding.text}", "  ", "     ")
        for test in finding.tests:
            lines += wrapped(test, "     - ", "       ")
    for remark in report.remarks:
        lines += wrapped(remark, "  ")
    return "\n".join([*lines, "", *wrapped(report.intervals), f"Open {page}"]) + "\n"


def _table(size: SizeSummary) -> list[str]:
    head = f"{size.seeds:,} seeds"
    width = max(map(len, [head, *(row.name for row in size.rows)]))
    widths = [max(len(column), 5) + 1 for column in size.columns]
    heads = [f" {text:>{wide}} " for text, wide in zip(size.columns, widths, strict=True)]
    lines = [f"  {head:<{width}}{''.join(heads)}"]
    for row in size.rows:
        cells = [
            f" {text or '-':>{wide}}{'*' if best else ' '}"
            for text, best, wide in zip(row.cells, row.best, widths, strict=True)
        ]
        lines.append(f"  {row.name:<{width}}{''.join(cells)}".rstrip())
    return lines


def wrapped(text: str, first: str = "", others: str | None = None) -> list[str]:
    """Return a text as lines of at most 100 columns, the first and the others indented."""
    return textwrap.wrap(
        text,
        100,
        initial_indent=first,
        subsequent_indent=first if others is None else others,
        break_long_words=False,
        break_on_hyphens=False,
    )


def advice_text(
    source: str, question: Question, answers: Sequence[Answer], confidence: float, titles: Titles
) -> str:
    """Return answers of `ask` as tables and sentences.

    Args:
        source: source of the answers, as "study demo" or "table cells.csv".
        question: the question.
        answers: the answers.
        confidence: coverage of the intervals.
        titles: titles of methods and models.
    """
    # A transferred answer has the group of another task: titles name the task that was asked about.
    places = [{**asdict(answer.group), "task": question.task} for answer in answers]
    lines = []
    for answer, name in zip(answers, place_titles(places, titles), strict=True):
        lines.append(f"{name} ({source})")
        if answer.said is None:
            lines += wrapped(f"no answer: {answer.reason}", "  ")
        elif isinstance(answer.said, Advice):
            lines += _budget_lines(answer, answer.said, confidence, titles)
        else:
            lines += _target_lines(question, answer, answer.said, confidence, titles)
        lines.append("")
    return "\n".join(lines)


def _transferred_lines(answer: Answer, titles: Titles) -> list[str]:
    """Return lines on the tasks that an answer is transferred from, if any."""
    if not answer.transferred:
        return []
    tasks = say.listed(map(titles.title, answer.transferred))
    lines = wrapped(say.TRANSFERRED.format(tasks=tasks), "  ")
    if len(answer.transferred) == 2:
        so = say.LOSS_IS_HIGH if isinstance(answer.said, Advice) else ""
        lines += wrapped(say.TWO_TASKS.format(so=so), "  ")
    for reason in answer.left_out:
        lines += wrapped(say.left_out_text(reason), "  ")
    return lines


def _budget_lines(answer: Answer, advice: Advice, confidence: float, titles: Titles) -> list[str]:
    budget = say.money(advice.usd)
    if advice.budget is not None:
        budget = say.queries_text(advice.budget, advice.seeds)
    name = titles.short
    lines = []
    for sentence in say.advice_sentences(advice, budget, name):
        lines += wrapped(sentence, "  ")
    lines += [*_transferred_lines(answer, titles), ""]
    heads = [choice_title(one, name, titles) for one in advice.outlook]
    width = max(26, *map(len, heads)) if heads else 26
    layout = f"  {{:<{width}}}{{:>8}}{{:>12}}{{:>15}}{{:>8}}{{:>15}}{{:>8}}"
    interval = f"{100 * confidence:g}% interval"
    lines.append(
        layout.format("", "queries", "accuracy, %", interval, "best in", "regret, points", "cost")
    )
    known = advice.basis != "priors"
    for head, one in zip(heads, advice.outlook, strict=True):
        lines.append(
            layout.format(
                head,
                f"{one.budget:,}",
                say.percent(one.accuracy) if known else "-",
                say.span(one.low, one.high) if known else "-",
                f"{100 * one.probability_best:.0f}%",
                say.percent(one.expected_regret),
                say.money(one.costs.get("usd")),
            )
        )
    for note in (*say.advice_notes(advice, name), _assumed(answer)):
        lines += wrapped(note, "  ")
    fit = answer.fit
    within = fit is not None and fit.beyond_sizes(advice.seeds) == 1
    if fit is not None and within and advice.usd is None and not answer.transferred:
        elsewhere = say.leaders_text(fit, advice.seeds, name, confidence)
        lines += wrapped(say.elsewhere_text(elsewhere), "  ")
    if advice.design:
        lines += wrapped(say.next_text(advice), "  ")
    for cell in advice.design:
        price = "" if cell.usd is None else f", {say.money(cell.usd)}"
        price = f"{cell.queries:,} queries to ask{price}" if cell.queries else "its data exists"
        after = say.points(cell.regret_after, sign=False)
        made = say.choice_text(cell, name)
        line = (
            f"{after} points  {made} with {cell.seeds:,} seeds and {cell.budget:,} queries, "
            f"{say.next_cell_text(cell)} ({price})"
        )
        lines += wrapped(line, "    ", " " * 17)
    return lines


def _assumed(answer: Answer) -> str:
    return "" if answer.assumed is None else say.assumed_text(answer.assumed)


def choice_title(choice: say.Chosen, name: say.Name, titles: Titles) -> str:
    """Return the head of a row: the full title of a method, or short titles of a mixture."""
    return say.choice_title(choice, titles.title if len(choice.shares) == 1 else name)


def _target_lines(
    question: Question,
    answer: Answer,
    found: Sequence[Plan],
    confidence: float,
    titles: Titles,
) -> list[str]:
    target = question.target or 0.0
    lines = []
    for sentence in say.plan_sentences(
        found,
        question.seeds,
        target,
        titles.short,
        answer.untrained,
        answer.by_priors,
        measured=not answer.transferred,
    ):
        lines += wrapped(sentence, "  ")
    lines += [*_transferred_lines(answer, titles), ""]
    heads = [choice_title(one, titles.short, titles) for one in found]
    width = max(26, *map(len, heads))
    layout = f"  {{:<{width}}}{{:>10}}{{:>12}}{{:>16}}{{:>12}}{{:>10}}  {{}}"
    interval = f"{100 * confidence:g}% interval"
    beyond = "" if answer.by_priors else "beyond the data"
    lines.append(
        layout.format("", "queries", "accuracy, %", interval, "reached in", "cost", beyond).rstrip()
    )
    for head, one in zip(heads, found, strict=True):
        lines.append(
            layout.format(
                head,
                f"{one.at:,}" if one.budget is not None else f"({one.at:,})",
                say.percent(one.accuracy),
                say.span(one.low, one.high),
                f"{100 * one.probability:.0f}%",
                say.money(one.costs.get("usd")),
                "" if one.beyond == 1 else say.times(one.beyond),
            ).rstrip()
        )
    return [*lines, *wrapped(_assumed(answer), "  ")]
