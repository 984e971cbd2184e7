import json
import sqlite3

import polars as pl
import pytest
from recording_engine import KilledError, RecordingEngine, no_engine, timeless

from seedbed.evaluation.scorers import make_scorer
from seedbed.streams.answers import SCHEMA
from seedbed.streams.response_cache import ResponseCache
from seedbed.streams.settings import SampleSettings
from seedbed.streams.validity import CHECKS_SCHEMA, check_answers, requires_new_answer
from seedbed.streams.verification import (
    LABELS_SCHEMA,
    SAMPLES_SCHEMA,
    sample_answers,
    verify_answers,
)
from seedbed.tasks.choices import with_choices
from seedbed.tasks.items import TaskItem, read_items
from seedbed.tasks.record import TaskCounts, TaskRecord

SETTINGS = SampleSettings(
    stream="task=t/method=new_question", samples=3, answer_tokens=9, temperature=0.7, top_p=0.9
)
SUMS = [TaskItem(f"train-{n}", f"{n} + {n}?", "", f"#### {2 * n}", str(2 * n)) for n in range(2)]


def silent(text):
    pass


def answered(*answers, questions=None, finish_reasons=None):
    """Rows of answers; None is an empty slot."""
    rows = [
        {
            "query": n,
            "seed_id": "",
            "sample": 0,
            "question": questions[n] if questions else f"Question {n}?",
            "prompt": None if answer is None else f"Solve: question {n}?",
            "answer": answer,
            "finish_reason": finish_reasons[n] if finish_reasons else "stop",
            "teacher_prompt_tokens": 1,
            "teacher_completion_tokens": 1,
            "teacher_seconds": 0.0,
        }
        for n, answer in enumerate(answers)
    ]
    return pl.DataFrame(rows, schema=SCHEMA)


def voted(*votes):
    """Rows of votes from (query, answer) pairs; an answer of None was cut."""
    rows = [
        {
            "query": query,
            "sample": 1,
            "answer": answer or "and so on",
            "finish_reason": "stop" if answer else "length",
            "verification_prompt_tokens": 1,
            "verification_completion_tokens": 1,
            "verification_seconds": 0.0,
        }
        for query, answer in votes
    ]
    return pl.DataFrame(rows, schema=SAMPLES_SCHEMA)


def check(answers, seeds=SUMS, kind="number", folder=".", any_form=False):
    scorer = make_scorer(kind, {}, folder)
    try:
        return check_answers(answers, seeds, kind, scorer, any_form)
    finally:
        scorer.close()


def verify(answers, votes=None, seeds=SUMS, kind="number", folder="."):
    scorer = make_scorer(kind, {}, folder)
    try:
        return verify_answers(answers, votes, seeds, kind, scorer)
    finally:
        scorer.close()


# --- votes


def votes_of(engine, folder, answers, stop=9):
    journal = ResponseCache(folder, "m")
    return sample_answers(SETTINGS, answers, stop, lambda: engine, journal, silent)


def test_whole_answers_below_the_bound_are_asked_for_again(tmp_path):
    answers = answered(
        "1", None, "2", " ", "3", "4", finish_reasons=["stop", None, "length", *["stop"] * 3]
    )
    engine = RecordingEngine(lambda request: (str(request.seed), "stop"))
    votes = votes_of(engine, tmp_path, answers, stop=5)
    assert votes.schema == SAMPLES_SCHEMA
    assert votes.select("query", "sample").rows() == [(0, 1), (0, 2), (4, 1), (4, 2)]
    assert {request.messages[0][1] for request in engine.asked} == {
        "Solve: question 0?",
        "Solve: question 4?",
    }
    # Each vote is sampled apart.
    assert votes["answer"].n_unique() == 4


def test_no_answer_to_ask_for_again_needs_no_engine(tmp_path):
    votes = sample_answers(
        SETTINGS, answered(None), 1, no_engine, ResponseCache(tmp_path, "m"), silent
    )
    assert (votes.height, votes.schema) == (0, SAMPLES_SCHEMA)


@pytest.mark.parametrize("after", [0, 3, 19])
def test_votes_of_a_run_that_died_are_not_paid_twice(tmp_path, after):
    answers = answered(*"0123456789")

    def answer(request):
        return str(request.seed % 7), "stop"

    whole = votes_of(RecordingEngine(answer), tmp_path / "whole", answers, 10)
    dying, second = RecordingEngine(answer, die_after=after), RecordingEngine(answer)
    with pytest.raises(KilledError):
        votes_of(dying, tmp_path / "killed", answers, 10)
    assert timeless(votes_of(second, tmp_path / "killed", answers, 10)).equals(timeless(whole))
    assert len(dying.asked) + len(second.asked) == 20


