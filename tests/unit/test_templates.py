"""Chat templates: what a model's part in a study needs of one, and how a file may change it."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest
import trl
from huggingface_hub.utils import filter_repo_objects

import get_model
from practice import silent
from seedbed.artifacts import read_json, write_json
from seedbed.chats import (
    check_template,
    encode_rows,
    end_tokens,
    fixed_template,
    load_tokenizer,
    thinking_form,
)
from seedbed.thinking import split_thinking, text_reader
from seedbed.training.settings import StudentTraining
from seedbed.training.students import train_student

TEACHER = "You are a patient teacher."
USER = [{"role": "user", "content": "How many?"}]
ASKED = [*USER, {"role": "assistant", "content": "7"}]
PLAIN = Path(get_model.__file__).parents[1] / "config/models/templates/plain.jinja"

# As Mistral-7B-Instruct-v0.3 has it, without its tools: the system message goes into the last
# message, if that is a question.
MISTRAL = """{%- if messages[0]["role"] == "system" %}
    {%- set system_message = messages[0]["content"] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}
{%- for message in loop_messages %}
    {%- if message["role"] == "user" %}
        {%- if loop.last and system_message is defined %}
            {{- "[INST] " + system_message + "\n\n" + message["content"] + "[/INST]" }}
        {%- else %}
            {{- "[INST] " + message["content"] + "[/INST]" }}
        {%- endif %}
    {%- else %}
        {{- " " + message["content"] | trim + eos_token }}
    {%- endif %}
{%- endfor %}
"""
# As Gemma 2 has it.
GEMMA = """{%- if messages[0]['role'] == 'system' %}
{{- raise_exception('System role not supported') }}{%- endif %}
{%- for message in messages %}
{%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
{{- raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}
{%- endif %}
{{- '<start>' + message['role'] + '\n' + message['content'] | trim + eos_token + '\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<start>assistant\n' }}{%- endif %}
"""
# As Qwen 3 has it: an answer without thoughts has an empty block of them, a prompt only when told.
QWEN = """{%- for message in messages %}
{{- '<im>' + message.role + '\n' }}
{%- if message.role == 'assistant' %}{{- '<think>\n\n</think>\n\n' }}{%- endif %}
{{- message.content + eos_token + '\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<im>assistant\n' }}
{%- if enable_thinking is defined and enable_thinking is false %}
{{- '<think>\n\n</think>\n\n' }}{%- endif %}{%- endif %}
"""
DROPS = "{%- for m in messages if m.role != 'system' %}{{ m.content + eos_token }}{%- endfor %}"
LATE = (
    "{%- for m in messages if m.role != 'system' %}{{ m.content + eos_token }}{%- endfor %}"
    "{{- messages[0].content }}"
)
ENDLESS = "{%- for m in messages %}{{ m.content }}\n{%- endfor %}"
THINKS = "{%- for m in messages %}{{ m.content + eos_token }}{%- endfor %}" + (
    "{%- if add_generation_prompt %}<think>{%- endif %}"
)


@pytest.fixture
def tokenizer(tiny_model):
    return load_tokenizer(tiny_model)


def refusal(tokenizer, template, system=None, trained=True):
    tokenizer.chat_template = template
    try:
        check_template(tokenizer, {tokenizer.eos_token_id}, system, trained)
    except ValueError as error:
        return str(error)
    return None


@pytest.mark.parametrize("template", [MISTRAL, GEMMA, QWEN, None])
@pytest.mark.parametrize("trained", [True, False])
def test_templates_that_suit_are_taken(tokenizer, template, trained):
    assert refusal(tokenizer, template or tokenizer.chat_template, trained=trained) is None


@pytest.mark.parametrize(
    ("template", "system", "words"),
    [
        (MISTRAL, TEACHER, ["differently if an answer follows", TEACHER, "[INST] How many"]),
        (GEMMA, TEACHER, ["does not take", "system", "System role not supported"]),
        (DROPS, TEACHER, ["leaves out the system message", TEACHER]),
        (LATE, TEACHER, ["after the question", TEACHER]),
        (ENDLESS, None, ["ends an answer with", "where no token stops", "<|end|>"]),
        (THINKS, None, ["differently if an answer follows", "<think>"]),
        ("{{ messages[0].content }}", None, ["leaves out the answer"]),
        ("Hello", None, ["leaves out the question"]),
        (None, None, ["no chat template", "chat_template", "templates/plain.jinja"]),
        ("{{ nothing.at.all }}", None, ["does not take a chat"]),
    ],
)
def test_templates_that_do_not_suit_a_student_are_refused(tokenizer, template, system, words):
    said = refusal(tokenizer, template, system)
    assert all(word in (said or "") for word in words), said


def test_a_model_that_is_not_trained_may_have_a_template_that_suits_no_rows(tokenizer):
    assert refusal(tokenizer, MISTRAL, TEACHER, trained=False) is None
    assert refusal(tokenizer, ENDLESS, trained=False) is None
    assert refusal(tokenizer, DROPS, TEACHER, trained=False) is not None


def test_a_prompt_that_is_not_how_the_row_begins_is_never_trained_on(
    tiny_model, tokenizer, tmp_path
):
    tokenizer.chat_template = MISTRAL
    with pytest.raises(ValueError, match=r"Evaluation: .*patient teacher.*Training: "):
        encode_rows(tokenizer, [ASKED], TEACHER)
    model = shutil.copytree(tiny_model, tmp_path / "model")
    (model / "chat_template.jinja").write_text(MISTRAL)
    pl.DataFrame({"messages": [ASKED]}).write_parquet(tmp_path / "rows.parquet")
    settings = StudentTraining(
        epochs=1,
        learning_rate=1e-3,
        batch_size=1,
        lora_rank=2,
        lora_alpha=2,
        max_length=128,
        system=TEACHER,
    )
    with pytest.raises(ValueError, match="be trained and evaluated with different prompts"):
        train_student(
            model,
            tmp_path / "rows.parquet",
            tmp_path / "adapter",
            settings,
            lambda *_: None,
            silent,
        )
    assert not (tmp_path / "adapter").exists()


def test_a_row_is_its_prompt_and_the_answer_with_its_end(tokenizer):
    (row,) = encode_rows(tokenizer, [ASKED])
    prompt = tokenizer.apply_chat_template(USER, add_generation_prompt=True)["input_ids"]
    assert row.ids[: row.prompt_tokens] == prompt
    assert tokenizer.decode(row.ids[row.prompt_tokens :]) == "7<|end|>"


# --- thinking in rows

REAL = Path(trl.__file__).parent / "chat_templates"
"""Chat templates of models as TRL keeps them, byte for byte."""
THOUGHT = [*USER, {"role": "assistant", "content": "7", "reasoning_content": "3 and 4."}]


@pytest.mark.parametrize(
    ("name", "form", "written"),
    [
        ("qwen3", "reasoning_content", "<think>\n3 and 4.\n</think>\n\n7<|im_end|>\n"),
        ("qwen3_5_think", "reasoning_content", "3 and 4.\n</think>\n\n7<|im_end|>\n"),
        ("glm4moe", "reasoning_content", "\n<think>3 and 4.</think>\n7"),
        ("gemma4_v5", "reasoning_content", "<|channel>thought\n3 and 4.\n<channel|>7<turn|>\n"),
        (
            "gptoss",
            "thinking",
            "<|channel|>analysis<|message|>3 and 4.<|end|><|start|>assistant<|channel|>final"
            "<|message|>7<|return|>",
        ),
        ("lfm2_2_5", "thinking", "<think>3 and 4.</think>7<|im_end|>\n"),
        ("qwen2_5", "tags", "<think>\n3 and 4.\n</think>\n\n7<|im_end|>\n"),
        ("llama3_1", "tags", "<think>\n3 and 4.\n</think>\n\n7<|eot_id|>"),
        # These drop thinking, or close at once what their prompt opens.
        ("deepseek_r1_distill", "prompt", "3 and 4.\n</think>\n\n7<｜end▁of▁sentence｜>"),
        ("nemotron_3_nano", "prompt", "3 and 4.\n</think>\n\n7<|im_end|>\n"),
    ],
)
def test_rows_have_thinking_in_the_form_that_a_models_template_wants(
    tokenizer, name, form, written
):
    tokenizer.chat_template = (REAL / f"{name}.jinja").read_text()
    assert thinking_form(tokenizer, None) == form
    row, plain = encode_rows(tokenizer, [THOUGHT, ASKED])
    asked = tokenizer.apply_chat_template(USER, tokenize=False, add_generation_prompt=True)
    whole = tokenizer.decode(row.ids)
    # This tokenizer adds spaces at marks that it does not know.
    assert whole.replace(" ", "") == (asked + written).replace(" ", "")
    # What a student learns to write is taken off its answers again.
    read = text_reader(tokenizer)
    assert split_thinking(read(row.ids[row.prompt_tokens :]))[0] == "3 and 4."
    thought, text = split_thinking(read(plain.ids[plain.prompt_tokens :]))
    assert thought == "", text
    assert "3 and 4." not in text


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ((REAL / "qwen3_5_nothink.jinja").read_text(), ["finished thinking", "enable_thinking"]),
        (
            "{%- for m in messages %}{{ m.content.split('</think>')[-1] }}{{ eos_token }}"
            "{%- endfor %}",
            ["no place for a teacher's thinking", "reasoning_content", "thinking: drop"],
        ),
    ],
)
def test_a_template_that_would_drop_thinking_silently_is_refused(tokenizer, template, words):
    tokenizer.chat_template = template
    ends = {tokenizer.eos_token_id}
    with pytest.raises(ValueError, match="thinking") as refused:
        check_template(tokenizer, ends, None, trained=True, thinking=True)
    assert all(word in str(refused.value) for word in words)
    with pytest.raises(ValueError, match="thinking"):
        encode_rows(tokenizer, [THOUGHT])


def test_marks_of_thinking_that_are_special_tokens_are_read(tokenizer):
    tokenizer.add_special_tokens({"extra_special_tokens": ["[THINK]", "[/THINK]", "<|channel|>"]})
    ids = tokenizer("[THINK]3 and 4.[/THINK]7<|end|>", add_special_tokens=False)["input_ids"]
    assert split_thinking(text_reader(tokenizer)(ids)) == ("3 and 4.", "7")


# --- in a model's folder


def fetch(model, tmp_path, *flags):
    script = Path(get_model.__file__)
    source = json.dumps({"path": str(model)})
    command = [sys.executable, script, "--source", source, "--folder", tmp_path / "got", *flags]
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)


@pytest.fixture
def base_model(tiny_model, tmp_path):
    """A model without a chat template."""
    folder = shutil.copytree(tiny_model, tmp_path / "base")
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    file = folder / "tokenizer_config.json"
    config = read_json(file)
    config.pop("chat_template", None)
    write_json(file, config)
    return folder


@pytest.mark.slow
def test_a_base_model_is_refused_with_what_to_write_before_anything_is_made(base_model, tmp_path):
    done = fetch(base_model, tmp_path, "--chats", '{"trained": true}')
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "no chat template" in done.stderr
    assert "templates/plain.jinja" in done.stderr
    assert not (tmp_path / "got").exists()


class Hub:
    """Stands for the hub, which cannot be reached here: has one model, and notes what it gave."""

    def __init__(self, model):
        self.model, self.given = model, []

    def model_info(self, hub, revision):
        return SimpleNamespace(sha="0" * 40)

    def download(self, hub, revision, local_dir, allow_patterns=None, ignore_patterns=None):
        names = [path.name for path in self.model.iterdir()]
        patterns = {"allow_patterns": allow_patterns, "ignore_patterns": ignore_patterns}
        local_dir.mkdir(exist_ok=True)
        for name in filter_repo_objects(names, **patterns):
            self.given.append(name)
            shutil.copy(self.model / name, local_dir / name)


@pytest.mark.parametrize("fetched", ["from the hub", "from a folder"])
def test_a_base_model_is_refused_before_its_weights_are_fetched(
    base_model, tmp_path, monkeypatch, fetched
):
    hub, copied, copy = Hub(base_model), [], shutil.copyfile
    monkeypatch.setattr("huggingface_hub.HfApi", lambda: hub)
    monkeypatch.setattr("huggingface_hub.snapshot_download", hub.download)

    def noted(source, target, **more):
        copied.append(Path(source).name)
        return copy(source, target, **more)

    monkeypatch.setattr(shutil, "copyfile", noted)
    source = ("owner/base", None, None) if fetched == "from the hub" else (None, None, base_model)
    with pytest.raises(ValueError, match="no chat template"):
        get_model.get_model(*source, tmp_path / "got", get_model.Chats(trained=True))
    got = hub.given if fetched == "from the hub" else copied
    assert "config.json" in got and "model.safetensors" not in got
    get_model.get_model(*source, tmp_path / "got", get_model.Chats(template=PLAIN, trained=True))
    assert got.count("model.safetensors") == 1
    names = {path.name for path in base_model.iterdir()}
    assert {path.name for path in (tmp_path / "got").iterdir()} == names | {"chat_template.jinja"}


def test_a_base_model_works_with_a_template_it_is_given(base_model, tmp_path):
    chats = get_model.Chats(template=PLAIN, system=TEACHER, trained=True)
    get_model.get_model(None, None, base_model, tmp_path / "got", chats)
    tokenizer = load_tokenizer(tmp_path / "got")
    assert tokenizer.apply_chat_template(USER, tokenize=False) == "Question: How many?\n\nAnswer:"
    assert "chat_template" not in {path.name for path in base_model.iterdir()}
    check_template(tokenizer, end_tokens(tmp_path / "got", tokenizer), TEACHER, trained=True)


def test_values_of_a_template_hold_whoever_renders_it(tiny_model, tmp_path):
    from transformers import AutoTokenizer

    model = shutil.copytree(tiny_model, tmp_path / "qwen")
    (model / "chat_template.jinja").write_text(QWEN)
    chats = get_model.Chats(values={"enable_thinking": False}, trained=True)
    get_model.get_model(None, None, model, tmp_path / "got", chats)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "got")
    prompt = tokenizer.apply_chat_template(USER, tokenize=False, add_generation_prompt=True)
    assert prompt.endswith("<im>assistant\n<think>\n\n</think>\n\n")
    (row,) = encode_rows(tokenizer, [ASKED])
    assert tokenizer.decode(row.ids[row.prompt_tokens :]).startswith("7<|end|>")
    # A template of its own is another model's for what is made with it.
    assert (
        read_json(tmp_path / "got/model.json")["fingerprint"]
        != read_json(tiny_model / "model.json")["fingerprint"]
    )


@pytest.mark.parametrize(
    ("value", "text"), [(True, "true"), (3, "3"), ("it's", '"it\'s"'), (0.5, "0.5")]
)
def test_values_are_written_as_jinja_reads_them(value, text):
    assert fixed_template("{{ a }}", {"a": value}) == f"{{%- set a = {text} %}}{{{{ a }}}}"


def test_ends_are_those_of_the_model_and_of_its_tokenizer(tiny_model, tokenizer, tmp_path):
    model = shutil.copytree(tiny_model, tmp_path / "model")
    write_json(model / "generation_config.json", {"eos_token_id": [3, 4]})
    assert end_tokens(model, tokenizer) == {3, 4, tokenizer.eos_token_id}
    (model / "generation_config.json").unlink()
    assert end_tokens(model, tokenizer) == {tokenizer.eos_token_id}
