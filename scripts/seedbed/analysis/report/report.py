"""The summary of a study, as text for the terminal and as one self-contained HTML page."""

from __future__ import annotations

import base64
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import polars as pl

from seedbed.analysis.curves.fits import Fit
from seedbed.analysis.decide.advise import Advice, advise, leaders
from seedbed.analysis.decide.contrasts import finding_text
from seedbed.analysis.decide.crossovers import describe, inverted_text, ratio_text
from seedbed.analysis.decide.expectations import closest
from seedbed.analysis.decide.shifts import AMOUNTS, NOTHING, Shift, shifts
from seedbed.analysis.report.charts.places import group_titles
from seedbed.analysis.report.explorer import CONTROLS, SCRIPT, script_json, vega_bundle
from seedbed.analysis.settings import PublishedShift, Titles
from seedbed.analysis.tables.outcomes import GROUP_COLUMNS


@dataclass(frozen=True)
class SizeSummary:
    """What is to say of one seed-set size.

    Attributes:
        seeds: seed-set size.
        columns: heads of the table's columns, one for each budget.
        rows: rows of the table: the method's title and short title, its cells as text ("" where
            there is none), and which of them are the best of their column.
        differences: sentences on the differences at the lowest and the highest budget.
        crossovers: sentences on where methods overtake the first one.
        shifts: rows of the table of where one method takes over from another.
        advice: one sentence.
    """

    seeds: int
    columns: tuple[str, ...]
    rows: tuple[tuple[str, str, tuple[str, ...], tuple[bool, ...]], ...]
    differences: tuple[str, ...]
    crossovers: tuple[str, ...]
    shifts: tuple[Shift, ...]
    advice: str


@dataclass(frozen=True)
class FitSummary:
    """What is to say of one fit: a task with its models and filter.

    Attributes:
        title: the task, and what sets this fit apart from the study's others.
        setting: student, teacher, augmenter, filter and number of test items, as one line.
        untrained: accuracy of the untrained student as text, or "".
        model: one line on the fitted model, or on why there is none.
        equation: the chosen model's equations, or "".
        parameters: its parameters: name, value, interval, unit, meaning and a warning or "".
        sizes: one summary for each seed-set size.
    """

    title: str
    setting: str
    untrained: str
    model: str
    equation: str
    parameters: tuple[tuple[str, str, str, str, str, str], ...]
    sizes: tuple[SizeSummary, ...]


def summarise(
    fits: Sequence[Fit],
    comparisons: pl.DataFrame,
    crossovers: Sequence[Mapping[str, Any]],
    titles: Titles,
    confidence: float,
    published: Sequence[PublishedShift] = (),
) -> list[FitSummary]:
    """Return what the report says of every fit.

    Args:
        fits: the fits.
        comparisons: table of `compare_methods`.
        crossovers: records of `find_crossovers`.
        titles: titles of methods, tasks and models.
        confidence: coverage of the intervals.
        published: shifts that others saw.
    """
    summaries = []
    for fit, title in zip(fits, group_titles(fits, titles), strict=True):
        record = fit.record
        baseline = record["untrained"]
        parts = [
            f"student {titles.title(record['student'])}",
            f"teacher {titles.title(record['teacher'])}",
            f"augmenter {titles.title(record['augmenter'])}",
            f"filter {record['filter']}",
            f"{record['items']:,} test items",
        ]
        if record["clusters"] != record["items"]:
            parts.append(f"{record['clusters']:,} clusters")
        model, equation, parameters = _model_lines(fit)
        summaries.append(
            FitSummary(
                title=title,
                setting=", ".join(parts),
                untrained=_with_interval(baseline) if baseline else "",
                model=model,
                equation=equation,
                parameters=parameters,
                sizes=tuple(
                    _size(fit, seeds, comparisons, crossovers, titles, confidence, published)
                    for seeds in fit.seeds
                ),
            )
        )
    return summaries


def percent(share: float) -> str:
    """Return a share in percent, as tables have it."""
    return f"{100 * share:.1f}"


def _with_interval(entry: Mapping[str, Any]) -> str:
    interval = f"{percent(entry['low'])} to {percent(entry['high'])}"
    return f"{percent(entry['accuracy'])}% ({interval})"


