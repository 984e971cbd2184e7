import json
from pathlib import Path

import pytest

from seedbed.study import others as module
from seedbed.study.cells import grid
from seedbed.study.loading import load_study
from seedbed.study.others import MOST, Others
from seedbed.study.workflow import Workflow

CONFIG = Path(__file__).parents[2] / "config"


def flow_of(name, **given):
    study = load_study(name, CONFIG, **given)
    return Workflow(study, grid(study))


@pytest.fixture(scope="module")
def flow():
    return flow_of("miniature")


def read(text):
    content = json.loads(text)
    assert content["plan"] == "plan.txt"
    return content["others"]


def test_cells_of_a_student_and_task_are_served_by_each_other(flow):
    others = Others(flow, "plan.txt")
    for cell in flow.grid.cells[:20]:
        found = read(others.evaluations(cell.key))
        outputs = {other["output"] for other in found}
        assert len(outputs) == len(found) <= MOST
        assert flow.evaluation_file(cell) not in outputs
        alike = [c for c in flow.grid.cells if (c.student, c.task) == (cell.student, cell.task)]
        assert outputs <= {flow.evaluation_file(c) for c in alike}
        assert len(found) == min(MOST, len(alike) - 1)
        for other in found:
            assert (other["adapter"] is None) == (len(other["inputs"]) == 1)


def test_shards_of_a_teacher_are_told_with_all_that_their_jobs_get(flow):
    others = Others(flow, "plan.txt")
    for stream in flow.grid.streams:
        for shard in flow.shards(stream.key):
            for other in read(others.answers(stream.key, str(shard.index))):
                key = other["settings"]["stream"]
                assert flow.teacher(key) == flow.teacher(stream.key)
                assert (key, other["start"]) != (stream.key, shard.start)
                settings = {"stream": key, **json.loads(flow.answers(key))}
                assert other["settings"] == settings
                assert other["seeds"] == flow.seeds(key)
                assert other["seeds"] in other["inputs"]
                assert other["questions"] is None or other["questions"] in other["inputs"]


def test_a_model_behind_an_endpoint_is_always_up():
    from seedbed.study.config import Engine

    engine = Engine(kind="openai", base_url="http://localhost:1/v1", model="m")
    flow = flow_of("demo", engines={"mini_teacher": engine})
    others = Others(flow, "plan.txt")
    stream = flow.grid.streams[0]
    assert read(others.answers(stream.key, "0")) == []
    assert read(others.evaluations(flow.grid.cells[0].key))


def test_long_prompts_do_not_make_a_command_that_is_too_long(flow, monkeypatch):
    others = Others(flow, "plan.txt")
    key = flow.grid.cells[0].key
    whole = read(others.evaluations(key))
    monkeypatch.setattr(module, "LONGEST", 3000)
    some = others.evaluations(key)
    assert len(some) <= 3000
    assert 0 < len(read(some)) < len(whole)
    assert read(some) == whole[: len(read(some))]
