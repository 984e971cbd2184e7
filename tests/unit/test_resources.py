import json
from types import SimpleNamespace

import pytest
import study_folder as sf

from seedbed.study import sizes
from seedbed.study.cells import grid
from seedbed.study.estimate import size
from seedbed.study.loading import StudyError, load_study
from seedbed.study.resources import JobResources, gpus, limits
from seedbed.study.sizes import size_of_folder, size_of_name
from seedbed.study.targets import Targets

TEACHER = "models/teacher.yaml"
STREAM = "task=sums/method=new_question/augmenter=teacher/teacher=teacher/seeds=20/replicate=1"
CELL = f"{STREAM}/filter=none/budget=%d/student=student"


def hub(name, **engine):
    """Return a study's files, with a teacher from the hub."""
    model = {"title": "Teacher", "hub": {"id": f"owner/{name}", "revision": None}}
    return sf.FILES | {TEACHER: model | ({"engine": engine} if engine else {})}


def flow(folder, files=sf.FILES):
    study = load_study("trial", sf.write(folder, files))
    return Targets(study, grid(study))


@pytest.mark.parametrize(
    ("name", "engine", "count"),
    [
        ("Llama-2-7b-chat-hf", {"kind": "vllm"}, 1),
        ("Qwen-32B-Instruct", {"kind": "vllm"}, 2),
        ("Llama-3.1-70B-Instruct", {"kind": "vllm"}, 4),
        ("Llama-3.1-405B", {"kind": "vllm"}, 32),
        ("Llama-3.1-70B-Instruct", {"kind": "vllm", "gpus": 8}, 8),
        ("Llama-3.1-70B-Instruct", {"kind": "transformers"}, 1),
        ("tiny-0.5b", {"kind": "vllm"}, 1),
        ("tiny-0.5b", {"kind": "vllm", "data_parallel_size": 4}, 4),
        ("Llama-3.1-70B-Instruct", {"kind": "vllm", "data_parallel_size": 2}, 8),
        ("Llama-3.1-70B-Instruct", {"kind": "vllm", "data_parallel_size": 2, "gpus": 4}, 4),
        ("a-name-without-a-size", {"kind": "vllm"}, 1),
        ("Llama-2-7b-chat-hf", {"kind": "openai", "base_url": "http://localhost/v1"}, 0),
    ],
)
def test_gpus_are_by_the_size_of_the_model(tmp_path, name, engine, count):
    assert gpus(flow(tmp_path, hub(name, **engine)).study, "teacher") == count


def test_a_model_that_the_workflow_trains_resources_a_gpu_only_if_told_so(tmp_path):
    assert gpus(flow(tmp_path / "a").study, "teacher") == 0
    told = sf.bend(sf.FILES, TEACHER, ("engine",), {"gpus": 1})
    assert gpus(flow(tmp_path / "b", told).study, "teacher") == 1


def test_transformers_takes_no_more_than_one_gpu(tmp_path):
    with pytest.raises(StudyError, match=r"engine\.gpus.*0 or 1"):
        flow(tmp_path, sf.bend(sf.FILES, TEACHER, ("engine",), {"gpus": 2}))


def of(resources, **wildcards):
    """Return what a rule's resources come to at the first attempt."""
    at = SimpleNamespace(**wildcards)
    return {
        name: need(at, 1) if name in ("mem_mb", "runtime") else need(at)
        for name, need in resources.items()
    }


def test_the_kind_of_gpu_goes_with_gpus_alone(tmp_path):
    here = flow(tmp_path, hub("Llama-3.1-70B-Instruct", kind="vllm"))
    resources = JobResources(here, "h200")
    answers = of(resources.answers(), stream=STREAM, shard="0")
    assert (answers["gpu"], answers["gpu_model"]) == (4, "h200")
    training = of(resources.training(), trained_cell=CELL % 20)
    assert (training["gpu"], training["gpu_model"]) == (0, None)


def test_time_grows_with_the_budget_and_memory_with_the_model(tmp_path):
    small, large = flow(tmp_path / "a"), flow(tmp_path / "b", hub("x-70b", kind="vllm"))
    rows = sf.bend(sf.FILES, "studies/trial.yaml", ("training", "epochs"), 500)
    long = JobResources(flow(tmp_path / "c", rows)).training()["runtime"]
    at = [SimpleNamespace(trained_cell=CELL % budget) for budget in (20, 80)]
    assert long(at[0], 1) < long(at[1], 1)
    shard = SimpleNamespace(stream=STREAM, shard="0")
    little, much = (JobResources(here).answers()["mem_mb"](shard, 1) for here in (small, large))
    assert little < 6_000
    assert much > 140_000


