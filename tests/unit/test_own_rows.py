"""A user's own rows: every form that they may have, and the error that names a row at fault."""

import json
import shutil
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from get_task import get_task
from seedbed.study.equivalence import items_source
from seedbed.tasks.data_sets import items_of
from seedbed.tasks.items import read_items, to_frame
from seedbed.tasks.selection import SPLITS, counted, select_all
from seedbed.tasks.settings import SourceOnly

HALF = {"files": {"all": "rows.csv", "test_share": 0.5}}
EXACT = {"columns": {"question": "q", "gold": "a"}, "answer": "Answer: {gold}"}
PAIR = {"files": {"train": "train.jsonl", "test": "train.jsonl"}}


def made(folder, settings):
    """All items of a task's own files, train before test."""
    source = SourceOnly.of(settings)
    chosen = select_all(source, folder)
    return {split: items_of(source, chosen[split], split, folder) for split in SPLITS}


def of_rows(folder, rows, **settings):
    """The items of rows of JSON."""
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "train.jsonl").write_text(lines, encoding="utf-8")
    return made(folder, PAIR | EXACT | settings)["train"]


def csv_items(folder, content):
    (folder / "rows.csv").write_bytes(content)
    found = made(folder, HALF | EXACT)
    return {item.question: item.gold for part in found.values() for item in part}


MANY = b"".join(b"question %d?,a%d\n" % (n, n) for n in range(8))


@pytest.mark.parametrize(
    ("content", "question", "gold"),
    [
        (b"\xef\xbb\xbfq,a\nwhat?,x\n", "what?", "x"),
        (b"q,a\r\nwhat?,x\r\n", "what?", "x"),
        (b'q,a\n"what,\nnow ""then""?","x, y"\n', 'what,\nnow "then"?', "x, y"),
        ("q,a\nGrüße 日本?,żółć\n".encode(), "Grüße 日本?", "żółć"),
        (b"q;a\nwhat?;3,5\n", "what?", "3,5"),
        (b"q\ta\nwhat?\tx, y\n", "what?", "x, y"),
        (b"q,a\nwhat?,123456789012345678901234567890\n", "what?", "1234567890" * 3),
        (b"q,a\nwhat?,007\n", "what?", "007"),
        (b"q,a\n\nwhat?,NaN\n\n", "what?", "NaN"),
    ],
)
def test_a_csv_is_read_as_it_is(tmp_path, content, question, gold):
    sign = content.splitlines()[0].replace(b"\xef\xbb\xbf", b"")[1:2]
    found = csv_items(tmp_path, content + MANY.replace(b",", sign))
    assert found[question] == gold
    assert len(found) == 9


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"rows\.csv is empty"),
        (b"q,a\n", r"rows\.csv has no rows"),
        (b"q,q\nx,y\n", "the column 'q' twice"),
        (b"q,\nx,y\n", "a column without a name"),
        (b"q,b\nx,y\n", "has no column 'a'; it has: q, b"),
        (b"q,a\n" + MANY + b"x,y,z\n", r"rows\.csv:10: has 3 fields, and the header has 2"),
        (b'q,a\n"a\nb",c\nx\n', r"rows\.csv:4: has 1 fields"),
        (b'q,a\n"x,y\n', r"rows\.csv:2: cannot be read as CSV"),
        (b"q,a\nx,\xff\n", r"rows\.csv:2: b'\\xff' is not UTF-8"),
        ("q,a\nx,y\n".encode("utf-16"), "save it as UTF-8"),
        (b"q,a\n" + MANY + b"x,\n", r"has no final answer to read \(.*rows\.csv:10, column 'a'\)"),
        (b"q,a\n" + MANY + b" ,y\n", r"has no question \(.*rows\.csv:10, column 'q'\)"),
    ],
)
def test_a_fault_of_a_csv_is_named_with_its_line(tmp_path, content, message):
    with pytest.raises(ValueError, match=message):
        csv_items(tmp_path, content)


