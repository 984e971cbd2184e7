"""A shard is extended in place: what it holds stays, and only what it lacks is asked for."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from recording_engine import KilledError, RecordingEngine, timeless

from seedbed.artifacts import read_json, read_metadata, write_json, write_parquet
from seedbed.engines import UnansweredError, start
from seedbed.engines.pending_jobs import write_plan
from seedbed.streams.extension import held_until, was_left
from seedbed.tasks.items import TaskItem, to_frame

STREAM = "task=t/method=new_question"
SEEDS = [
    TaskItem(f"train-{n}", f"How many are {n} and {n}?", "", f"#### {2 * n}", str(2 * n))
    for n in range(3)
]
SAMPLING = {"temperature": 0.7, "top_p": 0.9}
SETTINGS = {
    "questions": {
        "prompt": "New: {question}",
        "check_prompt": None,
        "max_attempts": 2,
        "question_tokens": 20,
        "check_tokens": 2,
        "keeps_answer": False,
        **SAMPLING,
    },
    "answers": {"prompt": "Solve: {question}", "answer_tokens": 20, **SAMPLING},
    "samples": {"samples": 3, "answer_tokens": 20, **SAMPLING},
    "checks": {"kind": "number", "scorer": {}},
    "labels": {"kind": "number", "scorer": {}},
}
SCRIPTS = {
    "questions": "write_questions",
    "answers": "answer_questions",
    "samples": "sample_answers",
    "checks": "check_answers",
    "labels": "verify_answers",
}
ASKING = ("questions", "answers", "samples")


def oblige(request):
    """Write a question or an answer that depends on the sampling seed; leave some slots empty."""
    number = request.seed % 7
    if request.messages[-1][1].startswith("New: "):
        return (f"How many are {request.seed % 1000} and 1?" if number else ""), "stop"
    return f"#### {request.seed % 3}", "stop" if number else "length"


class Line:
    """The five jobs of one shard, from questions to verdicts, with a model that obeys."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.settings = json.loads(json.dumps(SETTINGS))
        self.engine = RecordingEngine(oblige)
        self._patch = patch
        write_parquet(folder / "seeds.parquet", to_frame(SEEDS))
        write_json(folder / "task.json", {"databases": {}})
        write_json(folder / "model/model.json", {"fingerprint": "m"})

    def file(self, stage: str) -> Path:
        return self.folder / stage / "shard=1" / f"{stage}.parquet"

    def words(
        self, stage: str, stop: int, start: int = 4, end: int = 40, **more: object
    ) -> list[str]:
        """Return the options of a stage's script; the shard begins with query 4."""
        options: dict[str, object] = {"start": start, "stop": stop, "end": end}
        options |= {"settings": json.dumps(self.settings[stage])}
        options[stage] = self.file(stage)
        if stage in ASKING:
            stream = "question-stream" if stage == "questions" else "stream"
            options |= {stream: STREAM, "model": self.folder / "model"}
            options["cache"] = self.folder / "journal" / stage
        if stage != "samples":
            options["seeds"] = self.folder / "seeds.parquet"
        if stage == "answers":
            options["questions"] = self.file("questions")
        if stage in ("samples", "checks", "labels"):
            options["answers"] = self.file("answers")
        if stage in ("checks", "labels"):
            options["task"] = self.folder / "task.json"
        if stage == "labels":
            options["samples"] = self.file("samples")
        words: list[object] = []
        for name, value in (options | more).items():
            words += [f"--{name}"] if value is None else [f"--{name}", value]
        return [str(word) for word in words]

    def run(self, stage: str, stop: int, **more: object) -> None:
        """Run a stage's script in this process."""
        self._patch.setattr("sys.argv", ["script", *self.words(stage, stop, **more)])
        self._patch.setattr(start, "load_engine", lambda *_: self.engine)
        importlib.import_module(SCRIPTS[stage]).main()

    def run_all(self, stop: int) -> None:
        for stage in SCRIPTS:
            self.run(stage, stop)

    def read(self, stage: str) -> pl.DataFrame:
        return pl.read_parquet(self.file(stage))

    def asked(self) -> list[tuple[str, int]]:
        return [(request.messages[-1][1], request.seed) for request in self.engine.asked]

    def forget(self) -> None:
        """Delete what was kept of answers as they came."""
        shutil.rmtree(self.folder / "journal")


