"""The garbage collector leaves the objects of a plan alone."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import seedbed

SCRIPTS = Path(seedbed.__file__).resolve().parent.parent

KNOT = """
class Knot:
    def __init__(self):
        self.itself = self

    def __del__(self):
        print("freed")

knot = Knot()
"""


@pytest.mark.parametrize(
    ("before", "said"),
    [
        ("", "freed\n"),
        ("from seedbed.run.garbage import keep_objects; keep_objects()", ""),
    ],
)
def test_the_end_of_a_process_frees_no_knots_of_objects(before, said):
    done = subprocess.run(
        [sys.executable, "-c", before + KNOT],
        env=os.environ | {"PYTHONPATH": str(SCRIPTS)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == said
