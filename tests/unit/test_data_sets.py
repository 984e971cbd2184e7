import json
import os
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import polars as pl
import pytest
import yaml

from get_task import get_task
from seedbed.artifacts import read_json
from seedbed.evaluation.evaluation import check_references
from seedbed.evaluation.scorers import make_scorer
from seedbed.tasks.data_sets import database_file, items_of
from seedbed.tasks.items import SCHEMA, read_items
from seedbed.tasks.record import TaskCounts
from seedbed.tasks.rows import rows_of
from seedbed.tasks.selection import read_rows, select
from seedbed.tasks.settings import SourceOnly
from seedbed.tasks.worlds import load_world

GSM8K = {
    "hub": "openai/gsm8k", "config": "main", "splits": {"train": "train", "test": "test"},
    "columns": {"question": "question", "answer": "answer"}, "train_items": 7473,
    "test_items": 1319, "gold_after": "####",
}  # fmt: skip
ROWS = {
    "question": [f"How many are {n} and {n}?" for n in range(4)],
    "answer": [f"{n} + {n} = {2 * n}.\n#### {2 * n}" for n in range(4)],
}


def source(**changes):
    return SourceOnly.of(GSM8K | {"train_items": 4, "test_items": 2} | changes)


def items_in(settings, rows, split):
    """The items of some rows, which are a table or what was read."""
    if isinstance(rows, pl.DataFrame):
        rows = rows_of(rows.to_dicts(), "rows")
    return items_of(settings, select(settings, rows, split), split)


def save(folder, rows=ROWS, names=("train.parquet", "test.parquet")):
    """Write a data set in the hub's layout."""
    place = folder / "openai" / "gsm8k" / "main"
    place.mkdir(parents=True)
    for name in names:
        pl.DataFrame(rows).write_parquet(place / name)
    return folder


def test_rows_become_items_with_the_gold_read_from_the_answer(tmp_path):
    frame = read_rows(source(), "test", save(tmp_path))
    first, second = items_in(source(), frame, "test")
    assert (first.item_id, second.item_id) == ("test-00000", "test-00001")
    assert second.question == "How many are 1 and 1?"
    assert second.answer == "1 + 1 = 2.\n#### 2"
    assert second.gold == "2"
    assert (second.context, second.choices, second.database) == ("", (), "")
    assert second.cluster == second.item_id


def test_splits_may_have_other_names_and_lie_in_several_files(tmp_path):
    names = ["validation-00000-of-00002.parquet", "validation-00001-of-00002.parquet"]
    settings = source(splits={"train": "train", "test": "validation"})
    frame = read_rows(settings, "test", save(tmp_path, names=names))
    assert [row["question"] for row in frame.values] == ROWS["question"] * 2


def test_columns_may_have_other_names_and_hold_gold_and_identity(tmp_path):
    rows = {
        "q": ["A?", "B?"], "worked": ["so 1", "so 2"], "final": [1, 2], "number": [7, 8],
        "source": ["x", "x"], "unused": [0, 0],
    }  # fmt: skip
    columns = {
        "question": "q", "answer": "worked", "gold": "final", "item_id": "number",
        "cluster": "source",
    }  # fmt: skip
    frame = read_rows(source(columns=columns), "test", save(tmp_path, rows))
    items = items_in(source(columns=columns), frame, "test")
    assert [(i.item_id, i.gold, i.cluster) for i in items] == [("7", "1", "x"), ("8", "2", "x")]


def test_a_split_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no train\.parquet in .*openai/gsm8k/main"):
        read_rows(source(), "train", tmp_path)


def test_a_split_that_is_too_small_is_refused():
    with pytest.raises(ValueError, match="the train split has 4 items, not 5"):
        items_in(source(train_items=5), pl.DataFrame(ROWS), "train")


def test_a_column_that_is_not_there_is_named_with_those_that_are():
    settings = source(columns={"question": "problem", "answer": "answer"})
    with pytest.raises(ValueError, match="no column 'problem'; it has: question, answer"):
        items_in(settings, pl.DataFrame(ROWS), "train")


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
        items_in(source(), pl.DataFrame(ROWS | {column: values}), "train")


def test_an_identity_that_stands_twice_is_refused():
    rows = ROWS | {"id": ["a", "b", "a", "c"]}
    settings = source(columns=GSM8K["columns"] | {"item_id": "id"})
    with pytest.raises(ValueError, match="train has more than one item a"):
        items_in(settings, pl.DataFrame(rows), "train")


