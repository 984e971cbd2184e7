"""The SQL scorer: reading, comparing, hostile queries, limits, and real gold queries."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import sqlite3
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seedbed.evaluation.scorers import Reading, answers_equal, make_scorer, sql
from seedbed.evaluation.scorers.settings import ScorerOptions
from seedbed.evaluation.scorers.sql import (
    Result,
    SqlScorer,
    orders_rows,
    plain_text,
    read_sql,
    read_strict,
    same_result,
)
from seedbed.tasks.items import TaskItem

STAFF = [
    (1, "Ann", 30, 10.5, "Rome"), (2, "Bob", 40, 20.25, "Oslo"), (3, "Cid", 50, 0.1, "Rome"),
    (4, "Dan", 60, 0.2, None), (5, "Eve", 40, 0.3, "Oslo"),
]  # fmt: skip


def write_database(path: Path, journal: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA journal_mode = {journal}")
    with connection:
        connection.execute("CREATE TABLE staff (id INTEGER, name TEXT, age INT, pay REAL, city)")
        connection.executemany("INSERT INTO staff VALUES (?, ?, ?, ?, ?)", STAFF)
        connection.execute("CREATE TABLE pairs (a INT, b INT, raw BLOB)")
        connection.executemany(
            "INSERT INTO pairs VALUES (?, ?, ?)",
            [(k % 50, k % 7, bytes([k % 256])) for k in range(300)],
        )
        connection.execute("INSERT INTO pairs VALUES (1, 2, CAST(x'ff41' AS TEXT))")
    connection.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A task's folder with the same database twice, one of them with a write-ahead log."""
    place = tmp_path_factory.mktemp("sql")
    write_database(place / "databases" / "firm.sqlite", "DELETE")
    write_database(place / "databases" / "wal.sqlite", "WAL")
    return place


@pytest.fixture(scope="module")
def scorer(folder):
    made = make_scorer("sql", {"timeout": 5.0}, folder)
    yield made
    made.close()


def item(gold: str, database: str = "firm.sqlite") -> TaskItem:
    return TaskItem("item", "Who?", "", gold, gold, database=database, cluster="item")


MATCHES = [
    ("SELECT name FROM staff", "select NAME from STAFF;"),
    ("SELECT name FROM staff", "SELECT name FROM staff ORDER BY age DESC"),
    ("SELECT name, age FROM staff", "SELECT age, name FROM staff"),
    ("SELECT name, age, age FROM staff", "SELECT age, name, age FROM staff"),
    ("SELECT count(*) FROM staff", "SELECT count(id) FROM staff"),
    ("SELECT avg(age) FROM staff", "SELECT 1.0 * sum(age) / count(*) FROM staff"),
    ("SELECT 0.1 + 0.2", "SELECT 0.3"), ("SELECT 5", "SELECT 5.0"),
    ("SELECT city FROM staff WHERE id = 4", "SELECT NULL"),
    ("SELECT name FROM staff WHERE age = 40", "SELECT name FROM staff WHERE age = '40'"),
    ("SELECT name FROM staff ORDER BY id", "SELECT name FROM staff ORDER BY name"),
    ("SELECT name, id FROM staff ORDER BY id", "SELECT id, name FROM staff ORDER BY name"),
    ("SELECT max(age) FROM staff", "WITH t AS (SELECT age FROM staff) SELECT max(age) FROM t"),
    ("SELECT raw FROM pairs LIMIT 3", "SELECT raw FROM pairs WHERE rowid < 4"),
    ("SELECT name FROM staff WHERE pay > 10", "SELECT name FROM staff -- all\nWHERE pay > 10"),
    ("SELECT DISTINCT city FROM staff", "SELECT city FROM staff GROUP BY city"),
    ("SELECT name FROM (SELECT * FROM staff ORDER BY age)",
     "SELECT name FROM staff ORDER BY id DESC"),
]  # fmt: skip
MISMATCHES = [
    ("SELECT name FROM staff", "SELECT name FROM staff LIMIT 4"),
    ("SELECT name FROM staff", "SELECT name, age FROM staff"),
    ("SELECT city FROM staff", "SELECT DISTINCT city FROM staff"),
    ("SELECT name FROM staff ORDER BY age", "SELECT name FROM staff ORDER BY age DESC"),
    ("SELECT name FROM staff ORDER BY id", "SELECT name FROM staff ORDER BY id DESC"),
    ("SELECT 5", "SELECT '5'"), ("SELECT 5", "SELECT x'35'"), ("SELECT NULL", "SELECT 0"),
    ("SELECT NULL", "SELECT ''"), ("SELECT 'a'", "SELECT 'A'"),
    ("SELECT 9007199254740992", "SELECT 9007199254740993"),
    ("SELECT a, b FROM pairs", "SELECT a, a FROM pairs"),
    ("SELECT a, b FROM pairs", "SELECT a, (b + 1) % 7 FROM pairs"),
    ("SELECT 1, 2 UNION ALL SELECT 2, 1", "SELECT 1, 1 UNION ALL SELECT 2, 2"),
    ("SELECT name FROM staff", "SELECT nam FROM staff"),
    ("SELECT name FROM staff", "SELECT name FROM stuff"),
    ("SELECT name FROM staff", "SELECT name FROM"),
    ("SELECT name FROM staff WHERE age > 30", "SELECT name FROM staff WHERE age >= 30"),
]  # fmt: skip


@pytest.mark.parametrize(("gold", "output"), MATCHES)
def test_queries_with_the_same_result_match(scorer, gold, output):
    score = scorer.score(output, item(gold))
    assert (score.strict, score.flexible, score.reason) == (True, True, "")


@pytest.mark.parametrize(("gold", "output"), MISMATCHES)
def test_queries_with_another_result_do_not(scorer, gold, output):
    score = scorer.score(output, item(gold))
    assert (score.strict, score.flexible) == (False, False)
    assert score.extracted == output


SHOP = """
CREATE TABLE staff(
    id INTEGER PRIMARY KEY, name TEXT, age INT, pay REAL, city TEXT, hired TEXT
);
CREATE TABLE sale(
    sid INTEGER PRIMARY KEY, staff_id INT REFERENCES staff(id), item TEXT, price INT
);
INSERT INTO staff VALUES
    (1, 'Ann', 30, 10.5, 'Rome', '2020-01-01'),
    (2, 'Bob', 40, 20.25, 'Oslo', '2021-05-05'),
    (3, 'Cid', 50, 0.1, 'Rome', '2019-01-01');
INSERT INTO sale VALUES (1, 1, 'tea', 3), (2, 1, 'jam', 4), (3, 2, 'tea', 3), (4, 3, 'tea', 9);
"""


@pytest.fixture(scope="module")
def shop_folder(tmp_path_factory):
    """A task's folder with a shop's database."""
    place = tmp_path_factory.mktemp("shop")
    (place / "databases").mkdir()
    with sqlite3.connect(place / "databases" / "shop.sqlite") as connection:
        connection.executescript(SHOP)
    connection.close()
    return place


@pytest.fixture(scope="module")
def shop(shop_folder):
    """A scorer on it."""
    with make_scorer("sql", {}, shop_folder) as made:
        yield made


