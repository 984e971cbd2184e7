"""Plans workflows one after the other, without starting Python and Snakemake anew for each.

Reads lines of JSON, a list of the folder and of the words after `snakemake`, and answers each with
the exit status and all that was said. A plan is made in a fork, which has imported Snakemake and
nothing of the project.
"""

import json
import os
import sys

from snakemake.cli import main


def plan(folder: str, words: list[str], output: str) -> int:
    """Run Snakemake in a fork, with what it says in a file, and return its exit status."""
    process = os.fork()
    if process:
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.chdir(folder)
    sys.argv = ["snakemake", *words]
    status = 1
    try:
        main(words)
    except SystemExit as end:
        status = int(end.code or 0)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    output = sys.argv[1]
    for line in sys.stdin:
        print(json.dumps(plan(*json.loads(line), output)), flush=True)
