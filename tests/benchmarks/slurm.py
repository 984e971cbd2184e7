"""A real SLURM on this machine for benchmarks: two partitions, with stand-ins for two GPUs."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

NEEDED = ("slurmctld", "slurmd", "sbatch", "squeue", "sinfo")
START_SECONDS = 30
CONFIGURATION = """
ClusterName=lab
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/none
CredType=cred/none
SlurmctldPort=16817
SlurmdPort=16818
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd.%n.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
MpiDefault=none
ReturnToService=2
SwitchType=switch/none
AccountingStorageType=accounting_storage/none
MinJobAge=86400
SchedulerParameters=sched_interval=1,batch_sched_delay=0,sched_min_interval=0
NodeName=gpu1 NodeHostname={host} NodeAddr=127.0.0.1 Port=17002 CPUs=8 Boards=1 SocketsPerBoard=1 \
CoresPerSocket=8 ThreadsPerCore=1 RealMemory=16000 Gres=gpu:h200:2 State=UNKNOWN
PartitionName=gpu Nodes=gpu1 Default=YES MaxTime=INFINITE DefaultTime=60 DefMemPerCPU=500 State=UP
"""
# Distinct devices, which every machine has.
DEVICES = """
NodeName=gpu1 Name=gpu Type=h200 File=/dev/null
NodeName=gpu1 Name=gpu Type=h200 File=/dev/zero
"""


@contextmanager
def cluster(folder: Path) -> Iterator[None]:
    """Start the daemons as root, with all that they write in a folder, and stop them at the end.

    Raises:
        FileNotFoundError: if SLURM is not installed.
        TimeoutError: if its node does not come up.
    """
    for name in NEEDED:
        if shutil.which(name) is None:
            raise FileNotFoundError(f"no {name}: Debian has it in the package slurm-wlm")
    for part in ("state", "log", "spool/gpu1"):
        (folder / part).mkdir(parents=True)
    file = folder / "slurm.conf"
    file.write_text(CONFIGURATION.format(folder=folder, host=socket.gethostname()))
    (folder / "gres.conf").write_text(DEVICES)
    os.environ["SLURM_CONF"] = str(file)
    try:
        subprocess.run(["slurmctld", "-i"], check=True)
        subprocess.run(["slurmd", "-N", "gpu1"], check=True)
        start = time.monotonic()
        while "idle" not in said("sinfo", "-h", "-N", "-o", "%T"):
            if time.monotonic() - start > START_SECONDS:
                raise TimeoutError((folder / "log/slurmctld.log").read_text()[-2000:])
            time.sleep(0.2)
        yield
    finally:
        for name in ("slurmd.gpu1.pid", "slurmctld.pid"):
            if (folder / name).is_file():
                stop(int((folder / name).read_text()))
        del os.environ["SLURM_CONF"]


def stop(process: int) -> None:
    """End a daemon, and wait until it has let go of its port."""
    os.kill(process, signal.SIGTERM)
    start = time.monotonic()
    while Path(f"/proc/{process}").exists() and time.monotonic() - start < START_SECONDS:
        with suppress(ChildProcessError):
            os.waitpid(process, os.WNOHANG)
        time.sleep(0.1)


def said(*words: str) -> str:
    """Return what a command prints."""
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def run_jobs(commands: list[list[str]], folder: Path) -> float:
    """Submit a job with a GPU for each command, and return the seconds until the last has ended.

    Raises:
        RuntimeError: if one fails, with the end of its log.
    """
    start = time.monotonic()
    numbers = []
    for place, words in enumerate(commands):
        log = folder / f"job{place}.log"
        options = ["--parsable", "--gpus=1", "--cpus-per-task=1", "--mem=4000"]
        options += [f"--output={log}", f"--error={log}"]
        numbers.append(said("sbatch", *options, f"--wrap={shlex.join(words)}").strip())
    while True:
        lines = said("squeue", "-h", "-t", "all", "-o", "%i %T").splitlines()
        states = dict(line.split() for line in lines)
        ended = [states[number] for number in numbers]
        if not {"PENDING", "RUNNING", "COMPLETING", "CONFIGURING"} & set(ended):
            break
        time.sleep(0.5)
    seconds = time.monotonic() - start
    for place, state in enumerate(ended):
        if state != "COMPLETED":
            raise RuntimeError(f"{state}: {(folder / f'job{place}.log').read_text()[-2000:]}")
    return seconds
