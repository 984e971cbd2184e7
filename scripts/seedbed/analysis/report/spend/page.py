"""The page that reports a spend decision by decision, as one HTML file without scripts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import altair as alt

from seedbed.amounts import dollars
from seedbed.analysis.decide.purchases import PurchaseRecord
from seedbed.analysis.report import sentences as say
from seedbed.analysis.report.charts.drawing import (
    Methods,
    Row,
    Section,
    layer,
    panel,
    panel_width,
    row_axis,
    rows_height,
    sheet,
    tooltips,
    value_axis,
)
from seedbed.analysis.report.charts.theme import DARK, LIGHT
from seedbed.analysis.report.page.filling import inline_svg, render
from seedbed.analysis.report.spend import FILES
from seedbed.analysis.report.spend.outcome import GAINS_HOLD, Outcome
from seedbed.analysis.settings import Title, Titles
from seedbed.analysis.tables.outcomes import UNTRAINED

KINDS = {
    "prices": "a few queries, for their price",
    "pilot": "a round of the pilot",
    "final": "the rest",
}
"""What each kind of decision buys, in words."""

_LABELS = 250
_ROW = 30


@dataclass(frozen=True)
class Decision:
    """A decision, in words.

    Attributes:
        title: number and kind of the decision.
        reason: reason for the decision.
        facts: further sentences, on measurements and money spent.
        rows: one row for each method: title, queries before, queries after, and the probability
            that it is best.
    """

    title: str
    reason: str
    facts: Sequence[str]
    rows: Sequence[tuple[str, str, str, str]]


@dataclass(frozen=True)
class Drawing:
    """A figure of the page, drawn for light and for dark pages.

    Attributes:
        name: name in identifiers of the page.
        title: title of the figure.
        about: how to read the figure, with its numbers.
        light: drawing for light pages, an SVG element.
        dark: drawing for dark pages, an SVG element.
    """

    name: str
    title: str
    about: str
    light: str
    dark: str


def page(found: Outcome, name: str, provenance: Mapping[str, object]) -> str:
    """Return the page. All content of a study is escaped, except the drawings.

    Args:
        found: outcome of the spend.
        name: name of the study.
        provenance: code digest and versions.
    """
    figures = [
        _drawn(queries_chart(found), "queries", "What was bought", _queries_said(found)),
    ]
    if found.students:
        said = "; ".join(
            f"{one.label}: {say.accuracy_text(one.accuracy)}" for one in found.students
        )
        about = f"Accuracy with 95% intervals, which cover the noise of test items: {said}."
        chart = students_chart(found)
        figures.append(_drawn(chart, "students", "How good the students are", about))
    return render(
        FILES[0],
        [],
        provenance,
        found.spending,
        name=name,
        found=found,
        decisions=_decisions(found),
        figures=figures,
        gains=[(one.over, one.text) for one in found.gains],
        holds=GAINS_HOLD,
    )


def _decisions(found: Outcome) -> list[Decision]:
    told = []
    before: dict[str, int] = {}
    for one in found.purchases:
        told.append(
            Decision(
                f"Decision {one.round}: {KINDS[one.purchase.kind]}",
                found.said(one.purchase.reason),
                _facts(found, one),
                [
                    (
                        title,
                        f"{before.get(name, 0):,}",
                        f"{one.purchase.queries.get(name, 0):,}",
                        f"{100 * one.purchase.chances[name]:.0f}%"
                        if name in one.purchase.chances
                        else "not known",
                    )
                    for name, title in found.about.methods.items()
                ],
            )
        )
        before = one.purchase.queries
    return told


def _facts(found: Outcome, one: PurchaseRecord) -> list[str]:
    purchase = one.purchase
    titles = {UNTRAINED: "the base model", **found.about.methods}
    known = [
        f"{title} {say.accuracy_text(score.accuracy)}"
        for name, title in titles.items()
        for score in one.measured
        if score.method == name
    ]
    facts = [f"Measured so far: {'; '.join(known)}."] if known else ["Nothing was measured yet."]
    if one.known.prices:
        prices = ", ".join(
            f"{found.about.methods[name]} {dollars(usd)}" for name, usd in one.known.prices.items()
        )
        spent = dollars(one.known.spent_usd)
        facts.append(
            f"A query was estimated to cost: {prices}."
            if purchase.kind == "prices"
            else f"A query costs: {prices}. {spent} was spent, so the budget is {one.budget:,} "
            "queries."
        )
    facts += [
        f"{found.about.methods[name]} is left out: {why}."
        for name, why in purchase.left_out.items()
    ]
    if purchase.expected_regret is not None:
        facts.append(
            "The choice is expected to lose "
            f"{100 * purchase.expected_regret:.1f} points to the best one."
        )
    if purchase.expected_accuracy is not None:
        facts.append(f"Expected accuracy: {say.accuracy_text(purchase.expected_accuracy)}.")
    return facts


def _queries_said(found: Outcome) -> str:
    parts = [f"{found.about.methods[name]} {queries:,}" for name, queries in found.bought.items()]
    return f"Teacher queries of each method after each decision. In the end: {', '.join(parts)}."


def queries_chart(found: Outcome) -> alt.VConcatChart:
    """Return a chart of the queries of each method after each decision."""
    names = list(found.about.methods)
    methods = Methods(
        names, Titles({name: Title(title=t) for name, t in found.about.methods.items()})
    )
    labels = [f"after decision {one.round}" for one in found.purchases]
    rows: list[Row] = []
    for label, one in zip(labels, found.purchases, strict=True):
        start = 0
        for name in names:
            end = start + one.purchase.queries.get(name, 0)
            rows.append(
                {
                    "row": label,
                    "Method": methods.names[name],
                    "start": start,
                    "end": end,
                    "queries": end - start,
                }
            )
            start = end
    x = value_axis([row["end"] for row in rows], "teacher queries", zero=True, channel="x")
    y = row_axis(labels, width=_LABELS)
    bars = layer([row for row in rows if row["queries"]], "bar", size=16).encode(
        x=x("start"),
        x2=alt.X2("end:Q"),
        y=y(),
        color=methods.colour,
        opacity=methods.opacity,
        tooltip=tooltips(("Method", "method", None), ("queries", "queries", ",.0f")),
    )
    return _sheet([*methods.first(), bars], labels)


def students_chart(found: Outcome) -> alt.VConcatChart:
    """Return a chart of the accuracy of each student."""
    labels = [one.label for one in found.students]
    rows: list[Row] = [
        {
            "row": one.label,
            "value": 100 * one.accuracy.accuracy,
            "low": 100 * one.accuracy.low,
            "high": 100 * one.accuracy.high,
        }
        for one in found.students
    ]
    ends = [row[end] for row in rows for end in ("low", "high")]
    x, y = value_axis(ends, "accuracy, %", channel="x"), row_axis(labels, width=_LABELS)
    bar = layer(rows, "rule", style="ink", strokeWidth=1.5).encode(
        x=x("low"), x2=alt.X2("high:Q"), y=y()
    )
    said = tooltips(("row", "trained on", None), ("value", "accuracy, %", ".1f"))
    point = layer(rows, "point", style="ink", filled=True, size=70, opacity=1).encode(
        x=x("value"), y=y(), tooltip=said
    )
    return _sheet([bar, point], labels)


def _sheet(layers: Sequence[alt.Chart], labels: Sequence[str]) -> alt.VConcatChart:
    height = rows_height(labels, _ROW, _LABELS)
    one = panel(layers, "", panel_width(1, _LABELS), height)
    return sheet([Section("", [one], 1)], [])


def _drawn(chart: alt.VConcatChart, name: str, title: str, about: str) -> Drawing:
    """Return a chart as drawings for light and for dark pages."""
    import vl_convert
    from markupsafe import Markup

    spec = chart.to_dict(validate=False)
    del spec["config"]
    spec["datasets"] = {key: json.loads(rows) for key, rows in spec["datasets"].items()}

    def svg(scheme: str, look: Mapping[str, object]) -> str:
        text = vl_convert.vegalite_to_svg(json.dumps(spec), config=dict(look))
        found = inline_svg(text, f"{name}-{scheme}")
        for part in ("name", "about"):
            found = found.replace(f"{name}-{scheme}-{part}", f"{name}-{part}")
        return Markup(found)

    return Drawing(name, title, about, light=svg("light", LIGHT), dark=svg("dark", DARK))
