import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from build_dataset import Options
from build_dataset import job as build_job
from seedbed.artifacts import read_json
from seedbed.endings import ExpectedError
from seedbed.streams import answers as answering
from seedbed.streams import questions as writing
from seedbed.streams import validity, verification
from seedbed.streams.datasets import Shards, build_dataset
from seedbed.streams.losses import no_rows
from seedbed.streams.record import DatasetCounts
from seedbed.streams.settings import DatasetSettings
from seedbed.tasks.items import TaskItem, to_frame

# What became of a query: answered, answered but cut, answered with nothing, without a question.
WHOLE, CUT, BLANK, EMPTY = "whole", "cut", "blank", "empty"
SEEDS = [TaskItem(f"train-{n}", f"Seed {n}?", "", f"#### {n}", str(n)) for n in range(2)]


def build(
    answers=(),
    questions=(),
    budget=0,
    checks=(),
    samples=(),
    labels=(),
    test=(),
    seeds=SEEDS,
    overlap_words=None,
    **settings,
):
    """Build a dataset, by default of all whole answers among the first `budget`."""
    chosen = {"filter": "none", "reach": budget, "prompt": "Solve: {question}"} | settings
    parts = []
    record = build_dataset(
        DatasetSettings(budget=budget, overlap_words=overlap_words, **chosen),
        Shards(answers, questions, samples, checks, labels),
        seeds,
        test,
        parts.append,
    )
    return pl.concat(parts), record.model_dump()


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
                "teacher_seconds": 0.5 if asked else 0.0,
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
            "augmenter_seconds": 0.25,
        }
        for n, reason in enumerate(reasons, start)
    ]
    return pl.DataFrame(rows, schema=writing.SCHEMA)


def check_rows(problems):
    """Rows of checks, by query; None is an answer that was not checked."""
    rows = [{"query": n, "final": str(n), "problem": p} for n, p in enumerate(problems)]
    return pl.DataFrame(rows, schema=validity.CHECKS_SCHEMA).drop_nulls()


def verdict_rows(verdicts):
    """Rows of verdicts, by query; None is an answer that was not verified."""
    rows = [
        {"query": n, "final": str(n), "verified": v, "samples": 3, "agreeing": 3 if v else 1}
        for n, v in enumerate(verdicts)
    ]
    return pl.DataFrame(rows, schema=verification.LABELS_SCHEMA).drop_nulls()


def vote_rows(queries):
    rows = [
        {
            "query": n,
            "sample": sample,
            "answer": "A",
            "finish_reason": "stop",
            "verification_prompt_tokens": 10,
            "verification_completion_tokens": 2,
            "verification_seconds": 0.125,
        }
        for n in queries
        for sample in (1, 2)
    ]
    return pl.DataFrame(rows, schema=verification.SAMPLES_SCHEMA)


def save(folder, name, *frames):
    """Write shards where the workflow has them, in folders named `key=value`."""
    paths = []
    for number, frame in enumerate(frames):
        path = folder / name / "seeds=2" / f"shard={number}" / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        frame.write_parquet(path)
        paths.append(path)
    return paths


def test_rows_keep_thinking_where_the_answers_do(tmp_path):
    thought = answer_rows([WHOLE] * 2).with_columns(
        teacher_thinking=pl.Series(["so", None]), teacher_thinking_tokens=pl.Series([2, 0])
    )
    # A shard in which nothing was thought.
    other = answer_rows([WHOLE], start=2).with_columns(teacher_thinking=pl.lit(None, pl.String))
    rows, record = build(save(tmp_path, "answers", thought, other), budget=3)
    assert [chat[-1] for chat in rows["messages"]] == [
        {"role": "assistant", "content": f"A{n}", "reasoning_content": "so" if n == 0 else None}
        for n in range(3)
    ]
    assert rows["thinking_tokens"].to_list() == [2, 0, 0]
    assert record["counts"]["teacher_thinking_tokens"] == 2


def test_rows_are_chats_that_trainers_load(tmp_path):
    rows, record = build(save(tmp_path, "answers", answer_rows([WHOLE] * 3)), budget=2)
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
    assert record == {
        "counts": {
            "queries": 2,
            "rows": 2,
            "missing_rows": 0,
            "empty_slots": 0,
            "dropped": {},
            "unique_questions": 2,
            "near_seed_rows": 0,
            "near_test_rows": 0,
            "teacher_queries": 2,
            "teacher_prompt_tokens": 20,
            "teacher_completion_tokens": 6,
            "teacher_thinking_tokens": 0,
            "augmenter_queries": 0,
            "augmenter_prompt_tokens": 0,
            "augmenter_completion_tokens": 0,
            "verification_queries": 0,
            "verification_prompt_tokens": 0,
            "verification_completion_tokens": 0,
            "failed_questions": {},
        },
        "diversity": {"distinct_1": 1.0, "distinct_2": None, "distinct_3": None},
        "seconds": {"generation": 1.0},
    }


