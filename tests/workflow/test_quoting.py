"""What is asked of a study: the quote, before it and after it, and advice."""

from __future__ import annotations

import json
import re

import pytest


def quote(clone, study):
    """Return what is printed of the quote, and what is written."""
    done = clone.snakemake("quote", "--quiet", "all", study=study)
    assert done.returncode == 0, done.stdout
    written = clone.folder / f"results/{study}/quote/quote.json"
    return done.stdout, json.loads(written.read_text())


def test_a_study_that_nobody_began_is_quoted_by_assumptions(fresh):
    said, written = quote(fresh, "paper")
    assert re.search(r"answers +llama_3_1_70b +3,000,000 .* unknown .* assumed", said)
    assert "Still to pay: all of it." in said
    assert written["still_to_pay"] == written["as_configured"]
    # It asked nothing, and made nothing else.
    assert not (fresh.folder / "resources").exists()


def test_a_finished_study_has_nothing_left_to_pay(finished):
    assert quote(finished, "micro") == quote(finished, "micro")
    said, written = quote(finished, "micro")
    assert "Still to pay: 0 queries; 0.00 US dollars" in said
    assert {line["queries"] for line in written["still_to_pay"]} == {0.0}
    assert {line["measured"] for line in written["as_configured"]} <= {1.0, None}
    assert finished.plan() == {}


def test_advice_is_printed_and_makes_nothing_stale(finished):
    done = finished.snakemake("advise", task="mini_math", seeds="16", queries="128")
    assert done.returncode == 0, done.stdout
    assert "  With 16 seeds and 128 teacher queries (BR 8), " in done.stdout
    written = json.loads((finished.folder / "results/micro/advice/advice.json").read_text())
    assert {answer["augmenter"] for answer in written["answers"]} == {"micro_teacher", "micro_weak"}
    done = finished.snakemake("advise", task="mini_math", seeds="16", target_accuracy="0.9")
    assert "  With 16 seeds, no method is expected to reach 90.0% with up to " in done.stdout
    # The models of the study have no prices.
    done = finished.snakemake("advise", task="mini_math", seeds="16", usd="5")
    assert done.returncode != 0
    log = (finished.folder / "results/micro/logs/advise.log").read_text()
    assert "usd: the cost of answer_augmentation is not known: price of micro_teacher" in log
    assert finished.plan() == {}


@pytest.mark.parametrize(
    "asked",
    [{"task": "gsm8k"}, {"task": "mini_math"}, {"task": "mini_math", "partial": "true"}],
)
def test_without_any_result_the_priors_answer_and_nothing_runs(fresh, asked):
    done = fresh.snakemake("advise", seeds="40", queries="200", **asked)
    assert done.returncode == 0, done.stdout
    assert "this is advice from priors alone" in " ".join(done.stdout.split())
    assert "No student was trained, so published results at 5 queries per seed" in done.stdout
    assert not (fresh.folder / "resources").exists()
    measures = "`snakemake evaluations --config study=micro` measures them"
    assert (measures in " ".join(done.stdout.split())) == (asked["task"] == "mini_math")


def test_advice_beside_results_that_are_asked_for_waits_for_them(fresh):
    asked = {"task": "mini_math", "seeds": "16", "queries": "128"}
    done = fresh.snakemake("advise", "evaluations", "-n", **asked)
    assert done.returncode == 0, done.stdout
    assert re.search(r"^train_student +\d+$", done.stdout, re.MULTILINE)
    assert re.search(r"^fit_decay +1$", done.stdout, re.MULTILINE)


@pytest.mark.parametrize("change", ["a score is gone", "another rate"])
def test_advice_trains_no_student_that_nobody_asked_for(copied, change):
    if change == "another rate":
        copied.edit("config/studies/micro.yaml", "learning_rate: 2.0e-3", "learning_rate: 1.0e-3")
    else:
        # While fits are there, a score that is gone is not missed.
        scores = "evaluations/**/method=new_question/**/budget=16/**/evaluation.json"
        copied.without(scores, "fits/*", "tables/*")
    asked = {"task": "mini_math", "seeds": "16", "queries": "128"}
    refused = copied.snakemake("advise", **asked)
    assert refused.returncode != 0
    said = " ".join(refused.stdout.split())
    assert re.search(r"advise answers from results, and \d+ jobs would run first", said), said
    assert "`snakemake evaluations --config study=micro` runs them; with `partial=true`" in said
    done = copied.snakemake("advise", partial="true", **asked)
    assert done.returncode == 0, done.stdout
    assert "  With 16 seeds and 128 teacher queries (BR 8), " in done.stdout


def test_an_option_without_a_value_is_left_out(fresh):
    done = fresh.snakemake("publish", "-n", "-p", study="micro_spend", task="mini_math",
                           seeds="16", queries="160", repo="me/data")  # fmt: skip
    assert "publish.py" in done.stdout and "None" not in done.stdout, done.stdout
    done = fresh.snakemake("quote", "-n", "-p")
    assert "quote.py" in done.stdout and "None" not in done.stdout, done.stdout


def test_what_is_asked_for_beside_the_quote_is_made_and_watched(copied):
    gone = copied.without("figures/costs.png").folder / "results/micro/figures/costs.png"
    done = copied.snakemake("quote", "plot_costs")
    assert done.returncode == 0 and gone.is_file()
    assert re.search(r"^Tables and figures (\d+) of \1$", done.stdout, re.MULTILINE)


def test_a_question_that_is_not_complete_is_an_error_before_anything_runs(fresh):
    done = fresh.snakemake("advise", task="gsm9k", queries="128")
    assert done.returncode != 0
    assert "seeds: is missing: advise needs it, as in --config seeds=100" in done.stdout
    assert "task: gsm9k: study micro has mini_math; advice for another task of" in done.stdout
    assert "gsm8k, mini_math" in done.stdout
    assert "did you mean 'gsm8k'?" in done.stdout
    both = fresh.snakemake(
        "advise", task="mini_math", seeds="8", queries="9", target_accuracy="0.5"
    )
    assert "target_accuracy: advice is by `queries` or by this, not both" in both.stdout
    above = fresh.snakemake("advise", task="mini_math", seeds="8", target_accuracy="50")
    assert above.returncode != 0 and "target_accuracy" in above.stdout
    assert not (fresh.folder / "resources").exists()
