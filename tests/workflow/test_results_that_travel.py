"""Results that travel, are corrupt, or were made by an earlier version; and skipped jobs."""

from __future__ import annotations

import json
import os
import re
import shutil
import zipfile
from pathlib import Path

import polars as pl
import pytest
import yaml

from project import Clone, copy_project
from seedbed.run.manifest import Manifest

MICRO = "config/studies/micro.yaml"
ROOTS = ("results/micro", "resources")
STUDENTS = {"train_student": 12, "evaluate_student": 12}


def copied_files(source: Path, target: Path) -> None:
    # As `cp -r`: every file is as old as its copy.
    shutil.copytree(source, target, copy_function=shutil.copyfile)


def zipped(source: Path, target: Path) -> None:
    # Dates of two seconds' precision, in the zone of whoever packed it.
    with zipfile.ZipFile(f"{target}.zip", "w") as archive:
        for path in source.rglob("*"):
            archive.write(path, path.relative_to(source))
    with zipfile.ZipFile(f"{target}.zip") as archive:
        archive.extractall(target)


def ahead(source: Path, target: Path) -> None:
    # By clocks that go in no order, most of them in the future.
    shutil.copytree(source, target)
    for n, path in enumerate(sorted(target.rglob("*"))):
        os.utime(path, (2e9 + n * 37 % 1001, 2e9 + n * 37 % 1001))


@pytest.mark.parametrize("travel", [copied_files, zipped, ahead])
def test_results_travel_and_later_edits_are_seen(finished, tmp_path, travel):
    clone = copy_project(tmp_path / "clone")
    for part in ("results", "resources"):
        travel(finished.folder / part, clone.folder / part)
    before = (clone.folder / "results/micro/manifest.jsonl").read_bytes()
    assert clone.plan() == {}
    # A plan changes nothing; a run that has nothing to do need not hash all files again.
    assert (clone.folder / "results/micro/manifest.jsonl").read_bytes() == before
    done = clone.snakemake()
    assert done.returncode == 0 and "Nothing to be done" in done.stdout
    assert (clone.folder / "results/micro/manifest.jsonl").read_bytes() != before
    clone.edit(MICRO, "learning_rate: 2.0e-3", "learning_rate: 1.0e-3")
    assert clone.plan().items() >= STUDENTS.items()


def test_studies_share_tasks_and_models(copied):
    text = (copied.folder / MICRO).read_text()
    (copied.folder / "config/studies/other.yaml").write_text(text)
    jobs = copied.plan(study="other")
    assert jobs["draw_seeds"] == 2
    assert not jobs.keys() & {"get_task", "pretrain_model"}


def test_where_data_lies_changes_nothing(fresh, tmp_path):
    """Data of a folder, by its name, by another, by a link, moved, and of the hub."""
    study = yaml.safe_load((fresh.folder / "config/studies/paper.yaml").read_text())
    del study["student_training"], study["published"], study["mixtures"]
    few = {"tasks": ["gsm8k"], "seeds": [3], "budgets": [3], "replicates": 1}
    study["blocks"] = [study["blocks"][0] | few]
    (fresh.folder / "config/studies/few.yaml").write_text(yaml.safe_dump(study))
    task = "config/tasks/gsm8k/task.yaml"
    fresh.edit(task, "train_items: 7473", "train_items: 3")
    fresh.edit(task, "test_items: 1319", "test_items: 2")
    data = tmp_path / "data"
    (folder := data / "openai/gsm8k/main").mkdir(parents=True)
    for split, count in (("train", 3), ("test", 2)):
        rows = [{"question": f"{split} {n}?", "answer": f"So.\n#### {n}"} for n in range(count)]
        pl.DataFrame(rows).write_parquet(folder / f"{split}.parquet")
    target = "resources/tasks/task=gsm8k/task.json"
    done = fresh.snakemake(target, study="few", data_dir=str(data))
    assert done.returncode == 0, done.stdout

    def nothing_to_do(data_dir=None):
        where = {} if data_dir is None else {"data_dir": str(data_dir)}
        done = fresh.snakemake("--dry-run", target, study="few", **where)
        assert done.returncode == 0, done.stdout
        return "Nothing to be done" in done.stdout

    assert nothing_to_do(os.path.relpath(data, fresh.folder))
    moved = data.rename(tmp_path / "moved")
    (tmp_path / "link").symlink_to(moved)
    assert nothing_to_do(tmp_path / "link")
    assert nothing_to_do()
    fresh.edit(task, "license: MIT", "license: CC0")
    assert nothing_to_do(moved)
    pl.DataFrame(rows[:1] * 2).write_parquet(moved / "openai/gsm8k/main/test.parquet")
    assert not nothing_to_do(moved)


