from dataclasses import replace

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from recording_engine import KilledError, RecordingEngine, echo, no_engine, timeless

from seedbed.engines import Completion
from seedbed.streams import sampling_seed
from seedbed.streams.questions import (
    LONGEST_QUESTION_CHARACTERS,
    SCHEMA,
    read_question,
    read_self_check,
    write_questions,
)
from seedbed.streams.response_cache import ResponseCache
from seedbed.streams.settings import QuestionSettings
from seedbed.tasks.choices import with_choices
from seedbed.tasks.items import TaskItem

SEEDS = [
    TaskItem(f"train-{n}", f"How many are {n} and {n}?", "", f"#### {2 * n}", str(2 * n))
    for n in range(3)
]
SETTINGS = QuestionSettings(
    stream="task=t/method=new_question",
    prompt="New: {question} {answer}",
    check_prompt="Check: {question}",
    max_attempts=3,
    question_tokens=20,
    check_tokens=2,
    temperature=0.7,
    top_p=0.9,
    keeps_answer=False,
)
UNCHECKED = SETTINGS.model_copy(update={"check_prompt": None})


def silent(text):
    pass


def write(settings, engine, folder, start=0, stop=8):
    return write_questions(
        settings, SEEDS, range(start, stop), lambda: engine, ResponseCache(folder, "m"), silent
    )


def obliging(request):
    """Write a question that depends on the sampling seed; check some with yes, some with no."""
    content = request.messages[0][1]
    if content.startswith("New: "):
        return f"Question {request.seed % 1000}?", "stop"
    return ("yes" if int(content[:-1].split()[-1]) % 3 else "no"), "stop"


def test_query_i_starts_from_seed_i_mod_s_and_counts_samples(tmp_path):
    rows = write(UNCHECKED, RecordingEngine(obliging), tmp_path)
    assert rows.schema == SCHEMA
    assert rows["query"].to_list() == list(range(8))
    assert rows["seed_id"].to_list() == [f"train-{i % 3}" for i in range(8)]
    assert rows["sample"].to_list() == [0, 0, 0, 1, 1, 1, 2, 2]
    assert rows["attempts"].to_list() == rows["augmenter_queries"].to_list() == [1] * 8
    assert rows["reason"].to_list() == [""] * 8


def test_requests_carry_prompt_limit_and_sampling(tmp_path):
    engine = RecordingEngine(obliging)
    write(SETTINGS, engine, tmp_path, 4, 5)
    question, check = engine.asked[:2]
    assert question.messages == (("user", "New: How many are 1 and 1? #### 2"),)
    assert (question.max_tokens, question.temperature, question.top_p) == (20, 0.7, 0.9)
    assert question.seed == sampling_seed(SETTINGS.stream, 4, "question", 0)
    assert check.messages[0][1].startswith("Check: Question ")
    assert (check.max_tokens, check.temperature) == (2, 0.0)


def test_two_shards_are_one_larger_one_cut_in_two(tmp_path):
    whole = write(SETTINGS, RecordingEngine(obliging), tmp_path / "a", 0, 40)
    parts = [
        write(SETTINGS, RecordingEngine(obliging), tmp_path / "b", start, stop)
        for start, stop in ((0, 16), (16, 17), (17, 40))
    ]
    assert timeless(pl.concat(parts)).equals(timeless(whole))
    assert whole["reason"].str.contains("check_no").any()


def test_a_shard_without_queries_has_no_rows(tmp_path):
    rows = write_questions(
        SETTINGS, SEEDS, range(5, 5), no_engine, ResponseCache(tmp_path, "m"), silent
    )
    assert (rows.height, rows.schema) == (0, SCHEMA)


def test_a_rejected_question_is_written_again_and_all_of_it_is_counted(tmp_path):
    def answer(request):
        if request.messages[0][1].startswith("New: "):
            attempt = next(
                n
                for n in range(3)
                if request.seed == sampling_seed(SETTINGS.stream, 0, "question", n)
            )
            return ["How many are  0 AND 0?", "Good or bad?", "Good now?"][attempt], "stop"
        return {"Check: Good or bad?": "No.", "Check: Good now?": "Yes!"}[
            request.messages[0][1]
        ], "stop"

    engine = RecordingEngine(answer)
    (row,) = write(SETTINGS, engine, tmp_path, 0, 1).iter_rows(named=True)
    assert row["question"] == "Good now?"
    assert row["reason"] == "same_as_seed,check_no"
    assert (row["attempts"], row["augmenter_queries"]) == (3, 5)
    prompts = [request.messages[0][1] for request in engine.asked]
    assert row["augmenter_prompt_tokens"] == sum(len(prompt.split()) for prompt in prompts)
    # Six, three and two words of questions, two verdicts, and the end of each.
    assert row["augmenter_completion_tokens"] == (6 + 1) + (3 + 1) + (2 + 1) + 2 * 2


