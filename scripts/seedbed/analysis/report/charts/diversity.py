"""Chart: diversity of the synthetic data, and the share of it that repeats other data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import altair as alt
import polars as pl

from seedbed.analysis.report.charts.drawing import (
    Content,
    Methods,
    Row,
    Section,
    budget_axis,
    panel,
    panel_width,
    says,
    sheet,
    tooltips,
    value_axis,
)
from seedbed.analysis.report.charts.places import by_place
from seedbed.analysis.report.charts.series import SERIES, Series
from seedbed.analysis.settings import CompareSettings, Titles
from seedbed.config.words import Coordinates
from seedbed.streams.record import DatasetRecord

MEASURES = {
    "unique_questions": "unique questions, %",
    "distinct_1": "distinct words, %",
    "distinct_2": "distinct word pairs, %",
    "distinct_3": "distinct word triples, %",
    "near_seed_rows": "rows near a seed, %",
    "test_overlap": "test overlap, % of queries",
}
"""Measures of a dataset, with their names in the figure. Counts are drawn per 100 rows, except
`test_overlap`: it counts removed rows, and is drawn per 100 queries."""

PLACE = ("task", "teacher")

SCHEMA = pl.Schema(
    {
        **dict.fromkeys((*PLACE, "method", "augmenter", "filter"), pl.String),
        "seeds": pl.Int64,
        "budget": pl.Int64,
        "replicates": pl.Int64,
        **dict.fromkeys(("queries", "rows", *MEASURES), pl.Float64),
    }
)
"""Columns of the table: one row per dataset, means over replicates; null if not counted. The
`distinct_*` columns are fractions, the others are counts."""

_HEIGHT = 165


def tabulate(datasets: Sequence[Path], settings: CompareSettings) -> Content:
    """Return the counts and measures in `dataset.json` files."""
    found = [
        {"dataset": coordinates_of(path), **DatasetRecord.read(path).model_dump(exclude_unset=True)}
        for path in datasets
    ]
    return content(found, settings.methods)


def coordinates_of(path: Path) -> Coordinates:
    """Return the coordinates of a dataset from its path, `name=value/name=value/...`."""
    found = dict(part.split("=", 1) for part in path.parts if "=" in part)
    return {name: int(value) if value.isdecimal() else value for name, value in found.items()}


def content(datasets: Sequence[Row], methods: Sequence[str]) -> Content:
    """Return means of the datasets that differ only in the replicate.

    Args:
        datasets: contents of `dataset.json` files.
        methods: the study's methods in order; others follow in alphabetical order.
    """
    keys = (*PLACE, *SERIES, "budget")
    values = ("queries", "rows", *MEASURES)
    # Baselines of real data have no budget: they are not synthetic data.
    records = [_record(dataset) for dataset in datasets if dataset["dataset"]["budget"]]
    table = pl.DataFrame(records, schema={name: SCHEMA[name] for name in (*keys, *values)})
    means = table.sort(keys).group_by(keys, maintain_order=True)
    table = means.agg(pl.len().cast(pl.Int64).alias("replicates"), pl.col(values).mean())
    found = set(table["method"])
    ordered = [*(m for m in methods if m in found), *sorted(found - set(methods))]
    return Content(table.select(*SCHEMA), ordered)


def _record(dataset: Row) -> Row:
    place, counts = dataset["dataset"], dataset["counts"]
    dropped = counts.get("dropped")
    record = {name: place[name] for name in (*PLACE, *SERIES, "budget")}
    record |= {name: counts.get(name) for name in ("rows", "unique_questions", "near_seed_rows")}
    # A reason for which nothing was dropped has no entry.
    record["test_overlap"] = None if dropped is None else dropped.get("test_overlap", 0)
    record["queries"] = counts.get("queries", counts.get("teacher_queries"))
    distinct = dataset.get("diversity") or {}
    return record | {f"distinct_{n}": distinct.get(f"distinct_{n}") for n in (1, 2, 3)}


def height(row: Row, name: str) -> float | None:
    """Return a measure of a row of the table, in percent."""
    value = row[name]
    if value is None:
        return None
    if name.startswith("distinct"):
        return 100 * value
    whole = row["queries" if name == "test_overlap" else "rows"]
    return 100 * value / whole if whole else None


def chart(content: Content, titles: Titles, missing: str = "") -> alt.VConcatChart:
    """Return a chart of six measures against the budget, for each task and teacher."""
    rows = content.rows()
    methods = Methods(content.methods, titles)
    series = Series(rows, methods)
    width = panel_width(3, 40)
    sections = []
    for _, title, part in by_place(rows, titles, PLACE):
        panels = []
        for name, noun in MEASURES.items():
            drawn = [
                row | {"value": value, "at": row["budget"]}
                for row in part
                if (value := height(row, name)) is not None
            ]
            layers = says("not counted", width, _HEIGHT)
            if drawn:
                said = tooltips(
                    ("Method", "method", None),
                    ("augmenter", "augmenter", None),
                    ("filter", "filter", None),
                    ("seeds", "seeds", ",.0f"),
                    ("budget", "queries", ",.0f"),
                    ("value", noun, ".3~r"),
                )
                x = budget_axis(row["budget"] for row in drawn)
                y = value_axis([1.0, *(row["value"] for row in drawn)], "", zero=True)
                layers = series.layers(drawn, x, y, said)
            panels.append(panel(layers, noun, width, _HEIGHT))
        sections.append(Section(title, panels, 3))
    return sheet(sections, [*series.notes, missing], "there are no datasets yet")