@pytest.fixture
def line(tmp_path, monkeypatch):
    """All stages of a shard, for queries 4 to 20."""
    made = Line(tmp_path, monkeypatch)
    made.run_all(20)
    made.engine = RecordingEngine(oblige)
    return made


@pytest.fixture
def whole(tmp_path_factory, monkeypatch):
    """The same for queries 4 to 30, made at once."""
    made = Line(tmp_path_factory.mktemp("whole"), monkeypatch)
    made.run_all(30)
    return made


@pytest.mark.parametrize("kept", [True, False], ids=["with journal", "without"])
def test_an_extended_shard_keeps_its_rows_and_asks_for_the_rest_alone(line, whole, kept):
    before = {stage: line.read(stage) for stage in SCRIPTS}
    if not kept:
        line.forget()
    line.run_all(30)
    for stage, rows in before.items():
        after = line.read(stage)
        assert rows.height < after.height
        # Seconds are kept, too.
        assert after[: rows.height].equals(rows)
        assert timeless(after).equals(timeless(whole.read(stage)))
        assert held_until(line.file(stage)) == 30
    # Each request of the whole is asked for once in all, in the first run or in the second.
    beyond = {row["query"] for row in whole.read("answers").iter_rows(named=True)} - set(
        before["answers"]["query"]
    )
    assert beyond == set(range(20, 30))
    everything = whole.asked()
    assert len(set(everything)) == len(everything)
    assert set(line.asked()) < set(everything)
    answered = line.read("answers").filter(pl.col("prompt").is_not_null())
    late = set(answered.filter(pl.col("query") >= 20)["prompt"])
    solving = [prompt for prompt, _ in line.asked() if prompt.startswith("Solve: ")]
    assert set(solving) == late


@pytest.mark.parametrize("stage", SCRIPTS)
def test_a_shard_that_holds_more_is_left_alone(line, stage):
    line.forget()
    path = line.file(stage)
    content = path.read_bytes()
    os.utime(path, (1, 1))
    line.run(stage, 9)
    assert path.read_bytes() == content
    # Who waits for the job sees that it has ended.
    assert path.stat().st_mtime > 1
    assert not line.engine.asked


@pytest.mark.parametrize("stage", ASKING)
def test_an_extension_that_dies_loses_nothing(line, whole, stage):
    for under in ASKING[: ASKING.index(stage)]:
        line.run(under, 30)
    line.forget()
    content = line.file(stage).read_bytes()
    line.engine = dying = RecordingEngine(oblige, die_after=4)
    with pytest.raises(KilledError):
        line.run(stage, 30)
    assert line.file(stage).read_bytes() == content
    assert [file.name for file in line.file(stage).parent.iterdir() if file.suffix != ".json"] == [
        line.file(stage).name
    ]
    line.engine = second = RecordingEngine(oblige)
    line.run(stage, 30)
    assert timeless(line.read(stage)).equals(timeless(whole.read(stage)))
    both = [(r.messages[-1][1], r.seed) for r in dying.asked + second.asked]
    assert len(dying.asked) == 4
    assert len(set(both)) == len(both)


def test_the_same_rows_are_the_same_bytes_whoever_made_them(line, monkeypatch):
    """Code and versions stand beside the file; what is judged is judged again by other code."""
    files = {stage: line.file(stage).read_bytes() for stage in SCRIPTS}
    other = {"code": "another", "versions": {"polars": "0"}}
    for script in SCRIPTS.values():
        module = importlib.import_module(script)
        monkeypatch.setattr(module, "provenance", lambda *_: other)
    line.run_all(20)
    assert {stage: line.file(stage).read_bytes() for stage in SCRIPTS} == files
    for stage in SCRIPTS:
        (made,) = read_json(line.file(stage).with_name("provenance.json"))["made"]
        assert (made["start"], made["stop"]) == (4, 20)
        # A model's answers are not asked for again by other code, nor said to be its.
        assert (made["code"] == "another") == (stage not in ASKING)


@pytest.mark.parametrize("stage", ASKING)
def test_the_record_says_what_made_which_rows(line, stage, monkeypatch):
    other = {"code": "another", "versions": {}}
    for name in SCRIPTS.values():
        monkeypatch.setattr(importlib.import_module(name), "provenance", lambda *_: other)
    line.run_all(30)
    first, second = read_json(line.file(stage).with_name("provenance.json"))["made"]
    assert (first["start"], first["stop"], second["start"], second["stop"]) == (4, 20, 20, 30)
    assert first["versions"]["polars"] and second["code"] == "another"


