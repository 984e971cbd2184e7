import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seedbed.streams import answers as answering
from seedbed.streams import questions as writing
from seedbed.streams.datasets import build_dataset

# What became of a query: answered, answered but cut, answered with nothing, without a question.
WHOLE, CUT, BLANK, EMPTY = "whole", "cut", "blank", "empty"


def answer_rows(fates, start=0):
    rows = []
    for n, fate in enumerate(fates, start):
        asked = fate != EMPTY
        rows.append(
            {
                "query": n,
                "seed_id": f"train-{n % 2}",
                "sample": n // 2,
                "question": f"Q{n % 5}?" if asked else None,
                "prompt": f"Solve: Q{n % 5}?" if asked else None,
                "answer": {EMPTY: None, BLANK: " \n"}.get(fate, f"A{n}"),
                "finish_reason": {WHOLE: "stop", CUT: "length", BLANK: "stop", EMPTY: None}[fate],
                "teacher_prompt_tokens": 10 if asked else 0,
                "teacher_completion_tokens": 3 if asked else 0,
            }
        )
    return pl.DataFrame(rows, schema=answering.SCHEMA)


def question_rows(reasons, start=0):
    rows = [
        {
            "query": n,
            "seed_id": f"train-{n % 2}",
            "sample": n // 2,
            "question": None,
            "reason": reason,
            "attempts": 1,
            "augmenter_queries": 2,
            "augmenter_prompt_tokens": 20,
            "augmenter_completion_tokens": 7,
        }
        for n, reason in enumerate(reasons, start)
    ]
    return pl.DataFrame(rows, schema=writing.SCHEMA)


def save(folder, name, *frames):
    """Write shards where the workflow has them, in folders named `key=value`."""
    paths = []
    for number, frame in enumerate(frames):
        path = folder / name / "seeds=2" / f"shard={number}" / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        frame.write_parquet(path)
        paths.append(path)
    return paths


def test_rows_are_chats_that_trainers_load(tmp_path):
    rows, counts = build_dataset(save(tmp_path, "answers", answer_rows([WHOLE] * 3)), [], 2)
    assert rows.columns == [
        "query",
        "seed_id",
        "sample",
        "question",
        "answer",
        "messages",
        "prompt_tokens",
        "completion_tokens",
    ]
    assert rows["messages"].to_list()[1] == [
        {"role": "user", "content": "Solve: Q1?"},
        {"role": "assistant", "content": "A1"},
    ]
    assert counts == {
        "queries": 2,
        "rows": 2,
        "empty_slots": 0,
        "truncated_answers": 0,
        "blank_answers": 0,
        "unique_questions": 2,
        "teacher_queries": 2,
        "teacher_prompt_tokens": 20,
        "teacher_completion_tokens": 6,
        "augmenter_queries": 0,
        "augmenter_prompt_tokens": 0,
        "augmenter_completion_tokens": 0,
        "failed_questions": {},
    }


def test_cut_and_blank_answers_and_empty_slots_are_counted_and_left_out(tmp_path):
    fates = [WHOLE, CUT, EMPTY, WHOLE, EMPTY, BLANK, CUT, WHOLE]
    reasons = ["", "truncated", "check_no,check_no,empty", "", "check_no", "", "", "truncated"]
    rows, counts = build_dataset(
        save(tmp_path, "answers", answer_rows(fates[:4]), answer_rows(fates[4:], 4)),
        save(tmp_path, "questions", question_rows(reasons[:4]), question_rows(reasons[4:], 4)),
        7,
    )
    assert rows["query"].to_list() == [0, 3]
    assert counts == {
        "queries": 7,
        "rows": 2,
        "empty_slots": 2,
        "truncated_answers": 2,
        "blank_answers": 1,
        "unique_questions": 2,
        "teacher_queries": 5,
        "teacher_prompt_tokens": 50,
        "teacher_completion_tokens": 15,
        "augmenter_queries": 14,
        "augmenter_prompt_tokens": 140,
        "augmenter_completion_tokens": 49,
        "failed_questions": {"check_no": 3, "empty": 1, "truncated": 1},
    }


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from([WHOLE, CUT, BLANK, EMPTY]), min_size=1, max_size=20), st.data())
def test_a_dataset_is_the_beginning_of_a_larger_one(tmp_path_factory, fates, data):
    folder = tmp_path_factory.mktemp("shards")
    cut = data.draw(st.integers(0, len(fates)))
    shards = save(folder, "answers", answer_rows(fates[:cut]), answer_rows(fates[cut:], cut))
    small = data.draw(st.integers(1, len(fates)))
    large = data.draw(st.integers(small, len(fates)))
    (fewer, small_counts), (more, counts) = (
        build_dataset(shards, [], budget) for budget in (small, large)
    )
    assert more[: fewer.height].equals(fewer)
    assert fewer["query"].to_list() == [n for n in range(small) if fates[n] == WHOLE]
    for name, count in small_counts.items():
        if name != "failed_questions":
            assert count <= counts[name]
    left_out = counts["truncated_answers"] + counts["blank_answers"]
    assert counts["rows"] + left_out == counts["teacher_queries"]
    assert counts["teacher_queries"] + counts["empty_slots"] == counts["queries"] == large


def test_the_order_of_the_shards_does_not_matter(tmp_path):
    shards = save(tmp_path, "answers", answer_rows([WHOLE] * 2), answer_rows([WHOLE] * 3, 2))
    assert build_dataset(shards, [], 5)[0].equals(build_dataset(shards[::-1], [], 5)[0])


def test_a_dataset_without_rows_has_the_same_columns(tmp_path):
    shards = save(tmp_path, "answers", answer_rows([EMPTY, CUT, WHOLE]))
    none, counts = build_dataset(shards, [], 2)
    some, _ = build_dataset(shards, [], 3)
    assert none.schema == some.schema
    assert (none.height, counts["rows"], counts["unique_questions"]) == (0, 0, 0)


@pytest.mark.parametrize(
    "frames",
    [
        [answer_rows([WHOLE] * 3)],  # the second shard is not there
        [answer_rows([WHOLE] * 3, 1)],  # the first is not
        [answer_rows([WHOLE] * 3), answer_rows([WHOLE] * 2, 4)],  # a gap
        [answer_rows([WHOLE] * 3), answer_rows([WHOLE] * 3, 2)],  # query 2 twice
    ],
)
def test_shards_that_do_not_hold_each_query_once_are_refused(tmp_path, frames):
    paths = save(tmp_path, "answers", *frames)
    with pytest.raises(ValueError, match="do not hold queries 0 to 4 once each; delete them"):
        build_dataset(paths, [], 5)


def test_question_shards_must_hold_each_query_too(tmp_path):
    answers = save(tmp_path, "answers", answer_rows([WHOLE] * 5))
    questions = save(tmp_path, "questions", question_rows([""] * 4))
    with pytest.raises(ValueError, match=r"questions\.parquet do not hold queries 0 to 4"):
        build_dataset(answers, questions, 5)


def test_the_file_is_loaded_by_datasets_as_it_is(tmp_path):
    from datasets import Dataset

    from seedbed.artifacts import write_parquet

    rows, _ = build_dataset(save(tmp_path, "answers", answer_rows([WHOLE, WHOLE])), [], 2)
    write_parquet(tmp_path / "dataset.parquet", rows, {"counts": {}})
    loaded = Dataset.from_parquet(
        str(tmp_path / "dataset.parquet"), cache_dir=str(tmp_path / "cache")
    )
    assert loaded["messages"][0] == [
        {"role": "user", "content": "Solve: Q0?"},
        {"role": "assistant", "content": "A0"},
    ]