def test_copies_of_a_model_take_less_time_and_more_memory(tmp_path):
    one, four = (
        JobResources(
            flow(tmp_path / str(count), hub("x-7b", kind="vllm", data_parallel_size=count))
        ).answers()
        for count in (1, 4)
    )
    at = {"stream": STREAM, "shard": "0"}
    alone, together = of(one, **at), of(four, **at)
    assert (alone["gpu"], together["gpu"]) == (1, 4)
    assert together["mem_mb"] - alone["mem_mb"] == 3 * 4_000
    assert together["runtime"] <= alone["runtime"]


def test_a_student_of_known_size_on_a_cpu_has_room_for_activations(tmp_path):
    student = {"title": "S", "hub": {"id": "owner/smol-135m", "revision": None}, "size": 0.135}
    on_gpu, on_cpu = (
        JobResources(flow(tmp_path / name, files)).training()["mem_mb"](
            SimpleNamespace(trained_cell=CELL % 20), 1
        )
        for name, files in (
            ("gpu", sf.bend(sf.FILES, "models/student.yaml", (), student)),
            (
                "cpu",
                sf.bend(sf.FILES, "models/student.yaml", (), student | {"engine": {"gpus": 0}}),
            ),
        )
    )
    assert on_cpu > on_gpu + 2_000


def test_memory_and_time_grow_with_each_attempt(tmp_path):
    resources = JobResources(flow(tmp_path)).evaluation()
    at = SimpleNamespace(cell=CELL % 20)
    for name in ("mem_mb", "runtime"):
        asked = [resources[name](at, attempt) for attempt in (1, 2, 3)]
        assert asked == sorted(set(asked))


def test_a_model_that_resources_more_gpus_than_there_are_is_named(tmp_path):
    resources = JobResources(flow(tmp_path, hub("Llama-3.1-70B-Instruct", kind="vllm")))
    assert "'teacher' runs on 4 GPUs, and there are 2" in resources.impossible(2)
    assert resources.impossible(4) is None
    assert resources.impossible(None) is None


def test_the_limit_is_that_of_the_profile():
    assert limits({"gpu": SimpleNamespace(value=2)}) == 2
    assert limits({"gpu": 3}) == 3
    assert limits({"_cores": 8}) is None


@pytest.mark.parametrize(
    ("name", "parameters", "gigabytes"),
    [
        ("meta-llama/Llama-2-7b-chat-hf", 7, 14),
        ("mistralai/Mixtral-8x22B-Instruct-v0.1", 176, 352),
        ("Qwen/Qwen3-30B-A3B", 30, 60),
        ("owner/vicuna7b", 7, 14),
        ("HuggingFaceTB/SmolLM2-1.7B-Instruct", 1.7, 3.4),
        ("org/Llama-3.1-70B-Instruct-AWQ", 70, 35),
        ("org/Llama-3.1-70B-Instruct-FP8", 70, 70),
    ],
)
def test_names_tell_sizes_experts_and_bits_counted(name, parameters, gigabytes):
    found = size_of_name(name)
    assert (found.parameters, found.gigabytes) == (parameters, pytest.approx(gigabytes))


@pytest.mark.parametrize("name", ["org/model", "org/phi-3-mini-4k", "org/model-A3B"])
def test_names_without_a_size_tell_none(name):
    assert size_of_name(name) is None


