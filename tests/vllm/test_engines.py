"""Requirements of all three engines: Transformers, vLLM, and a real vLLM server."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from answered import answers, in_turn

from seedbed.engines import Completion, EngineJob, Request, load_engine
from seedbed.engines.openai_engine import EndpointError
from seedbed.evaluation.evaluation import evaluate, item_requests
from seedbed.evaluation.scorers import make_scorer
from seedbed.streams.response_cache import ResponseCache
from seedbed.tasks.worlds import load_world


def silent(text):
    """Report no progress."""


@pytest.fixture(scope="module")
def sampled(greedy):
    return [
        replace(request, max_tokens=14, temperature=1.0, top_p=0.9, seed=2**62 + n)
        for n, request in enumerate(greedy)
    ]


def test_greedy_answers_are_those_of_transformers(engine, transformers_engine, greedy):
    found = answers(engine, greedy)
    assert found == answers(transformers_engine, greedy)
    assert {completion.finish_reason for completion in found.values()} == {"stop", "length"}


def test_what_is_cut_says_so_and_tokens_are_counted(engine, greedy):
    for request in greedy:
        assert request.max_tokens >= 4
    for key, completion in answers(engine, greedy).items():
        limit = greedy[int(key)].max_tokens
        assert 1 <= completion.completion_tokens <= limit
        if completion.finish_reason == "length":
            assert completion.completion_tokens == limit
        assert completion.prompt_tokens > 5
        assert completion.text == completion.text.strip()
        assert "<|" not in completion.text


def test_a_sampled_answer_depends_on_its_seed_and_not_on_its_company(engine, sampled):
    together = answers(engine, sampled)
    assert answers(engine, sampled[::-1]) == together
    assert answers(engine, sampled[3:9]) == {str(n): together[str(n)] for n in range(3, 9)}
    twins = [replace(sampled[0], key=str(n), seed=7 + n // 2) for n in range(16)]
    found = answers(engine, twins)
    texts = [found[str(n)].text for n in range(16)]
    assert texts[::2] == texts[1::2]
    assert len(set(texts)) > 4


def test_a_text_to_stop_at_ends_the_answer_and_is_not_part_of_it(
    engine, transformers_engine, greedy
):
    # "1 =" and the like are more than one token.
    stopped = [replace(request, stop=("=", " 1 +")) for request in greedy]
    found = answers(engine, stopped)
    assert found == answers(transformers_engine, stopped)
    plain = answers(engine, greedy)
    ended = 0
    for key, completion in found.items():
        assert "=" not in completion.text
        assert plain[key].text.startswith(completion.text)
        ended += completion.finish_reason == "stop" and plain[key].text != completion.text
    assert ended > 5


def test_a_system_message_is_read(engine, transformers_engine, greedy):
    plain = answers(engine, greedy)
    told = [replace(r, messages=(("system", "Count the apples."), *r.messages)) for r in greedy]
    found = answers(engine, told)
    assert found == answers(transformers_engine, told)
    added = {found[key].prompt_tokens - plain[key].prompt_tokens for key in found}
    assert len(added) == 1
    assert added.pop() > 3


def test_answers_come_as_they_finish(engine, greedy):
    # The highest temperature that vLLM allows, and 32 requests: which answers grow long depends on
    # the processor that trained the model, but at least one does on every processor.
    long = [
        replace(greedy[n % 8], key=f"long {n}", max_tokens=150, temperature=2.0, seed=n)
        for n in range(32)
    ]
    short = [replace(r, max_tokens=1) for r in greedy[:8]]
    order = list(engine.complete([*long, *short]))
    longest = max(order, key=lambda completion: completion.completion_tokens)
    assert longest.completion_tokens > 30
    places = {completion.key: place for place, completion in enumerate(order)}
    assert all(places[request.key] < places[longest.key] for request in short)


def test_no_requests_give_no_answers(engine):
    assert list(engine.complete([])) == []


def test_a_prompt_that_does_not_fit_is_refused(engine, kind, greedy):
    long = replace(greedy[0], key="long", messages=(("user", "apples " * 2060),), max_tokens=9)
    if kind == "openai":
        # Only the server knows which requests fit; it answers these.
        found = answers(engine, [greedy[1], long])
        assert found["long"] == Completion("long", "", "rejected", 0, 0)
        assert found["1"].text
        return
    with pytest.raises(ValueError, match=r"request long: 20\d\d prompt tokens and 9 to"):
        list(engine.complete([long]))


def test_an_engine_that_was_left_in_the_middle_answers_others(engine, greedy):
    some = engine.complete(greedy)
    next(some)
    some.close()
    again = [replace(request, key=f"again {request.key}") for request in greedy[:5]]
    assert len(answers(engine, again)) == 5
    assert answers(engine, greedy[:5]) == {
        key.removeprefix("again "): replace(completion, key=key.removeprefix("again "))
        for key, completion in answers(engine, again).items()
    }


def test_the_journal_keeps_what_was_answered(engine, kind, sampled, tmp_path):
    first = list(ResponseCache(tmp_path, kind).complete(lambda: engine, sampled[:20], silent))
    asked = []

    class Counting:
        def complete(self, requests, adapter=None):
            taken = list(requests)
            asked.extend(taken)
            return engine.complete(taken, adapter)

    both = list(ResponseCache(tmp_path, kind).complete(Counting, sampled[:30], silent))
    assert [request.key for request in asked] == [str(n) for n in range(20, 30)]
    assert {c.key: c.text for c in first}.items() <= {c.key: c.text for c in both}.items()


# --- adapters


@pytest.fixture(scope="module")
def adapters(tiny_model, tmp_path_factory):
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    folders = []
    for number, rank in enumerate((2, 8)):
        torch.manual_seed(number)
        lora = LoraConfig(r=rank, target_modules="all-linear", init_lora_weights=False)
        folders.append(tmp_path_factory.mktemp("adapter"))
        get_peft_model(AutoModelForCausalLM.from_pretrained(tiny_model), lora).save_pretrained(
            folders[-1]
        )
    return folders


@pytest.mark.parametrize("kind", ["transformers", "vllm"])
def test_adapters_take_turns_on_one_engine(engine, transformers_engine, adapters, greedy):
    before = answers(engine, greedy)
    found = [answers(engine, greedy, adapter) for adapter in adapters]
    assert found == [answers(transformers_engine, greedy, adapter) for adapter in adapters]
    assert before != found[0] != found[1]
    assert answers(engine, greedy, adapters[0]) == found[0]
    assert answers(engine, greedy) == before


def test_adapters_that_are_asked_in_turn_share_steps_and_answer_as_alone(
    vllm_engine, adapters, greedy
):
    alone = [answers(vllm_engine, greedy, adapter) for adapter in adapters]
    steps = []
    step = vllm_engine._engine.step
    vllm_engine._engine.step = lambda: steps.append(1) or step()
    try:
        together = in_turn([vllm_engine.complete(greedy, adapter) for adapter in adapters])
        shared, steps[:] = len(steps), []
        for adapter in adapters:
            answers(vllm_engine, greedy, adapter)
    finally:
        vllm_engine._engine.step = step
    assert together == alone
    assert shared < len(steps)


def test_the_limits_of_a_step_are_vllms_own(vllm_engine, tiny_model):
    from vllm import EngineArgs
    from vllm.usage.usage_lib import UsageContext

    own = EngineArgs(str(tiny_model)).create_engine_config(UsageContext.LLM_CLASS)
    limits = vllm_engine._engine.vllm_config.scheduler_config
    assert limits.max_num_batched_tokens == own.scheduler_config.max_num_batched_tokens
    # Stated, by batch_size.
    assert limits.max_num_seqs == 48 < own.scheduler_config.max_num_seqs


def test_an_endpoint_takes_no_adapter(openai_engine, adapters, greedy):
    with pytest.raises(ValueError, match="does not load the adapter"):
        list(openai_engine.complete(greedy, adapters[0]))


def test_a_student_thinks_as_its_rows_do_and_answers_without(
    vllm_engine, transformers_engine, server, thinker
):
    request = Request("0", (("user", "How many?"),), 48)
    hosted = EngineJob.of("openai", base_url=server, model="thinker", key_variable="VLLM_API_KEY")
    (asked,) = load_engine(None, hosted).complete([request])
    for engine in (transformers_engine, vllm_engine):
        (found,) = engine.complete([request], thinker)
        assert (found.thinking, found.text) == ("1 + 2 = 3", "#### 3")
        assert 0 < found.thinking_tokens < found.completion_tokens
        assert (asked.thinking, asked.text) == (found.thinking, found.text)


def test_scores_are_the_same_item_by_item(
    vllm_engine, transformers_engine, openai_engine, tmp_path
):
    items = load_world("mini_math").items("test", 60, seed=4)
    requests = item_requests(items, "{question}", 24)
    scorer = make_scorer("number", {}, tmp_path)
    tables = [
        evaluate(items, requests, engine.complete(requests), scorer, "flexible", silent)
        for engine in (transformers_engine, vllm_engine, openai_engine)
    ]
    assert tables[0].equals(tables[1])
    assert tables[0].equals(tables[2])


# --- a server with a key


def test_a_server_asks_for_the_key(server, greedy, monkeypatch):
    monkeypatch.setenv("WRONG_KEY", "not the key")
    engine = load_engine(
        None, EngineJob.of("openai", base_url=server, model="tiny", key_variable="WRONG_KEY")
    )
    with pytest.raises(EndpointError, match="HTTP 401"):
        list(engine.complete(greedy[:3]))


def test_a_model_that_the_server_does_not_have_is_named(server, greedy):
    engine = load_engine(
        None, EngineJob.of("openai", base_url=server, model="other", key_variable="VLLM_API_KEY")
    )
    with pytest.raises(EndpointError, match="other"):
        list(engine.complete(greedy[:3]))