def test_a_job_is_skipped_if_what_it_reads_comes_out_as_it_was(copied):
    # The same by other words.
    copied.edit("scripts/draw_seeds.py", "if seeds > train.height", "if train.height < seeds")
    making = "scripts/seedbed/tasks/making.py"
    copied.edit(making, "load_world(source.world)", "load_world(str(source.world))")
    # What is gone need not be made for jobs that are skipped.
    adapters = copied.results("adapters/**/training.json")
    for file in adapters[:2]:
        shutil.rmtree(file.parent)
    assert copied.plan()["train_student"] == 12
    done = copied.snakemake()
    assert done.returncode == 0, done.stdout
    ran = re.findall(r"^Job \d+: (\w+)", done.stdout, re.MULTILINE)
    assert sorted(ran) == ["all", "draw_seeds", "draw_seeds", "get_task"]
    assert not adapters[0].exists()
    last = re.findall(r"^(Cells .*)$", done.stdout, re.MULTILINE)[-1]
    assert "Cells 13 of 13" in last and "adapters 12 of 12" in last and "left" not in last
    assert copied.plan() == {}
    assert json.loads((copied.folder / "results/micro/state/run.json").read_text())["well"]


@pytest.mark.parametrize("gone", [[], ["models/model=micro_student"]])
def test_a_job_waits_for_files_that_others_may_want_back(copied, gone):
    """The task's files are gone. The evaluation wants them if it runs; the seeds come of them."""
    copied.edit(MICRO, "learning_rate: 2.0e-3", "learning_rate: 1.0e-3")
    for folder in ("tasks", *gone):
        shutil.rmtree(copied.folder / "resources" / folder)
    evaluation = copied.results("evaluations/**/method=seed_only/**/evaluation.json")[0]
    done = copied.snakemake(str(evaluation.relative_to(copied.folder)))
    assert done.returncode == 0, done.stdout
    ran = re.findall(r"^Job \d+: (\w+)", done.stdout, re.MULTILINE)
    made = ["evaluate_student", "get_task", *["pretrain_model"] * len(gone), "train_student"]
    assert sorted(ran) == made


def flip(path: Path) -> None:
    """Change one bit in the middle of a file, and not its size or date."""
    status, content = path.stat(), bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_a_flipped_byte_is_named_by_the_job_that_reads_it(copied):
    def file(pattern):
        found = copied.results(f"{pattern.replace('CELL', 'task=*/method=question_rephrase/**')}")
        return found[0]

    tables = copied.folder / "results/micro/tables"
    predictions = file("evaluations/CELL/predictions.parquet")
    kept = predictions.read_bytes()
    flip(predictions)
    (tables / "cells.csv").unlink()
    done = copied.snakemake("results/micro/tables/cells.csv")
    assert (
        done.returncode != 0
        and f"{predictions.relative_to(copied.folder)} is broken" in done.stdout
    )
    predictions.write_bytes(kept)

    adapter = file("adapters/CELL/adapter_model.safetensors")
    cell = adapter.parent.relative_to(copied.folder / "results/micro/adapters")
    flip(adapter)
    score = f"results/micro/evaluations/{cell}/evaluation.json"
    (copied.folder / score).unlink()
    done = copied.snakemake(score)
    said = f"{adapter.relative_to(copied.folder)} is broken"
    assert done.returncode != 0 and said in done.stdout and "delete it" in done.stdout

    dataset = copied.folder / "results/micro/datasets" / cell.parent / "dataset.parquet"
    flip(dataset)
    shutil.rmtree(adapter.parent)
    done = copied.snakemake(score)
    assert done.returncode != 0 and f"{dataset.relative_to(copied.folder)} is broken" in done.stdout
    assert not adapter.exists()
    # As the message says.
    dataset.unlink()
    done = copied.snakemake(score)
    assert done.returncode == 0, done.stdout
    assert not copied.plan().keys() & {"build_dataset", "train_student", "evaluate_student"}


def without_notes(clone: Clone) -> None:
    for root in ROOTS:
        (clone.folder / root / "manifest.jsonl").unlink()
    shutil.rmtree(clone.folder / ".snakemake")