def weights(folder, tensors, config=None):
    """Write a model's folder whose files have headers alone, over content of no size on disk."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config or {}))
    for name, parts in tensors.items():
        header, start = {"__metadata__": {}}, 0
        for number, (dtype, shape, length) in enumerate(parts):
            header[str(number)] = {
                "dtype": dtype, "shape": shape, "data_offsets": [start, start + length]
            }  # fmt: skip
            start += length
        text = json.dumps(header).encode()
        with (folder / name).open("wb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            file.truncate(8 + len(text) + start)


def test_a_folder_of_seven_billion_parameters_asks_for_what_one_of_the_hub_does(tmp_path):
    folder = tmp_path / "weights"
    half = [("F32", [3_500, 1_000_000], 14_000_000_000)]
    weights(
        folder, {"a-1.safetensors": half, "a-2.safetensors": half, "consolidated.safetensors": half}
    )
    model = {"title": "Student", "path": str(folder)}
    files = sf.bend(sf.FILES, "models/student.yaml", (), model)
    named = sf.bend(
        sf.FILES,
        "models/student.yaml",
        (),
        {"title": "Student", "hub": {"id": "owner/a-7b", "revision": None}},
    )
    asked = {"trained_cell": CELL % 20}
    one, other = (
        of(JobResources(flow(tmp_path / name, given)).training(), **asked)
        for name, given in (("path", files), ("hub", named))
    )
    assert one == other
    assert one["mem_mb"] > 20_000


@pytest.mark.parametrize(
    "quantization",
    [
        {"quant_method": "awq", "bits": 4},
        {"quant_method": "bitsandbytes", "load_in_4bit": True},
        {"quant_method": "mxfp4"},
        {"config_groups": {"group_0": {"weights": {"num_bits": 4, "type": "int"}}}},
    ],
)
def test_quantized_weights_count_by_their_bits(tmp_path, quantization):
    packed = [("I32", [500, 1_000_000], 2_000_000_000), ("F16", [1_000_000], 2_000_000)]
    weights(tmp_path / "q", {"a.safetensors": packed}, {"quantization_config": quantization})
    found = size_of_folder(tmp_path / "q")
    assert found.parameters == pytest.approx(4.0, rel=0.01)
    assert found.gigabytes == pytest.approx(2.0, rel=0.01)


class Hub:
    """Stands for the hub, which cannot be reached here."""

    def __init__(self, said):
        self.said, self.asked = said, 0

    def model_info(self, name, **_):
        self.asked += 1
        if isinstance(self.said, Exception):
            raise self.said
        counts, quantization = self.said
        return SimpleNamespace(
            config={"quantization_config": quantization},
            safetensors=SimpleNamespace(parameters=counts),
        )


@pytest.mark.parametrize(
    ("said", "gigabytes"),
    [
        (({"BF16": 8_030_261_248}, {}), 16.06),
        (({"I32": 1_000_000_000, "F16": 500_000_000}, {"bits": 4}), 5.0),
        (({"F8_E4M3": 8_000_000_000}, {}), 8.0),
        (({}, {}), 14.0),
        (OSError("no network"), 14.0),
    ],
)
def test_the_hub_says_how_large_a_model_is_and_is_asked_once(
    tmp_path, monkeypatch, said, gigabytes
):
    stub = Hub(said)
    monkeypatch.setattr("huggingface_hub.HfApi", lambda: stub)
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setenv(sizes.ANSWERS, "")
    study = flow(tmp_path, hub("Llama-2-7b-chat-hf", kind="vllm")).study
    for _ in range(2):
        assert size(study, "teacher").gigabytes == pytest.approx(gigabytes, rel=0.01)
    assert stub.asked == 1
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.delenv(sizes.ANSWERS)
    assert size(study, "teacher").gigabytes == 14 and stub.asked == 1


def test_a_fetched_model_has_the_size_of_its_weights(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    study = flow(tmp_path, hub("Llama-2-7b-chat-hf", kind="vllm")).study
    folder = tmp_path / "resources/models/model=teacher/source=fetched"
    weights(folder, {"a.safetensors": [("F16", [3, 1_000_000_000], 6_000_000_000)]})
    assert size(study, "teacher").gigabytes == 14  # Not whole yet: it has no record.
    (folder / "model.json").touch()
    assert size(study, "teacher").gigabytes == pytest.approx(6)


def test_a_folder_without_whole_weights_has_no_size(tmp_path):
    weights(tmp_path / "none", {})
    assert size_of_folder(tmp_path / "none") is None
    weights(tmp_path / "broken", {})
    (tmp_path / "broken" / "a.safetensors").write_bytes(b"\xff" * 20)
    assert size_of_folder(tmp_path / "broken") is None


def test_the_size_that_a_file_states_comes_first(tmp_path):
    model = hub("Llama-2-7b-chat-hf", kind="vllm")
    stated = sf.bend(model, TEACHER, ("size",), 70)
    assert gpus(flow(tmp_path, stated).study, "teacher") == 4


def test_on_a_cluster_a_model_of_unknown_size_is_refused_with_what_to_write(tmp_path):
    def said(name, files):
        return JobResources(flow(tmp_path / name, files)).unknown()

    nameless = hub("a-name-without-a-size", kind="vllm")
    assert "set size in models/teacher.yaml" in said("a", nameless)
    assert said("b", sf.bend(nameless, TEACHER, ("size",), 8)) is None
    assert said("c", hub("Llama-2-7b-chat-hf")) is None
    # Those that the workflow trains are tiny, and those of endpoints run elsewhere.
    assert said("d", sf.FILES) is None
    assert said("e", hub("nameless", kind="openai", base_url="http://localhost/v1")) is None