def other_settings(line):
    for stage in ASKING:
        line.settings[stage]["temperature"] = 0.1


def other_model(line):
    write_json(line.folder / "model/model.json", {"fingerprint": "n"})


def other_seeds(line):
    changed = [TaskItem(s.item_id, s.question + " Now?", "", "#### 9", "9") for s in SEEDS]
    write_parquet(line.folder / "seeds.parquet", to_frame(changed))


def other_questions(line):
    for stage, column in (("questions", "question"), ("answers", "prompt")):
        rows = line.read(stage)
        changed = pl.when(pl.col("query") == 9).then(pl.lit("Solve: what else?"))
        rows = rows.with_columns(changed.otherwise(pl.col(column)).alias(column))
        write_parquet(line.file(stage), rows, read_metadata(line.file(stage)))
    rows = line.read("answers")
    for column, text in (("answer", "#### 77"), ("finish_reason", "stop"), ("question", "So?")):
        changed = pl.when(pl.col("query") == 9).then(pl.lit(text))
        rows = rows.with_columns(changed.otherwise(pl.col(column)).alias(column))
    write_parquet(line.file("answers"), rows, read_metadata(line.file("answers")))


@pytest.mark.parametrize(
    ("change", "stages", "asked"),
    [
        # How many requests of each stage are new to the journal; None for many.
        (other_settings, ASKING, [None, None, None]),
        (other_model, ASKING, [None, None, None]),
        (other_seeds, ("questions", "answers", "checks", "labels"), [None, 0, 0, 0]),
        (other_questions, ("answers", "samples", "checks", "labels"), [1, 2, 0, 0]),
    ],
)
def test_rows_that_something_else_determines_are_not_kept(line, change, stages, asked):
    change(line)
    for stage, expected in zip(stages, asked, strict=True):
        before = line.read(stage), read_metadata(line.file(stage))
        count = len(line.engine.asked)
        line.run(stage, 20)
        assert read_metadata(line.file(stage)) != before[1]
        found = len(line.engine.asked) - count
        assert found >= 12 if expected is None else found == expected
        # The next stage is tried with what it stood on.
        write_parquet(line.file(stage), *before)


def cut_short(path):
    path.write_bytes(path.read_bytes()[:-40])


def flipped(path):
    """Change one byte among the rows."""
    metadata = pq.read_metadata(path)
    column = metadata.row_group(0).column(metadata.num_columns - 2)
    content = bytearray(path.read_bytes())
    place = (column.dictionary_page_offset or column.data_page_offset) + 40
    content[place] ^= 1
    path.write_bytes(content)


def edited(path):
    rows = pl.read_parquet(path)
    column = next(c for c in ("question", "answer", "final") if c in rows.columns)
    write_parquet(path, rows.with_columns(pl.lit("hand-made").alias(column)), read_metadata(path))


def one_row_less(path):
    write_parquet(path, pl.read_parquet(path)[:-1], read_metadata(path))


def other_columns(path):
    write_parquet(path, pl.read_parquet(path).drop("query"), read_metadata(path))


def boasting(path):
    about = read_metadata(path)
    about["queries"]["stop"] = 10**30
    write_parquet(path, pl.read_parquet(path), about)


def strange(path):
    write_parquet(path, pl.read_parquet(path), {"queries": ["all"], "settings": None})


def no_record(path):
    table = pq.read_table(path).replace_schema_metadata({"seedbed": "[1]"})
    pq.write_table(table, path)


def nested(path):
    table = pq.read_table(path).replace_schema_metadata({"seedbed": "[" * 100_000})
    pq.write_table(table, path)


def older(path):
    about = read_metadata(path)
    write_parquet(path, pl.read_parquet(path), {k: about.get(k) for k in ("settings", "model")})


def other_text(path):
    rows = pq.read_table(path)
    broken = pa.array([b"\xff\xfe"] * len(rows), pa.binary()).view(pa.string())
    place = next(n for n, field in enumerate(rows.schema) if pa.types.is_large_string(field.type))
    name = rows.schema.field(place).name
    pq.write_table(rows.set_column(place, name, broken), path)


