"""What tests of several modules stand on, made once: a tiny model, a finished `micro` study."""

import os

# Before any numerical library starts its threads: tests share their machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("POLARS_MAX_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

from dataclasses import asdict, replace

import pytest

from practice import PROMPTS, SIZES, silent
from project import Clone, copy_project
from seedbed.tasks.worlds import load_world
from seedbed.training.pretraining import pretrain
from seedbed.training.settings import Pretrain


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory):
    """A folder with `final` and `step=10`: a teacher of word problems that babbles of them."""
    settings = Pretrain(
        role="teacher", steps=160, batch_size=16, learning_rate=1e-2, checkpoints=(10,), **SIZES
    )
    output = tmp_path_factory.mktemp("models") / "tiny"
    pretrain(
        settings,
        load_world("mini_math"),
        PROMPTS,
        output,
        {"world": "mini_math", "settings": asdict(settings)},
        silent,
    )
    return output


@pytest.fixture(scope="session")
def tiny_model(tiny_models):
    """The model's folder, in the Transformers layout."""
    return tiny_models / "final"


@pytest.fixture(scope="session")
def questions():
    """Questions of the world, short and long ones."""
    return [item.question for item in load_world("mini_math").items("test", 80, seed=5)]


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A copy of the project without results."""
    return copy_project(tmp_path_factory.mktemp("fresh"))


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """The `micro` study, run to the end in a copy of the project."""
    clone = copy_project(tmp_path_factory.mktemp("project"))
    done = clone.snakemake()
    assert done.returncode == 0, done.stdout
    return replace(clone, said=done.stdout)
