"""What comes first: errors are shown, a mistyped target is named, Ctrl-C ends with a line."""

import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger

sys.path.insert(0, str(Path(workflow.current_basedir).parent / "scripts"))

from seedbed.config.documents import StudyError, read_document
from seedbed.config.folders import PROJECT, ConfigFolders
from seedbed.run.edge import (
    answer_folder,
    can_write,
    follow_submissions,
    guard,
    show_errors,
)
from seedbed.run.interrupts import Interrupt

show_errors(logger)
INTERRUPT = Interrupt()
if workflow.is_main_process:
    INTERRUPT.watch(logger)
    guard(workflow, lambda: FLOW.files())
# One's own files beside the results first, then the project's.
CONFIG = ConfigFolders.of_run()
try:
    # Snakemake reads it too, and does not say which file it cannot read, nor in which line.
    read_document(CONFIG.find("config.yaml"))
except StudyError as error:
    raise WorkflowError(str(error)) from None