@pytest.mark.parametrize(
    "harm",
    [
        cut_short,
        flipped,
        edited,
        one_row_less,
        other_columns,
        boasting,
        strange,
        no_record,
        nested,
        older,
        other_text,
    ],
)
def test_a_file_that_proves_nothing_is_made_again_from_the_journal(line, whole, harm):
    for stage in SCRIPTS:
        before = line.read(stage)
        harm(line.file(stage))
        line.run(stage, 20)
        assert timeless(line.read(stage)).equals(timeless(before))
    assert not line.engine.asked
    line.run_all(30)
    for stage in SCRIPTS:
        assert timeless(line.read(stage)).equals(timeless(whole.read(stage)))


@pytest.mark.parametrize("stage", ASKING)
def test_rows_of_an_earlier_version_stay_as_they_are(line, stage):
    """Its files prove nothing. The journal gives the same rows, though not the same seconds."""
    (timed,) = (name for name in line.read(stage).columns if name.endswith("_seconds"))
    before = line.read(stage).with_columns(pl.col(timed) + 1.5)
    write_parquet(line.file(stage), before, {"settings": {}, "code": "a", "versions": {}})
    for under in ASKING[: ASKING.index(stage)]:
        line.run(under, 30)
    asked = len(line.engine.asked)
    line.run(stage, 30)
    assert line.read(stage)[: before.height].equals(before)
    assert line.read(stage).height > before.height
    assert len(line.engine.asked) - asked < before.height


def test_a_shard_of_smaller_bounds_gives_its_end_to_the_next(line):
    line.forget()
    line.run("questions", 9, end=9)
    assert line.read("questions")["query"].to_list() == list(range(4, 9))
    assert held_until(line.file("questions")) == 9
    (made,) = read_json(line.file("questions").with_name("provenance.json"))["made"]
    assert (made["start"], made["stop"]) == (4, 9)
    assert not line.engine.asked
    # And one that began elsewhere is another one.
    line.run("questions", 12, start=9, end=19)
    assert line.read("questions")["query"].to_list() == [9, 10, 11]


@pytest.mark.parametrize("stage", ["answers", "samples", "checks", "labels"])
def test_a_shard_under_it_that_holds_too_little_is_an_error(line, stage):
    content = line.file(stage).read_bytes()
    with pytest.raises(ValueError, match=r"20|does not hold queries 4 to 24 once each"):
        line.run(stage, 25)
    assert line.file(stage).read_bytes() == content


def test_a_job_that_has_the_model_asks_for_no_rows_that_others_hold(line, tmp_path):
    line.run("questions", 30)
    line.forget()
    line.engine.asked.clear()
    other = {
        "output": str(line.file("answers")),
        "cache": str(tmp_path / "journal/answers"),
        "inputs": [str(line.file("questions"))],
        "settings": {"stream": STREAM, **SETTINGS["answers"]},
        "seeds": str(tmp_path / "seeds.parquet"),
        "questions": str(line.file("questions")),
        "start": 4,
        "stop": 30,
        "end": 40,
    }
    (tmp_path / "jobs.jsonl").write_text(json.dumps(other) + "\n")
    os.utime(line.file("answers"), (1, 1))
    write_plan(tmp_path / "plan.txt", [other["output"]])
    # For itself it asks the questions of the seeds.
    line.run(
        "answers",
        2,
        start=0,
        end=4,
        stream="another",
        questions=None,
        answers=tmp_path / "own/shard=0/answers.parquet",
        cache=tmp_path / "journal/own",
        pending=tmp_path / "jobs.jsonl",
    )
    late = line.read("questions").filter(pl.col("query") >= 20)["question"].drop_nulls().to_list()
    asked = [prompt.removeprefix("Solve: ") for prompt, _ in line.asked()]
    assert sorted(asked[2:]) == sorted(late)
    # Its own job then finds all of it.
    line.engine.asked.clear()
    line.run("answers", 30)
    assert not line.engine.asked
    assert held_until(line.file("answers")) == 30


ALONGSIDE = """
import importlib, sys, time
from recording_engine import RecordingEngine
from seedbed.engines import UnansweredError, start

def slowly(request):
    time.sleep(0.05)
    return f"#### {request.seed % 3}", "stop"

engine = RecordingEngine(slowly)
start.load_engine = lambda *_: engine
importlib.import_module(sys.argv.pop(1)).main()
print(len(engine.asked))
"""


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["answers", "samples"])
def test_two_jobs_that_extend_a_shard_ask_for_each_query_once(line, stage):
    line.run("questions", 30)
    if stage == "samples":
        line.run("answers", 30)
    line.forget()
    before = line.read(stage)
    folder = Path(__file__).parent
    path = os.pathsep.join([str(folder), str(folder.parents[1] / "scripts")])
    command = [sys.executable, "-c", ALONGSIDE, SCRIPTS[stage]]
    jobs = [
        subprocess.Popen(
            [*command, *line.words(stage, stop)],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": path},
        )
        for stop in (24, 30)
    ]
    asked = [int(job.communicate()[0]) for job in jobs]
    assert [job.returncode for job in jobs] == [0, 0]
    after = line.read(stage)
    assert held_until(line.file(stage)) == 30
    assert after[: before.height].equals(before)
    new = after[before.height :]
    assert sum(asked) == new["answer"].count()


