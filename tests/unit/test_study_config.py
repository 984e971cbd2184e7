import json
import os
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import get_type_hints

import pytest
import study_folder as sf

from seedbed.config.documents import read_document, spell
from seedbed.config.words import COORDINATES, WORLDS
from seedbed.study import config
from seedbed.study.cells import Cell, grid
from seedbed.study.checks import check_data, check_downloads, check_keys, check_prices
from seedbed.study.loading import StudyError, check_run_config, load_study
from seedbed.study.targets import Targets

REPOSITORY = Path(__file__).parents[2]
SHIPPED = REPOSITORY / "config"

STUDY = "studies/trial.yaml"
SUMS = "tasks/sums/task.yaml"
REAL = "tasks/real/task.yaml"
AA = "methods/answer_augmentation.yaml"
QR = "methods/question_rephrase.yaml"
NQ = "methods/new_question.yaml"
TEACHER = "models/teacher.yaml"
WEAK = "models/weak.yaml"
STUDENT = "models/student.yaml"
OTHER = "models/other.yaml"
BLOCK = sf.STUDY["blocks"][0]
B = ("blocks", 0)


def load(folder, files=sf.FILES, **kwargs):
    return load_study("trial", sf.write(folder, files), **kwargs)


def test_sound_study_loads(tmp_path):
    study = load(tmp_path)
    assert list(study.tasks) == ["sums"]
    assert list(study.methods) == ["answer_augmentation", "new_question"]
    assert list(study.models) == ["teacher", "student"]
    assert study.config.generation.temperature == 0.7
    assert study.answer_prompt("sums") == "{question}"
    assert study.question_prompt("sums", "new_question") == sf.PROMPTS["question"]
    assert study.self_check_prompt("sums", "new_question") == sf.PROMPTS["self_check"]
    assert study.pretrained("teacher") == ("teacher", 100)
    assert study.world("teacher", "sums") == "mini_math"


# A study in which every file is used.
ALL = sf.bend(
    sf.FILES,
    STUDY,
    (*B, "augmenters"),
    ["teacher", "weak", "other"],
)
ALL = sf.bend(ALL, TEACHER, ("worlds",), {"real": "mini_math"})
ALL = sf.bend(ALL, STUDENT, ("worlds",), {"real": "mini_math"})
ALL = sf.bend(ALL, STUDY, (*B, "tasks"), ["sums", "real"])

FILES = {"train": "rows/train.jsonl", "test": "rows/test.parquet"}
OWN = {
    "files": FILES,
    "columns": {"question": "question", "answer": "answer"},
    "train_items": 100,
    "test_items": 50,
}


ENDPOINT = {"kind": "openai", "base_url": "http://localhost:8000/v1"}
PAIRS = {
    "name": "pairs",
    "tasks": ["sums"],
    "methods": ["human"],
    "seeds": [10],
    "budgets": [20],
    "students": ["student"],
}