@pytest.mark.parametrize(
    ("settings", "answer", "reasons", "queries"),
    [
        (UNCHECKED, ("Half of a quest", "length"), "truncated,truncated,truncated", 3),
        (UNCHECKED, (" \n ", "stop"), "empty,empty,empty", 3),
        (SETTINGS, ("perhaps so", "stop"), ",".join(["check_unreadable"] * 3), 6),
        (SETTINGS, ("no more", "stop"), "check_no,check_no,check_no", 6),
        (SETTINGS.model_copy(update={"max_attempts": 1}), ("no more", "stop"), "check_no", 2),
    ],
)
def test_a_slot_stays_empty_when_no_attempt_was_usable(
    tmp_path, settings, answer, reasons, queries
):
    (row,) = write(settings, RecordingEngine(lambda _: answer), tmp_path, 0, 1).iter_rows(
        named=True
    )
    assert row["question"] is None
    assert row["reason"] == reasons
    assert row["augmenter_queries"] == queries


def test_attempts_and_queries_are_sampled_apart(tmp_path):
    engine = RecordingEngine(lambda _: ("", "stop"))
    write(UNCHECKED, engine, tmp_path, 0, 30)
    assert len({request.seed for request in engine.asked}) == len(engine.asked) == 90


@pytest.mark.parametrize("after", [0, 3, 11, 25, 40])
def test_a_run_that_died_ends_as_if_it_had_not(tmp_path, after):
    undisturbed = RecordingEngine(obliging)
    whole = write(SETTINGS, undisturbed, tmp_path / "whole", 0, 20)
    assert len(undisturbed.asked) > 40
    dying = RecordingEngine(obliging, die_after=after)
    with pytest.raises(KilledError):
        write(SETTINGS, dying, tmp_path / "killed", 0, 20)
    second = RecordingEngine(obliging)
    killed = write(SETTINGS, second, tmp_path / "killed", 0, 20)
    assert timeless(killed).equals(timeless(whole))
    # Of questions, each has a sampling seed of its own, so none may be there twice.
    seeds = [r.seed for r in dying.asked + second.asked if r.temperature]
    assert len(seeds) == len(set(seeds))
    assert len(dying.asked) + len(second.asked) <= len(undisturbed.asked)


def test_braces_in_seeds_and_questions_are_text(tmp_path):
    seed = replace(SEEDS[0], question="What is {x} in {answer}?", answer="{0}")
    engine = RecordingEngine(
        lambda r: ("yes" if r.messages[0][1].startswith("Check") else "And {y}, {0}?", "stop")
    )
    rows = write_questions(
        SETTINGS, [seed], range(1), lambda: engine, ResponseCache(tmp_path, "m"), silent
    )
    assert [r.messages[0][1] for r in engine.asked] == [
        "New: What is {x} in {answer}? {0}",
        "Check: And {y}, {0}?",
    ]
    assert rows["question"].to_list() == ["And {y}, {0}?"]


SEED = TaskItem("train-0", "The seed question?", "", "#### 1", "1")
CHOICE_SEED = TaskItem(
    "train-0",
    with_choices("Which one flies?", ("owl", "cow", "worm")),
    "",
    "Answer: A",
    "A",
    ("owl", "cow", "worm"),
)


def completion(text, finish_reason="stop"):
    return Completion("0", text, finish_reason, 1, 1)


@pytest.mark.parametrize(
    ("text", "finish_reason", "expected"),
    [
        ("  How many?\n", "stop", ("How many?", "")),
        ("Two\nlines\tand a tab?", "stop", ("Two\nlines\tand a tab?", "")),
        ("How many?", "length", (None, "truncated")),
        ("", "stop", (None, "empty")),
        ("", "length", (None, "truncated")),
        ("", "content_filter", (None, "content_filter")),
        ("", "rejected", (None, "rejected")),
        ("How many?", "tool_calls", (None, "not_finished")),
        ("a" * (LONGEST_QUESTION_CHARACTERS + 1), "stop", (None, "too_long")),
        ("How \x00 many?", "stop", (None, "control_characters")),
        ("How \x1b[31m many?", "stop", (None, "control_characters")),
        ("the  SEED\nquestion?", "stop", (None, "same_as_seed")),
        ('**"The seed question"**', "stop", (None, "same_as_seed")),
        ("I'm sorry, but I can't help with that.", "stop", (None, "refusal")),
        ("As an AI, I do not count apples.", "stop", (None, "refusal")),
        ("Sure!", "stop", (None, "preamble")),
        ("Sure, here is one: How many?", "stop", (None, "preamble")),
        ("Here is the rewritten problem:\n\nTom has 3 apples.", "stop", (None, "preamble")),
        ("**New problem:** Tom has 3 apples.", "stop", (None, "preamble")),
        ("Question: How many apples?", "stop", (None, "preamble")),
        (
            "Here are 3 apples. How many are red?",
            "stop",
            ("Here are 3 apples. How many are red?", ""),
        ),
        ("How sure is Tom?", "stop", ("How sure is Tom?", "")),
        ("<|assistant|>How many?", "stop", (None, "special_tokens")),
        ("How many? [/INST]", "stop", (None, "special_tokens")),
        ("Is 3 < 4 or s > 2?", "stop", ("Is 3 < 4 or s > 2?", "")),
        ("How many apples? #### 7", "stop", (None, "has_answer")),
        ("How many apples?\nSolution: 9-2=7", "stop", (None, "has_answer")),
        ("How many apples?\n**Answer:** 7", "stop", (None, "has_answer")),
        ("What is the answer: 3 or 4?", "stop", ("What is the answer: 3 or 4?", "")),
        ("x", "stop", (None, "no_question")),
        ("?!", "stop", (None, "no_question")),
    ],
)
def test_which_questions_can_be_used(text, finish_reason, expected):
    assert read_question(completion(text, finish_reason), SEED, True) == expected


