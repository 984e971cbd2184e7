"""What was spent: every answer is booked once, by the server's own bill, whatever happens."""

from __future__ import annotations

import json
import os
import shutil
from types import SimpleNamespace

import pytest

from endpoint import Endpoint, completion, error, running
from seedbed.amounts import dollars
from seedbed.analysis.decide.costs import CellUse, cell_costs
from seedbed.analysis.settings import ModelPrice
from seedbed.engines import Completion, EngineJob, Request, load_engine
from seedbed.engines import openai_engine as openai
from seedbed.engines.books import Book, Books, Spent, priced
from seedbed.engines.cap import Purse
from seedbed.engines.ledger import Ledger
from seedbed.engines.settings import Cap, OpenAISettings, Price, Used, VLLMSettings
from seedbed.engines.spending import sentence
from seedbed.run.progress import waiting
from seedbed.study import quote
from seedbed.study.spending import Account

PRICE = Price(
    usd_per_million_prompt_tokens=2.0,
    usd_per_million_completion_tokens=8.0,
    usd_per_million_cached_tokens=0.5,
    usd_per_million_thinking_tokens=4.0,
    usd_per_request=0.001,
    batch_factor=0.5,
    date="2026-01-31",
)
USAGE = {
    "prompt_tokens": 100, "completion_tokens": 30, "total_tokens": 150,
    "prompt_tokens_details": {"cached_tokens": 60},
}  # fmt: skip
# 20 tokens of thinking beside those that are counted.
USD = (40 * 2.0 + 60 * 0.5 + 30 * 8.0 + 20 * 4.0) / 1e6 + 0.001


@pytest.fixture
def endpoint(monkeypatch):
    monkeypatch.setattr(openai, "FIRST_WAIT", 0.001)
    with running(Endpoint()) as served:
        served.behave = lambda body, before: completion("3") | {"usage": USAGE}
        yield served


def ask(endpoint, folder, count, name="q", price=PRICE, **settings):
    cap = Cap(ledger=str(folder), model="m", stage="answers", price=price)
    job = EngineJob.of(
        "openai", base_url=endpoint.url, model="m", concurrency=4, cap=cap, **settings
    )
    requests = [Request(f"{n}", (("user", f"{name} {n}"),), max_tokens=9) for n in range(count)]
    try:
        return [*load_engine(None, job).complete(requests)]
    except openai.EndpointError as ended:
        return ended


def test_each_kind_of_token_has_its_price(endpoint, tmp_path):
    ask(endpoint, tmp_path, 7)
    (spent,) = Books(tmp_path).spent().values()
    assert spent.used == Used(7, 700, 420, 350, 140)
    assert spent.usd == pytest.approx(7 * USD, rel=1e-12)
    assert (spent.doubts, spent.queries) == (0, 7)
    assert PRICE.usd(Used(1, 100, 60, 50, 20), batch=True) == pytest.approx(USD / 2)


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_cache_hit_tokens": 60, "prompt_cache_miss_tokens": 40},
        {"prompt_tokens_details": {"cached_tokens": 60}},
        {"prompt_tokens_details": {"cached_tokens": 6000}},
        {"prompt_tokens_details": None},
    ],
)
def test_cached_tokens_are_read_in_every_form_and_are_some_of_the_prompt(endpoint, tmp_path, usage):
    endpoint.behave = lambda body, before: (
        completion("3") | {"usage": {"prompt_tokens": 100, "completion_tokens": 3} | usage}
    )
    (answer,) = ask(endpoint, tmp_path, 1)
    assert answer.cached_tokens in (0, 60, 100)
    assert (answer.cached_tokens == 0) == (usage == {"prompt_tokens_details": None})


def test_a_refusal_costs_nothing_and_is_no_query(endpoint, tmp_path):
    answer = endpoint.behave
    endpoint.behave = lambda body, before: (
        error(400, "This prompt is too long")
        if body["messages"][0]["content"] == "q 3"
        else answer(body, before)
    )
    found = ask(endpoint, tmp_path, 8)
    assert sum(one.refused for one in found) == 1
    (spent,) = Books(tmp_path).spent().values()
    assert (spent.used.requests, spent.queries, spent.doubts) == (7, 7, 0)
    assert spent.usd == pytest.approx(7 * USD)


def test_what_may_have_been_billed_is_in_doubt_and_apart(endpoint, tmp_path):
    answer = endpoint.behave
    endpoint.behave = lambda body, before: b"half" if before == 0 else answer(body, before)
    ask(endpoint, tmp_path, 5)
    (spent,) = Books(tmp_path).spent().values()
    assert spent.usd == pytest.approx(5 * USD)
    assert spent.doubts == 5
    assert spent.doubts_usd > 0


def account(folder, engine):
    study = SimpleNamespace(
        name="s", models={"m": SimpleNamespace(price=PRICE)}, engine=lambda model: engine
    )
    return Account(study, Books(folder))