# (gold query, queries that differ in form, queries that differ in meaning); all find nothing
EMPTY = [
    ("SELECT name FROM staff WHERE age > 90", ["SELECT name FROM staff WHERE age > 90;",
     "SELECT s.name FROM staff AS s WHERE s.age > 90", "SELECT name FROM staff WHERE NOT age <= 90",
     "SELECT name FROM staff WHERE 90 < age", "SELECT name FROM staff WHERE age >= 91",
     "SELECT name FROM staff WHERE age > 90 ORDER BY name",
     "SELECT name FROM (SELECT * FROM staff WHERE age > 90)",
     "WITH t AS (SELECT * FROM staff) SELECT name FROM t WHERE age > 90"],
     ["SELECT city FROM staff WHERE age > 90", "SELECT name FROM staff WHERE age > 91",
     "SELECT name FROM staff WHERE age >= 90", "SELECT name FROM staff WHERE age = 91",
     "SELECT name FROM staff WHERE age > 90 AND city = 'Rome'",
     "SELECT DISTINCT name FROM staff WHERE age > 90", "SELECT name FROM staff WHERE 0",
     "SELECT name FROM staff WHERE pay > 90", "SELECT name FROM staff WHERE id > 90",
     "SELECT name, age FROM staff WHERE age > 90", "SELECT item FROM sale WHERE price > 90",
     "SELECT NULL WHERE 0", "SELECT name FROM staff WHERE age > 90 LIMIT 1",
     "SELECT name FROM staff WHERE age > 90 UNION SELECT name FROM staff WHERE age > 99"]),
    (("SELECT T1.name FROM staff AS T1 JOIN sale AS T2 ON T1.id = T2.staff_id WHERE "
     "T2.item = 'Atlantis'"),
     ["SELECT name FROM staff JOIN sale ON staff.id = sale.staff_id WHERE item = 'Atlantis'",
     'SELECT s.name FROM sale x, staff s WHERE x.staff_id = s.id AND x.item = "Atlantis"'],
     ["SELECT name FROM staff WHERE id IN (SELECT staff_id FROM sale WHERE item = 'Utopia')",
     ("SELECT T1.name FROM staff AS T1 JOIN sale AS T2 ON T1.id = T2.sid WHERE T2.item "
     "= 'Atlantis'"),
     ("SELECT T1.city FROM staff AS T1 JOIN sale AS T2 ON T1.id = T2.staff_id WHERE "
     "T2.item = 'Atlantis'"),
     ("SELECT T1.name FROM staff AS T1 JOIN sale AS T2 ON T1.id = T2.staff_id WHERE "
     "T1.city = 'Atlantis'"),
     "SELECT T1.name FROM staff AS T1, sale AS T2 WHERE T2.item = 'Atlantis'"]),
    ("SELECT name FROM staff WHERE id NOT IN (SELECT staff_id FROM sale)",
     [("SELECT name FROM staff s WHERE NOT EXISTS (SELECT 1 FROM sale x WHERE "
     "x.staff_id = s.id)"),
     ("SELECT s.name FROM staff s LEFT JOIN sale x ON s.id = x.staff_id WHERE "
     "x.staff_id IS NULL")], ["SELECT name FROM staff WHERE id NOT IN (SELECT sid FROM sale)",
     "SELECT city FROM staff WHERE id NOT IN (SELECT staff_id FROM sale)"]),
    ("SELECT city FROM staff GROUP BY city HAVING count(*) > 5",
     ["SELECT city FROM staff GROUP BY city HAVING count(*) >= 6",
     "SELECT city FROM staff GROUP BY city HAVING count(id) > 5"],
     ["SELECT city FROM staff GROUP BY city HAVING count(*) > 4",
     "SELECT city FROM staff GROUP BY city HAVING count(*) >= 5",
     "SELECT name FROM staff GROUP BY name HAVING count(*) > 5",
     "SELECT city FROM staff GROUP BY city HAVING count(*) > 6"]),
    ("SELECT name FROM staff WHERE age > 90 ORDER BY pay DESC",
     ["SELECT name FROM staff WHERE age > 90 ORDER BY -pay",
     "SELECT s.name FROM staff s WHERE s.age > 90 ORDER BY s.pay DESC"],
     ["SELECT name FROM staff WHERE age > 90 ORDER BY pay",
     "SELECT name FROM staff WHERE age > 90 ORDER BY pay ASC"]),
    ("SELECT name FROM staff WHERE city LIKE '%zzz%'",
     ["SELECT name FROM staff WHERE city like '%zzz%'",
     "SELECT name FROM staff WHERE instr(city, 'zzz')"],
     ["SELECT name FROM staff WHERE city LIKE 'zzz%'", "SELECT name FROM staff WHERE city = 'zzz'",
     "SELECT name FROM staff WHERE name LIKE '%zzz%'",
     "SELECT name FROM staff WHERE city NOT LIKE '%zzz%' AND 0"]),
    (("SELECT name FROM staff WHERE city = 'Rome' INTERSECT SELECT name FROM staff "
     "WHERE city = 'Oslo'"),
     [("SELECT name FROM staff WHERE city = 'Oslo' INTERSECT SELECT name FROM staff "
     "WHERE city = 'Rome'"),
     ("SELECT name FROM staff WHERE city = 'Rome' AND name IN (SELECT name FROM staff "
     "WHERE city='Oslo') GROUP BY name")],
     ["SELECT name FROM staff WHERE city = 'Rome' AND city = 'Oslo'",
     ("SELECT city FROM staff WHERE city = 'Rome' INTERSECT SELECT city FROM staff "
     "WHERE city = 'Oslo'")]),
    ("SELECT name FROM staff WHERE age IS NULL", ["SELECT name FROM staff WHERE age ISNULL",
     "SELECT name FROM staff WHERE NOT age IS NOT NULL"],
     ["SELECT name FROM staff WHERE city IS NULL",
     "SELECT name FROM staff WHERE age IS NULL AND city IS NULL"]),
    ("SELECT name FROM staff WHERE hired > '2030-01-01'",
     ["SELECT name FROM staff WHERE '2030-01-01' < hired"],
     ["SELECT name FROM staff WHERE hired >= '2030-01-01'",
     "SELECT name FROM staff WHERE hired = '2030-01-01'",
     "SELECT name FROM staff WHERE hired > '2031-01-01'"]),
    ("SELECT name FROM staff WHERE age = 99 OR city = 'X'",
     ["SELECT name FROM staff WHERE city = 'X' OR age = 99"],
     ["SELECT name FROM staff WHERE age = 99 AND city = 'X'",
     "SELECT name FROM staff WHERE age = 99"]),
    ("SELECT max(age) FROM staff WHERE city = 'X' GROUP BY city",
     ["SELECT max(age) FROM staff GROUP BY city HAVING city = 'X'"],
     ["SELECT min(age) FROM staff WHERE city = 'X' GROUP BY city",
     "SELECT avg(age) FROM staff WHERE city = 'X' GROUP BY city",
     "SELECT max(id) FROM staff WHERE city = 'X' GROUP BY city"]),
]  # fmt: skip