def _model_lines(fit: Fit) -> tuple[str, str, tuple[tuple[str, str, str, str, str, str], ...]]:
    record = fit.record
    if record["chosen"] is None:
        return f"No curve was fitted: {record['reason']}. Cell means are used.", "", ()
    chosen = next(entry for entry in record["models"] if entry["name"] == record["chosen"])
    bootstrap = record["bootstrap"]
    others = sum(bool(entry.get("weight")) for entry in record["models"]) - 1
    held_out = chosen["held_out_error"]
    text = f"Curve: {chosen['name']}"
    if held_out is not None:
        text += f", which missed held-out highest budgets by {100 * held_out:.1f} points"
        by_noise = chosen.get("held_out_noise")
        if by_noise is not None:
            text += f" (by noise alone it would by {100 * by_noise:.1f})"
    text += f", with a weight of {chosen['weight']:.2f}"
    if others > 0:
        text += f"; the rest is {others} other models'" if others > 1 else "; the rest another's"
    text += (
        f". Deviance {chosen['deviance']:.1f} on {chosen['degrees_of_freedom']} degrees of freedom"
    )
    noise = {"training runs": "training_noise", "draws of the seeds": "seed_draw_noise"}
    for between, name in noise.items():
        text += f"; noise between {between} {100 * bootstrap[name]:.1f} points"
    text += "."
    if record["lack_of_fit"] > _POOR_FIT:
        text += " The curve fits poorly: trust the cell means more."
    if chosen["at_bound"]:
        text += f" At a bound, so not determined by the data: {', '.join(chosen['at_bound'])}."
    if bootstrap["not_converged"]:
        text += f" {bootstrap['not_converged']} of {bootstrap['samples']} refits did not converge."
    parameters = tuple(
        (
            entry["name"],
            f"{entry['value']:.3g}",
            f"{entry['low']:.3g} to {entry['high']:.3g}",
            entry["unit"],
            entry["meaning"],
            "at a bound" if entry["at_bound"] else "",
        )
        for entry in chosen["parameters"]
    )
    return text, chosen["equation"], parameters


_POOR_FIT = 4.0
"""Deviance per degree of freedom above which a curve misses cells by twice their sampling error."""


def _size(
    fit: Fit,
    seeds: int,
    comparisons: pl.DataFrame,
    crossovers: Sequence[Mapping[str, Any]],
    titles: Titles,
    confidence: float,
    published: Sequence[PublishedShift],
) -> SizeSummary:
    budgets = sorted({cell["budget"] for cell in fit.cells(seeds)})
    accuracy = {(cell["method"], cell["budget"]): cell["accuracy"] for cell in fit.cells(seeds)}
    best = {
        budget: max(value for (_, at), value in accuracy.items() if at == budget)
        for budget in budgets
    }
    # Where all that were measured are equal, or one alone was, none is the best.
    contested = {
        budget
        for budget in budgets
        if len({value for (_, at), value in accuracy.items() if at == budget}) > 1
    }
    rows = []
    for method in fit.methods:
        values = [accuracy.get((method, budget)) for budget in budgets]
        rows.append(
            (
                titles.title(method),
                titles.short(method),
                tuple("" if value is None else percent(value) for value in values),
                tuple(
                    value is not None and value == best[budget] and budget in contested
                    for value, budget in zip(values, budgets, strict=True)
                ),
            )
        )
    paired = comparisons.filter(
        *(pl.col(name) == fit.record[name] for name in GROUP_COLUMNS),
        pl.col("seeds") == seeds,
        pl.col("reference") == fit.methods[0],
    )
    basis = "means" if not fit.models else "curve"
    compared = [
        record
        for record in crossovers
        if (record["fit"], record["seeds"], record["basis"]) == (fit.record["fit"], seeds, basis)
        and record["reference"] == fit.methods[0]
    ]
    return SizeSummary(
        seeds=seeds,
        columns=tuple(f"BR {budget / seeds:.3g}" for budget in budgets),
        rows=tuple(rows),
        differences=tuple(_differences(paired, titles)),
        crossovers=tuple(_crossover_lines(compared, titles)),
        shifts=tuple(shifts(fit, seeds, crossovers, published, titles)),
        advice=_advice(fit, seeds, budgets, titles, confidence),
    )


