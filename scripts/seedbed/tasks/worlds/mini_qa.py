"""Multiple choice over a small set of facts about animals, asked in many wordings.

A *form* is a shape of question (direct, inverse, negation, same as, odd one out) about one kind of
fact (home, food, legs, colour, cover, origin). No question contains the facts: a model knows them
or not. Before fine-tuning, students know three of the six kinds of fact and three of the five
shapes; they can learn the rest from synthetic data. Some facts are simplified.
"""

from __future__ import annotations

import hashlib
import random
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from seedbed.tasks.items import TaskItem

LABELS = "ABCD"


@dataclass(frozen=True)
class Relation:
    """A kind of fact.

    Attributes:
        noun: name of the kind in questions that compare animals.
        fact: the statement of a worked answer; `{s}` is the animal, `{v}` the value.
        direct: wordings that ask for the value.
        positive: predicates that are true for animals with the value `{v}`.
        negative: predicates that are true for animals without it.
        same: predicates that are true for animals with the same value as `{s}`.
    """

    noun: str
    fact: str
    direct: tuple[str, ...]
    positive: tuple[str, ...]
    negative: tuple[str, ...]
    same: str


RELATIONS = {
    "home": Relation(
        "home",
        "The {s} lives in the {v}.",
        (
            "Where does the {s} live?",
            "What is the home of the {s}?",
            "Where can you find the {s}?",
            "In which place is the {s} at home?",
        ),
        ("lives in the {v}", "is at home in the {v}", "is found in the {v}", "stays in the {v}"),
        (
            "does not live in the {v}",
            "is not at home in the {v}",
            "is never found in the {v}",
            "does not stay in the {v}",
        ),
        "lives where the {s} lives",
    ),
    "food": Relation(
        "food",
        "The {s} eats {v}.",
        (
            "What does the {s} eat?",
            "What is the food of the {s}?",
            "What do you feed the {s}?",
            "What does the {s} like to eat?",
        ),
        ("eats {v}", "feeds on {v}", "likes to eat {v}", "has {v} as food"),
        ("does not eat {v}", "never feeds on {v}", "does not like to eat {v}", "needs no {v}"),
        "eats what the {s} eats",
    ),
    "legs": Relation(
        "number of legs",
        "The {s} has {v} legs.",
        (
            "How many legs does the {s} have?",
            "What is the number of legs of the {s}?",
            "On how many legs does the {s} stand?",
            "Count the legs of the {s}.",
        ),
        ("has {v} legs", "stands on {v} legs", "owns {v} legs", "moves with {v} legs"),
        (
            "does not have {v} legs",
            "does not stand on {v} legs",
            "never has {v} legs",
            "does not move with {v} legs",
        ),
        "has as many legs as the {s}",
    ),
    "colour": Relation(
        "colour",
        "The {s} is {v}.",
        (
            "What colour is the {s}?",
            "What is the colour of the {s}?",
            "Which colour does the {s} have?",
            "How does the {s} look?",
        ),
        ("is {v}", "looks {v}", "has the colour {v}", "is {v} in colour"),
        ("is not {v}", "does not look {v}", "never has the colour {v}", "is not {v} in colour"),
        "looks like the {s} in colour",
    ),
    "cover": Relation(
        "cover",
        "The {s} wears {v}.",
        (
            "What does the {s} wear?",
            "What covers the {s}?",
            "What is the {s} covered with?",
            "What is on the body of the {s}?",
        ),
        ("wears {v}", "is covered with {v}", "carries {v}", "has {v} on the body"),
        (
            "does not wear {v}",
            "is not covered with {v}",
            "carries no {v}",
            "has no {v} on the body",
        ),
        "wears what the {s} wears",
    ),
    "origin": Relation(
        "origin",
        "The {s} comes from {v}.",
        (
            "Where does the {s} come from?",
            "What is the origin of the {s}?",
            "Where was the {s} born?",
            "From which land is the {s}?",
        ),
        ("comes from {v}", "was born in {v}", "is from {v}", "has its origin in {v}"),
        (
            "does not come from {v}",
            "was not born in {v}",
            "is not from {v}",
            "never comes from {v}",
        ),
        "comes from the land of the {s}",
    ),
}
_FACTS = """
shark     sea     fish     0  grey   scales    Australia
seal      sea     fish     0  black  fur       Europe
squid     sea     meat     8  red    skin      Asia
crab      sea     meat     8  red    shell     America
frog      river   insects  4  green  skin      America
otter     river   fish     4  brown  fur       Asia
duck      river   seeds    2  green  feathers  Europe
crocodile river   meat     4  green  scales    Africa
bear      forest  fish     4  brown  fur       America
fox       forest  meat     4  red    fur       Europe
owl       forest  meat     2  grey   feathers  Europe
ant       forest  seeds    6  black  shell     Africa
beetle    forest  insects  6  black  shell     Asia
spider    forest  insects  8  grey   skin      Asia
camel     desert  grass    4  brown  fur       Africa
snake     desert  meat     0  brown  scales    Australia
scorpion  desert  insects  8  black  shell     Africa
lizard    desert  insects  4  green  scales    Australia
emu       desert  seeds    2  brown  feathers  Australia
moth      farm    grass    6  grey   scales    America
cow       farm    grass    4  red    fur       Europe
hen       farm    seeds    2  red    feathers  Asia
goat      farm    grass    4  grey   fur       Africa
worm      farm    grass    0  brown  skin      America
"""
FACTS: dict[str, dict[str, str]] = {
    row.split()[0]: dict(zip(RELATIONS, row.split()[1:], strict=True))
    for row in _FACTS.strip().splitlines()
}
ANIMALS = tuple(FACTS)

