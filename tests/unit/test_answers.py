import polars as pl
import pytest
from recording_engine import KilledError, RecordingEngine, echo, no_engine, timeless

from seedbed.streams import sampling_seed
from seedbed.streams.answers import SCHEMA, answer_questions
from seedbed.streams.response_cache import ResponseCache
from seedbed.streams.settings import AnswerSettings
from seedbed.tasks.items import TaskItem

SEEDS = [
    TaskItem(f"train-{n}", f"How many are {n} and {n}?", f"table {n}", "", str(2 * n))
    for n in range(3)
]
SETTINGS = AnswerSettings(
    stream="task=t/method=answer_augmentation",
    prompt="{context}: {question}",
    answer_tokens=20,
    temperature=0.7,
    top_p=0.9,
)


def silent(text):
    pass


def answer(engine, folder, start=0, stop=8, questions=None, settings=SETTINGS):
    return answer_questions(
        settings,
        SEEDS,
        questions,
        range(start, stop),
        lambda: engine,
        ResponseCache(folder, "m"),
        silent,
    )


def written(*questions, start=0):
    rows = [{"query": start + n, "question": text} for n, text in enumerate(questions)]
    return pl.DataFrame(rows, schema={"query": pl.Int64, "question": pl.String})


def test_without_questions_the_seeds_are_asked_each_in_its_turn(tmp_path):
    engine = RecordingEngine(echo)
    rows = answer(engine, tmp_path)
    assert rows.schema == SCHEMA
    assert rows["query"].to_list() == list(range(8))
    assert rows["seed_id"].to_list() == [f"train-{i % 3}" for i in range(8)]
    assert rows["sample"].to_list() == [0, 0, 0, 1, 1, 1, 2, 2]
    assert rows["prompt"].to_list() == [f"table {i % 3}: {SEEDS[i % 3].question}" for i in range(8)]
    # The same seed asked again is answered with other random numbers.
    assert rows["answer"].n_unique() == 8
    assert {(r.max_tokens, r.temperature, r.top_p) for r in engine.asked} == {(20, 0.7, 0.9)}


def test_each_answer_stands_in_the_row_of_its_question(tmp_path):
    rows = answer(RecordingEngine(echo), tmp_path, 4, 30)
    for row in rows.iter_rows(named=True):
        seed = sampling_seed(SETTINGS.stream, row["query"], "answer")
        assert row["answer"] == f"{row['prompt']} / {seed}"
        assert row["teacher_prompt_tokens"] == len(row["prompt"].split())
        assert row["teacher_completion_tokens"] == len(row["answer"].split()) + 1


def test_an_empty_slot_costs_no_query(tmp_path):
    engine = RecordingEngine(echo)
    rows = answer(engine, tmp_path, 0, 4, written("A?", None, "", None))
    assert [request.messages[0][1] for request in engine.asked] in (
        ["table 0: A?", "table 2: "],
        ["table 2: ", "table 0: A?"],
    )
    assert rows["answer"].is_null().to_list() == [False, True, False, True]
    empty = rows.row(1, named=True)
    assert (empty["question"], empty["prompt"], empty["finish_reason"]) == (None, None, None)
    assert (empty["teacher_prompt_tokens"], empty["teacher_completion_tokens"]) == (0, 0)
    assert empty["seed_id"] == "train-1"


def test_a_stream_of_empty_slots_needs_no_engine(tmp_path):
    rows = answer_questions(
        SETTINGS,
        SEEDS,
        written(None, None),
        range(2),
        no_engine,
        ResponseCache(tmp_path, "m"),
        silent,
    )
    assert rows["answer"].null_count() == 2


def test_a_cut_answer_is_marked(tmp_path):
    rows = answer(RecordingEngine(lambda _: ("1 + 1 =", "length")), tmp_path, 0, 1)
    assert rows["finish_reason"].to_list() == ["length"]
    assert rows["answer"].to_list() == ["1 + 1 ="]


def test_two_shards_are_one_larger_one_cut_in_two(tmp_path):
    whole = answer(RecordingEngine(echo), tmp_path / "a", 0, 20)
    parts = [
        answer(RecordingEngine(echo), tmp_path / "b", start, stop)
        for start, stop in ((0, 8), (8, 9), (9, 20))
    ]
    assert timeless(pl.concat(parts)).equals(timeless(whole))


def test_a_shard_that_is_asked_for_alone_may_get_more_questions_than_its_own(tmp_path):
    questions = written(*(f"Q{n}?" for n in range(10)))
    rows = answer(RecordingEngine(echo), tmp_path, 4, 6, questions)
    assert rows["question"].to_list() == ["Q4?", "Q5?"]


def test_questions_that_lack_a_query_are_refused(tmp_path):
    with pytest.raises(ValueError, match="no row for query 2 of task=t"):
        answer(RecordingEngine(echo), tmp_path, 0, 3, written("A?", "B?"))


def test_braces_in_questions_are_text(tmp_path):
    rows = answer(RecordingEngine(echo), tmp_path, 0, 1, written("What is {question} {0}?"))
    assert rows["prompt"].to_list() == ["table 0: What is {question} {0}?"]


@pytest.mark.parametrize("after", [0, 1, 10, 19])
def test_a_run_that_died_ends_as_if_it_had_not(tmp_path, after):
    whole = answer(RecordingEngine(echo), tmp_path / "whole", 0, 20)
    dying = RecordingEngine(echo, die_after=after)
    with pytest.raises(KilledError):
        answer(dying, tmp_path / "killed", 0, 20)
    second = RecordingEngine(echo)
    killed = answer(second, tmp_path / "killed", 0, 20)
    assert timeless(killed).equals(timeless(whole))
    seeds = [request.seed for request in dying.asked + second.asked]
    assert len(seeds) == len(set(seeds)) == 20


def test_streams_are_answered_apart(tmp_path):
    first = answer(RecordingEngine(echo), tmp_path)
    other = SETTINGS.model_copy(update={"stream": "task=t/method=new_question"})
    second = answer(RecordingEngine(echo), tmp_path, settings=other)
    assert not set(first["answer"]) & set(second["answer"])