def test_all_rows_at_fault_are_named(tmp_path):
    rows = [{"q": f"q{n}?", "a": None if n % 2 else "x"} for n in range(60)]
    with pytest.raises(ValueError, match="has no final answer") as found:
        of_rows(tmp_path, rows)
    assert str(found.value).count("has no final answer") == 20
    assert "and 10 more rows" in str(found.value)


def test_rows_never_move_between_the_splits(tmp_path):
    lines = [f"question {n}?,a{n}" for n in range(400)]
    (tmp_path / "rows.csv").write_text("\n".join(["q,a", *lines]))
    before = made(tmp_path, HALF | EXACT)
    (tmp_path / "rows.csv").write_text(
        "\n".join(["a,q,more", "new,first?,1", *(f"b,{x.split(',')[0]},2" for x in lines[::-1])])
    )
    after = made(tmp_path, HALF | EXACT)
    for split in SPLITS:
        known = {item.question: item.item_id for item in after[split]}
        assert {item.item_id for item in before[split]} <= set(known.values())
        assert all(known[item.question] == item.item_id for item in before[split])
    assert 150 < len(before["test"]) < 250
    less = made(tmp_path, {"files": {"all": "rows.csv", "test_share": 0.2}} | EXACT)
    assert {item.item_id for item in less["test"]} < {item.item_id for item in after["test"]}


def test_the_same_question_is_never_in_both_splits(tmp_path):
    (tmp_path / "rows.csv").write_text("q,a\n" + "".join(f"q{n % 9}?,a{n}\n" for n in range(90)))
    found = made(tmp_path, HALF | EXACT)
    asked = [{item.question for item in part} for part in found.values()]
    assert not asked[0] & asked[1]
    ids = [item.item_id for part in found.values() for item in part]
    assert len(set(ids)) == 90


def test_one_question_about_many_texts_is_split_by_the_texts(tmp_path):
    rows = [{"q": "Is this review positive?", "review": f"text {n}", "a": "yes"} for n in range(50)]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    halves = {"files": {"all": "rows.jsonl", "test_share": 0.5}}
    found = select_all(SourceOnly.of(halves | EXACT), tmp_path, ["review"])
    assert sum(len(part.chosen) for part in found.values()) == 50
    assert min(len(part.chosen) for part in found.values()) > 10


def test_a_field_of_an_object_is_a_column_of_parquet_too(tmp_path):
    rows = [{"q": f"q{n}", "meta": {"title": f"t{n}"}, "a": "x"} for n in range(4)]
    pl.DataFrame(rows).write_parquet(tmp_path / "rows.parquet")
    files = {"files": {"train": "rows.parquet", "test": "rows.parquet"}}
    found = select_all(SourceOnly.of(files | EXACT), tmp_path, ["meta.title"])
    assert [one.columns for one in found["train"].chosen[:2]] == [
        {"meta.title": "t0"},
        {"meta.title": "t1"},
    ]


def test_half_a_character_is_named_with_its_line(tmp_path):
    (tmp_path / "train.jsonl").write_text('{"q": "fine", "a": "x"}\n{"q": "\\ud83d", "a": "y"}\n')
    with pytest.raises(ValueError, match=r"train\.jsonl:2: has half of a character"):
        made(tmp_path, PAIR | EXACT)


def test_numbers_of_items_are_counted_and_what_is_given_must_hold(tmp_path):
    (tmp_path / "rows.csv").write_text("q,a\n" + "".join(f"q{n}?,a\n" for n in range(50)))
    source = counted(SourceOnly.of(HALF | EXACT), tmp_path)
    assert source.train_items + source.test_items == 50
    counts = get_task(source.model_dump(), tmp_path, tmp_path / "task")
    assert (counts.train_items, counts.test_items) == (source.train_items, source.test_items)
    with pytest.raises(ValueError, match=r"the train split has .* items, not 50"):
        get_task(HALF | EXACT | {"train_items": 50}, tmp_path, tmp_path / "other")