def test_answers_that_an_endpoint_refuses_are_counted_by_its_reason(tmp_path):
    ends = ["stop", "content_filter", "rejected", "tool_calls", "content_filter", "length"]
    answers = answer_rows([WHOLE] * 6).with_columns(finish_reason=pl.Series(ends))
    rows, record = build(save(tmp_path, "answers", answers), budget=6)
    assert rows["query"].to_list() == [0]
    assert record["counts"]["dropped"] == {
        "content_filter": 2,
        "not_finished": 1,
        "rejected": 1,
        "truncated": 1,
    }


def test_cut_and_blank_answers_and_empty_slots_are_counted_and_left_out(tmp_path):
    fates = [WHOLE, CUT, EMPTY, WHOLE, EMPTY, BLANK, CUT, WHOLE]
    reasons = ["", "truncated", "check_no,check_no,empty", "", "check_no", "", "", "truncated"]
    rows, record = build(
        save(tmp_path, "answers", answer_rows(fates[:4]), answer_rows(fates[4:], 4)),
        save(tmp_path, "questions", question_rows(reasons[:4]), question_rows(reasons[4:], 4)),
        7,
    )
    assert rows["query"].to_list() == [0, 3]
    counts = record["counts"]
    assert {name: counts[name] for name in ("queries", "rows", "empty_slots", "dropped")} == {
        "queries": 7,
        "rows": 2,
        "empty_slots": 2,
        "dropped": {"blank": 1, "truncated": 2},
    }
    assert counts["failed_questions"] == {"check_no": 3, "empty": 1, "truncated": 1}
    assert (counts["teacher_queries"], counts["teacher_prompt_tokens"]) == (5, 50)
    assert (counts["augmenter_queries"], counts["augmenter_completion_tokens"]) == (14, 49)
    assert record["seconds"] == {"generation": 5 * 0.5 + 7 * 0.25}


@settings(max_examples=30)
@given(st.lists(st.sampled_from([WHOLE, CUT, BLANK, EMPTY]), min_size=1, max_size=20), st.data())
def test_a_dataset_is_the_beginning_of_a_larger_one(tmp_path_factory, fates, data):
    folder = tmp_path_factory.mktemp("shards")
    cut = data.draw(st.integers(0, len(fates)))
    shards = save(folder, "answers", answer_rows(fates[:cut]), answer_rows(fates[cut:], cut))
    small = data.draw(st.integers(1, len(fates)))
    large = data.draw(st.integers(small, len(fates)))
    (fewer, first), (more, second) = (build(shards, budget=budget) for budget in (small, large))
    small_counts, counts = first["counts"], second["counts"]
    assert more[: fewer.height].equals(fewer)
    assert fewer["query"].to_list() == [n for n in range(small) if fates[n] == WHOLE]
    for name, count in small_counts.items():
        if name not in ("failed_questions", "dropped"):
            assert count <= counts[name]
    assert counts["rows"] + sum(counts["dropped"].values()) == counts["teacher_queries"]
    assert counts["teacher_queries"] + counts["empty_slots"] == counts["queries"] == large


def test_the_order_of_the_shards_does_not_matter(tmp_path):
    shards = save(tmp_path, "answers", answer_rows([WHOLE] * 2), answer_rows([WHOLE] * 3, 2))
    assert build(shards, budget=5)[0].equals(build(shards[::-1], budget=5)[0])


def test_a_dataset_without_rows_has_the_same_columns(tmp_path):
    shards = save(tmp_path, "answers", answer_rows([EMPTY, CUT, WHOLE]))
    none, record = build(shards, budget=2)
    some, _ = build(shards, budget=3)
    counts = record["counts"]
    assert none.schema == some.schema
    assert record["diversity"] == {"distinct_1": None, "distinct_2": None, "distinct_3": None}
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
        build(paths, budget=5)


def test_question_shards_must_hold_each_query_too(tmp_path):
    answers = save(tmp_path, "answers", answer_rows([WHOLE] * 5))
    questions = save(tmp_path, "questions", question_rows([""] * 4))
    with pytest.raises(ValueError, match=r"questions\.parquet do not hold queries 0 to 4"):
        build(answers, questions, 5)


