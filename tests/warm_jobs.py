"""Runs scripts of jobs in forks of a process that has imported the large libraries already.

Most of what a job of a small study does is to import PyTorch and Transformers. This process serves
a socket. `BASH` makes the shells of jobs ask it, instead of starting Python, for each script of
the project; what the script is given, says and ends with is the same. It does not
import the project, because each clone has its own copy, or Polars, because that starts a thread.

A job ends with whoever asked for it. Where a test sets what Python reads as it starts, or kills
jobs, it runs Snakemake by other ways than `warm` of `project.py`.
"""

import contextlib
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import sys
from pathlib import Path

LIBRARIES = (
    *("pyarrow.parquet", "pydantic.dataclasses", "ruamel.yaml", "filelock", "httpx"),
    *("torch", "peft", "trl", "accelerate", "datasets", "altair", "vl_convert"),
    *("scipy.stats", "scipy.optimize", "scipy.linalg", "scipy.sparse"),
)
NAMES = {
    "transformers": (
        *("AutoModelForCausalLM", "AutoTokenizer", "GenerationConfig", "LlamaForCausalLM"),
        *("PreTrainedTokenizerFast", "Trainer", "TrainerCallback", "LogitsProcessorList"),
    ),
    "trl": ("SFTConfig", "SFTTrainer"),
}
"""What modules import only when they are asked for it."""

BASH = """
python() {
    if [[ ${1-} == */scripts/*.py ]]; then
        command python -I -S %(asks)s %(socket)s "$@"
    else
        command python "$@"
    fi
}
"""
"""What a shell reads first, by `BASH_ENV`."""

# In a process of its own for each job: it starts in a hundredth of a second.
ASKS = """
import json, os, signal, socket, sys
with socket.socket(socket.AF_UNIX) as asked:
    asked.connect(sys.argv[1])
    socket.send_fds(asked, [b"-"], [0, 1, 2])
    asked.sendall(json.dumps([os.getcwd(), sys.argv[2:], dict(os.environ)]).encode())
    asked.shutdown(socket.SHUT_WR)
    status = json.loads(asked.recv(100) or "-9")
if status < 0:
    signal.signal(-status, signal.SIG_DFL) if -status != signal.SIGKILL else None
    os.kill(os.getpid(), -status)
sys.exit(status)
"""

SECONDS_TO_END = 5.0
"""For a job, after SIGTERM, whose shell has ended."""


def preload() -> None:
    """Import all that takes long."""
    gc.disable()
    for name in LIBRARIES:
        importlib.import_module(name)
    for module, names in NAMES.items():
        for name in names:
            getattr(importlib.import_module(module), name)
    # A collection in a fork would copy the memory of all that is there already.
    gc.collect()
    gc.freeze()
    gc.enable()


def serve(address: str) -> None:
    """Run a job in a fork for each that connects.

    Raises:
        SystemExit: in a fork.
    """
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(address)
        server.listen(64)
        print("ready", flush=True)
        # Forks are forgotten as they end. This one ends with whoever started it.
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        while True:
            if sys.stdin in select.select([server, sys.stdin], [], [])[0]:
                return
            asked, _ = server.accept()
            with asked:
                if not os.fork():
                    server.close()
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    _attend(asked)


def _attend(asked: socket.socket) -> None:
    """Start the job that a connection asks for, tell its exit status, and end it if nobody asks.

    Raises:
        SystemExit: in the job.
    """
    _, descriptors, _, _ = socket.recv_fds(asked, 1, 3)
    said = b"".join(iter(lambda: asked.recv(1 << 20), b""))
    job = os.fork()
    if not job:
        asked.close()
        _run(descriptors, *json.loads(said))
    with contextlib.closing(select.epoll()) as events:
        ended = os.pidfd_open(job)
        events.register(ended, select.EPOLLIN)
        # That its reading end is closed as well: the process that asked has ended.
        events.register(asked.fileno(), select.EPOLLHUP)
        if ended not in dict(events.poll()):
            os.kill(job, signal.SIGTERM)
            events.unregister(asked.fileno())
            if not events.poll(SECONDS_TO_END):
                os.kill(job, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(job, 0)[1])
    with contextlib.suppress(OSError):
        asked.sendall(json.dumps(status).encode())
    os._exit(0)


def _run(
    descriptors: list[int], folder: str, words: list[str], environment: dict[str, str]
) -> None:
    """Be the job.

    Raises:
        SystemExit: at its end.
    """
    for place, descriptor in enumerate(descriptors):
        os.dup2(descriptor, place)
        os.close(descriptor)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = words
    sys.path[0] = str(Path(words[0]).parent)
    runpy.run_path(words[0], run_name="__main__")
    sys.exit()


if __name__ == "__main__":
    preload()
    serve(sys.argv[1])
