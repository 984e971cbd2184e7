"""What a person sees of a study: how far it is, what is broken, and why it would run again."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from snakemake_interface_logger_plugins.common import LogEvent

from browser import rendered
from seedbed.analysis.report.captions import CAPTIONS
from seedbed.run.owners import RESULTS_FOLDER, Sign, this_run
from seedbed.run.progress import PLANNING_FOLDER, Progress, duration
from seedbed.run.slurm import SlurmJob
from seedbed.run.terminal import INTERRUPTED, Interrupt

STUDENTS = "adapters/task=*/method=question_rephrase/**/*.safetensors"


def test_a_run_says_how_far_it_is(finished):
    lines = re.findall(r"^(Cells \d+ of 13, .*)$", finished.said, re.MULTILINE)
    assert len(lines) >= 3
    assert "answers 11 of 11" in lines[-1] and "adapters 12 of 12" in lines[-1]
    assert lines[-1].startswith("Cells 13 of 13") and "left" not in lines[-1]
    counts = [int(re.match(r"Cells (\d+)", line)[1]) for line in lines]
    assert counts == sorted(counts)
    assert any(re.search(r"; (about|more than) .* left$", line) for line in lines)
    # Once, and not in Snakemake's words too.
    assert "steps (" not in finished.said


def test_a_finished_study_is_told(finished):
    said = finished.status()
    assert said.startswith("Study micro: finished (the last run ended ")
    assert re.search(r"^  cells +13 of 13$", said, re.MULTILINE)
    found = json.loads(finished.status("--json"))
    assert found["state"] == "finished" and found["run"]["failed"] == []


def test_a_study_that_nobody_started_is_told(fresh):
    said = fresh.status()
    assert said.startswith("Study micro: not started\n")
    assert re.search(r"^  cells +0 of 13$", said, re.MULTILINE)


def test_an_unknown_study_is_an_error(finished):
    script = [sys.executable, "scripts/status.py", "--study", "none"]
    done = subprocess.run(script, cwd=finished.folder, capture_output=True, text=True)
    assert done.returncode != 0 and "none" in done.stderr and "Traceback" not in done.stderr


def test_what_failed_is_named_with_its_log_and_the_cells_that_wait(copied):
    dataset = copied.results("datasets/task=*/method=question_rephrase/**/dataset.parquet")[0]
    cell = dataset.parent.relative_to(copied.folder / "results/micro/datasets")
    for file in copied.results(f"adapters/{cell}/**/*.safetensors"):
        file.unlink()
    for file in copied.results(f"evaluations/{cell}/**/evaluation.json"):
        file.unlink()
    dataset.write_bytes(dataset.read_bytes()[:-9])
    done = copied.snakemake("--retries", "0", "evaluations")
    assert done.returncode != 0
    assert re.search(r"^Cells 12 of 13, .*; 1 failed$", done.stdout, re.MULTILINE)
    said = copied.status()
    assert said.startswith("Study micro: failed")
    assert re.search(r"cells +12 of 13 \(1 wait for what failed\)", said)
    assert re.search(r"^  train_student task=\S*question_rephrase\S*$", said, re.MULTILINE)
    log = re.search(r"^    log: (\S+train_student\S+\.log)$", said, re.MULTILINE)[1]
    assert (copied.folder / log).is_file()
    assert "is broken" in said and "delete it" in said
    # A log has what a model wrote: it does nothing to a terminal.
    (copied.folder / log).write_text("\x1b[2J\x1b]0;owned\x07 last\n\n")
    said = copied.status()
    assert "\x1b" not in said and "\x07" not in said and "last" in said
    dataset.unlink()
    assert copied.snakemake("evaluations").returncode == 0
    assert copied.status().startswith("Study micro: finished")


def interrupted(process):
    """End a run as Ctrl-C does, with the shells of its jobs and what these run."""
    os.killpg(process.pid, signal.SIGINT)
    said = process.communicate(timeout=120)[0]
    assert process.returncode != 0
    return said


def last_words(said):
    """The last line of an interrupted run, but for those of its jobs that end after it."""
    lines = said.rstrip().splitlines()
    return next((line for line in reversed(lines) if line != "ended at Ctrl-C"), "")


def test_a_run_is_told_while_it_goes_on_and_how_it_ended(copied):
    """Ended by Ctrl-C with one line and no failure, and then killed."""
    copied.without(STUDENTS, "evaluations/task=*/method=question_rephrase/**/evaluation.json")

    def started(process):
        end = time.monotonic() + 120
        while True:
            assert process.poll() is None and time.monotonic() < end
            found = json.loads(copied.status("--json"))
            if found["state"] == "running" and found["run"]["running"]:
                return
            time.sleep(0.2)

    with copied.started("evaluations", cold=True) as process:
        started(process)
        said = copied.status()
        assert copied.status(study="demo").startswith("Study demo: not started")
        assert re.match(r"Study micro: running for .* on \S+", said)
        assert re.search(r"^  cells +\d+ of 13 \(\d under way\)$", said, re.MULTILINE)
        assert re.search(r"^  train_student task=\S+, for \d+ s$", said, re.MULTILINE)
        said = interrupted(process)
    assert last_words(said) == INTERRUPTED
    assert "Traceback" not in said and "Error in rule" not in said and "Logfile" not in said
    told = copied.status()
    assert re.match(r"Study micro: stopped \(the last run was interrupted \d+ s ago\)\n", told)
    assert "Failed" not in told and "wait for what failed" not in told
    # What was to be made anew is not counted, though the earlier records are there.
    whole = copied.results("adapters/**/student=micro_student/adapter_model.safetensors")
    (counted,) = re.findall(r"^  adapters +(\d+) of 12$", told, re.MULTILINE)
    # Ctrl-C may end a job between its adapter and its end, one on each core.
    assert len(whole) - 2 <= int(counted) <= len(whole)
    with copied.started("evaluations", cold=True) as process:
        started(process)
    told = copied.status()
    assert re.match(r"Study micro: stopped \(the last run was killed; it was alive", told)


def test_ctrl_c_while_a_run_is_planned_shows_no_traceback(copied):
    with copied.started("--forceall", cold=True) as process:
        for line in process.stdout:
            if line.startswith("Building DAG"):
                break
        said = interrupted(process)
    assert last_words(said) == INTERRUPTED, said
    assert not [*(copied.folder / "results/micro" / PLANNING_FOLDER).glob("*.json")]


def explained(clone, target):
    done = clone.snakemake("explain", target, "--quiet", "all")
    assert done.returncode == 0, done.stdout
    return done.stdout.partition("\n")[2] if done.stdout.startswith("Using") else done.stdout


def test_why_something_would_run_again_is_one_line_for_each_cause(copied):
    assert "Nothing would run" in explained(copied, "all")
    study = "config/studies/micro.yaml"
    copied.edit(study, "lora_alpha: 8", "lora_alpha: 9")
    copied.edit(study, "epochs: 1", "epochs: 2")
    gone = "results/micro/figures/costs.svg"
    (copied.folder / gone).unlink()
    module = "scripts/seedbed/analysis/posterior/discrepancy.py"
    copied.edit(module, "\n_SLOPE = ", "\n_SLOPE = 2 * ")
    (copied.folder / "results/micro/tables/comparisons.csv").write_text("")
    lines = explained(copied, "all").splitlines()
    named = [line.partition(" [")[0] for line in lines]
    assert "- train_student, 12 jobs: lora_alpha was 8.0 and is 9.0" in named
    assert "- train_student, 12 jobs: epochs was 1 and is 2" in named
    assert "- plot_costs, 1 job: its result is gone" in named
    fits = next(line for line in named if line.startswith("- fit_decay"))
    assert fits.startswith("- fit_decay, 1 job: the code of scripts/fit_decay.py changed (")
    assert "seedbed/analysis/posterior/discrepancy.py: _SLOPE)" in fits
    assert lines[-1].startswith("These depend on them: evaluate_student 12")
    # Nothing was made, and nothing is left behind.
    assert not (copied.folder / gone).exists()
    assert not [*(copied.folder / ".snakemake/locks").glob("*")]


def test_a_target_that_does_not_change_is_not_explained_by_others(copied):
    copied.edit("config/studies/micro.yaml", "lora_alpha: 8", "lora_alpha: 9")
    assert "Nothing would run" in explained(copied, "datasets")


def test_without_a_target_explain_asks_for_one(finished):
    done = finished.snakemake("explain", "--quiet", "all")
    assert "Name what to explain" in done.stdout


def test_snakemakes_own_report_opens_in_a_browser_without_a_network(finished, tmp_path):
    page = "results/micro/report/workflow.html"
    done = finished.snakemake("--report", page)
    assert done.returncode == 0, done.stdout
    html = rendered(finished.folder / page, "text=Statistics")
    shown = re.sub(r"<(script|style)\b.*?</\1>|<[^>]+>", " ", html, flags=re.DOTALL)
    assert "Loading" not in shown.partition("Workflow")[2]
    # What the menu has once the page's scripts have run; and the jobs, drawn.
    assert re.search(r"General\s+Workflow\s+Statistics\s+About\s+Results\s+Figures\s+Report", shown)
    assert ("train_student" in html and "<canvas" in html) or "<svg" in html
    assert not re.search(r"""(src|href)=["']?https?://""", html.partition("</head>")[0])
    # Each figure stands there with the title and the caption that it has on the page.
    text = (finished.folder / page).read_text(encoding="utf-8")
    drawn = [path.stem for path in (finished.folder / "results/micro/figures").glob("*.svg")]
    assert drawn and [part for name in drawn for part in CAPTIONS[name] if part not in text] == []


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "1 s"),
        (89, "89 s"),
        (90, "2 min"),
        (89 * 60, "89 min"),
        (2 * 3600, "2 h"),
        (47.99 * 3600, "47 h 59 min"),
        (100 * 3600, "4 d 4 h"),
    ],
)
def test_times_are_told_in_words(seconds, text):
    assert duration(seconds) == text