# File, path in it, value or GONE, and the parts of the message, with ~ between them.
BAD = [
    # names that are not there
    (STUDY, "blocks.0.students", ["studnet"],
     "blocks[0].students[0] ~ no model 'studnet' ~ did you mean 'student'?"),
    (STUDY, "blocks.0.teachers", ["teacher", "gpt"],
     "blocks[0].teachers[1] ~ no model 'gpt' ~ models: other, student, teacher, weak"),
    (STUDY, "blocks.0.augmenters", ["waek"],
     "blocks[0].augmenters[0] ~ no model 'waek' ~ did you mean 'weak'?"),
    (STUDY, "blocks.0.tasks", ["sum"], "blocks[0].tasks[0] ~ no task 'sum' ~ did you mean 'sums'?"),
    (STUDY, "blocks.0.methods", ["new_questions"],
     "blocks[0].methods[0] ~ no method 'new_questions' ~ did you mean 'new_question'?"),
    (STUDY, "blocks.0.filters", ["non"],
     "blocks[0].filters[0] ~ no filter 'non' ~ did you mean 'none'?"),
    (STUDY, "blocks.0.filters", ["none", "verified_match"],
     "blocks[0].filters[1] ~ no filter 'verified_match' ~ did you mean 'verified_matched'?"),
    (STUDY, "blocks.0.teachers", sf.GONE,
     "blocks[0].teachers: is missing ~ 'answer_augmentation', 'new_question' needs models"),
    (STUDY, "blocks", [PAIRS | {"teachers": ["teacher"]}],
     "blocks[0].teachers: has no effect: no method of the block asks a teacher"),
    (STUDY, "blocks", [PAIRS | {"filters": ["verified"]}],
     "blocks[0].filters: has no effect: no method of the block asks a teacher"),
    (STUDY, "blocks", [PAIRS | {"budgets": [20, 101]}],
     "blocks[0].budgets[1]: 101 is more than the 100 items of the train split of task 'sums'"),
    (STUDY, "blocks",
     [{k: v for k, v in PAIRS.items() if k != "budgets"} | {"budget_ratios": [1, 11]}],
     "blocks[0].budget_ratios[1]: 110 is more than the 100 items of the train split"),
    (STUDY, "verification", {"samples": 1}, "verification.samples: must be at least 2, not 1"),
    (STUDY, "verification", {"reach": 0.5}, "verification.reach: must be at least 1, not 0.5"),
    (AA, "real_pairs", "seed",
     "answer_augmentation.yaml ~ real_pairs: 'seed' is not valid; did you mean 'seeds'?"),
    (STUDY, "blocks", [PAIRS | {"methods": ["seed_only"]}],
     "blocks[0].budgets: has no effect: the methods of the block take the seeds alone"),
    (NQ, "real_pairs", "seeds",
     "new_question.yaml ~ real_pairs: must be null: the method writes questions"),
    (AA, "keeps_answer", False,
     "answer_augmentation.yaml ~ keeps_answer: must be true: the questions are the seeds' own"),
    (SUMS, "overlap_words", 0, "overlap_words: must be at least 1, not 0"),
    (STUDY, "blocks.0.students", ["../student"],
     "blocks[0].students[0] ~ '../student' cannot be a name"),
    (STUDY, "blocks.0.name", "Main", "blocks[0].name ~ 'Main' cannot be"),
    (STUDY, "blocks.0.name", "main\n", "blocks[0].name ~ cannot be a name"),
    # keys
    (STUDY, "shardsize", 8,
     "trial.yaml ~ : shardsize: is not a key here ~ did you mean 'shard_size'?"),
    (STUDY, "training.learning rate", 8,
     "training.learning rate: is not a key here ~ did you mean 'learning_rate'?"),
    (STUDY, "blocks.0.budget_ratio", [1],
     "blocks[0].budget_ratio: is not a key here ~ did you mean 'budget_ratios'?"),
    (STUDY, "generation", {"x": 1},
     "generation.x: is not a key here ~ keys: question_temperature, temperature, top_p"),
    (STUDY, "training.epochs", sf.GONE, "training.epochs: is missing"),
    (STUDY, "blocks", sf.GONE, "blocks: is missing"),
    # types
    (STUDY, "training.epochs", "3", "training.epochs: must be a whole number, not '3'"),
    (STUDY, "shard_size", True, "shard_size: must be a whole number, not true"),
    (STUDY, "training.learning_rate", True, "training.learning_rate: must be a number, not true"),
    (STUDY, "blocks.0.seeds", [10.5], "blocks[0].seeds[0]: must be a whole number, not 10.5"),
    (STUDY, "blocks.0.tasks", "sums", "blocks[0].tasks: must be a list, not 'sums'; write [sums]"),
    (SUMS, "title", 7, "title: must be text, not 7; put it in quotes"),
    (STUDY, "training", [1], "training: must be a section of keys, not a list"),
    (NQ, "self_check", "no", "self_check: must be true or false, not 'no'"),
    (STUDY, "training.epochs", None, "training.epochs: must be a whole number, not null"),
    # ranges
    (STUDY, "training.epochs", 0, "training.epochs: must be at least 1, not 0"),
    (STUDY, "training.learning_rate", -0.1,
     "training.learning_rate: must be greater than 0, not -0.1"),
    (STUDY, "training.learning_rate", float("inf"),
     "training.learning_rate: must be a finite number"),
    (STUDY, "generation", {"temperature": -1},
     "generation.temperature: must be at least 0, not -1"),
    (STUDY, "generation", {"top_p": 1.5}, "generation.top_p: must be at most 1, not 1.5"),
    (STUDY, "training.warmup_fraction", 3, "training.warmup_fraction: must be at most 1, not 3"),
    (STUDY, "analysis", {"confidence": 1}, "analysis.confidence: must be less than 1, not 1"),
    (STUDY, "shard_size", 0, "shard_size: must be at least 1, not 0"),
    (STUDY, "training.schedule", "cosin",
     "training.schedule: 'cosin' is not valid ~ did you mean 'cosine'?"),
    (STUDY, "blocks.0.students", [], "blocks[0].students: must not be empty"),
    (STUDY, "blocks", [], "blocks: must not be empty"),
    (STUDY, "blocks.0.seeds", [10, 20, 10], "blocks[0].seeds[2]: 10 stands in the list twice"),
    (STUDY, "blocks.0.budget_ratios", [1, 1.0],
     "blocks[0].budget_ratios[1]: 1.0 stands in the list twice"),
    # budgets
    (STUDY, "blocks.0", {k: v for k, v in BLOCK.items() if k != "budget_ratios"} | {"budgets": [0]},
     "blocks[0].budgets[0]: must be at least 1, not 0"),
    (STUDY, "blocks.0.budget_ratios", [0.05],
     "blocks[0].budget_ratios[0]: 0.05 x 10 seeds is 0.5 queries; a budget is at least 1"),
    (STUDY, "blocks.0.budget_ratios", [1, 1.25],
     "blocks[0].budget_ratios[1]: 1.25 x 10 seeds is 12.5 queries; a budget is a whole number"),
    (STUDY, "blocks.0.budgets", [10], "blocks[0].budgets: has both budgets and budget_ratios"),
    (STUDY, "blocks.0.budget_ratios", sf.GONE, "blocks[0]: has neither budgets nor budget_ratios"),
    # what does not fit together
    (STUDY, "blocks.0.seeds", [10, 101],
     "blocks[0].seeds[1]: 101 is more than the 100 items of the train split of task 'sums'"),
    (STUDY, "test_items", 51,
     "test_items: 51 is more than the 50 items of the test split of task 'sums'"),
    (STUDY, "blocks.0.methods", ["answer_augmentation"],
     "blocks[0].augmenters: has no effect ~ 'answer_augmentation' ~ leave it out"),
    (STUDY, "blocks.0.augmenters", sf.GONE,
     "blocks[0].augmenters: is missing: 'new_question' needs models to write questions"),
    (STUDY, "blocks", [BLOCK, BLOCK | {"name": "again"}],
     "blocks[1].name: 'again' gives the same cells as 'main': the same cell twice"),
    (STUDY, "blocks",
     [BLOCK | {"seeds": [10]},
     {k: v for k, v in BLOCK.items() if k != "budget_ratios"}
     | {"name": "again", "seeds": [10], "budgets": [40, 10]}],
     "blocks[1].name ~ the same cell twice"),
    (STUDY, "blocks", [BLOCK, BLOCK | {"seeds": [30]}],
     "blocks[1].name: 'main' is the name of two blocks"),
    (STUDY, "student_training", {"studnt": {"epochs": 2}},
     "student_training.studnt: 'studnt' is not a student ~ did you mean 'student'?"),
    (STUDY, "student_training", {"student": {"epoch": 2}},
     "student_training.student.epoch: is not a key here ~ did you mean 'epochs'?"),
    (STUDY, "student_training", {"student": {"learning_rate": 0}},
     "student_training.student.learning_rate: must be greater than 0, not 0"),
    (STUDY, "published", [{"source": "elsewhere", "student": "studnt", "low": 3}],
     "published[0].student: 'studnt' is not a student ~ did you mean 'student'?"),
    (STUDY, "published", [{"source": "elsewhere", "low": 3, "high": 2}],
     "published[0].high: 2 is below low, 3"),
    (STUDY, "blocks.0.tasks", ["real"],
     "blocks[0].teachers[0]: 'teacher' is trained from scratch ~ task 'real' ~ worlds"),
    (NQ, "prompts", {"sql": sf.PROMPTS},
     "blocks[0].methods[1]: 'new_question' has no prompts for task 'sums' ~ prompts.number"),
    # tasks
    (SUMS, "source.world", "mini_maths",
     "task.yaml ~ source.world: there is no generated world 'mini_maths' ~ 'mini_math'?"),
    (SUMS, "source.world", "mini_sql",
     "kind: is 'number', but the world 'mini_sql' is of the kind 'sql'"),
    (SUMS, "source.hub", "owner/name",
     "source: must have exactly one of the keys world, hub and files"),
    (SUMS, "source.world", sf.GONE,
     "source: must have exactly one of the keys world, hub and files"),
    (SUMS, "source.files", {"train": "a.jsonl"},
     "source: must have exactly one of the keys world, hub and files"),
    (SUMS, "kind", "exacct", "kind: 'exacct' is not valid ~ did you mean 'exact'?"),
    # files of the task's own
    (REAL, "source", OWN,
     "source.files.train: there is no file  ~ real/rows/train.jsonl ~ source.files.test"),
    (REAL, "source", OWN | {"files": {"train": "a.jsonl"}}, "source.files.test: is missing"),
    (REAL, "source", OWN | {"files": "rows.jsonl"},
     "source.files: must be a section of keys, not 'rows.jsonl'"),
    (REAL, "source", OWN | {"files": FILES | {"test": "../a.jsonl"}},
     "source.files.test: '../a.jsonl' leads out of the folder"),
    (REAL, "source", OWN | {"files": FILES | {"test": "/a.jsonl"}},
     "source.files.test: '/a.jsonl' leads out of the folder"),
    (REAL, "source", OWN | {"files": FILES | {"test": "a.xls"}},
     "source.files.test: 'a.xls' ends in none of .parquet, .jsonl"),
    (REAL, "source", OWN | {"splits": {"train": "a", "test": "b"}},
     "source.splits: is not a key here"),
    (REAL, "source",
     OWN | {"columns": OWN["columns"] | {"database": "db"}, "databases": "../{database}.db"},
     "source.databases: '../{database}.db' leads out of the folder"),
    # scorers
    (SUMS, "scorer", "judge", "scorer: 'judge' names no function: write MODULE:FUNCTION"),
    (SUMS, "scorer", "lib/judge.py:score", "names no function"),
    (SUMS, "scorer", "lib.judge:score", "names no function"),
    (SUMS, "scorer", "judge:score", "scorer: there is no file  ~ sums/judge.py"),
    (SUMS, "scorer", ["judge:score"], "scorer: must be a section of keys, not a list"),
    (SUMS, "scorer", {"timeot": 3}, "scorer.timeot: is not a key here ~ did you mean 'timeout'?"),
    (SUMS, "scorer", {"timeout": 3.0}, "scorer.timeout: has no effect: the kind is 'number'"),
    (REAL, "scorer", {"column_order": "any"},
     "scorer.column_order: 'any' is not valid ~ valid: fixed, free"),
    (SUMS, "source.sed", 1, "source.sed: is not a key here ~ did you mean 'seed'?"),
    (SUMS, "prompts.answer", "{question} {contxt}",
     "prompts.answer: has an unknown placeholder {contxt} ~ did you mean 'context'?"),
    (SUMS, "prompts.answer", "{question} {answer}",
     "prompts.answer: has an unknown placeholder {answer} ~ valid here: context, question"),
    (SUMS, "prompts.answer", "Answer:", "prompts.answer: has no placeholder {question}"),
    (SUMS, "prompts.answer", "{question} }", "prompts.answer: cannot be read ~ brace"),
    (SUMS, "prompts.answer", "{question} {}", "prompts.answer: has an unknown placeholder {}"),
    (SUMS, "prompts.answer", "{question.__class__}",
     "prompts.answer: has an unknown placeholder {question.__class__}"),
    (SUMS, "prompts.answer", "{question:>9}",
     "prompts.answer: has a format in the placeholder {question}"),
    (SUMS, "prompts", {"self_check": "{question}"}, "prompts: has no prompt 'answer'"),
    (SUMS, "prompts.new_questio", "{question}",
     "prompts.new_questio: there is no method 'new_questio' ~ did you mean 'new_question'?"),
    (SUMS, "prompts.answer_augmentation", "{question}",
     "prompts.answer_augmentation: has no effect"),
    (SUMS, "changes", ["first version"], "changes[0]: 'first version' is not a dated line"),
    (SUMS, "changes", ["2026-02-30: x"], "changes[0]: '2026-02-30' is not a date"),
    (SUMS, "score", "lenient", "score: 'lenient' is not valid ~ valid: flexible, strict"),
    # data sets
    (REAL, "source.columns.question", sf.GONE, "source.columns: has no column for 'question'"),
    (REAL, "source.columns.answer", sf.GONE,
     "source.columns: has no column for 'answer', and no key 'answer'"),
    (REAL, "source.answer", "It is {gold}.",
     "source.answer: is given, and a column for 'answer' as well"),
    (REAL, "source",
     sf.REAL["source"] | {"columns": {"question": "question"}, "answer": "It is {gold}."},
     "source.columns: has no column for 'gold'"),
    (REAL, "source",
     sf.REAL["source"] | {"columns": {"question": "q", "gold": "g"}, "answer": "It is so."},
     "source.answer: has no placeholder {gold}"),
    (REAL, "source",
     sf.REAL["source"] | {"columns": {"question": "q", "gold": "g"}, "answer": "{gold} {a}"},
     "source.answer: has an unknown placeholder {a}"),
    (REAL, "source.databases", "{database}.sqlite",
     "source: needs a column for 'database' and the key 'databases', or neither"),
    (REAL, "source.columns.database", "db",
     "source: needs a column for 'database' and the key 'databases', or neither"),
    (REAL, "source.excluded", [{"reason": "x"}],
     "source.excluded[0]: must have exactly one of the keys item and database"),
    (REAL, "source.excluded", [{"item": "x"}], "source.excluded[0].reason: is missing"),
    (REAL, "source.columns.label", "x", "source.columns.label ~ did you mean 'labels'?"),
    # methods
    (NQ, "prompts.number", {"question": "{question}"},
     "new_question.yaml ~ prompts.number.self_check: is missing: self_check is true"),
    (NQ, "self_check", False, "prompts.number.self_check: has no effect: self_check is false"),
    (AA, "max_attempts", 3, "answer_augmentation.yaml ~ max_attempts: has no effect"),
    (NQ, "max_attempts", sf.GONE, "max_attempts: is missing"),
    (NQ, "prompts", {"numbr": sf.PROMPTS},
     "prompts.numbr: 'numbr' is not valid ~ did you mean 'number'?"),
    # models
    (STUDENT, "path", "/model",
     "student.yaml ~ must have exactly one of ~ not both pretrain and path"),
    ("models/other.yaml", "", {"title": "Other", "path": "nowhere"},
     "other.yaml ~ path: there is no model (config.json) in 'nowhere'"),
    (STUDY, "analysis", {"bootstrap_samples": 1},
     "analysis.bootstrap_samples: must be at least 2, not 1"),
    (STUDENT, "pretrain", sf.GONE,
     "must have exactly one of pretrain, checkpoint, hub, path, api, not none of them"),
    (STUDENT, "pretrain.heads", 5, "pretrain.hidden_size: 16 does not divide into 5 heads"),
    (STUDENT, "pretrain.checkpoints", [50, 100],
     "pretrain.checkpoints[1]: 100 is not below steps, 100"),
    (STUDENT, "pretrain.role", "student",
     "pretrain.role: 'student' is not valid ~ did you mean 'student_"),
    (STUDENT, "engine", {"kind": "transformer"},
     "engine.kind: 'transformer' is not valid ~ did you mean 'transformers'?"),
    (OTHER, "engine", {"kind": "openai"},
     "other.yaml ~ engine.base_url: is missing: the address of the endpoint"),
    (OTHER, "engine", ENDPOINT | {"base_url": "localhost:80"},
     "engine.base_url: must be an address like http://localhost:8000/v1"),
    (OTHER, "engine", ENDPOINT | {"base_url": "http://["}, "engine.base_url: must be an address"),
    (OTHER, "engine", ENDPOINT | {"base_url": "http://h/v1?key=1"},
     "engine.base_url: must be an address"),
    (OTHER, "engine", ENDPOINT | {"base_url": "https://api.openai.com/v1/chat/completions"},
     "engine.base_url: must end before /chat/completions"),
    (OTHER, "engine", ENDPOINT | {"base_url": "https://api.anthropic.com/v1/messages/"},
     "engine.base_url: must end before /messages/"),
    (OTHER, "engine", ENDPOINT | {"base_url": "http://u:p@h/v1"},
     "engine.base_url: must not hold a password; give key_variable"),
    (OTHER, "engine", ENDPOINT | {"batch_size": 8},
     "engine.batch_size: has no effect with kind: openai"),
    (OTHER, "engine", {"concurrency": 8},
     "engine.concurrency: has no effect with kind: transformers"),
    (OTHER, "engine", ENDPOINT | {"timeout": 0}, "engine.timeout: must be greater than 0, not 0"),
    (WEAK, "engine", ENDPOINT,
     "weak.yaml ~ engine.model: is missing: the name of 'weak' at the endpoint"),
    ("models/other.yaml", "", {"title": "Other", "api": {"name": "other-1"}},
     "engine.kind: 'transformers' cannot run 'other', which only an endpoint has (api)"),
    (STUDENT, "engine", ENDPOINT | {"model": "s"},
     "blocks[0].students[0]: 'student' is behind an endpoint"),
    (STUDENT, "worlds", {"real": "mini_mat"},
     "worlds.real: there is no generated world 'mini_mat' ~ did you mean 'mini_math'?"),
    (STUDENT, "worlds", {"reel": "mini_math"},
     "student.yaml ~ worlds.reel: there is no task 'reel' ~ did you mean 'real'?"),
    (STUDENT, "price", {"usd_per_million_prompt_tokens": 1}, "price.date: is missing"),
    (STUDENT, "price", {"date": "yesterday"}, "price.date: 'yesterday' is not a date"),
    (OTHER, "hub.revision", "main",
     "other.yaml ~ hub.revision: 'main' is not a commit ~ 40 hexadecimal digits"),
    (OTHER, "hub.id", "llama", "hub.id: 'llama' is not a name on the hub ~ OWNER/NAME"),
    (WEAK, "checkpoint.of", "techer",
     "weak.yaml ~ checkpoint.of: there is no model 'techer' ~ did you mean 'teacher'?"),
    (WEAK, "checkpoint.of", "other", "checkpoint.of: 'other' is not trained by the workflow"),
    (WEAK, "checkpoint.of", "weak", "checkpoint.of: 'weak' is not trained by the workflow"),
    (WEAK, "checkpoint.step", 60,
     "checkpoint.step: 'teacher' keeps no checkpoint after step 60; it keeps: 50"),
    (WEAK, "worlds", {"real": "mini_math"}, "worlds: has no effect"),
    (REAL, "source.columns.anser", "answer",
     "source.columns.anser: 'anser' is not valid ~ did you mean 'answer'?"),
    (REAL, "source.columns", {"question": "question"},
     "source.columns: has no column for 'answer'"),
    (REAL, "source.sha256", {"train": "ab", "test": "0" * 64},
     "source.sha256.train: 'ab' is not a SHA-256 digest: give its 64 hexadecimal digits"),
    (REAL, "source.sha256", {"train": "0" * 64}, "source.sha256.test: is missing"),
    (REAL, "source.revison", None, "source.revison: is not a key here ~ did you mean 'revision'?"),
]  # fmt: skip


