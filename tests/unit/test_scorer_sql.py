"""The SQL scorer: reading, comparing, hostile queries, limits, and real gold queries."""

from __future__ import annotations

import hashlib
import sqlite3
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seedbed.evaluation.scorers import answers_equal, make_scorer
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
    (1, "Ann", 30, 10.5, "Rome"),
    (2, "Bob", 40, 20.25, "Oslo"),
    (3, "Cid", 50, 0.1, "Rome"),
    (4, "Dan", 60, 0.2, None),
    (5, "Eve", 40, 0.3, "Oslo"),
]


def write_database(folder: Path) -> Path:
    (folder / "databases").mkdir(parents=True)
    path = folder / "databases" / "firm.sqlite"
    connection = sqlite3.connect(path)
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
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("sql")
    write_database(place)
    return place


@pytest.fixture(scope="module")
def scorer(folder):
    made = make_scorer("sql", {"timeout": 5.0}, folder)
    yield made
    made.close()


def item(gold: str) -> TaskItem:
    return TaskItem("item", "Who?", "", gold, gold, database="firm.sqlite", cluster="item")


MATCHES = [
    ("SELECT name FROM staff", "select NAME from STAFF;"),
    ("SELECT name FROM staff", "SELECT name FROM staff ORDER BY age DESC"),
    ("SELECT name, age FROM staff", "SELECT age, name FROM staff"),
    ("SELECT name, age, age FROM staff", "SELECT age, name, age FROM staff"),
    ("SELECT count(*) FROM staff", "SELECT count(id) FROM staff"),
    ("SELECT avg(age) FROM staff", "SELECT 1.0 * sum(age) / count(*) FROM staff"),
    ("SELECT 0.1 + 0.2", "SELECT 0.3"),
    ("SELECT 5", "SELECT 5.0"),
    ("SELECT city FROM staff WHERE id = 4", "SELECT NULL"),
    ("SELECT name FROM staff WHERE age = 40", "SELECT name FROM staff WHERE age = '40'"),
    ("SELECT name FROM staff ORDER BY id", "SELECT name FROM staff ORDER BY name"),
    ("SELECT name, id FROM staff ORDER BY id", "SELECT id, name FROM staff ORDER BY name"),
    ("SELECT max(age) FROM staff", "WITH t AS (SELECT age FROM staff) SELECT max(age) FROM t"),
    ("SELECT raw FROM pairs LIMIT 3", "SELECT raw FROM pairs WHERE rowid < 4"),
    ("SELECT name FROM staff WHERE pay > 10", "SELECT name FROM staff -- all\nWHERE pay > 10"),
    ("SELECT DISTINCT city FROM staff", "SELECT city FROM staff GROUP BY city"),
    (
        "SELECT name FROM (SELECT * FROM staff ORDER BY age)",
        "SELECT name FROM staff ORDER BY id DESC",
    ),
]
MISMATCHES = [
    ("SELECT name FROM staff", "SELECT name FROM staff LIMIT 4"),
    ("SELECT name FROM staff", "SELECT name, age FROM staff"),
    ("SELECT city FROM staff", "SELECT DISTINCT city FROM staff"),
    ("SELECT name FROM staff ORDER BY age", "SELECT name FROM staff ORDER BY age DESC"),
    ("SELECT name FROM staff ORDER BY id", "SELECT name FROM staff ORDER BY id DESC"),
    ("SELECT 5", "SELECT '5'"),
    ("SELECT 5", "SELECT x'35'"),
    ("SELECT NULL", "SELECT 0"),
    ("SELECT NULL", "SELECT ''"),
    ("SELECT 'a'", "SELECT 'A'"),
    ("SELECT 9007199254740992", "SELECT 9007199254740993"),
    ("SELECT a, b FROM pairs", "SELECT a, a FROM pairs"),
    ("SELECT a, b FROM pairs", "SELECT a, (b + 1) % 7 FROM pairs"),
    ("SELECT 1, 2 UNION ALL SELECT 2, 1", "SELECT 1, 1 UNION ALL SELECT 2, 2"),
    ("SELECT name FROM staff", "SELECT nam FROM staff"),
    ("SELECT name FROM staff", "SELECT name FROM stuff"),
    ("SELECT name FROM staff", "SELECT name FROM"),
    ("SELECT name FROM staff WHERE age > 30", "SELECT name FROM staff WHERE age >= 30"),
]


@pytest.mark.parametrize(("gold", "output"), MATCHES)
def test_queries_with_the_same_result_match(scorer, gold, output):
    score = scorer.score(output, item(gold))
    assert (score.strict, score.flexible, score.reason) == (True, True, "")


