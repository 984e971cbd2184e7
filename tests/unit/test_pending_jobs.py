"""A model that is loaded answers for the other jobs of the run, and for no others."""

import importlib
import json
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import polars as pl
import pytest

from seedbed.artifacts import read_json, write_json
from seedbed.engines import pending_jobs
from seedbed.engines.pending_jobs import (
    PendingJob,
    PendingOfModel,
    Plan,
    claimed,
    serve,
    write_plan,
)
from seedbed.tasks.items import to_frame
from seedbed.tasks.worlds import load_world

SCRIPTS = Path(__file__).parents[2] / "scripts"


def silent(text):
    """Report no progress."""


def other(folder, name, *inputs):
    cache = folder / name / "journal"
    return PendingJob(output=folder / name / "out.json", cache=cache, inputs=inputs)


@pytest.fixture
def planned(tmp_path):
    """A plan to make a, b and c: of x, which is there, y, which is not, and z, which is old."""
    others = [other(tmp_path, name, tmp_path / made) for name, made in ("ax", "by", "cz")]
    for name in "xz":
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (1, 1))
    write_plan(tmp_path / "plan.txt", [*(o.output for o in others), tmp_path / "z"])
    return PendingOfModel(Plan(tmp_path / "plan.txt"), tuple(others))


def served(planned):
    found = []
    serve(planned, lambda o: found.append(o.output.parent.name), silent)
    return found


def test_served_are_those_whose_inputs_are_there(planned, tmp_path):
    assert served(planned) == ["a"]
    (tmp_path / "y").touch()
    (tmp_path / "z").touch()
    assert served(planned) == ["a", "b", "c"]


def test_several_are_answered_for_in_turn(planned, tmp_path):
    (tmp_path / "y").touch()
    (tmp_path / "z").touch()
    found = []

    def answer(job):
        name = job.output.parent.name
        for number in range(2 if name == "a" else 3):
            found.append(f"{name}{number}")
            yield
        # The place of one that is done goes to the next.
        assert not (name == "a" and "c0" in found)

    serve(planned, answer, silent, at_once=2)
    assert found == ["a0", "b0", "a1", "b1", "b2", "c0", "c1", "c2"]


def test_what_is_made_or_not_in_the_plan_is_not_served(planned, tmp_path):
    made = planned.jobs[0].output
    made.parent.mkdir(exist_ok=True)
    made.touch()
    os.utime(made, (1, 1))
    assert served(planned) == ["a"]  # The file of the run before, which is to be made anew.
    made.touch()
    assert served(planned) == []
    foreign = other(tmp_path, "d", tmp_path / "x")
    assert served(PendingOfModel(planned.plan, (foreign,))) == []
    assert served(PendingOfModel(Plan(tmp_path / "no plan"), planned.jobs)) == []


@contextmanager
def holder(journal, output):
    """Let another process hold a response cache, until its input ends."""
    code = f"""
import sys
sys.path.insert(0, {str(SCRIPTS)!r})
from pathlib import Path
from seedbed.engines.pending_jobs import claimed
with claimed(Path({str(journal)!r}), Path({str(output)!r})) as held:
    print(held, flush=True)
    sys.stdin.read()
"""
    pipe = subprocess.PIPE
    words = [sys.executable, "-c", code]
    with subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True) as process:
        try:
            assert process.stdout.readline() == "True\n"
            yield process
        finally:
            process.kill()


def test_what_another_job_holds_is_left_to_it(planned):
    with holder(planned.jobs[0].cache, planned.jobs[0].output):
        assert served(planned) == []
    assert served(planned) == ["a"]  # Who dies lets go.


def test_a_job_waits_for_who_answers_for_it(tmp_path):
    journal, output = tmp_path / "journal", tmp_path / "made" / "out.json"
    said = []
    with holder(journal, output) as other:

        def wait(text):
            said.append(text)
            assert other.poll() is None
            other.stdin.close()

        with claimed(journal, output, wait) as held:
            assert held
    assert said == ["another job, which has the model loaded, is at this: waiting for it"]


