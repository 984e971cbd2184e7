"""A small, sound configuration folder that tests bend."""

import copy
from pathlib import Path

import yaml

PROMPTS = {"question": "New: {question} {answer}", "self_check": "Check: {question}"}

STUDY = {
    "description": "A study for tests.",
    "test_items": 50,
    "shard_size": 8,
    "training": {
        "epochs": 1,
        "learning_rate": 0.001,
        "batch_size": 4,
        "lora_rank": 4,
        "lora_alpha": 8,
        "max_length": 64,
    },
    "blocks": [
        {
            "name": "main",
            "tasks": ["sums"],
            "methods": ["answer_augmentation", "new_question"],
            "seeds": [10, 20],
            "budget_ratios": [1, 4],
            "augmenters": ["teacher"],
            "teachers": ["teacher"],
            "students": ["student"],
        }
    ],
}
SUMS = {
    "title": "Sums",
    "kind": "number",
    "version": 1,
    "source": {"world": "mini_math", "train_items": 100, "test_items": 50},
    "score": "strict",
    "max_tokens": {"question": 8, "answer": 8, "check": 2},
    "prompts": {"answer": "{question}"},
    "changes": ["2026-01-31: first version"],
}
REAL = SUMS | {
    "title": "Real",
    "source": {
        "hub": "owner/sums",
        "config": "main",
        "splits": {"train": "train", "test": "test"},
        "columns": {"question": "question", "answer": "answer"},
        "train_items": 100,
        "test_items": 50,
    },
}
PRETRAIN = {
    "role": "teacher",
    "steps": 100,
    "batch_size": 8,
    "learning_rate": 0.001,
    "hidden_size": 16,
    "layers": 1,
    "heads": 2,
    "intermediate_size": 32,
    "checkpoints": [50],
}
FILES = {
    "studies/trial.yaml": STUDY,
    "tasks/sums/task.yaml": SUMS,
    "tasks/real/task.yaml": REAL,
    "methods/answer_augmentation.yaml": {
        "title": "Answer augmentation",
        "short": "AA",
        "writes_questions": False,
    },
    "methods/seed_only.yaml": {
        "title": "Seeds",
        "short": "S",
        "writes_questions": False,
        "real_pairs": "seeds",
    },
    "methods/human.yaml": {
        "title": "Real data",
        "short": "R",
        "writes_questions": False,
        "real_pairs": "budget",
    },
    "methods/new_question.yaml": {
        "title": "New question",
        "short": "NQ",
        "writes_questions": True,
        "keeps_answer": False,
        "self_check": True,
        "max_attempts": 2,
        "prompts": {"number": PROMPTS},
    },
    "methods/question_rephrase.yaml": {
        "title": "Question rephrase",
        "short": "QR",
        "writes_questions": True,
        "max_attempts": 2,
        "prompts": {"number": {"question": "Again: {question}"}},
    },
    "models/teacher.yaml": {"title": "Teacher", "pretrain": PRETRAIN},
    "models/weak.yaml": {"title": "Weak", "checkpoint": {"of": "teacher", "step": 50}},
    "models/student.yaml": {"title": "Student", "pretrain": PRETRAIN | {"role": "student_a"}},
    "models/other.yaml": {"title": "Other", "hub": {"id": "owner/other"}},
}
# Files share no value, so that bending one leaves the others as they are.
FILES = {name: copy.deepcopy(content) for name, content in FILES.items()}
GONE = object()


def bend(files, file, path, value):
    """Return the files with the value at a path of one of them replaced, or taken out if GONE."""
    files = copy.deepcopy(files)
    if not path:
        files[file] = value
        return files
    place = files[file]
    for part in path[:-1]:
        place = place[part]
    if value is GONE:
        del place[path[-1]]
    else:
        place[path[-1]] = copy.deepcopy(value)
    return files


def write(folder: Path, files=FILES) -> Path:
    """Write the files; one whose content is text is written as it is."""
    for name, content in files.items():
        if content is GONE:
            continue
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        text = content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False)
        path.write_text(text, encoding="utf-8")
    return folder
