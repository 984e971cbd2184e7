"""A part of the `micro` study on a real SLURM, with many faults during the run."""

from __future__ import annotations

import subprocess
import time
from collections import defaultdict
from contextlib import suppress

import pytest
from jobs import processes, rule, stopped
from same import assert_same

from cluster import ACTIVE, wait_until

RULES = {"write_questions", "answer_questions", "sample_answers", "train_student"}
RULES |= {"evaluate_student", "pretrain_model"}
KEYS = "task=mini_math/method={}/augmenter={}/teacher=micro_teacher/seeds=16/replicate=1"
CELLS = [
    ("answer_augmentation", "none", "none", 16),
    ("answer_augmentation", "none", "none", 128),
    ("new_question", "micro_weak", "none", 128),
    ("new_question", "micro_teacher", "verified", 128),
]
TARGETS = [
    f"results/micro/evaluations/{KEYS.format(method, augmenter)}/filter={choice}/budget={budget}"
    "/student=micro_student/evaluation.json"
    for method, augmenter, choice, budget in CELLS
]
# Scripts of jobs that are killed, stopped or restarted, or whose memory counts.
COLD = ("pretrain_model", "write_questions", "answer_questions", "sample_answers")
# The first try has too little memory for Python and torch; the second and third have enough.
LITTLE_MEMORY = ["--set-resources", "sample_answers:mem_mb=350 + (attempt - 1) * 4000"]


class Storm:
    """Faults, each injected once, into the first job in which it can occur."""

    def __init__(self, run):
        self.run = run
        self.slurm = run.slurm
        self.left = {
            "pretrain_model": [self.cancel],
            "write_questions": [self.kill],
            "answer_questions": [self.preempt, self.fail_node],
            "train_student": [self.restart_controller],
            # In the partition without GPUs, which the other faults do not affect.
            "cpu": [self.stop],
        }
        self.met = {}
        self.restarts = {}
        self.idle_since = None

    def blow(self):
        """Inject one fault, if there is a job for it and the last fault is over."""
        jobs = self.run.jobs()
        self.free_lost_gpus(jobs)
        for job in jobs:
            # A requeued job would wait for two minutes.
            if (job["JobState"], job["Reason"]) == ("PENDING", "BeginTime"):
                self.slurm.said("scontrol", "update", f"JobId={job['JobId']}", "StartTime=now")
        quiet = not any(
            self.met.get(job["JobId"], "stop") != "stop" and job["JobState"] in ACTIVE
            for job in jobs
        )
        for job in self.run.active():
            place = rule(job) if job["Partition"] == "gpu" else "cpu"
            faults = self.left.get(place)
            if job["JobId"] in self.met or not faults:
                continue
            if not (quiet or place == "cpu"):
                # There is one such job, so it is stopped until its turn comes.
                if faults == [self.kill]:
                    stopped([job])
                continue
            if processes(job):
                fault = faults.pop(0)
                self.met[job["JobId"]] = fault.__name__
                # A fault of the node affects all its jobs, and may have affected this one before.
                self.restarts[fault.__name__] = int(job["Restarts"])
                fault(job)
                return

    def free_lost_gpus(self, jobs):
        """Free GPUs that SLURM keeps allocated to no job.

        SLURM 22.05 was seen to keep the GPUs of jobs that end in the second of a controller's
        restart, before the nodes have answered it: forever, or until it is told to check again.
        """
        states = {job["JobState"] for job in jobs}
        if "PENDING" not in states or states & (ACTIVE - {"PENDING"}):
            self.idle_since = None
        elif self.idle_since is None:
            self.idle_since = time.monotonic()
        elif time.monotonic() - self.idle_since > 15:
            self.slurm.said("scontrol", "reconfigure")
            self.idle_since = None

    def cancel(self, job):
        self.slurm.said("scancel", job["JobId"])

    def kill(self, job):
        for process in processes(job):
            with suppress(ProcessLookupError):
                subprocess.run(["kill", "-9", str(process)])

    def stop(self, job):
        """Let a job hang, with a time limit of a minute."""
        self.slurm.said("scontrol", "update", f"JobId={job['JobId']}", "TimeLimit=1")
        for process in processes(job):
            subprocess.run(["kill", "-STOP", str(process)])

    def preempt(self, job):
        """Let a job of a partition with higher priority take the node, or else requeue the job."""
        options = ["--exclusive", "--time=1", "--output=/dev/null", "--wrap=sleep 2"]
        urgent = self.slurm.said("sbatch", "--parsable", "--partition=urgent", *options).strip()
        with suppress(TimeoutError):
            wait_until(lambda: self.restarted(job), "preemption", 15)
            return
        # SLURM does not schedule at once when many jobs wait.
        self.slurm.said("scancel", urgent)
        self.slurm.said("scontrol", "requeue", job["JobId"])

    def restarted(self, job):
        return any(
            one["JobId"] == job["JobId"] and one["Restarts"] != "0" for one in self.run.jobs()
        )

    def fail_node(self, job):
        self.slurm.said("scontrol", "update", "NodeName=gpu1", "State=DOWN", "Reason=test")
        time.sleep(3)
        # Unless it has come back by itself.
        with suppress(subprocess.CalledProcessError):
            self.slurm.said("scontrol", "update", "NodeName=gpu1", "State=RESUME")

    def restart_controller(self, job):
        self.slurm.stop_controller()
        time.sleep(2)
        self.slurm.start_controller()


