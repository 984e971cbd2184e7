import json
from pathlib import Path

import pytest

from seedbed.engines import pending_jobs
from seedbed.engines.pending_jobs import (
    PendingAnswering,
    PendingEvaluation,
    PendingOfModel,
    PendingTraining,
)
from seedbed.run.pending import PendingJobs
from seedbed.study.cells import grid
from seedbed.study.loading import load_study
from seedbed.study.targets import Targets

CONFIG = Path(__file__).parents[2] / "config"


def flow_of(name, **given):
    study = load_study(name, CONFIG, **given)
    return Targets(study, grid(study))


@pytest.fixture(scope="module")
def flow():
    return flow_of("miniature")


def written(flow, folder, without=()):
    """Return the jobs that a run which makes all but some files notes of each model."""
    others = PendingJobs(flow, str(folder))
    everything = [flow.evaluation_file(cell) for cell in flow.grid.cells]
    for stream in flow.grid.streams:
        for shard in flow.shards(stream.key):
            folder_of_shard = f"{stream.key}/shard={shard.index}"
            everything.append(f"{flow.results}/answers/{folder_of_shard}/answers.parquet")
    paths = [path for path in everything if path not in without]
    others.write(paths)
    assert (folder / "plan.txt").read_text().splitlines() == [*dict.fromkeys(paths)]
    return {
        file.name: [json.loads(line) for line in file.read_text().splitlines()]
        for file in folder.glob("*.jsonl")
    }


def test_cells_of_a_student_and_task_are_in_one_file(flow, tmp_path):
    gone = flow.evaluation_file(flow.grid.cells[3])
    found = written(flow, tmp_path, {gone})
    others = PendingJobs(flow, str(tmp_path))
    for cell in flow.grid.cells:
        alike = [c for c in flow.grid.cells if (c.student, c.task) == (cell.student, cell.task)]
        jobs = found[Path(others.file("student", cell.key)).name]
        expected = [flow.evaluation_file(c) for c in alike]
        assert [job["output"] for job in jobs] == [name for name in expected if name != gone]
        for job in jobs:
            assert (job["adapter"] is None) == (len(job["inputs"]) == 1)


def test_trainings_of_a_student_are_in_one_file_whatever_their_task(flow, tmp_path):
    others = PendingJobs(flow, str(tmp_path))
    trained = [cell for cell in flow.grid.cells if not cell.untrained]
    records = [f"{flow.results}/adapters/{cell.key}/training.json" for cell in trained]
    others.write(records[1:])
    told = {}
    for cell, record in zip(trained, records, strict=True):
        lines = Path(others.trainings(cell.key)).read_text().splitlines()
        told |= {job["output"]: job for job in map(json.loads, lines)}
        if record != records[0]:
            assert told[record]["settings"] == flow.training(cell.key)
            assert told[record]["inputs"][0] == flow.dataset_rows(cell.key)
    assert told.keys() == {*records[1:]}


def test_shards_of_a_teacher_are_told_with_all_that_their_jobs_get(flow, tmp_path):
    found = written(flow, tmp_path)
    others = PendingJobs(flow, str(tmp_path))
    told = set()
    for stream in flow.grid.streams:
        for job in found[Path(others.file("teacher", stream.key)).name]:
            key = job["settings"]["stream"]
            told.add((key, job["start"]))
            assert flow.teacher(key) == flow.teacher(stream.key)
            assert job["settings"] == {"stream": key, **flow.answers(key)}
            assert job["seeds"] == flow.seeds(key)
            assert job["seeds"] in job["inputs"]
            assert job["questions"] is None or job["questions"] in job["inputs"]
    assert told == {(s.key, part.start) for s in flow.grid.streams for part in flow.shards(s.key)}


def test_a_model_behind_an_endpoint_is_always_up(tmp_path):
    from seedbed.engines.settings import OpenAISettings

    engine = OpenAISettings(base_url="http://localhost:1/v1", model="m")
    found = written(flow_of("demo", engines={"mini_teacher": engine}), tmp_path)
    assert not [name for name in found if name.startswith("teacher.")]
    assert found["student.mini_student.mini_math.jsonl"]


def test_a_job_answers_for_those_after_it_and_then_for_those_before(flow, tmp_path, monkeypatch):
    name = "student.mini_student.mini_math.jsonl"
    outputs = [job["output"] for job in written(flow, tmp_path)[name]]
    file = tmp_path / name

    def of(own):
        return [
            str(job.output) for job in PendingOfModel.read(file, Path(own), PendingEvaluation).jobs
        ]

    monkeypatch.setattr(pending_jobs, "MOST", len(outputs))
    assert of(outputs[1]) == [*outputs[2:], outputs[0]]
    assert of("another") == outputs
    monkeypatch.setattr(pending_jobs, "MOST", 2)
    assert of(outputs[0]) == outputs[1:3]
    assert PendingOfModel.read(tmp_path / "none.jsonl", Path("x"), PendingEvaluation).jobs == ()
    # All of it is by name on a job's command line, however long the prompts are.
    assert len(PendingJobs(flow, "journal").file("student", flow.grid.cells[0].key)) < 100


def test_jobs_are_read_as_they_were_written(flow, tmp_path):
    others = PendingJobs(flow, str(tmp_path))
    written(flow, tmp_path)
    stream = flow.grid.streams[-1].key
    jobs = PendingOfModel.read(Path(others.file("teacher", stream)), Path(), PendingAnswering).jobs
    job = next(job for job in jobs if job.settings.stream == stream)
    assert job.settings.prompt == flow.answers(stream)["prompt"]
    assert job.seeds == Path(flow.seeds(stream))
    # Each kind has keys of its own, and takes no others.
    with pytest.raises(ValueError, match="questions"):
        PendingTraining.model_validate_json(job.line())