def _crossover_lines(records: Sequence[Mapping[str, Any]], titles: Titles) -> Iterator[str]:
    apart = {
        record["method"]
        for record in records
        if (record["measure"], record["status"]) == ("budget_ratio", "too_few_budgets")
    }
    for record in records:
        nothing = record["status"] in ("too_few_budgets", "unknown")
        if record["measure"] != "budget_ratio" and record["method"] in apart and nothing:
            # That they have no budgets in common says enough.
            continue
        text = describe(record, titles.short)
        if record["measure"] == "budget_ratio" and record["crossings"]:
            # Beside the bootstrap's: where a test of no difference does not refuse.
            text = f"{text[:-1]}; by inverted tests {inverted_text(record)}."
        yield text


def _differences(paired: pl.DataFrame, titles: Titles) -> list[str]:
    """Return sentences on the paired differences at the lowest and the highest budget."""
    lines = []
    if paired.is_empty():
        return lines
    ends = dict.fromkeys([paired["budget"].min(), paired["budget"].max()])
    for budget in ends:
        for row in paired.filter(pl.col("budget") == budget).iter_rows(named=True):
            pair = f"{titles.short(row['method'])} minus {titles.short(row['reference'])}"
            text = f"BR {row['budget_ratio']:.3g}: {pair} = {100 * row['difference']:+.1f} points"
            if row["low"] is not None:
                text += f" ({100 * row['low']:+.1f} to {100 * row['high']:+.1f})"
                text += f"; p {p_text(row['p_holm'])} of {row['family_size']} by Holm"
                text += f"; {100 * row['detectable']:.1f} could be seen with 80% power"
            lines.append(text)
    return lines


def p_text(p: float) -> str:
    """Return a p-value as text: no more digits than anything rests on."""
    return "< 0.001" if p < 0.001 else f"= {p:.2g}"


def _advice(fit: Fit, seeds: int, budgets: Sequence[int], titles: Titles, confidence: float) -> str:
    """Return one sentence: which method to use where, and what to expect at the ends.

    Only budgets at which all methods were measured are spoken of: elsewhere one of them would be
    best for want of others.
    """
    measured = {(cell["method"], cell["budget"]) for cell in fit.cells(seeds)}
    shared = [b for b in budgets if all((method, b) in measured for method in fit.methods)]
    if not shared:
        return f"{seeds:,} seeds: the methods have no budget in common."
    said = []
    leading = leaders_text(fit, seeds, titles, confidence)
    if leading:
        said.append(leading)
    elif len(shared) > 1:
        said.append("no method leads at any budget ratio that all of them have")
    for budget in dict.fromkeys([shared[0], shared[-1]]):
        advice = advise(fit, seeds, budget, confidence, look_further=False)
        text = f"at {budget:,} teacher queries {outlook_text(advice, titles)}"
        missing = _missing_rows(fit, seeds, advice.best.method, budget)
        if missing:
            text += f" (with {missing:,.0f} rows fewer than without a filter)"
        untrained = fit.record["untrained"]
        if untrained and advice.best.accuracy < untrained["accuracy"]:
            text += " (but the untrained student is better: leave it untrained)"
        said.append(text)
    return f"{seeds:,} seeds: {'; '.join(said)}."


def leaders_text(fit: Fit, seeds: int, titles: Titles, confidence: float) -> str:
    """Return which methods lead from which budget ratio on, as a clause; "" if none does.

    As in "use AA, from BR 1.5 QR or NQ": methods that are statistically tied stand together.
    """
    parts = leaders(fit, seeds, confidence)
    if not parts:
        return ""
    names = [
        "any method"
        if len(part.methods) == len(fit.methods) > 2
        else " or ".join(map(titles.short, part.methods))
        for part in parts
    ]
    budgets = [cell["budget_ratio"] for cell in fit.cells(closest(fit, seeds))]
    steps = [f"use {names[0]}"]
    if parts[0].low > (1 + 1e-9) * min(budgets):
        # Below that, not all methods were measured.
        steps = [f"from BR {ratio_text(parts[0].low)} use {names[0]}"]
    steps += [
        f"from BR {ratio_text(part.low)} {name}"
        for part, name in zip(parts[1:], names[1:], strict=True)
    ]
    if parts[-1].high < (1 - 1e-9) * max(budgets):
        steps.append(f"up to BR {ratio_text(parts[-1].high)}")
    return ", ".join(steps)


def _missing_rows(fit: Fit, seeds: int, method: str, budget: int) -> float:
    """Return how many rows a cell's filter did not find, on the average of its replicates."""
    cells = [cell for cell in fit.cells(seeds, method) if cell["budget"] == budget]
    return sum(cell.get("missing_rows") or 0.0 for cell in cells)


