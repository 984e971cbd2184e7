"""Processes that train one student together, one per GPU, over which FSDP divides its weights.

The first process is the job's own, and starts the others on its machine. PyTorch's FSDP2 divides
and gathers the weights as Transformers loads them: each process reads its own part. Adapters are
small, so each process has them whole, and their gradients are summed before each step.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import nn

VISIBLE = "CUDA_VISIBLE_DEVICES"
POLL_SECONDS = 1.0
FAILED = 1


@dataclass(frozen=True)
class Shards:
    """A process's place among the processes that train together.

    Attributes:
        rank: number of this process; 0 for the job's own.
        count: number of processes.
    """

    rank: int = 0
    count: int = 1

    @property
    def writes(self) -> bool:
        """Whether this process reports, saves and writes the adapter."""
        return self.rank == 0

    def share(self, batches: Sequence[list[int]]) -> list[tuple[list[int], bool]]:
        """Return this process's micro-batches, each with whether it counts.

        All processes need the same number, because each forward pass gathers weights from all of
        them. A process with fewer repeats one row, which does not count.

        Args:
            batches: rows of each micro-batch of the step, in the same order in all processes.
        """
        own = [(rows, True) for rows in batches[self.rank :: self.count]]
        missing = -(-len(batches) // self.count) - len(own)
        return own + missing * [(batches[-1][:1], False)]

    def add(self, tensors: Iterable[torch.Tensor]) -> None:
        """Replace each tensor with its sum over all processes."""
        if self.count > 1:
            import torch.distributed as dist

            for tensor in tensors:
                dist.all_reduce(tensor)

    def least(self, number: int) -> int:
        """Return the minimum of a number over all processes."""
        return self._reduced(number, "MIN")

    def any(self, holds: bool) -> bool:
        """Return whether a condition is true in any process."""
        return bool(self._reduced(int(holds), "MAX"))

    def _reduced(self, number: int, operation: str) -> int:
        if self.count == 1:
            return number
        import torch
        import torch.distributed as dist

        device = "cuda" if torch.cuda.is_available() else "cpu"
        found = torch.tensor(number, device=device)
        dist.all_reduce(found, op=getattr(dist.ReduceOp, operation))
        return int(found)


ALONE = Shards()


@contextmanager
def together(count: int, helper: Callable[..., None], arguments: Sequence[Any]) -> Iterator[Shards]:
    """Start the other processes, and form a process group with them while the block runs.

    If one of them fails, this process exits too, because it would wait for the other forever.

    Args:
        count: number of processes, including this one.
        helper: function that the other processes call with their rank, the number of processes, a
            rendezvous file, and `arguments`.
        arguments: further arguments, which must be picklable.

    Raises:
        ValueError: if this process sees GPUs, but fewer than `count`.
    """
    if count == 1:
        yield ALONE
        return
    devices = _devices(count)
    with tempfile.TemporaryDirectory(prefix="seedbed-shards-") as folder:
        meeting = str(Path(folder) / "meeting")
        context = multiprocessing.get_context("spawn")
        before = os.environ.get(VISIBLE)
        others = []
        for rank in range(1, count):
            # Each process sees one GPU only.
            os.environ[VISIBLE] = devices[rank]
            words = (rank, count, meeting, *arguments)
            others.append(context.Process(target=helper, args=words, daemon=True))
            others[-1].start()
        os.environ[VISIBLE] = devices[0]
        ended = threading.Event()
        threading.Thread(target=_watch, args=(others, ended), daemon=True).start()
        try:
            with joined(0, count, meeting) as shards:
                try:
                    yield shards
                finally:
                    ended.set()
        finally:
            ended.set()
            for other in others:
                other.join(60)
            os.environ.pop(VISIBLE)
            if before is not None:
                os.environ[VISIBLE] = before


@contextmanager
def joined(rank: int, count: int, meeting: str) -> Iterator[Shards]:
    """Join the process group while the block runs. A helper exits when the first process does."""
    import torch.distributed as dist

    if rank:
        parent = os.getppid()
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    # All processes are on one machine, whatever its host name resolves to.
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    # Accelerate sets this temporarily; see `steady_environment`.
    os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")
    dist.init_process_group(init_method=f"file://{meeting}", rank=rank, world_size=count)
    try:
        yield Shards(rank, count)
    finally:
        dist.destroy_process_group()


@contextmanager
def steady_environment() -> Iterator[None]:
    """Make Accelerate hide environment variables from Python only, while the block runs.

    When Accelerate reads the defaults of its settings, it removes all variables for a moment.
    Threads of the process group read them at any time, and a read during a change may crash the
    process with a segmentation fault.
    """
    from accelerate.utils import environment

    before = environment.clear_environment
    environment.clear_environment = _hidden_environment
    try:
        yield
    finally:
        environment.clear_environment = before


@contextmanager
def _hidden_environment() -> Iterator[None]:
    # The methods of os.environ would change the variables that the threads read.
    names, before = vars(os), os.environ
    names["environ"] = {}
    try:
        yield
    finally:
        names["environ"] = before


def adapter_state(model: nn.Module) -> dict[str, torch.Tensor]:
    """Return the tensors that each process has whole, including the adapter's.

    To save an adapter, PEFT would gather all weights, which needs all processes.
    """
    from torch.distributed.tensor import DTensor

    found: dict[str, torch.Tensor] = model.state_dict()
    return {name: part for name, part in found.items() if not isinstance(part, DTensor)}


def _devices(count: int) -> list[str]:
    """Return the GPU of each process; "" for each process on a machine without GPUs."""
    import torch

    # This count does not initialize CUDA, which would fix the GPUs that this process sees.
    seen = torch.cuda.device_count()
    if not seen:
        return [""] * count
    if seen < count:
        raise ValueError(f"trainer.fsdp_size: {count} needs {count} GPUs, but the job sees {seen}")
    named = os.environ.get(VISIBLE)
    return named.split(",")[:count] if named else [str(number) for number in range(count)]


def _watch(others: Sequence[Any], ended: threading.Event) -> None:
    while not ended.wait(POLL_SECONDS):
        failed = [other for other in others if other.exitcode not in (None, 0)]
        if failed:
            sys.stderr.write("another process of this training failed: see its error above\n")
            sys.stderr.flush()
            os._exit(FAILED)


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(POLL_SECONDS)
    os._exit(FAILED)