def test_dollars_stay_when_a_model_moves_to_the_jobs_of_the_study(endpoint, tmp_path):
    ask(endpoint, tmp_path, 5)
    for engine in (OpenAISettings(base_url="http://x/v1"), VLLMSettings()):
        found = account(tmp_path, engine).record()
        assert found.usd == pytest.approx(5 * USD)
        assert sentence(found).startswith(dollars(found.usd))


@pytest.mark.parametrize("by_hand", [0, 3])
def test_the_first_run_books_once_what_is_in_no_book(endpoint, tmp_path, monkeypatch, by_hand):
    used = Used(10, 1000, 0, 300)
    there = {("answers", "m"): Spent(used, unpriced=used, queries=10)}
    asked = []
    monkeypatch.setattr(quote, "answered", lambda *_: asked.append(1) or there)
    ask(endpoint, tmp_path, by_hand)
    for _ in range(2):
        one = account(tmp_path, OpenAISettings(base_url="http://x/v1"))
        one.open(tmp_path, None, tmp_path, limited=True)
        (spent,) = one.books.spent().values()
        assert (spent.used.requests, spent.queries) == (10, 10)
        ledger = Ledger(tmp_path).spent()
        assert (ledger.queries, ledger.usd) == (10, pytest.approx(one.paid()[1]))
    assert asked == [1]


def test_verdicts_of_a_judge_that_are_in_no_book_are_booked(tmp_path, monkeypatch):
    done = quote.Done(1, 10, 1000, 300)
    monkeypatch.setattr(quote, "work", lambda *_: [SimpleNamespace(stage="judging", model="m")])
    monkeypatch.setattr(quote, "_done", lambda *_, **__: done)
    one = account(tmp_path, OpenAISettings(base_url="http://x/v1"))
    one.study.shards = None
    one.open(tmp_path, SimpleNamespace(cells=()), tmp_path, limited=False)
    (line,) = one.record().lines
    assert (line.stage, line.requests) == ("judging", 10)
    assert line.usd == pytest.approx((1000 * 2.0 + 300 * 8.0) / 1e6 + 10 * 0.001)


def test_copies_that_are_put_together_count_once_and_unfinished_lines_not_at_all(
    endpoint, tmp_path
):
    ask(endpoint, tmp_path / "one", 5)
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    ask(endpoint, tmp_path / "two", 3, "other")
    shutil.copytree(tmp_path / "two", tmp_path / "one", dirs_exist_ok=True)
    (spent,) = Books(tmp_path / "one").spent().values()
    assert spent.usd == pytest.approx(8 * USD)
    book = Book(tmp_path / "one", "answers", "m", queries=True, name="late")
    book.begin(0.5)
    with (tmp_path / "one/late.jsonl").open("a") as file:
        file.write('["-", 0.5, 0.1, 1')
    (spent,) = Books(tmp_path / "one").spent().values()
    assert (spent.used.requests, spent.doubts, spent.doubts_usd) == (8, 1, 0.5)


def test_an_open_book_is_read_on_and_a_closed_one_anew(tmp_path):
    books, book = Books(tmp_path), Book(tmp_path, "questions", "m", queries=False, name="m")
    assert books.spent() == {}
    answer = Completion("1", "3", "stop", 10, 2)
    for count in range(1, 31):
        book.begin(0.1)
        book.answered(0.1, answer, 0.01)
        spent = books.spent()["questions", "m"]
        assert (spent.used.requests, spent.queries) == (count, 0)
    size = (tmp_path / "m.jsonl").stat().st_size
    book.close()
    assert (tmp_path / "m.jsonl").stat().st_size < size
    spent = books.spent()["questions", "m"]
    assert (spent.used, spent.doubts) == (Used(30, 300, 0, 60, 0), 0)
    assert spent.usd == pytest.approx(0.3)


def test_what_had_no_price_has_that_of_today_and_what_had_one_keeps_it(endpoint, tmp_path):
    ask(endpoint, tmp_path, 2, price=Price())
    ask(endpoint, tmp_path, 3, "other")
    (spent,) = Books(tmp_path).spent().values()
    assert spent.unpriced.requests == 2
    dearer = PRICE.model_copy(update={"usd_per_request": 1.0})
    assert priced(spent, dearer).usd == pytest.approx(5 * USD + 2 * 0.999)
    assert priced(spent, Price()) == spent


def test_sums_of_many_books_are_exact_to_the_cent():
    one = Spent(Used(1, 5, 0, 3, 0), usd=0.0035)
    assert round(sum([one] * 1000, Spent()).usd, 9) == 3.5


