"""A batch file that vLLM's own `run-batch` answers: its output is read unchanged."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from batch_server import BatchServer, serving
from seedbed.engines import EngineJob, Request, load_engine
from seedbed.engines import batch_engine as module

SECONDS = 500


@pytest.fixture
def run_batch(tiny_model, tmp_path):
    """Answer a file of requests with `vllm run-batch`."""
    asked, answered = tmp_path / "requests.jsonl", tmp_path / "answers.jsonl"
    words = ["-i", str(asked), "-o", str(answered), "--model", str(tiny_model)]
    words += ["--served-model-name", "tiny", "--dtype", "float32", "--enforce-eager"]
    words += ["--max-num-seqs", "48", "--no-enable-chunked-prefill", "--max-model-len", "2048"]

    def run(requests):
        asked.write_text(requests)
        done = subprocess.run(
            [sys.executable, "-m", "vllm.entrypoints.openai.run_batch", *words],
            env=os.environ | {"VLLM_CPU_KVCACHE_SPACE": "1"},
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
        assert answered.exists(), done.stdout[-2000:] + done.stderr[-2000:]
        return answered.read_text()

    return run


def test_vllm_takes_the_file_of_a_batch_and_its_answers_are_read(
    run_batch, transformers_engine, questions, tmp_path, monkeypatch
):
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.01)
    requests = [
        Request(str(n), (("user", text),), 4 + n % 17, seed=n) for n, text in enumerate(questions)
    ]
    server = BatchServer()
    server.run = run_batch
    with serving(server):
        job = EngineJob.of(
            "openai", base_url=server.url, model="tiny", batch={}, timeout=2 * SECONDS
        )
        engine = load_engine(None, job.model_copy(update={"batches": str(tmp_path / "batches")}))
        found = {one.key: one for one in engine.complete(requests)}
    assert found == {one.key: one for one in transformers_engine.complete(requests)}
    assert len(server.batches) == 1
