"""The cap: jobs that run together never ask more than it allows, by the server's own count."""

import errno
import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from recording_engine import RecordingEngine, echo

from answering import command, on_disk, write_inputs
from endpoint import Endpoint, completion, error, running
from seedbed.engines import Completion, EngineJob, Request, load_engine
from seedbed.engines import cap as cap_module
from seedbed.engines import openai_engine as openai
from seedbed.engines.books import Books, total
from seedbed.engines.cap import CappedEngine, CapReachedError, Ledger, Purse
from seedbed.engines.settings import Cap

CONCURRENCY = 16
PROMPT_TOKENS, COMPLETION_TOKENS = 5, 3  # of each answer of the endpoint
PRICE = {
    "usd_per_million_prompt_tokens": 1000.0, "usd_per_million_completion_tokens": 2000.0,
    "date": "2026-01-31",
}  # fmt: skip
USD = (PROMPT_TOKENS * 1000 + COMPLETION_TOKENS * 2000) / 1e6


@pytest.fixture
def endpoint():
    with running(Endpoint()) as served:
        yield served


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(openai, "FIRST_WAIT", 0.001)


@pytest.fixture
def ledger(tmp_path):
    found = Ledger(tmp_path / "ledger")
    found.open((0, 0.0))
    return found


def cap_of(tmp_path, queries=None, usd=None, counts=True, **price):
    return Cap(
        ledger=str(tmp_path / "ledger"),
        max_teacher_queries=queries,
        max_usd=usd,
        counts_queries=counts,
        model="m",
        stage="answers" if counts else "questions",
        price=PRICE | price,
    )


def requests_of(count, name="q"):
    return [Request(f"{n}", (("user", f"{name} {n}"),), max_tokens=9) for n in range(count)]


def ask(endpoint, cap, requests):
    """Return what was answered before the end, and the error that ended it."""
    engine = load_engine(
        None, EngineJob.of("openai", base_url=endpoint.url, model="m", concurrency=8, cap=cap)
    )
    found = {}
    try:
        for answer in engine.complete(requests):
            found[answer.key] = answer
    except CapReachedError as reached:
        return found, reached
    return found, None


@pytest.mark.parametrize("most", [0, 1, 7, 63, 64, 65, 200])
def test_a_job_asks_as_many_as_the_cap_allows_and_not_one_more(endpoint, ledger, tmp_path, most):
    found, reached = ask(endpoint, cap_of(tmp_path, most), requests_of(300))
    assert len(found) == len(endpoint.asked) == most
    assert f"max_teacher_queries is {most}, and {most} were asked" in str(reached)
    assert f"{300 - most} queries of this job are left to ask" in str(reached)
    assert ledger.spent().queries == most
    assert ledger.spent().doubtful == 0


def test_a_cap_that_is_not_reached_is_not_felt(endpoint, ledger, tmp_path):
    found, reached = ask(endpoint, cap_of(tmp_path, 300, 100.0), requests_of(300))
    assert reached is None
    assert len(found) == 300
    assert ledger.spent().usd == pytest.approx(300 * USD)


def test_dollars_are_those_of_the_answers_and_stay_below_the_cap(endpoint, ledger, tmp_path):
    # At most, a request of this kind costs several times of what it turns out to cost.
    found, reached = ask(endpoint, cap_of(tmp_path, usd=1.0), requests_of(300))
    spent = len(endpoint.asked) * USD
    assert spent <= 1.0
    assert ledger.spent().usd == pytest.approx(spent)
    assert "max_usd is $1.00, and" in str(reached)
    # What is left would not pay for one that costs the most it could.
    assert spent > 1.0 - 0.1
    assert len(found) == len(endpoint.asked)


def test_questions_of_augmenters_cost_dollars_and_are_no_queries_of_teachers(
    endpoint, ledger, tmp_path
):
    found, reached = ask(endpoint, cap_of(tmp_path, 5, counts=False), requests_of(40))
    assert reached is None
    assert len(found) == 40
    assert (ledger.spent().queries, ledger.spent().usd) == (0, pytest.approx(40 * USD))


def test_every_try_counts(endpoint, ledger, tmp_path):
    endpoint.behave = lambda body, before: error(500) if before == 0 else None
    found, reached = ask(endpoint, cap_of(tmp_path, 51), requests_of(100))
    assert len(endpoint.asked) == 51
    assert reached is not None
    assert ledger.spent().queries == 51
    assert len(found) <= 25