@pytest.mark.parametrize(
    ("usd", "said"),
    [
        (0, "$0.00"), (0.0000123, "$0.000012"), (0.004, "$0.0040"), (0.0996, "$0.100"),
        (0.35, "$0.35"), (1, "$1.00"), (1234.567, "$1,234.57"),
    ],
)  # fmt: skip
def test_amounts_are_said_as_what_they_are(usd, said):
    assert dollars(usd) == said


def test_a_broken_book_is_named(tmp_path):
    (tmp_path / "a.jsonl").write_text(json.dumps({"stage": "answers"}) + "\n")
    with pytest.raises(ValueError, match=r"a\.jsonl is not a book's entry"):
        Books(tmp_path).spent()


def test_what_one_process_sent_and_another_one_finds_is_booked_once(tmp_path):
    """As batches are: in doubt while they are under way, and then what they cost."""
    request = Request("1", (("user", "q"),), max_tokens=9)
    cap = Cap(
        ledger=str(tmp_path), model="m", stage="answers", price=PRICE, max_usd=1.0, batch=True
    )
    ledger = Ledger(tmp_path)
    ledger.open((0, 0.0))
    sender = Purse(cap)
    assert sender.take(request)
    sender.close(under_way=True)
    (spent,) = Books(tmp_path).spent().values()
    assert (spent.doubts, spent.queries, spent.usd) == (1, 1, 0)
    ledger.open((spent.queries, spent.doubts_usd))
    finder = Purse(cap)
    finder.settle(
        request, Completion("1", "3", "stop", 100, 50, thinking_tokens=20, cached_tokens=60)
    )
    finder.close()
    (spent,) = Books(tmp_path).spent().values()
    assert (spent.doubts, spent.queries, spent.used.requests) == (0, 1, 1)
    assert spent.usd == pytest.approx(USD / 2)
    assert spent.doubts_usd == pytest.approx(0)
    assert (ledger.spent().queries, ledger.spent().usd) == (1, pytest.approx(USD / 2))


CELL = {
    "teacher": "t", "augmenter": "a", "student": "s", "filter": "none", "teacher_queries": 10,
    "augmenter_queries": 5, "teacher_prompt_tokens": 1000, "teacher_completion_tokens": 500,
    "augmenter_prompt_tokens": 100, "augmenter_completion_tokens": 50,
    "generation_seconds": 1800.0, "training_seconds": 3600.0,
}  # fmt: skip
TOKENS = {"usd_per_million_prompt_tokens": 2.0, "usd_per_million_completion_tokens": 8.0}


def test_cells_cost_tokens_requests_batches_and_hours_of_gpus():
    def usd(**prices):
        costs, unknown = cell_costs(
            CellUse.of(CELL), {name: ModelPrice(**price) for name, price in prices.items()}
        )
        return costs["usd"], unknown

    tokens = (1100 * 2 + 550 * 8) / 1e6
    assert usd(t=TOKENS, a=TOKENS)[0] == pytest.approx(tokens)
    each = TOKENS | {"usd_per_request": 0.01}
    assert usd(t=each, a=each)[0] == pytest.approx(tokens + 0.15)
    half = each | {"factor": 0.5}
    assert usd(t=half, a=half)[0] == pytest.approx((tokens + 0.15) / 2)
    hour = {"usd_per_million_prompt_tokens": None, "usd_per_hour": 3.0}
    assert usd(t=hour, a=hour) == (pytest.approx(1.5), [])
    trained = {"usd_per_training_hour": 4.0}
    assert usd(t=hour, a=hour, s=trained) == (pytest.approx(5.5), [])
    assert usd(t=TOKENS, a=TOKENS, s=trained)[0] == pytest.approx(tokens + 4)
    # Whose seconds they are is not known where only one of two is paid by the hour.
    assert usd(t=TOKENS, a=hour) == (None, ["hours of a alone"])
    assert usd(t=TOKENS, a={}) == (None, ["price of a"])


def test_waits_are_shown_while_they_last(tmp_path):
    log = tmp_path / "job.log"
    log.write_text("answering\nhttp://x failed 3 times: waiting, 8 s before the next try\n")
    assert waiting(log).startswith("http://x failed 3 times: waiting")
    os.utime(log, (0, 0))
    assert waiting(log) is None
    log.write_text("http://x limits requests: waiting, 60 s\nanswer_questions: 256 queries\n")
    assert waiting(log) is None
    assert waiting(tmp_path / "none.log") is None


def test_retries_and_slow_answers_are_said_with_how_many_were_answered(
    endpoint, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(openai, "SAY_EVERY", 0.1)
    answer = endpoint.behave
    endpoint.behave = lambda body, before: error(500) if before == 0 else answer(body, before)
    ask(endpoint, tmp_path, 3)
    assert "times: waiting, " in capsys.readouterr().err
    endpoint.latency = 0.5
    ask(endpoint, tmp_path, 1, "slow")
    said = capsys.readouterr().err
    assert "gave no answer for" in said and "waiting for 1 requests; 0 were answered" in said
