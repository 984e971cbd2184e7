"""The three engines on one tiny model, each started once, because vLLM takes half a minute."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import polars as pl
import pytest

from practice import silent
from seedbed.engines import EngineJob, Request, load_engine
from seedbed.training.settings import StudentTraining
from seedbed.training.students import train_student

START_SECONDS = 240
LORA_RANK = 8  # highest of the adapters
THOUGHT_ABOUT = "How many?"
# Batch sizes differ from the Transformers engine's.
BATCH = 48


def pytest_collection_modifyitems(items):
    """Skip the tests of this folder if vLLM is not installed."""
    if find_spec("vllm") is None:
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.skip("vLLM is not installed: `make vllm` adds it"))


@pytest.fixture(scope="session")
def transformers_engine(tiny_model):
    return load_engine(tiny_model)


@pytest.fixture(scope="session")
def greedy(questions):
    """Requests of several lengths for greedy decoding."""
    return [Request(str(n), (("user", text),), 4 + n % 17) for n, text in enumerate(questions)]


@pytest.fixture(scope="module")
def vllm_engine(tiny_model):
    settings = EngineJob.of("vllm", batch_size=BATCH)
    return load_engine(tiny_model, settings, lora_rank=LORA_RANK)


@pytest.fixture(scope="session")
def thinker(tiny_model, tmp_path_factory):
    """An adapter that was trained on rows with thinking, so that it thinks before it answers."""
    folder = tmp_path_factory.mktemp("thinker")
    answer = {"role": "assistant", "content": "#### 3", "reasoning_content": "1 + 2 = 3"}
    chat = [{"role": "user", "content": THOUGHT_ABOUT}, answer]
    pl.DataFrame({"messages": [chat] * 8}).write_parquet(folder / "rows.parquet")
    settings = StudentTraining(
        epochs=400, learning_rate=1e-2, batch_size=8, lora_rank=8, lora_alpha=32, max_length=128
    )
    train_student(
        tiny_model,
        folder / "rows.parquet",
        folder / "adapter",
        settings,
        lambda *_: None,
        silent,
    )
    return folder / "adapter"


@pytest.fixture(scope="module")
def server(tiny_model, thinker, tmp_path_factory):
    """A vLLM server that only this machine can reach, with its own key: its address and its log."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("server") / "log"
    # Not on the command line, where other users of the machine could read it.
    os.environ["VLLM_API_KEY"] = secrets.token_hex(16)
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
    words = [
        "--model", str(tiny_model), "--host", "127.0.0.1", "--port", str(port),
        "--served-model-name", "tiny",
    ]  # fmt: skip
    words += ["--dtype", "float32", "--enforce-eager", "--max-num-seqs", str(BATCH)]
    words += ["--no-enable-chunked-prefill", "--max-model-len", "2048"]
    words += ["--enable-lora", "--max-lora-rank", str(LORA_RANK)]
    words += ["--lora-modules", f"thinker={thinker}"]
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "vllm.entrypoints.openai.api_server", *words],
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait(f"http://127.0.0.1:{port}/health", process, log)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        del os.environ["VLLM_API_KEY"]
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


def wait(address, process, log):
    start = time.monotonic()
    while time.monotonic() - start < START_SECONDS:
        assert process.poll() is None, log.read_text()[-3000:]
        try:
            with urllib.request.urlopen(address, timeout=1):
                return
        except OSError:
            time.sleep(0.5)
    raise TimeoutError(log.read_text()[-3000:])


@pytest.fixture(scope="module")
def openai_engine(server):
    return load_engine(
        None,
        EngineJob.of("openai", base_url=server, model="tiny", key_variable="VLLM_API_KEY"),
    )


@pytest.fixture(params=["transformers", "vllm", "openai"])
def kind(request):
    return request.param


@pytest.fixture
def engine(kind, request):
    return request.getfixturevalue(f"{kind}_engine")