@pytest.mark.parametrize(("gold", "same", "other"), EMPTY)
def test_queries_that_find_nothing_are_judged_where_they_would_find_something(
    shop, gold, same, other
):
    for output, right in [(q, True) for q in (gold, *same)] + [(q, False) for q in other]:
        # Twice: what was run before changes nothing.
        for _ in range(2):
            score = shop.score(output, item(gold, "shop.sqlite"))
            assert score.flexible == right, output
        assert score.reason.startswith("both results are empty")


def test_where_no_rows_help_what_the_queries_compare_decides(shop):
    gold = item("SELECT name FROM staff WHERE age > 90 AND age < 10", "shop.sqlite")
    for output, right in [
        ("SELECT s.name FROM staff s WHERE s.age > 90 AND s.age < 10", True),
        ("SELECT name FROM staff WHERE age > 90 AND age <= 10", False),
        ("SELECT name FROM staff WHERE age > 90 AND age < 11", False),
        ("SELECT name FROM staff WHERE id > 90 AND id < 10", False),
    ]:
        score = shop.score(output, gold)
        assert (score.flexible, "whatever the rows" in score.reason) == (right, True), output


def test_a_result_beside_an_empty_one_is_wrong(scorer):
    gold = item("SELECT name FROM staff WHERE age > 90")
    full = scorer.score("SELECT name FROM staff", gold)
    assert (full.flexible, full.reason) == (False, "gold result is empty")
    none = scorer.score("SELECT name FROM staff WHERE age > 90", item("SELECT name FROM staff"))
    assert (none.flexible, none.reason) == (False, "result is empty")


def test_variants_are_copies_and_change_no_file(shop, shop_folder):
    gold = "SELECT name FROM staff WHERE age > 90"
    before = contents(shop_folder)
    assert not shop.score("DELETE FROM staff", item(gold, "shop.sqlite")).flexible
    assert shop.score("SELECT name FROM staff s WHERE s.age > 90", item(gold, "shop.sqlite"))
    assert contents(shop_folder) == before


@pytest.mark.slow
def test_almost_every_real_query_that_finds_nothing_finds_something_in_a_variant():
    import polars as pl

    rows = pl.read_parquet(real_data() / "validation.parquet").select("db_id", "query").unique()
    empty = found = 0
    with SqlScorer(real_data() / "database") as scorer:
        for name, query in rows.iter_rows():
            file = f"{name}/{name}.sqlite"
            if not (real_data() / "database" / file).is_file():
                continue
            result = scorer.run(file, query)
            if result.error or result.rows:
                continue
            empty += 1
            # In another form, so that it is run.
            score = scorer.score(f"SELECT * FROM ({query})", item(query, file))
            found += score.flexible and "whatever" not in score.reason
    assert empty > 20
    assert found >= 0.9 * empty


DISTINCTS = [
    # (gold, output, right where DISTINCT counts, right where it is ignored)
    ("SELECT city FROM staff", "SELECT DISTINCT city FROM staff", False, True),
    ("SELECT DISTINCT city FROM staff", "SELECT city FROM staff", False, True),
    ("SELECT count(DISTINCT city) FROM staff", "SELECT count(city) FROM staff", False, True),
    ("SELECT DISTINCT city FROM staff", "SELECT city FROM staff GROUP BY city", True, False),
    ("SELECT name FROM staff", "SELECT DISTINCT city FROM staff", False, False),
    ("SELECT 'distinct'", "SELECT DISTINCT 'distinct'", True, True),
]


@pytest.mark.parametrize(("gold", "output", "counted", "ignored"), DISTINCTS)
def test_distinct_counts_or_is_ignored(folder, gold, output, counted, ignored):
    for value, right in ((None, counted), ("count", counted), ("ignore", ignored)):
        with make_scorer("sql", {"distinct": value} if value else {}, folder) as scorer:
            assert scorer.score(output, item(gold)).flexible == right, value


def test_tables_of_json_are_read(scorer):
    for output in ("SELECT value FROM json_each('[5]')", "SELECT atom FROM json_tree('5')"):
        assert scorer.score(output, item("SELECT 5")).strict
    joined = "SELECT name FROM staff, json_each('[30, 40]') AS j WHERE j.value = age"
    assert scorer.score(joined, item("SELECT name FROM staff WHERE age IN (30, 40)")).flexible
    assert scorer.run("firm.sqlite", "SELECT fts3_tokenizer('simple')").error


@pytest.mark.slow
def test_a_worker_that_is_killed_now_and_then_changes_no_score(folder, monkeypatch):
    with SqlScorer(folder / "databases") as scorer:
        ask = scorer._worker.ask_once
        count = 0

        def struck(request, seconds):
            nonlocal count
            count += 1
            if count % 7 == 0 and scorer._worker._process is not None:
                # As the system's own killer does it: while the query is on its way.
                scorer._worker._process.kill()
            return ask(request, seconds)

        monkeypatch.setattr(scorer._worker, "ask_once", struck)
        for n in range(60):
            gold = f"SELECT a FROM pairs WHERE b = {n % 7} AND a <> {n}"
            score = scorer.score(gold, item(gold))
            assert score.flexible, (n, score.reason)
    assert count > 120


def test_an_error_that_is_not_the_querys_own_is_not_kept(folder, monkeypatch):
    with SqlScorer(folder / "databases") as scorer:
        died = {"error": "its process ended", "transient": True}
        real = scorer._worker.ask_once
        monkeypatch.setattr(scorer._worker, "ask_once", lambda *_: died)
        assert not scorer.score("SELECT 5", item("SELECT 5")).flexible
        monkeypatch.setattr(scorer._worker, "ask_once", real)
        assert scorer.score("SELECT 5", item("SELECT 5")).flexible


def test_a_query_that_only_the_clock_ended_is_asked_once_more(folder):
    with SqlScorer(folder / "databases", ScorerOptions(timeout=0.2)) as scorer:
        assert scorer.run("firm.sqlite", "SELECT 1").rows == ((1,),)
        # Stopped, it takes no time of the processor.
        os.kill(scorer._worker._process.pid, signal.SIGSTOP)
        assert scorer.run("firm.sqlite", "SELECT 2").rows == ((2,),)


def test_texts_in_either_quotes_are_the_same_literals(scorer):
    gold = item('SELECT name AS "Who", "age" FROM staff WHERE city = "Atlantis"')
    for output, right in [
        ("SELECT name, age FROM staff WHERE city = 'Atlantis'", True),
        ('SELECT name, age FROM "staff" WHERE "city" = "Atlantis"', True),
        ("SELECT name, age FROM staff WHERE city = 'Utopia'", False),
        ('SELECT name, age FROM staff WHERE city = "Utopia"', False),
    ]:
        assert scorer.score(output, gold).flexible == right, output


def test_what_is_right_as_it_was_asked_for_is_right(scorer):
    gold = item("SELECT name FROM staff WHERE age = 60")
    score = scorer.score("select name from staff\n\n\nwhere\n\nage = 60", gold)
    assert (score.strict, score.flexible) == (True, True)


def test_gold_results_are_forgotten_when_there_are_too_many(folder, monkeypatch):
    monkeypatch.setattr(sql, "MAX_KEPT_VALUES", 3000)
    with SqlScorer(folder / "databases") as scorer:
        for n in range(30):
            gold = f"SELECT a, b FROM pairs WHERE a >= {n}"
            assert scorer.score(gold, item(gold)).flexible
        assert 1 <= len(scorer._gold) <= 12
        assert scorer._gold_values <= 3000