def test_a_task_is_written_whole_with_its_counts(tmp_path):
    settings = GSM8K | {"train_items": 3, "test_items": 2}
    counts = get_task(settings, save(tmp_path / "data"), tmp_path / "task")
    assert counts == TaskCounts(train_items=3, test_items=2)
    assert [item.gold for item in read_items(tmp_path / "task" / "train.parquet")] == [
        "0",
        "2",
        "4",
    ]
    assert pl.read_parquet_schema(tmp_path / "task" / "test.parquet") == SCHEMA
    record = read_json(tmp_path / "task" / "task.json")
    assert record["counts"] == counts.model_dump()
    assert record["source"] == settings


def test_a_task_that_cannot_be_read_is_not_written(tmp_path):
    rows = ROWS | {"answer": [*ROWS["answer"][:3], "I do not know."]}
    with pytest.raises(ValueError, match="item test-00003 of test has no final answer"):
        settings = GSM8K | {"train_items": 3, "test_items": 4}
        get_task(settings, save(tmp_path / "data", rows), tmp_path / "task")
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_the_gold_is_what_stands_after_the_last_mark():
    rows = {"question": ["A?"], "answer": ["12 #### 3 is no end.\n####  1,234 \n"]}
    (item,) = items_in(source(train_items=1), pl.DataFrame(rows), "train")
    assert item.gold == "1,234"


def test_without_a_mark_no_gold_is_guessed():
    with pytest.raises(ValueError, match="has no final answer to read"):
        items_in(source(gold_after=None), pl.DataFrame(ROWS), "train")


def test_an_empty_mark_takes_the_whole_answer(tmp_path):
    (item, *_) = items_in(source(gold_after=""), pl.DataFrame(ROWS), "train")
    assert item.gold == item.answer.strip() == ROWS["answer"][0].strip()


def test_a_generated_world_is_a_task_too(tmp_path):
    settings = {"world": "mini_math", "train_items": 30, "test_items": 20, "seed": 1}
    assert get_task(settings, None, tmp_path / "task") == TaskCounts(train_items=30, test_items=20)
    train, test = (read_items(tmp_path / "task" / f"{s}.parquet") for s in ("train", "test"))
    assert train == load_world("mini_math").items("train", 30, 1)
    assert len(test) == 20


def test_items_of_a_file_that_is_no_task_are_refused(tmp_path):
    pl.DataFrame(ROWS).write_parquet(tmp_path / "t.parquet")
    with pytest.raises(ValueError, match=r"t\.parquet has no column item_id, context, gold"):
        read_items(tmp_path / "t.parquet")


CHOICES = {
    "id": ["first", "second"], "question": ["What is hot?", "What is wet?"],
    "choices": [{"text": ["ice", "fire", "air"], "label": ["1", "2", "3"]}, {"text": ["sand",
     "stone", "fog", "rain"], "label": ["A", "B", "C", "D"]}],
    "answerKey": ["2", "D"],
}  # fmt: skip
CHOICE_COLUMNS = {
    "item_id": "id", "question": "question", "choices": "choices.text", "labels": "choices.label",
    "gold": "answerKey",
}  # fmt: skip


def choice_source(**changes):
    settings = {"columns": CHOICE_COLUMNS, "answer": "Answer: {gold}", "gold_after": None}
    return source(**settings | {"train_items": 2} | changes)


def test_choices_are_labelled_with_letters_below_the_question():
    first, second = items_in(choice_source(), pl.DataFrame(CHOICES), "train")
    assert first.question == "What is hot?\n(A) ice\n(B) fire\n(C) air"
    assert (first.item_id, first.gold, first.answer) == ("first", "B", "Answer: B")
    assert first.choices == ("ice", "fire", "air")
    assert (second.gold, len(second.choices)) == ("D", 4)
    assert check_references([first, second], make_scorer("choice", {}, Path())) == 2


def test_other_rows_than_those_of_the_digest_are_refused():
    frame = pl.DataFrame(CHOICES)
    wrong = {"train": "0" * 64, "test": "0" * 64}
    with pytest.raises(ValueError, match="the train split do not have the digest") as refusal:
        items_in(choice_source(sha256=wrong), frame, "train")
    right = {"train": str(refusal.value).rpartition(" ")[2], "test": "0" * 64}
    assert len(items_in(choice_source(sha256=right), frame, "train")) == 2
    # The order counts as well, as items may be excluded by their place.
    with pytest.raises(ValueError, match="the train split do not have the digest"):
        items_in(choice_source(sha256=right), frame.reverse(), "train")


