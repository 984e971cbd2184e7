import shutil
from datetime import datetime

import pytest

from seedbed.artifacts import read_json, write_json
from seedbed.chats import TEMPLATE_DATE, encode_prompts, load_tokenizer
from seedbed.engines import Request, chat

# As the templates of Llama 3.1 to 3.3 tell the date.
DATED = """{%- if not date_string is defined %}
    {%- if strftime_now is defined %}
        {%- set date_string = strftime_now("%d %b %Y") %}
    {%- else %}
        {%- set date_string = "26 Jul 2024" %}
    {%- endif %}
{%- endif %}
{{- "Today is " + date_string + ". " }}
{%- for message in messages %}{{- message.role + " " + message.content + " " }}{%- endfor %}"""
# As others do.
CLOCK = """{{- strftime_now("%Y-%m-%d") + " " }}
{%- for message in messages %}{{- message.role + " " + message.content + " " }}{%- endfor %}"""


@pytest.fixture
def model(tiny_model, tmp_path):
    return shutil.copytree(tiny_model, tmp_path / "model")


def written(model, template):
    (model / "chat_template.jinja").write_text(template)
    return load_tokenizer(model).apply_chat_template(
        [{"role": "user", "content": "Hi."}], tokenize=False
    )


def test_prompts_do_not_depend_on_the_day(model):
    assert written(model, DATED) == f"Today is {TEMPLATE_DATE}. user Hi. "
    assert written(model, CLOCK) == f"{TEMPLATE_DATE} user Hi. "
    assert str(datetime.now().year) not in written(model, CLOCK)


def test_a_template_without_a_date_stays_as_it_is(model, tiny_model):
    from transformers import AutoTokenizer

    own = AutoTokenizer.from_pretrained(tiny_model).chat_template
    assert load_tokenizer(model).chat_template == own


def test_a_system_message_comes_first():
    assert chat("Q") == (("user", "Q"),)
    assert chat("Q", "Be short.") == (("system", "Be short."), ("user", "Q"))


def test_prompts_are_checked_one_by_one(tiny_model):
    tokenizer = load_tokenizer(tiny_model)
    requests = [Request(str(n), chat("apples " * n), 10) for n in range(1, 40)]
    fitting = encode_prompts(tokenizer, requests[:20], 64)
    assert [request.key for request, _ in fitting] == [str(n) for n in range(1, 21)]
    lengths = [len(ids) for _, ids in fitting]
    assert lengths == list(range(lengths[0], lengths[0] + 20))
    with pytest.raises(ValueError, match=r"request \d+: \d+ prompt tokens and 10 to answer"):
        encode_prompts(tokenizer, requests, 40)


def test_a_folder_of_mistrals_loads_by_its_tokenizer_of_transformers(model):
    from transformers import AutoTokenizer

    usual = AutoTokenizer.from_pretrained(model)
    config = read_json(model / "config.json")
    write_json(
        model / "config.json",
        config | {"model_type": "mistral", "architectures": ["MistralForCausalLM"]},
    )
    # With mistral-common installed, it would take the place of tokenizer.json.
    (model / "tekken.json").write_text("{}")
    chat = [{"role": "user", "content": "Hi."}]
    found = load_tokenizer(model).apply_chat_template(chat, return_dict=True)["input_ids"]
    assert found == usual.apply_chat_template(chat, return_dict=True)["input_ids"]
