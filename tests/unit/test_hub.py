import os
from pathlib import Path

import polars as pl
import pytest

from get_task import get_task
from seedbed.artifacts import read_json
from seedbed.evaluation.evaluation import check_references
from seedbed.evaluation.scorers import make_scorer
from seedbed.tasks.hub import HubSettings, items_of, read_split
from seedbed.tasks.items import SCHEMA, read_items
from seedbed.tasks.worlds import load_world

GSM8K = {
    "hub": "openai/gsm8k",
    "config": "main",
    "splits": {"train": "train", "test": "test"},
    "columns": {"question": "question", "answer": "answer"},
    "train_items": 7473,
    "test_items": 1319,
    "gold_after": "####",
}
ROWS = {
    "question": [f"How many are {n} and {n}?" for n in range(4)],
    "answer": [f"{n} + {n} = {2 * n}.\n#### {2 * n}" for n in range(4)],
}


def source(**changes):
    return HubSettings(**GSM8K | {"train_items": 4, "test_items": 2} | changes)


def save(folder, rows=ROWS, names=("train.parquet", "test.parquet")):
    """Write a data set in the hub's layout."""
    place = folder / "openai" / "gsm8k" / "main"
    place.mkdir(parents=True)
    for name in names:
        pl.DataFrame(rows).write_parquet(place / name)
    return folder


def test_rows_become_items_with_the_gold_read_from_the_answer(tmp_path):
    frame = read_split(source(), "test", save(tmp_path))
    first, second = items_of(source(), frame, "test")
    assert (first.item_id, second.item_id) == ("test-00000", "test-00001")
    assert second.question == "How many are 1 and 1?"
    assert second.answer == "1 + 1 = 2.\n#### 2"
    assert second.gold == "2"
    assert (second.context, second.choices, second.database) == ("", (), "")
    assert second.cluster == second.item_id


def test_splits_may_have_other_names_and_lie_in_several_files(tmp_path):
    names = ["validation-00000-of-00002.parquet", "validation-00001-of-00002.parquet"]
    settings = source(splits={"train": "train", "test": "validation"})
    frame = read_split(settings, "test", save(tmp_path, names=names))
    assert frame["question"].to_list() == ROWS["question"] * 2


def test_columns_may_have_other_names_and_hold_gold_and_identity(tmp_path):
    rows = {
        "q": ["A?", "B?"],
        "worked": ["so 1", "so 2"],
        "final": [1, 2],
        "number": [7, 8],
        "source": ["x", "x"],
        "unused": [0, 0],
    }
    columns = {
        "question": "q",
        "answer": "worked",
        "gold": "final",
        "item_id": "number",
        "cluster": "source",
    }
    frame = read_split(source(columns=columns), "test", save(tmp_path, rows))
    items = items_of(source(columns=columns), frame, "test")
    assert [(i.item_id, i.gold, i.cluster) for i in items] == [("7", "1", "x"), ("8", "2", "x")]


def test_a_split_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no train\.parquet in .*openai/gsm8k/main"):
        read_split(source(), "train", tmp_path)


def test_a_split_that_is_too_small_is_refused():
    with pytest.raises(ValueError, match="the train split has 4 rows, not 5"):
        items_of(source(train_items=5), pl.DataFrame(ROWS), "train")


def test_a_column_that_is_not_there_is_named_with_those_that_are():
    settings = source(columns={"question": "problem", "answer": "answer"})
    with pytest.raises(ValueError, match="no column 'problem'; it has: question, answer"):
        items_of(settings, pl.DataFrame(ROWS), "train")


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("answer", "It is two.", "item train-00002 of train has no final answer to read"),
        ("answer", "It is two. #### ", "item train-00002 of train has no final answer to read"),
        ("answer", None, "item train-00002 of train has no answer"),
        ("question", None, "item train-00002 of train has no question"),
        ("question", "", "item train-00002 of train has no question"),
    ],
)
def test_a_row_at_fault_is_named(column, value, message):
    values = list(ROWS[column])
    values[2] = value
    with pytest.raises(ValueError, match=message):
        items_of(source(), pl.DataFrame(ROWS | {column: values}), "train")


