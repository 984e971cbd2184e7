"""The scripts from evaluations to report: files, figures, tables and text."""

from __future__ import annotations

import csv
import json
import re
import struct
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import polars as pl
import pytest
from analysis_simulation import METHODS, simulate
from whole_report import PRICES, TITLES, output, run_all

from browser import Elements
from plot import plot
from seedbed.analysis.report.page.filling import inline_svg
from seedbed.analysis.settings import PublishedShift, published_for
from seedbed.artifacts import read_json


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return run_all(tmp_path_factory.mktemp("study"), simulate(items=400))


def read_table(path):
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("name", ["accuracy", "cost_effectiveness"])
def test_figures_are_drawn_and_say_how_they_were_made(study, name):
    svg = study / f"figures/{name}.svg"
    text = svg.read_text(encoding="utf-8")
    tree = ElementTree.fromstring(text)
    words = " ".join(tree.itertext())
    for word in ("Answer augmentation", "New question", "32 seeds", "teacher queries"):
        assert word in words
    # Text of a configuration is text, not markup.
    assert "Word <b>problems</b> & more" in words
    made, _ = json.JSONDecoder().raw_decode(words[words.index('{"code"') :])
    assert made["study"] == "fake" and len(made["code"]) == 16 and "polars" in made["versions"]
    png = svg.with_suffix(".png").read_bytes()
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">I", png[16:20])[0] >= 1600
    assert made["code"].encode() in png
    assert "<dc:date>" not in text


def test_accuracy_table_holds_the_cells(study):
    rows = read_table(study / "figures/accuracy.csv")
    cells = {
        (r["method"], int(r["seeds"]), float(r["budget"])): r for r in rows if r["kind"] == "cell"
    }
    assert len(cells) == 24
    for cell in read_table(study / "tables/cells.csv"):
        if cell["method"] == "untrained":
            baseline = [r for r in rows if r["kind"] == "untrained"]
            assert {float(r["accuracy"]) for r in baseline} == {float(cell["accuracy"])}
            continue
        row = cells[cell["method"], int(cell["seeds"]), float(cell["budget"])]
        assert float(row["accuracy"]) == pytest.approx(float(cell["accuracy"]))
        assert float(row["low"]) < float(row["accuracy"]) < float(row["high"])
    curves = [r for r in rows if r["kind"] == "curve"]
    assert len(curves) == 3 * 2 * 101


def test_cost_effectiveness_table_holds_differences_crossovers_and_leaders(study):
    rows = read_table(study / "figures/cost_effectiveness.csv")
    kinds = {row["kind"] for row in rows}
    assert kinds == {"comparison", "curve", "crossover", "leader", "published"}
    # 24 seeds are within a factor of 2 of 32, not of 64.
    published = [(r["seeds"], r["method"], r["low"]) for r in rows if r["kind"] == "published"]
    assert published == [("32", "somewhere", "5.0")]
    paired = [r for r in rows if r["kind"] == "comparison"]
    assert len(paired) == 2 * 2 * 4
    expected = {
        (r["method"], r["seeds"], float(r["budget"])): float(r["difference"])
        for r in read_table(study / "tables/comparisons.csv")
        if r["reference"] == METHODS[0]
    }
    for row in paired:
        key = (row["method"], row["seeds"], float(row["budget"]))
        assert float(row["difference"]) == pytest.approx(expected[key])
    leaders = [r for r in rows if r["kind"] == "leader" and r["seeds"] == "32"]
    assert leaders[-1]["method"] == "new_question" and float(leaders[-1]["high"]) == 64
    records = json.loads((study / "fits/crossovers.json").read_text())["crossovers"]
    crossing = next(
        r["crossings"][0]["budget_ratio"]
        for r in records
        if r["method"] == "new_question" and r["crossings"]
    )
    drawn = [float(r["budget_ratio"]) for r in rows if r["kind"] == "crossover"]
    assert any(value == pytest.approx(crossing) for value in drawn)


