import json
import math
import shutil
import sys
from dataclasses import replace

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from recording_engine import RecordingEngine

import evaluate_student
from seedbed.artifacts import read_json, read_metadata, write_json, write_parquet
from seedbed.config.words import DATASET_COUNTS
from seedbed.engines import EngineJob, load_engine
from seedbed.evaluation.evaluation import (
    SCHEMA,
    check_references,
    evaluate,
    item_requests,
    summarise,
)
from seedbed.evaluation.scorers import make_scorer
from seedbed.models import read_fingerprint
from seedbed.provenance import code_digest
from seedbed.tasks.items import TaskItem, to_frame
from seedbed.tasks.worlds import load_world

ITEMS = [
    TaskItem(
        f"test-{n}",
        f"How many are {n} and {n}?",
        "",
        f"#### {2 * n}",
        str(2 * n),
        (),
        "",
        f"c{n % 2}",
    )
    for n in range(6)
]


def silent(text):
    pass


@pytest.fixture
def scorer(tmp_path):
    return make_scorer("number", {}, tmp_path)


def evaluated(scorer, outputs, score="strict", items=ITEMS):
    """Return the predictions of a student that gives these outputs, in order of the items."""
    by_question = dict(zip((item.question for item in items), outputs, strict=True))
    engine = RecordingEngine(lambda request: by_question[request.messages[0][1]])
    return asked(items, engine, scorer, score)


def asked(items, engine, scorer, score="strict", **asking):
    """Return the predictions of a student that an engine runs."""
    requests = item_requests(items, **({"prompt": "{question}", "answer_tokens": 10} | asking))
    return evaluate(items, requests, engine.complete(requests), scorer, score, silent)


OUTPUTS = [
    ("0 + 0 = 0. #### 0", "stop"),  # right in the format that was asked for
    ("1 + 1 = 3. #### 3", "stop"),  # wrong
    ("The answer is 4.", "stop"),  # right, but not in the format
    ("I do not know.", "stop"),  # no answer
    ("4 + 4 =", "length"),  # cut
    ("", "stop"),
]


def test_each_row_is_of_its_item_whatever_the_order_of_the_answers(scorer):
    rows = evaluated(scorer, OUTPUTS)
    assert rows.schema == SCHEMA
    assert rows["item_id"].to_list() == [item.item_id for item in ITEMS]
    assert rows["cluster"].to_list() == ["c0", "c1"] * 3
    assert rows["prompt"].to_list() == [item.question for item in ITEMS]
    assert rows["output"].to_list() == [text for text, _ in OUTPUTS]
    assert rows["gold"].to_list() == ["0", "2", "4", "6", "8", "10"]
    assert rows["strict"].to_list() == [True, False, False, False, False, False]
    assert rows["flexible"].to_list()[:4] == [True, False, True, False]
    assert rows["finish_reason"].to_list() == [reason for _, reason in OUTPUTS]
    assert rows["extracted"].is_null().to_list()[3] is True
    assert rows["reason"].to_list()[:3] == ["", "", ""]
    assert all(rows.filter(pl.col("extracted").is_null())["reason"].to_list())


@pytest.mark.parametrize("score", ["strict", "flexible"])
def test_the_score_is_the_reading_that_the_task_names(scorer, score):
    rows = evaluated(scorer, OUTPUTS, score)
    assert rows["correct"].equals(rows[score].rename("correct"))
    assert summarise(rows).correct == getattr(summarise(rows), score).correct


def test_the_summary_counts_every_item(scorer):
    found = summarise(evaluated(scorer, OUTPUTS)).model_dump()
    assert (found["items"], found["correct"], found["truncated"]) == (6, 1, 1)
    assert found["accuracy"] == 1 / 6
    assert found["standard_error"] == pytest.approx(math.sqrt(1 / 6 * 5 / 6 / 6))
    assert found["strict"] == {"correct": 1, "accuracy": 1 / 6}
    assert found["flexible"]["correct"] == 2
    assert found["unparsed"] == sum(found["unparsed_reasons"].values()) >= 2


def test_requests_are_greedy_and_carry_limit_prompt_and_context(scorer):
    engine = RecordingEngine(lambda _: ("#### 1", "stop"))
    item = TaskItem("t", "Who has {x}?", "table", "#### 1", "1")
    asked([item], engine, scorer, prompt="{context}: {question}", answer_tokens=7)
    (request,) = engine.asked
    assert (request.temperature, request.max_tokens, request.stop) == (0.0, 7, ())
    assert request.messages == (("user", "table: Who has {x}?"),)