# --- queries that failed in all tries


def some_fail(request):
    """Fail for some requests, whatever they are about."""
    return ("", "failed") if request.seed % 5 == 1 else oblige(request)


@pytest.mark.parametrize("kept", [True, False], ids=["with journal", "without"])
@pytest.mark.parametrize("stage", ASKING)
def test_what_failed_is_asked_again_and_nothing_else(tmp_path, monkeypatch, whole, stage, kept):
    line = Line(tmp_path, monkeypatch)
    for under in ASKING[: ASKING.index(stage)]:
        line.run(under, 30)
    line.engine = RecordingEngine(some_fail)
    line.run(stage, 30)
    before = line.read(stage)
    left = before.filter(was_left(before.schema))
    assert 0 < left["query"].n_unique() < 26
    # It fails once more: the file keeps its bytes, so that nothing after it is made again.
    content = line.file(stage).read_bytes()
    if not kept:
        line.forget()
    line.engine = RecordingEngine(some_fail)
    line.run(stage, 30)
    assert line.engine.asked
    assert line.file(stage).read_bytes() == content
    # It is answered at last.
    if not kept:
        line.forget()
    line.engine = RecordingEngine(oblige)
    line.run(stage, 30)
    after = line.read(stage)
    assert after.filter(was_left(after.schema)).is_empty()
    others = ~pl.col("query").is_in(left["query"].to_list())
    assert after.filter(others).equals(before.filter(others))
    if stage != "questions":  # Other attempts at a question may have come first.
        assert timeless(after).equals(timeless(whole.read(stage)))
        if kept:
            failed = before.filter(pl.col("finish_reason") == "failed").height
            assert len(line.engine.asked) == failed
    # And never again.
    line.engine = RecordingEngine(oblige)
    line.run(stage, 30)
    assert not line.engine.asked


def test_a_failed_query_is_asked_again_though_the_shard_is_extended(tmp_path, monkeypatch, whole):
    line = Line(tmp_path, monkeypatch)
    line.run("questions", 30)
    line.engine = RecordingEngine(some_fail)
    line.run("answers", 20)
    line.engine = RecordingEngine(oblige)
    line.run("answers", 30)
    assert timeless(line.read("answers")).equals(timeless(whole.read("answers")))
    assert line.read("answers")["query"].is_sorted()


def test_many_that_fail_once_more_keep_no_shard_from_its_end(tmp_path, monkeypatch):
    """An engine that gives up for their number, which is an error where they are asked first."""

    class GivesUp(RecordingEngine):
        def complete(self, requests, adapter=None):
            failed = []
            for answer in super().complete(requests, adapter):
                if answer.finish_reason == "failed":
                    failed.append(answer.key)
                else:
                    yield answer
            error = UnansweredError(f"left {len(failed)}")
            error.keys = tuple(failed)
            raise error

    line = Line(tmp_path, monkeypatch)
    line.run("questions", 30)
    line.engine = RecordingEngine(some_fail)
    line.run("answers", 20)
    content = line.file("answers").read_bytes()
    line.engine = GivesUp(some_fail)
    line.run("answers", 20)
    assert line.file("answers").read_bytes() == content
    with pytest.raises(SystemExit, match="left"):
        line.run("answers", 30)


def test_a_failed_self_check_is_a_failed_attempt(tmp_path, monkeypatch):
    line = Line(tmp_path, monkeypatch)
    line.settings["questions"]["check_prompt"] = "Check: {question}"

    def check_fails(request):
        checking = request.messages[-1][1].startswith("Check: ")
        return ("", "failed") if checking else oblige(request)

    line.engine = RecordingEngine(check_fails)
    line.run("questions", 8)
    rows = line.read("questions")
    assert rows["question"].null_count() == 4
    assert set(rows.filter(was_left(rows.schema))["query"]) == {4, 5, 6, 7}