def test_an_answer_that_is_missing_may_have_been_paid_for(endpoint, ledger, tmp_path):
    endpoint.behave = lambda body, before: b"half an ans" if before == 0 else None
    ask(endpoint, cap_of(tmp_path, usd=100.0), requests_of(4))
    assert ledger.spent().usd > 4 * 2 * USD


def test_a_refused_try_costs_no_dollars(endpoint, ledger, tmp_path):
    endpoint.behave = lambda body, before: error(429) if before == 0 else None
    found, _ = ask(endpoint, cap_of(tmp_path, usd=100.0), requests_of(4))
    assert len(found) == 4
    assert ledger.spent().usd == pytest.approx(4 * USD)


def test_a_provider_that_bills_more_than_was_foreseen_is_asked_for_less(endpoint, ledger, tmp_path):
    # Thinking beside the limit of 9 tokens: about 24 times as much as a request could cost.
    endpoint.behave = lambda body, before: (
        completion("3")
        | {"usage": {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 505}}
    )
    usd = (5 * 1000 + 500 * 2000) / 1e6
    found, reached = ask(endpoint, cap_of(tmp_path, usd=20.0), requests_of(300))
    assert "max_usd is $20.00, and" in str(reached)
    # Those that were under way when the first answer came, and no more.
    assert usd * len(endpoint.asked) <= 20.0 + 8 * usd
    assert ledger.spent().usd == pytest.approx(usd * len(endpoint.asked))
    assert len(found) == len(endpoint.asked) >= 8
    asked = len(endpoint.asked)
    _, reached = ask(endpoint, cap_of(tmp_path, usd=24.0), requests_of(300, "other"))
    assert usd * (len(endpoint.asked) - asked) <= 4.0 + 8 * usd


def test_a_request_that_is_one_too_many_is_no_query(endpoint, ledger, tmp_path):
    endpoint.behave = lambda body, before: error(429) if before < 3 else None
    found, reached = ask(endpoint, cap_of(tmp_path, 10), requests_of(10))
    assert (len(found), reached) == (10, None)
    assert ledger.spent().queries == 10
    assert len(endpoint.asked) == 40


def test_engines_of_this_machine_are_capped_as_well(ledger, tmp_path):
    inner = RecordingEngine(echo)
    engine = CappedEngine(inner, cap_of(tmp_path, 70))
    found = []
    with pytest.raises(CapReachedError, match="130 queries of this job are left"):
        found.extend(engine.complete(requests_of(200)))
    assert len(found) == len(inner.asked) == 70
    assert ledger.spent().queries == 70


def test_who_stops_reading_gives_back_what_was_not_asked(endpoint, ledger, tmp_path):
    engine = load_engine(
        None,
        EngineJob.of(
            "openai", base_url=endpoint.url, model="m", concurrency=4, cap=cap_of(tmp_path, 500)
        ),
    )
    answers = engine.complete(requests_of(300))
    for _ in range(10):
        next(answers)
    answers.close()
    time.sleep(0.2)
    spent = ledger.spent()
    assert spent.doubtful == 0
    assert len(endpoint.asked) <= spent.queries <= 10 + 2 * 4


def test_a_new_run_frees_what_a_killed_one_had_reserved_and_not_asked(ledger, tmp_path):
    assert Purse(cap_of(tmp_path, 100)).take(requests_of(1)[0])  # and is never heard of again
    left_open = ledger.spent()
    assert left_open.queries == left_open.doubtful > 1
    books = total(Books(tmp_path / "ledger").spent().values())
    assert (books.doubts, books.queries) == (1, 1)
    ledger.open((books.queries, 0.0))
    assert (ledger.spent().queries, ledger.spent().doubtful) == (1, 0)


