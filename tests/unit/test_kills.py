"""Killed at any moment, a run asks for nothing that it had been answered."""

import json
import random
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

from endpoint import Endpoint, running
from seedbed.artifacts import write_json
from seedbed.models import api_fingerprint
from seedbed.tasks.items import TaskItem, to_frame

SCRIPT = Path(__file__).parents[2] / "scripts/answer_questions.py"
QUERIES, CONCURRENCY, KILLS = 2000, 8, 50
SETTINGS = {"prompt": "{question}", "answer_tokens": 9, "temperature": 0.7, "top_p": 1.0}


@pytest.fixture
def endpoint():
    with running(Endpoint()) as served:
        served.latency = 0.02
        yield served


def command(folder, endpoint, name):
    """Return the command that answers the queries of a stream, and the file it writes."""
    engine = {
        "kind": "openai",
        "base_url": endpoint.url,
        "name": "m",
        "concurrency": CONCURRENCY,
    }
    output = folder / name / "answers.parquet"
    words = {
        "--stream": "task=t/seeds=50", "--seeds": folder / "seeds.parquet", "--start": 0,
        "--stop": QUERIES, "--settings": json.dumps(SETTINGS), "--model": folder / "model",
        "--engine": json.dumps(engine), "--journal": folder / name / "journal", "--output": output,
    }  # fmt: skip
    return [sys.executable, SCRIPT, *(str(part) for pair in words.items() for part in pair)], output


@pytest.fixture
def folder(tmp_path, questions):
    items = [
        TaskItem(f"s{n}", f"{n}. {question}", context="", answer="#### 1", gold="1")
        for n, question in enumerate(questions[:50])
    ]
    to_frame(items).write_parquet(tmp_path / "seeds.parquet")
    write_json(tmp_path / "model/model.json", {"fingerprint": api_fingerprint("m", None)})
    return tmp_path


def on_disk(journal):
    """Return how many whole answers a journal holds."""
    return sum(file.read_bytes().count(b"\n") for file in journal.glob("*.jsonl"))


def test_a_process_killed_at_50_random_moments_asks_again_only_what_was_under_way(folder, endpoint):
    dice = random.Random(0)
    words, output = command(folder, endpoint, "killed")
    kills = lost = 0
    while kills < KILLS:
        before = len(endpoint.asked)
        process = subprocess.Popen(words, stderr=subprocess.DEVNULL)
        while len(endpoint.asked) == before:
            assert process.poll() is None, "the process ended by itself"
            time.sleep(0.002)
        time.sleep(dice.uniform(0, 0.1))
        process.kill()
        process.wait()
        kills += 1
        time.sleep(2 * endpoint.latency)  # What was under way arrives at the endpoint.
        under_way = len(endpoint.asked) - lost - on_disk(output.parent / "journal")
        assert under_way <= CONCURRENCY
        lost += under_way
        assert not output.exists()
    subprocess.run(words, check=True, stderr=subprocess.DEVNULL)
    assert len(endpoint.asked) == QUERIES + lost
    assert 0 < lost <= KILLS * CONCURRENCY
    words, undisturbed = command(folder, endpoint, "undisturbed")
    subprocess.run(words, check=True, stderr=subprocess.DEVNULL)
    tables = [pl.read_parquet(file).drop("teacher_seconds") for file in (output, undisturbed)]
    assert tables[0].equals(tables[1])
    assert tables[0].height == QUERIES