def test_an_identity_that_stands_twice_is_refused():
    rows = ROWS | {"id": ["a", "b", "a", "c"]}
    settings = source(columns=GSM8K["columns"] | {"item_id": "id"})
    with pytest.raises(ValueError, match="train has more than one item a"):
        items_of(settings, pl.DataFrame(rows), "train")


def test_a_task_is_written_whole_with_its_counts(tmp_path):
    settings = GSM8K | {"train_items": 3, "test_items": 2}
    counts = get_task(settings, save(tmp_path / "data"), tmp_path / "task")
    assert counts == {"train_items": 3, "test_items": 2}
    assert [item.gold for item in read_items(tmp_path / "task" / "train.parquet")] == [
        "0",
        "2",
        "4",
    ]
    assert pl.read_parquet_schema(tmp_path / "task" / "test.parquet") == SCHEMA
    record = read_json(tmp_path / "task" / "task.json")
    assert record["counts"] == counts
    assert record["source"] == settings


def test_a_task_that_cannot_be_read_is_not_written(tmp_path):
    rows = ROWS | {"answer": [*ROWS["answer"][:3], "I do not know."]}
    with pytest.raises(ValueError, match="item test-00003 of test has no final answer"):
        settings = GSM8K | {"train_items": 3, "test_items": 4}
        get_task(settings, save(tmp_path / "data", rows), tmp_path / "task")
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_the_gold_is_what_stands_after_the_last_mark_without_separators():
    rows = {"question": ["A?"], "answer": ["12 #### 3 is no end.\n####  1,234 \n"]}
    (item,) = items_of(source(train_items=1), pl.DataFrame(rows), "train")
    assert item.gold == "1234"


def test_without_a_mark_no_gold_is_guessed():
    with pytest.raises(ValueError, match="has no final answer to read"):
        items_of(source(gold_after=None), pl.DataFrame(ROWS), "train")


def test_a_generated_world_is_a_task_too(tmp_path):
    settings = {"world": "mini_math", "train_items": 30, "test_items": 20, "seed": 1}
    assert get_task(settings, None, tmp_path / "task") == {"train_items": 30, "test_items": 20}
    train, test = (read_items(tmp_path / "task" / f"{s}.parquet") for s in ("train", "test"))
    assert train == load_world("mini_math").items("train", 30, 1)
    assert len(test) == 20


def test_items_of_a_file_that_is_no_task_are_refused(tmp_path):
    pl.DataFrame(ROWS).write_parquet(tmp_path / "t.parquet")
    with pytest.raises(ValueError, match=r"t\.parquet has no column item_id, context, gold"):
        read_items(tmp_path / "t.parquet")


@pytest.mark.skipif(
    "SEEDBED_TEST_DATA" not in os.environ,
    reason="SEEDBED_TEST_DATA names no folder with data sets in the hub's layout",
)
def test_gsm8k_is_read_whole_and_its_golds_score_right(tmp_path):
    data = Path(os.environ["SEEDBED_TEST_DATA"])
    counts = get_task(GSM8K, data, tmp_path / "task")
    assert counts == {"train_items": 7473, "test_items": 1319}
    for split, number in (("train", 7473), ("test", 1319)):
        items = read_items(tmp_path / "task" / f"{split}.parquet")
        assert len(items) == len({item.item_id for item in items}) == number
        for item in items:
            assert item.answer.rsplit("#### ", 1)[1].replace(",", "") == item.gold
        assert check_references(items, make_scorer("number", {}, tmp_path)) == number
    assert items[0].question.startswith("Janet’s ducks lay 16 eggs per day.")
    assert items[0].gold == "18"
