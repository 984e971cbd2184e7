from dataclasses import replace

import pytest
from recording_engine import KilledError, RecordingEngine, echo, no_engine, timeless

from seedbed.engines import Request
from seedbed.streams import response_cache as module
from seedbed.streams.response_cache import ResponseCache, request_digest

REQUESTS = [
    Request(key=str(n), messages=(("user", f"question {n}"),), max_tokens=9, seed=n)
    for n in range(20)
]


def silent(text):
    pass


def ask(folder, engine, requests=REQUESTS, model="m"):
    answers = ResponseCache(folder, model).complete(lambda: engine, requests, silent)
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
        for completion in ResponseCache(tmp_path, "m").complete(no_engine, renamed, silent)
    }
    assert again == {
        f"other {key}": replace(answer, key=f"other {key}") for key, answer in first.items()
    }


def test_seconds_add_up_to_the_time_that_the_engine_took_and_are_kept(tmp_path, monkeypatch):
    clock = iter(range(0, 1000, 2))
    monkeypatch.setattr(module.time, "monotonic", lambda: float(next(clock)))
    first = ask(tmp_path, RecordingEngine(echo))
    assert all(completion.seconds > 0 for completion in first.values())
    again = ResponseCache(tmp_path, "m").complete(no_engine, REQUESTS, silent)
    assert {completion.key: completion for completion in again} == first


def test_no_requests_need_no_engine(tmp_path):
    assert list(ResponseCache(tmp_path, "m").complete(no_engine, [], silent)) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("after", [0, 1, 7, 19])
def test_a_run_that_died_asks_for_the_rest_alone(tmp_path, after):
    whole = ask(tmp_path / "whole", RecordingEngine(echo))
    dying = RecordingEngine(echo, die_after=after)
    with pytest.raises(KilledError):
        ask(tmp_path / "killed", dying)
    second = RecordingEngine(echo)
    assert timeless(ask(tmp_path / "killed", second)) == timeless(whole)
    assert len(dying.asked) == after
    assert sorted(r.key for r in dying.asked + second.asked) == sorted(r.key for r in REQUESTS)


def test_an_answer_is_on_disk_before_it_is_handed_on(tmp_path):
    answers = ResponseCache(tmp_path, "m").complete(lambda: RecordingEngine(echo), REQUESTS, silent)
    for count in range(1, 11):
        next(answers)
        (file,) = tmp_path.iterdir()
        assert len(file.read_text().splitlines()) == count


def test_a_line_that_a_death_cut_short_is_asked_for_again_and_no_other(tmp_path):
    whole = ask(tmp_path, RecordingEngine(echo))
    (file,) = tmp_path.iterdir()
    content = file.read_bytes()
    lines = content.splitlines(keepends=True)
    for kept in (0, 1, len(lines[-1]) // 2, len(lines[-1]) - 1):
        (tmp_path / "cut").mkdir(exist_ok=True)
        for old in (tmp_path / "cut").iterdir():
            old.unlink()
        (tmp_path / "cut" / file.name).write_bytes(b"".join(lines[:-1]) + lines[-1][:kept])
        engine = RecordingEngine(echo)
        assert timeless(ask(tmp_path / "cut", engine)) == timeless(whole)
        assert len(engine.asked) == 1
        assert len(ask(tmp_path / "cut", RecordingEngine(echo, die_after=0))) == len(REQUESTS)


def test_a_reader_that_stops_early_loses_nothing(tmp_path):
    answers = ResponseCache(tmp_path, "m").complete(lambda: RecordingEngine(echo), REQUESTS, silent)
    for _ in range(5):
        next(answers)
    answers.close()
    second = RecordingEngine(echo)
    assert len(ask(tmp_path, second)) == len(REQUESTS)
    assert len(second.asked) == len(REQUESTS) - 5


def test_progress_is_said_now_and_then(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SYNC_COMPLETIONS", 8)
    said = []
    list(
        ResponseCache(tmp_path, "m").complete(lambda: RecordingEngine(echo), REQUESTS, said.append)
    )
    assert said == ["8 of 20 queries", "16 of 20 queries"]


def test_two_processes_may_write_into_one_folder(tmp_path):
    first, second = ResponseCache(tmp_path, "m"), ResponseCache(tmp_path, "m")
    list(first.complete(lambda: RecordingEngine(echo), REQUESTS[:12], silent))
    list(second.complete(lambda: RecordingEngine(echo), REQUESTS[8:], silent))
    assert len(list(ResponseCache(tmp_path, "m").complete(no_engine, REQUESTS, silent))) == 20


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


@pytest.mark.parametrize("line", ['{"ab": 1}', "{}", "[]", "null", '{"request": "ab"}', "\x00"])
def test_a_broken_line_is_named(tmp_path, line):
    ask(tmp_path, RecordingEngine(echo))
    (file,) = tmp_path.iterdir()
    file.write_text(line + "\n" + file.read_text())
    with pytest.raises(ValueError, match=rf"line 1 of .*{file.name} is not .*: delete it"):
        ResponseCache(tmp_path, "m")


def test_an_engine_that_forgets_a_request_is_found_out(tmp_path):
    class Forgetful(RecordingEngine):
        def complete(self, requests, adapter=None):
            return super().complete(list(requests)[1:])

    with pytest.raises(RuntimeError, match="the engine answered 19 of 20 requests"):
        ask(tmp_path, Forgetful(echo))


def test_any_text_survives_the_cache(tmp_path):
    texts = ["", "naïve 🌱\u2028", "a\nb\t\x00", '"{}\\', "�"]
    requests = REQUESTS[: len(texts)]
    engine = RecordingEngine(lambda request: (texts[int(request.key)], "length"))
    first = ask(tmp_path, engine, requests)
    again = {c.key: c for c in ResponseCache(tmp_path, "m").complete(no_engine, requests, silent)}
    assert again == first
    assert [again[request.key].text for request in requests] == texts
