"""Chart: accuracy against budget for several students or teachers, and their crossovers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import altair as alt
import polars as pl

from seedbed.analysis.curves import Curves, FitsRecord, read_curves
from seedbed.analysis.decide.crossovers import Crossover, CrossoversRecord, ratio_text
from seedbed.analysis.report import sentences as say
from seedbed.analysis.report.charts import accuracy
from seedbed.analysis.report.charts.drawing import (
    COLUMNS,
    HEIGHT,
    Content,
    Layers,
    Methods,
    Row,
    Section,
    count_axis,
    layer,
    log_axis,
    panel,
    panel_width,
    percent,
    row_axis,
    rows_height,
    sheet,
    spread,
    tooltips,
    value_axis,
    words,
)
from seedbed.analysis.report.charts.places import all_methods, by_place, shown_crossovers
from seedbed.analysis.settings import Titles
from seedbed.analysis.tables.outcomes import GROUP_COLUMNS

SCHEMA = pl.Schema([*accuracy.SCHEMA.items(), ("reference", pl.String), ("status", pl.String)])
"""Columns of the table: those of the accuracy chart, `reference` and `status`. A row of the `kind`
"crossover" has budget ratios as `low` and `high` (null beyond the data) and the `status` from
`find_crossovers`. A pair of methods without a crossover has a row without numbers."""

_LABEL = 85
"""Width in pixels of a model's name next to its crossovers."""


def tabulate(fits: Path, draws: Path, crossovers: Path, role: str) -> Content:
    """Return accuracies and crossovers of the models of a role, "student" or "teacher"."""
    found = CrossoversRecord.read(crossovers).crossovers
    return content(read_curves(fits, draws), found, role, FitsRecord.read(fits).settings.confidence)


def content(
    fits: Sequence[Curves], crossovers: Sequence[Crossover], role: str, confidence: float
) -> Content:
    """Return the same from objects, if several models were measured with all else equal."""
    rows = []
    for seeds, part in _parts(fits, role):
        for fit in part:
            place = asdict(fit.group) | {"seeds": seeds}
            found = _crossover_rows(shown_crossovers(fit, seeds, crossovers))
            rows += [place | row for row in (*accuracy.accuracies(fit, seeds, confidence), *found)]
    table = pl.DataFrame(rows, schema=SCHEMA)
    return Content(
        table,
        all_methods(fits),
        confidence,
        besides={"role": role},
    )


def _parts(fits: Sequence[Curves], role: str) -> list[tuple[int, list[Curves]]]:
    """Return seed-set sizes, each with fits of that size that differ only in the role."""
    found: dict[tuple[Any, ...], list[Curves]] = {}
    for fit in fits:
        others = tuple(getattr(fit.group, name) for name in GROUP_COLUMNS if name != role)
        for seeds in fit.seeds:
            found.setdefault((*others, seeds), []).append(fit)
    return [(key[-1], part) for key, part in sorted(found.items()) if len(part) > 1]


def _crossover_rows(records: Sequence[Crossover]) -> list[Row]:
    rows = []
    for record in records:
        base = {name: getattr(record, name) for name in ("method", "reference", "status")}
        base |= {"kind": "crossover"}
        rows += [
            base
            | {name: getattr(crossing, name) for name in ("budget_ratio", "budget", "low", "high")}
            for crossing in record.crossings
        ] or [base]
    return rows


