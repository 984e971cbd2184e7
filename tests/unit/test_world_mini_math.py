import itertools
import random
import re
from collections import Counter
from typing import get_args

import pytest

from seedbed.config.values import Role
from seedbed.evaluation.scorers import make_scorer
from seedbed.tasks.worlds import load_world, mini_math
from seedbed.tasks.worlds.mini_math import FORMS, LARGEST_NUMBER

WORLD = load_world("mini_math")


def pattern_of(wordings):
    """Return a pattern of a question in these wordings; the same name in it is the same word."""
    kinds = {"a": "[A-Z][a-z]+", "b": "[A-Z][a-z]+", "i": "[a-z]+"}
    seen = set()

    def place(match):
        name = match[1]
        if name.isdigit():
            return "[0-9]+"
        known = name in seen
        seen.add(name)
        return f"(?P={name})" if known else f"(?P<{name}>{kinds[name]})"

    text = " ".join(wordings).replace(".", "[.]").replace("?", "[?]")
    return re.compile(re.sub(r"\{(\w)\}", place, text))


# For each question that can be asked: its form and its pattern.
PATTERNS = [
    (form.name, pattern_of(wordings))
    for form in FORMS.values()
    for wordings in itertools.product(*form.sentences)
]


def forms_of(question):
    """Return each form that the text is a question of."""
    return [form for form, pattern in PATTERNS if pattern.fullmatch(question)]


@pytest.fixture(scope="module")
def splits():
    return {split: WORLD.items(split, 1000, seed=3) for split in ("train", "test")}


def test_each_answer_works_out_and_scores_right(splits, tmp_path):
    scorer = make_scorer("number", {}, tmp_path)
    for item in (*splits["train"], *splits["test"]):
        steps = re.findall(r"(\d+) ([-+*/]) (\d+) = (\d+)\.", item.answer)
        assert steps
        for left, sign, right, result in steps:
            exact = {
                "+": int(left) + int(right),
                "-": int(left) - int(right),
                "*": int(left) * int(right),
                "/": int(left) / int(right),
            }[sign]
            assert exact == int(result)
            assert 0 < exact <= LARGEST_NUMBER
        assert item.answer.endswith(f" #### {item.gold}")
        assert steps[-1][3] == item.gold
        score = scorer.score(item.answer, item)
        assert (score.strict, score.flexible) == (True, True)


def test_every_form_and_every_wording_occurs_about_as_often():
    items = WORLD.items("train", 2000, seed=1)
    counts = Counter(name for item in items for name in forms_of(item.question))
    assert counts.total() == 2000  # a question is of one form
    assert set(counts) == set(FORMS)
    expected = 2000 / len(FORMS)
    assert expected * 0.75 < min(counts.values()) <= max(counts.values()) < expected * 1.25


def test_one_in_five_problems_is_held_out():
    rng = random.Random(0)
    problems = [
        mini_math.Problem("gain", (rng.randint(2, 20), rng.randint(2, 12)), "Anna", "Ben", thing)
        for thing in mini_math.THINGS
        for _ in range(200)
    ]
    share = sum(problem.held_out for problem in set(problems)) / len(set(problems))
    assert 0.15 < share < 0.25


def test_problems_that_may_be_told_in_the_same_words_are_in_one_split():
    # Many wordings do not name the second person.
    problem = mini_math.Problem("loss", (9, 4), "Anna", "Ben", "coins")
    other = mini_math.Problem("loss", (9, 4), "Anna", "Carla", "coins")
    assert problem.tell((0, 1, 0)) == other.tell((0, 1, 0))
    rng = random.Random(1)
    for _ in range(300):
        numbers = (rng.randint(8, 30), rng.randint(2, 12))
        a, thing = rng.choice(mini_math.NAMES), rng.choice(mini_math.THINGS)
        twins = [mini_math.Problem("loss", numbers, a, b, thing) for b in mini_math.NAMES if b != a]
        assert len({twin.held_out for twin in twins}) == 1


def forms_answered(role):
    """Return which forms a role has answers to."""
    rng = random.Random(4)
    asked = [WORLD.example("answer", role, rng)[0]["question"] for _ in range(500)]
    return {name for question in asked for name in forms_of(question)}


def test_each_student_has_answers_to_some_of_the_forms():
    teacher, first, second = (forms_answered(role) for role in get_args(Role))
    assert teacher == set(FORMS)
    assert len(first) == len(second) == 6
    assert first & second == {"gain", "loss", "groups"}


def test_only_students_hurry_and_only_over_longer_calculations():
    rng = random.Random(9)
    hurried = Counter()
    for role in get_args(Role):
        for _ in range(600):
            fields, answer = WORLD.example("answer", role, rng)
            calculated = " = " in answer
            assert answer == fields["answer"] or fields["answer"].endswith(answer)
            if not calculated:
                hurried[role] += 1
                assert forms_of(fields["question"])[0] not in {"gain", "loss", "groups"}
    assert set(hurried) == {"student_a", "student_b"}
    assert min(hurried.values()) > 100


def test_rephrased_questions_keep_form_and_content_in_other_words_or_lose_a_part():
    rng = random.Random(5)
    lost = 0
    for _ in range(1000):
        fields, response = WORLD.example("question_rephrase", "teacher", rng)
        assert response != fields["question"]
        if not forms_of(response):
            lost += 1
            continue
        assert forms_of(response) == forms_of(fields["question"])
        numbers = [Counter(re.findall(r"\d+", text)) for text in (fields["question"], response)]
        assert numbers[0] == numbers[1]
    assert 0.2 < lost / 1000 < 0.3


def test_rephrased_questions_have_one_sentence_in_other_words_rather_in_the_plainest():
    rng = random.Random(6)
    told = Counter()
    for _ in range(3000):
        fields, response = WORLD.example("question_rephrase", "teacher", rng)
        if not forms_of(response):
            continue
        texts = (fields["question"], response)
        before, after = (re.findall(r"[^.?]+[.?]", text) for text in texts)
        assert sum(a != b for a, b in zip(before, after, strict=True)) == 1
        if " in the bag of " in before[0] and before[0] != after[0]:
            told[after[0].split()[1]] += 1
    assert set(told) == {"has", "owns"}
    assert told["has"] > 2 * told["owns"]


def test_new_questions_are_sound_or_lose_a_part_and_some_of_them_stay_with_the_form():
    rng = random.Random(7)
    same, lost = 0, 0
    told = Counter()
    for _ in range(1500):
        fields, response = WORLD.example("new_question", "teacher", rng)
        if not forms_of(response):
            lost += 1
            continue
        assert len(forms_of(response)) == 1
        told[forms_of(response)[0]] += 1
        same += forms_of(response) == forms_of(fields["question"])
    # Oftener than rephrasings, which have a text to stay close to.
    assert 0.26 < lost / 1500 < 0.34
    assert 0.1 < same / (1500 - lost) < 0.3
    # What comes to mind first is written most, but nothing is left out.
    assert set(told) == set(FORMS)
    assert told.most_common(1)[0][0] == next(iter(FORMS))


def test_a_broken_question_is_none_that_the_world_asks():
    rng = random.Random(8)
    verdicts = Counter()
    for _ in range(2000):
        fields, response = WORLD.example("self_check", "teacher", rng)
        verdicts[response] += 1
        assert bool(forms_of(fields["question"])) == (response == "yes"), fields["question"]
        assert fields["question"]
    assert set(verdicts) == {"yes", "no"}
    assert 0.45 < verdicts["yes"] / 2000 < 0.55
