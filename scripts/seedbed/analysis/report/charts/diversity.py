"""Figure: how much of the synthetic data is new, against the budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from seedbed.analysis.report.charts.drawing import (
    Output,
    Section,
    add_legend,
    place_titles,
    save_figure,
    say,
    set_count_axis,
    sheet,
)
from seedbed.analysis.report.charts.series import series_legend, series_style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MEASURES = {
    "unique_questions": "unique questions, %",
    "distinct_1": "distinct words, %",
    "distinct_2": "distinct word pairs, %",
    "distinct_3": "distinct word triples, %",
    "near_seed_rows": "rows near a seed, %",
    "test_overlap": "test overlap, % of queries",
}
"""What is drawn of a dataset, and how it is called. What is counted is drawn per 100 rows, but for
what was removed: that is no row."""

PLACE = ("task", "teacher")
SERIES = ("method", "augmenter", "filter", "seeds")

SCHEMA = pl.Schema(
    {
        **dict.fromkeys((*PLACE, "method", "augmenter", "filter"), pl.String),
        "seeds": pl.Int64,
        "budget": pl.Int64,
        "replicates": pl.Int64,
        **dict.fromkeys(("queries", "rows", *MEASURES), pl.Float64),
    }
)
"""Columns of the figure's table: one row a dataset, means over replicates; null where not counted.
The distinct ones are fractions, the others are counts."""


def plot_diversity(
    datasets: Sequence[Mapping[str, Any]], methods: Sequence[str], output: Output
) -> None:
    """Draw six measures of all datasets against the budget, and write them as SVG, PNG and CSV.

    Args:
        datasets: contents of `dataset.json` files.
        methods: the study's methods in order; others follow in alphabetical order.
        output: where the figure goes.
    """
    rows = _rows(datasets)
    found = {row["method"] for row in rows}
    methods = [*(m for m in methods if m in found), *sorted(found - set(methods))]
    places = list(dict.fromkeys(tuple(row[name] for name in PLACE) for row in rows))
    named = [dict(zip(PLACE, place, strict=True)) for place in places]
    titles = place_titles(named, output.titles, PLACE[1:])
    sections = [Section(title, len(MEASURES), columns=3, height=2.4) for title in titles]
    nothing = "there are no datasets yet"
    with sheet(sections, output.missing, nothing) as (figure, panels):
        for place, of_place in zip(places, panels, strict=True):
            part = [row for row in rows if tuple(row[name] for name in PLACE) == place]
            for (name, title), axes in zip(MEASURES.items(), of_place, strict=True):
                _draw(axes, part, name, methods, rows)
                axes.set_title(title)
        if rows:
            add_legend(figure, *series_legend(methods, rows, output.titles))
        save_figure(figure, output, pl.DataFrame(rows, schema=SCHEMA), "Diversity")


def _rows(datasets: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the figure's rows: means of the datasets that differ in the replicate alone."""
    keys = (*PLACE, *SERIES, "budget")
    # A baseline of real pairs asks no teacher: it is no synthetic data.
    records = [_record(dataset) for dataset in datasets if dataset["dataset"]["budget"]]
    if not records:
        return []
    values = ("queries", "rows", *MEASURES)
    schema = {name: SCHEMA[name] for name in (*keys, *values)}
    table = pl.DataFrame(records, schema=schema)
    means = table.sort(keys).group_by(keys, maintain_order=True)
    return means.agg(pl.len().alias("replicates"), pl.col(values).mean()).to_dicts()


def _record(dataset: Mapping[str, Any]) -> dict[str, Any]:
    place, counts = dataset["dataset"], dataset["counts"]
    dropped = counts.get("dropped")
    record = {name: place[name] for name in (*PLACE, *SERIES, "budget")}
    record |= {name: counts.get(name) for name in ("rows", "unique_questions", "near_seed_rows")}
    # A reason that nothing was dropped for has no entry.
    record["test_overlap"] = None if dropped is None else dropped.get("test_overlap", 0)
    record["queries"] = counts.get("queries", counts.get("teacher_queries"))
    distinct = dataset.get("diversity") or {}
    return record | {f"distinct_{n}": distinct.get(f"distinct_{n}") for n in (1, 2, 3)}


def _height(row: Mapping[str, Any], name: str) -> float | None:
    """Return what is drawn of a row, in percent."""
    value = row[name]
    if value is None:
        return None
    if name.startswith("distinct"):
        return 100 * value
    whole = row["queries" if name == "test_overlap" else "rows"]
    return 100 * value / whole if whole else None


def _draw(
    axes: Axes,
    part: Sequence[Mapping[str, Any]],
    name: str,
    methods: Sequence[str],
    rows: Sequence[Mapping[str, Any]],
) -> None:
    known = [row for row in part if _height(row, name) is not None]
    if not known:
        say(axes, "not counted")
        return
    for series in dict.fromkeys(tuple(row[key] for key in SERIES) for row in known):
        line = [row for row in known if tuple(row[key] for key in SERIES) == series]
        style = series_style(dict(zip(SERIES, series, strict=True)), methods, rows)
        heights = [_height(row, name) for row in line]
        axes.plot([row["budget"] for row in line], heights, markersize=5, linewidth=1.2, **style)
    set_count_axis(axes.xaxis, sorted({row["budget"] for row in known}))
    axes.set_xlabel("teacher queries")
    axes.set_ylim(bottom=0, top=max(1.0, axes.get_ylim()[1]))
