"""Runs scripts of jobs in forks of a process that has already imported the large libraries.

A job of a small study spends most of its time importing PyTorch and Transformers. This process
serves a socket. With `BASH`, the shells of jobs send each script of the project to it instead of
starting Python; the script's arguments, output and exit status are the same. It does not import the
project, because each clone has its own copy, or Polars, because that starts a thread.

Signals to the client are passed on to the job, and the job is killed with its client. But SIGSTOP,
memory and the process number differ: tests that need these, or that set variables that Python reads
at its start, run Snakemake without `warm_environment` of `project.py`.
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

# Before the libraries: `atexit` runs the functions that were registered first last.
from quick_exits import quick_exit

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
"""Modules that others import only when they need them."""

BASH = """
is_warm() {
    local name=${1##*/}
    [[ ${1-} == */scripts/*.py && " ${COLD_JOBS-} " != *" ${name%%.py} "* ]]
}
python() {
    if is_warm "${1-}"; then
        command python -I -S %(asks)s %(socket)s "$@"
    else
        command python "$@"
    fi
}
exec() {
    if [[ ${1-} == python ]] && is_warm "${2-}"; then
        builtin exec python -I -S %(asks)s %(socket)s "${@:2}"
    else
        builtin exec "$@"
    fi
}
"""
"""Commands that a shell reads first (`BASH_ENV`); scripts that `COLD_JOBS` names start Python."""

# In a process of its own for each job: it starts in a hundredth of a second. Signals that a process
# can answer are the job's; a signal that it cannot, SIGKILL, closes the connection.
ASKS = """
import json, os, signal, socket, sys
with socket.socket(socket.AF_UNIX) as asked:
    asked.connect(sys.argv[1])
    held = list(signal.pthread_sigmask(signal.SIG_BLOCK, []))
    said = json.dumps([os.getcwd(), sys.argv[2:], dict(os.environ), held]).encode()
    socket.send_fds(asked, [len(said).to_bytes(8, "big")], [0, 1, 2])
    asked.sendall(said)
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: asked.send(bytes([number])))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, held)
    status = json.loads(asked.recv(100) or "-9")
if status < 0:
    signal.signal(-status, signal.SIG_DFL) if -status != signal.SIGKILL else None
    os.kill(os.getpid(), -status)
sys.exit(status)
"""


def preload() -> None:
    """Import the slow libraries."""
    gc.disable()
    for name in LIBRARIES:
        importlib.import_module(name)
    for module, names in NAMES.items():
        for name in names:
            getattr(importlib.import_module(module), name)
    # Garbage collection in a fork would copy the shared memory.
    gc.collect()
    gc.freeze()
    gc.enable()


def serve(address: str) -> None:
    """Run a job in a fork for each connection.

    Raises:
        SystemExit: in a fork.
    """
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(address)
        server.listen(64)
        print("ready", flush=True)
        # Ended forks are reaped automatically. This process ends with the process that started it.
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
    """Start the job that a connection requests, pass on its signals, and send its exit status.

    Raises:
        SystemExit: in the job.
    """
    size, descriptors, _, _ = socket.recv_fds(asked, 8, 3)
    said = asked.recv(int.from_bytes(size, "big"), socket.MSG_WAITALL)
    job = os.fork()
    if not job:
        asked.close()
        _run(descriptors, *json.loads(said))
    ended = os.pidfd_open(job)
    while ended not in select.select([ended, asked], [], [])[0]:
        # Empty: the client was killed.
        for number in asked.recv(100) or [signal.SIGKILL]:
            os.kill(job, number)
    status = os.waitstatus_to_exitcode(os.waitpid(job, 0)[1])
    with contextlib.suppress(OSError):
        asked.sendall(json.dumps(status).encode())
    os._exit(0)


def _run(
    descriptors: list[int],
    folder: str,
    words: list[str],
    environment: dict[str, str],
    held: list[int],
) -> None:
    """Run the job in this process, with some signals blocked.

    Raises:
        SystemExit: at its end.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, held)
    for place, descriptor in enumerate(descriptors):
        os.dup2(descriptor, place)
        os.close(descriptor)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.dont_write_bytecode = bool(environment.get("PYTHONDONTWRITEBYTECODE"))
    sys.argv = words
    sys.path[0] = str(Path(words[0]).parent)
    with quick_exit():
        runpy.run_path(words[0], run_name="__main__")
        sys.exit()


if __name__ == "__main__":
    preload()
    serve(sys.argv[1])
