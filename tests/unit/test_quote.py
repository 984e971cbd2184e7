import json
from dataclasses import asdict

import polars as pl
import pytest
import study_folder as sf

from seedbed.artifacts import write_parquet
from seedbed.config.folders import ConfigFolders
from seedbed.engines import Completion
from seedbed.study.cells import grid
from seedbed.study.estimate import (
    ANSWER_TOKENS,
    ATTEMPTS,
    CHECK_TOKENS,
    PROMPT_TOKENS,
    QUESTION_TOKENS,
    ROW_TOKENS,
    work,
)
from seedbed.study.loading import load_study
from seedbed.study.paths import Paths
from seedbed.study.query_prices import query_prices
from seedbed.study.quote import answered, quote, text
from seedbed.study.rows import Rows
from seedbed.study.targets import Targets
from seedbed.tasks.items import TaskItem, to_frame

TEACHER = "models/teacher.yaml"
PRICE = {
    "usd_per_million_prompt_tokens": 2.0,
    "usd_per_million_completion_tokens": 10.0,
    "date": "2026-01-31",
}
PRICED = sf.bend(sf.FILES, TEACHER, ("price",), PRICE)
# In the study: 10 and 20 seeds, up to 4 queries a seed, answered as they are and to new questions.
QUERIES = {"answers": 2 * (40 + 80), "questions": 40 + 80}
AA = "task=sums/method=answer_augmentation/augmenter=none/teacher=teacher/seeds=20/replicate=1"
NQ = "task=sums/method=new_question/augmenter=teacher/seeds=20/replicate=1"


def quoted(folder, files=PRICED):
    study = load_study("trial", sf.write(folder, files))
    found = quote(study, grid(study), folder / "results")
    return study, found


def lines(some):
    return {line.stage: line for line in some if line.model == "teacher"}


def save_answers(folder, shard, rows):
    """Write a shard of AA's answers, 50 tokens read and 20 written each; None is an empty slot."""
    path = folder / "results/answers" / AA / f"shard={shard}/answers.parquet"
    path.parent.mkdir(parents=True)
    pl.DataFrame(
        {
            "answer": rows,
            "finish_reason": [None if row is None else "stop" for row in rows],
            "teacher_prompt_tokens": [0 if row is None else 50 for row in rows],
            "teacher_completion_tokens": [0 if row is None else 20 for row in rows],
            "teacher_seconds": [0.0 if row is None else 3.6 for row in rows],
        },
        schema_overrides={"answer": pl.String, "finish_reason": pl.String},
    ).write_parquet(path)


def save_journal(folder, count, torn=""):
    path = folder / "results/state/answers" / AA / "a.jsonl"
    path.parent.mkdir(parents=True)
    answer = Completion("k", "x", "stop", prompt_tokens=50, completion_tokens=20, seconds=3.6)
    lines = [json.dumps({"request": f"{n:064x}", **asdict(answer)}) for n in range(count)]
    path.write_text("".join(f"{line}\n" for line in lines) + torn)


def test_from_nothing_all_is_assumed_and_left(tmp_path):
    study, found = quoted(tmp_path)
    asked = lines(found.whole)
    assert asked["answers"].queries == QUERIES["answers"]
    assert asked["answers"].prompt_tokens == QUERIES["answers"] * PROMPT_TOKENS
    assert asked["answers"].completion_tokens == QUERIES["answers"] * ANSWER_TOKENS
    assert asked["answers"].usd == pytest.approx(
        QUERIES["answers"] * (2 * PROMPT_TOKENS + 10 * ANSWER_TOKENS) / 1e6
    )
    # Each question is checked.
    assert asked["questions"].queries == QUERIES["questions"] * ATTEMPTS * 2
    assert asked["questions"].completion_tokens == pytest.approx(
        QUERIES["questions"] * ATTEMPTS * (QUESTION_TOKENS + CHECK_TOKENS)
    )
    assert {line.measured for line in found.whole} == {0.0}
    assert found.left == found.whole
    assert "Still to pay: all of it." in text(study, found)
    assert "Price of teacher: as of 2026-01-31." in text(study, found)


def test_an_unknown_price_is_unknown_and_never_nothing(tmp_path):
    study, found = quoted(tmp_path, sf.FILES)
    assert {line.usd for line in found.whole} == {None}
    said = text(study, found)
    assert "US dollars unknown" in said
    assert "No price in config/models: teacher, student." in said
    assert "0.00" not in said.split("GB")[0].split("queries", 1)[1].split("dollars")[0]
    half = PRICE | {"usd_per_million_completion_tokens": None}
    _, found = quoted(tmp_path / "half", sf.bend(sf.FILES, TEACHER, ("price",), half))
    assert lines(found.whole)["answers"].usd is None


