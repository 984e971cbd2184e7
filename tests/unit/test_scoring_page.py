"""docs/scoring.md says how answers are read: its tables are true."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from seedbed.evaluation.scorers.choice import read_choice
from seedbed.evaluation.scorers.number import read_number
from seedbed.evaluation.scorers.sql_reading import read_sql

PAGE = (Path(__file__).resolve().parents[2] / "docs/scoring.md").read_text()
PLACES = ("sea", "deep sea", "forest", "cave")
READERS = {
    "**Numbers.**": read_number,
    "**Choices**": lambda text: read_choice(text, PLACES),
    "**SQL.**": read_sql,
}


def rows(name: str) -> list[tuple[str, str]]:
    """Return the outputs of the table behind a name, with their readings."""
    table = PAGE.split(name, 1)[1].split("| --- |", 1)[1].split("\n\n", 1)[0]
    found = re.findall(r"^\| `(.+?)` \| (.+?) \| [^|]+ \|$", table, re.MULTILINE)
    return [
        (re.sub(r" ?↵ ?", "\n", text.replace("\\|", "|")), said.strip("`")) for text, said in found
    ]


@pytest.mark.parametrize("name", READERS)
def test_answers_are_read_as_the_page_says(name):
    table = rows(name)
    assert len(table) >= 7
    for text, said in table:
        assert (READERS[name](text).value or "none") == said, text