def test_a_bad_gold_spoils_its_own_item_alone(scorer):
    score = scorer.score("SELECT name FROM staff", item("SELECT name FROM nowhere"))
    assert not score.flexible
    assert score.reason.startswith("gold query failed: OperationalError")
    assert scorer.score("SELECT 1", item("SELECT 1")).flexible


def test_a_wrong_database_name_is_an_error(scorer):
    for name, error in [("", ValueError), ("../x", ValueError), ("/etc/passwd", ValueError)]:
        with pytest.raises(error):
            scorer.score("SELECT 1", TaskItem("item", "", "", "", "SELECT 1", database=name))
    with pytest.raises(FileNotFoundError):
        scorer.score("SELECT 1", TaskItem("item", "", "", "", "SELECT 1", database="no.sqlite"))


FLEXIBLE = [
    ("SELECT 1", "SELECT 1"), ("```sql\nSELECT 1\n```", "SELECT 1"),
    ("```\nSELECT 1;\n```", "SELECT 1"), ("```sqlite\nSELECT 1", "SELECT 1"),
    ("Here it is: ```SELECT 1``` as asked", "SELECT 1"),
    ("First ```sql\nSELECT 1\n``` or better ```sql\nSELECT 2\n```", "SELECT 2"),
    ("To select the name: SELECT name FROM t", "SELECT name FROM t"),
    ("The query is select name from t", "select name from t"),
    ("SQL: WITH a AS (SELECT 1) SELECT * FROM a", "WITH a AS (SELECT 1) SELECT * FROM a"),
    ("SELECT 1; DROP TABLE t", "SELECT 1"), ("SELECT ';' AS a; x", "SELECT ';' AS a"),
    ("SELECT 1\n\nThis gives one.", "SELECT 1"),
    ("select a from t where b not in (SELECT b FROM u)",
     "select a from t where b not in (SELECT b FROM u)"),
    ("select a from t\n\nwhere b = 1", "select a from t\n\nwhere b = 1"),
    ("select a from t\n\nOrder by b\n\nlimit 1\n\nThat is it.",
     "select a from t\n\nOrder by b\n\nlimit 1"),
    ("SELECT a FROM t\n\nOne by one.", "SELECT a FROM t"), ("no idea", None),
    ("with all due respect", None), ("```sql\n```", None), ("", None), (" \n", None),
]  # fmt: skip


@pytest.mark.parametrize(("text", "query"), FLEXIBLE)
def test_flexible_reading(text, query):
    assert read_sql(text).value == query


QUERY = "SELECT name FROM staff WHERE age > 30"
CHATS = [
    (f"```sql\n{QUERY}\n```", QUERY), (f"```SQL\n{QUERY};\n```", QUERY),
    (f"```postgresql\n{QUERY}\n```", QUERY), (f"```sqlite3\n{QUERY}\n```", QUERY),
    (f"```text\n{QUERY}\n```", QUERY), (f"```plaintext\n{QUERY}", QUERY),
    (f"~~~sql\n{QUERY}\n~~~", QUERY), (f"```sql {QUERY}```", QUERY),
    (f"````sql\n{QUERY}\n````", QUERY), (f'```python\ncursor.execute("""{QUERY}""")\n```', QUERY),
    (f'```python\nquery = "{QUERY}"\nprint(query)\n```', QUERY), (f"{QUERY}<|eot_id|>", QUERY),
    (f"{QUERY}</s>", QUERY), (f"{QUERY};<|im_end|>\n<|im_start|>user", QUERY),
    (f"{QUERY}<end_of_turn>", QUERY), (f"{QUERY}<｜end▁of▁sentence｜>", QUERY),
    (f"<sql>{QUERY}</sql>", QUERY), (f"<SQL>\n{QUERY};\n</SQL>", QUERY),
    (f"<query>{QUERY}</query> as asked", QUERY), (f"<answer>\n{QUERY}\n</answer>", QUERY),
    (f"<code>{QUERY}</code>", QUERY),
    (f"<think>SELECT 1</think>\n<answer>```sql\n{QUERY}\n```</answer>", QUERY),
    (f"The query is `{QUERY}`.", QUERY), (f"`{QUERY}`", QUERY), (f"Use `{QUERY};` here.", QUERY),
    (f'"{QUERY}"', QUERY), (f"The query is '{QUERY}'", QUERY),
    ("Use `SELECT \"a b\" FROM t WHERE c = 'x'` or so.", "SELECT \"a b\" FROM t WHERE c = 'x'"),
    ("`SELECT `name` FROM `staff``", "SELECT `name` FROM `staff`"),
    ('{"sql": "SELECT name FROM staff WHERE city = \\"Rome\\"", "confidence": 1}',
     'SELECT name FROM staff WHERE city = "Rome"'),
    (f"{QUERY}\nThis query returns the names.", QUERY),
    (f"{QUERY}\n\nThis query returns the names.", QUERY),
    (f"{QUERY}\nExplanation: we filter by age.", QUERY),
    (f"{QUERY}\nIn this query, we select the name from staff.", QUERY),
    (f"{QUERY}\nAs you can see, it filters by age.", QUERY),
    (f"{QUERY}\n- name is the column", QUERY), (f"{QUERY}\n* name is the column", QUERY),
    (f"{QUERY}\nNote: age > 30", QUERY), (f"{QUERY};\nThis returns names", QUERY),
    (f"{QUERY}\nWhere age is the column.", QUERY),
    (f"{QUERY}\nOr you could join the tables.", QUERY), (f"{QUERY}\n1. It filters", QUERY),
    ("SELECT name\nFROM staff\nWHERE age > 30\nORDER BY name\nLIMIT 3\nIt gives three.",
     "SELECT name\nFROM staff\nWHERE age > 30\nORDER BY name\nLIMIT 3"),
    ("Select name\nFrom staff\nWhere age > 30", "Select name\nFrom staff\nWhere age > 30"),
    ("SELECT\n  Name,\n  Age\nFROM\n  Staff s\nWHERE\n  s.Age > 30\n  AND s.City = 'Rome'",
     "SELECT\n  Name,\n  Age\nFROM\n  Staff s\nWHERE\n  s.Age > 30\n  AND s.City = 'Rome'"),
    ("SELECT a FROM t\nUNION\nSELECT b FROM u", "SELECT a FROM t\nUNION\nSELECT b FROM u"),
    ("SELECT a FROM t WHERE b IN (\n  SELECT b\n  FROM u\n)\nGroup by a",
     "SELECT a FROM t WHERE b IN (\n  SELECT b\n  FROM u\n)\nGroup by a"),
    (f"I will select the names from staff.\n\n{QUERY}", QUERY),
    (f"To answer, I will SELECT the name of staff.\n{QUERY}", QUERY),
    (f"I will SELECT the names FROM the staff table:\n\n```sql\n{QUERY}\n```", QUERY),
    (f"We need to select names from the table with age above 30. So: {QUERY}", QUERY),
    (f"First we SELECT names FROM staff, then filter.\n\nSQL: {QUERY}", QUERY),
    (f"Select the name from staff:\n{QUERY}", QUERY), (f"Here is the query: {QUERY}.", QUERY),
    (f"**{QUERY}**", QUERY), (f"SQL:\n{QUERY}", QUERY), (f"1. {QUERY}", QUERY),
    (f"> {QUERY}", QUERY), (f"Use {QUERY} to get the names.", QUERY),
    ("Run SELECT name FROM staff to get the names.", "SELECT name FROM staff"),
    ("WITH a AS (SELECT 1 AS x) SELECT x FROM a", "WITH a AS (SELECT 1 AS x) SELECT x FROM a"),
    ("WITH RECURSIVE c(x) AS (SELECT 1 UNION SELECT x FROM c)\nSELECT x FROM c",
     "WITH RECURSIVE c(x) AS (SELECT 1 UNION SELECT x FROM c)\nSELECT x FROM c"),
    ("WITH a AS MATERIALIZED (SELECT 1) SELECT * FROM a",
     "WITH a AS MATERIALIZED (SELECT 1) SELECT * FROM a"),
    ("with a as not materialized(select 1) select * from a",
     "with a as not materialized(select 1) select * from a"),
    ('So:\nWITH "a b" AS (\n  SELECT * FROM staff\n)\n\nSELECT name FROM "a b"\n\nDone.',
     'WITH "a b" AS (\n  SELECT * FROM staff\n)\n\nSELECT name FROM "a b"'),
    ("WITH a AS (SELECT 1 AS x),\n\nb AS (SELECT 2 AS y)\n\nSELECT * FROM a, b",
     "WITH a AS (SELECT 1 AS x),\n\nb AS (SELECT 2 AS y)\n\nSELECT * FROM a, b"),
    ("VALUES (1), (2)", "VALUES (1), (2)"),
    ("-- the names\nSELECT name FROM staff -- all\nWHERE age > 30",
     "SELECT name FROM staff -- all\nWHERE age > 30"),
    ("/* SELECT 1 */\nSELECT name FROM staff", "SELECT name FROM staff"),
    ("(SELECT name FROM staff)", "SELECT name FROM staff"), (f"{QUERY}; SELECT 2", QUERY),
    ("x" * 30000 + f"\n{QUERY}", QUERY),
    ("SELECT 1\n" + "word " * 6000 + f"\n```sql\n{QUERY}\n```", QUERY),
    ("SELECT name FROM staff WHERE age &gt; 30", QUERY),
    (f"{QUERY}\n\nQuestion: How many?\nSELECT count(*) FROM staff", QUERY),
    (f"```sql\n{QUERY}\n```\n\nQ: How many?\n```sql\nSELECT 1\n```", QUERY),
    (f"### Question: Who?\n### SQL:\n{QUERY}", QUERY), ("<think>\nSELECT 1", None),
    ("<think>SELECT 1</think>", None), ("<think>SELECT 1</think>" + QUERY, QUERY),
    (f"First try:\nSELECT 1\n\nFinal answer:\n{QUERY}", QUERY),
    ("I cannot select a query for this.", None),
    ("SELECT count(*) AS n FROM staff GROUP BY city HAVING count(*) > 1\n\nThis counts.",
     "SELECT count(*) AS n FROM staff GROUP BY city HAVING count(*) > 1"),
    ("SELECT T1.name FROM staff AS T1 JOIN firm AS T2 ON T1.id = T2.id\nThe join gives names.",
     "SELECT T1.name FROM staff AS T1 JOIN firm AS T2 ON T1.id = T2.id"),
    ("SELECT CASE WHEN age > 30 THEN 'old' ELSE 'young' END\nFROM staff\nResult: old",
     "SELECT CASE WHEN age > 30 THEN 'old' ELSE 'young' END\nFROM staff"),
    ("SELECT * FROM staff\nAll of it.", "SELECT * FROM staff"),
    ("SELECT name FROM staff s\nJOIN firm f\nON s.id = f.id",
     "SELECT name FROM staff s\nJOIN firm f\nON s.id = f.id"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "query"), CHATS)
