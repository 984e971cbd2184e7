import json
import re
import shutil
from pathlib import Path

import jsonschema
import pytest

from seedbed.config.documents import read_document
from seedbed.study.loading import check_run_config, load_study
from seedbed.study.reference import FILES, SCHEMAS, reference

SHIPPED = Path(__file__).parents[2] / "config"
YAML = sorted(SHIPPED.rglob("*.yaml"))


def test_the_reference_is_as_the_classes_are():
    stale = [path.name for path, text in reference().items() if path.read_text() != text]
    assert not stale, "run `make reference`"


def schema_of(path):
    """Return the schema that a file names in its first line."""
    first = path.read_text().partition("\n")[0]
    name = first.removeprefix("# yaml-language-server: $schema=")
    assert name != first, f"{path} names no schema"
    return json.loads((path.parent / name).read_text())


@pytest.mark.parametrize("path", YAML, ids=lambda path: str(path.relative_to(SHIPPED)))
def test_each_file_is_right_by_the_schema_that_it_names(path):
    jsonschema.validate(read_document(path).content, schema_of(path))


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("config.yaml", {"studdy": "demo"}),
        ("config.yaml", {"engines": {"m": {"kind": "vlm"}}}),
        ("studies/micro.yaml", {"shard_size": 0}),
        ("studies/micro.yaml", {"published": [{"source": "elsewhere"}]}),
        ("tasks/mini_math/task.yaml", {"source": {"world": "mini_maths", "train_items": 1}}),
        ("tasks/capitals/task.yaml", {"source": {}}),
        ("methods/new_question.yaml", {"prompts": {"numbers": {"question": "{question}"}}}),
        ("models/deepseek.yaml", {"engine": {"kind": "openai", "gpus": 1}}),
        ("models/deepseek.yaml", {"engine": {"base_url": "http://h/v1"}}),
    ],
)
def test_the_schemas_refuse_what_the_study_refuses(file, change):
    content = read_document(SHIPPED / file).content
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(content | change, schema_of(SHIPPED / file))


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_key_has_its_meaning_in_the_schema(name):
    schema = json.loads((SHIPPED / "schemas" / f"{name}.json").read_text())
    keys = schema["properties"]
    assert keys.keys() == SCHEMAS[name].model_fields.keys()
    assert all(key.get("description") for key in keys.values())


def test_the_examples_are_a_study_that_loads(tmp_path):
    readme = (SHIPPED / "README.md").read_text()
    examples = dict(re.findall(r"^`(\S+)`: [^\n]*\n```yaml\n(.*?)```", readme, re.M | re.S))
    assert len(examples) == len(FILES)
    for file, text in examples.items():
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(text)
    for file in ("methods/answer_augmentation.yaml", "models/llama_3_1_8b.yaml"):
        shutil.copy(SHIPPED / file, tmp_path / file)
    for split in ("train", "test"):
        (tmp_path / "tasks" / "my_task" / f"{split}.jsonl").touch()
    run = check_run_config(read_document(tmp_path / "config.yaml").content)
    study = load_study(run.study, tmp_path, engines=run.engines)
    assert study.engine("llama_3_1_8b").kind == "vllm"
