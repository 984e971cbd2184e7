"""What tests of several modules stand on: one tiny model, trained for real, once a session."""

import os

# Before any numerical library starts its threads: tests share their machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("POLARS_MAX_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

from dataclasses import asdict

import pytest

from seedbed.tasks.worlds import load_world
from seedbed.training.pretraining import PretrainSettings, pretrain

PROMPTS = {
    "answer": "{question}",
    "question_rephrase": "Rephrase: {question}",
    "new_question": "New: {question}",
    "self_check": "Check: {question}",
}
# One head, as on a CPU vLLM has none that are narrower.
SIZES = {"hidden_size": 32, "layers": 1, "heads": 1, "intermediate_size": 64}


def silent(text):
    """Report no progress."""


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory):
    """A folder with `final` and `step=10`: a teacher of word problems that babbles of them."""
    settings = PretrainSettings(
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
