"""Rows that are conversations, from the file to the messages that models get."""

import json

import polars as pl
import pytest
from recording_engine import RecordingEngine, echo

from seedbed.chats import encode_rows, load_tokenizer
from seedbed.engines import chat, messages_of, prompt_of
from seedbed.evaluation.evaluation import item_requests
from seedbed.streams.answers import answer_questions
from seedbed.streams.datasets import Shards, build_dataset
from seedbed.streams.questions import write_questions
from seedbed.streams.response_cache import ResponseCache
from seedbed.streams.settings import (
    AnswerSettings,
    DatasetSettings,
    QuestionSettings,
    SampleSettings,
)
from seedbed.streams.verification import sample_answers
from seedbed.tasks.data_sets import items_of
from seedbed.tasks.items import read_items, to_frame
from seedbed.tasks.selection import select_all
from seedbed.tasks.settings import SourceOnly

SETTINGS = {
    "files": {"train": "rows.jsonl", "test": "rows.jsonl"},
    "columns": {"messages": "m", "gold": "a"},
    "answer": "#### {gold}",
}
SYSTEM, ASKED = ("system", "Be brief."), ("user", "Two and two?")
HISTORY = (SYSTEM, ASKED, ("assistant", "Four."))
ROW = (*HISTORY, ("user", "And one more?"))


def rows(folder, *conversations, **settings):
    lines = [
        json.dumps({"m": [{"role": r, "content": c} for r, c in one], "a": 5})
        for one in conversations
    ]
    (folder / "rows.jsonl").write_text("\n".join(lines))
    source = SourceOnly.of(SETTINGS | settings)
    return items_of(source, select_all(source, folder)["train"], "train")


@pytest.fixture
def seeds(tmp_path):
    found = rows(tmp_path, ROW, (("user", "And one more?"),))
    to_frame(found).write_parquet(tmp_path / "items.parquet")
    return read_items(tmp_path / "items.parquet")


def test_the_last_message_is_the_question(seeds):
    assert (seeds[0].question, seeds[0].history) == ("And one more?", HISTORY)
    assert (seeds[1].question, seeds[1].history) == ("And one more?", ())


def test_a_last_message_of_the_assistant_is_the_answer(tmp_path):
    (item,) = rows(
        tmp_path,
        (*ROW, ("assistant", "It is #### 5")),
        answer=None,
        columns={"messages": "m"},
        gold_after="####",
    )
    assert (item.question, item.answer, item.gold) == ("And one more?", "It is #### 5", "5")


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        ((), "has no messages"),
        ((ASKED, ASKED), "roles user, user"),
        ((ASKED, SYSTEM, ASKED), "roles user, system, user"),
        ((SYSTEM,), "roles system"),
        ((("assistant", "Hi."), ASKED), "roles assistant, user"),
        ((ASKED, ("assistant", "Four.")), "roles user, assistant"),
        ((ASKED, ("tool", "Four."), ASKED), "message 2 .* with the role system, user or assist"),
        ((("user", " "),), r"no text in message 1 \(user\)"),
    ],
)
def test_roles_are_checked(tmp_path, messages, said):
    with pytest.raises(ValueError, match=rf"{said}.*rows\.jsonl:1, column 'm'"):
        rows(tmp_path, messages)


def test_any_messages_survive_as_text():
    for history, content in (((), '[{"role": "x"}]'), (HISTORY, 'a "b"\nż'), (HISTORY, "[]")):
        assert messages_of(prompt_of(history, content)) == (*history, ("user", content))
    assert chat(prompt_of(HISTORY, "Q"), "Other.") == (*HISTORY, ("user", "Q"))
    assert chat(prompt_of(HISTORY[1:], "Q"), "Other.")[0] == ("system", "Other.")


def test_teachers_and_students_get_the_whole_conversation(seeds, tmp_path):
    engine = RecordingEngine(echo)
    cache = ResponseCache(tmp_path / "cache", "m")
    sampling = {"answer_tokens": 9, "temperature": 0.7, "top_p": 0.9}
    settings = AnswerSettings(stream="s", prompt="Q: {question}", system="Model's.", **sampling)
    answers = answer_questions(
        settings, seeds, None, range(2), lambda: engine, cache, lambda _: None
    )
    asked = (*HISTORY, ("user", "Q: And one more?"))
    alone = (("system", "Model's."), ("user", "Q: And one more?"))
    assert {request.messages for request in engine.asked} == {asked, alone}

    again = SampleSettings(stream="s", samples=2, system="Model's.", **sampling)
    sample_answers(again, answers, 2, lambda: engine, cache, lambda _: None)
    assert {request.messages for request in engine.asked[2:]} == {asked, alone}
    for request, messages in zip(
        item_requests(seeds, "Q: {question}", 9, "Model's."), (asked, alone), strict=True
    ):
        assert request.messages == messages

    # Trained on as they were asked; the test question of another conversation is another one.
    answers.write_parquet(tmp_path / "answers.parquet")
    cut = DatasetSettings(
        budget=2, filter="none", reach=2, overlap_words=None, prompt="Q: {question}"
    )
    test = [item for item in seeds if item.history]
    for shards, budget in ((Shards([tmp_path / "answers.parquet"]), 2), (Shards(), 0)):
        kept = []
        settings = cut.model_copy(update={"budget": budget})
        build_dataset(settings, shards, seeds, test[:0], kept.append)
        chats = pl.concat(kept)["messages"].to_list()
        assert [(m["role"], m["content"]) for m in chats[0][:-1]] == list(asked)
        assert [m["role"] for m in chats[1]] == ["user", "assistant"]
        kept = []
        build_dataset(settings, shards, seeds, test, kept.append)
        assert [len(one) for one in pl.concat(kept)["messages"].to_list()] == [2]


def test_augmenters_see_the_conversation(seeds, tmp_path):
    engine = RecordingEngine(lambda request: ("What is one less?", "stop"))
    settings = QuestionSettings(
        stream="s",
        prompt="New: {question}",
        check_prompt=None,
        max_attempts=1,
        question_tokens=9,
        check_tokens=2,
        temperature=1.0,
        top_p=1.0,
        keeps_answer=False,
    )
    cache = ResponseCache(tmp_path / "cache", "m")
    write_questions(settings, seeds, range(2), lambda: engine, cache, lambda _: None)
    texts = sorted((request.messages[0][1] for request in engine.asked), key=len)
    assert texts[0] == "New: And one more?"
    assert "User: Two and two?\n\nAssistant: Four." in texts[1]
    assert texts[1].endswith("New: And one more?")


def test_a_students_template_takes_a_conversation_and_its_own_system_message(tiny_model):
    tokenizer = load_tokenizer(tiny_model)
    messages = [{"role": r, "content": c} for r, c in (*ROW, ("assistant", "Five."))]
    own, other = (encode_rows(tokenizer, [messages], system) for system in (None, "Other."))
    assert own == other
    assert own[0].prompt_tokens < len(own[0].ids)
    (with_system,) = encode_rows(tokenizer, [messages[1:]], "Be brief.")
    assert with_system == own[0]


def test_a_template_that_takes_no_such_messages_says_so(tiny_model):
    tokenizer = load_tokenizer(tiny_model)
    tokenizer.chat_template = "{{ raise_exception('no system role') }}"
    messages = [{"role": "system", "content": "x"}, {"role": "user", "content": "y"}]
    with pytest.raises(ValueError, match=r"roles: system, user.*no system role.*chat_template"):
        encode_rows(tokenizer, [messages])