@pytest.mark.slow
def test_a_purse_takes_small_and_large_requests_as_they_come(ledger, tmp_path):
    dice = random.Random(1)
    cap = cap_of(tmp_path, usd=5.0)
    purses = [Purse(cap) for _ in range(3)]
    spent = 0.0
    for n in range(1500):
        purse = dice.choice(purses)
        request = Request(
            str(n), (("user", "x" * dice.choice((1, 10, 400))),), dice.choice((1, 50, 500))
        )
        if not purse.take(request):
            continue
        answer = Completion(
            str(n), "", "stop", dice.randint(1, 30), dice.randint(1, request.max_tokens)
        )
        spent += (answer.prompt_tokens * 1000 + answer.completion_tokens * 2000) / 1e6
        purse.settle(request, answer)
    for purse in purses:
        purse.close()
    assert 4.0 < spent <= 5.0
    assert ledger.spent().usd == pytest.approx(spent)


def test_room_that_another_job_has_reserved_may_come_back(ledger, tmp_path):
    """A request may cost nearly all of the cap, and costs a hundredth of that."""
    cap = cap_of(tmp_path, usd=0.08)
    first, second = Purse(cap), Purse(cap)
    (request,) = requests_of(1)
    assert first.take(request)
    assert not second.take(request) and second.may_get_room()
    first.settle(request, Completion("0", "", "stop", 1, 1))
    first.close()
    assert second.take(request)
    # Neither waits for the other where nothing is under way, but each tries once more.
    second.settle(request, Completion("0", "", "stop", 30, 1))
    assert not first.take(request) and not second.take(request)
    for purse in (first, second):
        assert purse.may_get_room() and not purse.may_get_room()


def test_nobody_waits_for_a_job_that_has_ended(ledger, tmp_path, monkeypatch):
    cap = cap_of(tmp_path, usd=0.08)
    script = "; ".join(
        (
            "import sys, os",
            "from seedbed.engines import Request",
            "from seedbed.engines.cap import Purse",
            "from seedbed.engines.settings import Cap",
            "cap = Cap.model_validate_json(sys.argv[1])",
            "assert Purse(cap).take(Request('0', (('user', 'q 0'),), max_tokens=9))",
            "os._exit(0)",
        )
    )
    subprocess.run(
        [sys.executable, "-c", script, cap.model_dump_json()],
        check=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    purse = Purse(cap)
    assert not purse.take(requests_of(1)[0])
    assert purse.may_get_room() and not purse.may_get_room()
    # Of another machine's, it is not known: until it has reserved the same for too long.
    monkeypatch.setattr("socket.gethostname", lambda: "another")
    monkeypatch.setattr(cap_module, "PATIENCE_SECONDS", 0.2)
    assert purse.may_get_room() and purse.may_get_room()
    time.sleep(0.3)
    assert not purse.may_get_room()


def test_a_job_without_its_ledger_says_so(tmp_path):
    with pytest.raises(FileNotFoundError, match="no ledger"):
        Purse(cap_of(tmp_path, 5)).take(requests_of(1)[0])


# --- jobs that run together


@pytest.fixture
def folder(tmp_path, questions):
    write_inputs(tmp_path, questions)
    return tmp_path


def start(folder, endpoint, name, most, queries, **environment):
    cap = {
        "ledger": str(folder / "ledger"), "max_teacher_queries": most, "max_usd": None,
        "counts_queries": True, "price": PRICE,
    }  # fmt: skip
    return subprocess.Popen(
        command(folder, endpoint, name, queries, concurrency=CONCURRENCY, cap=cap),
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ | environment,
    )


@pytest.mark.slow
def test_concurrent_jobs_together_stay_at_the_cap_and_go_on_when_it_is_raised(
    folder, endpoint, ledger
):
    endpoint.latency = 0.01
    jobs = [start(folder, endpoint, name, 701, 400) for name in "abcd"]
    said = [job.communicate()[1] for job in jobs]
    assert len(endpoint.asked) == 701 == ledger.spent().queries
    assert on_disk(folder) == 701
    assert all("the cap is reached" in text for text in said)
    assert not list(folder.rglob("answers.parquet"))
    jobs = [start(folder, endpoint, name, 1600, 400) for name in "abcd"]
    assert [job.wait() for job in jobs] == [0] * 4, [job.stderr.read() for job in jobs]
    assert len(endpoint.asked) == 1600 == ledger.spent().queries
    assert len({json.dumps(body) for body in endpoint.asked}) == 1600


def test_jobs_near_the_cap_wait_for_what_others_do_not_use(endpoint, ledger, tmp_path):
    """Two jobs reserve most of the cap together, and use less than half of what they reserve."""
    endpoint.latency = 0.05
    cap = cap_of(tmp_path, usd=40 * USD + 0.05)
    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(ask, endpoint, cap, requests_of(20, name)) for name in "ab"]
        answers = [one.result() for one in asked]
    assert [(len(found), reached) for found, reached in answers] == [(20, None)] * 2
    assert ledger.spent().usd == pytest.approx(40 * USD)


