import json
import shutil
from pathlib import Path

import pytest
import study_folder as sf

from get_model import Chats, get_model, name_model
from seedbed.artifacts import read_json, write_json
from seedbed.models import adapter_fingerprint, fingerprint, read_fingerprint
from seedbed.study.cells import grid
from seedbed.study.loading import load_study
from seedbed.study.targets import Targets


@pytest.fixture
def copy(tiny_model, tmp_path):
    return shutil.copytree(tiny_model, tmp_path / "copy")


def test_the_fingerprint_is_of_the_content_not_of_the_place(tiny_model, copy):
    (copy / "README.md").write_text("about this model")
    assert fingerprint(copy) == fingerprint(tiny_model) == read_fingerprint(tiny_model)
    assert len(fingerprint(copy)) == 32


@pytest.mark.parametrize(
    "name",
    [
        "model.safetensors",
        "config.json",
        "tokenizer.json",
        "chat_template.jinja",
        "generation_config.json",
    ],
)
def test_whatever_changes_a_completion_changes_the_fingerprint(tiny_model, copy, name):
    with (copy / name).open("ab") as file:
        file.write(b" ")
    assert fingerprint(copy) != fingerprint(tiny_model)


def test_a_step_and_the_end_of_one_run_are_two_models(tiny_models):
    assert read_fingerprint(tiny_models / "step=10") != read_fingerprint(tiny_models / "final")


def test_a_folder_without_weights_has_no_fingerprint(copy):
    (copy / "model.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match="no weights"):
        fingerprint(copy)


def test_a_model_of_an_endpoint_is_known_by_name_and_version(tmp_path):
    name_model("m", None, tmp_path / "first")
    name_model("m", "2", tmp_path / "second")
    name_model("n", None, tmp_path / "third")
    found = [read_fingerprint(tmp_path / name) for name in ("first", "second", "third")]
    assert len(set(found)) == 3
    assert read_json(tmp_path / "second/model.json")["api"] == "m"
    assert [path.name for path in (tmp_path / "second").iterdir()] == ["model.json"]


@pytest.mark.parametrize("content", ["{}", "[]", '{"fingerprint": 3}'])
def test_a_record_without_a_fingerprint_is_named(copy, content):
    (copy / "model.json").write_text(content)
    with pytest.raises(ValueError, match=r"model\.json is broken"):
        read_fingerprint(copy)


def test_a_broken_record_is_named(copy):
    (copy / "model.json").write_text('{"fingerprint": "ab')
    with pytest.raises(ValueError, match=r"model\.json is broken"):
        read_fingerprint(copy)


def test_a_model_is_copied_with_a_record_of_its_own(tiny_model, tmp_path):
    get_model(None, None, tiny_model, tmp_path / "got")
    record = read_json(tmp_path / "got" / "model.json")
    assert record["fingerprint"] == read_fingerprint(tiny_model)
    assert record["path"] == str(tiny_model)
    assert record["hub"] is None
    assert record["versions"]["transformers"]


def test_a_student_that_cannot_be_trained_is_refused_before_anything_is(tiny_model, tmp_path):
    folder = shutil.copytree(tiny_model, tmp_path / "model")
    write_json(folder / "config.json", {"model_type": "qwen2_5_vl"})
    with pytest.raises(ValueError, match=r"'qwen2_5_vl' cannot be a student.* Take a text model"):
        get_model(None, None, folder, tmp_path / "got", Chats(trained=True))
    assert not (tmp_path / "got").exists()


def test_what_is_no_model_is_not_copied(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"no model \(config.json\)"):
        get_model(None, None, tmp_path / "empty", tmp_path / "got")
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


def test_a_model_folder_with_a_space_in_its_name_reaches_the_script_as_one_argument(tmp_path):
    folder = str(tmp_path / "my models; rm" / "it's")
    Path(folder).mkdir(parents=True)
    (Path(folder) / "config.json").touch()
    files = sf.FILES | {"models/student.yaml": {"title": "Student", "path": folder}}
    study = load_study("trial", sf.write(tmp_path / "config", files))
    assert Targets(study, grid(study)).model_source("student") == {"path": folder}


def test_an_adapter_that_comes_out_the_same_has_the_same_fingerprint(tmp_path):
    def adapter(name, weights=b"weights", **settings):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "adapter_model.safetensors").write_bytes(weights)
        (folder / "adapter_config.json").write_text(json.dumps(settings))
        (folder / "training.json").write_text(json.dumps({"seconds": {"training": len(name)}}))
        return adapter_fingerprint(folder)

    first = adapter("first", r=2, target_modules=["a", "b"], base_model_name_or_path="here")
    again = adapter("again", target_modules=["b", "a"], r=2, base_model_name_or_path="there")
    others = [
        adapter("weights", b"others", r=2, target_modules=["a", "b"]),
        adapter("rank", r=3, target_modules=["a", "b"]),
        adapter("modules", r=2, target_modules=["a"]),
    ]
    assert again == first
    assert len({first, *others}) == 4
