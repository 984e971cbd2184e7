"""Snakemake whose SLURM executor checks its jobs every second, so that tests are faster.

By default, the executor waits 10 seconds longer after each check without news, up to 180 seconds.
"""

import sys

from snakemake.cli import main
from snakemake_executor_plugin_slurm import Executor

Executor.next_seconds_between_status_checks = property(lambda self: 1, lambda self, seconds: None)
sys.exit(main(sys.argv[1:]))