def outlook_text(advice: Advice, titles: Titles) -> str:
    """Return what to expect of the method that is advised, as a part of a sentence."""
    best = advice.best
    interval = f"{percent(best.low)} to {percent(best.high)}"
    text = (
        f"{titles.short(best.method)} is expected to reach {percent(best.accuracy)}% ({interval})"
    )
    # A method that stands alone is best for want of others.
    if len(advice.outlook) > 1:
        text += f" and is best in {100 * best.probability_best:.0f}% of resamples"
    besides = [
        f"{count:,.0f} {kind} queries"
        for count, kind in (
            (best.augmenter_queries, "augmenter"),
            (best.further_queries, "further teacher"),
        )
        if count and count >= 0.5
    ]
    if besides:
        text += f", for {' and '.join(besides)} besides"
    rivals = [
        f"{titles.short(entry.method)} ({100 * entry.probability_best:.0f}%)"
        for entry in advice.rivals
    ]
    if rivals:
        text += f"; it is statistically tied with {' and '.join(rivals)}"
    return text


def summary_text(
    study: str,
    missing: str,
    summaries: Sequence[FitSummary],
    findings: Sequence[Mapping[str, Any]],
    remarks: Sequence[str],
    page: str,
    confidence: float,
) -> str:
    """Return the report as plain text; sentences are wrapped at 100 columns.

    Args:
        study: name of the study.
        missing: a line on results that are missing, or "".
        summaries: what `summarise` returned.
        findings: the `findings` of `check_findings`.
        remarks: what to know in reading them.
        page: path of the HTML page, for the last line.
        confidence: coverage of the intervals.
    """
    lines = [f"Study {study}: accuracy in %, * best of its column"]
    lines += _wrapped(missing, "", "")
    for summary in summaries:
        lines += ["", summary.title, f"  {summary.setting}"]
        if summary.untrained:
            lines.append(f"  untrained student {summary.untrained}")
        for size in summary.sizes:
            names = [
                title if short in ("", title) else f"{title} ({short})"
                for title, short, _, _ in size.rows
            ]
            head = f"{size.seeds:,} seeds"
            width = max(map(len, [head, *names]))
            columns = [max(len(column), 5) + 1 for column in size.columns]
            lines += [
                "",
                f"  {head:<{width}}"
                + "".join(f" {c:>{w}} " for c, w in zip(size.columns, columns, strict=True)),
            ]
            for name, (_, _, values, best) in zip(names, size.rows, strict=True):
                marked = "".join(
                    f" {value or '-':>{w}}{'*' if top else ' '}"
                    for value, top, w in zip(values, best, columns, strict=True)
                )
                lines.append(f"  {name:<{width}}{marked}".rstrip())
            lines += [f"  {line}" for line in (*size.differences, *size.crossovers)]
        lines += ["", *_wrapped(summary.model, "  ", "  "), "  Advice:"]
        for size in summary.sizes:
            lines += _wrapped(size.advice, "  - ", "    ")
    tested = [finding for finding in findings if finding["tests"]]
    if tested:
        lines += ["", "The paper's findings (arXiv 2409.19759), as far as this study has cells:"]
    for finding in tested:
        lines += _wrapped(f"{finding['finding']}. {finding['text']}", "  ", "     ")
        for test in finding["tests"]:
            text = f"{finding_place(test)}: {finding_text(test)}"
            lines += _wrapped(text, "     - ", "       ")
    for remark in remarks:
        lines += _wrapped(remark, "  ", "  ")
    lines += [
        "",
        *_wrapped(f"Intervals cover {100 * confidence:g}%. {_WHAT_INTERVALS_HOLD}", "", ""),
        f"Open {page}",
    ]
    return "\n".join(lines) + "\n"


_WHAT_INTERVALS_HOLD = (
    "Differences are paired by test item and hold the noise of the test items alone; where a curve "
    "was fitted, intervals of crossovers and advice hold, as far as seen, what another draw of "
    "the seeds and another training run would change as well."
)


def _wrapped(text: str, first: str, others: str) -> list[str]:
    return textwrap.wrap(
        text,
        100,
        initial_indent=first,
        subsequent_indent=others,
        break_long_words=False,
        break_on_hyphens=False,
    )