@pytest.fixture(scope="module")
def no_locks(tmp_path_factory):
    """A library under which locks of files fail, or are granted to everybody."""
    if shutil.which("gcc") is None:
        pytest.skip("no gcc")
    library = tmp_path_factory.mktemp("library") / "no_locks.so"
    source = Path(__file__).with_name("no_locks.c")
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return str(library)


@pytest.mark.slow
@pytest.mark.parametrize("locks", ["none", "lie"])
def test_the_cap_holds_where_locks_of_files_do_not(folder, endpoint, ledger, no_locks, locks):
    endpoint.latency = 0.01
    faked = {"LD_PRELOAD": no_locks, "LOCKS": locks}
    probe = "import fcntl; fcntl.flock(open('/dev/null'), fcntl.LOCK_EX)"
    done = subprocess.run([sys.executable, "-c", probe], env=os.environ | faked, check=False)
    assert (done.returncode == 0) == (locks == "lie")
    jobs = [start(folder, endpoint, name, 501, 400, **faked) for name in "abc"]
    said = [job.communicate()[1] for job in jobs]
    # One may be through with its own 400 queries before.
    assert sum("the cap is reached" in text for text in said) >= 2, said
    assert len(endpoint.asked) == 501 == ledger.spent().queries


def test_a_file_system_without_hard_links_is_refused(tmp_path, monkeypatch):
    def link(source, target):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    with pytest.raises(RuntimeError, match=r"has no hard links.*put results on another one"):
        Ledger(tmp_path / "ledger").open((0, 0.0))


def test_what_an_earlier_version_spent_counts(tmp_path):
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite")) as file:
        file.executescript(
            "CREATE TABLE spent (queries INTEGER, usd REAL);"
            "CREATE TABLE leases (job TEXT PRIMARY KEY, queries INTEGER, usd REAL);"
            "INSERT INTO spent VALUES (40, 0.5); INSERT INTO leases VALUES ('a', 2, 0.25);"
        )
    assert Ledger(tmp_path / "ledger").former() == (42, 0.75)


def test_a_job_that_was_stopped_for_long_writes_no_page_of_the_past(tmp_path, monkeypatch):
    """Its page's number was used and its file removed, while it stood between two steps."""
    monkeypatch.setattr("seedbed.engines.ledger.KEPT_SECONDS", -1.0)
    ledger, late = Ledger(tmp_path / "ledger"), Ledger(tmp_path / "ledger")
    ledger.open((0, 0.0))
    cap = cap_of(tmp_path, 10_000)
    write = late._write

    def stopped(page):
        late._write = write
        for _ in range(200):
            ledger.book("other", (0, 0.0), (1, 0.0))
        assert not ledger._file(page.number).exists()
        return write(page)

    late._write = stopped
    assert late.lease("late", cap, (1, 0.0)) == (64, 0.0)
    assert (ledger.spent().queries, ledger.spent().doubtful) == (264, 64)


@pytest.mark.slow
def test_killed_jobs_never_lead_past_the_cap(folder, endpoint, ledger):
    endpoint.latency = 0.02
    endpoint.behave = lambda body, before: completion("#### 1")
    dice = random.Random(2)
    for _ in range(6):
        before = len(endpoint.asked)
        jobs = [start(folder, endpoint, name, 900, 800) for name in "ab"]
        while len(endpoint.asked) < before + 20 and any(job.poll() is None for job in jobs):
            time.sleep(0.002)
        time.sleep(dice.uniform(0, 0.15))
        for job in jobs:
            job.kill()
            job.communicate()
        time.sleep(0.1)
        assert len(endpoint.asked) <= ledger.spent().queries <= 900
        # What is in doubt is what was under way, and no more.
        books = total(Books(folder / "ledger").spent().values())
        assert books.used.requests + books.doubts == books.queries
        assert len(endpoint.asked) <= books.queries <= len(endpoint.asked) + 6 * 2 * CONCURRENCY
        assert books.used.requests >= on_disk(folder)
