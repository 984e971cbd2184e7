"""Runs Snakemake repeatedly, without starting Python and importing Snakemake each time.

Reads lines of JSON, each a list of the folder, the arguments of `snakemake` and the environment,
and answers each with the exit status; the output goes to a file. Each run is a fork that has
already imported Snakemake and other slow libraries, but nothing of the project.
"""

import gc
import json
import os
import sys
from pathlib import Path

# Before the libraries: `atexit` runs the functions that were registered first last.
from quick_exits import quick_exit

# isort: split
import pyarrow.parquet  # noqa: F401
import pydantic.dataclasses  # noqa: F401
import ruamel.yaml  # noqa: F401
import snakemake.report  # noqa: F401
from snakemake.cli import main

BIN = Path(sys.executable).parent


def run(folder: str, words: list[str], environment: dict[str, str], output: str) -> int:
    """Run Snakemake in a fork, with its output in a file, and return its exit status.

    Raises:
        SystemExit: in the fork.
    """
    process = os.fork()
    if process:
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = [str(BIN / "snakemake"), *words]
    sys.path[0] = str(BIN)
    with quick_exit():
        main(words)
        sys.exit()


if __name__ == "__main__":
    output = sys.argv[1]
    # Garbage collection in a fork would copy the shared memory.
    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        print(json.dumps(run(*json.loads(line), output)), flush=True)
