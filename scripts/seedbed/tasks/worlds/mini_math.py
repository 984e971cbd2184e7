"""Word problems: short stories about counting things, in many wordings.

A *form* is a kind of story with its own calculation. Each sentence of a form has several wordings,
so that one meaning has many surface forms. Before fine-tuning, a student answers the easiest forms
well, and some other forms often without working them out; it has seen questions of the remaining
forms, but no answers. From synthetic data it can learn the latter two groups.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from seedbed.tasks.items import TaskItem

NAMES = ("Anna", "Ben", "Carla", "David", "Emma", "Felix", "Grace", "Hugo", "Iris", "Jonas")
THINGS = ("apples", "books", "coins", "cards", "shells", "stamps", "marbles", "pencils")
LARGEST_NUMBER = 50

Numbers = tuple[int, ...]
Step = tuple[int, str, int]
_OPERATIONS: dict[str, Callable[[int, int], int]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a // b,
}

_HAS = ("{a} has {0} {i}.", "{a} owns {0} {i}.", "There are {0} {i} in the bag of {a}.")
_GAIN = ("{b} gives {a} {1} more.", "Then {a} finds {1} {i}.", "{a} buys another {1}.")
_LOSS = ("{a} gives {1} to {b}.", "Then {a} loses {1} {i}.", "{b} takes {1} of them.")
_NOW = ("How many {i} does {a} have now?", "Count the {i} of {a} now.")
_GROUPS = (
    "{a} has {0} boxes with {1} {i} in each.",
    "{a} fills {0} boxes and puts {1} {i} in every box.",
    "There are {0} boxes of {a} that hold {1} {i} each.",
)
_IN_ALL = ("How many {i} is that in all?", "What is the total number of {i}?")
_TOGETHER = ("How many {i} do they have together?", "What do {a} and {b} own in total?")


@dataclass(frozen=True)
class Form:
    """A kind of story.

    Attributes:
        sentences: for each sentence, its wordings; `{a}` and `{b}` are names, `{i}` things, and
            `{0}`, `{1}`, ... the numbers.
        chain: the steps of the calculation; `"=0"` is the result of step 0, an integer is the index
            of a number, `"x2"` the constant 2.
        ranges: inclusive bounds of each number.
    """

    name: str
    sentences: tuple[tuple[str, ...], ...]
    chain: tuple[tuple[int | str, str, int | str], ...]
    ranges: tuple[tuple[int, int], ...]

    def steps(self, numbers: Numbers) -> list[Step]:
        """Return the calculation on these numbers."""
        results: list[int] = []
        steps: list[Step] = []
        for left, sign, right in self.chain:
            a, b = (self._operand(operand, numbers, results) for operand in (left, right))
            steps.append((a, sign, b))
            results.append(_OPERATIONS[sign](a, b))
        return steps

    @staticmethod
    def _operand(operand: int | str, numbers: Numbers, results: list[int]) -> int:
        if isinstance(operand, int):
            return numbers[operand]
        value = int(operand[1:])
        return results[value] if operand[0] == "=" else value


# In the order of a model's preference when it writes freely.
_FORMS = (
    Form("gain", (_HAS, _GAIN, _NOW), ((0, "+", 1),), ((2, 20), (2, 9))),
    Form("loss", (_HAS, _LOSS, _NOW), ((0, "-", 1),), ((8, 25), (2, 9))),
    Form("groups", (_GROUPS, _IN_ALL), ((0, "*", 1),), ((2, 6), (2, 7))),
    Form(
        "gain_loss",
        (
            _HAS,
            _GAIN,
            ("Then {a} gives {2} away.", "After that {2} are lost.", "Now {a} sells {2}."),
            _NOW,
        ),
        ((0, "+", 1), ("=0", "-", 2)),
        ((5, 20), (2, 9), (2, 9)),
    ),
    Form(
        "groups_plus",
        (
            _GROUPS,
            (
                "{2} more {i} lie on the table.",
                "Besides, {a} carries {2} {i} in a bag.",
                "{b} adds {2} {i}.",
            ),
            _IN_ALL,
        ),
        ((0, "*", 1), ("=0", "+", 2)),
        ((2, 6), (2, 7), (2, 8)),
    ),
    Form(
        "more",
        (
            _HAS,
            (
                "{b} has {1} more than {a}.",
                "{b} owns {1} {i} beyond that.",
                "{b} is {1} {i} ahead of {a}.",
            ),
            _TOGETHER,
        ),
        ((0, "+", 1), (0, "+", "=0")),
        ((2, 18), (2, 9)),
    ),
    Form(
        "groups_minus",
        (
            _GROUPS,
            ("{2} of the {i} are broken.", "{b} takes {2} out.", "But {2} of them go missing."),
            ("How many {i} are still there?", "Count the {i} that are left."),
        ),
        ((0, "*", 1), ("=0", "-", 2)),
        ((2, 6), (3, 7), (2, 5)),
    ),
    Form(
        "fewer",
        (
            _HAS,
            ("{b} has {1} fewer than {a}.", "{b} owns {1} less.", "{b} is {1} {i} behind {a}."),
            _TOGETHER,
        ),
        ((0, "-", 1), (0, "+", "=0")),
        ((9, 20), (2, 7)),
    ),
    Form(
        "twice",
        (
            _HAS,
            (
                "{b} has twice as many.",
                "{b} owns double that number.",
                "For each of them {b} has two.",
            ),
            _TOGETHER,
        ),
        ((0, "*", "x2"), (0, "+", "=0")),
        ((2, 15),),
    ),
    Form(
        "share",
        (
            (
                "{a} and {b} put {0} and {1} {i} together.",
                "{a} brings {0} {i} and {b} brings {1}.",
            ),
            (
                "They share all equally.",
                "Both take the same part.",
                "Each of the two gets half.",
            ),
            ("How many {i} does each get?", "What is the part of {a}?"),
        ),
        ((0, "+", 1), ("=0", "/", "x2")),
        ((4, 16), (4, 16)),
    ),
    Form(
        "daily",
        (
            _HAS,
            (
                "{a} uses {1} every day for {2} days.",
                "On each of {2} days {1} {i} go away.",
                "{b} takes {1} daily, {2} days long.",
            ),
            _NOW,
        ),
        ((1, "*", 2), (0, "-", "=0")),
        ((20, 40), (2, 5), (2, 4)),
    ),
)
FORMS = {form.name: form for form in _FORMS}
_BASICS = ("gain", "loss", "groups")
# The forms that a role can answer. A student has seen questions of the others without answers.
_ROLE_FORMS: dict[str, tuple[str, ...]] = {
    "teacher": tuple(FORMS),
    "student_a": (*_BASICS, "gain_loss", "groups_plus", "more"),
    "student_b": (*_BASICS, "groups_minus", "fewer", "twice"),
}
# Share of longer calculations whose result a student writes without working it out: as with large
# models, part of the gain from fine-tuning is the habit of working step by step.
_HURRIED = 0.5
# Share of new questions with the form of the seed. Most of the rest have the first forms of the
# list: a model's free writing is less varied than the texts that it was given.
_SAME_FORM = 0.1
# A rephrasing rewords one sentence, most often in the plainest wording, and sometimes loses a part
# of the question. Models do both: their paraphrases stay close to the text and use common words,
# and some no longer contain all that is needed.
_PLAINNESS = (6, 2, 1)
_LOSS_RATE = 0.25
# A new question has no text to stay close to, and loses a part somewhat more often. Some of these
# questions pass the self-check, so the first new questions are worth less than the seeds.
_FAULT_RATE = 0.3
_POPULARITY = tuple((rank + 1) ** -0.9 for rank in range(len(_FORMS)))


@dataclass(frozen=True)
class Problem:
    """The meaning of a problem: its form, numbers, people and things."""

    form: str
    numbers: Numbers
    a: str
    b: str
    thing: str

    @property
    def steps(self) -> list[Step]:
        """The steps of the calculation."""
        return FORMS[self.form].steps(self.numbers)

    @property
    def result(self) -> int:
        """The final answer."""
        left, sign, right = self.steps[-1]
        return _OPERATIONS[sign](left, right)

    @property
    def held_out(self) -> bool:
        """Whether the problem belongs to the test split, decided by a hash of its meaning.

        The split therefore needs no list, and no other part of the world ever shows a test problem.
        The hash excludes the second name: many wordings leave it out, so that a test problem and a
        training problem could have the same words.
        """
        text = f"{self.form}|{self.numbers}|{self.a}|{self.thing}"
        return hashlib.sha256(text.encode()).digest()[0] < 51  # one in five

    def tell(self, surface: tuple[int, ...]) -> str:
        """Return the question in the surface form with these indexes of the sentences' wordings."""
        wordings = (s[k] for s, k in zip(FORMS[self.form].sentences, surface, strict=True))
        return " ".join(wordings).format(*self.numbers, a=self.a, b=self.b, i=self.thing)

    def answer(self) -> str:
        """Return the worked answer, with the last line in the format of GSM8K."""
        worked = " ".join(
            f"{a} {sign} {b} = {_OPERATIONS[sign](a, b)}." for a, sign, b in self.steps
        )
        return f"{worked} #### {self.result}"