SQUEUE = """#!/bin/sh
echo '41|RUNNING|{run}|{folder}|None|rule_train_student'
echo '42|PENDING|{run}|{folder}|PartitionTimeLimit|rule_train_student'
echo '43|PENDING|{run}|{folder}|Priority|rule_train_student'
"""


def test_what_waits_in_a_queue_is_told_from_what_runs(copied, tmp_path):
    results = copied.folder / "results/micro"
    squeue = tmp_path / "squeue"
    run = "seedbed_01234567-0123-0123-0123-0123456789ab"
    squeue.write_text(SQUEUE.format(run=run, folder=copied.folder))
    squeue.chmod(0o755)
    noted = json.loads((results / "state/run.json").read_text())
    # All of them were waiting when the run last asked; it did not hear of the last one yet.
    job = {"rule": "train_student", "since": time.time() - 9, "attempt": 1, "reason": ""}
    noted["running"] = [
        job | {"wildcards": {"trained_cell": f"cell={n}"}, "slurm": n, "state": "PENDING"}
        for n in ("41", "42", "43", None)
    ]
    (results / "state/run.json").write_text(json.dumps(noted | {"ended": None, "well": None}))
    planned = Sign(this_run("micro", copied.folder, [], None), results / PLANNING_FOLDER)
    assert copied.status().startswith("Study micro: planned")
    planned.take_back()
    sign = Sign(this_run("micro", copied.folder, [], run), results / RESULTS_FOLDER)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
            said = copied.status()
            found = json.loads(copied.status("--json"))["run"]
            sign.take_back()
            after = copied.status()
    finally:
        sign.take_back()
    assert [job["slurm"] for job in found["running"]] == ["41"]
    assert [job["slurm"] for job in found["queued"]] == ["42", "43", None]
    assert "(1 under way, 3 queued)" in said
    assert re.search(r"^  train_student cell=41, for \d+ s, SLURM job 41$", said, re.MULTILINE)
    assert "SLURM job 42: PartitionTimeLimit: its time is more than the partition allows" in said
    assert "SLURM job 43: Priority\n" in said
    # Its process is gone, its jobs are not.
    assert after.startswith("Study micro: finished") or "stopped" in after.partition("\n")[0]
    assert "SLURM job 42" in after and "cell=None" not in after