@pytest.fixture(scope="module")
def seen():
    """Samples of the running jobs: number, node and GPU of each."""
    return []


@pytest.fixture(scope="module")
def storm(request):
    """Filled by the first test of this module."""
    return {}


def test_the_study_ends_well_whatever_happens_to_its_jobs(
    fresh, finished, start, slurm, seen, storm
):
    run = start(fresh, *TARGETS, *LITTLE_MEMORY, warm=True, cold=COLD)
    weather = Storm(run)
    while run.process.poll() is None:
        weather.blow()
        seen.append([(j["JobId"], j["NodeList"], j.get("GRES", "")) for j in run.active()])
        time.sleep(0.5)
    assert run.process.returncode == 0, run.said()
    assert not any(weather.left.values())
    jobs = {job["JobId"]: job for job in run.jobs()}
    storm |= {"jobs": jobs, "met": weather.met}
    ends = {fault: jobs[number]["JobState"] for number, fault in weather.met.items()}
    restarts = {
        fault: int(jobs[number]["Restarts"]) - weather.restarts[fault]
        for number, fault in weather.met.items()
    }
    assert ends["cancel"] == "CANCELLED"
    assert ends["kill"] == "FAILED"
    assert ends["stop"] == "TIMEOUT"
    assert (ends["preempt"], restarts["preempt"]) == ("COMPLETED", 1)
    assert (ends["fail_node"], restarts["fail_node"]) == ("COMPLETED", 1)
    assert (ends["restart_controller"], restarts["restart_controller"]) == ("COMPLETED", 0)
    assert_same(fresh, finished, {"adapters": 4, "evaluations": 4})
    assert fresh.plan(*TARGETS) == {}


def test_memory_grows_with_the_attempt(storm):
    votes = [job for job in storm["jobs"].values() if rule(job) == "sample_answers"]
    memory = defaultdict(list)
    for job in votes:
        memory[job["Comment"]].append((job["JobState"], job["MinMemoryNode"]))
    for tries in memory.values():
        states, asked = zip(*tries, strict=True)
        # The storm may make it fail once more.
        assert asked == ("350M", "4350M", "8350M")[: len(asked)] and len(asked) >= 2
        assert states == (*["FAILED"] * (len(states) - 1), "COMPLETED")


def test_jobs_with_a_gpu_are_in_its_partition_and_the_others_are_not(storm):
    places = defaultdict(set)
    for job in storm["jobs"].values():
        assert rule(job) in RULES
        small = rule(job) == "write_questions" and "micro_weak" in job["Comment"]
        gpus = job.get("TresPerJob", "")
        places[small].add((job["Partition"], job["NodeList"], gpus))
    assert places == {False: {("gpu", "gpu1", "gres:gpu:h200:1")}, True: {("cpu", "cpu1", "")}}


def test_no_two_jobs_held_the_same_gpu(seen):
    held = [[gpu for _, node, gpu in sample if node == "gpu1"] for sample in seen]
    assert any(len(gpus) == 2 for gpus in held)
    for gpus in held:
        assert all("IDX:" in gpu for gpu in gpus)
        # SLURM 22.05 can forget the number of a GPU when its controller restarts: "0(IDX:)".
        numbered = [gpu for gpu in gpus if "(IDX:)" not in gpu]
        assert len(set(numbered)) == len(numbered)


def test_nothing_but_jobs_with_models_went_to_the_cluster(storm):
    assert {rule(job) for job in storm["jobs"].values()} == RULES
