"""Budgets that come and go: each runs exactly its own cells, and the analysis.

The studies only look finished: planning reads the manifest, and not what is in the files. The
counts are made by hand.
"""

from __future__ import annotations

import subprocess
import sys

import pytest
import yaml

from project import ROOT, Clone, copy_project

ANALYSIS = dict.fromkeys(
    (
        *("collect_results", "compare_methods", "fit_decay", "find_crossovers", "check_findings"),
        *("plot_accuracy", "plot_cost_effectiveness", "plot_crossovers", "plot_best_method"),
        *("plot_costs", "plot_diversity", "plot_mixtures", "write_report"),
    ),
    1,
)
# 96 and 128 seeds; each with answers to the seeds, rephrased and new questions.
DEMO = "demo"
# The same in shards of 1,024, with a matched filter over new questions of 96 seeds at BR 16: it
# reaches 2,304 queries.
SHARDS = "small_shards"


def cells(trained: int, **streams: int) -> dict[str, int]:
    """Return the jobs of so many new cells with their own datasets, and the analysis."""
    own = dict.fromkeys(("build_dataset", "train_student", "evaluate_student"), trained)
    return {**streams, **own, **ANALYSIS} if trained else {**streams, **ANALYSIS}


def fabricate(clone: Clone, study: str, *targets: str) -> None:
    """Make a study look finished."""
    subprocess.run(
        [sys.executable, ROOT / "tests/fabricated.py", *targets, "--config", f"study={study}"],
        cwd=clone.folder,
        check=True,
        capture_output=True,
    )


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    """A copy of the project with two studies that look finished."""
    clone = copy_project(tmp_path_factory.mktemp("budgets"))
    demo = yaml.safe_load((clone.folder / "config/studies/demo.yaml").read_text())
    block = demo["blocks"][0]
    verified = {"methods": ["new_question"], "seeds": [96], "budget_ratios": [16]}
    demo["blocks"].append(block | verified | {"name": "verified", "filters": ["verified_matched"]})
    text = yaml.safe_dump(demo | {"shard_size": 1024})
    (clone.folder / f"config/studies/{SHARDS}.yaml").write_text(text)
    for study in (DEMO, SHARDS):
        fabricate(clone, study)
    return clone


def plan(clone: Clone, study: str, ratios: list[float]) -> dict[str, int]:
    """Return what would run with other budget ratios in a study's first block."""
    file = f"config/studies/{study}.yaml"
    content = yaml.safe_load((clone.folder / file).read_text())
    content["blocks"][0]["budget_ratios"] = ratios
    with clone.edited(file, whole=yaml.safe_dump(content)):
        return clone.plan(study=study)


@pytest.mark.parametrize(
    ("study", "ratios", "jobs"),
    [
        (DEMO, [1, 4, 16, 64], {}),
        # 7,680 queries of 96 seeds are in their first shard of 8,192; 10,240 of 128 begin the next.
        (DEMO, [1, 4, 16, 64, 80], cells(6, write_questions=4, answer_questions=6,
         check_answers=2)),
        # 8,160 and 10,880 by way of the bound itself: 85 1/3 times 96 is 8,192.
        (DEMO, [1, 4, 16, 64, 85], cells(6, write_questions=4, answer_questions=6,
         check_answers=2)),
        # Less than a dataset has, of the shards that are there.
        (DEMO, [1, 4, 8, 16, 64], cells(6)), (DEMO, [0.5, 1, 4, 16, 64], cells(6)),
        # The highest, the lowest, one between others.
        (DEMO, [1, 4, 16], cells(0)), (DEMO, [4, 16, 64], cells(0)), (DEMO, [1, 4, 64], cells(0)),
        # Exchanged: what 60 takes is there.
        (DEMO, [1, 4, 16, 60], cells(6)),
        # Shards of 1,024, 1,024, 2,048, 4,096, 8,192: 80 extends the fourth of 96 seeds to 7,680;
        # 128 seeds need a fifth.
        (SHARDS, [1, 4, 16, 64, 80], cells(6, write_questions=4, answer_questions=6,
         check_answers=2)),
        # At bounds: 10 2/3 and 21 1/3 are not whole; 8 times 128 is 1,024, and 16 times 2,048.
        (SHARDS, [1, 4, 8, 16, 64], cells(6)), (SHARDS, [1, 4, 16, 32, 64], cells(6)),
        # Without the highest, the matched filter alone goes beyond 2,048.
        (SHARDS, [1, 4, 16], cells(0)),
    ],
)  # fmt: skip
def test_a_budget_runs_its_own_cells_and_the_analysis(planned, study, ratios, jobs):
    found = plan(planned, study, ratios)
    if study == SHARDS and jobs:
        jobs = jobs | {"plot_verification": 1}
    assert found == jobs


def test_another_reach_of_a_filter_extends_what_it_reaches(planned):
    # 1,536 times 1.9 is 2,918 queries, in the third shard as are 2,304; asked already, for BR 64,
    # but not verified.
    edit = "blocks:\n", "verification: {reach: 1.9}\nblocks:\n"
    with planned.edited(f"config/studies/{SHARDS}.yaml", *edit):
        found = planned.plan(study=SHARDS)
    jobs = cells(1, sample_answers=1, verify_answers=1) | {"plot_verification": 1}
    assert found == jobs


def test_the_paper_pays_only_for_a_new_budget(planned):
    fabricate(planned, "paper", "figures")
    assert planned.plan("figures", study="paper") == {}
    old = "budgets: [25000, 50000, 100000]\n    augmenters"
    assert (planned.folder / "config/studies/paper.yaml").read_text().count(old) == 1
    # 100 seeds, three tasks, three methods, one draw: shards of 1,000, 1,000, 2,000 and so on reach
    # 128,000, of which 100,000 are there.
    edit = old, old.replace("100000", "100000, 120000")
    with planned.edited("config/studies/paper.yaml", *edit):
        found = planned.plan("figures", study="paper")
    assert {name: found.get(name) for name in ("write_questions", "answer_questions")} == {
        "write_questions": 3 * 2,
        "answer_questions": 3 * 3,
    }
    assert found["check_answers"] == 3
    for rule in ("build_dataset", "train_student", "evaluate_student"):
        assert found[rule] == 3 * 3
    assert not found.keys() & {"sample_answers", "verify_answers", "get_task", "draw_seeds"}
