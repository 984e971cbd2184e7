"""Killed at any moment, a run asks for nothing that it had been answered."""

import random
import subprocess
import time

import polars as pl
import pytest

from answering import command, on_disk, write_inputs
from endpoint import Endpoint, running

QUERIES, CONCURRENCY, KILLS = 1200, 8, 12


@pytest.mark.slow
def test_a_process_killed_at_random_moments_asks_again_only_what_was_under_way(tmp_path, questions):
    dice = random.Random(0)
    write_inputs(tmp_path, questions)
    with running(Endpoint()) as endpoint:
        endpoint.latency = 0.02
        tables = []
        words = command(tmp_path, endpoint, "killed", QUERIES, concurrency=CONCURRENCY)
        lost = 0
        for _ in range(KILLS):
            before = len(endpoint.asked)
            process = subprocess.Popen(words, stderr=subprocess.DEVNULL)
            while len(endpoint.asked) == before:
                assert process.poll() is None, "the process ended by itself"
                time.sleep(0.002)
            time.sleep(dice.uniform(0, 0.25))
            process.kill()
            process.wait()
            endpoint.wait_until_left()
            under_way = len(endpoint.asked) - lost - on_disk(tmp_path / "killed")
            assert under_way <= CONCURRENCY
            lost += under_way
            assert not (tmp_path / "killed/answers.parquet").exists()
        for name in ("killed", "undisturbed"):
            # Of one stream, as it is asked the same.
            words[words.index("--cache") + 1] = str(tmp_path / name / "journal")
            words[words.index("--answers") + 1] = str(tmp_path / name / "answers.parquet")
            subprocess.run(words, check=True, stderr=subprocess.DEVNULL)
            table = pl.read_parquet(tmp_path / name / "answers.parquet")
            tables.append(table.drop("teacher_seconds"))
        assert len(endpoint.asked) == 2 * QUERIES + lost
    assert 0 < lost <= KILLS * CONCURRENCY
    assert tables[0].equals(tables[1])
    assert tables[0].height == QUERIES