def test_a_student_is_set_up_and_stopped_as_its_file_says(scorer):
    engine = RecordingEngine(lambda _: ("#### 1", "stop"))
    rows = asked(ITEMS[:1], engine, scorer, system="Count.", stop=["Q:"])
    (request,) = engine.asked
    assert request.messages == (("system", "Count."), ("user", ITEMS[0].question))
    assert request.stop == ("Q:",)
    assert rows["prompt"].to_list() == [ITEMS[0].question]


def test_references_that_could_never_be_got_right_are_named(scorer):
    assert check_references(ITEMS, scorer) == 6
    wrong = replace(ITEMS[3], answer="3 + 3 = 7. #### 7")
    with pytest.raises(ValueError, match=r"answers of 1 of 6 items are wrong .* test-3 among them"):
        check_references([*ITEMS[:3], wrong, *ITEMS[4:]], scorer)


def test_references_must_be_right_by_the_reading_that_counts(scorer):
    free = replace(ITEMS[3], answer=f"The answer is {ITEMS[3].gold}.")
    assert check_references([free], scorer, "flexible") == 1
    with pytest.raises(ValueError, match="strict reading, that of test-3 among them"):
        check_references([free], scorer, "strict")


def test_no_predictions_are_an_error_and_not_zero():
    with pytest.raises(ValueError, match="no predictions"):
        summarise(pl.DataFrame(schema=SCHEMA))


def test_an_item_without_prediction_is_an_error_and_not_wrong(scorer):
    class Forgetful(RecordingEngine):
        def complete(self, requests, adapter=None):
            return super().complete(list(requests)[1:])

    rows = asked(ITEMS, Forgetful(lambda _: ("#### 1", "stop")), scorer)
    with pytest.raises(ValueError, match="1 of 6 items have no score"):
        summarise(rows)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=50))
def test_accuracy_is_the_share_of_right_items(scores):
    rows = pl.DataFrame(
        [
            {name: "x" for name in SCHEMA.names() if SCHEMA[name] == pl.String}
            | {"strict": strict, "flexible": flexible, "correct": flexible}
            | {"prompt_tokens": 1, "completion_tokens": 1}
            for strict, flexible in scores
        ],
        schema=SCHEMA,
    )
    found = summarise(rows).model_dump()
    assert found["correct"] == sum(flexible for _, flexible in scores)
    assert found["strict"]["correct"] == sum(strict for strict, _ in scores)
    assert found["accuracy"] == found["correct"] / len(scores)
    assert found["standard_error"] >= 0
    json.dumps(found, allow_nan=False)


@pytest.fixture(scope="module")
def test_items():
    return load_world("mini_math").items("test", 70, seed=2)


@pytest.mark.slow
def test_greedy_predictions_do_not_depend_on_the_batch_size(tiny_model, test_items, scorer):
    tables = [
        asked(
            test_items,
            load_engine(tiny_model, EngineJob.of(batch_size=size)),
            scorer,
            "flexible",
            answer_tokens=16,
        )
        for size in (1, 7, 64)
    ]
    assert tables[0].equals(tables[1])
    assert tables[0].equals(tables[2])
    assert tables[0]["output"].n_unique() > 10


# --- the script

CELL = {"task": "mini_math", "budget": 4, "student": "tiny"}
EVALUATION = {
    "kind": "number",
    "scorer": {},
    "score": "strict",
    "prompt": "{question}",
    "answer_tokens": 12,
    "test_items": 5,
}


def run(folder, monkeypatch, test_items, model, *more, settings=EVALUATION):
    write_parquet(folder / "task" / "test.parquet", to_frame(test_items))
    arguments = ["--cell", json.dumps(CELL), "--settings", json.dumps(settings)]
    arguments += ["--test", str(folder / "task" / "test.parquet"), "--model", str(model), *more]
    write_json(folder / "task" / "task.json", {"databases": {}})
    arguments += ["--task", str(folder / "task" / "task.json")]
    arguments += ["--task-folder", str(folder), "--cache", str(folder / "journal")]
    arguments += ["--predictions", str(folder / "out" / "predictions.parquet")]
    arguments += ["--scores", str(folder / "out" / "evaluation.json")]
    monkeypatch.setattr(sys, "argv", ["evaluate_student", *arguments])
    evaluate_student.main()
    return read_json(folder / "out" / "evaluation.json")


def test_a_student_as_it_is_costs_nothing(tmp_path, monkeypatch, tiny_model, test_items):
    found = run(tmp_path, monkeypatch, test_items, tiny_model)
    rows = pl.read_parquet(tmp_path / "out" / "predictions.parquet")
    assert rows["item_id"].to_list() == [item.item_id for item in test_items[:5]]
    assert found["items"] == 5
    assert found["correct"] == int(rows["correct"].sum())
    assert found["references_right"] == 5
    assert found["cell"] == CELL
    assert found["settings"] == EVALUATION | {"system": None, "stop": []}
    assert found["model"] == read_fingerprint(tiny_model)
    assert set(found["counts"].values()) == {0}
    assert found["seconds"]["training"] == 0
    assert found["seconds"]["evaluation"] > 0
    assert found["versions"]["torch"]
    assert len(found["code"]) == 16
    assert read_metadata(tmp_path / "out" / "predictions.parquet")["cell"] == CELL


