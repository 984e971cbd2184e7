"""Copies of a model in vLLM, each in its own process on its part of a job's GPUs.

vLLM runs one copy per process. Copies are independent, so each request is sent to the copy with the
fewest requests under way. Copies stop when the job stops or is killed, because each reads from a
pipe that then closes.
"""

from __future__ import annotations

import atexit
import os
import queue
import signal
import threading
import traceback
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import finalize

from seedbed.endings import ExpectedError
from seedbed.engines import Completion, Request
from seedbed.engines.devices import VISIBLE, divided_gpus
from seedbed.engines.settings import VLLMSettings

if TYPE_CHECKING:
    from multiprocessing.context import SpawnProcess

    from seedbed.engines.vllm_engine import VLLMEngine

MESSAGE = 32
"""Most requests in a message to a copy, so that the first are under way while others are read."""
END_SECONDS = 10.0
"""Seconds within which a copy must stop once its pipe is closed, before it is killed."""


@dataclass
class Copy:
    """A copy, as the job sees it.

    Attributes:
        process: process of the copy.
        pipe: pipe to the process.
        room: most requests of a call that the copy takes at a time; 0 until it is loaded.
        under_way: number of its requests under way, by call.
    """

    process: SpawnProcess
    pipe: Connection
    room: int = 0
    under_way: Counter[str] = field(default_factory=Counter)