def _draw(rng: random.Random, form: Form | None = None, held_out: bool = False) -> Problem:
    while True:
        form = form or rng.choice(_FORMS)
        a, b = rng.sample(NAMES, 2)
        numbers = tuple(rng.randint(low, high) for low, high in form.ranges)
        problem = Problem(form.name, numbers, a, b, rng.choice(THINGS))
        if _sound(problem) and problem.held_out == held_out:
            return problem


def _sound(problem: Problem) -> bool:
    for a, sign, b in problem.steps:
        result = _OPERATIONS[sign](a, b)
        if not 0 < result <= LARGEST_NUMBER or (sign == "/" and a % b):
            return False
    return True


def _surface(rng: random.Random, form: Form) -> tuple[int, ...]:
    return tuple(rng.randrange(len(wordings)) for wordings in form.sentences)


def _reworded(rng: random.Random, form: Form, surface: tuple[int, ...]) -> tuple[int, ...]:
    """Return a surface form with one sentence in other words."""
    place = rng.randrange(len(surface))
    others = [k for k in range(len(form.sentences[place])) if k != surface[place]]
    new = rng.choices(others, [_PLAINNESS[k] for k in others])[0]
    return (*surface[:place], new, *surface[place + 1 :])


def _with_a_loss(rng: random.Random, question: str) -> str:
    """Return the question without its first sentence, its last one, or one of its numbers."""
    loss = rng.randrange(3)
    if loss == 2:
        words = question.split(" ")
        del words[rng.choice([k for k, word in enumerate(words) if word.isdigit()])]
        return " ".join(words)
    sentences = re.findall(r"[^.?]+[.?]", question)
    # If the story has only these two sentences, it may stay complete without one.
    del sentences[-loss]
    return " ".join(sentence.strip() for sentence in sentences)


