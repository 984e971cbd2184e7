"""What comes first: the project's modules, and how errors and Ctrl-C are shown.

In: nothing. Out: `CONFIG`, folders of the configuration, `INTERRUPT`, `answer_folder`.
"""

import os
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger

# Not `workflow.basedir`, which is that of a workflow that uses this one.
PROJECT = Path(workflow.current_basedir).resolve().parent
if PROJECT != Path.cwd():
    # A clone that is used from elsewhere stays as it is; here and in the processes of jobs.
    sys.dont_write_bytecode = True
    os.environ.update(PYTHONDONTWRITEBYTECODE="1")
if not (PROJECT / "scripts").is_dir():
    raise WorkflowError("clone this workflow: its rules call scripts by their path")
sys.path.insert(0, str(PROJECT / "scripts"))

from seedbed.run.garbage import keep_objects

keep_objects()  # Now, as the library's other modules make many.
from seedbed.run.hooks import begin
from seedbed.run.writing import answer_folder

CONFIG, INTERRUPT = begin(workflow, logger)
