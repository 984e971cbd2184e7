"""The plan of the study `paper`: what would run, without a network, a GPU or data."""

from __future__ import annotations

STREAMS_100 = 8 + 5 + 5  # shards up to 100,000 queries for one draw of seeds, 10,000 for two
QUESTIONS = 3 * 2 * (STREAMS_100 + 8 + 8) + 3 * 2 * 2 * 5  # tasks, methods; augmenters
SYNTHETIC = (
    3 * 3 * (5 * 3 + 3)  # 100 seeds: tasks, methods, budgets with three draws and with one
    + 3 * 3 * 6  # 1,000 seeds
    + 3 * (4 + 4 + 6)  # all seeds
    + 3 * 2 * 2  # two other augmenters
    + 3 * 6  # another student
    + 3 * 3  # another teacher
    + 3 * 3 * 3 * 2  # filters: tasks, methods, budgets
    + 3 * (3 + 1)  # answers to the seeds, verified: 100 seeds, and 1,000 at the highest budget
    + 3 * 2  # another teacher, verified
)
# Four mixtures: with 100 seeds at 2 budgets of three draws, with 1,000 at one budget.
MIXED = 3 * 4 * (2 * 3 + 1)
# Of their parts, halves of the budgets are data sets of the study anyway, thirds are not.
PARTS = 3 * 3 * (2 * 3 + 1)
REAL = 3 * 3 + 2 * (2 + 2) + (2 + 1)  # 100 pairs; with more, two tasks and the one with few items
TRAINED = SYNTHETIC + MIXED + REAL

FIGURES = (
    *("accuracy", "cost_effectiveness", "crossovers", "best_method", "costs", "diversity"),
    *("mixtures", "shares", "augmenters", "verification", "students", "teachers"),
)


def test_the_jobs_of_the_paper_are_as_many_as_by_hand(finished):
    jobs = finished.plan("figures", study="paper")
    assert jobs == {
        "get_model": 4,
        "get_task": 3,
        "draw_seeds": 3 * 3 + 3 + 3 + 2 + 2 + 1,
        "write_questions": QUESTIONS,
        "answer_questions": QUESTIONS + 3 * (STREAMS_100 + 8 + 8) + 3 * 8,
        # New questions: of tasks, of other augmenters, of another teacher.
        "check_answers": 3 * (STREAMS_100 + 8 + 8) + 3 * 2 * 5 + 8,
        # Up to 15,000 queries of each method, of answers to the seeds all; 10,000 of one teacher.
        "verify_answers": 3 * (8 + 5 + 5) + 3 * 8 + 3 * 5,
        "sample_answers": 3 * 5 + 5,
        "build_dataset": TRAINED + PARTS - 3 * 6,  # the other student has the same data
        "train_student": TRAINED,
        "evaluate_student": TRAINED + 3 + 1,  # and untrained: on three tasks, and on one
        "collect_results": 1,
        "compare_methods": 1,
        "fit_decay": 1,
        "find_crossovers": 1,
        **{f"plot_{name}": 1 for name in FIGURES},
        "figures": 1,
    }


def test_nothing_runs_without_the_databases(finished):
    done = finished.snakemake("all", study="paper")
    assert done.returncode != 0
    assert "task 'spider' needs databases, which the hub does not have" in done.stdout
    assert not list(finished.folder.glob("resources/models/model=llama*"))