def test_labels_may_be_numbers_and_a_gold_the_text_of_its_choice():
    rows = [
        {
            "question": "What is hot?",
            "choices": {"text": ["ice", "fire"], "label": [1, 2]},
            "key": 2,
        },
        {
            "question": "What is wet?",
            "choices": {"text": ["fog", "sand"], "label": [1, 2]},
            "key": 1,
        },
    ]
    columns = CHOICE_COLUMNS | {"gold": "key"}
    del columns["item_id"]
    found = items_in(choice_source(columns=columns), pl.DataFrame(rows), "train")
    assert [item.gold for item in found] == ["B", "A"]
    texts = [row | {"key": key} for row, key in zip(rows, ("ice", "sand"), strict=True)]
    found = items_in(choice_source(columns=columns), pl.DataFrame(texts), "train")
    assert [item.gold for item in found] == ["A", "B"]


@pytest.mark.parametrize(
    ("changes", "columns", "message"),
    [
        ({"answerKey": ["2", "E"]}, {}, "item second of train has the gold 'E', which is none of"),
        ({}, {"labels": "choices.letter"}, "'choices' has no field 'letter'; it has: text, label"),
        ({}, {"gold": "key"}, "no column 'key'; it has: id, question, choices, answerKey"),
        ({}, {"gold": "id.x"}, "column 'id' has no field 'x'; it has: none"),
    ],
)
def test_a_fault_of_a_data_set_with_choices_is_named(changes, columns, message):
    settings = choice_source(columns=CHOICE_COLUMNS | columns)
    with pytest.raises(ValueError, match=message):
        items_in(settings, pl.DataFrame(CHOICES | changes), "train")


def test_a_split_may_be_lines_of_json(tmp_path):
    place = tmp_path / "openai" / "gsm8k" / "main"
    place.mkdir(parents=True)
    lines = [json.dumps({"question": "A?", "answer": f"#### {n}", "more": [n]}) for n in range(5)]
    (place / "test.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    frame = read_rows(source(), "test", tmp_path)
    assert [item.gold for item in items_in(source(), frame, "test")] == ["0", "1"]


def shop(folder, names=("toys",)):
    """A data set of questions on databases; returns its source."""
    place = folder / "openai" / "gsm8k" / "main"
    for name in names:
        (place / "db").mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(place / "db" / f"{name}.sqlite")) as connection:
            connection.executescript(
                'CREATE TABLE shop(id INTEGER PRIMARY KEY, "opening hours" TEXT);'
                "CREATE TABLE toy(name TEXT, shop_id INT REFERENCES shop, price);"
                "INSERT INTO toy VALUES ('ball', 1, 3), ('kite', 1, 5);"
            )
    rows = {
        "question": [f"How many toys are there, time {n}?" for n in range(4)],
        "query": ["SELECT count(*) FROM toy"] * 4,
        "db": ["toys", "toys", "cars", "toys"],
    }
    for split in ("train", "test"):
        pl.DataFrame(rows).write_parquet(place / f"{split}.parquet")
    names = {"question": "question", "answer": "query", "gold": "query"}
    return GSM8K | {
        "columns": names | {"database": "db", "cluster": "db"},
        "gold_after": None,
        "databases": "db/{database}.sqlite",
        "train_items": 2,
        "test_items": 3,
        "excluded": [{"item": None, "database": "cars", "reason": "it is not here"}],
    }


def test_databases_come_along_and_give_the_context(tmp_path):
    settings = shop(tmp_path / "data")
    settings["excluded"] += [{"item": "train-00001", "database": None, "reason": "it is wrong"}]
    counts = get_task(settings, tmp_path / "data", tmp_path / "task")
    assert counts == TaskCounts(train_items=2, test_items=3)
    train = read_items(tmp_path / "task" / "train.parquet")
    assert [item.item_id for item in train] == ["train-00000", "train-00003"]
    assert (train[0].database, train[0].cluster) == ("toys.sqlite", "toys")
    assert train[0].context.splitlines() == [
        'shop(id INTEGER, "opening hours" TEXT)',
        "toy(name TEXT, shop_id INT, price)",
        "toy.shop_id = shop.id",
    ]
    record = read_json(tmp_path / "task" / "task.json")
    assert record["excluded"]["train"] == {
        "train-00001": "it is wrong",
        "train-00002": "it is not here",
    }
    with closing(make_scorer("sql", {}, tmp_path / "task")) as scorer:
        assert check_references(train, scorer) == 2
    # A change of a database changes no item, but the record.
    with closing(sqlite3.connect(next((tmp_path / "data").rglob("toys.sqlite")))) as database:
        database.execute("INSERT INTO toy VALUES ('kite', 1, 3)")
        database.commit()
    get_task(settings, tmp_path / "data", tmp_path / "later")
    later = read_json(tmp_path / "later" / "task.json")["databases"]
    assert later.keys() == record["databases"].keys()
    assert later != record["databases"]