def test_the_file_is_loaded_by_datasets_as_it_is(tmp_path):
    from datasets import Dataset

    from seedbed.artifacts import write_parquet

    rows, _ = build(save(tmp_path, "answers", answer_rows([WHOLE, WHOLE])), budget=2)
    write_parquet(tmp_path / "dataset.parquet", rows, {"counts": {}})
    loaded = Dataset.from_parquet(
        str(tmp_path / "dataset.parquet"), cache_dir=str(tmp_path / "cache")
    )
    assert loaded["messages"][0] == [
        {"role": "user", "content": "Solve: Q0?"},
        {"role": "assistant", "content": "A0"},
    ]


def test_real_pairs_are_the_seeds_with_their_own_answers_and_cost_nothing():
    rows, record = build(seeds=SEEDS, prompt="Solve: {question}")
    assert rows.select("query", "seed_id", "answer").rows() == [
        (0, "train-0", "#### 0"),
        (1, "train-1", "#### 1"),
    ]
    assert rows["messages"][1][0] == {"role": "user", "content": "Solve: Seed 1?"}
    counts = record["counts"]
    assert (counts["rows"], counts["queries"], counts["teacher_queries"]) == (2, 0, 0)
    assert counts["near_seed_rows"] == 2
    assert record["seconds"] == {"generation": 0}


def test_questions_of_the_test_split_are_left_out(tmp_path):
    answers = save(tmp_path, "answers", answer_rows([WHOLE] * 5))
    test = [TaskItem("test-0", " q1 ", "", "#### 0", "0")]
    rows, record = build(answers, budget=5, test=test)
    assert rows["query"].to_list() == [0, 2, 3, 4]
    assert record["counts"]["dropped"] == {"test_overlap": 1}


def test_the_database_of_a_question_tells_it_from_one_of_the_test_split(tmp_path):
    answers = save(tmp_path, "answers", answer_rows([WHOLE] * 2))
    seeds = [TaskItem("train-0", "Seed?", "shops(id)", "SELECT 1", "SELECT 1")]
    for context, kept in (("shops(id)", [0]), ("cars(id)", [0, 1])):
        test = [TaskItem("test-0", "Q1?", context, "SELECT 1", "SELECT 1")]
        assert build(answers, budget=2, test=test, seeds=seeds)[0]["query"].to_list() == kept


def test_a_new_question_that_does_not_do_is_left_out_whatever_the_filter(tmp_path):
    answers = save(tmp_path, "answers", answer_rows([WHOLE, WHOLE, CUT, WHOLE]))
    checks = check_rows(["same_answer_as_seed", "", None, "no_rows"])
    rows, record = build(answers, budget=4, checks=save(tmp_path, "checks", checks))
    assert rows["query"].to_list() == [1]
    dropped = {"same_answer_as_seed": 1, "no_rows": 1, "truncated": 1}
    assert record["counts"]["dropped"] == dropped


def test_verified_rows_are_those_whose_answer_was_found_right(tmp_path):
    answers = save(tmp_path, "answers", answer_rows([WHOLE] * 6))
    verdicts = save(tmp_path, "verdicts", verdict_rows([True, False, True, True, False, True]))
    votes = save(tmp_path, "votes", vote_rows(range(6)))
    rows, record = build(answers, budget=5, labels=verdicts, samples=votes, filter="verified")
    assert rows["query"].to_list() == [0, 2, 3]
    counts = record["counts"]
    assert counts["dropped"] == {"not_verified": 2}
    assert (counts["queries"], counts["missing_rows"]) == (5, 0)
    # Two further answers to each of five questions.
    assert counts["verification_queries"] == 10
    assert counts["verification_prompt_tokens"] == 100
    assert record["seconds"] == {"generation": 5 * 0.5 + 10 * 0.125}


@pytest.mark.parametrize("filter", ["verified", "verified_matched"])
def test_a_stream_without_a_whole_answer_gives_no_rows(tmp_path, filter):
    answers = save(tmp_path, "answers", answer_rows([CUT] * 4))
    verdicts = save(tmp_path, "verdicts", verdict_rows([None] * 4))
    rows, record = build(answers, budget=4, labels=verdicts, filter=filter)
    assert rows.height == 0
    assert record["counts"]["dropped"] == {"truncated": 4}


