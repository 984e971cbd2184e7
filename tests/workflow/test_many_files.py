"""How many files a study makes is as the documentation says."""

from __future__ import annotations

from pathlib import Path

from project import ROOT
from seedbed.study.cells import grid
from seedbed.study.loading import load_study
from seedbed.study.targets import Targets
from study_files import files, table

STAGES = (
    *("seeds", "questions", "answers", "samples", "checks", "labels"),
    *("datasets", "adapters", "evaluations"),
)
RULES = (
    *("draw_seeds", "write_questions", "answer_questions", "sample_answers", "check_answers"),
    *("verify_answers", "build_dataset", "train_student", "evaluate_student"),
)


def workflow(name: str) -> Targets:
    study = load_study(name, ROOT / "config")
    return Targets(study, grid(study))


def count(results: Path, *folders: str) -> int:
    return sum(path.is_file() for folder in folders for path in (results / folder).rglob("*"))


def test_a_study_makes_as_many_files_as_are_counted(finished):
    results = finished.folder / "results/micro"
    flow = workflow("micro")
    caches = [f"state/{stage}" for stage in STAGES]
    of_jobs = [f"{kind}/{rule}" for rule in RULES for kind in ("logs", "benchmarks")]
    there = count(results, *STAGES, *caches, *of_jobs)
    # Not all attempts at questions are needed.
    assert 0.9 * files(flow)[0] <= there <= files(flow)[0]


def test_the_table_of_files_is_that_of_the_count():
    expected = table(map(workflow, ("demo", "miniature", "paper")))
    assert expected in (ROOT / "docs/scale.md").read_text(), expected