def test_an_id_that_stands_twice_is_named_with_both_places(tmp_path):
    rows = [{"q": f"{n}?", "a": "x", "id": n % 3} for n in range(4)]
    columns = EXACT["columns"] | {"item_id": "id"}
    with pytest.raises(ValueError, match=r"one item 0: .*train\.jsonl:1 and .*train\.jsonl:4"):
        of_rows(tmp_path, rows, columns=columns)


LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def of_choices(folder, gold, choices=("ice", "fire", "air", "sand"), **settings):
    row = {"q": "What?", "gold": gold} | {f"c{n}": text for n, text in enumerate(choices)}
    columns = {"question": "q", "gold": "gold", "choices": [f"c{n}" for n in range(len(choices))]}
    (item,) = of_rows(folder, [row], columns=columns, **settings)
    return item


@pytest.mark.parametrize(
    ("gold", "form", "letter"),
    [
        ("B", None, "B"),
        ("b", None, "B"),
        ("(B)", None, "B"),
        ("B.", "label", "B"),
        ("fire", None, "B"),
        (1, "index_from_0", "B"),
        (2, "index_from_1", "B"),
        ("1", "index_from_0", "B"),
        (0, "index_from_0", "A"),
        (4, "index_from_1", "D"),
    ],
)
def test_a_gold_choice_is_a_letter_a_text_or_an_index(tmp_path, gold, form, letter):
    item = of_choices(tmp_path, gold, gold_form=form)
    assert (item.gold, item.answer) == (letter, f"Answer: {letter}")
    assert item.question == "What?\n(A) ice\n(B) fire\n(C) air\n(D) sand"


@pytest.mark.parametrize(
    ("gold", "choices", "form", "message"),
    [
        (
            1,
            ("1", "2", "4", "6"),
            None,
            "may be an index: state gold_form, one of text, index_from",
        ),
        (1, ("ice", "air"), None, "state gold_form, one of index_from_0, index_from_1"),
        (5, ("ice", "air"), None, "'5', which is none of .*nor the text of one choice"),
        (2, ("ice", "air"), "index_from_0", "no whole number from 0 to 1"),
        (0, ("ice", "air"), "index_from_1", "no whole number from 1 to 2"),
        ("A", ("B", "A"), None, "both a label and the text of another choice"),
        ("C", ("ice", "air"), None, "none of"),
        ("ice", ("ice", "ice"), None, "the text of 2 choices .*or give a label as its gold"),
        ("A", ("ice", None, "air"), None, "has no text for choice 2"),
        ("A", ("ice", None), None, "has 1 choices; there must be 2 to 26"),
    ],
)
def test_a_gold_that_could_mean_two_choices_is_refused(tmp_path, gold, choices, form, message):
    with pytest.raises(ValueError, match=message):
        of_choices(tmp_path, gold, choices, gold_form=form)


def test_a_stated_form_decides(tmp_path):
    numbers = ("1", "2", "4", "6")
    assert of_choices(tmp_path, 1, numbers, gold_form="text").gold == "A"
    assert of_choices(tmp_path, 1, numbers, gold_form="index_from_0").gold == "B"
    assert of_choices(tmp_path, 6, numbers).gold == "D"


def test_there_may_be_26_choices_and_fewer_in_a_row(tmp_path):
    texts = [f"text {letter.lower()}" for letter in LETTERS]
    item = of_choices(tmp_path, "Z", texts)
    assert (item.gold, len(item.choices), item.question[-10:]) == ("Z", 26, "(Z) text z")
    item = of_choices(tmp_path, "B", ("ice", "air", None, ""))
    assert item.choices == ("ice", "air")


def test_choices_may_be_a_section_by_label_or_a_list_in_json(tmp_path):
    columns = {"question": "q", "gold": "a", "choices": "o"}
    rows = [{"q": "What?", "a": "B", "o": {"A": "ice", "B": "air"}}]
    assert of_rows(tmp_path, rows, columns=columns)[0].choices == ("ice", "air")
    rows = [{"q": "What?", "a": "B", "o": '["ice", "air"]'}]
    assert of_rows(tmp_path, rows, columns=columns)[0].gold == "B"
    with pytest.raises(ValueError, match="choices that are no list: 'ice, air'"):
        of_rows(tmp_path, [{"q": "What?", "a": "B", "o": "ice, air"}], columns=columns)


