"""Data that several methods make: which cells there are, and which rows they are trained on."""

import json
import sys
from types import MappingProxyType

import polars as pl
import pytest
import study_folder as sf

import build_dataset
from seedbed.config.documents import StudyError
from seedbed.streams.mixtures import coordinate, split
from seedbed.streams.record import DatasetCounts, DatasetRecord
from seedbed.study.cells import grid
from seedbed.study.loading import load_study
from seedbed.tasks.items import TaskItem, to_frame

BLOCK = sf.STUDY["blocks"][0]
HALVES = {"answer_augmentation": 0.5, "new_question": 0.5}
MIXED = {key: value for key, value in BLOCK.items() if key != "methods"} | {
    "name": "mixed",
    "seeds": [20],
}


def study(folder, *blocks, **mixtures):
    files = sf.bend(sf.FILES, "studies/trial.yaml", ("blocks",), list(blocks))
    if mixtures:
        files = sf.bend(files, "studies/trial.yaml", ("mixtures",), mixtures)
    return load_study("trial", sf.write(folder, files))


def made_of(found, key):
    return {(one.method, one.augmenter): one.budget for one in found.parts_by_key[key]}


def test_a_mixture_of_bought_streams_asks_nothing_new(tmp_path):
    alone = grid(study(tmp_path / "alone", BLOCK))
    found = grid(
        study(tmp_path / "mixed", BLOCK, MIXED | {"mixtures": ["thirds", "all_bought"]},
              thirds={"answer_augmentation": 1, "new_question": 2})
    )  # fmt: skip
    assert found.streams == alone.streams
    assert found.largest_budget_by_key == alone.largest_budget_by_key
    mixtures = {(one.method, one.budget): one.key for one in found.datasets if one.mixed}
    assert mixtures.keys() == {("mix_thirds", 20), ("mix_thirds", 80), ("mix_all_bought", 160)}
    assert made_of(found, mixtures["mix_thirds", 80]) == {
        ("answer_augmentation", "none"): 27,
        ("new_question", "teacher"): 53,
    }
    assert made_of(found, mixtures["mix_all_bought", 160]) == {
        ("answer_augmentation", "none"): 80,
        ("new_question", "teacher"): 80,
    }


def test_a_mixture_alone_buys_its_parts_and_no_more(tmp_path):
    found = grid(study(tmp_path, MIXED | {"mixtures": [HALVES], "budget_ratios": [4]}))
    bought = {stream.method: found.largest_budget(stream) for stream in found.streams}
    assert bought == {"answer_augmentation": 40, "new_question": 40}
    assert [cell.method for cell in found.cells if not cell.untrained] == [coordinate_of(HALVES)]


def coordinate_of(shares):
    return coordinate(tuple(shares.items()))


def test_real_data_may_be_a_part_and_costs_no_query(tmp_path):
    shares = {"seed_only": "all", "answer_augmentation": 1}
    found = grid(study(tmp_path, MIXED | {"mixtures": [shares], "budgets": [30],
                                          "budget_ratios": None, "augmenters": None}))  # fmt: skip
    (mixture,) = (one for one in found.datasets if one.mixed)
    assert made_of(found, mixture.key) == {
        ("seed_only", "none"): 0,
        ("answer_augmentation", "none"): 30,
    }
    assert mixture.budget == 30 and mixture.augmenter == "none"


def test_filters_and_augmenters_hold_for_each_part(tmp_path):
    block = MIXED | {"mixtures": [HALVES], "budget_ratios": [4], "filters": ["verified_matched"],
                     "augmenters": ["teacher", "weak"]}  # fmt: skip
    found = grid(study(tmp_path, block))
    by_augmenter = {one.augmenter: one for one in found.datasets if one.mixed}
    assert by_augmenter.keys() == {"teacher", "weak"}
    for augmenter, mixture in by_augmenter.items():
        assert {one.filter for one in found.parts_by_key[mixture.key]} == {"verified_matched"}
        assert ("new_question", augmenter) in made_of(found, mixture.key)


@pytest.mark.parametrize("budget", [1, 2, 7, 100, 9999])
def test_a_budget_is_divided_without_a_remainder_and_grows_with_it(budget):
    shares = (("a", 0.2), ("b", 0.3), ("c", 0.5))
    now, more = split(shares, budget), split(shares, budget + 10)
    assert sum(now.values()) == budget
    assert all(abs(now[name] - share * budget) < 1 for name, share in shares)
    assert all(more[name] >= now[name] for name in now)