def chart(content: Content, titles: Titles, missing: str = "") -> alt.VConcatChart:
    """Return a chart with a panel for each model, and one with the crossovers of all.

    There is a section for each task and seed-set size at which several models were measured with
    all else equal.
    """
    rows = content.rows()
    role = content.besides["role"]
    methods = Methods(content.methods, titles)
    others = [name for name in (*GROUP_COLUMNS, "seeds") if name != role]
    labels = ["Base model"] if any(row["kind"] == "untrained" for row in rows) else []
    sections = []
    for place, title, part in by_place(rows, titles, others):
        models = list(dict.fromkeys(row[role] for row in part))
        columns = min(COLUMNS, len(models) + 1)
        width = panel_width(columns, 45)
        found = [row for row in part if row["kind"] != "crossover"]
        reach = [percent(row[end]) for row in found for end in ("low", "high", "accuracy")]
        panels = []
        for index, model in enumerate(models):
            # The models' panels share a scale, so that they can be compared.
            y = value_axis(reach, "accuracy, %" if index % columns == 0 else "")
            of_model = [row for row in found if row[role] == model]
            layers = accuracy.accuracy_layers(of_model, methods, y, labels)
            panels.append(panel(layers, titles.title(model), width))
        layers = _crossovers(part, models, role, methods, titles, width)
        reference = next((row["reference"] for row in part if row["reference"]), "")
        title_of = f"Crossover with {titles.short(reference)}, at budget ratio"
        height = rows_height([titles.title(model) for model in models], 40, _LABEL)
        panels.append(panel(layers, title_of, width - 40, max(HEIGHT, height)))
        sections.append(Section(f"{title}: {place['seeds']:,} seeds", panels, columns))
    nothing = f"no two {role}s have been measured with all else equal"
    return sheet(sections, [missing], nothing)


def _crossovers(
    part: Sequence[Row],
    models: Sequence[str],
    role: str,
    methods: Methods,
    titles: Titles,
    width: int,
) -> Layers:
    """Return the crossovers with the first method: a row for each model."""
    ratios = sorted({row["budget_ratio"] for row in part if row["kind"] == "cell"})
    x = log_axis(ratios, count_axis(spread(ratios), "budget ratio (queries per seed)", grid=True))
    y = row_axis([titles.title(model) for model in models], width=_LABEL)
    layers = methods.first()
    named = {model: titles.title(model) for model in models}
    nothing = []
    for model in models:
        known = [row for row in part if row[role] == model and row["kind"] == "cell"]
        found = [
            row
            for row in part
            if row[role] == model and row["kind"] == "crossover" and row["budget_ratio"]
        ]
        if not found:
            nothing.append({"row": named[model], "at": (ratios[0] * ratios[-1]) ** 0.5})
        for index, row in enumerate(found):
            of_method = [one["budget_ratio"] for one in known if one["method"] == row["method"]]
            drawn = {
                "Method": methods.names[row["method"]],
                "row": named[model],
                "at": row["budget_ratio"],
                # Cut at the ends of the model's measured range.
                "low": min(of_method) if row["low"] is None else row["low"],
                "high": max(of_method) if row["high"] is None else row["high"],
                "interval": say.ends_text(
                    "budget_ratio", row["low"], row["high"], (min(of_method), max(of_method))
                ),
                "words": ratio_text(row["budget_ratio"]),
            }
            room = min(26, HEIGHT / len(models) / max(1, len(found)))
            shift = room * (index - (len(found) - 1) / 2)
            layers += _crossover(drawn, x, y, shift, methods)
    for text in words([row | {"words": say.NO_CROSSOVER} for row in nothing]):
        layers.append(text.encode(x=x("at"), y=y()))
    return layers


def _crossover(row: Row, x: Any, y: Any, shift: float, methods: Methods) -> Layers:
    said = tooltips(
        ("Method", "method", None),
        ("row", "model", None),
        ("at", "budget ratio", ".2~r"),
        ("interval", "interval", None),
    )
    bar = layer([row], "rule", strokeWidth=1.5, yOffset=shift)
    point = layer([row], "point", filled=True, size=60, opacity=1, yOffset=shift)
    return [
        bar.encode(x=x("low"), x2=alt.X2("high:Q"), y=y(), **methods.look),
        methods.marks(point.encode(x=x("at"), y=y(), tooltip=said)),
        *(text.encode(x=x("at"), y=y()) for text in words([row], yOffset=shift - 11, fontSize=10)),
    ]
