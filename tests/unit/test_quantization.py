"""Students on quantized weights: trained and asked on the same ones, and refused otherwise."""

import math
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import polars as pl
import pytest
import study_folder as sf
import torch
from safetensors.torch import load_file

from practice import PROMPTS, silent
from seedbed.engines import EngineJob, Request, load_engine
from seedbed.study.cells import grid
from seedbed.study.job_settings import JobSettings
from seedbed.study.loading import StudyError, load_study
from seedbed.tasks.worlds import load_world
from seedbed.training.pretraining import pretrain
from seedbed.training.settings import Pretrain, StudentTraining
from seedbed.training.students import train_student

STUDENT = "models/student.yaml"
SETTINGS = StudentTraining(
    epochs=12, learning_rate=1e-2, batch_size=8, lora_rank=8, lora_alpha=16, max_length=256
)
FORMS = ("nf4", "int8")
APART = Path(sys.prefix) / "bitsandbytes"
needs_bitsandbytes = pytest.mark.skipif(
    find_spec("bitsandbytes") is None, reason="bitsandbytes is not installed"
)


@pytest.mark.slow
@pytest.mark.skipif(
    find_spec("bitsandbytes") is not None or not APART.is_dir(),
    reason="bitsandbytes is installed, or nowhere: `make models` adds it",
)
def test_the_tests_below_pass_where_bitsandbytes_is_installed():
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-k", "learns", __file__],
        # Options of the run around it, such as where temporary files go, are not for this one.
        env=os.environ | {"PYTHONPATH": str(APART), "PYTEST_ADDOPTS": ""},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model whose layers have the 64 channels that 4 bits are scaled by."""
    folder = tmp_path_factory.mktemp("model")
    sizes = {"hidden_size": 64, "layers": 1, "heads": 1, "intermediate_size": 128}
    settings = Pretrain(role="teacher", steps=40, batch_size=16, learning_rate=1e-2, **sizes)
    pretrain(settings, load_world("mini_math"), PROMPTS, folder, {"world": "mini_math"}, silent)
    return folder / "final"


@needs_bitsandbytes
@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_a_quantized_student_learns_and_is_asked_on_the_same_weights(model, tmp_path, form):
    asked = "How many apples?"
    chat = [{"role": "user", "content": asked}, {"role": "assistant", "content": "#### 3"}]
    rows = tmp_path / "rows.parquet"
    pl.DataFrame({"messages": [chat] * 8}).write_parquet(rows)
    settings = SETTINGS.model_copy(update={"quantization": form})
    counts = train_student(model, rows, tmp_path / "a", settings, lambda *_: None, silent)
    assert math.isfinite(counts.loss)
    adapter = load_file(tmp_path / "a/adapter_model.safetensors")
    assert {part.dtype for part in adapter.values()} == {torch.float32}
    start = train_student(
        *(model, rows, tmp_path / "b", settings.model_copy(update={"epochs": 1})),
        *(lambda *_: None, silent),
    )
    assert counts.loss < start.loss / 2
    # The loss before the first step is that of these weights, and of no others.
    whole = SETTINGS.model_copy(update={"epochs": 1})
    plain = train_student(model, rows, tmp_path / "c", whole, lambda *_: None, silent)
    assert plain.loss != start.loss
    assert plain.loss == pytest.approx(start.loss, rel=0.3)
    engine = load_engine(model, EngineJob.of("transformers", quantization=form))
    assert engine._base.is_quantized
    request = Request("0", (("user", asked),), 8)
    (before,) = engine.complete([request])
    (after,) = engine.complete([request], tmp_path / "a")
    assert after.text == "#### 3" != before.text


@pytest.mark.skipif(find_spec("bitsandbytes") is not None, reason="bitsandbytes is installed")
def test_without_bitsandbytes_the_job_says_what_is_missing(tiny_model):
    with pytest.raises(ModuleNotFoundError, match=r"nf4 needs bitsandbytes.*envs/gpu\.lock"):
        load_engine(tiny_model, EngineJob.of("transformers", quantization="nf4"))


def study(folder, files, **engines):
    return load_study("trial", sf.write(folder, files), **engines)


def test_training_and_evaluation_depend_on_it_and_nothing_else_is_stale(tmp_path):
    files = sf.bend(sf.FILES, STUDENT, ("engine",), {"kind": "transformers", "quantization": "nf4"})
    found = []
    for name, some in (("plain", sf.FILES), ("quantized", files)):
        trial = study(tmp_path / name, some)
        cells = grid(trial)
        key = next(cell.key for cell in cells.cells if not cell.untrained)
        settings = JobSettings(trial, cells)
        found.append((settings.training(key), settings.item_answering(key)))
    (training, asking), (quantized, answering) = found
    assert "quantization" not in training and "packing" not in training
    assert quantized == training | {"quantization": "nf4"}
    assert answering == asking | {"manner": {"quantization": "nf4"}}


@pytest.mark.parametrize(
    ("engine", "words"),
    [
        ({"kind": "vllm", "quantization": "nf4"}, "has no effect with kind: vllm"),
        (
            {"kind": "transformers", "quantization": "int4"},
            "'int4' is not valid; did you mean 'int8'",
        ),
    ],
)
def test_what_cannot_be_quantized_so_is_refused(tmp_path, engine, words):
    with pytest.raises(StudyError, match=words):
        study(tmp_path, sf.bend(sf.FILES, STUDENT, ("engine",), engine))


def test_another_engine_here_must_have_the_same_weights(tmp_path):
    from seedbed.engines.settings import TransformersSettings, VLLMSettings

    files = sf.bend(sf.FILES, STUDENT, ("engine",), {"kind": "transformers", "quantization": "nf4"})
    with pytest.raises(StudyError, match=r"quantization: must be nf4, as in the file of 'student'"):
        study(tmp_path / "a", files, engines={"student": VLLMSettings()})
    with pytest.raises(StudyError, match=r"quantization: must be null"):
        study(
            tmp_path / "b",
            sf.FILES,
            engines={"student": TransformersSettings(quantization="int8")},
        )
    same = TransformersSettings(quantization="nf4", batch_size=4)
    study(tmp_path / "c", files, engines={"student": same})
