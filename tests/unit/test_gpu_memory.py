"""What a student takes on a GPU by its size and its bits, and what is refused before any job."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import study_folder as sf

from seedbed.run.reading import read_run
from seedbed.study import sizes
from seedbed.study.cells import grid
from seedbed.study.estimate import hours_of_tokens
from seedbed.study.loading import StudyError, load_study
from seedbed.study.memory import Shape, loaded_gigabytes, training_memory
from seedbed.study.resources import JobResources, gpus
from seedbed.study.sizes import Size
from seedbed.study.targets import Targets
from seedbed.training.settings import Trainer

LLAMA_2_7B = Shape(4096, 11_008, 32, 32, 32, 32_000, 128)
SIZE_7B = Size(6.74, 13.48)
STUDENT = "models/student.yaml"
CELL = (
    "task=sums/method=new_question/augmenter=teacher/teacher=teacher/seeds=20/replicate=1"
    "/filter=none/budget=20/student=student"
)


def study(folder, billions, gpu_gb=80.0, **engine):
    """Return a study whose student has so many billions of parameters."""
    model = {"title": "S", "hub": {"id": "owner/a", "revision": None}, "size": billions}
    files = sf.bend(sf.FILES, STUDENT, (), model | {"engine": {"gpus": 1} | engine})
    return load_study("trial", sf.write(folder, files), gpu_gb=gpu_gb)


def refused(*args, **engine):
    found = study(*args, **engine)
    return JobResources(Targets(found, grid(found))).impossible(None)


def test_training_takes_weights_by_their_bits_and_an_adapter_in_32():
    plain, eight, four = (
        training_memory(SIZE_7B, LLAMA_2_7B, form, 64, 2_048) for form in (None, "int8", "nf4")
    )
    assert LLAMA_2_7B.adapter_parameters(64) == 159_907_840  # As PEFT counts.
    assert {one.adapter for one in (plain, eight, four)} == {159_907_840 * 16 / 1e9}
    assert plain.weights == 13.48 and not plain.buffers
    # 5% of its parameters are outside of linear layers, and up to 15% are assumed to be.
    assert 6.9 < eight.weights < 7.9
    assert 4.1 < four.weights < 5.3
    assert eight.buffers == four.buffers == pytest.approx(2 * 4096 * 11_008 / 1e9)
    assert str(four).endswith(f"{four.gigabytes:.1f} GB")
    # In less than 80 GB: what is planned for 128 rows at once is cut to fit.
    assert plain.gigabytes < 24 and four.gigabytes < 16


def test_weights_that_have_few_bits_already_grow_no_larger():
    assert loaded_gigabytes(Size(70, 35), "int8") == 35


def test_a_model_without_a_folder_has_the_shape_of_a_llama_of_its_size():
    shape = Shape.of_size(6.74)
    assert (shape.hidden_size, shape.num_hidden_layers) == (4096, 32)
    assert shape.adapter_parameters(64) == pytest.approx(159_907_840, rel=0.15)


@pytest.mark.parametrize("inside", ["", "text_config"])
def test_a_folder_states_its_shape(tmp_path, inside):
    values = {
        "hidden_size": 64, "num_attention_heads": 4, "num_hidden_layers": 2, "vocab_size": 100
    }  # fmt: skip
    file = tmp_path / "config.json"
    file.write_text(json.dumps({inside: values} if inside else values))
    assert Shape.of_folder(tmp_path) == Shape(64, 256, 2, 4, 4, 100, 16)
    file.write_text(json.dumps({"hidden_size": "wide"}))
    assert Shape.of_folder(tmp_path) is None


def test_a_student_too_large_for_a_gpu_is_refused_with_the_sum_and_what_to_write(tmp_path):
    said = refused(tmp_path / "a", 32)
    assert said is None
    said = refused(tmp_path / "b", 70)
    assert "'student' is too large for one GPU of 80 GB" in said
    assert "140.0 GB of weights and 1.0 of CUDA's own" in said
    assert "set engine: {kind: transformers, quantization: int8} in models/student.yaml" in said
    said = refused(tmp_path / "c", 405)
    assert "In 4 bits it still takes 23" in said and "GB: take a smaller model" in said
    # In 8 bits it could be asked, and not trained.
    said = refused(tmp_path / "f", 70, 74.0)
    assert "In 4 bits it takes 4" in said and "quantization: nf4}" in said
    # Its weights fit, and training them does not.
    said = refused(tmp_path / "d", 8, 17.0)
    assert "'student' cannot be trained on one GPU of 17 GB: 16.0 GB of weights" in said
    assert "with training.lora_rank 4 and training.max_length 64" in said
    assert "In 8 bits it takes 10." in said and "gpu_gb in config.yaml" in said
    assert refused(tmp_path / "e", 8, 17.0, quantization="int8") is None


def test_a_student_divided_over_gpus_takes_part_of_its_weights_on_each(tmp_path):
    size = Size(70.6, 141.2)
    one, four = (training_memory(size, None, None, 64, 2_048, count) for count in (1, 4))
    assert four.weights == one.weights / 4
    assert four.buffers == pytest.approx(2 * (2.1 + 2 * 68.5 / 71))
    assert (four.adapter, four.row) == (one.adapter, one.row)
    found = study(tmp_path / "a", 70, kind="vllm", gpus=4)
    divided = divide(found, 4)
    assert divided.impossible(4) is None
    more = divide(found, 8)
    assert "'student' is trained on 8 GPUs (trainer.fsdp_size), and there" in more.impossible(4)
    at = SimpleNamespace(trained_cell=CELL)
    asked = divided.training()
    single = divide(study(tmp_path / "b", 70, kind="vllm", gpus=4), 1).training()
    assert (asked["gpu"](at), single["gpu"](at)) == (4, 1)
    assert asked["mem_mb"](at, 1) - single["mem_mb"](at, 1) == 3 * 4_000
    assert asked["runtime"](at, 1) <= single["runtime"](at, 1)
    found = refused(tmp_path / "c", 70, kind="vllm", gpus=4)
    assert "Or divide it over GPUs for training, by trainer.fsdp_size" in found


def divide(found, count):
    found = replace(found, trainers={"student": Trainer(fsdp_size=count)})
    return JobResources(Targets(found, grid(found)))


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ({"engine": {"quantization": "nf4"}}, "quantized weights are not divided"),
        ({"engine": {"gpus": 0}}, r"without a GPU \(engine.gpus: 0\)"),
    ],
)
def test_what_cannot_be_divided_is_refused_with_the_reason(tmp_path, model, said):
    more = {"title": "S", "hub": {"id": "owner/a-7b", "revision": None}}
    files = sf.bend(sf.FILES, STUDENT, (), more | model | {"trainer": {"fsdp_size": 2}})
    with pytest.raises(StudyError, match=rf"trainer\.fsdp_size: 2 cannot work: {said}"):
        load_study("trial", sf.write(tmp_path, files))


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"attn_logit_softcapping": 50.0}, "attention has softcaps"),
        ({"text_config": {"attn_logit_softcapping": 50.0}}, "attention has softcaps"),
        ({"model_type": "gpt_oss"}, "attention has sinks"),
        ({"layer_types": ["conv", "full_attention"]}, "layers carry a state"),
        ({"model_type": "falcon_h1"}, "layers carry a state"),
    ],
)
def test_models_that_need_padding_are_refused_without_it_before_any_job(tmp_path, config, reason):
    folder = tmp_path / "student"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    model = {"title": "S", "path": str(folder), "trainer": {"padding_free": True}}
    files = sf.bend(sf.FILES, STUDENT, (), model)
    said = rf"trainer\.padding_free: true cannot work: its {reason}.*; leave it out"
    with pytest.raises(StudyError, match=said):
        load_study("trial", sf.write(tmp_path, files))
    (folder / "config.json").write_text(json.dumps({"layer_types": ["sliding_attention"]}))
    assert load_study("trial", sf.write(tmp_path, files)).trainer("student").padding_free


@pytest.mark.parametrize(
    ("config", "engine", "said"),
    [
        (
            {"quantization_config": {"quant_method": "awq", "bits": 4}},
            {"quantization": "int8"},
            r"engine\.quantization: int8 cannot work: its weights are quantized already",
        ),
        (
            {"hidden_size": 64, "intermediate_size": 100},
            {"quantization": "nf4", "gpus": 0},
            r"engine\.quantization: nf4 cannot work: .* multiple of 64 channels",
        ),
        (
            {"model_type": "mixtral", "num_local_experts": 8},
            {"kind": "vllm", "gpus": 0},
            r"engine\.kind: vllm cannot run 'student' on a CPU .*Triton.*; transformers can",
        ),
        (
            {"model_type": "qwen3_next", "layer_types": ["linear_attention", "full_attention"]},
            {"kind": "vllm", "gpus": 0},
            r"engine\.kind: vllm cannot run 'student' on a CPU .*chunked prefill",
        ),
    ],
)
def test_what_an_engine_cannot_run_is_refused_before_any_job(tmp_path, config, engine, said):
    folder = tmp_path / "student"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    model = {"title": "S", "path": str(folder), "engine": engine}
    files = sf.bend(sf.FILES, STUDENT, (), model)
    with pytest.raises(StudyError, match=said):
        load_study("trial", sf.write(tmp_path, files))
    # Of another model, nothing is known against it.
    (folder / "config.json").write_text(json.dumps({"hidden_size": 64}))
    load_study("trial", sf.write(tmp_path, files))


@pytest.mark.parametrize("method", ["fp8", "awq"])
def test_a_student_whose_weights_cannot_be_trained_is_refused_before_any_job(tmp_path, method):
    folder = tmp_path / "student"
    folder.mkdir()
    (folder / "config.json").write_text(
        json.dumps({"quantization_config": {"quant_method": method, "bits": 4}})
    )
    model = {"title": "S", "path": str(folder), "size": 7, "engine": {"gpus": 1}}
    found = load_study("trial", sf.write(tmp_path, sf.bend(sf.FILES, STUDENT, (), model)))
    said = JobResources(Targets(found, grid(found))).impossible(None)
    assert said.startswith(
        f"student 'student' cannot be trained: its weights are quantized by {method}"
    )
    assert "in 16 bits in models/student.yaml" in said


def test_weights_in_mxfp4_take_16_bits_where_transformers_loads_them(tmp_path, monkeypatch):
    said = SimpleNamespace(
        config={"model_type": "gpt_oss", "quantization_config": {"quant_method": "mxfp4"}},
        safetensors=SimpleNamespace(parameters={"U8": 60_000_000_000}),
    )
    monkeypatch.setattr(
        "huggingface_hub.HfApi", lambda: SimpleNamespace(model_info=lambda *_, **__: said)
    )
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setenv(sizes.ANSWERS, "")
    model = {"title": "S", "hub": {"id": "owner/gpt-oss-120b", "revision": None}}
    files = sf.bend(sf.FILES, STUDENT, (), model | {"engine": {"kind": "vllm"}})
    found = load_study("trial", sf.write(tmp_path, files))
    # vLLM keeps them as they are, on one GPU's 80 GB and another's; training does not.
    assert gpus(found, "student") == 2
    refusal = JobResources(Targets(found, grid(found))).impossible(None)
    assert "cannot be trained on one GPU of 80 GB: 240.0 GB of weights" in refusal


def test_what_the_hub_says_of_a_model_is_held_against_its_settings(tmp_path, monkeypatch):
    said = SimpleNamespace(config={"model_type": "gpt_oss"}, safetensors=None)
    monkeypatch.setattr(
        "huggingface_hub.HfApi", lambda: SimpleNamespace(model_info=lambda *_, **__: said)
    )
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setenv(sizes.ANSWERS, "")
    hub = {"id": "owner/a-7b", "revision": None}
    model = {"title": "S", "hub": hub, "trainer": {"padding_free": True}}
    files = sf.bend(sf.FILES, STUDENT, (), model)
    with pytest.raises(StudyError, match=r"trainer\.padding_free.*attention has sinks"):
        load_study("trial", sf.write(tmp_path, files))


def test_a_model_trained_from_scratch_is_not_divided(tmp_path):
    trainers = {"student": Trainer(fsdp_size=2)}
    with pytest.raises(StudyError, match="trains from scratch is small"):
        load_study("trial", sf.write(tmp_path, sf.FILES), trainers=trainers)


def test_what_runs_elsewhere_or_on_a_cpu_is_not_refused(tmp_path):
    assert refused(tmp_path / "a", 405, gpus=0) is None
    spread = {"kind": "vllm", "gpus": 8}
    # Many GPUs evaluate it, and one has to train it.
    assert "cannot be trained on one GPU" in refused(tmp_path / "b", 70, **spread)


def test_gpus_follow_their_memory(tmp_path):
    for gpu_gb, count in ((141.0, 2), (80.0, 4), (24.0, 16)):
        found = study(tmp_path / str(gpu_gb), 70, gpu_gb, kind="vllm", gpus=None)
        assert gpus(found, "student") == count


def test_the_configuration_says_how_large_a_gpu_is(tmp_path):
    run, flow = read_run({"study": "trial", "gpu_gb": 24}, sf.write(tmp_path, sf.FILES), tmp_path)
    assert run.gpu_gb == flow.study.gpu_gb == 24


def test_training_hours_follow_size_and_bits(tmp_path):
    def hours(name, billions, **engine):
        return hours_of_tokens(study(tmp_path / name, billions, **engine), "student", 1e9, True)

    small, eight = hours("a", 1), hours("b", 8.03)
    assert small == eight == pytest.approx(1e9 / 4_699 / 3600)
    assert hours("c", 80.3) == pytest.approx(10 * eight)
    assert hours("d", 8.03, quantization="nf4") == pytest.approx(eight * 3_083 / 2_413)


@pytest.mark.slow
def test_the_paper_s_study_fits_into_its_gpus():
    found = load_study("paper", Path(__file__).parents[2] / "config")
    assert JobResources(Targets(found, grid(found))).impossible(None) is None
