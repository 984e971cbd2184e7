"""Tables of anyone's runs: what is refused and how it is said, and the advice that they give."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from seedbed.analysis.curves import curves_from, fit_curves
from seedbed.analysis.decide.costs import CellUse, cell_costs
from seedbed.analysis.report.answers import Question, ask
from seedbed.analysis.report.own_results import fit_own_results
from seedbed.analysis.settings import FitSettings, Titles
from seedbed.analysis.tables.outcomes import resampled_accuracies
from seedbed.analysis.tables.own_results import (
    BINOMIAL,
    MAX_BYTES,
    MAX_ROWS,
    NOTHING_RIGHT,
    ONE_RUN,
    OwnResultsError,
    notes_on,
    outcomes_of,
    read_own_results,
)
from seedbed.config.documents import StudyError
from seedbed.config.folders import ConfigFolders
from seedbed.study.checks import check_question
from seedbed.study.loading import check_run_config, load_study

ROOT = Path(__file__).resolve().parents[2]
HEAD = "method,seeds,budget,items,correct\n"
ROWS = HEAD + "".join(
    f"{method},100,{budget},1000,{correct}\n"
    for method, counts in (("answers", (460, 521, 549, 553)), ("new", (442, 509, 579, 633)))
    for budget, correct in zip((100, 400, 1600, 6400), counts, strict=True)
)
SETTINGS = FitSettings(bootstrap_samples=40)


def written(folder, content):
    """Return the path of a table with a content, text or bytes."""
    path = folder / "cells.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def read(folder, content):
    return read_own_results(written(folder, content))


WITH_ACCURACY = "method,seeds,budget,items,accuracy\n"
REFUSED = [
    ("", r"cells\.csv: is empty: valid columns are method, seeds, budget, items, and correct or"),
    (" \n\n", "is empty"),
    (HEAD, "has no rows below its header"),
    (b"\xff\xfem\x00", "is UTF-16: save it as UTF-8"),
    (HEAD.encode() + b"m\xe9thode,1,1,10,1\n", r"cells\.csv:2: is not UTF-8"),
    (HEAD + "a,1,1,10,\x001\n", "has a NUL character"),
    (HEAD + '"a,1,1,10,1\n', r"cells\.csv:2: is not a CSV file"),
    ("method,seeds,budget,items\na,1,1,10\n", r":1: column 'correct' or 'accuracy' is missing"),
    ("method,budget,items,correct\n", r":1: column 'seeds' is missing"),
    ("method,seed,budget,items,correct\n", r":1: column 'seed' is unknown; did you mean 'seeds'\?"),
    ("method,seeds,budget,items,corect,x\n", r"'corect' is unknown; did you mean 'correct'\?"),
    ("method,seeds,seeds,budget,items,correct\n", r":1: column 'seeds' appears twice"),
    ("1;2;3\n", r":1: column '1' is unknown"),
    (HEAD + "a,1,1,10\n", r":2: has 4 fields, not 5"),
    (HEAD + "a,1,1,1,000,5\n", r":2: has 6 fields, not 5; a number must have no commas"),
    (HEAD + "a,x,1,10,1\n", r":2: column 'seeds': 'x' is not a whole number from 1 to"),
    (HEAD + "a,0,1,10,1\n", r":2: column 'seeds': '0' is not a whole number from 1 to"),
    (HEAD + "a,1,-5,10,1\n", r":2: column 'budget': '-5' is not a whole number"),
    (HEAD + "a,1,1.5,10,1\n", r":2: column 'budget': '1.5' is not a whole number"),
    (HEAD + "a,1,nan,10,1\n", r":2: column 'budget': 'nan' is not a whole number"),
    (HEAD + "a,1," + "9" * 500 + ",10,1\n", r":2: column 'budget': '9{40}' is not a whole number"),
    (HEAD + "a,1,1,1,1\n", r":2: column 'items': '1' is not a whole number from 2 to 100,000"),
    (HEAD + "a,1,1,10,11\n", r":2: column 'correct': 11 of 10 items: at most 10"),
    (HEAD + "a,1,1,10,\n", r":2: column 'correct': is empty, and so is 'accuracy'"),
    (HEAD + ",1,1,10,1\n", r":2: column 'method': '' is no valid name: use letters, digits"),
    (HEAD + "a/b=c,1,1,10,1\n", r":2: column 'method': 'a/b=c' is no valid name"),
    (HEAD + "<script>,1,1,10,1\n", r":2: column 'method': '<script>' is no valid name"),
    (HEAD + "mix_a,1,1,10,1\n", r":2: column 'method': 'mix_a' is a reserved name"),
    (HEAD + "untrained,1,1,10,1\n", r":2: .*'untrained' has 0 seeds and a budget of 0"),
    (HEAD + "untrained,0,0,10,1\n", r"task 'own' has no method but 'untrained'"),
    (HEAD + "a,1,1,10,1\n\na,1,1,10,2\n", r":4: column 'method': repeats line 2 .*'replicate'"),
    (HEAD + "a,1,1,10,1\na,1,2,20,1\n", r":3: column 'items': 20, but 10 in line 2"),
    (WITH_ACCURACY + "a,1,1,10,0.5\na,1,2,10,50\n", r":2: .*is a share, but in line 3 it is a"),
    (WITH_ACCURACY + "a,1,1,10,101\n", r":2: .*'accuracy': '101' is not a number from 0 to 100"),
    (WITH_ACCURACY + "a,1,1,10,-0.1\n", r":2: .*'accuracy': '-0.1' is not a number from 0 to 1"),
    (WITH_ACCURACY + "a,1,1,10,high\n", r":2: column 'accuracy': 'high' is not a number"),
    ("method,seeds,budget,items,correct,accuracy\na,1,1,10,5,0.8\n", r"0.8 is not 5 of 10"),
    ("method,seeds,budget,items,correct,usd\na,1,1,10,5,x\n", r":2: .*'usd': 'x' is not a number"),
    ("method,seeds,budget,items,correct,tokens\na,1,1,10,5,x\n", r":2: column 'tokens': 'x'"),
    ("task,method,seeds,budget,items,correct\nA B,a,1,1,10,5\n", r":2: column 'task': 'A B' is no"),
    (HEAD + "a,1,1,10,1\n" * (MAX_ROWS + 1), f"has more than {MAX_ROWS:,} rows"),
    (HEAD + " " * MAX_BYTES, "has more than 5 MB"),
]  # fmt: skip


@pytest.mark.parametrize(("content", "words"), REFUSED)
def test_a_table_that_cannot_be_used_names_line_and_column(tmp_path, content, words):
    with pytest.raises(OwnResultsError, match=words):
        read(tmp_path, content)


def test_all_problems_are_said_at_once_up_to_twenty(tmp_path):
    with pytest.raises(OwnResultsError) as error:
        read(tmp_path, HEAD + "".join(f"a,0,{n},10,11\n" for n in range(1, 31)))
    lines = str(error.value).splitlines()
    assert len(lines) == 21
    assert lines[-1] == "and 40 more problems"


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(OwnResultsError, match=r"none\.csv: cannot be read: No such file"):
        read_own_results(tmp_path / "none.csv")


@pytest.mark.parametrize(
    "content",
    [
        "method,seeds,budget,items,accuracy\nnew ones,100,400,1000,0.509\n",
        "method,seeds,budget,items,accuracy\nnew ones,100,400,1000,50.9\n",
        "method,seeds,budget,items,accuracy\nnew ones,100,400,1000,50.9%\n",
        "method,seeds,budget,items,correct\nnew ones,100,400,1000,509\n",
        "\ufeffmethod;seeds;budget;items;accuracy\r\nnew ones;100;400;1000;50,9\r\n",
        "Method\tSeeds\tBudget\tItems\tAccuracy\nnew ones\t100.0\t400.0\t1000\t0,509\n",
        '"method","seeds","budget","items","accuracy"\n"new ones","100","400","1000",".509"\n\n',
        "items,correct,accuracy,budget,seeds,method\n1000,509,51,400,100,new ones\n",
    ],
    ids=["share", "percent", "sign", "count", "semicolons", "tabs", "quotes", "both"],
)
def test_the_same_run_is_read_from_every_form(tmp_path, content):
    (run,) = read(tmp_path, content)
    assert (run.method, run.seeds, run.budget, run.items) == ("new ones", 100, 400, 1000)
    assert (run.correct, run.task, run.replicate, run.usd) == (509, "own", 1, None)


def test_rows_vary_as_binomials_and_not_together(tmp_path):
    outcomes = outcomes_of(read(tmp_path, ROWS))["own"]
    assert outcomes.correct.sum(axis=1).tolist() == outcomes.cells["correct"].to_list()
    resampled = resampled_accuracies(outcomes, 4000, 0)
    share = outcomes.correct.mean(axis=1)
    assert np.allclose(resampled.std(axis=0), np.sqrt(share * (1 - share) / 1000), rtol=0.06)
    together = np.corrcoef(resampled.T) - np.eye(len(share))
    # By chance alone: 1 / sqrt(items) is 0.03.
    assert np.abs(together).max() < 0.13
    assert abs(together.mean()) < 0.02


@pytest.mark.slow
def test_a_table_gives_advice_a_page_and_costs(tmp_path):
    table = "untrained,0,0,1000,401\n"
    runs = read(tmp_path, ROWS + table)
    fits = fit_own_results("cells.csv", runs, SETTINGS, Titles({}), tmp_path / "made")
    (answer,) = ask(fits, Question("own", 100, queries=6400), 0.95)
    assert answer.said.alone[0].method == "new"
    assert all(cell.queries for cell in answer.said.design)
    page = (tmp_path / "made/report/index.html").read_text()
    assert BINOMIAL.split(":")[0] in page
    assert "models not named" in page
    assert "queries: table cells.csv</h1>" in page and "study cells.csv" not in page
    for link in re.findall(r'<a href="(\.\./[^"]+)"', page):
        assert (tmp_path / "made/report" / link).resolve().is_file(), link
    assert json.loads((tmp_path / "made/fits/decay.json").read_text())["fits"][0]["task"] == "own"


def test_dollars_and_tokens_of_a_table_are_costs(tmp_path):
    head = "method,seeds,budget,items,correct,usd,tokens\n"
    rows = "".join(
        f"{method},100,{budget},500,{200 + place},${budget * price},{budget * 300}\n"
        for method, price in (("a", 0.01), ("b", 0.02))
        for place, budget in enumerate((100, 400, 1600))
    )
    record, draws = fit_curves(outcomes_of(read(tmp_path, head + rows)), SETTINGS)
    (fit,) = curves_from(record, draws)
    cell = fit.cells(100, "b")[1]
    costs, unknown = cell_costs(CellUse.of({**vars(fit.group), **dict(cell)}), {})
    assert (costs["usd"], costs["tokens"], costs["teacher_queries"]) == (8.0, 120_000, 400)
    assert unknown == ["seconds of generation", "seconds of training"]
    (answer,) = ask([fit], Question("own", 100, usd=8.001), 0.95)
    assert {one.method: one.budget for one in answer.said.alone} == {"a": 800, "b": 400}


def test_replicates_and_their_lack_are_said(tmp_path):
    twice = "method,seeds,budget,items,correct,replicate\na,1,1,10,1,1\na,1,1,10,2,2\n"
    assert notes_on(read(tmp_path, twice)) == [BINOMIAL]
    assert notes_on(read(tmp_path, ROWS)) == [BINOMIAL, ONE_RUN]


def test_a_task_that_nobody_gets_right_names_the_likely_cause(tmp_path):
    zeros = (
        "task,method,seeds,budget,items,correct\none,a,1,1,10,0\none,b,1,1,10,0\ntwo,a,1,1,10,3\n"
    )
    (first, *others) = notes_on(read(tmp_path, zeros))
    assert first == NOTHING_RIGHT.format(task="one") and "scorer or the form" in first
    assert others == [BINOMIAL, ONE_RUN]


TASKS = "task,method,seeds,budget,items,correct\none,a,1,1,10,5\ntwo,a,1,1,20,5\n"


@pytest.mark.parametrize(
    ("content", "asked", "words"),
    [
        (ROWS, {"seeds": 100}, "queries: is missing"),
        (ROWS, {"queries": 10}, "seeds: is missing"),
        (TASKS, {"seeds": 1, "queries": 1}, "task: is missing: the table has one, two"),
        (TASKS, {"seeds": 1, "queries": 1, "task": "six"}, "task: six: the table has one, two"),
        (HEAD, {"seeds": 1, "queries": 1}, "the table of results cannot be used"),
    ],
)
def test_the_question_and_the_table_are_checked_before_any_job(tmp_path, content, asked, words):
    run = check_run_config({"study": "micro", "results": str(written(tmp_path, content)), **asked})
    folders = ConfigFolders.of(ROOT / "config")
    with pytest.raises(StudyError, match=words):
        check_question(run, load_study("micro", folders), folders)


def test_the_name_of_a_table_stands_for_no_other_folder(tmp_path):
    run = check_run_config({"study": "micro", "results": "../my {cells}/a b.csv"})
    assert run.own_results == "results/own_results/a_b"


@pytest.mark.slow
def test_the_table_of_the_docs_gives_the_advice_of_the_docs(tmp_path):
    text = (ROOT / "docs/advice.md").read_text()
    (table,) = re.findall(r"```csv\n(.*?)```", text, re.DOTALL)
    runs = read(tmp_path, table)
    fits = fit_own_results("trial.csv", runs, FitSettings(), Titles({}), tmp_path / "made")
    for queries, best in ((50, "answer_augmentation"), (3200, "new_question")):
        (answer,) = ask(fits, Question("own", 50, queries=queries), 0.95)
        assert answer.said.best.method == answer.said.alone[0].method == best
        assert answer.said.alone[0].probability_best > 0.9
