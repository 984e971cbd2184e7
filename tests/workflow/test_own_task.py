"""A task of one's own, as docs/tasks.md says: one YAML, 20 rows, and one function if need be."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

SECTION = (Path(__file__).resolve().parents[2] / "docs/tasks.md").read_text()
STUDY, TASK = "mine", "my_capitals"
SPLITS = ("train", "test")


def block(language: str) -> str:
    """Return the page's first block of code in a language."""
    return re.findall(rf"```{language}\n(.*?)```", SECTION, re.DOTALL)[0]


@pytest.fixture(scope="module")
def own(finished, fresh):
    """A fresh copy of the project with a task of one's own, and models that are trained already."""
    config = fresh.folder / "config"
    folder = config / "tasks" / TASK
    folder.mkdir()
    (folder / "task.yaml").write_text(block("yaml"))
    for split in SPLITS:
        shutil.copy(config / "tasks/capitals" / f"{split}.jsonl", folder)
    study = (config / "studies/capitals.yaml").read_text()
    named = re.search(r"`(tasks: \[capitals\])`", SECTION)[1]
    assert named in study
    (config / f"studies/{STUDY}.yaml").write_text(study.replace(named, f"tasks: [{TASK}]"))
    world = re.search(r"`(worlds: \{capitals: mini_math.*?\})`", SECTION)[1]
    for name in ("micro_teacher", "micro_student"):
        model = config / f"models/{name}.yaml"
        assert world in model.read_text()
        model.write_text(model.read_text().replace("{capitals:", f"{{{TASK}:"))
    models = "resources/models"
    shutil.copytree(finished.folder / models, fresh.folder / models)
    return fresh


def evaluate(clone, target: str) -> list[dict]:
    """Run the study up to some scores, and return all that are there."""
    done = clone.snakemake(target, study=STUDY)
    assert done.returncode == 0, done.stdout
    files = (clone.folder / f"results/{STUDY}/evaluations").glob("**/evaluation.json")
    return [json.loads(path.read_text()) for path in files]


def test_the_readme_shows_the_example_that_is_there():
    folder = Path(__file__).resolve().parents[2] / "config/tasks/capitals"
    assert block("yaml") == (folder / "task.yaml").read_text()
    assert (folder / "train.jsonl").read_text().startswith(block("json"))
    rows = [line for split in SPLITS for line in (folder / f"{split}.jsonl").open()]
    assert len(rows) == len(set(rows)) == 20


def test_a_task_needs_no_python_where_its_answer_is_a_string(own):
    assert "pretrain_model" not in own.plan("evaluations", study=STUDY)
    scores = evaluate(own, "evaluations")
    assert len(scores) == 3
    for score in scores:
        assert score["cell"]["task"] == TASK
        assert (score["items"], score["references_right"]) == (8, 8)
        assert 0 <= score["correct"] <= 8
    # The micro models end few of their answers, so that there may be few rows to train on.
    files = f"{own.folder}/results/{STUDY}/answers/**/answers.parquet"
    rows = pl.read_parquet(files, hive_partitioning=True)
    asked = set(rows.filter(pl.col("method") == "answer_augmentation")["question"])
    train = pl.read_ndjson(own.folder / f"config/tasks/{TASK}/train.jsonl")
    assert len(asked) == 8
    assert asked <= set(train["question"])
    assert own.plan("evaluations", study=STUDY) == {}


def test_a_changed_row_makes_the_task_again(own):
    edit = "What is the capital of Spain?", "Which city is the capital of Spain?"
    with own.edited(f"config/tasks/{TASK}/test.jsonl", *edit):
        assert own.plan("evaluations", study=STUDY)["get_task"] == 1
    assert own.plan("evaluations", study=STUDY) == {}


def test_any_other_answer_needs_one_function(own):
    folder = Path("config/tasks", TASK)
    scorer = re.search(r"`(scorer: (\w+):\w+)`", SECTION)
    own.edit(folder / "task.yaml", "score: strict\n", f"score: strict\n{scorer[1]}\n")
    done = own.snakemake("--dry-run", study=STUDY)
    assert done.returncode != 0
    assert re.search(rf"task\.yaml:\d+: scorer: there is no file .*/{scorer[2]}\.py", done.stdout)
    module = own.folder / folder / f"{scorer[2]}.py"
    module.write_text(block("python"))
    assert own.plan("evaluations", study=STUDY) == {"evaluate_student": 3, "evaluations": 1}
    # One cell will do: the base model.
    (file,) = own.folder.glob(f"results/{STUDY}/**/method=untrained/**/evaluation.json")
    target = str(file.relative_to(own.folder))
    evaluate(own, target)
    score = json.loads(file.read_text())
    assert score["settings"]["scorer"] == scorer[1].removeprefix("scorer: ")
    assert (score["items"], score["references_right"]) == (8, 8)
    assert own.plan(target, study=STUDY) == {}
    module.write_text("# A remark.\n" + module.read_text().replace("in any order", "however"))
    assert own.plan(target, study=STUDY) == {}
    own.edit(module, "==", ">=")
    assert own.plan(target, study=STUDY) == {"evaluate_student": 1}


def test_readmes_csv_becomes_scores(own):
    readme = (Path(__file__).resolve().parents[2] / "README.md").read_text()
    folder = own.folder / "config/tasks/support"
    (rows,) = re.findall(r"```csv\n(.*?)```", readme, re.DOTALL)
    assert (folder / "questions.csv").read_text().startswith(rows)
    assert len(pl.read_csv(folder / "questions.csv")) == 40
    text = (folder / "task.yaml").read_text()
    assert text.partition("\n")[2] in re.findall(r"```yaml\n(.*?)```", readme, re.DOTALL)
    assert "make task TASK=support\n" in readme
    command = [sys.executable, "scripts/check_task.py", "--task", "support"]
    done = subprocess.run(command, cwd=own.folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "All 40 reference answers are right" in done.stdout
    assert "snakemake evaluations --config study=support\n" in readme
    target = "evaluations"
    done = own.snakemake(target, study="support")
    assert done.returncode == 0, done.stdout
    files = list((own.folder / "results/support/evaluations").glob("**/evaluation.json"))
    scores = [json.loads(path.read_text()) for path in files]
    assert len(scores) == 3
    test = pl.read_parquet(own.folder / "resources/tasks/task=support/test.parquet").height
    assert {(score["items"], score["references_right"]) for score in scores} == {(test, test)}
    assert own.plan(target, study="support") == {}
    # A new row of the train split changes no score; and no row has moved.
    items = own.folder / "resources/tasks/task=support"
    before = {part: set(pl.read_parquet(items / f"{part}.parquet")["item_id"]) for part in SPLITS}
    with (folder / "questions.csv").open("a") as file:
        file.write("Do you have a shop in Leeds?,shipping\n")
    assert own.plan(target, study="support")["get_task"] == 1
    done = own.snakemake("resources/tasks/task=support/test.parquet", study="support")
    assert done.returncode == 0, done.stdout
    after = {part: set(pl.read_parquet(items / f"{part}.parquet")["item_id"]) for part in SPLITS}
    assert all(before[part] <= after[part] for part in SPLITS)
    assert sum(map(len, after.values())) == 41