def test_published_shifts_are_of_the_student_and_of_like_seeds():
    shifts = [
        PublishedShift(source="a", seeds=100, low=27, high=51),
        PublishedShift(source="b", seeds=1000, low=17.6),
        PublishedShift(source="c", student="other", low=12),
    ]

    def sources(student, seeds):
        return [shift.source for shift in published_for(shifts, student, seeds)]

    assert sources("one", 50) == sources("one", 200) == ["a"]
    assert sources("one", 2000) == ["b"]
    assert sources("one", 300) == []
    assert sources("other", 300) == ["c"]


def test_figures_are_the_same_bytes_again(study, tmp_path):
    again = tmp_path / "accuracy.svg"
    files = {
        "fits": "fits/decay.json",
        "draws": "fits/draws.parquet",
        "cells": "tables/cells.parquet",
        "item_scores": "tables/items.parquet",
    }
    plot("accuracy", output(again), **{name: study / file for name, file in files.items()})
    for ending in (".svg", ".png", ".vl.json", ".csv"):
        first = (study / "figures/accuracy.svg").with_suffix(ending)
        assert again.with_suffix(ending).read_bytes() == first.read_bytes()
    assert len(list(tmp_path.iterdir())) == 4


def test_summary_holds_the_numbers(study):
    text = (study / "report/summary.txt").read_text(encoding="utf-8")
    cells = {
        (row["method"], row["seeds"], row["budget"]): row["accuracy"]
        for row in pl.read_parquet(study / "tables/cells.parquet").iter_rows(named=True)
    }
    apart = {
        frozenset((row["reference"], row["method"])): row["p_holm"] < 0.05
        for row in pl.read_csv(study / "tables/comparisons.csv").iter_rows(named=True)
        if (row["seeds"], row["budget"]) == (32, 2048)
    }
    best = max(METHODS, key=lambda method: cells[method, 32, 2048])
    led = {method for method in METHODS if not apart.get(frozenset((best, method)))}
    assert len(led) < 3 and any(apart.values())
    assert "* marks the best method of a column and those statistically tied with it" in text
    for method in METHODS:
        line = next(line for line in text.splitlines() if TITLES.title(method) in line)
        for budget in (32, 128, 512, 2048):
            assert f"{100 * cells[method, 32, budget]:.1f}" in line
        assert line.rstrip().endswith("*") == (method in led)
    row = pl.read_csv(study / "tables/comparisons.csv").filter(
        pl.col("reference") == METHODS[0],
        pl.col("method") == METHODS[2],
        pl.col("seeds") == 64,
        pl.col("budget_ratio") == 64,
    )
    row = row.row(0, named=True)
    expected = (
        f"NQ minus AA = {100 * row['difference']:+.1f} points "
        f"({100 * row['low']:+.1f} to {100 * row['high']:+.1f})"
    )
    assert expected in text
    assert "AA and NQ: crossover to NQ at BR" in text
    assert "6,144 augmenter queries" in " ".join(text.split())
    assert f"Open {study / 'report/index.html'}" in text
    assert "64 seeds: use " in text


def test_summary_says_that_nothing_can_be_told_apart(tmp_path):
    """A student that gets nothing right, whatever it was trained on."""
    nothing = simulate(lambda *_: 0.0, seeds=(32,), ratios=(1, 4), items=60, untrained=0.0)
    text = (run_all(tmp_path, nothing) / "report/summary.txt").read_text(encoding="utf-8")
    words = " ".join(text.split())
    assert "32 seeds: no method leads" in words
    assert "statistically tied with" in words
    assert "0.0*" not in text and "use AA" not in text