class Job(SimpleNamespace):
    __hash__ = object.__hash__


@pytest.fixture
def watched(tmp_path):
    """What follows a run of two jobs that write logs, and a function that tells it events."""
    rule = SimpleNamespace(name="train_student")
    logs = [tmp_path / f"logs/train_student/student={n}.log" for n in range(2)]
    logs[0].parent.mkdir(parents=True)
    jobs = [
        Job(rule=rule, output=[f"o{n}"], log=[str(logs[n])], number=n, wildcards_dict={}, attempt=1)
        for n in range(2)
    ]
    run = SimpleNamespace(
        all=lambda: jobs,
        needed=lambda: jobs,
        number=lambda job: job.number,
        consumers=lambda job: [],
    )
    queue, interrupt = [], Interrupt()
    watch = Progress(
        run,
        tmp_path / "state/run.json",
        {},
        lambda text: None,
        interrupt=interrupt,
        queue=lambda: queue,
    )

    def tell(event, **fields):
        watch.emit(logging.makeLogRecord({"event": event, **fields}))

    def noted():
        return json.loads((tmp_path / "state/run.json").read_text())

    return SimpleNamespace(
        watch=watch, tell=tell, noted=noted, logs=logs, queue=queue, interrupt=interrupt
    )


def test_the_cause_of_a_failure_is_from_the_log_of_that_attempt(watched):
    tell, logs = watched.tell, watched.logs
    for number in range(2):
        logs[number].write_text("what an older run said")
    tell(LogEvent.JOB_STARTED, jobs=[0, 1])
    logs[0].write_text("the first attempt's cause")
    tell(LogEvent.JOB_ERROR, jobid=0, log=[str(logs[0])], rule_msg=None)
    (failed,) = watched.noted()["failed"]
    assert failed["said"] == "the first attempt's cause"
    # Another attempt: its own log, and the former one is no cause any more.
    tell(LogEvent.JOB_STARTED, jobs=[0])
    logs[0].write_text("the second attempt's cause")
    assert Path(failed["logs"][0]).read_text() == "the first attempt's cause"
    tell(LogEvent.JOB_ERROR, jobid=0, log=[str(logs[0])], rule_msg=None)
    # A later run writes the same file.
    logs[0].write_text("what a later run says")
    # It never began on its node, and wrote nothing.
    tell(LogEvent.JOB_ERROR, jobid=1, log=[str(logs[1])], rule_msg="SLURM-job '7' failed: TIMEOUT")
    first, second = watched.noted()["failed"]
    assert first["said"] == "the second attempt's cause"
    assert Path(first["logs"][0]).read_text() == "the second attempt's cause"
    assert (second["said"], second["logs"]) == (None, [])
    assert second["message"] == "SLURM-job '7' failed: TIMEOUT"