def test_a_trained_student_carries_what_its_data_and_training_took(
    tmp_path, monkeypatch, tiny_model, test_items
):
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    adapter = tmp_path / "adapter"
    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    lora = LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM")
    get_peft_model(model, lora).save_pretrained(adapter)
    trained = {"training_rows": 3, "training_tokens": 99, "too_long_rows": 2, "steps": 1}
    write_json(adapter / "training.json", {"counts": trained, "seconds": {"training": 1.5}})
    made = {name: number for number, name in enumerate(DATASET_COUNTS, start=1)}
    write_json(
        tmp_path / "dataset.json",
        {"counts": made | {"failed_questions": {}}, "seconds": {"generation": 2.5}},
    )
    files = [str(adapter / name) for name in ("adapter_model.safetensors", "training.json")]
    found = run(
        tmp_path,
        monkeypatch,
        test_items,
        tiny_model,
        *["--adapter", *files, "--dataset", str(tmp_path / "dataset.json")],
        settings=EVALUATION | {"test_items": None},
    )
    assert found["items"] == len(test_items)
    assert found["counts"] == made | trained
    assert (found["seconds"]["generation"], found["seconds"]["training"]) == (2.5, 1.5)


def test_a_task_whose_references_are_wrong_has_no_score(
    tmp_path, monkeypatch, tiny_model, test_items
):
    items = [replace(test_items[0], answer="#### 79", gold="78"), *test_items[1:]]
    with pytest.raises(ValueError, match="answers of 1 of 5 items are wrong"):
        run(tmp_path, monkeypatch, items, tiny_model)
    assert not (tmp_path / "out").exists()


def test_a_function_of_the_tasks_own_scores(tmp_path, monkeypatch, tiny_model, test_items):
    own = tmp_path / "judge.py"
    own.write_text("def score(output, item):\n    return len(item.gold) > 0\n")
    settings = EVALUATION | {"scorer": "judge:score"}
    found = run(tmp_path, monkeypatch, test_items, tiny_model, settings=settings)
    assert (found["correct"], found["strict"]["correct"], found["unparsed"]) == (5, 5, 0)
    assert found["settings"]["scorer"] == "judge:score"
    modules = ["seedbed.evaluation.scorers.function", own, "seedbed.engines.transformers_engine"]
    assert found["code"] == code_digest(evaluate_student.__file__, modules)
    own.write_text("def score(output, item):\n    return item.golden\n")
    with pytest.raises(ValueError, match=r"judge\.py:score, on item '"):
        run(tmp_path, monkeypatch, test_items, tiny_model, settings=settings)


def test_another_scorer_scores_the_answers_that_are_kept(
    tmp_path, monkeypatch, tiny_model, test_items
):
    model = shutil.copytree(tiny_model, tmp_path / "model")
    first = run(tmp_path, monkeypatch, test_items, model)
    (model / "config.json").unlink()  # So it cannot be loaded again.
    (tmp_path / "judge.py").write_text("def score(output, item):\n    return True\n")
    settings = EVALUATION | {"scorer": "judge:score"}
    second = run(tmp_path, monkeypatch, test_items, model, settings=settings)
    assert second["correct"] == second["items"] == first["items"]
    assert second["code"] != first["code"]
    for other in ({"prompt": "Again: {question}"}, {"answer_tokens": 13}, {"stop": ["###"]}):
        with pytest.raises(FileNotFoundError, match=r"no config\.json"):
            run(tmp_path, monkeypatch, test_items, model, settings=EVALUATION | other)


# A file of weights without any.
EMPTY = (2).to_bytes(8, "little") + b"{}"


def test_a_student_that_cannot_be_loaded_has_no_score(
    tmp_path, monkeypatch, tiny_model, test_items
):
    (tmp_path / "adapter").mkdir()
    weights = tmp_path / "adapter" / "adapter_model.safetensors"
    (tmp_path / "adapter" / "adapter_config.json").write_text("{}")
    no_header = (2**20).to_bytes(8, "little") + b"{}"
    for broken, error in ((None, SystemExit), (no_header, SystemExit), (EMPTY, Exception)):
        if broken is not None:
            weights.write_bytes(broken)
        with pytest.raises(error):
            run(tmp_path, monkeypatch, test_items, tiny_model, "--adapter", str(weights))
        assert not (tmp_path / "out").exists()
