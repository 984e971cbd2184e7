"""`make task`: one task, checked alone, before any study."""

import json
import sys

import pytest
import yaml

import check_task as script
from check_task import check_task
from seedbed.config.folders import PROJECT, ConfigFolders
from seedbed.study.loading import load_study

TASK = {
    "title": "Mine",
    "kind": "number",
    "source": {
        "files": {"train": "train.jsonl", "test": "test.jsonl"},
        "columns": {"question": "question", "gold": "gold"},
        "answer": "#### {gold}",
    },
    "score": "strict",
    "max_tokens": {"question": 8, "answer": 8, "check": 8},
    "prompts": {"answer": "Solve: {question}"},
}


@pytest.fixture
def folders(tmp_path):
    """The folders of a configuration with a task `mine`; and what writes it."""

    def write(train, test, **changes):
        folder = tmp_path / "config/tasks/mine"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "task.yaml").write_text(yaml.safe_dump(TASK | changes))
        for split, rows in (("train", train), ("test", test)):
            lines = [
                json.dumps(
                    row if isinstance(row, dict) else {"question": f"{split} {n}?", "gold": row}
                )
                for n, row in enumerate(rows)
            ]
            (folder / f"{split}.jsonl").write_text("\n".join(lines) + "\n")
        return ConfigFolders((tmp_path / "config", PROJECT / "config"))

    return write


def test_all_failing_golds_are_named_with_the_block_that_leaves_them_out(folders):
    found = folders(["3", "twelve", "4", "5"], ["7", "unknown"])
    text, right = check_task("mine", found)
    assert not right
    assert "train train-00001: gold 'twelve': not a number" in text
    assert "test test-00001: gold 'unknown': not a number" in text
    block = text[text.index("\nsource:") : text.index("\n\n===")]
    excluded = yaml.safe_load(block)["source"]["excluded"]
    source = TASK["source"] | {"excluded": excluded}
    text, right = check_task("mine", folders(["3", "twelve", "4", "5"], ["7", "x"], source=source))
    assert right
    assert "3 items, 1 excluded" in text
    assert "All 4 reference answers are right" in text


def test_three_rows_stand_as_they_will_be_asked(folders):
    text, _ = check_task("mine", folders(["3", "4", "5", "6"], ["7"]))
    assert text.count("=== train-0000") == 3
    assert "Solve: train 2?\n--- reference answer, which is read as '5'\n#### 5" in text
    for method in ("question_rephrase", "new_question"):
        assert f"--- {method}, asked of an augmenter" in text
    assert "Problem: train 2?\nSolution: #### 5" in text


def test_odd_rows_are_noted(folders):
    rows = [{"question": "How many?", "gold": 3}, {"question": "how many", "gold": 4}]
    text, right = check_task("mine", folders([*rows, "5"], [rows[0]]))
    assert right
    assert "1 questions are in train more than once (train-00001 is train-00000)" in text
    assert "1 questions of test are also in train" in text


def test_prompts_may_name_any_column_and_it_is_filled_in(folders):
    rows = [{"question": f"Who is {n}?", "gold": n, "City of birth": f"Ulm {n}"} for n in range(3)]
    prompts = {
        "answer": "In {City of birth}: {question}",
        "new_question": "{City of birth} {question} {answer}",
    }
    text, right = check_task("mine", folders(rows, rows[:1], prompts=prompts))
    assert right
    assert "In Ulm 1: Who is 1?" in text
    assert "Ulm 1 Who is 1? #### 1" in text


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ("{citty} {question}", "has no column 'citty'; it has: question, gold"),
        ("{context} {question}", "has no column 'context'"),
        ("{gold} {question}", "prompts.answer: has the placeholder {gold}, which gives the answer"),
        ("{answer} {question}", "gives the answer away"),
        ("{question!r}", "has a format"),
        ("{} {question}", "unknown placeholder"),
    ],
)
def test_a_column_that_a_prompt_cannot_name_is_refused_at_load(folders, prompt, message):
    found = folders(["3"], ["4"], prompts={"answer": prompt})
    with pytest.raises(ValueError, match="task 'mine' cannot be used") as refusal:
        check_task("mine", found)
    assert message in str(refusal.value)


@pytest.mark.parametrize("named", ["{meta}", "{meta.label}"])
def test_a_prompt_that_names_the_object_of_the_gold_is_refused(folders, named):
    rows = [{"question": f"q{n}?", "meta": {"label": n, "city": f"Ulm {n}"}} for n in range(3)]
    columns = {"question": "question", "gold": "meta.label"}
    source = TASK["source"] | {"columns": columns}
    found = folders(rows, rows[:1], source=source, prompts={"answer": f"{named} {{question}}"})
    with pytest.raises(ValueError, match="task 'mine' cannot be used") as refusal:
        check_task("mine", found)
    assert f"has the placeholder {named}, which gives the answer away" in str(refusal.value)
    # Another field of the object says nothing of the gold.
    prompts = {"answer": "{meta.city} {question}"}
    text, _ = check_task("mine", folders(rows, rows[:1], source=source, prompts=prompts))
    assert "Ulm 1 q1?" in text


def test_a_study_refuses_what_make_task_refuses_and_counts_the_rows(folders, tmp_path):
    found = folders(["3"] * 9, ["4"] * 5)
    study = yaml.safe_load((PROJECT / "config/studies/capitals.yaml").read_text())
    study["blocks"][0] |= {"tasks": ["mine"], "teachers": ["llama_3_1_8b"]}
    study["blocks"][0] |= {"students": ["llama_3_1_8b"]}
    (tmp_path / "config/studies").mkdir()
    path = tmp_path / "config/studies/own.yaml"
    path.write_text(yaml.safe_dump(study))
    task = load_study("own", found).tasks["mine"]
    assert (task.train_items, task.test_items) == (9, 5)
    study["blocks"][0]["seeds"] = [10]
    path.write_text(yaml.safe_dump(study))
    with pytest.raises(ValueError, match="10 is more than the 9 items of the train split"):
        load_study("own", found)
    folders(["3", None], ["4"])
    with pytest.raises(ValueError, match="more than the 2 items"):
        load_study("own", found)


def test_conversations_are_shown_and_asked_as_such(folders):
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Two and two?"},
        {"role": "assistant", "content": "Four."},
        {"role": "user", "content": "And one more?"},
    ]
    source = TASK["source"] | {"columns": {"messages": "messages", "gold": "gold"}}
    rows = [{"messages": messages, "gold": 5}]
    text, right = check_task("mine", folders(rows, rows, source=source))
    assert right
    assert "--- assistant\nFour.\n--- asked of teacher and student\nSolve: And one more?" in text
    assert "System: Be brief.\n\nUser: Two and two?\n\nAssistant: Four." in text


def test_an_unknown_task_names_the_nearest(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["check_task", "--task", "captals"])
    with pytest.raises(SystemExit, match="did you mean 'capitals'"):
        script.main()


def test_the_command_fails_where_a_gold_does(folders, tmp_path, monkeypatch, capsys):
    folders(["3", "x"], ["4"])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["check_task", "--task", "mine"])
    with pytest.raises(SystemExit) as end:
        script.main()
    assert end.value.code == 1
    assert "train-00001" in capsys.readouterr().out