def test_what_chat_models_write_is_read_as_a_person_reads_it(text, query):
    reading = read_sql(text)
    assert reading.value == query
    assert (reading.reason == "") == (query is not None)


def test_queries_in_many_words_are_read_as_a_person_reads_them():
    file = Path(__file__).with_name("readings_sql.jsonl")
    cases = [json.loads(line) for line in file.read_text().splitlines()]
    assert len(cases) > 650

    def bare(query: str | None) -> str | None:
        """Return a query on one line, without comments."""
        return query and " ".join(re.sub(r"--[^\n]*", "", query).split())

    misread = [
        (case["text"], case["query"], value)
        for case in cases
        if (value := bare(read_sql(case["text"]).value)) != case["query"]
    ]
    assert not misread


FRAMES = [
    "{query}", "Here:\n```sql\n{query}\n```\nIt works.", "<sql>{query}</sql>",
    "{query}\nThis query returns what was asked for.", "The query is `{query}`.",
    "I will SELECT the rows we need.\n\n{query}", "{query};<|eot_id|>",
    "{lines}\nThis gives the result.", "**{query}**", "[SQL]{query}[/SQL]",
    "The query is {query}, which is it.", "{query}\n(as you asked me to do)",
    "SELECT 1 FROM x\n\nWait, that is wrong.\n\n{query}",
]  # fmt: skip


@pytest.mark.parametrize("frame", FRAMES)
def test_every_real_query_is_read_from_every_frame(frame):
    import polars as pl

    frames = [
        pl.read_parquet(real_data() / f"{split}.parquet") for split in ("train", "validation")
    ]
    queries = sorted(set(pl.concat([frame["query"] for frame in frames])))
    assert len(queries) > 4000
    for query in queries[::10]:
        lines = re.sub(r" (from|where|group by|order by|join|union)\b", r"\n\1", query, flags=re.I)
        text = frame.format(query=query, lines=lines)
        assert plain_text(read_sql(text)) == plain_text(Reading(query)), text


def real_data() -> Path:
    folder = os.environ.get("SEEDBED_TEST_DATA")
    if not folder:
        pytest.skip("SEEDBED_TEST_DATA names no folder with the real data")
    return Path(folder) / "xlangai/spider/spider"


STRICT = [
    ("SELECT 1", "SELECT 1"), (" select 1 ; \n", "select 1"),
    ("WITH a AS (SELECT 1) SELECT * FROM a;", "WITH a AS (SELECT 1) SELECT * FROM a"),
    ("SELECT ';'", "SELECT ';'"), ("-- the number\nSELECT 1", "SELECT 1"),
    ("VALUES (1)", "VALUES (1)"), ("<think>SELECT 2</think>\nSELECT 1", "SELECT 1"),
    ("<think>SELECT 1", None), ("SELECT 1;<|eot_id|>", "SELECT 1"),
    ("SELECT 1\n\nQuestion: How many?\nSELECT 2", "SELECT 1"),
    ("SELECT 1\nThis is one.", "SELECT 1\nThis is one."), ("```sql\nSELECT 1\n```", None),
    ("SELECT 1; SELECT 2", None), ("Answer: SELECT 1", None), ("DROP TABLE t", None), ("", None),
    ("SELECT " + "1," * 20_000 + "1", None),
]  # fmt: skip