@pytest.mark.parametrize(("gold", "output"), MISMATCHES)
def test_queries_with_another_result_do_not(scorer, gold, output):
    score = scorer.score(output, item(gold))
    assert (score.strict, score.flexible) == (False, False)
    assert score.extracted == output


def test_empty_results_are_judged_by_what_the_queries_read(scorer):
    gold = item("SELECT name FROM staff WHERE age > 90")
    for output, right in [
        ("SELECT name FROM staff WHERE age > 90", True),
        ("SELECT s.name FROM staff AS s WHERE s.age > 90", True),
        ("SELECT city FROM staff WHERE age > 90", False),
        ("SELECT name FROM staff WHERE age > 91", False),
        ("SELECT a FROM pairs WHERE b > 90", False),
        ("SELECT name, age FROM staff WHERE age > 90", False),
    ]:
        # Twice: the second run of a query must note what it reads as the first does.
        for _ in range(2):
            score = scorer.score(output, gold)
            assert score.flexible == right, output
            assert score.reason.startswith("both results are empty")
    full = scorer.score("SELECT name FROM staff", gold)
    assert (full.flexible, full.reason) == (False, "gold result is empty")
    none = scorer.score("SELECT name FROM staff WHERE age > 90", item("SELECT name FROM staff"))
    assert (none.flexible, none.reason) == (False, "result is empty")


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
    ("SELECT 1", "SELECT 1"),
    ("```sql\nSELECT 1\n```", "SELECT 1"),
    ("```\nSELECT 1;\n```", "SELECT 1"),
    ("```sqlite\nSELECT 1", "SELECT 1"),
    ("Here it is: ```SELECT 1``` as asked", "SELECT 1"),
    ("First ```sql\nSELECT 1\n``` or better ```sql\nSELECT 2\n```", "SELECT 2"),
    ("To select the name: SELECT name FROM t", "SELECT name FROM t"),
    ("The query is select name from t", "select name from t"),
    ("SQL: WITH a AS (SELECT 1) SELECT * FROM a", "WITH a AS (SELECT 1) SELECT * FROM a"),
    ("SELECT 1; DROP TABLE t", "SELECT 1"),
    ("SELECT ';' AS a; x", "SELECT ';' AS a"),
    ("SELECT 1\n\nThis gives one.", "SELECT 1"),
    ("no idea", None),
    ("with all due respect", None),
    ("```sql\n```", None),
    ("", None),
    (" \n", None),
]


@pytest.mark.parametrize(("text", "query"), FLEXIBLE)
def test_flexible_reading(text, query):
    assert read_sql(text).value == query


STRICT = [
    ("SELECT 1", "SELECT 1"),
    (" select 1 ; \n", "select 1"),
    ("WITH a AS (SELECT 1) SELECT * FROM a;", "WITH a AS (SELECT 1) SELECT * FROM a"),
    ("SELECT ';'", "SELECT ';'"),
    ("```sql\nSELECT 1\n```", None),
    ("SELECT 1; SELECT 2", None),
    ("Answer: SELECT 1", None),
    ("DROP TABLE t", None),
    ("", None),
    ("SELECT " + "1," * 20_000 + "1", None),
]


@pytest.mark.parametrize(("text", "query"), STRICT)
def test_strict_reading(text, query):
    assert read_strict(text).value == query


ORDERED = [
    ("SELECT a FROM t ORDER BY a", True),
    ("select a from t order\n by a limit 1", True),
    ("SELECT a FROM t UNION SELECT b FROM u ORDER BY 1", True),
    ("SELECT a FROM (SELECT a FROM t ORDER BY a)", False),
    ("SELECT row_number() OVER (ORDER BY a) FROM t", False),
    ("SELECT 'order by' FROM t", False),
    ('SELECT "order" FROM t /* ORDER BY a */', False),
    ("SELECT a FROM t -- ORDER BY a", False),
    ("SELECT a FROM t WHERE x IN (SELECT 1) ORDER /* so */ BY a", True),
]


@pytest.mark.parametrize(("query", "ordered"), ORDERED)
def test_order_counts_at_the_top_level_alone(query, ordered):
    assert orders_rows(query) is ordered


