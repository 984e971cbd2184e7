"""Snakemake, but that its SLURM executor looks at its jobs every second, so that tests end sooner.

It waits 10 seconds longer after each look that finds nothing new, up to 180, as befits a cluster.
"""

import sys

from snakemake.cli import main
from snakemake_executor_plugin_slurm import Executor

Executor.next_seconds_between_status_checks = property(lambda self: 1, lambda self, seconds: None)
sys.exit(main(sys.argv[1:]))