@pytest.mark.parametrize(("text", "query"), STRICT)
def test_strict_reading(text, query):
    assert read_strict(text).value == query


ORDERED = [
    ("SELECT a FROM t ORDER BY a", True), ("select a from t order\n by a limit 1", True),
    ("SELECT a FROM t UNION SELECT b FROM u ORDER BY 1", True),
    ("SELECT a FROM (SELECT a FROM t ORDER BY a)", False),
    ("SELECT row_number() OVER (ORDER BY a) FROM t", False), ("SELECT 'order by' FROM t", False),
    ('SELECT "order" FROM t /* ORDER BY a */', False), ("SELECT a FROM t -- ORDER BY a", False),
    ("SELECT a FROM t WHERE x IN (SELECT 1) ORDER /* so */ BY a", True),
]  # fmt: skip


@pytest.mark.parametrize(("query", "ordered"), ORDERED)
def test_order_counts_at_the_top_level_alone(query, ordered):
    assert orders_rows(query) is ordered


EVIL = Path("/tmp/seedbed_evil.sqlite")
REACHING_OUT = [
    # Writing.
    "DROP TABLE staff", "DROP TABLE IF EXISTS staff", "DELETE FROM staff",
    "UPDATE staff SET age = 0", "UPDATE staff SET age = 0 RETURNING name",
    "INSERT INTO staff VALUES (9, 'Mal', 1, 1.0, 'Rome')",
    "REPLACE INTO staff VALUES (1, 'Mal', 1, 1.0, 'Rome')",
    "INSERT INTO sqlite_master VALUES ('table', 'evil', 'evil', 9, '')",
    "UPDATE sqlite_schema SET sql = 'x'", "CREATE TABLE evil (a INT)",
    "CREATE TEMP TABLE evil AS SELECT * FROM staff", "CREATE VIEW evil AS SELECT * FROM staff",
    "CREATE TRIGGER evil AFTER INSERT ON staff BEGIN DELETE FROM staff; END",
    "CREATE INDEX evil ON staff (age)", "CREATE VIRTUAL TABLE evil USING fts5(a)",
    "ALTER TABLE staff RENAME TO evil", "ALTER TABLE staff DROP COLUMN age", "REINDEX", "ANALYZE",
    "VACUUM", f"VACUUM INTO '{EVIL}'",
    # Writing behind a WITH.
    "WITH x AS (SELECT 1) DELETE FROM staff",
    "WITH x AS (SELECT 1) UPDATE staff SET age = (SELECT * FROM x)",
    "WITH x AS (SELECT 1) INSERT INTO staff SELECT 1, 'x', 1, 1, 'y'",
    "WITH RECURSIVE x(n) AS (SELECT 1) REPLACE INTO staff SELECT n, n, n, n, n FROM x",
    "WITH x AS (DELETE FROM staff RETURNING name) SELECT * FROM x",
    "SELECT * FROM (DELETE FROM staff RETURNING name)",
    # Several statements, and comments that hide one.
    "SELECT 1; DROP TABLE staff", "SELECT name FROM staff; DELETE FROM staff; SELECT 1",
    "SELECT 1;;;DROP TABLE staff;", "SELECT 1 /*; */; DROP TABLE staff --",
    "SELECT 1 -- \n; DROP TABLE staff", "/* SELECT */ DROP TABLE staff",
    "-- SELECT 1\nDROP TABLE staff", "SELECT 1; COMMIT; DROP TABLE staff",
    "SELECT ';' ; DELETE FROM staff WHERE name = ';'",
    # Other files, settings, transactions.
    f"ATTACH DATABASE '{EVIL}' AS evil", "ATTACH DATABASE 'file:firm.sqlite?mode=rwc' AS evil",
    "ATTACH ':memory:' AS evil", f"SELECT 1 FROM staff; ATTACH '{EVIL}' AS evil",
    "DETACH DATABASE main", "PRAGMA writable_schema = 1", "PRAGMA journal_mode = WAL",
    "PRAGMA query_only = 0", "PRAGMA user_version = 7", "PRAGMA hard_heap_limit = 0",
    "SELECT * FROM pragma_table_info('staff')", "SELECT * FROM pragma_database_list",
    "SELECT * FROM pragma_user_version(7)", "BEGIN EXCLUSIVE", "SAVEPOINT evil", "ROLLBACK",
    # Functions that reach out.
    "SELECT load_extension('/tmp/evil.so')", "SELECT Load_Extension('/tmp/evil.so', 'main')",
    f"SELECT writefile('{EVIL}', 'x')", "SELECT readfile('/etc/passwd')", "SELECT edit('x', 'sh')",
    "SELECT fts3_tokenizer('simple')", "SELECT * FROM fsdir('/')", "SELECT * FROM dbstat",
]  # fmt: skip
HOSTILE = [
    *REACHING_OUT,
    # Much memory at once.
    "SELECT length(randomblob(2000000000))", "SELECT randomblob(999999) FROM pairs a, pairs b",
    "SELECT group_concat(randomblob(999999)) FROM pairs", "SELECT length(zeroblob(2000000000))",
    "SELECT printf('%2000000000d', 1)",
    "SELECT hex(randomblob(400000)) AS x FROM pairs a, pairs b ORDER BY x",
    # Depth and length.
    "SELECT " + "(" * 5_000 + "1" + ")" * 5_000, "SELECT " + "(SELECT " * 1_500 + "1" + ")" * 1_500,
    "SELECT * FROM " + "(SELECT * FROM " * 1_000 + "staff" + ")" * 1_000,
    "SELECT " + "1+" * 9_000 + "1", "SELECT " + "NOT " * 4_000 + "1",
    "SELECT 1 " + "UNION ALL SELECT 1 " * 900, "SELECT " + "1," * 5_000 + "1",
    "SELECT 1 FROM staff WHERE " + "age = 1 OR " * 1_500 + "0",
    "SELECT 1 WHERE 'x' LIKE '" + "%" * 9_000 + "'",
    # Text that is no query.
    "SELECT '\x00'", "SELECT '\ud800'", "SELECT 'unclosed", "SELECT /* unclosed",
    "SELECT " + "/*" * 9_000, "SELECT " + "'" * 9_001, 'SELECT "' * 2_000, "EXPLAIN SELECT 1",
    "SELECT abs(-9223372036854775808)",
]  # fmt: skip
COUNTER = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c)"
ENDLESS = [
    f"{COUNTER} SELECT count(*) FROM c",
    f"{COUNTER} SELECT x FROM c ORDER BY x",
    f"{COUNTER} SELECT x FROM c WHERE x < 0",
    f"{COUNTER} SELECT max(x) FROM c, staff",
    f"{COUNTER} SELECT name FROM staff WHERE age IN (SELECT x + 100 FROM c)",
    "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + id FROM c, staff) SELECT sum(x) FROM c",
    "WITH RECURSIVE c(x) AS (SELECT 'a' UNION ALL SELECT x || x FROM c) SELECT count(*) FROM c",
    "SELECT count(*) FROM pairs a, pairs b, pairs c, pairs d, pairs e",
    "SELECT DISTINCT a.a FROM pairs a, pairs b, pairs c, pairs d ORDER BY b.b + c.b * d.b",
    "SELECT count(*) FROM pairs a JOIN pairs b ON a.raw <> b.raw JOIN pairs c JOIN pairs d",
    "SELECT replace(hex(zeroblob(400000)), '0', hex(zeroblob(400000))) FROM pairs a, pairs b",
    "SELECT sum(length(randomblob(900000))) FROM pairs a, pairs b",
    # One function call of many seconds, which only the kill of its process ends.
    "SELECT instr(hex(zeroblob(490000)), hex(zeroblob(240000)) || '1')",
]
TIMEOUT = 0.5  # s of CPU time for one query
DEADLINE = 2 * TIMEOUT + 1  # s of any time
SLACK = 5  # s to end a process and start the next, on a busy machine


