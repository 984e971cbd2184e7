"""A spend before, between and after its decisions: requests, cells, dollars, cards and the page."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import study_folder as sf
import yaml
from axe_playwright_python.sync_playwright import Axe

from browser import NARROW, WIDE, chromium, visit
from seedbed.analysis.decide.purchases import (
    Known,
    PurchaseRecord,
    Request,
    decide,
    holds,
    purchase_file,
    read_purchases,
)
from seedbed.analysis.decide.rounds import Purchase
from seedbed.analysis.report.spend.about import About, Named
from seedbed.analysis.report.spend.cards import data_card, model_card
from seedbed.analysis.report.spend.outcome import BLIND, outcome
from seedbed.analysis.report.spend.page import page
from seedbed.analysis.tables.outcomes import Outcomes
from seedbed.config.documents import StudyError
from seedbed.config.folders import ConfigFolders
from seedbed.engines.spending import SpendingLine, SpendingRecord
from seedbed.streams.record import DatasetCounts, DatasetPart, DatasetRecord
from seedbed.study.cells import KINDS
from seedbed.study.loading import check_run_config, load_study
from seedbed.study.spend import pilot_cells, spend_targets

SPEND = {
    "methods": ["answer_augmentation", "new_question"],
    "augmenter": "teacher",
    "teacher": "teacher",
    "student": "student",
}
RUN = {"study": "trial", "task": "sums", "seeds": 10, "queries": 100}


def flow(folder, spend=SPEND, **changes):
    """Return what rules know of a spend in a folder of its own."""
    study = {key: value for key, value in sf.STUDY.items() if key != "blocks"}
    sf.write(folder, sf.FILES | {"studies/trial.yaml": study | {"spend": spend}})
    run = check_run_config({key: one for key, one in (RUN | changes).items() if one is not None})
    return spend_targets(run, load_study("trial", folder, task=run.task), ConfigFolders.of(folder))


@pytest.mark.parametrize(
    ("changes", "spend", "said"),
    [
        ({"task": None}, {}, "task: is missing: spend needs it"),
        ({"task": "sum"}, {}, "task: there is no task 'sum'; did you mean 'sums'?"),
        ({"seeds": None}, {}, "seeds: is missing"),
        ({"seeds": 101}, {}, "seeds: 101 is more than the 100 items of the train split"),
        ({"seeds": -3}, {}, "seeds: must be at least 1, not -3"),
        ({"seeds": "SOME"}, {}, "seeds: 'SOME' is not valid; valid: ALL"),
        ({"queries": None}, {}, "queries: is missing"),
        ({"usd": 5.0}, {}, "usd: the budget is in queries or in dollars, not both"),
        ({"queries": None, "usd": 5.0}, {}, "usd: the teacher, 'teacher', runs in the jobs"),
        ({"partial": True}, {}, "partial: has no effect"),
        ({"target_accuracy": 0.5}, {}, "target_accuracy: has no effect"),
        ({}, {"student": None}, "spend.student: is missing: name the model to train"),
        ({}, {"student": "studnet"}, "spend.student: there is no model 'studnet'"),
        ({}, {"teacher": "x"}, "spend.teacher: there is no model 'x'"),
        ({}, {"augmenter": None}, "spend.augmenter: is missing: 'new_question' needs models"),
        ({}, {"methods": ["new_questoin"]}, "did you mean 'new_question'?"),
        ({}, {"methods": ["new_question", "seed_only"]}, "'seed_only' asks no teacher"),
        ({}, {"share": 0.6}, "0.6 for each of 2 methods is more than the budget"),
        ({}, {"shares": 0.6}, "shares: is not a key here; did you mean 'share'?"),
    ],
)
def test_what_is_wrong_is_said_before_any_job(tmp_path, changes, spend, said):
    with pytest.raises(StudyError) as raised:
        flow(tmp_path, SPEND | spend, **changes)
    assert said in str(raised.value)


def test_a_study_has_blocks_or_buys(tmp_path):
    sf.write(tmp_path, sf.FILES | {"studies/trial.yaml": sf.STUDY | {"spend": SPEND}})
    with pytest.raises(StudyError, match="a study with blocks compares, and buys no data"):
        load_study("trial", tmp_path)


def bought(flow, number, kind, **queries):
    """Write a decision into the results, and return it."""
    record = PurchaseRecord(
        request=flow.asked,
        round=number,
        budget=100,
        known=Known(),
        measured=[],
        purchase=Purchase(kind=kind, queries=queries, reason="because"),
        code="0",
    )
    record.write(purchase_file(flow.results, number))
    return record


def test_cells_come_with_decisions_and_nothing_is_made_by_two_rounds(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    spend = flow(tmp_path / "config")
    assert spend.results == "results/trial-sums-10"
    assert [cell.method for cell in spend.grid.cells] == ["untrained"]
    pilot = bought(spend, 1, "pilot", answer_augmentation=20, new_question=20)
    bought(spend, 2, "final", answer_augmentation=20, new_question=80)
    assert spend.decided(1) == pilot and not spend.ends_with(1)
    before = {key: spend.shards(key) for key in spend.grid.stream_by_key}
    assert {len(one) for one in before.values()} == {1}
    assert spend.measured(2) == [
        spend.evaluation_file(cell)
        for cell in [*spend.grid.cells[-1:], *pilot_cells(spend.asked, pilot)]
    ]
    assert spend.decided().round == 2 and spend.ends_with(2)
    cell = spend.final_cell()
    assert (cell.method, cell.budget, cell.augmenter) == ("mix_all_bought", 100, "teacher")
    parts = spend.grid.parts_by_key[cell.dataset.key]
    assert {part.method: part.budget for part in parts} == {
        "answer_augmentation": 20, "new_question": 80
    }  # fmt: skip
    for key, shards in before.items():
        assert spend.shards(key)[: len(shards)] == shards
    patterns = spend.patterns()
    assert patterns.keys() >= {*KINDS, "task", "model"}
    for kind, points in (("cell", spend.grid.cells), ("dataset", spend.grid.datasets),
                         ("stream", spend.grid.streams), ("seed_set", spend.grid.seed_sets),
                         ("question_stream", spend.grid.question_streams)):  # fmt: skip
        assert points and all(re.fullmatch(patterns[kind], point.key) for point in points)


def test_one_method_is_no_mixture_and_no_student_has_data_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    spend = flow(tmp_path / "config", queries=8, student="none")
    assert spend.grid.cells == ()
    bought(spend, 1, "final", answer_augmentation=8)
    spend.decided()
    assert spend.final_dataset().method == "answer_augmentation"
    assert spend.grid.datasets == (spend.final_dataset(),) and spend.final_cell() is None
    assert not any("adapter" in path for path in spend.bought())


def test_a_decision_on_a_method_that_is_gone_is_made_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    spend = flow(tmp_path / "config")
    bought(spend, 1, "pilot", answer_augmentation=20, new_question=20)
    assert len(flow(tmp_path / "config").purchases) == 1
    fewer = SPEND | {"methods": ["new_question"]}
    assert flow(tmp_path / "config", fewer).purchases == ()


def test_a_broken_decision_is_made_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    spend = flow(tmp_path / "config")
    bought(spend, 1, "pilot", answer_augmentation=20, new_question=20)
    file = tmp_path / purchase_file(spend.results, 1)
    file.write_text(file.read_text()[:-20])
    assert read_purchases(spend.results) == []


def request(**changes):
    return Request(
        **{
            "task": "sums", "seeds": 10, "draw": 1, "augmenter": "a", "teacher": "t",
            "methods": {"answer_augmentation": "answers", "new_question": "new"},
            "student": "s", "queries": 100, "usd": None, "rounds": 1, "share": 0.2,
        } | changes
    )  # fmt: skip


def record(asked, number, kind, **queries):
    purchase = Purchase(kind=kind, queries=queries, reason="because")
    return PurchaseRecord(
        request=asked, round=number, budget=100, known=Known(), measured=[], purchase=purchase
    )


def test_dollars_buy_by_the_dearest_price_first_and_by_the_winners_in_the_end():
    asked = request(queries=None, usd=10.0)
    prices = {"answer_augmentation": 0.01, "new_question": 0.03}
    seen = {"answer_augmentation": 32, "new_question": 32}
    learnt = [record(asked, 1, "prices", **seen)]
    first = decide(asked, Known(prices=prices, bought=seen), learnt, None)
    assert first.budget == 364 and set(first.purchase.queries.values()) == {72}
    known = Known(
        prices=prices, spent_usd=2.88, bought={"answer_augmentation": 72, "new_question": 72}
    )
    before = [record(asked, 1, "pilot", **first.purchase.queries)]
    measured = scores(answer_augmentation=72, new_question=72)
    found = decide(asked, known, before, measured)
    more = {name: count - 72 for name, count in found.purchase.queries.items()}
    cost = sum(prices[name] * count for name, count in more.items())
    # 90% of the 7.12 dollars that are left, whatever is bought for them.
    assert 0.9 * 7.12 - 0.04 < cost <= 0.9 * 7.12 and min(more.values()) >= 0
    assert found.budget == sum(found.purchase.queries.values())
    # Queries are divided alike, in the same proportions.
    by_queries = request(queries=144 + round(0.9 * 7.12 / 0.03))
    alike = decide(by_queries, Known(bought=known.bought), before, measured).purchase.queries
    assert [count > 72 for count in alike.values()] == [count > 0 for count in more.values()]


def test_dollars_learn_prices_before_they_divide_what_is_left():
    """The estimate counts answers of full length: here, ten times what they come to."""
    asked = request(queries=None, usd=10.0, rounds=3)
    estimate = {"answer_augmentation": 0.1, "new_question": 0.3}
    before, bought, spent = [], {}, 0.0
    while True:
        prices = {name: usd / 10 if bought else usd for name, usd in estimate.items()}
        known = Known(prices=prices, spent_usd=spent, bought=bought)
        found = decide(asked, known, before, None).purchase
        if found.kind != "prices":
            break
        assert set(found.queries) == set(asked.methods)
        spent = sum(0.1 * estimate[name] * count for name, count in found.queries.items())
        assert spent <= 0.1 * 10.0
        bought = found.queries
        before.append(record(asked, len(before) + 1, "prices", **bought))
    # By the estimate, a tenth of the budget pays for 2 queries of each; by what they cost, for 25.
    assert [set(one.purchase.queries.values()) for one in before] == [{2}, {25}]
    # The first of three rounds would be smaller, but what was bought counts.
    assert found.kind == "pilot" and set(found.queries.values()) == {25}
    # Where a query is dear indeed, or its price is known from before, none is bought for that.
    dear = Known(prices=dict.fromkeys(estimate, 2.0), bought=dict.fromkeys(estimate, 1))
    assert decide(asked, dear, [], None).purchase.kind == "final"
    known = Known(prices={"answer_augmentation": 0.01, "new_question": 0.03}, bought=bought)
    assert decide(asked, known, [], None).purchase.kind == "pilot"


WHY = {"new_question": "none of 20 queries became a row"}


def test_a_method_without_rows_gets_no_more_and_its_queries_count():
    bought = {"answer_augmentation": 20, "new_question": 20, "question_rephrase": 20}
    kinds = request().methods | {"question_rephrase": "rephrased"}
    asked = request(methods=kinds)
    before = [record(asked, 1, "pilot", **bought)]
    seen = scores(answer_augmentation=20, question_rephrase=20)
    found = decide(asked, Known(bought=bought), before, seen, WHY)
    assert found.budget == 100 and found.purchase.left_out == WHY
    assert found.purchase.queries["new_question"] == 20
    assert sum(found.purchase.queries.values()) == 100
    assert "new_question" not in found.purchase.chances
    # One that is left alone gets the rest, whether a student was trained or not.
    both = WHY | {"question_rephrase": "none either"}
    alone = {**bought, "answer_augmentation": 60}
    for student, known in (("s", scores(answer_augmentation=20)), (None, None)):
        asked = request(methods=kinds, student=student)
        before = [record(asked, 1, "pilot", **bought)]
        assert decide(asked, Known(bought=bought), before, known, both).purchase.queries == alone


def test_a_larger_budget_keeps_what_was_found_of_a_method(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    spend = flow(tmp_path / "config")
    bought(spend, 1, "pilot", answer_augmentation=20, new_question=20)
    known = Known.model_validate(spend.known())
    assert known.left_out == {} and known.settings.keys() == spend.asked.methods.keys()
    final = bought(spend, 2, "final", answer_augmentation=80, new_question=20)
    purchase = final.purchase.model_copy(update={"left_out": WHY})
    final.model_copy(update={"known": known, "purchase": purchase}).write(
        purchase_file(spend.results, 2)
    )
    larger = flow(tmp_path / "config", queries=200)
    kept = Known.model_validate(larger.known())
    assert kept.left_out == WHY
    # The first decision on the larger budget knows it, and bills the queries.
    paid = kept.model_copy(update={"bought": {"answer_augmentation": 80, "new_question": 20}})
    found = decide(larger.asked, paid, [], None)
    assert found.purchase.left_out == WHY
    assert found.purchase.queries == {"answer_augmentation": 180, "new_question": 20}
    # Another prompt may do better.
    prompts = sf.PROMPTS | {"question": "Please write one like {question} {answer}"}
    file = "methods/new_question.yaml"
    monkeypatch.setitem(sf.FILES, file, sf.FILES[file] | {"prompts": {"number": prompts}})
    again = flow(tmp_path / "config", queries=200)
    assert Known.model_validate(again.known()).left_out == {}


def test_dollars_are_not_spent_on_a_method_without_rows():
    asked = request(queries=None, usd=10.0)
    # The dearest price is that of the method that is left out.
    prices = {"answer_augmentation": 0.01, "new_question": 0.3}
    bought = {"answer_augmentation": 1, "new_question": 1}
    before = [record(asked, 1, "prices", **bought)]
    known = Known(prices=prices, spent_usd=0.31, bought=bought)
    found = decide(asked, known, before, None, WHY).purchase
    assert (found.kind, found.queries) == ("prices", {"answer_augmentation": 32, "new_question": 1})
    bought = found.queries
    before.append(record(asked, 2, "prices", **bought))
    known = Known(prices=prices, spent_usd=0.62, bought=bought)
    found = decide(asked, known, before, None, WHY)
    assert found.purchase.kind == "final" and found.purchase.queries["new_question"] == 1
    assert found.purchase.queries["answer_augmentation"] == 32 + int(0.9 * 9.38 / 0.01)
    assert found.budget == sum(found.purchase.queries.values())


def test_no_method_with_rows_is_an_error_that_names_each():
    why = WHY | {"answer_augmentation": "none of 30"}
    with pytest.raises(ValueError, match=r"no method yields a row.*new_question: none of 20.*30"):
        decide(request(), Known(), [], None, why)


def test_a_budget_that_pays_for_nothing_is_refused():
    with pytest.raises(ValueError, match=r"0\.001 dollars, and that pays for no query"):
        decide(request(queries=None, usd=0.001), Known(prices={"new_question": 0.1}), [], None)
    with pytest.raises(ValueError, match="100 queries, and 120 queries were bought before"):
        decide(request(), Known(bought={"new_question": 120}), [], None)


def test_what_is_being_bought_stays_decided():
    kept = record(request(), 2, "final", answer_augmentation=80, new_question=20)
    before = {"answer_augmentation": 20, "new_question": 20}
    assert holds(kept, request(), Known(bought=before | {"answer_augmentation": 40}), before)
    assert not holds(kept, request(), Known(bought=before), before)
    assert not holds(kept, request(queries=200), Known(bought={"answer_augmentation": 80}), before)
    assert not holds(
        kept, request(), Known(bought={"answer_augmentation": 80}), {"new_question": 40}
    )


def scores(items=300, **budgets):
    """Return outcomes of some methods, the first of which is best, and of all that was bought."""
    names = [*budgets, "mix_all_bought", "untrained"]
    shares = np.linspace(0.7, 0.2, len(names))
    correct = np.array([np.arange(items) < items * share for share in shares], dtype=float)
    queries = [*budgets.values(), 0, 0]
    cells = pl.DataFrame(
        {"cell": names, "method": names, "budget": queries, "seeds": [10] * len(names)}
    )
    return Outcomes("sums", cells, tuple(map(str, range(items))), np.arange(items), correct)


HOSTILE = "<script>alert(1)</script> | ``` **x**"


def told(student=True):
    asked = request(student="s" if student else None)
    about = About(
        description=HOSTILE,
        task=Named(title=f"Sums {HOSTILE}", source="own\nfiles", hub="o/sums", license="mit"),
        methods={"answer_augmentation": "Answer augmentation", "new_question": "New question"},
        models={
            "augmenter": Named(title="A", source="o/a", hub="o/a", license="mit"),
            "teacher": Named(title="T", source="o/t", hub="o/t", license="mit"),
            **({"student": Named(title="S", source="o/s", hub="o/s")} if student else {}),
        },
        prompts={"answer": "Say: {question}\n````\n", "new_question": "New: {question}"},
        generation={"temperature": 0.7, "top_p": 1.0},
        training={"epochs": 3} if student else {},
        overlap_words=13,
    )
    pilot = record(asked, 1, "pilot", answer_augmentation=20, new_question=20)
    final = record(asked, 2, "final", answer_augmentation=80, new_question=20)
    rows = pl.DataFrame({"method": ["answer_augmentation"] * 70 + ["new_question"] * 15})
    counts = DatasetCounts(
        queries=100, rows=85, teacher_queries=98, empty_slots=2, near_test_rows=3,
        dropped={"test_overlap": 4, "truncated": 9},
    )  # fmt: skip
    data = DatasetRecord(
        counts=counts, code="c0de",
        parts=(DatasetPart(method="new_question", budget=20, rows=20, used=15),),
    )  # fmt: skip
    spending = SpendingRecord(
        study="trial", usd=1.5,
        lines=[SpendingLine(stage="answers", model="t", requests=98, usd=1.5)],
    )  # fmt: skip
    found = scores(answer_augmentation=20, new_question=20)
    cells = found.cells.with_columns(budget=pl.Series([20, 20, 100, 0]))
    found = Outcomes(found.task, cells, found.items, found.clusters, found.correct)
    return outcome(about, [pilot, final], data, rows, found if student else None, spending)


def front(card):
    _, yaml_text, body = card.split("---\n", 2)
    return yaml.safe_load(yaml_text), body


def test_the_card_of_the_data_says_how_it_was_made():
    head, body = front(data_card(told()))
    assert head["license"] == "mit" and head["size_categories"] == ["n<1K"]
    assert head["configs"][0]["data_files"][0]["path"] == "data/train.parquet"
    assert "| Answer augmentation | 80 | 70 |" in body and "| New question | 20 | 15 |" in body
    assert "| dropped: truncated | 9 |" in body
    assert "4 rows were left out for that; 3 of the remaining rows are near" in body
    assert "$1.50 for 98 requests" in body and "13 words in a row" in body
    # A title stays in its cell, and a prompt in its fence.
    assert "| seeds | Sums <script>alert(1)</script> \\| ``` **x** | own files | mit |" in body
    assert "`````\nSay: {question}\n````\n\n`````" in body


def test_the_card_of_the_adapter_has_the_score_as_the_hub_reads_it():
    head, body = front(model_card(told()))
    assert (head["base_model"], head["library_name"], head["license"]) == ("o/s", "peft", "other")
    (result,) = head["model-index"][0]["results"]
    assert result["metrics"] == [{"type": "accuracy", "value": pytest.approx(110 / 300)}]
    assert result["dataset"]["type"] == "o/sums"
    assert "over the base model" in body and "Answer augmentation, 20 queries" in body


def test_without_a_student_the_card_says_what_that_is_worth():
    found = told(student=False)
    assert BLIND in data_card(found) and not found.gains
    with pytest.raises(ValueError, match="no adapter without a student"):
        model_card(found)


def test_methods_stand_in_the_order_of_the_study_whose_keys_json_sorts():
    order = ["question_rephrase", "new_question", "answer_augmentation"]
    found = told()
    titles = {name: name.replace("_", " ").capitalize() for name in order}
    about = found.about.model_copy(update={"methods": titles})
    sent = json.dumps(about.model_dump(mode="json"), sort_keys=True)
    about = About.model_validate_json(sent)
    assert list(about.methods.items()) == list(titles.items())
    body = data_card(replace(found, about=about))
    assert body.index("| New question | 20") < body.index("| Answer augmentation | 80")
    asked = request(methods=dict.fromkeys(order, "answers"))
    again = Request.model_validate_json(json.dumps(asked.model_dump(mode="json"), sort_keys=True))
    assert list(again.methods) == order


@pytest.fixture(scope="module")
def browser():
    with chromium() as started:
        yield started


@pytest.mark.parametrize("student", [True, False], ids=["student", "none"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_the_page_is_for_everyone_and_runs_nothing(browser, tmp_path, student, size):
    file = tmp_path / "index.html"
    file.write_text(page(told(student), "trial", {"code": "c0de", "versions": {"python": "3"}}))
    for scheme in ("light", "dark"):
        with visit(browser, file, viewport=size, color_scheme=scheme) as seen:
            rules = {"resultTypes": ["violations"]}
            found = Axe().run(seen.page, options=rules).response["violations"]
            assert [(one["id"], one["nodes"][0]["html"]) for one in found] == []
            assert seen.requests == [file.as_uri()] and seen.complaints == []
            text = seen.page.inner_text("main")
            width = seen.page.evaluate("document.documentElement.scrollWidth")
            assert width <= size["width"]
            shown = seen.page.locator("figure svg").filter(visible=True).count()
            assert shown == (2 if student else 1)
    assert HOSTILE in text and "$1.50" in text
    assert "Decision 1: a round of the pilot" in text and "Decision 2: the rest" in text
    assert ("compared with" in text) == student and (BLIND in text) != student