def test_a_database_that_is_not_there_is_named(tmp_path):
    settings = shop(tmp_path / "data") | {"excluded": []}
    with pytest.raises(FileNotFoundError, match=r"no database .*main/db/cars\.sqlite"):
        get_task(settings | {"test_items": 4}, tmp_path / "data", tmp_path / "task")
    assert not (tmp_path / "task").exists()


def test_what_is_excluded_must_be_there(tmp_path):
    settings = shop(tmp_path / "data")
    settings["excluded"] += [{"item": "train-00009", "database": None, "reason": "a slip"}]
    with pytest.raises(ValueError, match="'train-00009' was to be excluded, but is not there"):
        get_task(settings, tmp_path / "data", tmp_path / "task")


@pytest.mark.parametrize("name", ["../toys", "/etc/passwd", "a/b", ".."])
def test_a_database_has_no_path_for_a_name(tmp_path, name):
    settings = SourceOnly.of(shop(tmp_path))
    with pytest.raises(ValueError, match="cannot be the name of a database"):
        database_file(settings, name, tmp_path)


CAPITALS = {
    "files": {"train": "train.jsonl", "test": "test.parquet"},
    "columns": {"question": "question", "gold": "capital"},
    "answer": "Answer: {gold}",
    "train_items": 3,
    "test_items": 2,
}


def own_files(folder):
    """A task's own folder, with a file of JSON lines and one of Parquet."""
    folder.mkdir()
    rows = [
        {"question": f"What is the capital of {country}?", "capital": capital, "more": [1]}
        for country, capital in (
            ("Italy", "Rome"),
            ("the US", "Washington, D.C."),
            ("Cuba", "Havana"),
        )
    ]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "train.jsonl").write_text(lines, encoding="utf-8")
    pl.DataFrame(rows[:2]).write_parquet(folder / "test.parquet")
    return folder


def test_a_tasks_own_files_become_items(tmp_path):
    counts = get_task(CAPITALS, own_files(tmp_path / "own"), tmp_path / "task")
    assert counts == TaskCounts(train_items=3, test_items=2)
    train = read_items(tmp_path / "task" / "train.parquet")
    assert [item.gold for item in train] == ["Rome", "Washington, D.C.", "Havana"]
    assert (train[1].item_id, train[1].answer) == ("train-00001", "Answer: Washington, D.C.")
    scorer = make_scorer("exact", {}, tmp_path / "task")
    assert check_references(train, scorer) == 3
    assert read_json(tmp_path / "task" / "task.json")["source"] == CAPITALS


def test_a_gold_after_a_mark_keeps_its_commas(tmp_path):
    own = own_files(tmp_path / "own")
    rows = [{"question": "Where?", "answer": f"I think.\nAnswer: {x}"} for x in ("A, B", "1,000")]
    (own / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    source = {"columns": {"question": "question", "answer": "answer"}, "gold_after": "Answer:"}
    settings = SourceOnly.of(
        {"files": CAPITALS["files"], "train_items": 2, "test_items": 2} | source
    )
    items = items_in(settings, read_rows(settings, "train", own), "train")
    assert [item.gold for item in items] == ["A, B", "1,000"]


@pytest.mark.parametrize(("key", "right"), [("train_items", 3), ("test_items", 2)])
@pytest.mark.parametrize("more", [-1, 1])
def test_a_wrong_number_of_own_items_is_an_error_that_says_the_right_one(
    tmp_path, key, right, more
):
    own = own_files(tmp_path / "own")
    split = key.removesuffix("_items")
    with pytest.raises(
        ValueError, match=rf"the {split} split has {right} items, not {right + more}"
    ):
        get_task(CAPITALS | {key: right + more}, own, tmp_path / "task")
    assert not (tmp_path / "task").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"question": "A?"}\n\n{"question": "B?",}\n', r"train\.jsonl:3: is no line of JSON: "),
        ("question,capital\n", r"train\.jsonl:1: is no line of JSON: "),
        ("", r"train\.jsonl is empty"),
        ("[1]\n", r"train\.jsonl:1: is no JSON object"),
        ('{"question": "A?"}\n', "has no column 'capital'; it has: question"),
        ('{"question": "A?", "capital": null}\n', "item train-00000 of train has no final answer"),
        ('{"question": null, "capital": "B"}\n', "item train-00000 of train has no question"),
        ('{"question": 5, "capital": "B"}\n', "has a question that is no text: 5"),
        ('{"question": ["A?"], "capital": "B"}\n', "has a question that is no text: "),
    ],
)
def test_a_fault_in_own_files_is_named(tmp_path, text, message):
    own = own_files(tmp_path / "own")
    (own / "train.jsonl").write_text(text)
    with pytest.raises(ValueError, match=message):
        get_task(CAPITALS | {"train_items": 1}, own, tmp_path / "task")