def test_the_study_that_is_bent_is_sound(tmp_path):
    study = load(tmp_path, ALL)
    assert set(study.models) == {"teacher", "weak", "other", "student"}
    assert study.world("weak", "real") == "mini_math"


@pytest.mark.parametrize(
    ("file", "path", "value", "words"), BAD, ids=[f"{case[1]}: {case[3]}" for case in BAD]
)
def test_bad_study_is_refused_with_its_place_and_what_would_be_right(
    tmp_path, file, path, value, words
):
    keys = tuple(int(key) if key.isdigit() else key for key in path.split(".") if key)
    # The world that a real task needs is what one of the cases lacks.
    files = sf.FILES if value == ["real"] else ALL
    with pytest.raises(StudyError) as refusal:
        load(tmp_path, sf.bend(files, file, keys, value))
    message = str(refusal.value)
    assert message.startswith("study 'trial' cannot run:\n")
    for word in words.split(" ~ "):
        assert word in message
    # A problem of one value is told once, in the file that it stands in; of a value that study and
    # tasks share, once for each task.
    for shown in refusal.value.problems:
        assert str(tmp_path / (STUDY if shown.at[:1] == ("blocks",) else file)) in shown.where
    assert len(refusal.value.problems) <= 3


@pytest.mark.parametrize("key", ["sk-1a2b", "Bearer x", "$KEY"])
def test_a_key_in_place_of_its_variable_is_refused_and_not_shown(tmp_path, key):
    engine = ENDPOINT | {"key_variable": key}
    with pytest.raises(
        StudyError, match=r"engine\.key_variable: must be the name of an"
    ) as refusal:
        load(tmp_path, sf.bend(ALL, OTHER, ("engine",), engine))
    assert key not in str(refusal.value)