def test_equal_shares_are_one_mixture():
    assert coordinate((("a", 1), ("b", 3))) == coordinate((("b", 75), ("a", 25)))
    assert coordinate((("a", 1), ("b", 3))) != coordinate((("a", 3), ("b", 1)))


@pytest.mark.parametrize(
    ("mixtures", "block", "words"),
    [
        ({}, {"mixtures": ["thirds"]}, "the study has no mixture 'thirds'"),
        ({"thirds": HALVES}, {"mixtures": ["third"]}, "did you mean 'thirds'?"),
        ({"thirds": HALVES}, {"mixtures": [HALVES]}, "mixtures.thirds: has no effect"),
        ({"all_bought": HALVES}, {"mixtures": [HALVES]}, "may have the name 'all_bought'"),
        ({}, {"mixtures": [{"new_question": 1}]}, "at least two methods"),
        ({}, {"mixtures": [HALVES | {"new_question": 0}]}, ".new_question: 0 is not a share"),
        ({}, {"mixtures": [HALVES | {"new_question": True}]}, "True is not a share"),
        ({}, {"mixtures": [HALVES | {"new_question": "all"}]}, "asks a teacher: give it a share"),
        ({}, {"mixtures": [HALVES | {"seed_only": 1}]}, "asks no teacher, so it has no share"),
        ({}, {"mixtures": [HALVES | {"human": "all"}]}, "cannot be mixed"),
        ({}, {"mixtures": [HALVES | {"nothing": 1}]}, "there is no method 'nothing'"),
        ({}, {"mixtures": [HALVES, HALVES]}, "stands in the list twice"),
        ({}, {"mixtures": [HALVES], "budget_ratios": None}, "has neither budgets nor"),
        ({}, {"mixtures": [HALVES], "augmenters": None}, "'new_question' needs models to write"),
        ({}, {"mixtures": [{"answer_augmentation": 1, "new_question": 99}]}, "would get none"),
        ({}, {"mixtures": ["all_bought"], "seeds": [7], "budget_ratios": None}, "nothing to mix"),
        ({}, {"mixtures": ["all_bought"]}, "take the seeds alone, or all that is bought"),
        ({}, {}, "has neither methods nor mixtures"),
    ],
)  # fmt: skip
def test_a_bad_mixture_is_refused_with_its_place(tmp_path, mixtures, block, words):
    given = {key: value for key, value in (MIXED | block).items() if value is not None}
    with pytest.raises(StudyError) as refusal:
        study(tmp_path, BLOCK, given, **mixtures)
    assert words in str(refusal.value)


def test_a_method_may_not_have_the_name_of_a_mixture(tmp_path):
    files = sf.FILES | {"methods/mix_all.yaml": sf.FILES["methods/answer_augmentation.yaml"]}
    files = sf.bend(files, "studies/trial.yaml", ("blocks", 0, "methods", 0), "mix_all")
    with pytest.raises(StudyError, match="begins with 'mix_'"):
        load_study("trial", sf.write(tmp_path, files))


def part(folder, method, rows, prompt="", thought=MappingProxyType({}), **counts):
    """A dataset on disk: its rows, (question, answer) each, and its record."""
    folder.mkdir(parents=True)
    frame = pl.DataFrame(
        {
            "query": range(len(rows)),
            "seed_id": ["s0"] * len(rows),
            "question": [question for question, _ in rows],
            "answer": [answer for _, answer in rows],
            "messages": [
                [
                    {"role": "user", "content": f"{prompt}{question}"},
                    {"role": "assistant", "content": answer, **thought},
                ]
                for question, answer in rows
            ],
        },
        schema_overrides={"query": pl.Int64, "question": pl.String, "answer": pl.String},
    )
    frame.write_parquet(folder / "dataset.parquet")
    DatasetRecord(
        dataset={"method": method, "budget": len(rows) + 1},
        counts=DatasetCounts(queries=len(rows) + 1, rows=len(rows), **counts),
    ).write(folder / "dataset.json")
    return folder


SETTINGS = {"budget": 9, "filter": "none", "reach": 9, "overlap_words": None, "prompt": ""}


