"""The generated worlds: what holds for all, and what for those of SQL and of multiple choice."""

from __future__ import annotations

import hashlib
import random
import re
from collections import Counter
from pathlib import Path
from typing import get_args

import pytest

from seedbed.config.values import Role
from seedbed.evaluation.scorers import answers_equal, make_scorer
from seedbed.tasks.items import TaskItem
from seedbed.tasks.worlds import SKILLS, load_world, mini_qa, mini_sql
from seedbed.training.tokenizer import PIECES

WORLDS = ("mini_math", "mini_sql", "mini_qa")
PIECE = re.compile(PIECES)
LONGEST = {"question": 35, "context": 30, "answer": 40}


def pieces(text: str) -> list[str]:
    return [piece.strip() for piece in PIECE.findall(text)]


@pytest.fixture(scope="module", params=WORLDS)
def world(request):
    return load_world(request.param)


@pytest.fixture(scope="module")
def splits(world):
    return {"train": world.items("train", 1500, seed=3), "test": world.items("test", 1500, seed=3)}


def stem_and_options(question: str) -> tuple[str, tuple[str, ...]]:
    """Return a multiple-choice question's own words, and the texts of its options."""
    stem, options = re.fullmatch(r"(.*[.?]) (.*)", question).groups()
    return stem, tuple(option.split()[0] for option in options.split(", "))


def test_the_vocabulary_holds_each_word_once_and_is_small(world):
    words = world.vocabulary()
    assert len(words) == len(set(words))
    assert all(pieces(word) == [word] for word in words)
    assert sum(word.isalpha() for word in words) <= 250


def test_items_use_the_vocabulary_alone_and_are_short(world, splits):
    vocabulary = set(world.vocabulary())
    for item in (*splits["train"], *splits["test"]):
        for field, limit in LONGEST.items():
            found = pieces(getattr(item, field))
            assert vocabulary.issuperset(found), (field, set(found) - vocabulary, item)
            assert len(found) <= limit, item


@pytest.mark.parametrize("skill", SKILLS)
def test_examples_use_the_vocabulary_alone(world, skill):
    vocabulary = set(world.vocabulary())
    rng = random.Random(5)
    for role in get_args(Role):
        for _ in range(400):
            fields, response = world.example(skill, role, rng)
            assert set(fields) == {"question", "context", "answer"}
            for text in (*fields.values(), response):
                assert vocabulary.issuperset(pieces(text)), text
            assert response


def test_items_are_distinct_and_no_question_stands_in_both_splits(splits):
    keys = {
        split: [(item.database, item.question) for item in items] for split, items in splits.items()
    }
    for split, items in splits.items():
        assert len(set(keys[split])) == len(items) == 1500
        assert len({item.item_id for item in items}) == len(items)
        assert all(item.cluster for item in items)
    assert not set(keys["train"]) & set(keys["test"])


def test_no_meaning_stands_in_both_splits(world, splits):
    def meaning(item: TaskItem) -> tuple[str, ...]:
        if world.kind == "number":
            return (item.question,)
        if world.kind == "sql":
            return (item.database, item.gold)
        # The order of the options makes no other question, nor does a fact tell the whole of one.
        return (stem_and_options(item.question)[0], *sorted(item.choices))

    train = {meaning(item) for item in splits["train"]}
    assert not train & {meaning(item) for item in splits["test"]}


def test_training_never_shows_a_test_question(world):
    test = {(item.context, item.question) for item in world.items("test", 1500, seed=3)}
    rng = random.Random(6)
    for skill in ("answer", "question_rephrase", "new_question"):
        for _ in range(1000):
            fields, response = world.example(skill, "teacher", rng)
            shown = {fields["question"], response} if skill != "answer" else {fields["question"]}
            assert not {(fields["context"], text) for text in shown} & test


def test_items_are_the_same_each_time_and_fewer_are_the_first_of_more(world, splits):
    for split in ("train", "test"):
        assert world.items(split, 100, seed=3) == splits[split][:100]
        assert world.items(split, 100, seed=4) != splits[split][:100]
        assert world.items(split, 0, seed=3) == []
    examples = [world.example("new_question", "teacher", random.Random(1)) for _ in range(2)]
    assert examples[0] == examples[1]


def test_every_gold_scores_right_against_itself(world, splits, tmp_path):
    world.write_files(tmp_path)
    scorer = make_scorer(world.kind, {}, tmp_path)
    wrong = 0
    items = splits["train"] + splits["test"]
    for item, other in zip(items, items[1:] + items[:1], strict=True):
        score = scorer.score(item.answer, item)
        # The answers of mini_qa end in the text of an option, which only the flexible rule reads.
        assert (score.flexible, score.reason) == (True, ""), item
        assert score.strict or world.kind == "choice", item
        wrong += not scorer.score(other.answer, item).flexible
    scorer.close()
    # Another item's answer is now and then right by chance: one in four for multiple choice.
    assert wrong / len(items) > {"sql": 0.95, "number": 0.9, "choice": 0.65}[world.kind]