def engines(**given):
    return check_run_config({"study": "trial", "engines": given}).engines


def test_what_runs_a_model_can_differ_from_place_to_place(tmp_path):
    hosted = {"title": "Other", "api": {"name": "other-1"}, "engine": ENDPOINT | {"timeout": 9}}
    files = sf.bend(sf.bend(ALL, OTHER, (), hosted), WEAK, ("engine",), {"batch_size": 3})
    study = load(tmp_path, files, engines=engines(weak=ENDPOINT | {"model": "w"}))
    assert study.engine("other").model == "other-1"
    assert study.engine("weak").model == "w"
    flow = Targets(study, grid(study))
    key = "task=sums/method=new_question/augmenter=weak/seeds=10/replicate=1"
    engine = flow.engine("augmenter", key)
    cap = engine.pop("cap")
    assert engine == {
        "kind": "openai", "base_url": ENDPOINT["base_url"], "name": "w", "key_variable": None,
        "concurrency": 64, "timeout": 600.0, "limit_field": "max_tokens",
    }  # fmt: skip
    # What it is asked is booked in every run, with or without a limit.
    assert (cap["stage"], cap["model"], cap["counts_queries"]) == ("questions", "weak", False)
    assert cap["max_usd"] is None
    assert flow.model_source("other") == {"api": "other-1"}


def test_a_hub_models_name_at_an_endpoint_is_that_on_the_hub(tmp_path):
    study = load(tmp_path, ALL, engines=engines(other=ENDPOINT))
    assert study.engine("other").model == "owner/other"
    # A model that this study does not use.
    assert load(tmp_path / "small", engines=engines(other=ENDPOINT)).engine("teacher")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"techer": ENDPOINT}, ["engines.techer: there is no model 'techer'", "'teacher'?"]),
        ({"teacher": ENDPOINT}, ["engines.teacher.model: is missing: the name of 'teacher'"]),
        (
            {"student": ENDPOINT | {"model": "s"}},
            ["blocks[0].students[0]: 'student' is behind an endpoint"],
        ),
    ],
)
def test_bad_engines_of_a_place_are_refused(tmp_path, given, words):
    with pytest.raises(StudyError) as refusal:
        load(tmp_path, ALL, engines=engines(**given))
    for word in words:
        assert word in str(refusal.value)


@pytest.mark.parametrize("value", [None, "", " "])
def test_a_key_that_is_not_there_is_named(tmp_path, monkeypatch, value):
    files = sf.bend(ALL, OTHER, ("engine",), ENDPOINT | {"key_variable": "OTHER_KEY"})
    study = load(tmp_path, files)
    monkeypatch.setenv("OTHER_KEY", "x")
    check_keys(study, ["other", "teacher"])
    if value is None:
        monkeypatch.delenv("OTHER_KEY")
    else:
        monkeypatch.setenv("OTHER_KEY", value)
    check_keys(study, ["teacher"])
    with pytest.raises(StudyError, match=r"engine\.key_variable: the environment .* OTHER_KEY"):
        check_keys(study, ["other", "teacher"])


def test_a_task_may_lie_in_files_of_its_own(tmp_path):
    folder = sf.write(tmp_path, sf.bend(ALL, REAL, ("source",), OWN))
    (folder / "tasks/real/rows").mkdir()
    for name in FILES.values():
        (folder / "tasks/real" / name).touch()
    study = load_study("trial", folder)
    flow = Targets(study, grid(study), data_dir="elsewhere")
    assert flow.task_files("real") == [f"config/tasks/real/{name}" for name in FILES.values()]
    assert flow.task_data_dir("real") == "config/tasks/real"
    # They need no folder of data, and no network.
    check_data(study, tmp_path / "none")
    check_downloads(study)