@pytest.mark.parametrize(
    ("text", "kept", "new"),
    [
        ("What can fly?\n(A) owl\n(B) cow\n(C) worm", "", ""),
        ("What can fly?\n(A) Owl \n(B)  cow\n(C) worm\n", "no_choices", "no_choices"),
        ("What can fly?\n(A) cow\n(B) owl\n(C) worm", "other_choices", ""),
        ("What can swim?\n(A) cow\n(B) owl\n(C) eel", "other_choices", ""),
        ("What can swim? cow A, owl B, eel C", "other_choices", ""),
        ("What can swim?\n(A) cow\n(B) owl", "no_choices", "no_choices"),
        ("What can swim?\n(A) cow\n(B) owl\n(D) eel", "no_choices", "no_choices"),
        ("What can swim?\n(A) cow\n(B) cow\n(C) eel", "repeated_choice", "repeated_choice"),
        ("What can swim?", "no_choices", "no_choices"),
        ("(A) owl\n(B) cow\n(C) worm", "no_question", "no_question"),
        ("Answer: A\nWhat is it?\n(A) owl\n(B) cow\n(C) worm", "has_answer", "has_answer"),
    ],
)
def test_a_multiple_choice_question_must_have_its_choices(text, kept, new):
    assert read_question(completion(text), CHOICE_SEED, True)[1] == kept
    assert read_question(completion(text), CHOICE_SEED, False)[1] == new


def test_what_a_seed_has_a_question_may_have():
    seed = replace(SEED, question="Question: what follows?\nAnswer: one number.")
    assert read_question(completion("Question: what comes next?"), seed, True)[1] == ""


def test_a_layout_of_choices_that_is_not_known_is_not_asked_for():
    seed = replace(CHOICE_SEED, question="Which one flies: owl, cow or worm?")
    assert read_question(completion("What can swim: eel or cow?"), seed, True)[1] == ""


@given(st.text())
def test_any_text_gives_a_question_or_a_reason(text):
    question, reason = read_question(completion(text), SEED, False)
    assert (question is None) == bool(reason)
    assert question is None or (question == text.strip() and "," not in reason)


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("yes", True),
        ("Yes, it is clear.", True),
        ("**YES**", True),
        ("\n no.", False),
        ("No", False),
        ("'no', because yes", False),
        ("not", None),
        ("yesterday", None),
        ("nothing wrong: yes", None),
        ("The answer is yes", None),
        ("", None),
        ("?!", None),
    ],
)
def test_the_verdict_is_the_first_word(text, verdict):
    assert read_self_check(text) is verdict


@given(st.text())
def test_any_text_has_a_verdict_or_none(text):
    assert read_self_check(text) in (True, False, None)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["task=a/seeds=1", "task=a/seeds=11", "task=b"]),
            st.integers(0, 10**9),
            st.sampled_from(["answer", "question"]),
            st.integers(0, 9),
        ),
        unique=True,
    )
)
def test_sampling_seeds_of_different_queries_differ(coordinates):
    seeds = [sampling_seed(*where) for where in coordinates]
    assert len(set(seeds)) == len(coordinates)
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert seeds == [sampling_seed(*where) for where in coordinates]


def test_sampling_seeds_never_change():
    # Pinned: another value would ask for every answer of every study again.
    assert sampling_seed("task=t", 3, "answer") == 5312712424647349270


def test_the_echo_of_a_seed_is_no_question(tmp_path):
    settings = UNCHECKED.model_copy(update={"prompt": "{question}", "max_attempts": 2})
    engine = RecordingEngine(lambda r: (echo(r)[0].split(" / ")[0].upper(), "stop"))
    rows = write(settings, engine, tmp_path, 0, 3)
    assert rows["question"].to_list() == [None] * 3
    assert rows["reason"].to_list() == ["same_as_seed,same_as_seed"] * 3