# --- answers to the seeds


def test_an_answer_to_the_seed_is_verified_by_the_seeds_own(tmp_path):
    answers = answered("#### 0", "It is 2.", "So #### 1", "no idea", None, "#### 2")
    verdicts = verify(answers)
    assert verdicts.schema == LABELS_SCHEMA
    assert verdicts.select("query", "final", "verified").rows() == [
        (0, "0", True),
        (1, "2", True),
        (2, "1", False),
        (3, None, False),
        (5, "2", True),
    ]


def test_cut_and_blank_answers_are_not_judged():
    answers = answered("#### 0", " \n", "#### 0", finish_reasons=["length", "stop", "stop"])
    assert verify(answers)["query"].to_list() == [2]
    assert check(answers)["query"].to_list() == [2]


# --- answers to new questions


def test_a_new_question_whose_answer_is_the_seeds_does_not_do():
    checks = check(answered("#### 0", "#### 5", "#### 0.0", "#### 3", "who knows"))
    assert checks.schema == CHECKS_SCHEMA
    assert checks["problem"].to_list() == [
        "same_answer_as_seed",
        "",
        "same_answer_as_seed",
        "",
        "unreadable_answer",
    ]
    # A scorer of the task's own may read what its kind does not.
    own = check(answered("#### 0", "who knows"), any_form=True)
    assert own["problem"].to_list() == ["same_answer_as_seed", ""]


def test_an_answer_that_is_the_seeds_will_do_where_no_new_one_is_required():
    scorer = make_scorer("number", {}, ".")
    answers = answered("#### 0", "who knows")
    checks = check_answers(answers, SUMS, "number", scorer, new_answer=False)
    assert checks["problem"].to_list() == ["", "unreadable_answer"]


@pytest.mark.parametrize(
    ("setting", "kind", "values", "items", "required"),
    [
        # Yes and no.
        (None, "exact", 2, 40, False),
        (None, "choice", 2, 40, False),
        (None, "exact", 5, 40, False),
        ("required", "exact", 2, 40, True),
        ("not_required", "exact", 40, 40, False),
        ("not_required", "number", 40, 40, False),
        # Names, and numbers.
        (None, "exact", 12, 12, True),
        (None, "exact", 11, 40, True),
        (None, "exact", 21, 4000, True),
        (None, "number", 2, 40, True),
        (None, "sql", 2, 40, True),
        # Of a task that was made before they were counted.
        (None, "exact", None, 40, True),
    ],
)
def test_few_labels_need_no_new_answer(setting, kind, values, items, required):
    record = TaskRecord(counts=TaskCounts(train_items=items), gold_values=values)
    assert requires_new_answer(setting, kind, record) is required


@pytest.mark.parametrize(("setting", "dropped"), [(None, 0), ("not_required", 0), ("required", 20)])
def test_new_questions_of_two_labels_are_kept_whatever_their_answer(tmp_path, setting, dropped):
    from get_task import get_task

    golds = ["yes", "no"]
    lines = [json.dumps({"q": f"Is {n} odd?", "a": golds[n % 2]}) for n in range(40)]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines))
    source = {"files": {"train": "rows.jsonl", "test": "rows.jsonl"}, "answer": "Answer: {gold}"}
    source |= {"columns": {"question": "q", "gold": "a"}}
    get_task(source, tmp_path, tmp_path / "task")
    record = TaskRecord.read(tmp_path / "task" / "task.json")
    seeds = read_items(tmp_path / "task" / "train.parquet")
    answers = answered(*(f"Answer: {golds[n // 2 % 2]}" for n in range(40)))
    checks = check_answers(
        answers,
        seeds,
        "exact",
        make_scorer("exact", {}, tmp_path),
        new_answer=requires_new_answer(setting, "exact", record),
    )
    problems = checks["problem"].to_list()
    assert problems.count("same_answer_as_seed") == dropped
    assert len(problems) - dropped == problems.count("")


@pytest.mark.parametrize(
    ("votes", "agreeing", "verified"),
    [
        (["5", "5.0"], 3, True),
        (["5", "6"], 2, True),
        (["6", "6"], 1, False),
        # A cut vote agrees with nothing, and counts.
        (["5", None, None], 2, False),
        ([None, None], 1, False),
        (["5", "5", "6", "6"], 3, True),
        (["5", "6", "6"], 2, False),
    ],
)
def test_more_than_half_must_agree(votes, agreeing, verified):
    votes = voted(*((0, vote and f"#### {vote}") for vote in votes))
    (row,) = verify(answered("#### 5"), votes).iter_rows(named=True)
    assert (row["samples"], row["agreeing"]) == (votes.height + 1, agreeing)
    assert row["verified"] is verified


