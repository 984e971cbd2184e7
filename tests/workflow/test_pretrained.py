"""A real pretrained model, SmolLM2, as augmenter, teacher and student, on real rows."""

from __future__ import annotations

import polars as pl
import pytest

from pretrained import STUDY
from seedbed.artifacts import read_json


def cell(study, task, method):
    """Return the path of a cell's results behind a stage."""
    (found,) = (study.folder / f"results/{STUDY}/evaluations/task={task}").glob(
        f"method={method}/**/evaluation.json"
    )
    return found.parent.relative_to(study.folder / f"results/{STUDY}/evaluations")


def predictions(study, task, method):
    place = study.folder / f"results/{STUDY}/evaluations" / cell(study, task, method)
    return pl.read_parquet(place / "predictions.parquet")


@pytest.fixture(scope="module")
def results(pretrained_study):
    return pretrained_study.folder / "results" / STUDY


def test_it_writes_questions_answers_them_and_learns_from_both(pretrained_study, results):
    (file,) = results.glob("datasets/task=gsm8k/method=question_rephrase/**/*.parquet")
    rows = pl.read_parquet(file)["messages"].to_list()
    assert rows
    for chat in rows:
        assert [message["role"] for message in chat] == ["user", "assistant"]
        assert chat[0]["content"].partition("Problem:")[2].strip()
        assert chat[1]["content"].strip()
    place = cell(pretrained_study, "gsm8k", "question_rephrase")
    record = read_json(results / "adapters" / place / "training.json")
    assert record["counts"]["training_rows"] == len(rows)
    counts = read_json(results / "evaluations" / place / "evaluation.json")["counts"]
    assert counts["augmenter_queries"] >= 4 >= counts["teacher_queries"] >= len(rows)


def test_real_pairs_teach_it_the_form_of_answers(pretrained_study, results):
    before, after = (
        predictions(pretrained_study, "arc_challenge", method)
        for method in ("untrained", "seed_only")
    )
    assert before["prompt"].equals(after["prompt"])
    form = "^Answer: [A-D]$"
    assert before["output"].str.contains(form).sum() == 0
    assert after["output"].str.contains(form).sum() >= 3
    right = after["output"].str.strip_prefix("Answer: ") == after["gold"]
    assert after["strict"].equals(right.alias("strict"))
    place = cell(pretrained_study, "arc_challenge", "seed_only")
    counts = read_json(results / "adapters" / place / "training.json")["counts"]
    assert (counts["training_rows"], counts["steps"]) == (8, 8)
    assert counts["loss"] < 1.0


def test_answers_of_adapters_are_those_of_plain_peft(pretrained_study, results, smollm2):
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(smollm2)
    base = AutoModelForCausalLM.from_pretrained(smollm2, dtype=torch.float32)
    model = None
    for task, method, items in (
        ("arc_challenge", "seed_only", 4),
        ("gsm8k", "question_rephrase", 2),
    ):
        adapter = results / "adapters" / cell(pretrained_study, task, method)
        if model is None:
            model = PeftModel.from_pretrained(base, str(adapter), adapter_name=task).eval()
        else:
            model.load_adapter(str(adapter), adapter_name=task)
            model.set_adapter(task)
        for row in predictions(pretrained_study, task, method).head(items).iter_rows(named=True):
            chat = [{"role": "user", "content": row["prompt"]}]
            ids = tokenizer.apply_chat_template(
                chat, add_generation_prompt=True, return_dict=True, return_tensors="pt"
            )
            out = model.generate(**ids, max_new_tokens=row["completion_tokens"], do_sample=False)[
                0, ids["input_ids"].shape[1] :
            ]
            assert ids["input_ids"].shape[1] == row["prompt_tokens"]
            assert tokenizer.decode(out, skip_special_tokens=True).strip() == row["output"]
