import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from seedbed.artifacts import read_json, write_json
from seedbed.engines import EngineJob, Request, load_engine
from seedbed.engines.transformers_engine import SeededSampling
from seedbed.models import answers_identity, lora_rank, read_fingerprint
from seedbed.thinking import split_thinking
from seedbed.training.tokenizer import PAD


@pytest.fixture(scope="module")
def engine(tiny_model):
    return load_engine(tiny_model)


@pytest.fixture
def requests(questions):
    """Sampled and greedy requests of several lengths, limits and nuclei."""
    return [
        Request(
            key=str(n),
            messages=(("user", question),),
            max_tokens=12 if n % 3 else 20,
            temperature=(0.0, 0.7, 1.5)[n % 3],
            top_p=1.0 if n % 2 else 0.8,
            seed=10_000 + n,
        )
        for n, question in enumerate(questions[:40])
    ]


def answers(engine, requests):
    return {completion.key: completion for completion in engine.complete(requests)}


@pytest.mark.parametrize("batch_size", [1, 7])
def test_answers_do_not_depend_on_the_size_of_the_batch(tiny_model, engine, requests, batch_size):
    small = load_engine(tiny_model, EngineJob.of(batch_size=batch_size))
    assert answers(small, requests) == answers(engine, requests)


def test_answers_do_not_depend_on_the_company(engine, requests):
    together = answers(engine, requests)
    assert answers(engine, requests[::-1]) == together
    for some in (requests[:3], requests[3::5]):
        alone = answers(engine, some)
        assert alone == {request.key: together[request.key] for request in some}