def test_what_is_noted_is_refreshed_while_nothing_happens(watched, monkeypatch):
    monkeypatch.setattr("seedbed.run.progress.HEARTBEAT_SECONDS", 0.02)
    watched.tell(LogEvent.JOB_STARTED, jobs=[0, 1])
    watched.watch.submitted(0, "41")
    watched.watch.submitted(1, "42")
    watched.queue.append(SlurmJob("41", "RUNNING", "seedbed_1", reason="", comment="", folder=""))
    watched.queue.append(SlurmJob("42", "PENDING", "seedbed_1", "PartitionTimeLimit", "", ""))
    before = watched.noted()["noted"]
    watched.watch.start()
    end = time.monotonic() + 20
    while watched.noted()["noted"] <= before + 0.1 and time.monotonic() < end:
        time.sleep(0.01)
    jobs = watched.noted()["running"]
    watched.watch.end(True)
    assert [(job["slurm"], job["state"], job["reason"]) for job in jobs] == [
        ("41", "RUNNING", ""),
        ("42", "PENDING", "PartitionTimeLimit"),
    ]
    assert watched.noted()["ended"] and not watched.noted()["running"]


def test_a_job_that_ctrl_c_ends_has_not_failed(watched):
    tell, logs = watched.tell, watched.logs
    tell(LogEvent.JOB_STARTED, jobs=[0, 1])
    # The one died before this process heard of it, the other after.
    tell(LogEvent.JOB_ERROR, jobid=0, log=[str(logs[0])], rule_msg=None)
    watched.interrupt.at = time.monotonic()
    tell(LogEvent.JOB_ERROR, jobid=1, log=[str(logs[1])], rule_msg=None)
    watched.watch.end(False)
    assert watched.noted()["failed"] == [] and watched.noted()["interrupted"]
    assert sorted(watched.watch.left()) == ["o0", "o1"]


def test_the_time_left_is_that_of_the_pace_so_far(tmp_path):
    """By hand: of 10 jobs of 30 s each, two at a time, 4 are done after a minute; 6 take 90 s."""
    now = [0.0]
    rule = SimpleNamespace(name="train_student")
    jobs = [
        SimpleNamespace(rule=rule, output=["o"], number=n, wildcards_dict={}) for n in range(10)
    ]
    run = SimpleNamespace(all=lambda: jobs, needed=lambda: jobs, number=lambda job: job.number)
    said = []
    file = tmp_path / "run.json"
    watch = Progress(run, file, {}, said.append, clock=lambda: now[0])

    def tell(event, **fields):
        record = logging.makeLogRecord({"event": event, **fields})
        watch.emit(record)

    for number in range(0, 4, 2):
        tell(LogEvent.JOB_STARTED, jobs=[number, number + 1])
        now[0] += 30
        for one in (number, number + 1):
            tell(LogEvent.JOB_FINISHED, job_id=one)
    assert watch.line() == "Adapters 4 of 10; about 2 min left"
    assert said[-1].startswith("Adapters 3 of 10") or said[-1] == watch.line()
    # A job that is not of this run, and an event without what it should have, end nothing.
    tell(LogEvent.JOB_FINISHED, job_id=99)
    tell(LogEvent.JOB_ERROR, jobid=99)
    watch.end(False)
    assert json.loads(file.read_text())["stages"] == {"adapters": [4, 10]}