def test_what_was_done_measures_the_rest_and_is_paid(tmp_path):
    _, before = quoted(tmp_path)
    save_answers(tmp_path, 0, ["a"] * 8)
    study, found = quoted(tmp_path)
    whole, left = lines(found.whole)["answers"], lines(found.left)["answers"]
    # AA is 120 of the 240 queries, on both seed sets; NQ stays assumed.
    assert whole.completion_tokens == 120 * 20 + 120 * ANSWER_TOKENS
    assert whole.queries - left.queries == 8
    assert whole.usd - left.usd == pytest.approx(8 * (2 * 50 + 10 * 20) / 1e6)
    assert 0 < whole.measured < 1
    assert "% measured" in text(study, found)
    assert "Still to pay: " in text(study, found)
    assert lines(found.whole)["questions"] == lines(before.whole)["questions"]


def test_a_shard_that_is_not_whole_counts_by_its_journal(tmp_path):
    save_journal(tmp_path, 30, torn='{"text": "half a li')
    _, found = quoted(tmp_path)
    whole, left = lines(found.whole)["answers"], lines(found.left)["answers"]
    assert whole.queries - left.queries == 30
    assert whole.completion_tokens == 120 * 20 + 120 * ANSWER_TOKENS
    # Part of them are in a shard by now: they are not counted twice.
    save_answers(tmp_path, 0, ["a"] * 8)
    _, found = quoted(tmp_path)
    assert lines(found.whole)["answers"].queries - lines(found.left)["answers"].queries == 30


def test_empty_slots_make_a_stream_cheaper(tmp_path):
    save_answers(tmp_path, 0, ["a"] * 6 + [None] * 2)
    _, found = quoted(tmp_path)
    assert lines(found.whole)["answers"].queries == pytest.approx(120 * 6 / 8 + 120)


def test_more_than_is_asked_for_leaves_nothing(tmp_path):
    for shard, size in enumerate((8, 8, 16, 32, 64)):
        save_answers(tmp_path, shard, ["a"] * size)
    save_journal(tmp_path, 500)
    _, found = quoted(tmp_path)
    # Of AA, the smaller seed set is left.
    assert lines(found.left)["answers"].queries == 40 + 120


def test_a_shard_that_holds_too_little_leaves_the_difference(tmp_path):
    # Shards begin at 0, 8, 16, 32 and 64; the last has 16 queries of the study's 80.
    for shard, size in enumerate((8, 8, 16, 32, 5)):
        save_answers(tmp_path, shard, ["a"] * size)
    _, found = quoted(tmp_path)
    left = lines(found.left)["answers"]
    assert left.queries == 11 + 40 + 120
    assert left.usd == pytest.approx(
        (51 * (2 * 50 + 10 * 20) + 120 * (2 * PROMPT_TOKENS + 10 * ANSWER_TOKENS)) / 1e6
    )


def test_what_a_shard_holds_beyond_the_study_is_not_of_its_cost(tmp_path):
    for shard, size in enumerate((8, 8, 16, 32)):
        save_answers(tmp_path, shard, ["a"] * size)
    save_answers(tmp_path, 4, ["a"] * 16 + [None] * 24 + ["a"] * 24)
    study, found = quoted(tmp_path)
    # Empty slots beyond the 80th query are no part of the lengths.
    assert lines(found.whole)["answers"].queries == QUERIES["answers"]
    assert lines(found.left)["answers"].queries == 40 + 120
    # What was paid is another question.
    paid = answered(study, grid(study), tmp_path / "results")
    assert paid["answers", "teacher"].queries == paid["answers", "teacher"].used.requests == 104


def test_votes_are_paid_as_far_as_their_shard_says(tmp_path):
    files = sf.bend(PRICED, "studies/trial.yaml", ("blocks", 0, "filters"), ["verified"])
    _, before = quoted(tmp_path / "before", files)
    stream = NQ.replace("/seeds", "/teacher=teacher/seeds")
    path = tmp_path / "now/results/samples" / stream / "shard=0/samples.parquet"
    # The first five queries, of which two have no answer to ask for again.
    rows = pl.DataFrame({"query": [0, 0, 1, 1, 4, 4]}).with_columns(
        verification_prompt_tokens=50, verification_completion_tokens=20, verification_seconds=1.0
    )
    write_parquet(path, rows, {"queries": {"start": 0, "stop": 5}})
    _, found = quoted(tmp_path / "now", files)
    assert lines(before.left)["verification"].queries == 120 * 2
    assert lines(found.left)["verification"].queries == pytest.approx(115 * 6 / 5)


def test_lengths_are_those_of_the_tasks_rows_where_these_are_at_hand(tmp_path, monkeypatch):
    """By characters without a tokenizer; a thinking allowance counts, and a stated length more."""
    thinking = sf.bend(PRICED, "models/teacher.yaml", ("engine",), {"thinking_tokens": 500})
    study, _ = quoted(tmp_path, thinking)
    monkeypatch.chdir(tmp_path)
    rows = Rows(Paths(study, grid(study)))
    part = next(p for p in work(study, grid(study).cells) if p.stage == "answers")
    limit = study.tasks[part.task].max_tokens.answer
    found, how = rows.lengths(part)
    assert (found.prompt_tokens, how) == (PROMPT_TOKENS, "assumed")
    assert found.completion_tokens == 500 + min(ANSWER_TOKENS, limit)
    items = [TaskItem(f"s{n}", "q" * 400, context="", answer="#### 1", gold="1") for n in range(3)]
    file = tmp_path / f"resources/tasks/task={part.task}/train.parquet"
    file.parent.mkdir(parents=True)
    to_frame(items).write_parquet(file)
    rows = Rows(Paths(study, grid(study)))
    found, how = rows.lengths(part)
    assert how == "prompts by characters, answers assumed"
    assert 100 <= found.prompt_tokens < PROMPT_TOKENS
    line = lines(quote(study, grid(study), tmp_path / "results", rows).whole)["answers"]
    assert line.lengths == how
    assert line.prompt_tokens == pytest.approx(QUERIES["answers"] * found.prompt_tokens)
    stated = sf.bend(thinking, "models/teacher.yaml", ("answer_tokens",), 900)
    study, _ = quoted(tmp_path / "stated", stated)
    found, how = Rows(Paths(study, grid(study))).lengths(part)
    assert (found.completion_tokens, how) == (900, "prompts by characters, answers stated")


