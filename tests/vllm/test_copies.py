"""Copies of a model in one job: two processes of vLLM on this machine."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from answered import answers, in_turn

from seedbed.engines import EngineJob, Request, load_engine

START_SECONDS = 240


@pytest.fixture(scope="module")
def copies(tiny_model):
    return load_engine(
        tiny_model, EngineJob.of("vllm", batch_size=4, data_parallel_size=2, gpus=0), lora_rank=8
    )


def test_copies_share_the_requests_and_answer_as_one_does(copies, transformers_engine, greedy):
    taken = []
    for copy in copies.copies:
        send = copy.pipe.send
        taken.append([])

        def noted(message, send=send, own=taken[-1]):
            own.extend(message[2] or ())
            send(message)

        copy.pipe.send = noted
    try:
        (found,) = in_turn([copies.complete(iter(greedy))])
    finally:
        for copy in copies.copies:
            del copy.pipe.send
    assert found == answers(transformers_engine, greedy)
    assert sorted(r.key for own in taken for r in own) == sorted(r.key for r in greedy)
    assert min(map(len, taken)) > len(greedy) / 4
    assert not list(copies.complete([]))


def test_calls_that_are_read_in_turn_have_an_adapter_each(copies, transformers_engine, thinker):
    asked = [Request(str(n), (("user", f"How many? {n}"),), 12) for n in range(20)]
    alone = [answers(transformers_engine, asked, adapter) for adapter in (None, thinker)]
    assert alone[0] != alone[1]
    together = in_turn([copies.complete(asked, adapter) for adapter in (None, thinker)])
    assert together == alone


def test_a_call_that_is_left_or_refused_leaves_nothing_behind(copies, greedy):
    coming = copies.complete(greedy)
    next(coming)
    coming.close()
    long = Request("long", (("user", "how many apples " * 3_000),), 8)
    with pytest.raises(ValueError, match=r"request long: .* do not fit into"):
        list(copies.complete([*greedy[:3], long]))
    assert set(answers(copies, greedy)) == {request.key for request in greedy}


JOB = """
import sys
from pathlib import Path
from seedbed.engines import EngineJob, Request, load_engine

if __name__ == "__main__":
    engine = load_engine(
        Path(sys.argv[1]), EngineJob.of("vllm", data_parallel_size=2, gpus=0, options={options})
    )
    print(*(copy.process.pid for copy in engine.copies), flush=True)
    asked = [Request(str(n), (("user", "How many?"),), 400) for n in range(5_000)]
    for _ in engine.complete(asked):
        print("answered", flush=True)
"""


def job(folder, model, options="{}"):
    script = folder / "job.py"
    script.write_text(textwrap.dedent(JOB).replace("{options}", options))
    return subprocess.Popen(
        [sys.executable, str(script), str(model)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )


def gone(pid):
    state = Path(f"/proc/{pid}/stat")
    return not state.exists() or state.read_text().split()[2] == "Z"


def test_a_kill_of_the_job_ends_its_copies(tiny_model, tmp_path):
    process = job(tmp_path, tiny_model)
    pids = [int(pid) for pid in process.stdout.readline().split()]
    assert len(pids) == 2
    assert process.stdout.readline() == "answered\n"
    process.kill()
    process.communicate(timeout=60)
    until = time.monotonic() + 30
    while not all(map(gone, pids)) and time.monotonic() < until:
        time.sleep(0.1)
    assert all(map(gone, pids))


def test_what_vllm_does_not_take_is_an_error_of_the_job(tiny_model, tmp_path):
    process = job(tmp_path, tiny_model, '{"max_num_sqs": 3}')
    _, said = process.communicate(timeout=START_SECONDS)
    assert process.returncode
    assert "'max_num_sqs' is not an argument of this vLLM; did you mean 'max_num_seqs'?" in said


def test_the_end_of_a_copy_is_an_error(copies):
    asked = (Request(str(n), (("user", "How many?"),), 400) for n in range(5_000))
    coming = copies.complete(asked)
    next(coming)
    copies.copies[0].process.kill()
    with pytest.raises(RuntimeError, match="a copy of the model has ended"):
        list(coming)