def test_advice_speaks_of_budgets_that_all_methods_have(tmp_path):
    """As where one method's cells belong to more than one augmenter: it is measured more often."""
    cells, items = simulate(seeds=(32,), items=200)
    kept = cells.filter((pl.col("method") == METHODS[0]) | (pl.col("budget_ratio") == 16))
    items = items.filter(pl.col("cell").is_in(kept["cell"].to_list()))
    text = (run_all(tmp_path, (kept, items)) / "report/summary.txt").read_text(encoding="utf-8")
    (advice,) = re.findall(r"  - (32 seeds: .*?\.)\n\n", text, re.DOTALL)
    assert re.findall(r"and\s+([\d,]+)\s+teacher\s+queries", advice) == ["512"]
    assert "no method leads" not in advice and "probability of 100%" not in advice.split("AA")[-1]
    line = next(line for line in text.splitlines() if "Answer augmentation" in line)
    assert "*" not in line
    # Said once of each pair, not again of tokens, dollars and hours.
    assert text.count("fewer than two budgets in common") == 2
    assert "by US dollars" not in text


def test_a_crossover_by_cost_is_said_of_methods_without_budgets_in_common(tmp_path):
    """One method is dear and has small budgets; the other has large ones, for the same tokens."""
    cells, items = simulate(seeds=(32,), ratios=(1, 2, 4, 8, 16, 32, 64), items=200)
    small = (pl.col("method") == METHODS[1]) & (pl.col("budget_ratio") <= 4)
    large = (pl.col("method") == METHODS[0]) & (pl.col("budget_ratio") >= 8)
    kept = cells.filter(small | large | (pl.col("method") == "untrained"))
    dear = pl.col("teacher_completion_tokens") * pl.when(small).then(100).otherwise(1)
    kept = kept.with_columns(teacher_completion_tokens=dear)
    items = items.filter(pl.col("cell").is_in(kept["cell"].to_list()))
    text = (run_all(tmp_path, (kept, items)) / "report/summary.txt").read_text(encoding="utf-8")
    assert text.count("AA and QR: fewer than two budgets in common.") == 1
    assert re.search(r"^  AA and QR by tokens: (no )?crossover ", text, re.MULTILINE)


def test_advice_names_all_queries_of_a_budget_and_rows_that_are_missing(tmp_path):
    """As with a filter that asks the teacher again, and goes on behind the budget."""
    cells, items = simulate(seeds=(32,), items=200, ratios=(4, 16))
    cells = cells.with_columns(
        teacher_queries=(1.5 * pl.col("budget")).cast(pl.Int64),
        verification_queries=2 * pl.col("budget"),
        missing_rows=pl.lit(77),
    )
    text = (run_all(tmp_path, (cells, items)) / "report/summary.txt").read_text(encoding="utf-8")
    words = " ".join(text.split())
    # Of 512 queries, one and a half times as many, and twice as many besides.
    assert re.search(r"and 512 teacher queries .* 1,280 further teacher queries", words)
    assert "77 fewer rows than without a filter" in words