@dataclass(frozen=True)
class Examples:
    """Rows of a dataset.

    Attributes:
        title: of what task and method.
        rows: questions and answers, cut where they are long.
    """

    title: str
    rows: tuple[tuple[str, str], ...]


_EXAMPLES = 3
_EXAMPLE_CHARACTERS = 600


def examples_of(dataset: Path, titles: Titles) -> Examples:
    """Return the first rows of a dataset in a folder that is named by its coordinates."""
    place = dict(part.split("=", 1) for part in dataset.parts if "=" in part)
    table = pl.scan_parquet(dataset).select("question", "answer").head(_EXAMPLES).collect()

    def cut(text: str) -> str:
        return text if len(text) <= _EXAMPLE_CHARACTERS else text[:_EXAMPLE_CHARACTERS] + " ..."

    return Examples(
        f"{titles.title(place['task'])}: {titles.title(place['method'])}",
        tuple((cut(question), cut(answer)) for question, answer in table.rows()),
    )


def finding_place(test: Mapping[str, Any]) -> str:
    """Return the task and the student of a test, by their titles."""
    return f"{test['task_title']}, {test['student_title']}"


def report_page(
    study: str,
    description: str,
    missing: str,
    summaries: Sequence[FitSummary],
    findings: Sequence[Mapping[str, Any]],
    remarks: Sequence[str],
    examples: Sequence[Examples],
    figures: Sequence[Path],
    confidence: float,
    provenance: Mapping[str, Any],
    explorer: Mapping[str, Any],
) -> str:
    """Return the report as one HTML page that needs no other file.

    Everything that comes from a study is escaped; the figures are SVG files that this workflow
    drew.

    Args:
        study: name of the study.
        description: what the study asks, or "".
        missing: a line on results that are missing, or "".
        summaries: what `summarise` returned.
        findings: the `findings` of `check_findings`.
        remarks: what to know in reading them.
        examples: rows of datasets.
        figures: paths of SVG files.
        confidence: coverage of the intervals.
        provenance: code digest and versions.
        explorer: what `explorer_data` returned.
    """
    import jinja2
    from markupsafe import Markup

    scripts = [vega_bundle(), SCRIPT] if explorer["fits"] else []
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(_PAGE).render(
        study=study,
        description=description,
        missing=missing,
        summaries=summaries,
        findings=[
            (finding["text"], [(finding_place(test), finding_text(test)) for test in tests])
            for finding in findings
            if (tests := finding["tests"])
        ],
        confidence=f"{100 * confidence:g}",
        what_intervals_hold=_WHAT_INTERVALS_HOLD,
        remarks=remarks,
        examples=examples,
        shift_columns=[_SHIFT_AT, "by inverted tests", *AMOUNTS.values()],
        any_published=any(
            shift.published for one in summaries for size in one.sizes for shift in size.shifts
        ),
        short_titles=_short_titles(summaries),
        nothing=NOTHING,
        figures=[
            (
                path.stem,
                *_CAPTIONS.get(path.stem, (path.stem.replace("_", " ").capitalize(), "")),
                Markup(inline_svg(path.read_text(encoding="utf-8"), path.stem)),
            )
            for path in figures
        ],
        provenance=provenance,
        # Only what this project wrote itself is markup; data stand in it as JSON.
        explorer=bool(explorer["fits"]),
        controls=Markup(CONTROLS),
        explorer_data=Markup(script_json(explorer)),
        scripts=[Markup(script) for script in scripts],
        policy=content_policy(scripts),
        tables=_TABLES,
    )


def content_policy(scripts: Sequence[str]) -> str:
    """Return what the page allows itself, as its Content-Security-Policy.

    Text that models wrote is escaped; were an escape missed, nothing in it would run or load.
    Styles may stand in the page: the figures' are theirs, and they can load nothing.

    Args:
        scripts: the page's own scripts, each as it stands between its tags.
    """
    digests = [base64.b64encode(sha256(text.encode()).digest()).decode() for text in scripts]
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests) or "'none'"
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src {allowed}",
            "style-src 'unsafe-inline'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )


def _short_titles(summaries: Sequence[FitSummary]) -> str:
    """Return what the methods' short titles stand for, as a part of a sentence."""
    names = {
        short: title
        for summary in summaries
        for size in summary.sizes
        for title, short, *_ in size.rows
        if short and short != title
    }
    return ", ".join(f"{short}: {title}" for short, title in names.items())