def test_results_without_a_manifest_are_kept_and_can_be_adopted(copied):
    without_notes(copied)
    said = copied.snakemake("--dry-run").stdout
    assert "Nothing to be done" in said
    assert "results of 84 jobs have no record" in said and "make adopt" in said
    copied.edit(MICRO, "lora_alpha: 8", "lora_alpha: 9")
    copied.edit(MICRO, "test_items: 64", "test_items: 63")
    dataset = copied.results("datasets/**/dataset.json")[0]
    record = json.loads(dataset.read_text())
    record["counts"]["rows"] += 1
    dataset.write_text(json.dumps(record))
    said = copied.asked("adopt", "all")
    assert "- train_student, 12 jobs: lora_alpha was 8.0 and is 9.0" in said
    assert "- evaluate_student, 13 jobs: test_items was 64 and is 63" in said
    assert re.search(r"- build_dataset, 1 job: dataset.parquet has \d+ rows, but its record", said)
    # Asked, and not done.
    assert not (copied.folder / "results/micro/manifest.jsonl").exists()
    said = copied.asked("adopt_confirmed", "all")
    assert re.search(r"Not adopted: 26 jobs\.", said)
    assert copied.plan() == {}
    # Of what was adopted, edits are seen.
    copied.edit(MICRO, "temperature: 0.7", "temperature: 0.8")
    assert copied.plan()["answer_questions"] == 11


def test_results_of_an_earlier_version_are_adopted_for_the_same_settings(copied):
    # All code differs, parameters have other names, and a file was moved.
    for script in (copied.folder / "scripts").glob("*.py"):
        script.write_text(script.read_text().replace("def main(", "def main(_=0, "))
    old, new = (f'"{name}": lambda wc: flow.training(' for name in ("settings", "manner"))
    copied.edit("scripts/seedbed/run/parameters.py", old, new)
    copied.edit(MICRO, "bootstrap_samples: 20", "bootstrap_samples: 21")
    assert copied.plan()["train_student"] == 12
    said = copied.asked("adopt", "all")
    assert "- train_student, 12 jobs: the code of scripts/train_student.py changed" in said
    assert "manner is written otherwise, and means the same" in said
    assert re.search(r"- fit_decay, 1 job: .*bootstrap_samples was 20 and is 21", said)
    assert copied.plan()["train_student"] == 12
    copied.asked("adopt_confirmed", "all")
    jobs = copied.plan()
    assert jobs["fit_decay"] == 1
    assert not jobs.keys() & {"train_student", "evaluate_student", "collect_results"}
    assert "There is nothing to adopt" in copied.asked("adopt", "all")


def test_what_ended_after_its_run_was_killed_is_noted(copied):
    """A job on a cluster ends when nobody is there to note it."""
    path = str(copied.results("evaluations/**/evaluation.json")[0].relative_to(copied.folder))
    file = copied.folder / "results/micro/manifest.jsonl"
    folder = Path.cwd()
    os.chdir(copied.folder)
    try:
        record = Manifest(ROOTS).record(path)
        shared = {digest: Manifest(ROOTS).shared(digest) for digest in record.shared_digests()}
    finally:
        os.chdir(folder)
    lines = file.read_text().splitlines(keepends=True)
    # Compacted or not, each job has a line.
    file.write_text("".join(line for line in lines if f'{{"outputs": {{"{path}"' not in line))
    begun = copied.folder / "results/micro/state/begun.jsonl"
    begun.write_text(json.dumps({"shared": shared}) + "\n" + record.to_json() + "\n")
    copied.edit(MICRO, "test_items: 64", "test_items: 63")
    # A plan notes nothing, so the job counts as finished as it is.
    assert copied.plan()["evaluate_student"] == 12
    copied.edit(MICRO, "test_items: 63", "test_items: 64")
    done = copied.snakemake()
    assert "1 jobs of a run that was killed had ended well" in done.stdout
    assert "Nothing to be done" in done.stdout
    copied.edit(MICRO, "test_items: 64", "test_items: 63")
    assert copied.plan()["evaluate_student"] == 13


def test_causes_are_what_differs_engines_scorers_and_worlds_among_them(copied):
    def replace(module, old, new):
        copied.edit(f"scripts/seedbed/{module}", old, new)

    for path in (copied.folder / "scripts").rglob("*.py"):
        os.utime(path)
    assert "Nothing would run" in copied.asked("explain", "all")
    replace("engines/transformers_engine.py", "def _end_tokens(self", "def _end_tokens(self, _=0")
    replace("evaluation/scorers/number.py", "MAX_DIGITS = 40", "MAX_DIGITS = 41")
    replace("tasks/worlds/mini_math.py", "LARGEST_NUMBER = 50", "LARGEST_NUMBER = 51")
    said = copied.asked("explain", "all")
    for cause in (
        "answer_questions, 11 jobs: the code of transformers_engine, which ran its model, changed"
        " (seedbed/engines/transformers_engine.py: TransformersEngine)",
        "evaluate_student, 13 jobs: the code of scripts/evaluate_student.py changed"
        " (seedbed/evaluation/scorers/number.py, seedbed/evaluation/scorers/number.py: MAX_DIGITS)",
        "get_task, 1 job: the code of scripts/get_task.py changed"
        " (seedbed/tasks/worlds/mini_math.py, seedbed/tasks/worlds/mini_math.py: LARGEST_NUMBER)",
    ):
        assert f"- {cause}" in said, said
