"""Adapters of a real pretrained model: vLLM answers as the study's own engine did."""

from __future__ import annotations

import polars as pl

from pretrained import STUDY
from seedbed.engines import EngineJob, Request, load_engine


def test_adapters_give_the_same_text(pretrained_study, smollm2):
    results = pretrained_study.folder / "results" / STUDY
    engine = load_engine(smollm2, EngineJob.of("vllm", batch_size=16, context=1024), lora_rank=8)
    compared = 0
    for file in sorted(results.glob("evaluations/**/predictions.parquet")):
        adapter = results / "adapters" / file.parent.relative_to(results / "evaluations")
        rows = pl.read_parquet(file).head(6).to_dicts()
        requests = [
            Request(str(n), (("user", row["prompt"]),), row["completion_tokens"])
            for n, row in enumerate(rows)
        ]
        found = {
            completion.key: completion.text
            for completion in engine.complete(requests, adapter if adapter.is_dir() else None)
        }
        assert found == {str(n): row["output"] for n, row in enumerate(rows)}
        compared += adapter.is_dir()
    assert compared == 2