def test_a_seed_gives_the_same_answer_and_another_seed_another(engine, requests):
    request = replace(requests[1], temperature=1.0, max_tokens=16)
    twins = [replace(request, key=str(n), seed=n // 2) for n in range(20)]
    texts = [
        completion.text
        for _, completion in sorted(answers(engine, twins).items(), key=lambda entry: int(entry[0]))
    ]
    assert texts[::2] == texts[1::2]
    assert len(set(texts)) == 10


def test_temperature_0_is_the_models_own_greedy_decoding(tiny_model, engine, questions):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    model = AutoModelForCausalLM.from_pretrained(tiny_model).eval()
    greedy = [
        Request(key=str(n), messages=(("user", question),), max_tokens=15)
        for n, question in enumerate(questions[:8])
    ]
    found = answers(engine, greedy)
    # The same in company of sampled ones.
    sampled = [replace(request, key=f"s{request.key}", temperature=1.0) for request in greedy]
    assert {k: c for k, c in answers(engine, greedy + sampled).items() if k in found} == found
    for request in greedy:
        ids = tokenizer.apply_chat_template(
            [{"role": "user", "content": request.messages[0][1]}],
            add_generation_prompt=True,
            return_dict=True,
            return_tensors="pt",
        )["input_ids"]
        prompt = ids.shape[1]
        for _ in range(15):
            with torch.no_grad():
                token = model(ids).logits[:, -1].argmax(-1, keepdim=True)
            ids = torch.cat([ids, token], 1)
            if token.item() == tokenizer.eos_token_id:
                break
        text = tokenizer.decode(ids[0, prompt:], skip_special_tokens=True).strip()
        assert found[request.key].text == text
        assert found[request.key].prompt_tokens == prompt
        assert found[request.key].completion_tokens == ids.shape[1] - prompt


def test_limits_and_reasons_to_finish(engine, requests):
    found = answers(engine, requests)
    assert set(found) == {request.key for request in requests}
    assert {completion.finish_reason for completion in found.values()} == {"stop", "length"}
    for request in requests:
        completion = found[request.key]
        assert completion.finish_reason in ("stop", "length")
        assert 1 <= completion.completion_tokens <= request.max_tokens
        if completion.finish_reason == "length":
            assert completion.completion_tokens == request.max_tokens
        assert completion.text == completion.text.strip()
        assert "<|" not in completion.text


def test_a_longer_limit_goes_on_where_a_shorter_one_was_cut(engine, requests):
    short = [replace(request, max_tokens=6) for request in requests]
    long = answers(engine, [replace(request, max_tokens=18) for request in requests])
    cut = 0
    for key, completion in answers(engine, short).items():
        assert long[key].text.startswith(completion.text)
        if completion.finish_reason == "stop":
            assert long[key] == completion
        else:
            cut += 1
    assert cut


def test_rows_that_leave_early_take_nothing_from_the_others(engine, requests):
    mixed = [replace(request, max_tokens=1 + n % 23) for n, request in enumerate(requests)]
    together = answers(engine, mixed)
    for request in mixed:
        assert answers(engine, [request]) == {request.key: together[request.key]}


def test_no_requests_give_no_completions(engine):
    assert list(engine.complete([])) == []


def test_a_prompt_that_leaves_no_room_is_refused_before_anything_runs(engine):
    long = Request(key="long", messages=(("user", "apples " * 2040),), max_tokens=9)
    with pytest.raises(ValueError, match=r"request long: 20\d\d prompt tokens and 9 to answer"):
        list(engine.complete([long]))


def test_odd_prompts_are_answered(engine):
    texts = ["", " ", "naïve 🌱 数学\x00", "{x} %s", "<|end|><|assistant|>", "7" * 300]
    odd = [
        Request(key=str(n), messages=(("user", text),), max_tokens=3, temperature=1.0)
        for n, text in enumerate(texts)
    ]
    assert len(answers(engine, odd)) == len(odd)


def test_a_model_without_padding_token_is_given_one(tiny_model, requests, tmp_path, engine):
    import shutil

    from transformers import AutoTokenizer

    bare = shutil.copytree(tiny_model, tmp_path / "bare")
    tokenizer = AutoTokenizer.from_pretrained(bare)
    assert tokenizer.pad_token == PAD
    tokenizer.pad_token = None
    tokenizer.padding_side = "right"
    tokenizer.save_pretrained(bare)
    assert answers(load_engine(bare), requests[:12]) == answers(engine, requests[:12])


def draws(logits, temperature, top_p, number):
    """Return how often each token is drawn as the first, with `number` seeds."""
    requests = [
        Request(str(n), (("user", ""),), 1, temperature=temperature, top_p=top_p, seed=n)
        for n in range(number)
    ]
    sampling = SeededSampling(requests, prompt_width=1)
    scores = torch.tensor(logits).expand(number, -1)
    forced = sampling(torch.zeros(number, 1, dtype=torch.long), scores)
    assert bool((forced > float("-inf")).sum(-1).eq(1).all())
    return np.bincount(forced.argmax(-1).numpy(), minlength=len(logits)) / number


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_tokens_are_drawn_as_often_as_the_model_says(temperature):
    logits = [1.0, 3.0, 2.0, -1.0]
    expected = torch.softmax(torch.tensor(logits) / temperature, 0).numpy()
    # 20,000 draws: the standard error is at most 0.0036.
    assert np.abs(draws(logits, temperature, 1.0, 20_000) - expected).max() < 0.015


def test_the_nucleus_is_the_smallest_set_that_reaches_top_p():
    logits = np.log([0.1, 0.4, 0.2, 0.3]).astype(np.float32).tolist()
    found = draws(logits, 1.0, 0.65, 20_000)
    assert np.abs(found - [0, 0.4 / 0.7, 0, 0.3 / 0.7]).max() < 0.015
    assert draws(logits, 1.0, 0.01, 100).tolist() == [0, 1, 0, 0]


@pytest.mark.parametrize(("top_p", "last"), [(1.0, 100), (0.8, 80), (0.1, 10)])
def test_tokens_are_drawn_from_flat_distributions_as_well(top_p, last):
    """Most draws are beyond the likeliest tokens, which are looked at first."""
    logits = (np.arange(100) * -1e-4).astype(np.float32)
    found = draws(logits.tolist(), 1.0, top_p, 50_000)
    # Rounding may add one token to the nucleus; the standard error is at most 0.0014.
    assert np.abs(found[:last] - 1 / last).max() < 0.006
    assert not found[last + 1 :].any()


def test_a_small_temperature_is_the_likeliest_token():
    assert draws([1.0, 1.1, 0.9], 1e-4, 1.0, 1000).tolist() == [0, 1, 0]


def test_folder_without_a_model_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"no config.json in {tmp_path / 'nowhere'}"):
        load_engine(tmp_path / "nowhere")


def test_folder_without_an_adapter_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"no adapter_config.json in {tmp_path}"):
        lora_rank(tmp_path)


def test_the_rank_of_an_adapter_is_the_highest_of_its_layers(tmp_path):
    settings = {"r": 8, "rank_pattern": {"experts.down_proj": 32, "experts.up_proj": 4}}
    write_json(tmp_path / "adapter_config.json", settings)
    assert lora_rank(tmp_path) == 32
    write_json(tmp_path / "adapter_config.json", {"r": 8, "rank_pattern": {}})
    assert lora_rank(tmp_path) == 8


def stopped(engine, requests, *stops):
    return answers(engine, [replace(request, stop=stops) for request in requests])


def test_an_answer_ends_before_the_first_text_to_stop_at(engine, requests):
    plain = answers(engine, requests)
    stops = ("=", "has ")
    found = stopped(engine, requests, *stops)
    cut = 0
    for request in requests:
        text = plain[request.key].text
        places = [text.index(stop) for stop in stops if stop in text]
        completion = found[request.key]
        assert completion.text == (text[: min(places)].strip() if places else text)
        if places:
            cut += 1
            assert completion.finish_reason == "stop"
            assert completion.completion_tokens <= plain[request.key].completion_tokens
        else:
            assert completion == plain[request.key]
    assert 3 < cut < len(requests)


