"""Figures on simulated tables: what their tables hold, and that their texts can be read."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from itertools import combinations, groupby, pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from analysis_simulation import METHODS, coordinates, simulate, with_real_pairs

import plot
from seedbed.analysis.curves import curves_from
from seedbed.analysis.curves.fitting import fit_decay
from seedbed.analysis.decide.advise import leaders
from seedbed.analysis.decide.crossovers import Crossover, find_crossovers
from seedbed.analysis.report.charts import (
    accuracy,
    augmenters,
    best_method,
    cost_effectiveness,
    costs,
    crossovers,
    diversity,
    mixtures,
    models,
    shares,
    theme,
    verification,
)
from seedbed.analysis.report.charts.drawing import Methods, spread
from seedbed.analysis.report.charts.files import figure_output, write_figure
from seedbed.analysis.report.charts.places import all_methods
from seedbed.analysis.report.charts.theme import (
    COLOURS,
    DARK,
    LIGHT,
    PUBLISHED,
    RANGE,
    colour,
    contrast,
    text_on,
)
from seedbed.analysis.settings import (
    AugmenterSettings,
    CompareSettings,
    CrossoverSettings,
    FitSettings,
    ModelPrice,
    PublishedShift,
    ShareSettings,
    Title,
    Titles,
)
from seedbed.analysis.tables.collect import cell_key, no_results
from seedbed.analysis.tables.comparisons import compare_methods
from seedbed.analysis.tables.outcomes import (
    GROUP_COLUMNS,
    groups,
    order_methods,
    outcomes_by_task,
)

AA, QR, NQ = METHODS
MODULES = {
    "accuracy": accuracy,
    "crossovers": crossovers,
    "best_method": best_method,
    "augmenters": augmenters,
    "verification": verification,
    "students": models,
    "teachers": models,
    "costs": costs,
    "diversity": diversity,
    "mixtures": mixtures,
    "shares": shares,
    "cost_effectiveness": cost_effectiveness,
}
AUGMENTERS = ("mini_teacher", "mini_mid", "mini_weak")
SHARES = {
    "mix_thirds": dict.fromkeys(METHODS, 1 / 3),
    "mix_halves": {AA: 0.5, NQ: 0.5},
    "mix_mostly_new": {AA: 0.125, QR: 0.125, NQ: 0.75},
}
COMPARE = CompareSettings(methods=METHODS)
TITLES = Titles(
    {
        AA: Title(title="Answer augmentation", short="AA"),
        QR: Title(title="Question rephrase", short="QR"),
        NQ: Title(title="New question", short="NQ"),
    }
)
HOSTILE = Titles(
    {
        **{
            name: Title(title=f"{name.replace('_', ' ').title()} <b>&amp; $\\frac % with {n} words")
            for n, name in enumerate((AA, QR, NQ, "mini_math", "mini_qa"))
        },
        **{
            name: Title(title=f"{name} of a Maker with a Long Name, Instruct v{n}.1 (quantised)")
            for n, name in enumerate((*AUGMENTERS, "mini_student", "student_b", "big_teacher"))
        },
    }
)


def together(*tables):
    return (
        pl.concat([cells for cells, _ in tables], how="diagonal"),
        pl.concat([items for _, items in tables]),
    )


def fitted(tables, samples=20):
    settings = FitSettings(methods=METHODS, bootstrap_samples=samples)
    return curves_from(*fit_decay(outcomes_by_task(*tables), settings))


def record(method, budget, replicate=1, **content):
    """The content of a `dataset.json`."""
    place = coordinates(method, 8, budget, replicate=replicate)
    return {"dataset": {k: v for k, v in place.items() if k != "student"}, **content}


DATASETS = [
    record(
        QR,
        32,
        replicate,
        counts={
            "queries": 32,
            "rows": 30,
            "unique_questions": unique,
            "near_seed_rows": 4,
            "dropped": {"test_overlap": 2},
        },
        diversity={"distinct_1": 0.25, "distinct_2": 0.5, "distinct_3": 0.75},
    )
    for replicate, unique in ((1, 20), (2, 24))
] + [record(AA, 32, counts={"teacher_queries": 32, "unique_questions": 8, "dropped": {}})]


def draw(
    name,
    tables,
    folder,
    titles=TITLES,
    missing="",
    prices=None,
    datasets=DATASETS,
    fits=None,
    published=(),
):
    """Draw one figure of all tables; return its table and its words."""
    output = figure_output(__file__, "fake", folder / f"{name}.svg", titles, missing)
    content = content_of(name, tables, prices, datasets, fits, published)
    return written(name, content, output)


def content_of(name, tables, prices=None, datasets=DATASETS, fits=None, published=()):
    """What a chart is drawn from."""
    module = MODULES[name]
    outcomes = None if tables is None else outcomes_by_task(*tables)
    if name == "diversity":
        return module.content(datasets, METHODS)
    if name == "costs":
        return module.content(outcomes, prices or {}, COMPARE, {})
    if name in ("verification", "mixtures"):
        return module.content(outcomes, COMPARE, {})
    if name == "shares":
        return module.content(outcomes, ShareSettings(methods=METHODS, shares=SHARES))
    if name == "augmenters":
        settings = AugmenterSettings(methods=METHODS, augmenters=AUGMENTERS)
        return module.content(outcomes, settings, {})
    fits = fitted(tables) if fits is None else fits
    found = find_crossovers(fits, CrossoverSettings(), prices)
    if name == "crossovers":
        return module.content(fits, [*found.crossovers, *found.costs], published)
    if name == "accuracy":
        return module.content(fits, outcomes, 0.95)
    if name == "best_method":
        return module.content(fits, 0.95)
    if name == "cost_effectiveness":
        table = compare_methods(outcomes, COMPARE, {})
        return module.content(fits, table, found.crossovers, 0.95, published)
    return module.content(fits, found.crossovers, name.removesuffix("s"), 0.95)


def written(name, content, output):
    """Write a chart; return its table and its words."""
    chart = MODULES[name].chart(content, output.titles, output.missing)
    write_figure(chart, content.table, output, "A title", "How to read it.")
    words = " ".join(" ".join(ElementTree.parse(output.path).getroot().itertext()).split())
    assert output.path.with_suffix(".png").stat().st_size > 1000
    table = output.path.with_suffix(".csv")
    return pl.read_csv(table, infer_schema_length=None), words


@pytest.fixture(scope="module")
def everything():
    """Two tasks, three augmenters, two filters, two students, two teachers, real data."""
    small = {"seeds": (8,), "ratios": (1, 16), "items": 60}
    weak = [
        simulate(methods=(QR, NQ), untrained=None, other={"augmenter": name}, **small)
        for name in AUGMENTERS[1:]
    ]
    return together(
        with_real_pairs(
            simulate(seeds=(8, 32), ratios=(1, 4, 16), items=60),
            {("seed_only", 8): 0.3, ("human", 64): 0.6, ("human", 5000): 0.7},
        ),
        simulate(other={"task": "mini_qa"}, **small),
        *weak,
        simulate(untrained=None, other={"filter": "verified"}, **small),
        simulate(other={"student": "student_b"}, **small),
        simulate(untrained=None, other={"teacher": "big_teacher"}, **small),
        simulate(lambda *_: 0.7, methods=tuple(SHARES), untrained=None, **small),
    )


@pytest.fixture(scope="module")
def all_fits(everything):
    return fitted(everything)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODULES)
def test_all_text_stands_within_the_figure(everything, all_fits, name, tmp_path):
    missing = "3 of 9 cells are missing: " + "x " * 150
    table, words = draw(name, everything, tmp_path, HOSTILE, missing, fits=all_fits)
    assert table.height and "…" not in words
    for method in set(table["method"].drop_nulls()) & set(METHODS):
        assert HOSTILE.title(method) in words
    root = ElementTree.parse(tmp_path / f"{name}.svg").getroot()
    width, height = (float(root.get(side)) for side in ("width", "height"))
    for x, y, length in texts(root):
        assert x >= -2 and x + length <= width + 2 and 0 <= y <= height + 2
    assert_apart(root)
    spec = json.loads((tmp_path / f"{name}.vl.json").read_text())
    assert spec["usermeta"]["caption"] == spec["description"] == "A title. How to read it."
    # The page chooses light or dark, and the legend what is shown.
    assert "config" not in spec and "http" not in json.dumps(spec["datasets"])
    assert any(param.get("bind") == "legend" for param in spec["params"])


def assert_apart(root):
    """Check that labels of rows do not run into each other, nor titles of axes beyond a panel."""
    for group in root.iter():
        if "role-axis-label" in group.get("class", "") and group[0].get("text-anchor") == "end":
            lines = [(float(re.search(r",([-\d.]+)", one.get("transform"))[1]), len(one) or 1)
                     for one in group if one.text or len(one)]  # fmt: skip
            for (above, count), (below, _) in pairwise(lines):
                assert abs(below - above) >= 11 * count
        if group.tag.endswith("}text") and "rotate(-90)" in group.get("transform", ""):
            assert max(len(line) for line in group.itertext()) * 0.4 * 12 <= 200


def texts(element, x=0.0, y=0.0):
    """Where upright texts of an SVG stand, and about how long they are at the least."""
    for move in re.findall(r"translate\(([-\d.e]+),([-\d.e]+)\)", element.get("transform", "")):
        x, y = x + float(move[0]), y + float(move[1])
    if element.tag.endswith("}text") and "rotate" not in element.get("transform", ""):
        length = 0.4 * float(element.get("font-size").removesuffix("px")) * len(element.text or "")
        yield (
            x - {"middle": length / 2, "end": length}.get(element.get("text-anchor"), 0),
            y,
            length,
        )
    for child in element:
        yield from texts(child, x, y)


@pytest.mark.parametrize("name", MODULES)
def test_nothing_to_draw_is_said(name, tmp_path):
    table, words = draw(
        name, no_results(), tmp_path, missing="9 of 9 cells are missing: all.", datasets=[]
    )
    assert table.height == 0 and table.columns
    assert "Nothing to draw" in words and "9 of 9 cells are missing: all." in words


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.slow
@pytest.mark.parametrize(
    "tables",
    [
        simulate(methods=(AA,), seeds=(8,), ratios=(4,), items=20, untrained=None),
        simulate(lambda *_: 1.0, seeds=(8,), ratios=(1, 4), items=20, untrained=1.0),
        simulate(seeds=(8,), ratios=(1, 1_000_000), items=20, cluster_size=20),
    ],
    ids=["one cell", "all equal", "huge budgets in one cluster"],
)
def test_degenerate_studies_are_drawn(name, tables, tmp_path):
    draw(name, tables, tmp_path)


# --- mixtures


def test_a_mixture_is_compared_with_the_best_method_of_its_budget(tmp_path):
    tables = together(
        simulate(seeds=(8,), ratios=(1, 16), items=400),
        simulate(lambda *_: 0.9, ("mix_thirds",), (8,), (16,), 400, untrained=None),
    )
    table, words = draw("mixtures", tables, tmp_path)
    value = {
        (row["method"], row["budget"]): row["value"]
        for row in table.filter(pl.col("kind") == "accuracy").to_dicts()
    }
    (gain,) = table.filter(pl.col("kind") == "gain").to_dicts()
    best = max(METHODS, key=lambda method: value[method, 128])
    assert (gain["method"], gain["reference"], gain["budget"]) == ("mix_thirds", best, 128)
    assert gain["value"] == pytest.approx(value["mix_thirds", 128] - value[best, 128])
    assert gain["low"] < gain["value"] < gain["high"]
    assert "Gain over the best single method" in words


@pytest.mark.parametrize("name", ["mixtures", "accuracy"])
def test_many_series_of_few_budgets_stand_within_the_axes(name):
    mixed = simulate(lambda *_: 0.7, tuple(SHARES), (8,), (4, 16), 200, untrained=None)
    tables = together(simulate(seeds=(8,), ratios=(4, 16), items=200), mixed)
    chart = MODULES[name].chart(content_of(name, tables), TITLES).to_dict()
    assert _within_axes(chart, chart["datasets"]) > 0


def _within_axes(part, datasets):
    """Check the points of a chart whose x is `at`, and return how many they are."""
    if isinstance(part, list):
        return sum(_within_axes(one, datasets) for one in part)
    if not isinstance(part, dict):
        return 0
    x, found = part.get("encoding", {}).get("x", {}), 0
    if x.get("field") == "at" and part["mark"]["type"] == "point":
        places = [row["at"] for row in json.loads(datasets[part["data"]["name"]])]
        low, high = x["scale"]["domain"]
        assert low < min(places) and max(places) < high
        found = len(places)
    return found + sum(_within_axes(one, datasets) for one in part.values())


def test_a_legend_names_what_a_chart_draws(tmp_path):
    tables = simulate(seeds=(8,), ratios=(4, 16), methods=(AA, NQ))
    thirds = simulate(lambda *_: 0.7, ("mix_thirds",), (8,), (4, 16), untrained=None)
    _, words = draw("mixtures", together(tables, thirds), tmp_path)
    assert "Answer augmentation" in words and "Question rephrase" not in words


# --- shares of a budget


def test_mixtures_stand_in_the_triangle_of_their_methods(tmp_path):
    tables = together(
        simulate(seeds=(8,), ratios=(1, 16), items=100),
        simulate(lambda *_: 0.9, (*SHARES, "mix_all_bought"), (8,), (16,), 100, untrained=None),
        # One mixture alone makes no triangle.
        simulate(lambda *_: 0.9, ("mix_thirds",), (8,), (1,), 100, untrained=None),
    )
    table, words = draw("shares", tables, tmp_path)
    found = {row["method"]: row["shares"] for row in table.to_dicts()}
    assert found == {
        **{AA: "100 0 0", QR: "0 100 0", NQ: "0 0 100"},
        **{"mix_thirds": "33.33 33.33 33.33", "mix_halves": "50 0 50"},
        "mix_mostly_new": "12.5 12.5 75",
    }
    assert set(table["budget"]) == {128} and set(table["corners"]) == {" ".join(METHODS)}
    assert (table["low"] < table["accuracy"]).all() and (table["accuracy"] < table["high"]).all()
    assert "100% AA" in words and "128 teacher queries (BR 16)" in words
    best = table.filter(pl.col("method") == "mix_halves")["accuracy"].item()
    assert f"{100 * best:.1f}" in words


def test_a_point_lies_where_its_shares_say():
    plane = shares._Plane(METHODS, TITLES, 380)
    corners = [plane.place(one) for one in ((1, 0, 0), (0, 1, 0), (0, 0, 1))]
    sides = [np.hypot(a["x"] - b["x"], a["y"] - b["y"]) for a, b in combinations(corners, 2)]
    assert sides == pytest.approx([sides[0]] * 3)
    middle = plane.place((1 / 3, 1 / 3, 1 / 3))
    assert middle["x"] == pytest.approx(190)
    assert middle["y"] == pytest.approx(np.mean([corner["y"] for corner in corners]))


# --- accuracy, and baselines of real data


def test_baselines_of_real_pairs_make_no_groups(everything):
    cells = everything[0]
    assert {group.teacher for group in groups(cells)} == {"mini_teacher", "big_teacher"}
    assert order_methods(cells, ()) == sorted(METHODS)
    assert order_methods(cells, METHODS) == list(METHODS)
    alone = cells.filter(pl.col("method") == "human")
    assert groups(alone) == [] and order_methods(alone, METHODS) == []


@pytest.mark.slow
def test_accuracy_shows_baselines_of_real_pairs(everything, all_fits, tmp_path):
    table, words = draw("accuracy", everything, tmp_path, fits=all_fits)
    real = table.filter(
        pl.col("kind") == "real", pl.col("student") == "mini_student", pl.col("filter") == "none"
    )
    real = real.filter(pl.col("teacher") == "mini_teacher", pl.col("task") == "mini_math")
    found = {(r["seeds"], r["method"], r["budget_ratio"], r["accuracy"]) for r in real.to_dicts()}
    # 8 seeds are the seed set of one panel; 64 pairs are BR 8 there and BR 2 in the other; 5,000
    # pairs lie beyond both axes.
    assert found == {(8, "seed_only", 1, 0.3), (8, "human", 8, 0.6), (32, "human", 2, 0.6)}
    assert "Seeds alone" in words and "Real data" in words
    # Ablations at a single budget have figures of their own.
    assert set(table["augmenter"]) == {"mini_teacher", "mini_mid", "mini_weak"}


def test_ablations_at_one_budget_are_left_to_their_figures(tmp_path):
    weak = simulate(
        methods=(NQ,), seeds=(8,), ratios=(4,), untrained=None, other={"augmenter": "mini_weak"}
    )
    tables = together(simulate(seeds=(8,), ratios=(1, 4)), weak)
    table, _ = draw("accuracy", tables, tmp_path)
    assert set(table["augmenter"]) == {"mini_teacher"}


# --- best method


def test_best_method_is_that_of_highest_accuracy(tmp_path):
    def better(method, seeds, ratio):
        rises = {AA: (0.6, 0.65, 0.66), QR: (0.4, 0.5, 0.55), NQ: (0.4, 0.65, 0.9)}
        return rises[method][(1, 4, 16).index(ratio)]

    tables = simulate(better, seeds=(8,), ratios=(1, 4, 16), items=400)
    table, words = draw("best_method", tables, tmp_path)
    cells = table.filter(pl.col("kind") == "cell").sort("budget")
    assert cells["method"].to_list() == [AA, NQ, NQ]
    assert cells["budget"].to_list() == [8, 32, 128]
    probabilities = cells["probability_best"]
    assert probabilities[0] > 0.8 and probabilities[-1] > 0.95
    mapped = table.filter(pl.col("kind") == "map").sort("budget")
    assert mapped.height == best_method.BUDGETS
    assert (mapped["method"][0], mapped["method"][-1]) == (AA, NQ)
    assert mapped["budget"][0] == pytest.approx(8) and mapped["budget"][-1] == pytest.approx(128)
    assert "AA" in words and "NQ" in words
    # The legend of the shades: each has the opacity that it is said to have.
    drawn = (tmp_path / "best_method.svg").read_text()
    symbols = re.findall(
        r'<path transform="[^"]+"[^>]* fill="#333333"[^>]* opacity="([^"]+)"', drawn
    )
    assert [float(shade) for shade in symbols] == [shade for _, shade in best_method.LEVELS]


def test_the_map_and_its_points_do_not_tell_tied_methods_apart():
    """Two methods are equal, so that the best of both is so by noise."""

    def equal(method, *_):
        return 0.5 if method == AA else 0.7

    fits = fitted(simulate(equal, seeds=(8,), ratios=(1, 2, 4, 8, 16), items=900), samples=200)
    content = best_method.content(fits, 0.95)
    cells = content.table.filter(pl.col("kind") == "cell")
    assert set(cells["leading"]) == {f"{QR} or {NQ}"} and set(cells["method"]) == {QR, NQ}
    chart = json.dumps(best_method.chart(content, TITLES).to_dict())
    assert "hollow" in chart and "QR or NQ" in chart and '"edge"' not in chart
    mapped = content.table.filter(pl.col("kind") == "map").sort("budget")
    runs = [leading for leading, _ in groupby(mapped["leading"])]
    inside = leaders(fits[0], 8)
    assert runs == [" or ".join(part.methods) for part in inside]


def test_a_label_that_does_not_fit_is_left_out():
    def better(method, seeds, ratio):
        return {AA: 0.6, QR: 0.2}.get(method, 0.9 if ratio > 4 else 0.3)

    content = content_of("best_method", simulate(better, seeds=(8,), ratios=(1, 4, 16), items=300))
    long = Titles({name: Title(title=f"{name} " + "with words " * 20) for name in METHODS})
    for titles, shown in ((TITLES, True), (long, False)):
        chart = best_method.chart(content, titles).to_dict()
        texts = [text for text in chart["datasets"].values() if '"words"' in text]
        assert bool(texts) == shown and "…" not in str(texts)


def test_equal_methods_share_the_draws(tmp_path):
    tables = simulate(lambda *_: 1.0, seeds=(8,), ratios=(1, 4), items=20)
    table, _ = draw("best_method", tables, tmp_path)
    assert table["probability_best"].is_between(0.2, 0.8).all()
    assert set(table["leading"]) == {" or ".join(METHODS)}


def test_map_where_one_method_has_no_cell_means_between_sizes(tmp_path):
    """One method has the same budget with either size: no budget ratio in common."""
    cells, items = simulate(seeds=(32, 64), ratios=(1, 2, 4, 8, 16), items=300)
    kept = cells.filter((pl.col("method") != NQ) | (pl.col("budget") == 128))
    kept = kept.filter((pl.col("budget_ratio").is_in([1.0, 4.0, 16.0])) | (pl.col("method") != AA))
    items = items.filter(pl.col("cell").is_in(kept["cell"].to_list()))
    table, _ = draw("best_method", (kept, items), tmp_path)
    mapped = table.filter(pl.col("kind") == "map")
    assert mapped.height > 0
    assert mapped["probability_best"].is_between(0, 1).all()


@pytest.mark.slow
def test_a_map_goes_on_between_sizes(tmp_path):
    tables = simulate(seeds=(32, 128), ratios=(1, 4, 16, 64), items=400)
    table, _ = draw("best_method", tables, tmp_path)
    mapped = table.filter(pl.col("kind") == "map")
    assert mapped["seeds"].n_unique() == best_method.SIZES
    assert mapped["seeds"].min() == pytest.approx(32)
    assert mapped["seeds"].max() == pytest.approx(128)
    # The edges of what was measured: BR 1 to 64 at either size, and so between them.
    assert mapped["budget_ratio"].min() == pytest.approx(1)
    assert mapped["budget_ratio"].max() == pytest.approx(64)


# --- crossovers


@pytest.fixture(scope="module")
def crossing_fits():
    """Two sizes in which new questions overtake, and rephrased ones never do."""

    def truth(method, seeds, ratio):
        return {AA: 0.6, QR: 0.4}.get(method, 0.45 + 0.05 * np.log2(ratio))

    return fitted(simulate(truth, seeds=(32, 64), ratios=(1, 4, 16, 64), items=800), samples=40)


def test_crossovers_are_those_that_were_found_by_every_measure(crossing_fits, tmp_path):
    shift = PublishedShift(source="Someone 2024", seeds=32, low=3, high=9)
    prices = {"mini_teacher": PRICES["mini_teacher"]}
    table, words = draw(
        "crossovers", None, tmp_path, fits=crossing_fits, prices=prices, published=(shift,)
    )
    found = find_crossovers(crossing_fits, CrossoverSettings(), prices)
    expected = {
        (r.measure, r.seeds, r.reference, r.method): (c.at, c.low, c.high)
        for r in [*found.crossovers, *found.costs]
        for c in r.crossings[:1]
    }
    drawn = table.filter(pl.col("kind") == "crossover")
    place = ("measure", "seeds", "reference", "method")
    shown = {row[:4]: row[4:] for row in drawn.select(*place, "at", "low", "high").rows()}
    assert set(shown) == set(expected)
    for key, values in expected.items():
        assert shown[key] == pytest.approx(values, nan_ok=True)
    assert {("budget_ratio", size, AA, NQ) for size in (32, 64)} <= set(shown)
    assert {row[0] for row in shown} == set(crossovers.PANELS)
    # The published shift is of the first method, and of panels with as many seeds, about.
    published = table.filter(pl.col("kind") == "published")
    assert set(published["measure"]) == {"budget_ratio"}
    assert set(published["reference"]) == {AA} and published.height == 4
    assert "Crossover in Someone 2024" in words and "32 seeds: AA, NQ" in words
    assert "no crossover" in words
    none = table.filter(pl.col("words") == "no crossover")
    assert (AA, QR) in set(none.select("reference", "method").rows())


def test_a_price_that_is_not_known_is_said_once_in_the_panel(crossing_fits, tmp_path):
    table, words = draw("crossovers", None, tmp_path, fits=crossing_fits)
    # Once on its halo, and once as itself.
    assert words.count("unknown (price of mini teacher)") == 2
    usd = table.filter(pl.col("measure") == "usd")
    assert set(usd["words"]) == {"unknown"} and usd["at"].null_count() == usd.height


@pytest.mark.parametrize(
    ("status", "crossings", "words"),
    [
        ("several", [2.0, 20.0], "several crossovers"),
        ("equal", [], "no difference"),
        ("one", [2.0], None),
    ],
)
def test_a_pair_says_in_words_what_marks_do_not(crossing_fits, tmp_path, status, crossings, words):
    turns = [
        {"overtaken_by": NQ, "budget_ratio": at, "low": at / 2, "high": None}
        | {"lead_before": 0.01, "lead_after": 0.02, "share_of_draws": 1.0}
        | {"low_beyond_range": False, "high_beyond_range": True}
        for at in crossings
    ]
    fit = crossing_fits[0].record
    record = {name: getattr(fit, name) for name in ("fit", *GROUP_COLUMNS)}
    record |= {"seeds": 32, "reference": AA, "method": NQ}
    record |= {"measure": "budget_ratio", "status": status, "range": [1, 64]}
    record |= {"crossings": turns}
    output = figure_output(__file__, "fake", tmp_path / "crossovers.svg", TITLES)
    found = Crossover.model_validate(record, strict=False)
    table, _ = written("crossovers", crossovers.content(crossing_fits, [found]), output)
    rows = table.filter(pl.col("seeds") == 32, pl.col("reference") == AA, pl.col("method") == NQ)
    rows = rows.filter(pl.col("measure") == "budget_ratio")
    assert rows.filter(pl.col("kind") == "crossover")["at"].to_list() == crossings
    said = rows.filter(pl.col("kind") == "none")["words"].to_list()
    assert said == ([] if words is None else [words])


def test_round_ticks_stand_within_what_is_shown():
    assert crossovers.round_ticks(1, 64) == [1, 3, 10, 30]
    assert crossovers.round_ticks(90, 95_000) == [100, 1000, 10_000]
    assert crossovers.round_ticks(0.0026, 0.013) == pytest.approx([0.003, 0.01])
    assert crossovers.round_ticks(6, 6.5) == [6]
    for low, high in ((1, 1e12), (3, 17), (0.4, 9), (1.5, 4)):
        ticks = crossovers.round_ticks(low, high)
        assert 1 <= len(ticks) <= 5 and low <= ticks[0] and ticks[-1] <= high * 1.001


# --- a table made by hand


def by_hand(*cells):
    """Tables of cells on four items: each is (method, budget, correct items, other columns)."""
    rows, scores = [], []
    for method, budget, correct, other in cells:
        names = ("augmenter", "teacher", "filter", "student", "replicate")
        place = {name: other.pop(name) for name in names if name in other}
        cell = coordinates(method, 8 if budget else 0, budget, **place)
        rows.append(
            {
                "cell": cell_key(cell),
                **cell,
                "budget_ratio": budget / 8 if budget else None,
                "accuracy": len(correct) / 4,
                "teacher_queries": budget,
                **other,
            }
        )
        scores.append(
            pl.DataFrame(
                {
                    "cell": cell_key(cell),
                    "item_id": list("abcd"),
                    "cluster": list("abcd"),
                    "correct": [item in correct for item in "abcd"],
                }
            )
        )
    return pl.DataFrame(rows, infer_schema_length=None), pl.concat(scores)


def test_augmenters_are_compared_with_the_strongest(tmp_path):
    tables = by_hand(
        (AA, 32, "ab", {}),
        (QR, 32, "abc", {"augmenter": "mini_teacher"}),
        (QR, 32, "a", {"augmenter": "mini_weak"}),
        (NQ, 32, "abcd", {"augmenter": "mini_teacher"}),
        (NQ, 64, "abcd", {"augmenter": "mini_weak"}),
    )
    table, words = draw("augmenters", tables, tmp_path)
    shown = {
        (row["kind"], row["method"], row["augmenter"]): row["accuracy"]
        if row["kind"] == "accuracy"
        else row["difference"]
        for row in table.to_dicts()
    }
    assert shown == {
        ("accuracy", AA, "none"): 0.5,
        ("accuracy", QR, "mini_teacher"): 0.75,
        ("accuracy", QR, "mini_weak"): 0.25,
        ("difference", QR, "mini_weak"): -0.5,
    }
    difference = table.filter(pl.col("kind") == "difference").row(0, named=True)
    # Differences by item are 0, -1, -1, 0: their variance is 1/3, and the error sqrt(1/3 / 4).
    error = (1 / 3 / 4) ** 0.5
    # Four items: t of 3 degrees of freedom.
    assert difference["high"] - difference["difference"] == pytest.approx(3.182446 * error)
    assert difference["reference"] == "mini_teacher"
    assert "8 seeds, 32 queries" in words


def test_rows_that_a_match_lacks_are_told_and_its_marks_are_of_their_own(tmp_path):
    place = {"teacher_queries": 32, "verification_queries": 64, "rows": 24}
    tables = by_hand(
        (NQ, 32, "abcd", {"rows": 30, "teacher_queries": 32}),
        (NQ, 32, "abc", {"filter": "verified", **place}),
        (NQ, 32, "ab", {"filter": "verified_matched", "missing_rows": 6, **place}),
    )
    table, words = draw("verification", tables, tmp_path)
    assert "Fewer rows" in words and "32 queries: 6 missing" in words
    kept = table.filter((pl.col("kind") == "kept") & (pl.col("filter") == "verified"))
    assert kept["value"].to_list() == [24 / 96]


def test_diversity_is_of_rows_and_not_of_queries():
    row = {"unique_questions": 393, "near_seed_rows": 0, "test_overlap": 2, "rows": 398}
    row["queries"] = 2048
    assert diversity.height(row, "unique_questions") == pytest.approx(100 * 393 / 398)
    assert diversity.height(row, "test_overlap") == pytest.approx(100 * 2 / 2048)
    assert diversity.height(row | {"rows": 0}, "near_seed_rows") is None


def test_verified_answers_against_all_of_another_method(tmp_path):
    tables = by_hand(
        (AA, 32, "a", {"rows": 32}),
        (AA, 32, "ab", {"filter": "verified", "rows": 24}),
        (NQ, 32, "abcd", {"rows": 30}),
        (NQ, 64, "abcd", {"rows": 60}),
    )
    table, words = draw("verification", tables, tmp_path)
    (difference,) = table.filter(pl.col("kind") == "difference").to_dicts()
    assert (difference["method"], difference["reference"]) == (NQ, AA)
    assert difference["value"] == pytest.approx(0.5)
    kept = table.filter(pl.col("kind") == "kept")
    found = {(r["method"], r["filter"], r["budget"]): r["value"] for r in kept.to_dicts()}
    assert found == {
        (AA, "none", 32): 1,
        (AA, "verified", 32): 0.75,
        (NQ, "none", 32): 30 / 32,
        (NQ, "none", 64): 60 / 64,
    }
    assert "Gain over AA verified" in words and "verified answers" in words


def test_filters_are_shown_once_for_the_augmenter_that_has_them(tmp_path):
    plain = simulate(seeds=(8,), ratios=(1, 4), items=20)
    weak = simulate(
        methods=(NQ,),
        seeds=(8,),
        ratios=(4,),
        items=20,
        untrained=None,
        other={"augmenter": "mini_weak"},
    )
    for methods in (METHODS, (AA,)):
        verified = simulate(
            methods=methods,
            seeds=(8,),
            ratios=(1, 4),
            items=20,
            untrained=None,
            other={"filter": "verified"},
        )
        table, _ = draw("verification", together(plain, weak, verified), tmp_path)
        assert set(table["augmenter"]) == {"mini_teacher"}


def test_a_filter_unknown_here_is_drawn(tmp_path):
    tables = by_hand((AA, 32, "a", {}), (AA, 32, "ab", {"filter": "longest"}))
    table, words = draw("verification", tables, tmp_path)
    assert set(table["filter"]) == {"none", "longest"} and "longest" in words
    assert "not counted" in words


@pytest.mark.slow
@pytest.mark.parametrize("role", ["student", "teacher"])
def test_models_are_compared_where_all_else_is_equal(role, tmp_path):
    other = {role: f"other_{role}"}
    # Each student has a baseline of its own; the teacher's is the same.
    untrained = 0.4 if role == "student" else None
    tables = together(
        simulate(seeds=(32, 64), items=400),
        simulate(seeds=(32,), items=400, other=other, untrained=untrained),
    )
    fits = fitted(tables)
    table, words = draw(f"{role}s", tables, tmp_path, fits=fits)
    assert set(table["seeds"]) == {32}
    assert set(table[role]) == {f"mini_{role}", f"other_{role}"}
    assert table.filter(pl.col("kind") == "cell").height == 2 * 3 * 4
    crossovers = table.filter(pl.col("kind") == "crossover", pl.col("method") == NQ)
    expected = {
        getattr(found, role): crossing.budget_ratio
        for found in find_crossovers(fits, CrossoverSettings()).crossovers
        if found.seeds == 32 and (found.reference, found.method) == (AA, NQ)
        for crossing in found.crossings
    }
    assert dict(crossovers.select(role, "budget_ratio").rows()) == pytest.approx(expected)
    assert f"other {role}" in words and "Crossover with AA" in words


# --- costs

COUNTS = {
    "teacher_prompt_tokens": 1000,
    "teacher_completion_tokens": 2000,
    "augmenter_prompt_tokens": 500,
    "augmenter_completion_tokens": 500,
    "generation_seconds": 3000.0,
    "training_seconds": 600.0,
}
CONTRAST = 4.5
"""Least contrast of text with its background: WCAG 2.2, 1.4.3."""
MARK_CONTRAST = 3
"""Least contrast of a mark with its background: WCAG 2.2, 1.4.11."""
PRICES = {
    name: ModelPrice(usd_per_million_prompt_tokens=prompt, usd_per_million_completion_tokens=both)
    for name, prompt, both in (
        ("mini_teacher", 1.0, 2.0),
        ("mini_weak", 10.0, 20.0),
        ("unpriced", None, None),
    )
}


def cost_row(tables, folder, prices=PRICES):
    table, words = draw("costs", tables, folder, prices=prices)
    (row,) = table.to_dicts()
    return row, words


def test_costs_by_hand(tmp_path):
    cell = (NQ, 32, "abc", {"augmenter": "mini_weak", **COUNTS})
    row, _ = cost_row(by_hand(("untrained", 0, "a", {}), cell), tmp_path)
    assert row["gain"] == pytest.approx(0.5)
    # 0.001 + 0.004 dollars for the teacher, 0.005 + 0.010 for the augmenter.
    expected = {"teacher_queries": 32, "tokens": 4000, "usd": 0.02, "hours": 1.0}
    assert {name: row[name] for name in expected} == pytest.approx(expected)
    per_point = {f"{name}_per_point": cost / 50 for name, cost in expected.items()}
    assert {name: row[name] for name in per_point} == pytest.approx(per_point)
    assert not row["unknown"]


def test_an_unknown_price_is_unknown_and_never_0(tmp_path):
    cell = (NQ, 32, "abc", {"augmenter": "unpriced", **COUNTS})
    row, words = cost_row(by_hand(("untrained", 0, "a", {}), cell), tmp_path)
    assert row["usd"] is None and row["usd_per_point"] is None
    assert row["unknown"] == "price of unpriced"
    assert row["tokens_per_point"] == pytest.approx(80)
    assert "US dollars per point: unknown (price of unpriced)" in words
    # What was not used has no price to know.
    unused = COUNTS | {"augmenter_prompt_tokens": 0, "augmenter_completion_tokens": 0}
    cell = (NQ, 32, "abc", {"augmenter": "unpriced", **unused})
    row, _ = cost_row(by_hand(("untrained", 0, "a", {}), cell), tmp_path)
    assert row["usd"] == pytest.approx(0.005)


def test_costs_of_verification_are_the_teachers(tmp_path):
    counts = COUNTS | {"verification_prompt_tokens": 1000, "verification_completion_tokens": 0}
    counts["verification_queries"] = 64
    place = {"augmenter": "mini_weak", "filter": "verified"}
    cell = (NQ, 32, "abc", {**place, **counts})
    row, _ = cost_row(by_hand(("untrained", 0, "a", {}), cell), tmp_path)
    assert row["tokens"] == 5000 and row["usd"] == pytest.approx(0.021)
    assert row["teacher_queries"] == 32 + 64
    # Where verified answers were not counted, their cost is not known.
    row, _ = cost_row(
        by_hand(("untrained", 0, "a", {}), (NQ, 32, "abc", {**place, **COUNTS})), tmp_path
    )
    assert row["tokens"] is None and row["unknown"] == "tokens of verification"


def test_no_gain_has_no_cost_per_point(tmp_path):
    for correct in ("a", ""):
        cell = (NQ, 32, correct, {"augmenter": "mini_weak", **COUNTS})
        row, words = cost_row(by_hand(("untrained", 0, "a", {}), cell), tmp_path)
        assert row["gain"] <= 0 and row["tokens"] == 4000
        assert row["tokens_per_point"] is None and row["usd_per_point"] is None
        assert "no cell gained accuracy" in words and "no gain" in words


def test_crosses_of_methods_without_gain_do_not_hide_each_other(tmp_path):
    place = {"augmenter": "mini_weak", **COUNTS}
    cells = [(AA, 32, "", {**place, "augmenter": "none"}), (NQ, 32, "", place)]
    draw("costs", by_hand(("untrained", 0, "a", {}), *cells), tmp_path, prices=PRICES)
    svg = (tmp_path / "costs.svg").read_text(encoding="utf-8")
    marks = re.findall(r'translate\(([\d.]+),([\d.]+)\)"[^>]*stroke="(#\w+)"', svg)
    # Those of the legend stand at one place.
    at = {paint: {(x, y) for x, y, of in marks if of == paint} for *_, paint in marks}
    first, second = (at[colour((AA, NQ), method)] - {("6", "6")} for method in (AA, NQ))
    assert first and second and not first & second


def test_without_the_untrained_student_there_is_no_gain_to_pay_for(tmp_path):
    row, words = cost_row(by_hand((NQ, 32, "abc", {"augmenter": "mini_weak", **COUNTS})), tmp_path)
    assert row["gain"] is None and row["usd"] == pytest.approx(0.02)
    assert row["usd_per_point"] is None
    assert row["unknown"] == "accuracy of the base model"
    assert "the base model has not been evaluated" in words


# --- diversity


def test_diversity_is_the_mean_over_replicates(tmp_path):
    table, words = draw("diversity", no_results(), tmp_path)
    rephrased = table.filter(pl.col("method") == QR).row(0, named=True)
    assert rephrased["unique_questions"] == 22 and rephrased["replicates"] == 2
    assert [rephrased[f"distinct_{n}"] for n in (1, 2, 3)] == [0.25, 0.5, 0.75]
    assert (rephrased["near_seed_rows"], rephrased["test_overlap"]) == (4, 2)
    seeds_own = table.filter(pl.col("method") == AA).row(0, named=True)
    assert seeds_own["unique_questions"] == 8 and seeds_own["distinct_1"] is None
    assert seeds_own["test_overlap"] == 0
    assert "Question rephrase" in words


def test_baselines_of_real_pairs_are_no_synthetic_data(tmp_path):
    real = record("human", 0, counts={"rows": 100})
    table, _ = draw("diversity", no_results(), tmp_path, datasets=[*DATASETS, real])
    assert set(table["method"]) == {AA, QR}


def test_a_dataset_has_its_coordinates_in_its_path():
    place = coordinates(QR, 8, 32)
    del place["student"]
    key = "/".join(f"{name}={value}" for name, value in place.items())
    assert diversity.coordinates_of(Path(f"results/micro/datasets/{key}/dataset.json")) == place


# --- axes and command lines


def test_labels_have_room():
    assert spread([100, 110, 120, 1000, 100_000]) == [100, 1000, 100_000]
    assert spread([5]) == [5] and spread([]) == []


def test_a_wrong_option_ends_with_what_is_wrong(tmp_path):
    script = Path(__file__).parents[2] / "scripts/plot.py"
    (tmp_path / "rows.parquet").write_bytes(b"PAR1" * 3)
    rows = tmp_path / "rows.parquet"
    command = [sys.executable, script, "--chart=shares", "--study=s", "--cells", rows]
    command += [
        "--item-scores",
        rows,
        "--svg",
        tmp_path / "f.svg",
        "--settings",
        json.dumps({"confidence": 2}),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode != 0 and "confidence" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_figure_must_be_an_svg(tmp_path):
    output = figure_output(__file__, "fake", tmp_path / "figure.pdf", TITLES)
    with pytest.raises(ValueError, match=r"must end in \.svg"):
        written("diversity", diversity.content([], METHODS), output)
    assert list(tmp_path.iterdir()) == []


def test_every_figure_is_tried_here():
    tried = {module.__name__.rpartition(".")[2] for module in MODULES.values()}
    assert tried == set(plot.CHARTS)


@pytest.mark.parametrize("script", ["plot", "collect_results", "write_report"])
def test_an_option_without_text_says_that_nothing_is_missing(script):
    """As rules give it: Snakemake leaves an empty text out of the command."""
    path = Path(__file__).parents[2] / f"scripts/{script}.py"
    done = subprocess.run([sys.executable, path, "--missing="], capture_output=True, text=True)
    assert "expected one argument" not in done.stderr
    assert "the following arguments are required" in done.stderr


def test_a_method_keeps_its_place_where_the_first_group_lacks_one():
    groups = [SimpleNamespace(methods=list(names)) for names in ("ac", "abc", "c")]
    assert all_methods(groups) == ["a", "b", "c"]


def test_a_dozen_methods_and_mixtures_look_different():
    methods = Methods([f"method_{n}" for n in range(12)], TITLES)
    looks = [channel.to_dict()["scale"]["range"] for channel in (methods.colour, methods.shape)]
    assert len(set(zip(*looks, strict=True))) == 12


@pytest.mark.parametrize("config", [LIGHT, DARK], ids=["light", "dark"])
def test_marks_can_be_seen(config):
    ink = config["style"]["ink"]["color"]
    for paint in (*COLOURS, PUBLISHED, RANGE, ink, config["axis"]["domainColor"]):
        assert contrast(paint, config["background"]) >= MARK_CONTRAST, paint


def test_charts_have_no_colours_but_those_of_the_theme():
    """Others would not be checked for contrast."""
    report = Path(theme.__file__).parents[1]
    files = [*report.glob("charts/*.py"), *report.glob("*/page.py"), report / "page/plots.py"]
    files.remove(Path(theme.__file__))
    found = [file.name for file in files if re.search("#[0-9a-fA-F]{6}", file.read_text())]
    assert len(files) > 15 and found == []


def test_text_in_the_colours_of_methods_can_be_read():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    # As WebAIM's checker has it.
    assert contrast("#D55E00", "#ffffff") == pytest.approx(3.87, abs=0.01)
    for paint in COLOURS:
        assert contrast(text_on(paint), paint) >= CONTRAST
    assert (text_on(COLOURS[0]), text_on(COLOURS[2])) == ("#ffffff", "#000000")


@pytest.mark.parametrize("config", [LIGHT, DARK], ids=["light", "dark"])
def test_text_has_contrast_on_light_and_dark(config):
    paper = config["background"]
    for ink in (
        config["axis"]["labelColor"],
        config["legend"]["labelColor"],
        config["text"]["color"],
    ):
        assert contrast(ink, paper) >= CONTRAST


def test_the_script_knows_what_each_chart_takes():
    for name, inputs in plot.CHARTS.items():
        taken = inspect.signature(plot.module_of(name).tabulate).parameters
        assert set(inputs) == set(taken), name
        kind = plot.SETTINGS.get(name, CompareSettings).__name__
        assert "settings" not in taken or taken["settings"].annotation == kind, name