class VLLMCopies:
    """Copies of a model that share its requests, with or without PEFT adapters.

    Attributes:
        copies: all copies.
    """

    def __init__(
        self,
        model: Path,
        settings: VLLMSettings,
        lora_rank: int,
        threads: int,
        place: str = "",
    ) -> None:
        """Start all copies.

        Raises:
            ExpectedError: if vLLM does not accept the settings.
            RuntimeError: if a copy cannot be loaded. The log has the copy's error.
            ValueError: if the GPUs that this process sees cannot be divided among the copies.
        """
        count = settings.data_parallel_size
        one = settings.model_copy(
            update={"data_parallel_size": 1, "gpus": settings.gpus and settings.gpus // count}
        )
        words = (model, one, lora_rank, max(1, threads // count), place)
        context = get_context("spawn")
        self.copies: list[Copy] = []
        before = os.environ.get(VISIBLE)
        try:
            for devices in divided_gpus(count):
                os.environ[VISIBLE] = devices
                here, there = context.Pipe()
                # Not daemonic, because vLLM starts a process for each GPU of a copy.
                process = context.Process(target=_run, args=(there, words))
                process.start()
                there.close()
                self.copies.append(Copy(process, here))
        finally:
            os.environ.pop(VISIBLE, None)
            if before is not None:
                os.environ[VISIBLE] = before
            end = finalize(self, _end, self.copies)
            # Registered after multiprocessing's own handler, so that it runs before that waits for
            # the processes.
            atexit.register(end)
        self._number = 0
        self._answers: dict[str, deque[Completion]] = {}
        self._refused: dict[str, str] = {}
        while not all(copy.room for copy in self.copies):
            self._listen()

    def complete(
        self, requests: Iterable[Request], adapter: Path | None = None
    ) -> Iterator[Completion]:
        """Yield one completion per request, as they finish; see `VLLMEngine.complete`.

        Raises:
            ValueError: if a prompt leaves no room for an answer in the model's context.
            RuntimeError: if a copy has stopped. The log has the copy's error.
        """
        self._number += 1
        call = str(self._number)
        answers = self._answers[call] = deque()
        coming = iter(requests)
        try:
            while True:
                self._send(call, adapter, coming)
                if not any(copy.under_way[call] for copy in self.copies):
                    return
                while not answers and call not in self._refused:
                    self._listen()
                if call in self._refused:
                    raise ValueError(self._refused[call])
                while answers:
                    yield answers.popleft()
        finally:
            del self._answers[call]
            self._refused.pop(call, None)
            for copy in self.copies:
                del copy.under_way[call]
                with suppress(OSError):  # It may have stopped.
                    copy.pipe.send((call, None, None))

    def _send(self, call: str, adapter: Path | None, coming: Iterator[Request]) -> None:
        """Send requests to the copies with the fewest under way, while they have room."""
        new: dict[int, list[Request]] = {}
        while True:
            free = [n for n, copy in enumerate(self.copies) if copy.under_way[call] < copy.room]
            request = next(coming, None) if free else None
            if request is None:
                break
            number = min(free, key=lambda n: self.copies[n].under_way.total())
            self.copies[number].under_way[call] += 1
            own = new.setdefault(number, [])
            own.append(request)
            if len(own) == MESSAGE:
                self._post(number, (call, adapter, new.pop(number)))
        for number, some in new.items():
            self._post(number, (call, adapter, some))

    def _post(self, number: int, message: tuple[Any, ...]) -> None:
        try:
            self.copies[number].pipe.send(message)
        except OSError:
            while True:  # until the copy's last message, or the closed pipe, raises an error
                self._listen()

    def _listen(self) -> None:
        """Wait for messages of the copies, and handle them."""
        by_pipe = {copy.pipe: copy for copy in self.copies}
        for pipe in wait(list(by_pipe)):
            assert isinstance(pipe, Connection)
            copy = by_pipe[pipe]
            try:
                kind, what, more = pipe.recv()
            except (EOFError, OSError):
                raise RuntimeError("a copy of the model has ended: see its error above") from None
            match kind:
                case "ready":
                    copy.room = what
                case "failed":
                    raise (
                        ExpectedError(what)
                        if more
                        else RuntimeError(f"a copy of the model failed: {what}")
                    )
                case "refused" if what in self._answers:
                    self._refused[what] = more
                case "answers" if what in self._answers:
                    copy.under_way[what] -= len(more)
                    self._answers[what].extend(more)


def _end(copies: list[Copy]) -> None:
    """Stop all copies."""
    for copy in copies:
        copy.pipe.close()
    for copy in copies:
        copy.process.join(END_SECONDS)
        if copy.process.is_alive():
            copy.process.kill()


def _run(pipe: Connection, words: tuple[Any, ...]) -> None:
    """Run a copy: load the model, and answer until the pipe is closed.

    The job sends a call, its adapter, and its requests, or None instead of requests to end the
    call. The copy sends `ready` with its room for requests, `answers` with a call and its
    completions, `refused` with a call and the reason why a prompt is refused, or `failed` with the
    error that stopped the copy, and whether it is an `ExpectedError`.
    """
    # The job itself handles Ctrl-C, and closes the pipe when it ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
    # A separate thread reads at all times, so that two processes never wait for each other to read.
    threading.Thread(target=_read, args=(pipe, inbox), daemon=True).start()
    try:
        from seedbed.engines.vllm_engine import VLLMEngine

        engine = VLLMEngine(*words)
        pipe.send(("ready", engine.room, None))
        _answer(engine, pipe, inbox)
    except ExpectedError as error:
        pipe.send(("failed", str(error), True))
    except Exception as error:
        traceback.print_exc()
        pipe.send(("failed", f"{type(error).__name__}: {error}", False))


def _read(pipe: Connection, inbox: queue.SimpleQueue[Any]) -> None:
    with suppress(EOFError, OSError):
        while True:
            inbox.put(pipe.recv())
    os._exit(0)


def _answer(engine: VLLMEngine, pipe: Connection, inbox: queue.SimpleQueue[Any]) -> None:
    calls: dict[str, str] = {}
    under_way: Counter[str] = Counter()
    while True:
        while not inbox.empty() or not under_way.total():
            call, adapter, requests = inbox.get()
            if requests is None:
                del under_way[call]
                if call in calls:
                    engine.leave(calls.pop(call))
                continue
            if call not in calls:
                calls[call] = engine.begin(adapter)
            try:
                engine.add(calls[call], requests)
            except ValueError as error:
                pipe.send(("refused", call, str(error)))
            else:
                under_way[call] += len(requests)
        engine.step()
        for call, own in calls.items():
            if found := engine.take(own):
                under_way[call] -= len(found)
                pipe.send(("answers", call, found))