def test_files_of_a_task_may_need_databases(tmp_path):
    source = OWN | {
        "columns": OWN["columns"] | {"database": "db"},
        "databases": "db/{database}.sqlite",
    }
    folder = sf.write(tmp_path, sf.bend(ALL, REAL, ("source",), source))
    for name in ("rows/train.jsonl", "rows/test.parquet", "db/shop.txt"):
        (folder / "tasks/real" / name).parent.mkdir(exist_ok=True)
        (folder / "tasks/real" / name).touch()
    with pytest.raises(StudyError, match=r"source\.databases: there are no databases at .*/db/"):
        load_study("trial", folder)
    (folder / "tasks/real/db/shop.sqlite").touch()
    assert load_study("trial", folder)


def scored_by(study):
    """Return what scores the one task of a study, by the keys of all that stands on it."""
    points = grid(study)
    flow = Targets(study, points)
    (first, *others) = (flow.scorer_modules(p.key) for p in (*points.cells, *points.datasets))
    assert all(other == first for other in others)
    return first


FUNCTIONS = {
    "the function": ("def score(output, item):\n    return True\n", None),
    "types and a default": ("def score(output: str, item, *more, x=1) -> bool: ...\n", None),
    "any values": ("def score(*values): ...\n", None),
    "a module that cannot be imported here": ("import nowhere\ndef score(a, b): ...\n", None),
    "no function": ("", "has no function 'score'; there are none"),
    "another function": ("def scores(a, b): ...\n", "did you mean 'scores'?"),
    "no function of that name": ("score = 3\n", "has no function 'score'"),
    "a function inside another": ("def f():\n    def score(a, b): ...\n", "has no function"),
    "a function that runs later": ("async def score(a, b): ...\n", "has no function"),
    "one value": ("def score(output): ...\n", "'score' cannot be called with two values"),
    "three values": ("def score(a, b, c): ...\n", "'score' cannot be called with two values"),
    "a value by name": ("def score(a, b, *, c): ...\n", "'score' cannot be called with two values"),
    "no Python": ("def score(:\n", "judge.py cannot be read as Python: "),
    "no text": ("\x00", "judge.py cannot be read as Python: "),
}


@pytest.mark.parametrize(("text", "words"), FUNCTIONS.values(), ids=FUNCTIONS)
def test_a_scorer_of_the_tasks_own_is_looked_for(tmp_path, text, words):
    folder = sf.write(tmp_path, sf.bend(sf.FILES, SUMS, ("scorer",), "judge:score"))
    (folder / "tasks/sums/judge.py").write_text(text)
    if words is None:
        study = load_study("trial", folder)
        assert study.tasks["sums"].scorer_options == "judge:score"
        own = Path("config/tasks/sums/judge.py")
        assert scored_by(study) == ["seedbed.evaluation.scorers.function", own]
        return
    with pytest.raises(StudyError, match=re.escape(words)) as refusal:
        load_study("trial", folder)
    assert "task.yaml:" in str(refusal.value)
    assert ": scorer: " in str(refusal.value)


def test_only_the_options_that_are_given_reach_the_scorer(tmp_path):
    assert load(tmp_path / "none").tasks["sums"].scorer_options == {}
    options = {"column_order": "fixed", "timeout": 2.5}
    sql = {"kind": "sql", "source": sf.SUMS["source"] | {"world": "mini_sql"}, "scorer": options}
    files = sf.bend(sf.FILES, SUMS, (), sf.SUMS | sql)
    files = sf.bend(files, NQ, ("prompts", "sql"), sf.PROMPTS)
    study = load(tmp_path / "some", files)
    assert study.tasks["sums"].scorer_options == options
    assert scored_by(study) == ["seedbed.evaluation.scorers.sql"]


def test_message_names_the_line(tmp_path):
    folder = sf.write(tmp_path)
    path = folder / STUDY
    lines = path.read_text().splitlines()
    line = next(i for i, text in enumerate(lines, start=1) if text.strip() == "- student")
    path.write_text(path.read_text().replace("- student", "- studnet"))
    with pytest.raises(StudyError, match=re.escape(f"{path}:{line}: blocks[0].students[0]: ")):
        load_study("trial", folder)


def test_every_problem_of_every_file_is_told_at_once(tmp_path):
    files = sf.bend(sf.FILES, STUDY, (*B, "seeds"), [10, 500])
    files = sf.bend(files, STUDY, (*B, "students"), ["student", "nobody", "noone"])
    files = sf.bend(files, SUMS, ("score",), "lenient")
    files = sf.bend(files, SUMS, ("version",), 0)
    files = sf.bend(files, TEACHER, ("tittle",), "x")
    files = sf.bend(files, TEACHER, ("title",), sf.GONE)
    with pytest.raises(StudyError) as refusal:
        load(tmp_path, files)
    assert {(Path(p.where.split(":")[0]).name, spell(p.at)) for p in refusal.value.problems} == {
        ("trial.yaml", "blocks[0].students[1]"),
        ("trial.yaml", "blocks[0].students[2]"),
        ("task.yaml", "score"),
        ("task.yaml", "version"),
        ("teacher.yaml", "tittle"),
        ("teacher.yaml", "title"),
    }


def test_study_of_another_name(tmp_path):
    with pytest.raises(StudyError, match=r"studies: there is no study 'trail'.*'trial'\?"):
        load_study("trail", sf.write(tmp_path))


@pytest.mark.parametrize("name", ["../trial", "", "trial.yaml"])
def test_study_name_that_is_no_name(tmp_path, name):
    with pytest.raises(StudyError, match="there is no study"):
        load_study(name, sf.write(tmp_path))


def test_reserved_words_are_no_names(tmp_path):
    files = sf.bend(sf.FILES, STUDY, (*B, "augmenters"), ["none"])
    files["models/none.yaml"] = files[TEACHER]
    with pytest.raises(StudyError, match=r"augmenters\[0\].*'none', which is reserved"):
        load(tmp_path, files)


def test_files_that_the_study_does_not_use_may_be_wrong(tmp_path):
    study = load(tmp_path, sf.FILES | {"models/broken.yaml": "}", "studies/other.yaml": "}"})
    assert "broken" not in study.models


TEXTS = {
    "key twice": ("title: A\nkind: number\ntitle: B\n", 3, "title: stands here a second time"),
    "key twice further in": ("a: {b: 1,\n b: 2}\n", 2, "a.b: stands here a second time"),
    "key twice in a list": ("a:\n- {b: 1, b: 2}\n", 2, "a[0].b: stands here a second time"),
    "key that is a number": ("1: x\n", 1, "the key 1 is not text: put it in quotes"),
    "not YAML": ("a: [1,\nb: 2\n", 3, "is not valid YAML"),
    "tab": ("a:\n\tb: 2\n", 2, "is not valid YAML"),
    "tag": ("a: !!python/name:os.system x\n", 1, "is not valid YAML"),
    "unknown anchor": ("a: *b\n", 1, "is not valid YAML"),
    "list": ("- a\n", 1, "holds no section of keys"),
    "inside itself": ("a: &a\n  b: *a\n", None, "a.b: holds itself"),
}