def test_a_text_to_stop_at_does_not_hold_up_or_disturb_the_others(engine, requests):
    plain = answers(engine, requests)
    mixed = [replace(request, stop=("=",) if n % 2 else ()) for n, request in enumerate(requests)]
    found = answers(engine, mixed)
    alone = stopped(engine, requests[1::2], "=")
    for n, request in enumerate(requests):
        expected = alone if n % 2 else plain
        assert found[request.key] == expected[request.key]


def test_tokens_are_counted_up_to_the_one_that_stops(engine, requests, tiny_model):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)

    def length(text):
        return len(tokenizer(text, add_special_tokens=False)["input_ids"])

    plain, found = answers(engine, requests), stopped(engine, requests, "=")
    counted = 0
    for key, completion in plain.items():
        ended = completion.finish_reason == "stop"
        # In some, there are special tokens between, which the text does not show.
        if (
            "=" in completion.text
            and length(completion.text) + ended == completion.completion_tokens
        ):
            until = completion.text[: completion.text.index("=") + 1]
            assert found[key].completion_tokens == length(until)
            counted += 1
    assert counted > 3


# --- what comes with a model


@pytest.fixture
def with_defaults(tiny_model, tmp_path):
    """Copies of the model that say how they would like to be sampled from."""

    def make(**defaults):
        folder = shutil.copytree(tiny_model, tmp_path / "-".join(defaults))
        file = folder / "generation_config.json"
        write_json(file, read_json(file) | defaults)
        return folder

    return make


@pytest.mark.parametrize(
    "defaults",
    [
        {"repetition_penalty": 1.05},
        {"repetition_penalty": 5.0, "no_repeat_ngram_size": 2},
        {"do_sample": True, "temperature": 0.6, "top_p": 0.9, "top_k": 3},
        {"suppress_tokens": list(range(5, 120)), "min_new_tokens": 10},
        {"num_beams": 4},
    ],
)
def test_a_models_own_defaults_of_sampling_change_no_answer(
    with_defaults, engine, requests, defaults
):
    assert answers(load_engine(with_defaults(**defaults)), requests) == answers(engine, requests)


def test_a_models_own_ends_do_end_its_answers(with_defaults, engine, requests):
    usual = answers(engine, requests)
    token = engine._tokenizer.encode(" .", add_special_tokens=False)[-1]
    end = engine._tokenizer.eos_token_id
    ended = answers(load_engine(with_defaults(eos_token_id=[end, token])), requests)
    assert any(len(ended[key].text) < len(usual[key].text) for key in usual)


def test_older_answers_are_used_again_but_of_models_whose_defaults_changed_them(
    tiny_model, with_defaults
):
    plain = answers_identity(tiny_model, "transformers")
    assert plain == read_fingerprint(tiny_model)
    harmless = with_defaults(do_sample=True, temperature=0.6, repetition_penalty=1.0)
    assert answers_identity(harmless, "transformers") == plain
    penalty = with_defaults(repetition_penalty=1.05)
    assert answers_identity(penalty, "transformers") != plain
    assert answers_identity(penalty, "vllm") == answers_identity(penalty, "openai") == plain


def test_an_empty_thinking_block_is_taken_off_and_another_is_not():
    assert split_thinking("<think>\n\n</think>\n\n#### 7") == ("", "#### 7")
    assert split_thinking("<think>so</think> 7") == ("so", "7")
    assert split_thinking("7 <think></think>") == ("", "7")


def test_a_batch_that_does_not_fit_into_memory_is_halved_and_nothing_is_lost(
    tiny_model, engine, requests, monkeypatch
):
    expected = answers(engine, requests)
    small = load_engine(tiny_model)
    generate, sizes = small._model.generate, []

    def limited(input_ids, **options):
        sizes.append(len(input_ids))
        # Some rows of the first batch have ended by then.
        if len(sizes) in (2, 3):
            raise torch.OutOfMemoryError("CUDA out of memory")
        return generate(input_ids=input_ids, **options)

    monkeypatch.setattr(small._model, "generate", limited)
    assert answers(small, requests) == expected
    assert len(requests) == sizes[0] > sizes[2] >= 2 * sizes[3]


def test_one_row_that_does_not_fit_is_an_error(tiny_model, requests, monkeypatch):
    small = load_engine(tiny_model)

    def never(**options):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(small._model, "generate", never)
    with pytest.raises(torch.OutOfMemoryError):
        list(small.complete(requests[:5]))


def test_answers_are_kept_before_half_of_their_batch_has_ended(
    tiny_model, engine, requests, monkeypatch
):
    rows = [replace(requests[0], key="first", max_tokens=1)]
    rows += [replace(request, max_tokens=40) for request in requests[:7]]
    monkeypatch.setattr("seedbed.engines.transformers_engine.KEPT_BACK_SECONDS", 0.0)
    first = next(engine.complete(rows))
    assert first.completion_tokens <= 2
    assert answers(engine, rows)[first.key] == first
