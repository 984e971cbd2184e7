"""What is done before the configuration is read."""

from __future__ import annotations

import gc
import logging

from snakemake.exceptions import WorkflowError

from seedbed.config.documents import StudyError, read_document
from seedbed.config.folders import ConfigFolders
from seedbed.run.snakemake_internals import Workflow, filter_errors
from seedbed.run.terminal import Interrupt, is_error


def begin(workflow: Workflow, logger: logging.Logger) -> tuple[ConfigFolders, Interrupt]:
    """Show errors, end on Ctrl-C with a line, and look where the configuration lies.

    Args:
        workflow: that is being read.
        logger: Snakemake's.

    Returns:
        Where the configuration lies; and whether Ctrl-C was pressed.

    Raises:
        WorkflowError: if `config.yaml` cannot be read. Snakemake reads it too, and does not say
            which file it cannot read, nor in which line.
    """
    # A plan makes millions of objects, which stay: not to be looked through again and again.
    gc.set_threshold(200_000, 50, 1_000)
    filter_errors(logger, is_error)
    interrupt = Interrupt()
    if workflow.is_main_process:
        interrupt.watch(logger)
    folders = ConfigFolders.of_run()
    try:
        read_document(folders.find("config.yaml"))
    except StudyError as error:
        raise WorkflowError(str(error)) from None
    return folders, interrupt