def mixed(folder, parts, monkeypatch):
    item = TaskItem("s0", "What is 1 + 1?", "", "2", "2")
    for name in ("seeds", "test"):
        to_frame([item]).write_parquet(folder / f"{name}.parquet")
    monkeypatch.setattr(
        sys,
        "argv",
        [
            *("build_dataset.py", "--dataset", "{}", "--settings", json.dumps(SETTINGS)),
            *("--seeds", str(folder / "seeds.parquet"), "--test", str(folder / "test.parquet")),
            *("--parts", *(str(one / "dataset.parquet") for one in parts)),
            *("--records", *(str(one / "dataset.json") for one in parts)),
            *("--rows", str(folder / "mixed.parquet"), "--record", str(folder / "mixed.json")),
        ],
    )
    build_dataset.main()
    return pl.read_parquet(folder / "mixed.parquet"), json.loads(
        (folder / "mixed.json").read_text()
    )


def test_rows_are_shuffled_the_same_way_and_what_was_paid_is_added_up(tmp_path, monkeypatch):
    first = [(f"question {n}", f"answer {n}") for n in range(40)]
    again = [("question 3", "answer 3"), ("question 3", "another answer"), ("new", "5")]
    spent = {"teacher_queries": 41, "teacher_completion_tokens": 100, "dropped": {"blank": 1}}
    parts = [
        part(tmp_path / "aa", "answer_augmentation", first, **spent),
        part(tmp_path / "nq", "new_question", again, teacher_queries=4, augmenter_queries=9),
    ]
    rows, record = mixed(tmp_path, parts, monkeypatch)
    assert rows.height == 42 and set(rows["method"]) == {"answer_augmentation", "new_question"}
    # What both parts have is the first one's.
    both = rows.filter((pl.col("question") == "question 3") & (pl.col("answer") == "answer 3"))
    assert both["method"].to_list() == ["answer_augmentation"]
    counts = record["counts"]
    assert counts["teacher_queries"] == 45 and counts["augmenter_queries"] == 9
    assert counts["teacher_completion_tokens"] == 100 and counts["queries"] == 45
    assert counts["dropped"] == {"blank": 1, "duplicate": 1}
    assert counts["unique_questions"] == 41
    assert [one["used"] for one in record["parts"]] == [40, 2]
    queries = rows["query"].to_list()
    assert queries != sorted(queries)
    # A larger part leaves the order of the others as it is.
    more = part(tmp_path / "more", "new_question", [*again, ("newer", "6")])
    larger, _ = mixed(tmp_path, [parts[0], more], monkeypatch)
    assert larger.filter(pl.col("question") != "newer").equals(rows)


def test_a_question_about_another_text_is_another_row(tmp_path, monkeypatch):
    rows = [("Which team answers?", "Answer: billing")]
    parts = [
        part(tmp_path / "aa", "answer_augmentation", rows, prompt="My card was charged twice.\n"),
        part(tmp_path / "qr", "question_rephrase", rows, prompt="My card was charged twice.\n"),
        part(tmp_path / "nq", "new_question", rows, prompt="I cannot log in.\n"),
    ]
    found, record = mixed(tmp_path, parts, monkeypatch)
    assert sorted(found["method"]) == ["answer_augmentation", "new_question"]
    assert record["counts"]["dropped"] == {"duplicate": 1}


def test_thinking_that_is_kept_mixes_with_real_data(tmp_path, monkeypatch):
    thought = {"reasoning_content": "One and one."}
    parts = [
        part(tmp_path / "aa", "answer_augmentation", [("1 + 1?", "2")], thought=thought),
        part(tmp_path / "real", "seed_only", [("2 + 2?", "4")]),
    ]
    found, _ = mixed(tmp_path, parts, monkeypatch)
    thoughts = {row["method"]: row["messages"][1]["reasoning_content"] for row in found.to_dicts()}
    assert thoughts == {"answer_augmentation": "One and one.", "seed_only": None}


def test_a_mixture_without_a_row_is_an_error(tmp_path, monkeypatch, capsys):
    parts = [part(tmp_path / name, name, []) for name in ("answer_augmentation", "new_question")]
    with pytest.raises(SystemExit):
        mixed(tmp_path, parts, monkeypatch)
    assert not (tmp_path / "mixed.parquet").exists()
