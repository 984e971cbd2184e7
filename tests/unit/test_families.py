"""The table of families of models in the documentation says what tiny ones of them do."""

import pytest
import transformers
from peft import PeftConfig
from safetensors import safe_open

import families
from get_model import Chats, get_model
from seedbed.architectures import Architecture


def test_the_table_has_every_family():
    assert list(families.written()) == [family.title for family in families.FAMILIES]


@pytest.mark.parametrize("title", ["Mamba 2", "Qwen 2.5 VL (with images)"])
def test_students_that_no_engine_can_ask_are_refused_as_they_are_fetched(title, tmp_path):
    (family,) = (one for one in families.FAMILIES if one.title == title)
    families.make(family, tmp_path / "model")
    with pytest.raises(ValueError, match=r"cannot be a student: .* teacher or augmenter"):
        get_model(None, None, tmp_path / "model", tmp_path / "got", Chats(trained=True))
    assert not (tmp_path / "got").exists()
    # As a teacher, vLLM may run it.
    get_model(None, None, tmp_path / "model", tmp_path / "got")
    assert families.written()[title]["train"] == "refused by `get_model`"


@pytest.mark.parametrize("family", families.FAMILIES, ids=lambda family: family.title)
def test_what_vllm_does_not_run_on_a_cpu_is_refused_and_nothing_else_is(family, tmp_path):
    said = families.written()[family.title]
    if "images" in family.title or said["train"] != "yes":
        pytest.skip("no text model, or no student")
    kind = getattr(transformers, family.config)
    kind(**{**families.SHAPE, **family.more}).save_pretrained(tmp_path)
    found = Architecture.of_folder(tmp_path)
    for column, adapters in (("vLLM", False), ("adapters", True)):
        fails = any(said[one].startswith("no:") for one in {"vLLM", column})
        assert (found.not_in_vllm_on_cpu(adapters) is not None) == fails, column


@pytest.mark.slow
@pytest.mark.parametrize("title", ["Mixtral", "LFM 2 (hybrid)", "Gemma 3 (with images)"])
def test_families_do_what_the_table_says(title, tmp_path):
    (family,) = (one for one in families.FAMILIES if one.title == title)
    found = families.attempt(family, tmp_path, vllm=False)
    said = families.written()[title]
    assert {key: found[key] for key in ("train", "transformers")} == {
        key: said[key] for key in ("train", "transformers")
    }
    if "images" in title:
        with safe_open(tmp_path / "adapter/adapter_model.safetensors", "pt") as weights:
            names = list(weights.keys())
        assert names
        assert not [name for name in names if "vision" in name or "projector" in name]
        assert PeftConfig.from_pretrained(tmp_path / "adapter").exclude_modules
