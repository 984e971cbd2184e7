"""Comes first: imports the project's modules, and sets up errors and the handling of Ctrl-C.

In: nothing. Out: `CONFIG`, the folders of the configuration; `INTERRUPT`; `answer_folder`.
"""

import os
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger

# Not `workflow.basedir`, which belongs to a workflow that uses this one as a module.
PROJECT = Path(workflow.current_basedir).resolve().parent
if PROJECT != Path.cwd():
    # Neither this process nor its jobs write bytecode into a clone that is used from elsewhere.
    sys.dont_write_bytecode = True
    os.environ.update(PYTHONDONTWRITEBYTECODE="1")
if not (PROJECT / "scripts").is_dir():
    raise WorkflowError("clone this workflow: its rules call scripts by their path")
sys.path.insert(0, str(PROJECT / "scripts"))

from seedbed.run.garbage import keep_objects

keep_objects()  # Before the library's other modules create many objects.
from seedbed.run.hooks import begin
from seedbed.run.writing import answer_folder

CONFIG, INTERRUPT = begin(workflow, logger)
