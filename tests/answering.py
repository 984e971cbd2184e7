"""Processes that send the queries of a stream to an endpoint, like the jobs of a run."""

import json
import sys
from pathlib import Path

from seedbed.artifacts import write_json
from seedbed.models import api_fingerprint
from seedbed.tasks.items import TaskItem, to_frame

SCRIPT = Path(__file__).parents[1] / "scripts/answer_questions.py"
SETTINGS = {"prompt": "{question}", "answer_tokens": 9, "temperature": 0.7, "top_p": 1.0}


def write_inputs(folder, questions):
    """Write the jobs' inputs: 50 seeds, and a model behind an endpoint."""
    items = [
        TaskItem(f"s{n}", f"{n}. {question}", context="", answer="#### 1", gold="1")
        for n, question in enumerate(questions[:50])
    ]
    to_frame(items).write_parquet(folder / "seeds.parquet")
    write_json(folder / "model/model.json", {"fingerprint": api_fingerprint("m", None)})


def command(folder, endpoint, name, queries, **engine):
    """Return the command that writes the answers to a stream's first queries below a folder."""
    engine = {"kind": "openai", "base_url": endpoint.url, "name": "m", **engine}
    words = {
        "--stream": f"task=t/{name}", "--seeds": folder / "seeds.parquet", "--start": 0,
        "--stop": queries, "--settings": json.dumps(SETTINGS), "--model": folder / "model",
        "--engine": json.dumps(engine), "--cache": folder / name / "journal",
        "--answers": folder / name / "answers.parquet",
    }  # fmt: skip
    return [sys.executable, SCRIPT, *(str(part) for pair in words.items() for part in pair)]


def on_disk(folder):
    """Return the number of complete answers in the caches below a folder."""
    return sum(file.read_bytes().count(b"\n") for file in folder.rglob("journal/*.jsonl"))