def inline_svg(text: str, name: str) -> str:
    """Return an SVG document as an element to stand in a page.

    The XML head goes, and every identifier gets the figure's name in front, since identifiers of
    several figures in one page would otherwise clash.

    Raises:
        ValueError: if the text holds no SVG element.
    """
    start = text.find("<svg")
    if start < 0:
        raise ValueError(f"figure {name} is not an SVG file")
    text = text[start:]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'(\bid=")', rf"\g<1>{name}-", text)
    text = re.sub(r"(url\(#)", rf"\g<1>{name}-", text)
    text = re.sub(r'((?:xlink:)?href="#)', rf"\g<1>{name}-", text)
    # The view box scales it; fixed sizes would overflow a narrow screen.
    head, rest = text.split(">", 1)
    head = re.sub(r'\s(?:width|height)="[^"]*"', "", head)
    # What stands below it says what it shows, to those who cannot see it as well.
    words = f'aria-labelledby="{name}-name" aria-describedby="{name}-about"'
    return f'{head} role="img" {words}>{rest}'


_CAPTIONS = {
    "accuracy": (
        "Accuracy against the budget",
        "Points are cells with intervals, lines fitted curves with bands; the method whose line is "
        "higher makes more of the budget.",
    ),
    "cost_effectiveness": (
        "What each method gains over the first one",
        "Above the line at 0 it is ahead; dashed lines are where curves cross, the strip above "
        "says which method leads where.",
    ),
    "crossovers": (
        "Where one method overtakes another",
        "At how many queries per seed, and at how many tokens, dollars and hours. Lines are "
        "intervals; arrows say that they leave the data.",
    ),
    "best_method": (
        "The best method over seeds and budget",
        "It is paler where it is less sure.",
    ),
    "augmenters": ("What a weaker augmenter costs the methods that write questions", ""),
    "students": ("Accuracy against the budget for each student", ""),
    "teachers": ("Accuracy against the budget for each teacher", ""),
    "verification": ("What training on verified answers alone changes", ""),
    "costs": (
        "What a point of accuracy above the untrained student costs",
        "Lower is better.",
    ),
    "diversity": (
        "How varied the questions of each dataset are, and how much of it repeats others",
        "",
    ),
}
"""What each figure is called and shows, for those who read and for those who cannot see it."""

_SHIFT_AT = "teacher queries per seed (BR)"

_TABLES = {
    "../tables/cells.csv": "every cell",
    "../tables/comparisons.csv": "every comparison of two methods",
    "../fits/crossovers.csv": "every crossover",
    "../fits/decay.json": "every model that was fitted",
    "../fits/findings.json": "every test of the paper's findings",
}
"""Files beside the page, and what is in them."""

# The template is Python text, not a file of its own, so that the digest of the code covers it.
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{{ policy }}">
<title>{{ study }}: how to spend a budget of teacher queries</title>
<style>
:root { color-scheme: light dark; --ink: #1c1c1c; --soft: #5d5d5d; --paper: #ffffff;
  --line: #d9d9d9; --best: #e3f1ea; --focus: #0059a8; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #ececec; --soft: #aaaaaa; --paper: #17191c; --line: #3b3f45; --best: #1d4234;
    --focus: #7cc4ff; }
}
body { margin: 0 auto; padding: 1rem; max-width: 56rem; background: var(--paper);
  color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: break-word; }
h1 { font-size: 1.6rem; line-height: 1.2; }
h2 { font-size: 1.25rem; margin-top: 2.5rem; border-top: 1px solid var(--line);
  padding-top: 1rem; }
h3 { font-size: 1.05rem; margin-bottom: .3rem; }
:focus-visible { outline: 3px solid var(--focus); outline-offset: 2px; }
.soft { color: var(--soft); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; margin: .5rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .7rem; border-bottom: 1px solid var(--line); text-align: right; }
th:first-child, td:first-child, td.text { text-align: left; }
td.text { min-width: 5rem; }
td.text:last-child { min-width: 14rem; }
#outlook td { white-space: nowrap; }
.shifts { font-size: .875rem; }
.shifts th, .shifts td { text-align: left; vertical-align: top; padding: .3rem .5rem; }
.shifts td { min-width: 6rem; }
@media (max-width: 40rem) { .shifts td { min-width: 9rem; } }
.shifts td:nth-child(2) { min-width: 0; text-align: right; }
/* What a row is about stays in sight while a table scrolls. */
.wide th:first-child:not([scope="rowgroup"]) { position: sticky; left: 0;
  background: var(--paper); }