def test_class_labels_are_read_by_their_names(tmp_path):
    features = {"label": {"names": ["no", "yes"], "_type": "ClassLabel"}}
    table = pa.table({"q": ["a?", "b?", "c?"], "label": [1, 0, 1]})
    about = {"huggingface": json.dumps({"info": {"features": features}})}
    place = tmp_path / "owner" / "name"
    place.mkdir(parents=True)
    for split in SPLITS:
        pq.write_table(table.replace_schema_metadata(about), place / f"{split}.parquet")
    settings = EXACT | {
        "hub": "owner/name",
        "splits": {"train": "train", "test": "test"},
        "columns": {"question": "q", "gold": "label"},
        "train_items": 3,
        "test_items": 3,
    }
    found = made(tmp_path, settings)
    assert [item.gold for item in found["train"]] == ["yes", "no", "yes"]
    whole = settings | {"splits": {"all": "train", "test_share": 0.5}}
    whole |= {"train_items": 1, "test_items": 1}
    shutil.copy(place / "train.parquet", place / "other.parquet")
    assert sum(map(len, made(tmp_path, whole).values())) == 2


@pytest.mark.parametrize("true", [True, "true", "True", 1])
def test_truths_need_words(tmp_path, true):
    rows = [
        {"q": "a?", "a": true},
        {"q": "b?", "a": "false" if isinstance(true, str) else 0 * true},
    ]
    words = {"true": "yes", "false": "no", "1": "yes", "0": "no"}
    found = of_rows(tmp_path, rows, gold_words=words)
    assert [item.gold for item in found] == ["yes", "no"]
    with pytest.raises(ValueError, match="'maybe', and gold_words has words for true, false"):
        of_rows(tmp_path, [{"q": "a?", "a": "maybe"}], gold_words=words)


def test_a_truth_without_words_says_how_to_give_them(tmp_path):
    with pytest.raises(ValueError, match=r'has the gold true: say .*gold_words: \{"true": yes'):
        of_rows(tmp_path, [{"q": "a?", "a": True}])


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "has no golds"),
        ("x", "golds that are no list: 'x'"),
        (None, "has no golds"),
        ([True], "gold_words"),
    ],
)
def test_a_list_of_golds_that_is_none_is_refused(tmp_path, value, message):
    columns = {"question": "q", "golds": "a"}
    with pytest.raises(ValueError, match=message):
        of_rows(tmp_path, [{"q": "a?", "a": value}], columns=columns)


def test_one_gold_in_a_list_is_refused_with_the_column_to_name(tmp_path):
    with pytest.raises(ValueError, match="a list for a gold: name its column 'golds'"):
        of_rows(tmp_path, [{"q": "a?", "a": ["x"]}])


def test_golds_survive_the_files_and_the_scorer_takes_each(tmp_path):
    from seedbed.evaluation.scorers import make_scorer

    columns = {"question": "q", "golds": "a"}
    items = of_rows(tmp_path, [{"q": "a?", "a": ["New York", "NYC", "NYC"]}], columns=columns)
    to_frame(items).write_parquet(tmp_path / "items.parquet")
    (item,) = read_items(tmp_path / "items.parquet")
    assert (item.gold, item.golds) == ("New York", ("New York", "NYC"))
    scorer = make_scorer("exact", {}, tmp_path)
    right = [scorer.score(f"Answer: {said}", item).strict for said in ("NYC", "New York", "York")]
    assert right == [True, True, False]
    numbers = of_rows(tmp_path, [{"q": "a?", "a": [3, 4.5]}], columns=columns)
    scorer = make_scorer("number", {}, tmp_path)
    said = [scorer.score(f"#### {n}", numbers[0]).strict for n in ("3", "4.50", "5")]
    assert said == [True, True, False]


