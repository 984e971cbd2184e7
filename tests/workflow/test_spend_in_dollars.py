"""`snakemake spend usd=...`, with a teacher that bills far less than its answers might cost."""

from __future__ import annotations

import itertools
import json
import re

import pytest
import yaml

from endpoint import Endpoint, completion, running
from seedbed.engines.openai_engine import PROBE

ASKED = {"study": "hosted_spend", "task": "mini_math", "seeds": "8", "usd": "0.9"}
USD_PER_TOKEN = 0.001
MODEL = {
    "title": "Hosted",
    "api": {"name": "hosted"},
    "price": {
        "usd_per_million_prompt_tokens": 0,
        "usd_per_million_completion_tokens": 1e6 * USD_PER_TOKEN,
        "date": "2026-11-29",
    },
}
STUDY = {
    "base": "micro",
    "description": "A budget in dollars.",
    "spend": {
        "methods": ["answer_augmentation", "question_rephrase", "new_question"],
        "augmenter": "hosted",
        "teacher": "hosted",
        "student": "micro_student",
    },
}


def reply(body, before):
    """Bill three tokens for each answer, each of which might have had dozens."""
    question = body["messages"][-1]["content"]
    number = sum(map(ord, question)) + body.get("seed", 0) % 1_000_000
    if question.startswith("Check: "):
        text = "yes"
    elif question.startswith(("Rephrase: ", "New: ")):
        text = f"Anna has {number} apples and buys 2 more. How many apples has she?"
    else:
        text = "It is 1 + 2 = 3.\n#### 3"
    return completion(text)


@pytest.fixture(scope="module")
def endpoint():
    with running(Endpoint()) as served:
        served.behave = reply
        yield served


@pytest.fixture(scope="module")
def spent(finished, endpoint, tmp_path_factory):
    """A copy of the project with such a spend."""
    clone = finished.copy(tmp_path_factory.mktemp("dollars") / "project")
    config = clone.folder / "config"
    engine = {"kind": "openai", "base_url": endpoint.url, "concurrency": 4}
    (config / "models/hosted.yaml").write_text(yaml.safe_dump(MODEL | {"engine": engine}))
    (config / "studies/hosted_spend.yaml").write_text(yaml.safe_dump(STUDY))
    done = clone.snakemake("spend", **ASKED)
    assert done.returncode == 0, done.stdout
    return clone, clone.folder / "results/hosted_spend-mini_math-8"


def billed(endpoint):
    """Return what the provider bills for all requests but those that try it out."""
    asked = [body for body in endpoint.asked if body["messages"][-1]["content"] != PROBE]
    return 3 * USD_PER_TOKEN * len(asked)


def test_the_dollars_are_spent_and_not_a_cent_more(spent, endpoint):
    _, results = spent
    assert 0.7 * 0.9 < billed(endpoint) <= 0.9
    bill = json.loads((results / "spending.json").read_text())
    assert bill["usd"] == pytest.approx(billed(endpoint))
    files = sorted(results.glob("spend/round=*/purchase.json"))
    purchases = [json.loads(file.read_text())["purchase"] for file in files]
    kinds = [one["kind"] for one in purchases]
    # The first estimate would have left no pilot.
    assert kinds[0] == "prices" and kinds[-2:] == ["pilot", "final"]
    assert all(
        later["queries"][name] >= count
        for earlier, later in itertools.pairwise(purchases)
        for name, count in earlier["queries"].items()
    )
    page = (results / "bought/index.html").read_text()
    assert "a few queries, for their price" in page
    (record,) = results.glob("datasets/**/method=mix_all_bought/**/dataset.json")
    counts = json.loads(record.read_text())["counts"]
    assert counts["queries"] == sum(purchases[-1]["queries"].values())


def test_a_larger_budget_keeps_what_was_bought(spent, endpoint):
    clone, results = spent
    before = billed(endpoint)
    done = clone.snakemake("spend", "-n", **ASKED)
    assert "Nothing to be done" in done.stdout
    done = clone.snakemake("spend", **ASKED | {"usd": "1.4"}, student="none")
    assert done.returncode == 0, done.stdout
    assert before < billed(endpoint) <= 1.4
    texts = [json.dumps(body, sort_keys=True) for body in endpoint.asked]
    assert len(texts) - len(set(texts)) <= sum(PROBE in text for text in texts)
    card = (results / "bought/dataset/README.md").read_text()
    assert re.search(r"\$1\.[0-4]", card)