def _broken(rng: random.Random, question: str) -> str:
    """Return the question with one fault that makes it unanswerable."""
    words = question.split(" ")
    fault = rng.randrange(5)
    if fault < 3:
        return _with_a_loss(rng, question)
    if fault == 3:  # words shuffled, not only numbers or names exchanged
        start = rng.randrange(len(words) - 6)
        part = words[start : start + 6]
        order = _kinds(part)
        while _kinds(part) == order:
            rng.shuffle(part)
        return " ".join([*words[:start], *part, *words[start + 6 :]])
    return " ".join(words[: rng.randrange(2, max(3, len(words) - 4))])  # cut off


def _kinds(words: list[str]) -> list[str]:
    return [re.sub(r"\d+|[A-Z]\w*", "_", word) for word in words]


class MiniMath:
    """The world of word problems."""

    kind = "number"

    def vocabulary(self) -> list[str]:
        """Return all words, numbers and signs of the world's texts, each once."""
        texts = [w for form in _FORMS for wordings in form.sentences for w in wordings]
        words = {w for text in texts for w in re.findall(r"[A-Za-z]+|[^\sA-Za-z]", _plain(text))}
        words |= {*NAMES, *THINGS, *"+-*/=.,?:#", "####", "yes", "no"}
        return sorted(words) + [str(n) for n in range(LARGEST_NUMBER + 1)]

    def items(self, split: str, count: int, seed: int) -> list[TaskItem]:
        """Return `count` items of a split with distinct questions, all forms equally likely."""
        if split not in ("train", "test"):
            raise ValueError(f"no split {split!r}; there are: train, test")
        rng = random.Random(f"mini_math/{split}/{seed}")
        items: dict[str, TaskItem] = {}
        while len(items) < count:
            problem = _draw(rng, held_out=split == "test")
            question = problem.tell(_surface(rng, FORMS[problem.form]))
            if question not in items:
                name = f"{split}-{len(items):05d}"
                items[question] = TaskItem(
                    item_id=name,
                    question=question,
                    context="",
                    answer=problem.answer(),
                    gold=str(problem.result),
                    cluster=name,
                )
        return list(items.values())

    def example(self, skill: str, role: str, rng: random.Random) -> tuple[dict[str, str], str]:
        """Return one pretraining example of a skill: the prompt's fields, and the response."""
        if role not in _ROLE_FORMS:
            raise ValueError(f"no role {role!r}; there are: {', '.join(_ROLE_FORMS)}")
        form = FORMS[rng.choice(_ROLE_FORMS[role])]
        problem = _draw(rng, form)
        surface = _surface(rng, form)
        question = problem.tell(surface)
        fields = {"question": question, "context": "", "answer": problem.answer()}
        if skill == "answer":
            if role != "teacher" and form.name not in _BASICS and rng.random() < _HURRIED:
                return fields, f"#### {problem.result}"
            return fields, problem.answer()
        if skill == "question_rephrase":
            told = problem.tell(_reworded(rng, form, surface))
            return fields, _with_a_loss(rng, told) if rng.random() < _LOSS_RATE else told
        if skill == "new_question":
            new = problem
            while new.result == problem.result:
                free = rng.choices(_FORMS, _POPULARITY)[0]
                new = _draw(rng, form if rng.random() < _SAME_FORM else free)
            told = new.tell(_surface(rng, FORMS[new.form]))
            return fields, _with_a_loss(rng, told) if rng.random() < _FAULT_RATE else told
        if skill == "self_check":
            if rng.random() < 0.5:
                return fields, "yes"
            return fields | {"question": _broken(rng, question)}, "no"
        raise ValueError(f"no skill {skill!r}")

    def write_files(self, folder: Path) -> None:
        """Write nothing: the task needs no files other than its items."""


def _plain(wording: str) -> str:
    return re.sub(r"\{[^}]*\}", " ", wording)


WORLD = MiniMath()