def test_a_file_that_is_no_parquet_is_named(tmp_path):
    own = own_files(tmp_path / "own")
    (own / "test.parquet").write_text('{"question": "A?", "capital": "B"}\n')
    with pytest.raises(ValueError, match=r"test\.parquet cannot be read as Parquet: "):
        get_task(CAPITALS, own, tmp_path / "task")


def test_own_files_may_come_with_databases(tmp_path):
    shop(tmp_path / "data")
    own = tmp_path / "data" / "openai" / "gsm8k" / "main"
    hub = {"hub", "config", "splits"}
    settings = {key: value for key, value in shop(tmp_path / "more").items() if key not in hub}
    settings |= {"files": {"train": "train.parquet", "test": "test.parquet"}, "train_items": 3}
    assert get_task(settings, own, tmp_path / "task") == TaskCounts(train_items=3, test_items=3)
    train = read_items(tmp_path / "task" / "train.parquet")
    with closing(make_scorer("sql", {}, tmp_path / "task")) as scorer:
        assert check_references(train, scorer) == 3


def task_source(name):
    text = Path("config/tasks", name, "task.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(text)["source"]


@pytest.mark.slow
@pytest.mark.skipif(
    "SEEDBED_TEST_DATA" not in os.environ,
    reason="SEEDBED_TEST_DATA names no folder with data sets in the hub's layout",
)
@pytest.mark.parametrize(
    ("name", "kind", "changes", "train", "test", "excluded"),
    [
        ("gsm8k", "number", {}, 7473, 1319, 0),
        # The test data lacks 63 of the 1,119 train questions.
        ("arc_challenge", "choice", {"train_items": 1056}, 1056, 1172, 0),
        ("spider", "sql", {}, 6901, 972, 99 + 62),
    ],
)
def test_real_tasks_are_read_whole_and_every_gold_scores_right(
    tmp_path, name, kind, changes, train, test, excluded
):
    data = Path(os.environ["SEEDBED_TEST_DATA"])
    counts = get_task(task_source(name) | changes, data, tmp_path / "task")
    assert counts == TaskCounts(train_items=train, test_items=test)
    with closing(
        make_scorer(kind, {"timeout": 30} if kind == "sql" else {}, tmp_path / "task")
    ) as s:
        for split, number in counts.model_dump().items():
            items = read_items(tmp_path / "task" / f"{split.removesuffix('_items')}.parquet")
            assert len(items) == len({item.item_id for item in items}) == number
            assert check_references(items, s) == number
            assert all(s.score(item.answer, item).strict for item in items[:200])
    record = read_json(tmp_path / "task" / "task.json")
    assert sum(map(len, record["excluded"].values())) == excluded
    if name == "spider":
        # Two databases are not there; of the three other golds, each fails on its own.
        source = SourceOnly.of(task_source(name))
        rows = read_rows(source, "train", data)
        with closing(make_scorer(kind, {"timeout": 30}, tmp_path / "task")) as s:
            for number in (3153, 4513, 4514):
                row = rows.values[number]
                assert s.run(f"{row['db_id']}.sqlite", row["query"]).error
        # Many of the golds that find nothing have texts in double quotes, which students do not.
        items = read_items(tmp_path / "task" / "test.parquet")
        with closing(make_scorer(kind, {"timeout": 30}, tmp_path / "task")) as s:
            quoted = [item for item in items if '"' in item.gold]
            quoted = [item for item in quoted if not s.run(item.database, item.gold).rows]
            assert len(quoted) >= 20
            for item in quoted:
                assert s.score(item.gold.replace('"', "'"), item).flexible, item.gold
                assert not s.score(re.sub(r'"[^"]*"', '"zzz"', item.gold), item).flexible
        broken = [item for item in record["excluded"]["train"].items() if "gold query" in item[1]]
        assert [item for item, _ in broken] == ["train-03153", "train-04513", "train-04514"]