@pytest.mark.parametrize(("text", "line", "words"), TEXTS.values(), ids=TEXTS.keys())
def test_file_that_cannot_be_read(tmp_path, text, line, words):
    with pytest.raises(StudyError) as refusal:
        load(tmp_path, sf.FILES | {SUMS: text})
    assert words in str(refusal.value)
    assert str(tmp_path / SUMS) + (f":{line}: " if line else ":") in str(refusal.value)


def test_empty_file(tmp_path):
    with pytest.raises(StudyError, match=r"task\.yaml: holds no section of keys"):
        load(tmp_path, sf.FILES | {SUMS: "# nothing\n"})


def test_file_that_is_not_utf8(tmp_path):
    folder = sf.write(tmp_path)
    (folder / SUMS).write_bytes(b"title: \xff\n")
    with pytest.raises(StudyError, match=r"task\.yaml: cannot be read"):
        load_study("trial", folder)


def test_values_are_read_as_they_are_written(tmp_path):
    path = tmp_path / "values.yaml"
    path.write_text(
        "words: [no, on, 12:30, 2026-01-31, 1_000, 0x10, '3', nan, none]\n"
        "whole: [010, -3, +4, 0]\n"
        "numbers: [1e-3, 2.0e-3, .5, 5., -1E6]\n"
        "others: [null, ~, true, False]\n"
        "nothing:\n"
    )
    assert read_document(path).content == {
        "words": ["no", "on", "12:30", "2026-01-31", "1_000", "0x10", "3", "nan", "none"],
        "whole": [10, -3, 4, 0],
        "numbers": [0.001, 0.002, 0.5, 5.0, -1e6],
        "others": [None, None, True, False],
        "nothing": None,
    }


def test_anchors_and_merged_sections(tmp_path):
    path = tmp_path / "anchors.yaml"
    path.write_text("base: &base {a: 1, b: 2}\nother:\n  <<: *base\n  b: 3\n")
    document = read_document(path)
    assert document.content["other"] == {"a": 1, "b": 3}
    assert document.lines["other", "a"] == 1
    assert document.lines["other", "b"] == 4


def test_overrides_are_merged_and_named(tmp_path):
    study = load(tmp_path, overrides={"test_items": 5, "training": {"epochs": 9}})
    assert study.config.test_items == 5
    assert study.config.training.epochs == 9
    assert study.config.training.batch_size == 4
    with pytest.raises(StudyError, match=r"trial\.yaml \(overridden\): training\.epochs: must be"):
        load(tmp_path, overrides={"training": {"epochs": 0}})
    with pytest.raises(StudyError, match=r"trial\.yaml \(overridden\): test_item: is not a key"):
        load(tmp_path, overrides={"test_item": 5})


def test_training_of_one_student(tmp_path):
    changes = {"student": {"learning_rate": 0.5}}
    study = load(tmp_path, sf.bend(sf.FILES, STUDY, ("student_training",), changes))
    assert study.training("student") == study.config.training.model_copy(
        update={"learning_rate": 0.5}
    )
    assert study.training("teacher") == study.config.training
    assert study.config.training.learning_rate == 0.001


def test_a_tasks_own_prompts_come_before_the_methods(tmp_path):
    files = sf.bend(sf.FILES, SUMS, ("prompts", "new_question"), "Own: {question} {answer}")
    study = load(tmp_path, files)
    assert study.question_prompt("sums", "new_question") == "Own: {question} {answer}"
    assert study.self_check_prompt("sums", "new_question") == sf.PROMPTS["self_check"]
    # With both prompts of its own, the task needs none of the method.
    files = sf.bend(files, SUMS, ("prompts", "self_check"), "Own check: {question}")
    study = load(tmp_path / "own", sf.bend(files, NQ, ("prompts",), {}))
    assert study.self_check_prompt("sums", "new_question") == "Own check: {question}"
    assert study.self_check_prompt("sums", "answer_augmentation") is None
    with pytest.raises(KeyError):
        study.question_prompt("sums", "answer_augmentation")


def test_models_that_are_not_trained_by_the_workflow(tmp_path):
    study = load(tmp_path, ALL)
    assert study.pretrained("weak") == ("teacher", 50)
    assert study.pretrained("other") is None
    with pytest.raises(ValueError, match="'other' is not trained on a generated world"):
        study.world("other", "sums")


def test_parent_of_a_checkpoint_comes_along(tmp_path):
    block = BLOCK | {"augmenters": ["weak"], "teachers": ["other"]}
    study = load(tmp_path, sf.bend(sf.FILES, STUDY, ("blocks",), [block]))
    assert set(study.models) == {"weak", "teacher", "other", "student"}


def test_parent_of_a_checkpoint_is_checked(tmp_path):
    block = BLOCK | {"augmenters": ["weak"], "teachers": ["other"]}
    files = sf.bend(sf.FILES, STUDY, ("blocks",), [block])
    files = sf.bend(files, TEACHER, ("worlds",), {"reel": "mini_math"})
    with pytest.raises(StudyError, match=r"teacher\.yaml:\d+: worlds\.reel: there is no task"):
        load(tmp_path, files)


def test_configuration_cannot_be_changed(tmp_path):
    study = load(tmp_path)
    with pytest.raises(ValueError, match="frozen"):
        study.config.test_items = 1


RUN = [
    ({"stduy": "demo"}, ["stduy: is not a key here", "did you mean 'study'?", "study: is missing"]),
    ({"study": 3}, ["study: must be text, not 3"]),
    ({"study": "demo", "data_dir": "/no/such/folder"},
     ["data_dir: there is no folder '/no/such/folder'"]),
    ({"study": "demo", "data_dir": ""}, ["data_dir: must not be empty"]),
    ({"study": "Demo/x"}, ["study: 'Demo/x' cannot be a name"]),
]  # fmt: skip


@pytest.mark.parametrize(("mapping", "words"), RUN)
def test_bad_run_configuration(mapping, words):
    with pytest.raises(StudyError) as refusal:
        check_run_config(mapping)
    for word in words:
        assert word in str(refusal.value)


def test_run_configuration(tmp_path):
    run = check_run_config({"study": "demo", "data_dir": str(tmp_path)})
    assert (run.study, run.data_dir) == ("demo", str(tmp_path))
    shipped = read_document(SHIPPED / "config.yaml").content
    assert check_run_config(shipped).study == "demo"


def test_data_that_is_not_there(tmp_path):
    study = load(tmp_path / "config", ALL)
    data = tmp_path / "data" / "owner" / "sums" / "main"
    data.mkdir(parents=True)
    (data / "train-00001-of-00002.parquet").touch()
    (data / "train-00000-of-00002.parquet").touch()
    with pytest.raises(StudyError) as refusal:
        check_data(study, tmp_path / "data")
    assert f"task 'real' needs {data / 'test.parquet'}" in str(refusal.value)
    assert "train" not in str(refusal.value)
    (data / "test.parquet").touch()
    check_data(study, tmp_path / "data")
    source = study.tasks["real"].source
    names = [path.name for path in source.split_files(tmp_path / "data", "train")]
    assert names == ["train-00000-of-00002.parquet", "train-00001-of-00002.parquet"]


