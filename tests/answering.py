"""Processes that answer queries of a stream at an endpoint, as jobs of a run do."""

import json
import sys
from pathlib import Path

from seedbed.artifacts import write_json
from seedbed.models import api_fingerprint
from seedbed.tasks.items import TaskItem, to_frame

SCRIPT = Path(__file__).parents[1] / "scripts/answer_questions.py"
SETTINGS = {"prompt": "{question}", "answer_tokens": 9, "temperature": 0.7, "top_p": 1.0}


def write_inputs(folder, questions):
    """Write what the jobs read: 50 seeds, and a model that is behind an endpoint."""
    items = [
        TaskItem(f"s{n}", f"{n}. {question}", context="", answer="#### 1", gold="1")
        for n, question in enumerate(questions[:50])
    ]
    to_frame(items).write_parquet(folder / "seeds.parquet")
    write_json(folder / "model/model.json", {"fingerprint": api_fingerprint("m", None)})


def command(folder, endpoint, name, queries, **engine):
    """Return the command that answers so many queries of a stream, into `name/answers.parquet`."""
    engine = {"kind": "openai", "base_url": endpoint.url, "name": "m", **engine}
    words = {
        "--stream": f"task=t/{name}", "--seeds": folder / "seeds.parquet", "--start": 0,
        "--stop": queries, "--settings": json.dumps(SETTINGS), "--model": folder / "model",
        "--engine": json.dumps(engine), "--cache": folder / name / "journal",
        "--answers": folder / name / "answers.parquet",
    }  # fmt: skip
    return [sys.executable, SCRIPT, *(str(part) for pair in words.items() for part in pair)]


def on_disk(folder):
    """Return how many whole answers the caches below a folder hold."""
    return sum(file.read_bytes().count(b"\n") for file in folder.rglob("journal/*.jsonl"))