@pytest.mark.parametrize(("answered_votes", "verified"), [(1, True), (0, False)])
def test_a_sample_without_an_answer_is_no_vote(answered_votes, verified):
    ends = (["stop"] * answered_votes + ["failed", "rejected", "failed"])[:3]
    votes = voted(*((0, "#### 5") for _ in ends)).with_columns(finish_reason=pl.Series(ends))
    (row,) = verify(answered("#### 5"), votes).iter_rows(named=True)
    assert (row["samples"], row["agreeing"]) == (1 + answered_votes, 1 + answered_votes)
    assert row["verified"] is verified


def test_an_answer_that_cannot_be_read_is_not_verified_by_others_like_it():
    (row,) = verify(answered("hm"), voted((0, "hm"), (0, "hm"))).iter_rows(named=True)
    assert row["verified"] is False


def test_queries_without_votes_are_not_known_to_be_right():
    verdicts = verify(answered("#### 5", "#### 6"), voted((0, "#### 5")))
    assert verdicts.select("query", "verified").rows() == [(0, True)]
    assert verify(answered("#### 5"), voted()).height == 0


OWL = TaskItem(
    "train-0",
    with_choices("Which flies?", ("owl", "cow", "eel")),
    "",
    "Answer: A",
    "A",
    ("owl", "cow", "eel"),
)


@pytest.mark.parametrize(
    ("choices", "answer", "vote", "problem", "verified"),
    [
        # The label is the seed's, what it stands for is not.
        (("crow", "cow", "eel"), "Answer: A", "It is (A)", "", True),
        (("cow", "owl", "eel"), "Answer: B", "Answer: owl", "same_answer_as_seed", True),
        (("crow", "cow", "eel"), "Answer: A", "Answer: B", "", False),
    ],
)
def test_choices_are_compared_by_what_they_say(choices, answer, vote, problem, verified):
    answers = answered(answer, questions=[with_choices("What else flies?", choices)])
    assert check(answers, [OWL], "choice")["problem"].to_list() == [problem]
    verdicts = verify(answers, voted((0, vote)), [OWL], "choice")
    assert verdicts["verified"].to_list() == [verified]


@pytest.fixture
def shop(tmp_path):
    (tmp_path / "databases").mkdir()
    with sqlite3.connect(tmp_path / "databases/shop.sqlite") as connection:
        connection.execute("CREATE TABLE goods(name TEXT, price INTEGER)")
        connection.execute("INSERT INTO goods VALUES ('tea', 3), ('jam', 4)")
    sql = "SELECT name FROM goods WHERE price > 3"
    item = TaskItem("train-0", "What costs more than 3?", "goods", sql, sql, database="shop.sqlite")
    return tmp_path, item


@pytest.mark.parametrize(
    ("sql", "vote", "problem", "verified"),
    [
        ("SELECT price FROM goods", "SELECT goods.price FROM goods ORDER BY 1", "", True),
        ("SELECT price FROM goods", "SELECT max(price) FROM goods", "", False),
        ("select NAME from goods where price > 3;", "SELECT 1", "same_answer_as_seed", False),
        ("SELECT name FROM goods WHERE price > 9", "SELECT 1", "no_rows", False),
        ("SELECT colour FROM goods", "SELECT 1", "query_failed", False),
        ("DROP TABLE goods", "SELECT 1", "query_failed", False),
        ("I do not know", "SELECT 1", "query_failed", False),
    ],
)
def test_queries_are_run(shop, sql, vote, problem, verified):
    folder, seed = shop
    before = (folder / "databases/shop.sqlite").read_bytes()
    assert check(answered(sql), [seed], "sql", folder)["problem"].to_list() == [problem]
    verdicts = verify(answered(sql), voted((0, vote)), [seed], "sql", folder)
    assert verdicts["verified"].to_list() == [verified]
    assert (folder / "databases/shop.sqlite").read_bytes() == before


def test_an_answer_in_sql_is_verified_by_what_the_seeds_query_finds(shop):
    folder, seed = shop
    answers = answered("SELECT name FROM goods WHERE price = 4", "SELECT name FROM goods")
    verdicts = verify(answers, None, [seed], "sql", folder)
    assert verdicts["verified"].to_list() == [True, False]
