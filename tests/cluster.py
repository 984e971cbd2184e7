"""A real SLURM on this machine, with its daemons on the loopback interface and fake GPUs."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

NEEDED = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "sinfo", "scontrol", "srun")
START_SECONDS = 90
CONFIGURATION = """
ClusterName=lab
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CredType=cred/munge
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd.%n.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
MpiDefault=none
ReturnToService=2
SwitchType=switch/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/filetxt
JobCompLoc={folder}/log/jobs.txt
MinJobAge=86400
MaxJobCount=100000
KillWait=10
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SchedulerParameters=sched_interval=1,bf_interval=2,batch_sched_delay=0,sched_min_interval=0
NodeName=cpu1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=8 Boards=1 \
SocketsPerBoard=1 CoresPerSocket=8 ThreadsPerCore=1 RealMemory=64000 State=UNKNOWN
NodeName=gpu1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[3]} CPUs=8 Boards=1 \
SocketsPerBoard=1 CoresPerSocket=8 ThreadsPerCore=1 RealMemory=64000 Gres=gpu:h200:2 State=UNKNOWN
PartitionName=cpu Nodes=cpu1 Default=YES MaxTime=2880 DefaultTime=60 DefMemPerCPU=500 State=UP
PartitionName=gpu Nodes=gpu1 MaxTime=2880 DefaultTime=60 DefMemPerCPU=500 PriorityTier=1 State=UP
PartitionName=urgent Nodes=gpu1 MaxTime=2880 DefMemPerCPU=500 PriorityTier=10 State=UP
"""
# Distinct character devices, which every machine has.
DEVICES = """
NodeName=gpu1 Name=gpu Type=h200 File=/dev/null
NodeName=gpu1 Name=gpu Type=h200 File=/dev/zero
"""
ACTIVE = {"PENDING", "CONFIGURING", "RUNNING", "COMPLETING", "SUSPENDED", "REQUEUED", "PREEMPTED"}


def missing() -> str | None:
    """Return why no cluster can be started here; None if one can be."""
    absent = [name for name in NEEDED if shutil.which(name) is None]
    if absent:
        return f"no {', '.join(absent)}: Debian has them in slurm-wlm and munge"
    return None if os.getuid() == 0 else "daemons of SLURM are started as root"


@dataclass
class Cluster:
    """The daemons, and the folder for all files that they write.

    Attributes:
        folder: the folder.
        environment: variables with which SLURM's commands find the daemons.
    """

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    def said(self, *words: str) -> str:
        """Return the output of a SLURM command.

        Raises:
            subprocess.CalledProcessError: if it fails.
        """
        environment = os.environ | self.environment
        done = subprocess.run(words, check=True, capture_output=True, text=True, env=environment)
        return done.stdout

    def jobs(self) -> list[dict[str, str]]:
        """Return SLURM's records of all jobs since the start, in the order of their numbers."""
        found = []
        command = ("scontrol", "--details", "show", "jobs", "--oneliner")
        end = time.monotonic() + START_SECONDS
        while True:
            # A request to a busy or restarting controller times out.
            try:
                said = self.said(*command)
                break
            except subprocess.CalledProcessError:
                if time.monotonic() > end:
                    raise
                time.sleep(1)
        for text in said.splitlines():
            words = (word.split("=", 1) for word in text.split() if "=" in word)
            if facts := dict(words):
                found.append(facts)
        return sorted((job for job in found if "JobId" in job), key=lambda job: int(job["JobId"]))

    def nodes_are(self, state: str) -> bool:
        """Return whether all nodes are in a state."""
        return set(self.said("sinfo", "-h", "-N", "-o", "%T").split()) == {state}

    def start_controller(self) -> None:
        """Start or restart the controller."""
        self._run("slurmctld", *([] if any((self.folder / "state").iterdir()) else ["-i"]))
        wait_until(self._answers, "the controller")

    def stop_controller(self) -> None:
        """Stop the controller; jobs continue."""
        _stop(self.folder / "slurmctld.pid")

    def _answers(self) -> bool:
        with suppress(subprocess.CalledProcessError):
            return bool(self.said("sinfo", "-h"))
        return False

    def _run(self, *words: str) -> None:
        environment = os.environ | self.environment
        subprocess.run(words, check=True, env=environment, stdout=subprocess.DEVNULL)


@contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """Start the daemons, and stop them by their process numbers at the end.

    Its `srun` sets SLURM_CONF again, because Snakemake's inner step removes the variable.

    Args:
        folder: the folder for all files that they write; its path must be short enough for sockets.

    Raises:
        TimeoutError: if they do not start in time.
    """
    for part in ("state", "log", "spool/cpu1", "spool/gpu1", "munge", "bin"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    with ExitStack() as sockets:
        held = [sockets.enter_context(socket.socket()) for _ in range(4)]
        for one in held:
            one.bind(("127.0.0.1", 0))
        ports = [one.getsockname()[1] for one in held]
    file = folder / "slurm.conf"
    user = pwd.getpwuid(os.getuid()).pw_name
    about = {"folder": folder, "host": socket.gethostname(), "ports": ports, "user": user}
    file.write_text(CONFIGURATION.format(**about))
    (folder / "gres.conf").write_text(DEVICES)
    wrapper = folder / "bin/srun"
    wrapper.write_text(f'#!/bin/sh\nSLURM_CONF={file} exec {shutil.which("srun")} "$@"\n')
    wrapper.chmod(wrapper.stat().st_mode | stat.S_IXUSR)
    path = os.pathsep.join([str(folder / "bin"), os.environ["PATH"]])
    found = Cluster(folder, {"SLURM_CONF": str(file), "PATH": path})
    try:
        _start_munge(folder / "munge")
        found.start_controller()
        for node in ("cpu1", "gpu1"):
            found._run("slurmd", "-N", node)
        wait_until(lambda: found.nodes_are("idle"), "its nodes")
        yield found
    finally:
        names = ("slurmd.cpu1.pid", "slurmd.gpu1.pid", "slurmctld.pid", "munge/pid")
        for name in names:
            _stop(folder / name)
        _kill_left(file)


def _start_munge(folder: Path) -> None:
    folder.chmod(0o755)
    key = folder / "key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    places = {name: folder / name for name in ("socket", "log", "pid", "seed")}
    options = [f"--{'pid' if name == 'pid' else name}-file={path}" for name, path in places.items()]
    options[0] = f"--socket={places['socket']}"
    subprocess.run(["munged", "--force", f"--key-file={key}", *options], check=True)


def _stop(file: Path) -> None:
    """Stop a daemon, and wait until it has released its ports."""
    try:
        process = int(file.read_text())
    except (FileNotFoundError, ValueError):
        return
    with suppress(ProcessLookupError):
        os.kill(process, signal.SIGTERM)
    end = time.monotonic() + START_SECONDS
    while Path(f"/proc/{process}").exists() and time.monotonic() < end:
        with suppress(ChildProcessError):
            os.waitpid(process, os.WNOHANG)
        time.sleep(0.1)
    file.unlink(missing_ok=True)


def _kill_left(configuration: Path) -> None:
    """Kill processes that jobs of a stopped cluster left: SLURM kills only those it tracks."""
    mark = f"SLURM_CONF={configuration}".encode()
    for file in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if mark in file.read_bytes().split(b"\0"):
                os.kill(int(file.parent.name), signal.SIGKILL)


def wait_until(condition, what: str, seconds: float = START_SECONDS) -> None:
    """Wait until a condition is true.

    Raises:
        TimeoutError: if it is not true in time.
    """
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not there after {seconds} s")
        time.sleep(0.2)


def on(host: str | None, words: list[str]) -> list[str]:
    """Return a command that runs as on a machine with another name."""
    if host is None:
        return words
    return ["unshare", "--uts", "sh", "-c", f'hostname {host}; exec "$@"', "sh", *words]


def run_jobs(where: Cluster, scripts: Sequence[str], folder: Path) -> float:
    """Submit a GPU job for each shell script, and return the seconds until the last has ended.

    Raises:
        RuntimeError: if a job fails; the message has the end of its log.
    """
    start = time.monotonic()
    logs = {}
    for place, script in enumerate(scripts):
        log = folder / f"job{place}.log"
        options = ["--parsable", "--partition=gpu", "--gpus=1", "--cpus-per-task=1", "--mem=4000"]
        options += [f"--output={log}", f"--error={log}", f"--wrap={script}"]
        logs[where.said("sbatch", *options).strip()] = log
    while True:
        states = {job["JobId"]: job["JobState"] for job in where.jobs()}
        if not any(states[number] in ACTIVE for number in logs):
            break
        time.sleep(0.5)
    seconds = time.monotonic() - start
    for number, log in logs.items():
        if states[number] != "COMPLETED":
            raise RuntimeError(f"{states[number]}: {log.read_text()[-2000:]}")
    return seconds