@pytest.mark.parametrize(("filter", "rows"), [("verified", 0), ("none", None)])
def test_a_filter_may_keep_nothing_and_no_filter_may_not(tmp_path, filter, rows, capsys):
    answers = save(tmp_path, "answers", answer_rows([CUT] * 4))
    labels = save(tmp_path, "labels", verdict_rows([None] * 4))
    to_frame(SEEDS).write_parquet(tmp_path / "seeds.parquet")
    options = Options(
        dataset={"task": "t", "budget": 4},
        seeds=tmp_path / "seeds.parquet",
        test=tmp_path / "seeds.parquet",
        answers=tuple(answers),
        labels=tuple(labels),
        settings=DatasetSettings(
            budget=4, filter=filter, reach=4, overlap_words=None, prompt="{question}"
        ),
        rows=tmp_path / "dataset.parquet",
        record=tmp_path / "dataset.json",
    )
    if rows is None:
        with pytest.raises(ExpectedError, match="none of 4 queries became a row"):
            build_job(options)
        return
    build_job(options)
    assert pl.read_parquet(tmp_path / "dataset.parquet").height == rows
    assert read_json(tmp_path / "dataset.json")["counts"]["dropped"] == {"truncated": 4}
    assert "raise max_tokens.answer" in capsys.readouterr().err


def test_matched_rows_go_on_along_the_stream_until_they_are_as_many(tmp_path):
    answers = save(tmp_path, "answers", answer_rows([WHOLE, WHOLE, CUT, WHOLE, WHOLE, WHOLE]))
    verdicts = save(tmp_path, "verdicts", verdict_rows([True, False, True, False, True, True]))
    settings = {"labels": verdicts, "filter": "verified_matched", "budget": 3}
    # All of the first three make two rows. The second one that is right is query 4.
    rows, record = build(answers, reach=6, **settings)
    assert rows["query"].to_list() == [0, 4]
    counts = record["counts"]
    assert (counts["queries"], counts["teacher_queries"], counts["missing_rows"]) == (5, 5, 0)
    # Query 4 is out of reach.
    rows, record = build(answers, reach=4, **settings)
    assert rows["query"].to_list() == [0]
    assert (record["counts"]["queries"], record["counts"]["missing_rows"]) == (4, 1)


def test_matched_rows_that_are_all_right_are_those_of_the_budget(tmp_path):
    answers = save(tmp_path, "answers", answer_rows([WHOLE, WHOLE, CUT, WHOLE]))
    verdicts = save(tmp_path, "verdicts", verdict_rows([True] * 4))
    matched = build(answers, budget=3, reach=4, labels=verdicts, filter="verified_matched")
    everything = build(answers, budget=3)
    assert matched[0].equals(everything[0])
    assert matched[1]["counts"]["queries"] == 3


@pytest.mark.slow
@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(st.sampled_from([WHOLE, CUT, EMPTY]), st.booleans()), min_size=1, max_size=16
    ),
    st.data(),
)
def test_matched_rows_are_as_many_as_all_or_missing(tmp_path_factory, stream, data):
    folder = tmp_path_factory.mktemp("matched")
    answers = save(folder, "answers", answer_rows([fate for fate, _ in stream]))
    verdicts = save(folder, "verdicts", verdict_rows([right for _, right in stream]))
    budget = data.draw(st.integers(1, len(stream)))
    every, _ = build(answers, budget=budget)
    right, _ = build(answers, budget=budget, labels=verdicts, filter="verified")
    matched, record = build(
        answers,
        budget=budget,
        reach=len(stream),
        labels=verdicts,
        filter="verified_matched",
    )
    assert matched[: right.height].equals(right)
    assert matched.height + record["counts"]["missing_rows"] == every.height
    assert all(stream[query][1] for query in matched["query"])


@pytest.mark.parametrize("filter", ["none", "verified"])
def test_new_questions_that_were_not_checked_are_no_dataset(tmp_path, filter):
    answers = save(tmp_path, "answers", answer_rows([WHOLE] * 3))
    checks = save(tmp_path, "checks", check_rows([""] * 2))
    verdicts = save(tmp_path, "verdicts", verdict_rows([True] * 3))
    with pytest.raises(ValueError, match="the answer to query 2 was not checked"):
        build(answers, budget=3, checks=checks, labels=verdicts, filter=filter)


def test_answers_that_were_not_verified_are_no_verified_dataset(tmp_path):
    answers = save(tmp_path, "answers", answer_rows([WHOLE] * 2))
    verdicts = save(tmp_path, "verdicts", verdict_rows([True, None]))
    with pytest.raises(ValueError, match="the answer to query 1 was not checked"):
        build(answers, budget=2, labels=verdicts, filter="verified")


def test_a_dataset_without_rows_is_an_error_that_says_why():
    counts = DatasetCounts(
        queries=64,
        empty_slots=4,
        dropped={"content_filter": 10, "truncated": 50},
        failed_questions={"check_no": 8},
    )
    said = no_rows(counts)
    assert "none of 64 queries became a row" in said
    assert said.index("50 truncated") < said.index("10 content_filter") < said.index("4 empty")
    assert "max_tokens.answer" in said
    assert "8 check_no" in said
