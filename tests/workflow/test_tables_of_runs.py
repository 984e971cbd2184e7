"""Advice from a table of anyone's runs, as it is asked for."""

from __future__ import annotations

import json

TABLE = (
    "method,seeds,budget,items,correct\n"
    "answers,100,100,500,230\nanswers,100,400,500,260\nanswers,100,1600,500,270\n"
    "new,100,100,500,220\nnew,100,400,500,255\nnew,100,1600,500,300\n"
)


def test_a_table_of_runs_is_advised_on_without_any_result_of_a_study(fresh):
    (fresh.folder / "cells.csv").write_text(TABLE)
    done = fresh.snakemake("advise", results="cells.csv", seeds="100", queries="1600")
    assert done.returncode == 0, done.stdout
    assert (
        "own (table cells.csv)\n  With 100 seeds and 1,600 teacher queries (BR 16), " in done.stdout
    )
    assert "rows are taken as independent (binomial)" in " ".join(done.stdout.split())
    made = fresh.folder / "results/own_results/cells"
    assert json.loads((made / "advice/advice.json").read_text())["study"] == "cells.csv"
    assert "not paired by test item" in (made / "report/index.html").read_text()
    # Nothing was asked or trained, and no study has results by it: only the notes of the run.
    assert {path.name for path in (fresh.folder / "results/micro").iterdir()} == {"state"}
    assert not (fresh.folder / "resources").exists()


def test_what_is_wrong_with_a_table_is_said_before_any_job(fresh):
    (fresh.folder / "cells.csv").write_text(TABLE.replace("1600,500,300", "1600,500,501"))
    done = fresh.snakemake("advise", results="cells.csv", seeds="100", queries="1600")
    assert done.returncode != 0
    assert "cells.csv:7: column 'correct': 501 of 500 items: at most 500" in done.stdout
    assert "Execute" not in done.stdout
