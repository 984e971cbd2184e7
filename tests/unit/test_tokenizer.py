import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seedbed.tasks.worlds import load_world
from seedbed.training.tokenizer import ASSISTANT, END, SYSTEM, USER, build_tokenizer

WORLD = load_world("mini_math")
SPECIAL = re.compile(r"<\|(system|user|assistant|end|pad)\|>")


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer(WORLD.vocabulary())


def read_back(tokenizer, text):
    return tokenizer.decode(tokenizer.encode(text, add_special_tokens=False))


@settings(max_examples=300, deadline=None)
@given(text=st.text().filter(lambda text: not SPECIAL.search(text)))
def test_any_text_is_read_back_as_it_was(tokenizer, text):
    assert read_back(tokenizer, text) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "  two before",
        "after  ",
        "a\n\n\tb\r\n",
        "####",
        "12 apples",
        "12,345.60",
        "naïve 🌱 数学 ́",
        "\x00\x1f\u2028",
        "Anna's {question} %s",
        "<|begin_of_text|>",
        "Ġ",
    ],
)
def test_texts_at_the_edge_are_read_back(tokenizer, text):
    assert read_back(tokenizer, text) == text


def test_each_word_of_the_world_is_one_token_with_and_without_a_space(tokenizer):
    for word in WORLD.vocabulary():
        if word.isalnum():
            assert len(tokenizer.encode(word)) == 1, word
            assert len(tokenizer.encode(f"Anna {word}")) == 2, word


def test_the_first_word_is_the_same_token_as_inside_a_message(tokenizer):
    (first,) = tokenizer.encode("apples")
    assert tokenizer.encode("Anna apples")[1] == first


def test_questions_of_the_world_need_no_bytes(tokenizer, questions):
    alphabet = {token for token in tokenizer.get_vocab() if len(token) == 1}
    for question in questions:
        words = [token for token in tokenizer.tokenize(question) if token in alphabet]
        assert all(not word.isascii() or not word.isalpha() for word in words), question
        assert len(tokenizer.encode(question)) <= 40


def test_numbers_that_the_world_does_not_know_are_written_digit_by_digit(tokenizer):
    assert len(tokenizer.encode("48")) == 1
    assert len(tokenizer.encode("48213")) == 6  # a space, and five digits
    assert read_back(tokenizer, "48213") == "48213"


def test_chats_are_marked_with_one_token_a_mark(tokenizer):
    chat = [
        {"role": "system", "content": "Solve."},
        {"role": "user", "content": "How many?"},
        {"role": "assistant", "content": "2"},
    ]
    text = tokenizer.apply_chat_template(chat, tokenize=False)
    assert text == f"{SYSTEM}Solve.{END}{USER}How many?{END}{ASSISTANT}2{END}"
    ids = tokenizer.apply_chat_template(chat, return_dict=True)["input_ids"]
    assert [tokenizer.decode([token]) for token in ids if token in tokenizer.all_special_ids] == [
        SYSTEM,
        END,
        USER,
        END,
        ASSISTANT,
        END,
    ]
    assert ids[-1] == tokenizer.eos_token_id


def test_the_prompt_is_the_beginning_of_the_chat(tokenizer, questions):
    for question in questions:
        chat = [
            {"role": "user", "content": question},
            {"role": "assistant", "content": "1 + 2 = 3. #### 3"},
        ]
        prompt, whole = (
            tokenizer.apply_chat_template(messages, add_generation_prompt=opened, return_dict=True)[
                "input_ids"
            ]
            for messages, opened in ((chat[:1], True), (chat, False))
        )
        assert whole[: len(prompt)] == prompt


def test_it_is_the_same_after_it_was_saved(tokenizer, tmp_path, questions):
    from transformers import AutoTokenizer

    tokenizer.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    for text in [*questions, "", "naïve 🌱 ####  12"]:
        assert loaded.encode(text) == tokenizer.encode(text)
        assert read_back(loaded, text) == text
    chat = [{"role": "user", "content": "How many?"}]
    assert loaded.apply_chat_template(chat, tokenize=False) == f"{USER}How many?{END}"
    assert (loaded.eos_token, loaded.padding_side) == (END, "left")


def test_words_given_twice_are_in_the_vocabulary_once():
    once, twice = build_tokenizer(["a1", "apples"]), build_tokenizer(["apples", "a1", "apples"])
    assert len(once) == len(twice)