def test_gpu_hours_have_a_price_and_training_too(tmp_path):
    hour = {"usd_per_gpu_hour": 3.0, "date": "2026-01-31"}
    files = sf.FILES
    for name in ("teacher", "student"):
        files = sf.bend(files, f"models/{name}.yaml", ("price",), hour)
        files = sf.bend(files, f"models/{name}.yaml", ("size",), 8)
    for shard, size in enumerate((8, 8)):
        save_answers(tmp_path, shard, ["a"] * size)
    study, found = quoted(tmp_path, files)
    for line in found.whole:
        assert line.usd == pytest.approx(line.hours * 3.0), line.stage
    paid = answered(study, grid(study), tmp_path / "results")["answers", "teacher"]
    assert paid.gpu_seconds == pytest.approx(16 * 3.6)
    assert (paid.usd, paid.unpriced.requests) == (0, 0)


def test_copies_of_a_model_take_less_time_for_the_same_money(tmp_path):
    found = []
    for count in (1, 4):
        teacher = {
            "title": "T", "hub": {"id": "owner/a-8b", "revision": None},
            "price": {"usd_per_gpu_hour": 3.0, "date": "2026-01-31"},
            "engine": {"kind": "vllm", "data_parallel_size": count},
        }  # fmt: skip
        files = sf.bend(sf.FILES, "models/teacher.yaml", (), teacher)
        whole = quoted(tmp_path / str(count), files)[1].whole
        found.append(next(line for line in whole if line.stage == "answers"))
    one, four = found
    assert four.hours == pytest.approx(one.hours / 4)
    assert one.usd > 0 and four.usd == pytest.approx(one.usd)


def test_the_quote_names_trainings_with_few_steps(tmp_path):
    study, found = quoted(tmp_path)
    said = found.caution
    # Batches of 4 rows, each row once, and up to 80 rows.
    assert "fewer than 20 optimiser steps" in said and said in text(study, found)
    assert found.to_json()["caution"] == said
    long = sf.bend(PRICED, "studies/trial.yaml", ("training", "epochs"), 100)
    assert quoted(tmp_path / "long", long)[1].caution is None
    # Blocks of several rows each, so fewer steps.
    for key, value in (("packing", True), ("max_length", 40 * ROW_TOKENS)):
        long = sf.bend(long, "studies/trial.yaml", ("training", key), value)
    assert "fewer than 20 optimiser steps" not in (quoted(tmp_path / "b", long)[1].caution or "")
    short = sf.bend(long, "studies/trial.yaml", ("training", "epochs"), 19)
    caution = quoted(tmp_path / "c", short)[1].caution
    assert "the fewest, 19, in" in caution


def test_a_query_costs_by_method_what_the_quote_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    study = load_study("trial", sf.write(tmp_path / "config", PRICED))
    flow = Targets(study, grid(study), folders=ConfigFolders.of(tmp_path / "config"))
    found = query_prices(flow, "sums")
    assert found["unknown"] == {} and found["models"] == ["Teacher (of 2026-01-31)"]
    # As if the whole study were of one method: its answers, and the questions behind them.
    for method, stages in (
        ("answer_augmentation", {"answers"}),
        ("new_question", {"answers", "questions"}),
    ):
        block = sf.STUDY["blocks"][0] | {"methods": [method], "seeds": [10], "budget_ratios": [4]}
        if stages == {"answers"}:
            del block["augmenters"]
        alone = load_study("trial", tmp_path / "config", {"blocks": [block]})
        rows = Rows(Paths(alone, grid(alone), None, flow.folders))
        whole = quote(alone, grid(alone), tmp_path / "results", rows).whole
        usd = sum(line.usd for line in whole if line.stage in stages)
        assert found["usd"][method] == pytest.approx(usd / 40)
    # A task that the study does not have is priced alike; an unknown price is named.
    assert query_prices(flow, "real")["usd"].keys() == found["usd"].keys()
    bare = load_study("trial", sf.write(tmp_path / "bare", sf.FILES))
    bare_flow = Targets(bare, grid(bare), folders=ConfigFolders.of(tmp_path / "bare"))
    unknown = query_prices(bare_flow, "sums")
    assert unknown["usd"] == {} and set(unknown["unknown"].values()) == {"price of teacher"}