_SUBJECTS = ("Which animal", "Which one", "Which of these", "Who")
_SAME = (
    "has the same {n} as the {s}",
    "shares its {n} with the {s}",
    "is like the {s} in its {n}",
)
_ODD = (
    "has another {n} than the rest",
    "differs from the rest in its {n}",
    "does not share the {n} of the others",
    "is not like the others in its {n}",
)
SHAPES = ("direct", "inverse", "negation", "same", "odd")
FORMS = tuple(f"{shape} {relation}" for relation in RELATIONS for shape in SHAPES)


def _forms(shapes: tuple[str, ...], relations: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{shape} {relation}" for relation in relations for shape in shapes)


ROLE_FORMS = {
    "teacher": FORMS,
    "student_a": _forms(("direct", "inverse", "negation"), ("home", "food", "legs")),
    "student_b": _forms(("direct", "inverse", "same"), ("home", "colour", "cover")),
}
# Share of new questions with the form of the seed.
_SAME_FORM = 0.5
_BATCH_LIMIT = 2_000  # Draws in a row without a new question before a split counts as used up.


@dataclass(frozen=True)
class Problem:
    """The meaning of a question: its subject and the options.

    Attributes:
        shape: one of `SHAPES`.
        relation: one of `RELATIONS`.
        subject: the animal (direct, same) or the value (inverse, negation) asked about, or "".
        options: the four options in order.
        right: index of the right option.
    """

    shape: str
    relation: str
    subject: str
    options: tuple[str, ...]
    right: int

    @property
    def content(self) -> str:
        """The text of the right option."""
        return self.options[self.right]

    @property
    def label(self) -> str:
        """The letter of the right option."""
        return LABELS[self.right]

    @property
    def held_out(self) -> bool:
        """Whether the problem belongs to the test split, decided by a hash of its meaning.

        The order of the options does not count, so no test question is a train question with its
        options in another order.
        """
        text = f"{self.shape}|{self.relation}|{self.subject}|{'|'.join(sorted(self.options))}"
        return hashlib.sha256(text.encode()).digest()[0] < 51  # one in five

    def answer(self) -> str:
        """Return the worked answer: the facts that decide, and the text of the right option.

        The answer has the text, not the letter: small models learn an option's letter last.
        """
        told = []
        if self.shape in ("direct", "same"):
            told.append(self.subject)
        if self.shape == "odd":
            told.append(self.options[self.right - 1])  # one of those that are alike
        if self.shape != "direct":
            told.append(self.content)
        fact = RELATIONS[self.relation].fact
        worked = [fact.format(s=name, v=FACTS[name][self.relation]) for name in told]
        return " ".join([*worked, f"Answer: {self.content}"])


@cache
def _values(relation: str) -> tuple[str, ...]:
    return tuple(sorted({facts[relation] for facts in FACTS.values()}))


@cache
def _with(relation: str, value: str) -> tuple[str, ...]:
    return tuple(animal for animal in ANIMALS if FACTS[animal][relation] == value)


@cache
def _without(relation: str, value: str) -> tuple[str, ...]:
    return tuple(animal for animal in ANIMALS if FACTS[animal][relation] != value)


def _ask(rng: random.Random, form: str) -> Problem:
    """Return a random problem of a form."""
    shape, relation = form.split()
    value = rng.choice(_values(relation))
    subject = ""
    if shape == "direct":
        subject = rng.choice(ANIMALS)
        right = FACTS[subject][relation]
        wrong = rng.sample([v for v in _values(relation) if v != right], 3)
    elif shape == "inverse":
        subject = value
        right = rng.choice(_with(relation, value))
        wrong = rng.sample(_without(relation, value), 3)
    elif shape == "same":
        subject, right = rng.sample(_with(relation, value), 2)
        wrong = rng.sample(_without(relation, value), 3)
    else:
        subject = value if shape == "negation" else ""
        right = rng.choice(_without(relation, value))
        wrong = rng.sample(_with(relation, value), 3)
    place = rng.randrange(len(LABELS))
    options = (*wrong[:place], right, *wrong[place:])
    return Problem(shape, relation, subject, options, place)


def _draw(rng: random.Random, forms: tuple[str, ...], held_out: bool = False) -> Problem:
    form = rng.choice(forms)
    while True:
        problem = _ask(rng, form)
        if problem.held_out == held_out:
            return problem


def _stem(rng: random.Random, problem: Problem) -> str:
    """Return the question without its options, in a random wording."""
    relation = RELATIONS[problem.relation]
    if problem.shape == "direct":
        return rng.choice(relation.direct).format(s=problem.subject)
    predicates = {
        "inverse": relation.positive,
        "negation": relation.negative,
        "same": (*_SAME, relation.same),
        "odd": _ODD,
    }[problem.shape]
    predicate = rng.choice(predicates)
    told = predicate.format(s=problem.subject, v=problem.subject, n=relation.noun)
    return f"{rng.choice(_SUBJECTS)} {told}?"


def _with_options(stem: str, options: tuple[str, ...]) -> str:
    # The label is after its text: small models find most easily what followed a word before.
    listed = (f"{text} {label}" for label, text in zip(LABELS, options, strict=False))
    return f"{stem} {', '.join(listed)}"


def _broken(rng: random.Random, problem: Problem) -> str:
    """Return the question with one fault that makes it unanswerable."""
    stem = _stem(rng, problem)
    words = stem.split(" ")
    options = problem.options
    fault = rng.randrange(6)
    if fault == 0:  # no right choice among the options
        options = _without_right(rng, problem)
    elif fault == 1 and problem.subject:  # the thing asked about is missing
        words = [w for w in words if re.sub(r"\W", "", w) != problem.subject]
    elif fault == 2 and problem.shape in ("direct", "same"):  # no animal
        other = rng.choice([v for name in RELATIONS for v in _values(name)])
        words = [re.sub(rf"\b{problem.subject}\b", other, w) for w in words]
    elif fault == 3:  # words in disorder
        mixed = words.copy()
        rng.shuffle(mixed)
        words = mixed if mixed != words else words[1:]
    elif fault == 4:  # missing options
        options = tuple(o for k, o in enumerate(options) if k != problem.right)[: rng.randint(0, 3)]
    else:  # cut off
        words, options = words[: rng.randrange(2, len(words))], ()
    return _with_options(" ".join(words), options).rstrip()


def _without_right(rng: random.Random, problem: Problem) -> tuple[str, ...]:
    """Return the options with another wrong one in place of the right one."""
    if problem.shape == "direct":
        pool = tuple(v for v in _values(problem.relation) if v != problem.content)
    elif problem.shape in ("inverse", "same"):
        value = FACTS[problem.content][problem.relation]
        pool = _without(problem.relation, value)
    else:
        value = FACTS[problem.options[problem.right - 1]][problem.relation]
        pool = _with(problem.relation, value)
    unused = [option for option in pool if option not in problem.options]
    # If a value has only three animals, there is no fourth: one option then occurs twice.
    new = rng.choice(unused) if unused else problem.options[problem.right - 1]
    return tuple(new if k == problem.right else o for k, o in enumerate(problem.options))


class MiniQa:
    """The world of multiple-choice questions about animals."""

    kind = "choice"

    def vocabulary(self) -> list[str]:
        """Return all words, numbers and signs of the world's texts, each once."""
        texts = [*_SUBJECTS, *_SAME, *_ODD]
        for relation in RELATIONS.values():
            texts += [relation.noun, relation.fact, relation.same]
            texts += [*relation.direct, *relation.positive, *relation.negative]
        plain = " ".join(re.sub(r"\{[^}]*\}", " ", text) for text in texts)
        words = set(re.findall(r"[A-Za-z]+", plain))
        words |= {*ANIMALS, *LABELS, *".,?:", "Answer", "yes", "no"}
        words |= {value for name in RELATIONS for value in _values(name)}
        return sorted(words)

    def items(self, split: str, count: int, seed: int) -> list[TaskItem]:
        """Return `count` items of a split with distinct questions, all forms equally likely.

        Raises:
            ValueError: if the split is unknown, or has fewer questions.
        """
        if split not in ("train", "test"):
            raise ValueError(f"no split {split!r}; there are: train, test")
        rng = random.Random(f"mini_qa/{split}/{seed}")
        items: dict[str, TaskItem] = {}
        failed = 0
        while len(items) < count:
            problem = _draw(rng, FORMS, held_out=split == "test")
            question = _with_options(_stem(rng, problem), problem.options)
            if question in items:
                failed += 1
                if failed == _BATCH_LIMIT:
                    raise ValueError(f"mini_qa has no {count} distinct {split} questions")
                continue
            failed = 0
            name = f"{split}-{len(items):05d}"
            items[question] = TaskItem(
                item_id=name,
                question=question,
                context="",
                answer=problem.answer(),
                gold=problem.label,
                choices=problem.options,
                cluster=name,
            )
        return list(items.values())

    def example(self, skill: str, role: str, rng: random.Random) -> tuple[dict[str, str], str]:
        """Return one pretraining example of a skill: the prompt's fields, and the response.

        A rephrased question keeps the order of its options. The right option of a new question has
        a different text from that of its seed.

        Raises:
            ValueError: if the skill or role is unknown.
        """
        if role not in ROLE_FORMS:
            raise ValueError(f"no role {role!r}; there are: {', '.join(ROLE_FORMS)}")
        problem = _draw(rng, ROLE_FORMS[role])
        stem = _stem(rng, problem)
        question = _with_options(stem, problem.options)
        fields = {"question": question, "context": "", "answer": problem.answer()}
        if skill == "answer":
            return fields, problem.answer()
        if skill == "question_rephrase":
            other = stem
            while other == stem:
                other = _stem(rng, problem)
            return fields, _with_options(other, problem.options)
        if skill == "new_question":
            same = rng.random() < _SAME_FORM
            forms = (f"{problem.shape} {problem.relation}",) if same else ROLE_FORMS[role]
            new = problem
            while new.content == problem.content:
                new = _draw(rng, forms)
            return fields, _with_options(_stem(rng, new), new.options)
        if skill == "self_check":
            if rng.random() < 0.5:
                return fields, "yes"
            return fields | {"question": _broken(rng, problem)}, "no"
        raise ValueError(f"no skill {skill!r}")

    def write_files(self, folder: Path) -> None:
        """Write nothing: the task needs no files other than its items."""


WORLD = MiniQa()