def test_a_cell_without_rows_is_no_method_and_the_report_says_what_trainings_lack(tmp_path):
    cells, items = simulate(seeds=(32,), items=200, ratios=(4, 16))
    empty = pl.col("method") == METHODS[2]
    cells = cells.with_columns(
        training_rows=pl.when(empty).then(0).otherwise((pl.col("budget") - 2).clip(0)),
        too_long_rows=pl.when(empty).then(pl.col("budget")).otherwise(2),
        steps=pl.when(empty).then(0).otherwise(pl.col("budget") // 16),
    )
    folder = run_all(tmp_path, (cells, items))
    words = " ".join((folder / "report/summary.txt").read_text(encoding="utf-8").split())
    assert "2 of 6 cells had no rows to train on" in words
    assert "648 of 1,920 rows in 6 cells are longer than training.max_length" in words
    assert "2 of 6 cells were trained in fewer than 20 optimiser steps" in words
    page = (folder / "report/index.html").read_text(encoding="utf-8")
    assert "fewer than 20 optimiser steps" in page
    table = read_table(folder / "figures/accuracy.csv")
    assert {row["method"] for row in table} - {"untrained", ""} == set(METHODS[:2])
    assert METHODS[2] in {row["method"] for row in read_table(folder / "tables/cells.csv")}


def test_a_study_of_zeros_names_the_likely_cause(tmp_path):
    cells, items = simulate(seeds=(32,), items=50, ratios=(4, 16))
    wrong = items.with_columns(correct=pl.lit(False))
    folder = run_all(tmp_path, (cells.with_columns(correct=pl.lit(0), accuracy=pl.lit(0.0)), wrong))
    words = " ".join((folder / "report/summary.txt").read_text(encoding="utf-8").split())
    assert "No student answers a single item of" in words
    assert "of 350 outputs, 0 have no answer that can be read" in words
    once = (pl.col("cell") == cells["cell"][-1]) & (pl.col("item_id") == items["item_id"][0])
    count = (pl.col("cell") == cells["cell"][-1]).cast(pl.Int64)
    right = items.with_columns(correct=once)
    folder = run_all(
        tmp_path / "one", (cells.with_columns(correct=count, accuracy=count / 50), right)
    )
    assert "No student" not in (folder / "report/summary.txt").read_text(encoding="utf-8")


def test_advice_says_from_where_it_holds(tmp_path):
    cells, items = simulate(seeds=(32,), items=400)
    kept = cells.filter((pl.col("method") != METHODS[2]) | pl.col("budget_ratio").is_between(4, 16))
    items = items.filter(pl.col("cell").is_in(kept["cell"].to_list()))
    text = (run_all(tmp_path, (kept, items)) / "report/summary.txt").read_text(encoding="utf-8")
    words = " ".join(text.split())
    assert re.search(r"32 seeds: from BR 4, use .*up to BR 16\.", words)


def test_page_is_self_contained_and_escapes_what_it_is_given(study):
    page = (study / "report/index.html").read_text(encoding="utf-8")
    found = Elements(page)
    # The data of the controls, the charts' library, and what moves them.
    assert found.tags.count("script") == 3 and not {"b", "i"} & {*found.tags}
    assert found.tags.count("svg") == 2
    assert "What <script>alert(1)</script> is best?" in " ".join(found.text)
    # Nothing is loaded: references lead into the page alone, and links to the files beside it.
    links = [value for name, value in found.attributes if name == "href" and value[:2] == ".."]
    for name, value in found.attributes:
        assert name != "src"
        if name in ("href", "xlink:href") and value not in links:
            assert value.startswith("#")
    there = {path.relative_to(study).as_posix() for path in study.rglob("*") if path.is_file()}
    assert {link.removeprefix("../") for link in links} - {"tables/cells.csv"} <= there
    ids = [value for name, value in found.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    targets = {v[1:] for n, v in found.attributes if n in ("href", "xlink:href") and v[:1] == "#"}
    targets |= set(re.findall(r"url\(#([^)]+)\)", page.partition("<script")[0]))
    assert targets <= set(ids)
    text = (study / "report/summary.txt").read_text(encoding="utf-8")
    advice = [line.strip()[2:] for line in text.splitlines() if line.startswith("  - ")]
    words = " ".join(" ".join(found.text).split())
    assert "Word <b>problems</b> & more: New question" in words
    assert "The student is <small>." in words and "The student is <small>." in text
    assert "How many? <img src=x> 2" in words and "How many? <img src=x> 3" not in words
    assert "x" * 600 + " ..." in words and "img" not in found.tags
    assert len(advice) == 2 and all(line in words for line in advice)


def test_results_say_how_they_were_made(study):
    for name in ("fits/decay.json", "fits/crossovers.json", "tables/comparisons.json"):
        content = json.loads((study / name).read_text())
        assert len(content["provenance"]["code"]) == 16
        assert content["settings"]["confidence"] == 0.95
        assert content["about"]
    entry = json.loads((study / "fits/decay.json").read_text())["fits"][0]
    assert entry["noise"]["training_runs"] > 0
    assert all(cell["fitted_low"] < cell["fitted"] < cell["fitted_high"] for cell in entry["cells"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kwargs", "words"),
    [
        ({"seeds": (8,), "ratios": (1, 4)}, "points between training runs"),
        ({"seeds": (8,), "ratios": (4,)}, "8 seeds: With 8 seeds and 32 teacher queries"),
        ({"methods": METHODS[:1], "untrained": None}, "use AA"),
        ({"accuracy": lambda method, seeds, ratio: 0.0, "untrained": 0.0}, "no method leads"),
        ({"accuracy": lambda method, seeds, ratio: 1.0, "untrained": 1.0}, "no method leads"),
        (
            {"accuracy": lambda *_: 0.3, "untrained": 0.7},
            "do not train: the base model answers",
        ),
    ],
    ids=["two budgets", "one budget", "one method", "all 0", "all 1", "training does harm"],
)
def test_degenerate_studies_have_a_report(tmp_path, kwargs, words):
    run_all(tmp_path, simulate(items=60, **kwargs))
    text = (tmp_path / "report/summary.txt").read_text(encoding="utf-8")
    assert words in " ".join(text.split())
    if "methods" in kwargs:
        # A method that stands alone is best for want of others: that is not said of it.
        assert "with a probability of" not in text and "*" not in text.split("\n", 1)[1]
    for name in ("accuracy", "cost_effectiveness"):
        ElementTree.parse(tmp_path / f"figures/{name}.svg")
        assert (tmp_path / f"figures/{name}.csv").stat().st_size > 0


@pytest.mark.slow
def test_study_of_many_groups_has_a_panel_for_each_size(tmp_path):
    one = simulate(items=60, seeds=(8, 16), ratios=(1, 4))
    two = simulate(items=60, seeds=(8,), ratios=(1, 4), other={"student": "big"}, seed=1)
    run_all(tmp_path, (pl.concat([one[0], two[0]]), pl.concat([one[1], two[1]])))
    svg = (tmp_path / "figures/accuracy.svg").read_text(encoding="utf-8")
    words = " ".join(ElementTree.fromstring(svg).itertext())
    assert words.count("8 seeds") == 2 and words.count("16 seeds") == 1
    assert "student big" in words and "student mini student" in words


def test_inline_svg_keeps_identifiers_apart():
    svg = '<?xml version="1.0"?><svg width="5pt" height="3pt" viewBox="0 0 5 3"><metadata>m'
    svg += '</metadata><g id="a" clip-path="url(#c)"><use xlink:href="#d"/></g></svg>'
    found = inline_svg(svg, "fig")
    words = 'role="img" aria-labelledby="fig-name" aria-describedby="fig-about"'
    assert found.startswith(f'<svg viewBox="0 0 5 3" {words}>')
    assert 'id="fig-a"' in found and "url(#fig-c)" in found and 'xlink:href="#fig-d"' in found
    assert "<metadata>" not in found
    with pytest.raises(ValueError, match="fig"):
        inline_svg("nothing", "fig")


def in_one(text):
    """A text without its line breaks."""
    return " ".join(text.split())


def ask(study, folder, *words):
    script = Path(__file__).parents[2] / "scripts/advise.py"
    files = ["--fits", study / "fits/decay.json", "--draws", study / "fits/draws.parquet"]
    titles = json.dumps({"new_question": {"title": "New question", "short": "NQ"}})
    words = [*words, "--output", folder / "advice.json", "--study", "fake", "--titles", titles]
    command = [sys.executable, script, *files, *words]
    return subprocess.run(list(map(str, command)), capture_output=True, text=True)


def test_advice_for_one_question_is_three_sentences_a_table_and_json(study, tmp_path):
    done = ask(study, tmp_path, "--task", "mini_math", "--seeds", "32", "--queries", "2048")
    assert done.returncode == 0, done.stderr
    written = read_json(tmp_path / "advice.json")["answers"][0]
    assert written["task"] == "mini_math"
    # The three methods, and the best mixture of them.
    best, *_ = written["outlook"]
    by_name = {one["method"]: one for one in written["outlook"] if one["measured"]}
    assert {*by_name} == {*METHODS} and len(written["outlook"]) == 4
    assert best["shares"]["new_question"] >= 0.8 and best["low"] < best["accuracy"] < best["high"]
    columns = r"^  New question +2,048 +([\d.]+) +([\d.]+) to ([\d.]+) +(\d+)% +([\d.]+) +-$"
    row = re.search(columns, done.stdout, re.MULTILINE)
    shown = [float(text) for text in row.groups()]
    entry = by_name["new_question"]
    known = [100 * entry[name] for name in ("accuracy", "low", "high", "probability_best")]
    assert shown == pytest.approx([*known, 100 * entry["expected_regret"]], abs=0.51)
    sentences, _, table = done.stdout.partition("\n\n")
    assert table.startswith(" ")
    buy, sure, more = re.findall(r"(With .*?\.) (It is .*?\.) ([TM].*)", in_one(sentences))[0]
    assert buy.startswith("With 32 seeds and 2,048 teacher queries (BR 64), buy 2,048 queries")
    assert f"expected to answer {100 * best['accuracy']:.1f}% right" in buy
    assert f"with a probability of {100 * best['probability_best']:.0f}%" in sure
    assert f"expected to lose {100 * best['expected_regret']:.1f} points" in sure
    assert re.match(r"Twice the budget is expected to bring [+-][\d.]+ points", more)


def test_the_fewest_queries_for_an_accuracy(study, tmp_path):
    done = ask(study, tmp_path, "--task", "mini_math", "--seeds", "32", "--target", "0.6")
    assert done.returncode == 0, done.stderr
    written = read_json(tmp_path / "advice.json")
    assert written["question"] == {
        "task": "mini_math",
        "seeds": 32,
        "queries": None,
        "usd": None,
        "target": 0.6,
        "untrained": None,
    }
    best = written["answers"][0]["reach"][0]
    said = in_one(done.stdout)
    assert "is expected to reach 60.0% with the fewest queries: " in said
    assert f"{best['budget']:,} teacher queries (BR " in said
    assert f"with a probability of {100 * best['probability']:.0f}%" in said
    done = ask(study, tmp_path, "--task", "mini_math", "--seeds", "32", "--target", "1")
    said = in_one(done.stdout)
    assert "no method is expected to reach 100.0% with up to 20,480 queries" in said
    assert re.search(r"\([\d,]+\) +[\d.]+ ", said)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("mini_math", 32, 0), "budget 0: at least one query is needed"),
    ],
)
def test_what_was_not_measured_is_not_advised_on(study, tmp_path, words, said):
    task, seeds, queries = words
    done = ask(study, tmp_path, "--task", task, "--seeds", seeds, "--queries", queries)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert done.stderr.startswith("advise: ") and said in done.stderr
    assert not (tmp_path / "advice.json").exists()