def test_databases_that_are_not_there(tmp_path):
    columns = sf.REAL["source"]["columns"] | {"database": "db"}
    files = sf.bend(ALL, REAL, ("source", "columns"), columns)
    files = sf.bend(files, REAL, ("source", "databases"), "db/{database}.sqlite")
    study = load(tmp_path / "config", files)
    with pytest.raises(StudyError, match="task 'real' needs databases, which the hub does not"):
        check_downloads(study)
    check_downloads(load(tmp_path / "other", ALL))
    data = tmp_path / "data" / "owner" / "sums" / "main"
    (data / "db").mkdir(parents=True)
    (data / "test.jsonl").touch()
    (data / "train.parquet").touch()
    with pytest.raises(StudyError, match=r"needs databases at .*/main/db/{database}\.sqlite"):
        check_data(study, tmp_path / "data")
    (data / "db" / "shop.sqlite").touch()
    check_data(study, tmp_path / "data")
    found = study.tasks["real"].source.database_files(tmp_path / "data")
    assert found == [data / "db" / "shop.sqlite"]


def test_a_study_on_a_base_differs_in_what_it_says_alone():
    paper, lora = load_study("paper", SHIPPED).config, load_study("paper_lora", SHIPPED).config
    assert lora.blocks == paper.blocks and lora.published == paper.published
    assert lora.training == paper.training.model_copy(
        update={"learning_rate": 4e-4, "batch_size": 16}
    )


@pytest.mark.parametrize(
    ("base", "said"),
    [
        ("trail", "there is no study 'trail'; did you mean 'trial'"),
        (["trial"], "there is no study"),
        ("other", "other has a base itself, trial: name that one"),
    ],
)
def test_a_base_that_is_none_is_refused(tmp_path, base, said):
    files = sf.FILES | {
        "studies/other.yaml": {"base": "trial", "description": "Other."},
        "studies/third.yaml": {"base": base, "description": "Third."},
    }
    folder = sf.write(tmp_path, files)
    assert load_study("other", folder).config.description == "Other."
    with pytest.raises(StudyError, match=said) as found:
        load_study("third", folder)
    assert "third.yaml" in str(found.value) and "base" in str(found.value)


@pytest.mark.parametrize("name", sorted(path.stem for path in SHIPPED.glob("studies/*.yaml")))
def test_shipped_study_is_sound(name):
    assert load_study(name, SHIPPED).name == name


ENDPOINTS = {
    "anthropic", "azure", "azure_deployment", "deepseek", "gemini", "groq", "litellm",
    "llama_cpp_server", "mistral", "ollama", "openai", "openai_reasoning", "openrouter", "together",
    "vllm_server", "xai",
}  # fmt: skip


def test_every_shipped_file_is_used_by_a_study():
    studies = [load_study(path.stem, SHIPPED) for path in SHIPPED.glob("studies/*.yaml")]
    for kind, pattern in (("tasks", "*/task.yaml"), ("methods", "*.yaml"), ("models", "*.yaml")):
        files = {
            path.parent.name if kind == "tasks" else path.stem
            for path in (SHIPPED / kind).glob(pattern)
        }
        used = {name for study in studies for name in getattr(study, kind)}
        # Endpoints are ready for who has a key, and programs for models that can write them.
        ready = {"models": ENDPOINTS, "tasks": {"small_programs"}}.get(kind, set())
        assert used | ready == files


def test_shared_words_agree_with_the_classes_that_they_describe():
    from seedbed.tasks.worlds import load_world

    assert {name: load_world(name).kind for name in WORLDS} == WORLDS
    hints = get_type_hints(Cell)
    assert {field.name: hints[field.name] for field in fields(Cell)} == COORDINATES