.shifts td span { display: block; }
td.best { background: var(--best); font-weight: 700; }
/* Figures are drawn on white, in either colour scheme. */
figure { margin: 1.5rem 0; background: #ffffff; border-radius: 6px; padding: .5rem; }
/* Smaller than this, their text could not be read: then they scroll by themselves. */
.drawn { overflow-x: auto; }
.drawn svg { min-width: 38rem; }
figure.moving { background: none; padding: 0; }
figure.moving > div, figure.moving > div > div { width: 100%; }
figure.moving figcaption { color: var(--soft); font-size: .9rem; }
#explorer > form { border: 1px solid var(--line); border-radius: 6px; padding: .2rem 1rem; }
fieldset { border: none; padding: 0; margin: 0; }
legend { padding: 0; float: left; margin-right: 1rem; }
legend, fieldset label { min-height: 2rem; line-height: 2rem; }
fieldset label { display: inline-flex; align-items: center; margin-right: 1rem; }
input { accent-color: #0072b2; }
input[type="radio"] { width: 1.5rem; height: 1.5rem; margin: 0 .4rem 0 0; }
input[type="range"] { width: 100%; height: 2rem; margin: 0; }
select { font: inherit; max-width: 100%; min-height: 2.25rem; }
#usd-unknown { display: block; }
#usd-unknown:empty { display: none; }
summary { padding: .25rem 0; }
caption { text-align: left; color: var(--soft); }
#answer { font-size: 1.15rem; font-weight: 600; }
a { color: inherit; }
figure svg { display: block; width: 100%; height: auto; }
figcaption { color: #333333; padding: .25rem; }
code { font-size: .9em; overflow-wrap: anywhere; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; margin: .4rem 0; }
pre.soft { margin-left: 1.5rem; }
details { margin: .5rem 0; }
</style>
</head>
<body>
<main>
<h1>How to spend a budget of teacher queries: study {{ study }}</h1>
{% if description %}
<p>{{ description }}</p>
{% endif %}
{% if missing %}
<p><strong>{{ missing }}</strong></p>
{% endif %}
<p class="soft">BR, the budget ratio, is teacher queries per seed. Intervals cover
{{ confidence }}%. {{ what_intervals_hold }}</p>
{% if explorer %}
{{ controls }}
{% endif %}
{% if summaries %}
<h2 id="advice">Advice</h2>
{% for summary in summaries %}
<h3>{{ summary.title }}</h3>
<ul>
{% for size in summary.sizes %}
<li>{{ size.advice }}</li>
{% endfor %}
</ul>
{% endfor %}
{% endif %}
{% if summaries %}
<h2 id="shifts">Where one method takes over</h2>
<p class="soft">Where the lead changes between two methods, with its interval and by how much the
new leader leads at most: for equal numbers of queries, and where both have cost the same. Inverted
tests give the ratios at which a test does not refuse that the two are equal. An interval is
unbounded where it goes on beyond the budgets that were measured.
{% if short_titles %}
{{ short_titles }}.
{% endif %}
</p>
<div class="wide" role="group" aria-labelledby="shifts" tabindex="0">
<table class="shifts">
<thead><tr><th scope="col">methods</th><th scope="col">seeds</th>
{% for column in shift_columns %}
<th scope="col">{{ column }}</th>
{% endfor %}
{% if any_published %}
<th scope="col">published, BR</th>
{% endif %}
</tr></thead>
{% for summary in summaries %}
<tbody>
<tr><th scope="rowgroup" colspan="{{ shift_columns | length + 2 + any_published }}">
{{- summary.title }}</th></tr>
{% for size in summary.sizes %}
{% for shift in size.shifts %}
<tr><th scope="row">{{ shift.pair }}</th><td>{{ "{:,}".format(size.seeds) }}</td>
{% for lines in shift.cells %}
<td>{% for line in lines %}<span>{{ line }}</span>{% endfor %}</td>
{% endfor %}
{% if any_published %}
<td>{% for line in shift.published or [nothing] %}<span>{{ line }}</span>{% endfor %}</td>
{% endif %}
</tr>
{% endfor %}
{% endfor %}
</tbody>
{% endfor %}
</table>
</div>
{% endif %}
{% if findings %}
<h2>The paper's findings</h2>
<p class="soft">Those of arXiv 2409.19759, tested on this study's cells. Intervals hold the test
items and, where there are replicates, draws of the seeds and training runs; no adjustment is made
for there being several tests. "Little" is less than three points, a margin of ours.</p>
<ol>
{% for text, tests in findings %}
<li>{{ text }}
<ul>
{% for place, line in tests %}
<li>{{ place }}: {{ line }}</li>
{% endfor %}
</ul></li>
{% endfor %}
</ol>
{% endif %}
{% for remark in remarks %}
<p>{{ remark }}</p>
{% endfor %}
{% for name, title, about, figure in figures %}
<figure>
<div class="drawn" role="group" aria-labelledby="{{ name }}-name" tabindex="0">
{{ figure }}
</div>
<figcaption><strong id="{{ name }}-name">{{ title }}.</strong>
<span id="{{ name }}-about">{{ about }}</span>
Its numbers: <a href="../figures/{{ name }}.csv">{{ name }}.csv</a>.
</figcaption>
</figure>
{% endfor %}
{% for summary in summaries %}
<h2>{{ summary.title }}</h2>
<p class="soft">{{ summary.setting }}.
{% if summary.untrained %}
Untrained student: {{ summary.untrained }}.
{% endif %}
</p>
{% for size in summary.sizes %}
<h3>{{ "{:,}".format(size.seeds) }} seeds</h3>
<div class="wide" role="group" tabindex="0"
aria-label="{{ summary.title }}: accuracy with {{ size.seeds }} seeds">
<table>
<thead><tr><th scope="col">accuracy, %</th>
{% for column in size.columns %}
<th scope="col">{{ column }}</th>
{% endfor %}
</tr></thead>
<tbody>
{% for title, short, values, best in size.rows %}
<tr><th scope="row">{{ title }}{% if short and short != title %} ({{ short }}){% endif %}</th>
{% for value in values %}
<td{% if best[loop.index0] %} class="best"{% endif %}>{{ value or "–" }}</td>
{% endfor %}
</tr>
{% endfor %}
</tbody>
</table>
</div>
{% if size.differences %}
<ul>
{% for line in size.differences %}
<li>{{ line }}</li>
{% endfor %}
</ul>
{% endif %}
{% endfor %}
<p>{{ summary.model }}</p>
{% if summary.parameters %}
<details>
<summary>The fitted model</summary>
<p>The equations are this project's own: <code>{{ summary.equation }}</code></p>
<div class="wide" role="group" tabindex="0" aria-label="{{ summary.title }}: parameters">
<table>
<thead><tr><th scope="col">parameter</th><th scope="col">value</th>
<th scope="col">{{ confidence }}% interval</th><th scope="col">unit</th>
<th scope="col">meaning</th></tr></thead>
<tbody>
{% for name, value, interval, unit, meaning, warning in summary.parameters %}
<tr><th scope="row">{{ name }}</th><td>{{ value }}</td><td>{{ interval }}</td>
<td class="text">{{ unit }}</td>
<td class="text">{{ meaning }}{% if warning %} ({{ warning }}){% endif %}</td></tr>
{% endfor %}
</tbody>
</table>
</div>
</details>
{% endif %}
{% endfor %}
{% if examples %}
<h2>Examples of what students were trained on</h2>
<p class="soft">The first rows of a dataset of each method, as the models wrote them.</p>
{% for part in examples %}
<details>
<summary>{{ part.title }}</summary>
{% for question, answer in part.rows %}
<pre>{{ question }}</pre>
<pre class="soft">{{ answer }}</pre>
{% endfor %}
</details>
{% endfor %}
{% endif %}
<h2>Tables</h2>
<ul>
{% for path, content in tables.items() %}
<li><a href="{{ path }}">{{ path[3:] }}</a>: {{ content }}</li>
{% endfor %}
</ul>
<h2>How this was made</h2>
<p class="soft">Code {{ provenance["code"] }};
{% for library, version in provenance["versions"].items() %}
{{ library }} {{ version }}{{ "" if loop.last else ", " }}
{%- endfor %}.</p>
</main>
{% if explorer %}
<script type="application/json" id="explorer-data">{{ explorer_data }}</script>
{% for script in scripts %}
<script type="module">{{ script }}</script>
{% endfor %}
{% endif %}
</body>
</html>
"""
