"""The quote, before a study and after it."""

from __future__ import annotations

import json
import re


def quote(clone, study):
    done = clone.snakemake("quote", study=study)
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
    said, written = quote(finished, "micro")
    assert "Still to pay: 0 queries; 0.00 US dollars" in said
    assert {line["queries"] for line in written["still_to_pay"]} == {0.0}
    assert {line["measured"] for line in written["as_configured"]} <= {1.0, None}
    assert finished.plan() == {}