def contents(folder: Path) -> dict[str, str]:
    """Return a digest of every file beside the databases, by name."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (folder / "databases").iterdir()
    }


@pytest.fixture(scope="module")
def strained(folder):
    """A scorer with a short deadline, for the hostile queries."""
    with SqlScorer(folder / "databases", ScorerOptions(timeout=TIMEOUT)) as made:
        yield made


@contextmanager
def unharmed(folder: Path):
    """Check that databases are the same to the byte, no file is left, and it was over in time."""
    before = contents(folder)
    assert set(before) == {"firm.sqlite", "wal.sqlite"}
    start = time.monotonic()
    yield
    assert time.monotonic() - start < DEADLINE + SLACK
    assert contents(folder) == before
    assert not EVIL.exists()


def names(queries: list[str]) -> list[str]:
    return [f"{place}: {query[:30]!r}" for place, query in enumerate(queries)]


@pytest.mark.parametrize("query", HOSTILE, ids=names(HOSTILE))
def test_hostile_queries_change_nothing(strained, folder, query):
    gold = item("SELECT name FROM staff WHERE age = 30")
    for output in (query, f"```sql\n{query}\n```"):
        with unharmed(folder):
            assert not strained.score(output, gold).flexible
    # The engine itself refuses too, whatever the reading of the output lets through.
    with unharmed(folder):
        strained.run("firm.sqlite", query)
    assert strained.score("SELECT count(*) FROM staff", item("SELECT 5")).flexible


@pytest.mark.parametrize("query", REACHING_OUT, ids=names(REACHING_OUT))
def test_nor_do_they_where_a_database_has_a_write_ahead_log(strained, folder, query):
    with unharmed(folder):
        strained.run("wal.sqlite", query)
    assert strained.score("SELECT count(*) FROM staff", item("SELECT 5", "wal.sqlite")).flexible


def test_there_are_enough_hostile_queries():
    assert len(set(HOSTILE)) + len(set(ENDLESS)) >= 60


@pytest.mark.parametrize(
    "query",
    [
        "DROP TABLE staff", "PRAGMA writable_schema = 1", "ATTACH DATABASE ':memory:' AS evil",
        "SELECT 1; SELECT 2", "SELECT * FROM pragma_table_info('staff')",
        "SELECT load_extension('evil')", "SELECT zeroblob(2000000000)", "BEGIN",
    ],
)  # fmt: skip
def test_the_worker_refuses_what_only_looks_like_reading(scorer, query):
    assert scorer.run("firm.sqlite", query).error


@pytest.mark.parametrize("query", ENDLESS, ids=names(ENDLESS))
def test_the_deadline_fires(strained, folder, query):
    assert strained.run("firm.sqlite", "SELECT 1").rows == ((1,),)
    with unharmed(folder):
        score = strained.score(query, item("SELECT 1"))
    assert not score.flexible
    assert score.reason
    assert strained.score("SELECT 1", item("SELECT 1")).flexible


def test_too_many_rows_and_too_much_memory_end_a_query(folder):
    with SqlScorer(
        folder / "databases", ScorerOptions(max_rows=1_000, max_memory_mb=200)
    ) as scorer:
        assert scorer.run("firm.sqlite", "SELECT 1 FROM pairs a, pairs b").error == "too many rows"
        big = "SELECT group_concat(hex(zeroblob(490000 + a.a)), '') FROM pairs a"
        assert scorer.run("firm.sqlite", big).error
        wide = "SELECT hex(zeroblob(490000 + a.a)) AS x FROM pairs a ORDER BY x"
        assert scorer.run("firm.sqlite", wide).error
        assert scorer.score("SELECT 1 FROM pairs a, pairs b", item("SELECT 1")).reason == ""
        assert scorer.run("firm.sqlite", "SELECT 1").rows == ((1,),)


def test_the_worker_is_replaced_when_it_dies_and_ends_when_closed(folder):
    scorer = SqlScorer(folder / "databases")
    assert scorer.run("firm.sqlite", "SELECT 1").rows == ((1,),)
    first = scorer._worker._process
    first.kill()
    first.wait()
    assert scorer.run("firm.sqlite", "SELECT 2").rows == ((2,),)
    second = scorer._worker._process
    assert second.pid != first.pid
    scorer.run("firm.sqlite", "SELECT 3")
    assert scorer._worker._process is second
    scorer.close()
    scorer.close()
    assert second.poll() is not None


def test_a_gold_query_runs_once_for_each_database(folder, monkeypatch):
    with SqlScorer(folder / "databases") as scorer:
        asked = []
        ask = scorer._worker.ask

        def record(request, seconds):
            asked.append((Path(request["database"]).name, request["sql"]))
            return ask(request, seconds)

        monkeypatch.setattr(scorer._worker, "ask", record)
        gold = "SELECT count(*) FROM staff"
        for output in ("SELECT 5", "SELECT 6", "SELECT 5.0"):
            scorer.score(output, item(gold))
        scorer.score("SELECT 5", item(gold, "wal.sqlite"))
    assert [name for name, sql in asked if sql == gold] == ["firm.sqlite", "wal.sqlite"]
    assert len(asked) == 6


IN_ORDER = [
    # (gold, output, right with free columns, right with fixed ones)
    ("SELECT name, age FROM staff", "SELECT name, age FROM staff", True, True),
    ("SELECT name, age FROM staff", "SELECT age, name FROM staff", True, False),
    ("SELECT name, age FROM staff", "SELECT name, age FROM staff ORDER BY age", True, True),
    ("SELECT id, age FROM staff", "SELECT age, id FROM staff", True, False),
    ("SELECT name, name FROM staff", "SELECT name, name AS x FROM staff", True, True),
    ("SELECT 5, 0.3", "SELECT 5.0, 0.1 + 0.2", True, True),
    ("SELECT NULL, 1", "SELECT NULL, 1", True, True),
    ("SELECT NULL, 1", "SELECT 1, NULL", True, False),
    ("SELECT id, id FROM staff ORDER BY id", "SELECT id, id FROM staff ORDER BY name", True, True),
    ("SELECT id, age FROM staff ORDER BY id", "SELECT age, id FROM staff ORDER BY id", True, False),
    ("SELECT id, age FROM staff ORDER BY id", "SELECT id, age FROM staff ORDER BY -id", False,
     False),
    ("SELECT city, age FROM staff", "SELECT DISTINCT city, age FROM staff", False, False),
    ("SELECT a, b FROM pairs", "SELECT a, (b + 1) % 7 FROM pairs", False, False),
    ("SELECT name FROM staff", "SELECT name, age FROM staff", False, False),
]  # fmt: skip


@pytest.mark.parametrize(("gold", "output", "free", "fixed"), IN_ORDER)
def test_the_order_of_columns_is_free_or_fixed(folder, gold, output, free, fixed):
    for order, right in ((None, free), ("free", free), ("fixed", fixed)):
        with make_scorer("sql", {"column_order": order} if order else {}, folder) as scorer:
            score = scorer.score(output, item(gold))
            assert (score.strict, score.flexible, score.reason) == (right, right, "")


def test_limits_are_checked(folder):
    with pytest.raises(ValueError, match="column_order: 'any' is not valid; valid: fixed, free"):
        make_scorer("sql", {"column_order": "any"}, folder)
    with pytest.raises(ValueError, match="timeout: must be greater than 0"):
        make_scorer("sql", {"timeout": 0}, folder)
    with pytest.raises(ValueError, match="timeot: is not a key here"):
        make_scorer("sql", {"timeot": 1}, folder)


def test_text_that_is_not_utf_8_is_read(scorer):
    result = scorer.run("firm.sqlite", "SELECT raw FROM pairs WHERE rowid = 301")
    assert result.rows == (("\udcffA",),)


def permuted(rows, order):
    return tuple(tuple(row[k] for k in order) for row in rows)


VALUES = st.one_of(st.none(), st.integers(-2, 2), st.sampled_from(["a", "b"]), st.just(0.5))


@st.composite
def tables(draw):
    columns = draw(st.integers(1, 5))
    row = st.tuples(*[VALUES] * columns)
    return columns, tuple(draw(st.lists(row, min_size=1, max_size=8)))


@given(tables(), st.randoms())
@settings(max_examples=200, deadline=None)
def test_a_result_equals_itself_in_any_order(table, random):
    columns, rows = table
    order = random.sample(range(columns), columns)
    mixed = random.sample(permuted(rows, order), len(rows))
    assert same_result(Result(rows, columns), Result(tuple(mixed), columns), False) == (True, "")
    kept = Result(permuted(rows, order), columns)
    assert same_result(Result(rows, columns), kept, True) == (True, "")
    mixed = Result(tuple(random.sample(rows, len(rows))), columns)
    assert same_result(Result(rows, columns), mixed, False, True) == (True, "")
    same = kept.rows == rows
    assert same_result(Result(rows, columns), kept, True, True) == (same, "")


@given(tables(), st.data())
@settings(max_examples=200, deadline=None)
def test_a_result_with_one_other_value_differs(table, data):
    columns, rows = table
    row = data.draw(st.integers(0, len(rows) - 1))
    column = data.draw(st.integers(0, columns - 1))
    changed = [list(r) for r in rows]
    changed[row][column] = "other"
    other = Result(tuple(map(tuple, changed)), columns)
    for ordered in (True, False):
        assert same_result(Result(rows, columns), other, ordered) == (False, "")


def test_many_equal_columns_take_no_time():
    rows = tuple((k % 2,) * 30 for k in range(1_000))
    start = time.process_time()
    assert same_result(Result(rows, 30), Result(rows[::-1], 30), False) == (True, "")
    assert time.process_time() - start < 3


def test_a_long_search_is_given_up(monkeypatch):
    rows = ((1, 2, 3), (2, 3, 1), (3, 1, 2))
    other = permuted(rows, (2, 0, 1))
    assert same_result(Result(rows, 3), Result(other, 3), False) == (True, "")
    monkeypatch.setattr("seedbed.evaluation.scorers.sql.MAX_COMPARED_VALUES", 3)
    reason = "results too alike to compare"
    assert same_result(Result(rows, 3), Result(other, 3), False) == (False, reason)


def test_results_alike_in_every_two_columns_end_in_time():
    # The adjacency matrices of two graphs with the same parameters (rook's and Shrikhande's).
    cells = [(i, j) for i in range(4) for j in range(4)]
    near = {(0, 1), (0, 3), (1, 0), (3, 0), (1, 1), (3, 3)}
    rook = tuple(tuple(int((a == c) != (b == d)) for c, d in cells) for a, b in cells)
    other = tuple(
        tuple(int(((a - c) % 4, (b - d) % 4) in near) for c, d in cells) for a, b in cells
    )
    start = time.process_time()
    same, reason = same_result(Result(rook, 16), Result(other, 16), False)
    assert (same, reason) == (True, "")  # As incidence matrices they are one and the same.
    first = [list(row) for row in other]
    first[0], first[1] = list(rook[0]), list(rook[1])
    changed = Result(tuple(map(tuple, first)), 16)
    same, _ = same_result(Result(rook, 16), changed, False)
    assert not same
    assert time.process_time() - start < 10


@given(st.text(alphabet=st.characters(), max_size=200))
@settings(max_examples=150, deadline=None)
def test_any_text_is_read(text):
    for reading in (read_sql(text), read_strict(text), plain_text(read_sql(text))):
        assert (reading.value is None) == bool(reading.reason)
    orders_rows(text)


LONG = ["SELECT " * 15_000, "WITH " * 20_000, "`" * 100_000, "```" * 30_000, ";" * 100_000]
LONG += ["WITH a(" * 15_000, "WITH a (" + "x" * 100_000, "SELECT '" * 12_000, "\n" * 100_000]

LONG += [
    "select a\n" * 11000, "I select a " * 9000, "x select a from b\n" * 5000, "<sql>" * 20000,
    "<sql>SELECT " * 8000, "```sql\n" * 14000, "```sql\nSELECT 1\n" * 6000, "`SELECT " * 12000,
    "'SELECT 'a" * 10000, "SELECT a\n\n" * 9000, "WITH /*" * 14000, "WITH --a\n" * 11000,
    "--a\n" * 25000 + "SELECT 1", "/*" * 50000, "/* */" * 20000, "final answer: SELECT 1\n" * 4500,
    "final answer " * 7000, "&lt;" * 25000, "SELECT a b c d " * 6000, "Select a\n" * 11000,
    "Q: SELECT 1\n" * 8000, "SELECT (" * 12000, "SELECT )" * 12000, "SELECT 1</a" * 9000,
    "~~~" * 33000, "~" * 100000, "WITH a AS " * 10000, 'WITH "' * 16000, "values (" * 12000,
    "SELECT a\nIn x " * 7000, '\\"' * 50000, '"SELECT \\"' * 9000,
]  # fmt: skip


@pytest.mark.parametrize("text", LONG, ids=[repr(text[:8]) for text in LONG])
def test_long_texts_take_no_time(text):
    start = time.process_time()
    read_sql(text)
    read_strict(text)
    orders_rows(text[:20_000])
    plain_text(read_sql(text))
    assert time.process_time() - start < 2


def test_equal_answers_compare_text():
    assert answers_equal("sql", "SELECT a FROM t", "select  A\nfrom t ;")
    assert not answers_equal("sql", "SELECT 'a'", "SELECT 'A'")
    assert not answers_equal("sql", "none", "none")