def test_json_objects_are_compared_by_content(tmp_path):
    from seedbed.evaluation.scorers import answers_equal, make_scorer

    rows = [{"q": "a?", "a": {"name": "Ann", "ages": [1, 2.50], "ok": True, "none": None}}]
    (item,) = of_rows(tmp_path, rows, answer="{gold}")
    scorer = make_scorer("json", {}, tmp_path)
    assert scorer.score(item.answer, item).strict
    same = '{"ok": true, "ages": [1.0, 2.5], "none": null, "name": "Ann"}'
    framed = f"So {{this}} is it:\n```json\n{same}\n```\nDone."
    assert scorer.score(f"Thinking.\nAnswer: {same}", item).strict
    assert (scorer.score(framed, item).strict, scorer.score(framed, item).flexible) == (False, True)
    for other in (
        same.replace("Ann", "ann"),
        same.replace("[1.0, 2.5]", "[2.5, 1.0]"),
        same.replace("true", "1"),
        same.replace(', "none": null', ""),
        f"[{same}",
        "none",
        "{" * 5000,
        '{"a":' * 5000,
    ):
        assert not scorer.score(other, item).strict
    assert answers_equal("json", same, framed)
    with pytest.raises(ValueError, match="is not a JSON object"):
        scorer.score(same, of_rows(tmp_path, [{"q": "a?", "a": "x"}])[0])


def test_long_numbers_in_json_are_exact(tmp_path):
    from seedbed.evaluation.scorers import make_scorer
    from seedbed.tasks.item import TaskItem

    scorer = make_scorer("json", {}, tmp_path)
    of = TaskItem("i", "Which?", "", "", '{"id": 123456789012345678901234567890}')
    assert not scorer.score('{"id": 123456789012345678901234567891}', of).flexible
    assert scorer.score('{"id": 123456789012345678901234567890.0}', of).strict
    assert not scorer.score('{"id": 1e99999999}', of).flexible
    zero = TaskItem("i", "Which?", "", "", '{"id": 0}')
    assert scorer.score('{"id": -0.00}', zero).strict


@pytest.mark.slow
def test_a_hundred_thousand_rows_take_seconds(tmp_path):
    (tmp_path / "rows.csv").write_text(
        "q,a\n" + "".join(f"What is {n} and {n}?,{2 * n}\n" for n in range(100_000))
    )
    source = counted(SourceOnly.of(HALF | EXACT), tmp_path)
    assert source.train_items + source.test_items == 100_000


def test_a_path_may_have_spaces_and_parquet_mixed_columns(tmp_path):
    folder = tmp_path / "my tasks, new"
    folder.mkdir()
    pl.DataFrame({"q": ["a?", "b?"], "a": [1.5, float("nan")]}).write_parquet(
        folder / "my rows.parquet"
    )
    settings = {"files": {"train": "my rows.parquet", "test": "my rows.parquet"}} | EXACT
    with pytest.raises(ValueError, match=r"has the gold nan.*my rows\.parquet, row 2, column 'a'"):
        made(folder, settings)


def test_mixed_and_huge_values_stay_as_they_are(tmp_path):
    golds = ["five", 5, 2.50, 10**40, -0.0]
    items = of_rows(tmp_path, [{"q": f"{n}?", "a": gold} for n, gold in enumerate(golds)])
    assert [item.gold for item in items] == ["five", "5", "2.5", str(10**40), "-0.0"]
    (tmp_path / "train.jsonl").write_text('{"q": "a?", "a": NaN}\n')
    with pytest.raises(ValueError, match=r"train\.jsonl:1: is no line of JSON: NaN is no number"):
        made(tmp_path, PAIR | EXACT)


def test_keys_of_later_versions_say_nothing_at_their_defaults():
    settings = PAIR | EXACT
    now = items_source(SourceOnly.of(settings).model_dump(mode="json"))
    assert now["files"] == PAIR["files"]
    assert not {"gold_form", "gold_words", "train_items", "prompt_columns"} & now.keys()


def test_shipped_example_of_a_csv(tmp_path):
    folder = Path(__file__).parents[2] / "config/tasks/support"
    assert len((folder / "questions.csv").read_text().splitlines()) == 42  # one has two lines