HOSTILE = [
    "DROP TABLE staff",
    "DELETE FROM staff",
    "UPDATE staff SET age = 0",
    "INSERT INTO staff VALUES (9, 'Mal', 1, 1.0, 'Rome')",
    "WITH x AS (SELECT 1) DELETE FROM staff",
    "WITH x AS (SELECT 1) INSERT INTO staff SELECT 1, 'x', 1, 1, 'y'",
    "SELECT 1; DROP TABLE staff",
    "SELECT name FROM staff; DELETE FROM staff; SELECT 1",
    "ATTACH DATABASE '/tmp/seedbed_evil.sqlite' AS evil",
    "SELECT 1 FROM staff; ATTACH '/tmp/seedbed_evil.sqlite' AS evil",
    "PRAGMA writable_schema = 1",
    "SELECT * FROM pragma_table_info('staff')",
    "SELECT * FROM pragma_database_list",
    "CREATE TABLE evil (a INT)",
    "CREATE TEMP TABLE evil AS SELECT * FROM staff",
    "ALTER TABLE staff RENAME TO evil",
    "VACUUM INTO '/tmp/seedbed_evil.sqlite'",
    "REINDEX",
    "ANALYZE",
    "BEGIN EXCLUSIVE",
    "SELECT load_extension('/tmp/evil.so')",
    "SELECT writefile('/tmp/seedbed_evil.sqlite', 'x')",
    "SELECT readfile('/etc/passwd')",
    "SELECT fts3_tokenizer('simple')",
    "SELECT length(randomblob(2000000000))",
    "SELECT length(zeroblob(2000000000))",
    "SELECT printf('%2000000000d', 1)",
    "SELECT " + "(" * 5_000 + "1" + ")" * 5_000,
    "SELECT " + "1+" * 9_000 + "1",
    "SELECT 1 " + "UNION ALL SELECT 1 " * 900,
    "SELECT " + "1," * 5_000 + "1",
    "SELECT '\x00'",
    "SELECT '\ud800'",
    "SELECT 'unclosed",
    "SELECT /* unclosed",
    "SELECT " + "/*" * 9_000,
    "SELECT " + "'" * 9_001,
    'SELECT "' * 2_000,
    "EXPLAIN SELECT 1",
    "SELECT abs(-9223372036854775808)",
]


@pytest.mark.parametrize("query", HOSTILE, ids=[f"{k}: {q[:30]!r}" for k, q in enumerate(HOSTILE)])
def test_hostile_queries_change_nothing(scorer, folder, query):
    path = folder / "databases" / "firm.sqlite"
    evil = Path("/tmp/seedbed_evil.sqlite")
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    start = time.monotonic()
    for output in (query, f"```sql\n{query}\n```"):
        assert not scorer.score(output, item("SELECT name FROM staff WHERE age = 30")).flexible
    # The engine itself refuses too, whatever the reading of the output lets through.
    scorer.run("firm.sqlite", query)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == before
    assert sorted(p.name for p in path.parent.iterdir()) == ["firm.sqlite"]
    assert not evil.exists()
    assert time.monotonic() - start < 10
    assert scorer.score("SELECT count(*) FROM staff", item("SELECT 5")).flexible


@pytest.mark.parametrize(
    "query",
    [
        "DROP TABLE staff",
        "PRAGMA writable_schema = 1",
        "ATTACH DATABASE ':memory:' AS evil",
        "SELECT 1; SELECT 2",
        "SELECT * FROM pragma_table_info('staff')",
        "SELECT load_extension('evil')",
        "SELECT zeroblob(2000000000)",
        "BEGIN",
    ],
)
def test_the_worker_refuses_what_only_looks_like_reading(scorer, query):
    assert scorer.run("firm.sqlite", query).error


ENDLESS = [
    "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c",
    "SELECT count(*) FROM pairs a, pairs b, pairs c, pairs d, pairs e",
    "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x FROM c ORDER BY x",
    "SELECT replace(hex(zeroblob(400000)), '0', hex(zeroblob(400000))) FROM pairs a, pairs b",
    # One function call of many seconds, which only the kill of its process ends.
    "SELECT instr(hex(zeroblob(490000)), hex(zeroblob(240000)) || '1')",
]


@pytest.mark.parametrize("query", ENDLESS)
def test_the_deadline_fires(folder, query):
    with SqlScorer(folder / "databases", timeout=0.5) as scorer:
        assert scorer.run("firm.sqlite", "SELECT 1").rows == ((1,),)
        start = time.monotonic()
        score = scorer.score(query, item("SELECT 1"))
        # Half a second of CPU time, or twice that and one second of any time.
        assert time.monotonic() - start < 4
        assert not score.flexible
        assert score.reason
        assert scorer.score("SELECT 1", item("SELECT 1")).flexible


def test_too_many_rows_and_too_much_memory_end_a_query(folder):
    with SqlScorer(folder / "databases", max_rows=1_000, max_memory_mb=200) as scorer:
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


def test_limits_are_checked(folder):
    with pytest.raises(ValueError, match="positive"):
        make_scorer("sql", {"timeout": 0}, folder)
    with pytest.raises(ValueError, match="no option timeot"):
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
