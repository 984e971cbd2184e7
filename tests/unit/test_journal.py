import json
from dataclasses import replace

import pytest
from recording_engine import KilledError, RecordingEngine, echo, no_engine, timeless

from seedbed.engines import Request
from seedbed.streams import journal as module
from seedbed.streams.journal import Journal, request_digest

REQUESTS = [
    Request(key=str(n), messages=(("user", f"question {n}"),), max_tokens=9, seed=n)
    for n in range(20)
]


def silent(text):
    pass


def ask(folder, engine, requests=REQUESTS, model="m"):
    answers = Journal(folder, model).complete(lambda: engine, requests, silent)
    return {completion.key: completion for completion in answers}


def test_each_request_is_asked_once_and_answered_under_its_key(tmp_path):
    engine = RecordingEngine(echo)
    answers = ask(tmp_path, engine)
    assert len(engine.asked) == len(REQUESTS)
    assert {key: answer.text for key, answer in answers.items()} == {
        request.key: echo(request)[0] for request in REQUESTS
    }


def test_what_is_known_is_answered_without_an_engine_also_under_another_key(tmp_path):
    first = ask(tmp_path, RecordingEngine(echo))
    renamed = [replace(request, key=f"other {request.key}") for request in REQUESTS]
    again = {
        completion.key: completion
        for completion in Journal(tmp_path, "m").complete(no_engine, renamed, silent)
    }
    assert again == {
        f"other {key}": replace(answer, key=f"other {key}") for key, answer in first.items()
    }


def test_seconds_add_up_to_the_time_that_the_engine_took_and_are_kept(tmp_path, monkeypatch):
    clock = iter(range(0, 1000, 2))
    monkeypatch.setattr(module.time, "monotonic", lambda: float(next(clock)))
    first = ask(tmp_path, RecordingEngine(echo))
    assert all(completion.seconds > 0 for completion in first.values())
    again = Journal(tmp_path, "m").complete(no_engine, REQUESTS, silent)
    assert {completion.key: completion for completion in again} == first


def test_no_requests_need_no_engine(tmp_path):
    assert list(Journal(tmp_path, "m").complete(no_engine, [], silent)) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("after", [0, 1, 7, 19])
@pytest.mark.parametrize("part", [1, 3, 256])
def test_a_run_that_died_asks_for_the_rest_alone(tmp_path, monkeypatch, after, part):
    monkeypatch.setattr(module, "PART_COMPLETIONS", part)
    whole = ask(tmp_path / "whole", RecordingEngine(echo))
    dying = RecordingEngine(echo, die_after=after)
    with pytest.raises(KilledError):
        ask(tmp_path / "killed", dying)
    second = RecordingEngine(echo)
    assert timeless(ask(tmp_path / "killed", second)) == timeless(whole)
    assert len(dying.asked) == after
    assert sorted(r.key for r in dying.asked + second.asked) == sorted(r.key for r in REQUESTS)


def test_a_kill_that_lets_nothing_be_written_costs_the_last_part_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "PART_COMPLETIONS", 4)
    answers = Journal(tmp_path, "m").complete(lambda: RecordingEngine(echo), REQUESTS, silent)
    for _ in range(10):
        next(answers)
    # What lies on disk now is what a power cut would leave: two parts of four.
    known = [key for part in tmp_path.glob("part-*.json") for key in json.loads(part.read_text())]
    assert len(set(known)) == len(known) == 8


def test_a_reader_that_stops_early_loses_nothing(tmp_path):
    answers = Journal(tmp_path, "m").complete(lambda: RecordingEngine(echo), REQUESTS, silent)
    for _ in range(5):
        next(answers)
    answers.close()
    second = RecordingEngine(echo)
    assert len(ask(tmp_path, second)) == len(REQUESTS)
    assert len(second.asked) == len(REQUESTS) - 5


def test_answers_are_written_when_they_have_waited_long_enough(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "PART_SECONDS", -1.0)
    said = []
    answers = Journal(tmp_path, "m").complete(lambda: RecordingEngine(echo), REQUESTS, said.append)
    next(answers)
    assert len(list(tmp_path.glob("part-*.json"))) == 1
    assert said == ["1 of 20 queries"]


def test_two_processes_may_write_into_one_folder(tmp_path):
    first, second = Journal(tmp_path, "m"), Journal(tmp_path, "m")
    list(first.complete(lambda: RecordingEngine(echo), REQUESTS[:12], silent))
    list(second.complete(lambda: RecordingEngine(echo), REQUESTS[8:], silent))
    assert len(list(Journal(tmp_path, "m").complete(no_engine, REQUESTS, silent))) == 20


@pytest.mark.parametrize(
    "change",
    [
        {"messages": (("user", "question 0 "),)},
        {"messages": (("system", "question 0"),)},
        {"messages": (("user", "question"), ("user", "0"))},
        {"max_tokens": 10},
        {"temperature": 0.7},
        {"top_p": 0.9},
        {"seed": 1},
    ],
)
def test_whatever_determines_an_answer_makes_another_question(tmp_path, change):
    first = REQUESTS[0]
    ask(tmp_path, RecordingEngine(echo), [first])
    engine = RecordingEngine(echo)
    ask(tmp_path, engine, [replace(first, **change)])
    assert len(engine.asked) == 1


def test_another_model_is_asked_again(tmp_path):
    ask(tmp_path, RecordingEngine(echo), model="m")
    engine = RecordingEngine(echo)
    ask(tmp_path, engine, model="n")
    assert len(engine.asked) == len(REQUESTS)


def test_the_key_has_no_part_in_the_digest():
    first, second = (replace(REQUESTS[0], key=key) for key in "ab")
    assert request_digest(first, "m") == request_digest(second, "m")


def test_a_half_written_file_of_a_dead_process_is_passed_over(tmp_path):
    ask(tmp_path, RecordingEngine(echo))
    (part,) = tmp_path.glob("part-*.json")
    (tmp_path / f".0123456789ab.{part.name}").write_text(part.read_text()[:50])
    assert len(list(Journal(tmp_path, "m").complete(no_engine, REQUESTS, silent))) == 20


def test_a_broken_file_is_named(tmp_path):
    (tmp_path / "part-0.json").write_text('{"ab": {"key"')
    with pytest.raises(ValueError, match=r"part-0\.json is not valid JSON .* delete it"):
        Journal(tmp_path, "m")


def test_an_engine_that_forgets_a_request_is_found_out(tmp_path):
    class Forgetful(RecordingEngine):
        def complete(self, requests):
            return super().complete(list(requests)[1:])

    with pytest.raises(RuntimeError, match="the engine answered 19 of 20 requests"):
        ask(tmp_path, Forgetful(echo))


def test_any_text_survives_the_journal(tmp_path):
    texts = ["", "naïve 🌱\u2028", "a\nb\t\x00", '"{}\\', "�"]
    requests = REQUESTS[: len(texts)]
    engine = RecordingEngine(lambda request: (texts[int(request.key)], "length"))
    first = ask(tmp_path, engine, requests)
    again = {c.key: c for c in Journal(tmp_path, "m").complete(no_engine, requests, silent)}
    assert again == first
    assert [again[request.key].text for request in requests] == texts
