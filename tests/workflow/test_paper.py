"""The plan of the study `paper`: what would run, without a network, a GPU or data."""

from __future__ import annotations

STREAMS_100 = 8 + 5 + 5  # shards up to 100,000 queries for one draw of seeds, 10,000 for two
QUESTIONS = 3 * 2 * (STREAMS_100 + 8 + 8) + 3 * 2 * 2 * 5  # tasks, methods; augmenters
TRAINED = (
    3 * 3 * (5 * 3 + 3)  # 100 seeds: tasks, methods, budgets with three draws and with one
    + 3 * 3 * 6  # 1,000 seeds
    + 3 * (4 + 4 + 6)  # all seeds
    + 3 * 2 * 2  # two other augmenters
    + 3 * 6  # another student
    + 3 * 3  # another teacher
)

FIGURES = (
    *("accuracy", "cost_effectiveness", "best_method", "costs", "diversity"),
    *("augmenters", "students", "teachers"),
)


def test_the_jobs_of_the_paper_are_as_many_as_by_hand(finished):
    jobs = finished.plan("figures", study="paper")
    assert jobs == {
        "get_model": 4,
        "get_task": 3,
        "draw_seeds": 3 * 3 + 3 + 3,
        "write_questions": QUESTIONS,
        "answer_questions": QUESTIONS + 3 * (STREAMS_100 + 8 + 8) + 3 * 8,
        "build_dataset": TRAINED - 3 * 6,  # the other student has the same data
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