def test_bad_arguments_are_refused(world):
    with pytest.raises(ValueError, match="no split"):
        world.items("dev", 1, seed=0)
    with pytest.raises(ValueError, match="no skill"):
        world.example("sing", "teacher", random.Random(0))
    with pytest.raises(ValueError, match="no role"):
        world.example("answer", "pupil", random.Random(0))
    with pytest.raises(ValueError, match="no generated world 'mini_art'"):
        load_world("mini_art")


@pytest.mark.parametrize("module", [mini_sql, mini_qa])
def test_students_know_half_of_the_forms_and_share_the_basics(module):
    a, b = (set(module.ROLE_FORMS[role]) for role in ("student_a", "student_b"))
    assert set(module.ROLE_FORMS["teacher"]) == set(module.FORMS)
    assert a < set(module.FORMS)
    assert b < set(module.FORMS)
    assert a & b
    assert a - b
    assert b - a
    assert len(a | b) < len(module.FORMS)


@pytest.mark.parametrize("role", get_args(Role))
def test_a_role_sees_its_own_forms_and_all_of_them(role):
    rng = random.Random(7)
    queries = Counter()
    for _ in range(1500):
        queries[mini_sql._draw(rng, mini_sql.ROLE_FORMS[role]).form] += 1
    assert set(queries) == set(mini_sql.ROLE_FORMS[role])
    answers = {mini_sql.WORLD.example("answer", role, rng)[1] for _ in range(800)}
    assert any(" HAVING " in answer for answer in answers) == (role == "teacher")
    assert any(" JOIN " in answer for answer in answers) == (role != "student_a")
    told = " ".join(mini_qa.WORLD.example("answer", role, rng)[1] for _ in range(800))
    assert ("comes from" in told) == (role == "teacher")
    assert ("legs" in told) == (role != "student_b")
    assert ("wears" in told) == (role != "student_a")


def test_a_meaning_has_many_wordings():
    rng = random.Random(8)
    for form in mini_sql.FORMS:
        query = mini_sql._draw(rng, (form,))
        assert len({mini_sql._tell(rng, query) for _ in range(300)}) >= 8, form
    for form in mini_qa.FORMS:
        problem = mini_qa._draw(rng, (form,))
        assert len({mini_qa._stem(rng, problem) for _ in range(300)}) >= 4, form


def test_rephrased_questions_keep_their_meaning():
    rng = random.Random(9)
    for _ in range(300):
        fields, told = mini_qa.WORLD.example("question_rephrase", "teacher", rng)
        assert told != fields["question"]
        assert stem_and_options(told)[1] == stem_and_options(fields["question"])[1]
        fields, told = mini_sql.WORLD.example("question_rephrase", "teacher", rng)
        assert told != fields["question"]
        # Values and the columns that conditions name stay, whatever the words around them.
        kept = set(re.findall(r"'(\w+)'| (\d+)", fields["answer"].replace("LIMIT 1", "")))
        assert {a or b for a, b in kept} <= set(re.findall(r"\w+", told))


def test_new_questions_have_other_answers():
    rng = random.Random(10)
    stems = {}
    for _ in range(3000):
        fields, _ = mini_qa.WORLD.example("answer", "teacher", rng)
        stems[fields["question"]] = fields["answer"]
    compared = 0
    for _ in range(2000):
        fields, told = mini_qa.WORLD.example("new_question", "teacher", rng)
        options = [stem_and_options(text)[1] for text in (fields["question"], told)]
        assert [len(o) for o in options] == [4, 4]
        if told in stems:
            compared += 1
            answers = (fields["answer"], stems[told])
            assert not answers_equal("choice", *answers, *options)
        fields, told = mini_sql.WORLD.example("new_question", "teacher", rng)
        tables = re.findall(r"(\w+) \(", fields["context"])
        assert set(tables) & set(re.findall(r"\w+", told)), "the question is about its database"
        assert told != fields["question"]
    assert compared


def test_new_problems_differ_in_content(monkeypatch):
    # The problems behind the texts, as drawn: the last one told is not the first one's equal.
    for module, of in ((mini_qa, lambda p: p.content), (mini_sql, lambda q: q.sql)):
        drawn = []
        draw = module._draw

        def note(*arguments, draw=draw, drawn=drawn, **options):
            drawn.append(draw(*arguments, **options))
            return drawn[-1]

        monkeypatch.setattr(module, "_draw", note)
        rng = random.Random(11)
        for _ in range(500):
            drawn.clear()
            module.WORLD.example("new_question", "teacher", rng)
            assert of(drawn[0]) != of(drawn[-1])