@pytest.mark.parametrize(
    ("modules", "light"),
    [
        ("seedbed.study.loading, seedbed.study.cells", ()),
        # Snakemake itself imports some, and takes more than a second for it.
        pytest.param(
            "seedbed.run.hooks, seedbed.run.reading",
            ("numpy", "pyarrow"),
            marks=pytest.mark.slow,
        ),
    ],
    ids=["a study", "a plan"],
)
def test_reading_a_study_imports_nothing_heavy(modules, light):
    code = (
        f"import json, sys; import {modules}; "
        "print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    )
    environment = {"PYTHONPATH": str(REPOSITORY / "scripts"), "PATH": os.environ["PATH"]}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    heavy = {"polars", "pyarrow", "numpy", "scipy", "torch", "transformers", "matplotlib"}
    assert not (heavy - {*light}) & set(json.loads(done.stdout))


def test_numbers_of_engines_are_numbers_also_on_the_command_line():
    # As Snakemake hands over `--config 'engines={m: {kind: vllm, batch_size: 32, eager: true}}'`.
    given = {"kind": "vllm", "batch_size": "32", "gpu_memory": "0.5", "eager": "true"}
    run = check_run_config({"study": "demo", "engines": {"m": given}})
    engine = run.engines["m"]
    assert (engine.batch_size, engine.gpu_memory, engine.eager) == (32, 0.5, True)
    place = {"kind": "openai", "base_url": "http://localhost:1/v1", "model": "7", "timeout": "9"}
    engine = check_run_config({"study": "demo", "engines": {"m": place}}).engines["m"]
    assert (engine.model, engine.timeout) == ("7", 9.0)
    with pytest.raises(StudyError, match=r"engines\.m\.batch_size: must be a whole number"):
        check_run_config({"study": "demo", "engines": {"m": given | {"batch_size": "many"}}})


def renamed(tmp_path, name, kind="student"):
    """Return a study whose student (or task) has another name."""
    files = sf.bend(ALL, STUDY, ("blocks", 0, f"{kind}s"), [name])
    path = {"student": "models/{}.yaml", "task": "tasks/{}/task.yaml"}[kind]
    files[path.format(name)] = files[path.format({"student": "student", "task": "sums"}[kind])]
    return load(tmp_path / name[-4:], files)


def test_a_name_that_no_path_has_room_for_is_refused(tmp_path):
    fits = 255 - len(".0123456789ab.student=.replaced")
    with pytest.raises(
        StudyError, match=rf"students\[0\]: 's+\.\.\.' is {fits + 1} char.* {fits} fit"
    ):
        renamed(tmp_path, "s" * (fits + 1))
    # Shorter, it fits, but not with all other names of a cell, which SLURM's log has as one.
    with pytest.raises(StudyError, match=r"students\[0\]: the cell task=.* takes 255: shorten"):
        renamed(tmp_path, "s" * (fits - 20))
    cell = max((cell.key for cell in grid(load(tmp_path / "own")).cells), key=len)
    room = 255 - len(cell) + len("student")
    assert renamed(tmp_path, "s" * (room - 1) + "x")
    with pytest.raises(StudyError, match="shorten names"):
        renamed(tmp_path, "s" * room + "y")


def test_two_names_that_stand_in_one_part_of_a_path_are_refused_together(tmp_path):
    files = sf.bend(ALL, STUDY, ("blocks", 0, "tasks"), ["t" * 130])
    files[f"tasks/{'t' * 130}/task.yaml"] = files["tasks/sums/task.yaml"]
    files = sf.bend(files, STUDY, ("blocks", 0, "students"), ["s" * 130])
    files[f"models/{'s' * 130}.yaml"] = files["models/student.yaml"]
    with pytest.raises(StudyError, match=r"students\[0\].* beside the task 'ttt"):
        load(tmp_path, files)


def test_a_working_directory_that_is_too_deep_is_refused(tmp_path, monkeypatch):
    study = load(tmp_path)
    monkeypatch.setattr("seedbed.study.agreement.Path.cwd", lambda: tmp_path / ("d/" * 1950))
    with pytest.raises(StudyError, match="the system takes 4095"):
        load(tmp_path / "again")
    assert study


HEADERS = {"kind": "openai", "base_url": "https://r.openai.azure.com/openai/v1", "model": "m"}


@pytest.mark.parametrize(
    ("engine", "words"),
    [
        ({"headers": {"api-key": "abc123"}}, ["engine.headers.api-key: must name the environment"]),
        ({"headers": {"Authorization": "Bearer abc123"}}, ["engine.headers.Authorization: must"]),
        ({"query": {"key": "abc123"}}, ["engine.query.key: must name the environment variable"]),
        ({"body": {"model": "x"}}, ["engine.body.model: 'model' is sent already"]),
        ({"body": {"seed": 3}}, ["engine.body.seed: 'seed' is sent already"]),
        (
            {"seed_field": "temperature"},
            ["engine.seed_field: 'temperature' is the name of another"],
        ),
        ({"thinking_tokens": -1}, ["engine.thinking_tokens: must be at least 0"]),
        ({"ends": {"weary": "fine"}}, ["engine.ends.weary: 'fine' is not valid"]),
        ({"options": {"dtype": "half"}}, ["engine.options: has no effect with kind: openai"]),
    ],
)
def test_bad_ways_to_ask_an_endpoint_are_refused(tmp_path, engine, words):
    with pytest.raises(StudyError) as refusal:
        load(tmp_path, sf.bend(ALL, OTHER, ("engine",), HEADERS | engine))
    for word in words:
        assert word in str(refusal.value)
    assert "abc123" not in str(refusal.value)


@pytest.mark.parametrize(
    ("engine", "said"),
    [
        (
            {"kind": "vllm", "options": {"data_parallel_size": 2}},
            r"engine\.options\.data_parallel_size.*a key of engine itself",
        ),
        (
            {"kind": "vllm", "gpus": 8, "data_parallel_size": 3},
            r"engine\.data_parallel_size: 3 copies cannot share 8 GPUs",
        ),
        ({"data_parallel_size": 2}, r"data_parallel_size: has no effect with kind: transformers"),
    ],
)
def test_copies_of_a_model_that_cannot_be_are_refused(tmp_path, engine, said):
    with pytest.raises(StudyError, match=said):
        load(tmp_path, sf.bend(ALL, WEAK, ("engine",), engine))


def test_copies_of_a_model_change_no_result(tmp_path):
    one = load(tmp_path / "one", sf.bend(ALL, WEAK, ("engine",), {"kind": "vllm"}))
    copies = {"kind": "vllm", "data_parallel_size": 4, "gpus": 8}
    four = load(tmp_path / "four", sf.bend(ALL, WEAK, ("engine",), copies))
    assert one.engine("weak").manner() == four.engine("weak").manner()


def test_how_an_endpoint_is_asked_reaches_jobs_and_is_part_of_what_is_tracked(tmp_path):
    asked = {
        "temperature_field": None, "seed_field": "random_seed", "body": {"effort": "low"},
        "headers": {"api-key": "${AZURE_KEY}"}, "thinking_tokens": 9,
    }  # fmt: skip
    files = sf.bend(ALL, WEAK, (), {"title": "Weak", "api": {"name": "w"}})
    plain = load(tmp_path / "plain", sf.bend(files, WEAK, ("engine",), HEADERS))
    key = "task=sums/method=new_question/augmenter=weak/seeds=10/replicate=1"
    assert "manner" not in Targets(plain, grid(plain)).questions(key)
    study = load(tmp_path / "asked", sf.bend(files, WEAK, ("engine",), HEADERS | asked))
    flow = Targets(study, grid(study))
    told = flow.engine("augmenter", key)
    assert {name: told[name] for name in asked} == asked
    assert flow.questions(key)["manner"] == {
        "left_out": ["temperature"], "body": {"effort": "low"}, "thinking_tokens": 9,
    }  # fmt: skip


def test_variables_in_headers_are_asked_for_before_anything_runs(tmp_path, monkeypatch):
    engine = HEADERS | {"headers": {"api-key": "${AZURE_KEY}"}}
    study = load(tmp_path, sf.bend(ALL, OTHER, ("engine",), engine))
    monkeypatch.delenv("AZURE_KEY", raising=False)
    with pytest.raises(StudyError, match=r"engine\.headers: the environment variable AZURE_KEY"):
        check_keys(study, ["other"])
    monkeypatch.setenv("AZURE_KEY", "x")
    check_keys(study, ["other"])


def test_ways_to_ask_are_what_they_say_also_on_the_command_line():
    given = HEADERS | {
        "temperature_field": "null", "send_defaults": "true", "thinking_tokens": "100",
        "body": {"top_k": "20", "thinking": {"enabled": "false"}, "effort": "low"},
    }  # fmt: skip
    engine = check_run_config({"study": "demo", "engines": {"m": given}}).engines["m"]
    assert engine.temperature_field is None
    assert (engine.send_defaults, engine.thinking_tokens) == (True, 100)
    assert engine.body == {"top_k": 20, "thinking": {"enabled": False}, "effort": "low"}


@pytest.mark.parametrize("file", sorted((SHIPPED / "models").glob("*.yaml")), ids=lambda f: f.stem)
def test_shipped_models_are_sound_and_have_no_price_without_a_day(file):
    model = config.ModelConfig.model_validate(read_document(file).content)
    if model.engine.kind == "openai":
        assert (
            model.engine.key_variable
            or model.engine.headers
            or "localhost" in (model.engine.base_url)
        )


@pytest.mark.parametrize(
    ("price", "at"),
    [
        ({"date": "2026-11-28"}, "price: is missing"),
        (
            {"date": "2026-11-28", "usd_per_million_prompt_tokens": 1},
            "price.usd_per_million_completion_tokens: is missing",
        ),
        (
            {"date": "2026-11-28", "usd_per_million_completion_tokens": 1},
            "price.usd_per_million_prompt_tokens: is missing",
        ),
    ],
)
def test_a_price_that_is_not_whole_is_refused_under_a_cap(tmp_path, price, at):
    files = sf.bend(ALL, OTHER, ("engine",), HEADERS)
    study = load(tmp_path, sf.bend(files, OTHER, ("price",), price))
    with pytest.raises(StudyError, match=re.escape(at)):
        check_prices(study, ["other"])


def test_trainers_of_a_place_come_before_those_of_the_models(tmp_path):
    # As Snakemake hands over `--config 'trainers={student: {save_minutes: 5}}'`.
    run = check_run_config({"study": "trial", "trainers": {"student": {"save_minutes": "5"}}})
    study = load(tmp_path, ALL, trainers=run.trainers)
    assert study.trainer("student").save_minutes == 5
    assert load(tmp_path / "own", ALL).trainer("student").save_minutes == 15
    with pytest.raises(StudyError, match=r"trainers\.studnt: there is no model 'studnt'"):
        load_study("trial", tmp_path, trainers={"studnt": run.trainers["student"]})
    for wrong in ({"save_minutes": 0}, {"micro_batch_tokens": 0}, {"batch_size": 4}):
        with pytest.raises(StudyError, match=rf"trainers\.student\.{next(iter(wrong))}"):
            check_run_config({"study": "trial", "trainers": {"student": wrong}})