def test_a_file_system_without_locks_stops_nobody(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(pending_jobs.fcntl, "lockf", refuse)
    with claimed(tmp_path, tmp_path / "out.json") as held:
        assert held


def test_what_fails_for_another_is_its_own_jobs_to_say(planned, tmp_path):
    (tmp_path / "y").touch()
    said, found = [], []

    def answer(o):
        if o.output.parent.name == "a":
            raise ValueError("no room")
        found.append(o.output.parent.name)

    serve(planned, answer, said.append)
    assert found == ["b"]
    assert "left to its own job: no room" in said


# --- through the scripts


@pytest.fixture(scope="module")
def seeds():
    return load_world("mini_math").items("train", 6, seed=3)


def script(name, monkeypatch, **options):
    """Run a script in this process, and return how often it loaded a model."""
    from seedbed.engines import start

    loaded = []

    def load(*arguments):
        loaded.append(arguments)
        return load_engine(*arguments)

    load_engine = start.load_engine
    monkeypatch.setattr(start, "load_engine", load)
    words = [part for key, value in options.items() for part in (f"--{key}", *listed(value))]
    monkeypatch.setattr("sys.argv", [name, *map(str, words)])
    try:
        importlib.import_module(name).main()
    finally:
        monkeypatch.setattr(start, "load_engine", load_engine)
    return len(loaded)


def listed(value):
    if isinstance(value, dict):
        return [json.dumps(value)]
    return value if isinstance(value, list) else [value]


def test_one_start_answers_the_streams_of_a_teacher(tmp_path, monkeypatch, tiny_model, seeds):
    to_frame(seeds).write_parquet(tmp_path / "seeds.parquet")
    settings = {"prompt": "{question}", "answer_tokens": 6, "temperature": 1.0, "top_p": 1.0}

    def of(key):
        folder = tmp_path / key
        return {
            "output": str(folder / "shard=0" / "answers.parquet"),
            "cache": str(folder / "journal"),
            "inputs": [str(tmp_path / "seeds.parquet")],
            "settings": {"stream": key, **settings},
            "seeds": str(tmp_path / "seeds.parquet"),
            "questions": None,
            "start": 0,
            "stop": 12,
        }

    def run(key, others):
        own = of(key)
        sharing = tmp_path / "jobs.jsonl"
        sharing.write_text("".join(json.dumps(of(name)) + "\n" for name in others))
        return script(
            "answer_questions",
            monkeypatch,
            stream=key,
            settings=settings,
            model=tiny_model,
            pending=sharing,
            answers=own["output"],
            **{name: own[name] for name in ("seeds", "start", "stop", "cache")},
        )

    write_plan(tmp_path / "plan.txt", [of(name)["output"] for name in ("one", "two")])
    assert run("one", ["two", "unplanned"]) == 1
    assert run("two", ["one"]) == 0
    assert not (tmp_path / "unplanned").exists()
    two = pl.read_parquet(tmp_path / "two/shard=0/answers.parquet")
    # The same as if it had asked itself.
    assert run("alone", []) == 1
    (tmp_path / "two/shard=0/answers.parquet").unlink()
    again = of("two") | {"cache": str(tmp_path / "other journal")}
    assert (
        script(
            "answer_questions",
            monkeypatch,
            stream="two",
            settings=settings,
            model=tiny_model,
            answers=again["output"],
            **{name: again[name] for name in ("seeds", "start", "stop", "cache")},
        )
        == 1
    )
    alone = pl.read_parquet(tmp_path / "two/shard=0/answers.parquet")
    assert two.drop("teacher_seconds").equals(alone.drop("teacher_seconds"))


@pytest.fixture
def adapters(tmp_path, tiny_model):
    """Two LoRA adapters that change what the model says, and the model as it is."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    for number in (1, 2):
        torch.manual_seed(number)
        lora = LoraConfig(r=4 * number, target_modules="all-linear", init_lora_weights=False)
        model = get_peft_model(AutoModelForCausalLM.from_pretrained(tiny_model), lora)
        folder = tmp_path / "adapters" / str(number)
        model.save_pretrained(folder)
        write_json(folder / "training.json", {"counts": {}, "seconds": {}})
    return [None, tmp_path / "adapters/1", tmp_path / "adapters/2"]


def test_one_start_evaluates_the_adapters_of_a_student(tmp_path, monkeypatch, tiny_model, adapters):
    items = load_world("mini_math").items("test", 9, seed=3)
    to_frame(items).write_parquet(tmp_path / "test.parquet")
    write_json(tmp_path / "task.json", {"databases": {}})
    settings = {
        "kind": "number",
        "scorer": {},
        "score": "strict",
        "prompt": "{question}",
        "answer_tokens": 12,
        "test_items": None,
    }

    def of(number, root):
        adapter = adapters[number]
        files = (
            [adapter / "adapter_model.safetensors", adapter / "training.json"] if adapter else []
        )
        return {
            "output": str(tmp_path / root / str(number) / "evaluation.json"),
            "cache": str(tmp_path / root / "journal" / str(number)),
            "inputs": [str(tmp_path / "test.parquet"), *map(str, files)],
            "adapter": str(adapter) if adapter else None,
        }, files

    def run(number, others, root="shared"):
        own, files = of(number, root)
        sharing = tmp_path / "jobs.jsonl"
        sharing.write_text("".join(json.dumps(of(n, root)[0]) + "\n" for n in others))
        return script(
            "evaluate_student",
            monkeypatch,
            cell={"n": number},
            test=tmp_path / "test.parquet",
            settings=settings,
            model=tiny_model,
            cache=own["cache"],
            scores=own["output"],
            task=tmp_path / "task.json",
            predictions=Path(own["output"]).with_name("predictions.parquet"),
            pending=sharing,
            **{"task-folder": tmp_path},
            **({"adapter": files} if files else {}),
        )

    write_plan(tmp_path / "plan.txt", [of(number, "shared")[0]["output"] for number in range(3)])
    assert run(0, [1, 2]) == 1
    assert run(1, [2, 0]) == run(2, [0, 1]) == 0
    for number in range(3):
        assert run(number, [], "alone") == 1
    outputs = []
    for number in range(3):
        shared, alone = (
            pl.read_parquet(tmp_path / root / str(number) / "predictions.parquet")
            for root in ("shared", "alone")
        )
        assert shared.equals(alone)
        outputs.append(shared["output"].to_list())
        scores = read_json(tmp_path / "shared" / str(number) / "evaluation.json")
        assert scores["seconds"]["evaluation"] > 0
    assert outputs[0] != outputs[1] != outputs[2]
    # An adapter that is trained anew is asked anew, and the others are not.
    config = read_json(adapters[1] / "adapter_config.json")
    write_json(adapters[1] / "adapter_config.json", config | {"lora_alpha": 99})
    assert run(2, [1]) == 0
    assert run(1, [2]) == 1
