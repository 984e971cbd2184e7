"""A queue other than SLURM, here a shell script: another executor gives the same results."""

from __future__ import annotations

import subprocess

from same import assert_same

from project import BIN, warm_environment

CELL = (
    "task=mini_math/method=answer_augmentation/augmenter=none/teacher=micro_teacher/seeds=8"
    "/replicate=1/filter=none/budget=64/student=micro_student"
)
# Each job has a folder with its exit status; the folder's name is the job's id.
SUBMIT = """#!/bin/sh
job=$(mktemp -d "$QUEUE/XXXXXX")
( sh "$1" > "$job/log" 2>&1; echo $? > "$job/end.part"; mv "$job/end.part" "$job/end" ) >&- 2>&- &
echo "$job"
"""
STATUS = """#!/bin/sh
[ -e "$1/end" ] || { echo running; exit; }
[ "$(cat "$1/end")" = 0 ] && echo success || echo failed
"""


def test_a_queue_of_another_kind_comes_to_the_same_results(copied, finished, tmp_path):
    clone = copied.without(f"adapters/{CELL}", f"evaluations/{CELL}")
    queue = tmp_path / "queue"
    queue.mkdir()
    for name, text in (("submit", SUBMIT), ("status", STATUS)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    done = subprocess.run(
        [
            *[BIN / "snakemake", "evaluations", "--executor", "cluster-generic", "--jobs", "2"],
            *["--cluster-generic-submit-cmd", str(tmp_path / "submit")],
            *["--cluster-generic-status-cmd", str(tmp_path / "status")],
            *["--seconds-between-status-checks", "1", "--config", "study=micro"],
        ],
        cwd=clone.folder,
        env=warm_environment() | {"QUEUE": str(queue)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    assert len(list(queue.iterdir())) == 2
    assert_same(clone, finished)