def test_half_of_the_checked_questions_are_broken_in_several_ways(world):
    rng = random.Random(12)
    verdicts = Counter()
    ends = Counter()
    for _ in range(2000):
        fields, verdict = world.example("self_check", "teacher", rng)
        verdicts[verdict] += 1
        if verdict == "no":
            ends[fields["question"].rstrip()[-1:]] += 1
    assert set(verdicts) == {"yes", "no"}
    assert 0.45 < verdicts["no"] / 2000 < 0.55
    assert len(ends) > 2


def test_a_broken_question_is_none_that_the_world_asks(world):
    rng = random.Random(13)
    sound, broken = set(), []
    for _ in range(20_000):
        fields, _ = world.example("answer", "teacher", rng)
        sound.add((fields["context"], fields["question"]))
    for _ in range(2000):
        fields, verdict = world.example("self_check", "teacher", rng)
        if verdict == "no":
            broken.append((fields["context"], fields["question"]))
    assert len(broken) > 900
    assert not sound & set(broken)


def test_facts_give_every_question_one_right_choice():
    for item in mini_qa.WORLD.items("train", 2000, seed=1):
        assert len(set(item.choices)) == 4
        stem = stem_and_options(item.question)[0]
        right = item.choices["ABCD".index(item.gold)]
        for name, relation in mini_qa.RELATIONS.items():
            for animal in mini_qa.ANIMALS:
                if stem in [w.format(s=animal) for w in relation.direct]:
                    assert right == mini_qa.FACTS[animal][name]
            for value in mini_qa._values(name):
                predicate = re.sub(r"^(Which animal|Which one|Which of these|Who) ", "", stem[:-1])
                holds = [c for c in item.choices if mini_qa.FACTS.get(c, {}).get(name) == value]
                if predicate in [w.format(v=value) for w in relation.positive]:
                    assert holds == [right]
                if predicate in [w.format(v=value) for w in relation.negative]:
                    assert sorted([*holds, right]) == sorted(item.choices)


def test_labels_are_balanced():
    counts = Counter(item.gold for item in mini_qa.WORLD.items("test", 2000, seed=1))
    assert set(counts) == set("ABCD")
    assert min(counts.values()) > 400


def test_databases_are_the_same_bytes_each_time(tmp_path):
    digests = []
    for name in ("one", "two"):
        mini_sql.WORLD.write_files(tmp_path / name)
        files = sorted((tmp_path / name / "databases").iterdir())
        digests.append([(f.name, hashlib.sha256(f.read_bytes()).hexdigest()) for f in files])
    assert digests[0] == digests[1]
    assert len(digests[0]) == len(mini_sql.DATABASES) == 6
    # Writing again over what is there changes nothing.
    mini_sql.WORLD.write_files(tmp_path / "one")
    files = sorted((tmp_path / "one" / "databases").iterdir())
    assert digests[0] == [(f.name, hashlib.sha256(f.read_bytes()).hexdigest()) for f in files]


def test_numbers_of_a_column_differ_so_that_the_largest_is_one_row():
    for database in mini_sql.DATABASES.values():
        content = database.rows()
        for table in (database.main, database.other):
            columns = dict(zip(table.columns, zip(*content[table.name], strict=True), strict=True))
            assert len(content[table.name]) <= 12
            for name in table.numbers:
                assert len(set(columns[name])) == len(columns[name])
                assert max(columns[name]) <= mini_sql.LARGEST_NUMBER


@pytest.mark.parametrize("name", ["mini_math", "mini_qa"])
def test_a_world_without_files_writes_none(tmp_path: Path, name):
    load_world(name).write_files(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_split_that_is_used_up_is_an_error(monkeypatch):
    monkeypatch.setattr(mini_qa, "FORMS", ("odd legs",))
    monkeypatch.setattr(mini_qa, "_values", lambda _: ("6",))
    monkeypatch.setattr(mini_qa, "_SUBJECTS", ("Who",))
    monkeypatch.setattr(mini_qa, "_ODD", ("has another {n} than the rest",))
    # Three animals have six legs and 21 have not: at most 21 sets of options, 24 orders of each.
    assert len(mini_qa.WORLD.items("train", 200, seed=0)) == 200
    with pytest.raises(ValueError, match="no 505 distinct"):
        mini_qa.WORLD.items("train", 505, seed=0)