def test_advice_by_money_names_what_it_buys_and_what_would_tell_more(study, tmp_path):
    prices = json.dumps({name: price.content() for name, price in PRICES.items()})
    words = ["--task", "mini_math", "--seeds", "32", "--prices", prices]
    done = ask(study, tmp_path, *words, "--usd", "0.1")
    assert done.returncode == 0, done.stderr
    assert "  With 32 seeds and $0.10, buy " in done.stdout
    (answer,) = read_json(tmp_path / "advice.json")["answers"]
    by_method = {entry["method"]: entry for entry in answer["outlook"]}
    # 85 millionths for a query of the teacher, 130 more for one of the augmenter.
    assert by_method["answer_augmentation"]["budget"] == pytest.approx(0.1 / 85e-6, abs=1)
    assert by_method["new_question"]["budget"] == pytest.approx(0.1 / 215e-6, abs=1)
    for entry in answer["outlook"]:
        assert entry["costs"]["usd"] == pytest.approx(0.1, rel=0.01)
    done = ask(study, tmp_path, *words, "--usd", "0.02")
    (answer,) = read_json(tmp_path / "advice.json")["answers"]
    for cell in answer["design"]:
        assert f"{cell['budget']:,} queries, " in in_one(done.stdout)
        assert 0 <= cell["regret_after"] < cell["regret_before"]


def test_advice_beyond_the_data_says_how_far(study, tmp_path):
    done = ask(study, tmp_path, "--task", "mini_math", "--seeds", "32", "--queries", "8192")
    assert done.returncode == 0, done.stderr
    assert "4 times beyond the data, where intervals are wider" in in_one(done.stdout)
