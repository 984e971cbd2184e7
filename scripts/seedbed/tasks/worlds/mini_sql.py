"""Questions on small SQL databases of two tables, in many wordings, answered by one query.

A *form* is a kind of query. Each form combines openings and conditions in several wordings. Before
fine-tuning, students know half of the forms; they can learn the other half from synthetic data.
"""

from __future__ import annotations

import hashlib
import random
import re
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from seedbed.artifacts import replacing
from seedbed.tasks.items import TaskItem

LARGEST_NUMBER = 99
_ROWS = 12

_KEYWORDS = (
    *("SELECT", "FROM", "WHERE", "AND", "OR", "ORDER", "BY", "DESC", "ASC", "LIMIT"),
    *("GROUP", "HAVING", "JOIN", "USING", "count", "max", "min", "sum", "avg"),
)
_CHILDREN = (
    *("Anna", "Ben", "Carla", "David", "Emma", "Felix"),
    *("Grace", "Hugo", "Iris", "Jonas", "Klara", "Leo"),
)
_ADULTS = (
    *("Adam", "Berta", "Carl", "Dora", "Erik", "Frida"),
    *("Georg", "Hanna", "Ivan", "Julia", "Karl", "Lena"),
)
_PETS = (
    *("Ace", "Bella", "Coco", "Duke", "Ella", "Fritz"),
    *("Gina", "Hector", "Ida", "Jet", "Kira", "Luna"),
)
_GOODS = (
    *("bag", "belt", "book", "bowl", "brush", "cup"),
    *("hat", "lamp", "pen", "plate", "scarf", "vase"),
)
_TITLES = (
    *("Dawn", "Dust", "Echo", "Fog", "Home", "Ice"),
    *("Moon", "Night", "Rain", "Sand", "Storm", "Wind"),
)


@dataclass(frozen=True)
class Table:
    """A table: its columns and their values.

    Attributes:
        label: the column that names a row; its values are never part of a question.
        words: the text columns, with their words.
        numbers: the number columns, with the inclusive range of their values.
    """

    name: str
    label: tuple[str, tuple[str, ...]]
    words: dict[str, tuple[str, ...]]
    numbers: dict[str, tuple[int, int]]

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns, in the order of the schema."""
        return (self.label[0], *self.numbers, *self.words)

    @property
    def schema(self) -> str:
        """The table's schema as items show it."""
        return f"{self.name} ( {' , '.join(self.columns)} )"


@dataclass(frozen=True)
class Database:
    """Two tables; the label of the second is the last text column of the first."""

    name: str
    main: Table
    other: Table

    @property
    def link(self) -> str:
        """The column that both tables have."""
        return self.other.label[0]

    @property
    def context(self) -> str:
        """The schema as items show it."""
        return f"{self.main.schema} {self.other.schema}"

    def rows(self) -> dict[str, list[tuple[str | int, ...]]]:
        """Return the rows of each table.

        All values of a number column differ, so that only one row has the largest.
        """
        rng = random.Random(f"mini_sql/{self.name}")
        content = {}
        for table, count in ((self.main, _ROWS), (self.other, len(self.other.label[1]))):
            columns: list[list[str | int]] = [list(table.label[1][:count])]
            for low, high in table.numbers.values():
                columns.append(list(rng.sample(range(low, high + 1), count)))
            for words in table.words.values():
                # Every word occurs, some more often than others.
                more = rng.choices(words, weights=range(1, len(words) + 1), k=count - len(words))
                column = [*words, *more] if count >= len(words) else rng.sample(words, count)
                rng.shuffle(column)
                columns.append(list(column))
            content[table.name] = list(zip(*columns, strict=True))
        return content

    def fill(self, connection: sqlite3.Connection) -> None:
        """Create and fill the tables."""
        content = self.rows()
        for table in (self.main, self.other):
            types = [f"{c} {'INTEGER' if c in table.numbers else 'TEXT'}" for c in table.columns]
            connection.execute(f"CREATE TABLE {table.name} ({', '.join(types)})")
            marks = ", ".join("?" * len(types))
            connection.executemany(
                f"INSERT INTO {table.name} VALUES ({marks})", content[table.name]
            )


def _database(
    name: str,
    main: tuple[str, str, tuple[str, ...]],
    numbers: dict[str, tuple[int, int]],
    words: dict[str, tuple[str, ...]],
    other: tuple[str, dict[str, tuple[int, int]], dict[str, tuple[str, ...]]],
) -> Database:
    link = list(words)[-1]
    table, label, values = main
    second = Table(other[0], (link, words[link]), other[2], other[1])
    return Database(name, Table(table, (label, values), words, numbers), second)


_DATABASES = (
    _database(
        "office",
        ("staff", "name", _ADULTS),
        {"age": (20, 64), "pay": (12, 90)},
        {"city": ("Rome", "Oslo", "Paris", "Lima")},
        ("cities", {"size": (3, 90)}, {"country": ("Italy", "Norway", "France", "Peru")}),
    ),
    _database(
        "zoo",
        ("animals", "name", _PETS),
        {"weight": (3, 95)},
        {"kind": ("tiger", "zebra", "camel", "panda"), "cage": ("pond", "hall", "yard", "barn")},
        ("cages", {"area": (10, 80)}, {"zone": ("north", "south")}),
    ),
    _database(
        "school",
        ("pupils", "name", _CHILDREN),
        {"age": (6, 19), "mark": (20, 99)},
        {"class": ("oak", "elm", "fir", "ash")},
        ("classes", {"floor": (1, 6)}, {"teacher": ("Stone", "Wolf", "Cook")}),
    ),
    _database(
        "league",
        ("players", "name", _ADULTS),
        {"goals": (0, 40), "age": (18, 38)},
        {"club": ("Lions", "Bears", "Hawks", "Bulls")},
        ("clubs", {"wins": (2, 30)}, {"town": ("Kiel", "Bonn", "Linz")}),
    ),
    _database(
        "shop",
        ("goods", "name", _GOODS),
        {"price": (2, 70), "stock": (1, 50)},
        {"colour": ("red", "blue", "green"), "shelf": ("top", "middle", "low", "back")},
        ("shelves", {"length": (4, 40)}, {"side": ("left", "right")}),
    ),
    _database(
        "library",
        ("books", "title", _TITLES),
        {"pages": (30, 99)},
        {"topic": ("art", "music", "sport"), "room": ("attic", "cellar", "lounge", "tower")},
        ("rooms", {"seats": (2, 30)}, {"wing": ("east", "west")}),
    ),
)
DATABASES = {database.name: database for database in _DATABASES}


@dataclass(frozen=True)
class Condition:
    """A condition on one column: `=` with a word, `>` or `<` with a number."""

    column: str
    sign: str
    value: str | int

    @property
    def sql(self) -> str:
        """The condition in SQL."""
        value = f"'{self.value}'" if self.sign == "=" else self.value
        return f"{self.column} {self.sign} {value}"


@dataclass(frozen=True)
class Query:
    """The meaning of a question: its form, its table, and the requested columns.

    Attributes:
        form: the name of the form.
        database: the name of the database.
        table: the table asked about.
        shown: the column or aggregate shown, as the form uses it.
        key: the column that is ordered, grouped, or aggregated, or "".
        function: the aggregate function or the order, or "".
        conditions: in the order of the query.
    """

    form: str
    database: str
    table: str
    shown: str
    key: str = ""
    function: str = ""
    conditions: tuple[Condition, ...] = ()

    @property
    def sql(self) -> str:
        """The reference query."""
        return _FORMS[self.form].sql(self)

    @property
    def held_out(self) -> bool:
        """Whether the query belongs to the test split, decided by a hash of its text.

        The split therefore needs no list, and no other part of the world ever shows a test query.
        """
        digest = hashlib.sha256(f"{self.database}|{self.sql}".encode()).digest()
        return digest[0] < 51  # one in five


@dataclass(frozen=True)
class Form:
    """A kind of query.

    Attributes:
        draw: returns a random query of the form on a database.
        sql: returns the SQL of a query of the form.
        wordings: its questions; `{t}` is the table, `{c}` the shown column, `{k}` the key,
            `{f}` the word for the function, `{0}` and `{1}` the conditions with their link.
    """

    draw: Callable[[random.Random, Database, str], Query]
    sql: Callable[[Query], str]
    wordings: tuple[str, ...]


_EQUAL = (" with {c} {v}", " whose {c} is {v}", " that have {c} {v}", " where {c} equals {v}")
_ABOVE = (
    " with {c} above {v}",
    " whose {c} is over {v}",
    " that have more than {v} in {c}",
    " where {c} is greater than {v}",
)
_BELOW = (
    " with {c} below {v}",
    " whose {c} is under {v}",
    " that have less than {v} in {c}",
    " where {c} is smaller than {v}",
)
_CONDITIONS = {"=": _EQUAL, ">": _ABOVE, "<": _BELOW}
# Words for functions and orders; one is drawn for each question.
_FUNCTIONS = {
    "max": ("largest", "highest", "maximum"),
    "min": ("smallest", "lowest", "minimum"),
    "sum": ("total", "summed", "added"),
    "avg": ("average", "mean", "typical"),
    "DESC": ("largest", "highest", "maximum"),
    "ASC": ("smallest", "lowest", "minimum"),
}


def _table(rng: random.Random, database: Database) -> Table:
    return database.main if rng.random() < 0.8 else database.other


def _equal(rng: random.Random, table: Table) -> Condition:
    columns = dict(table.words)
    column = rng.choice(list(columns))
    return Condition(column, "=", rng.choice(columns[column]))


def _compare(rng: random.Random, table: Table) -> Condition:
    column = rng.choice(list(table.numbers))
    low, high = table.numbers[column]
    return Condition(column, rng.choice("<>"), rng.randint(low, high))


def _either(rng: random.Random, table: Table) -> Condition:
    return _equal(rng, table) if rng.random() < 0.5 else _compare(rng, table)


def _shown(rng: random.Random, table: Table, *but: str) -> str:
    return rng.choice([column for column in table.columns if column not in but])


def _draw_list(condition: Callable[[random.Random, Table], Condition]) -> Callable[..., Query]:
    def draw(rng: random.Random, database: Database, form: str) -> Query:
        table = _table(rng, database)
        chosen = condition(rng, table)
        shown = _shown(rng, table, chosen.column)
        return Query(form, database.name, table.name, shown, conditions=(chosen,))

    return draw


def _draw_count(rng: random.Random, database: Database, form: str) -> Query:
    table = _table(rng, database)
    return Query(form, database.name, table.name, "count(*)", conditions=(_either(rng, table),))


def _draw_aggregate(*functions: str) -> Callable[..., Query]:
    def draw(rng: random.Random, database: Database, form: str) -> Query:
        table = database.main
        key = rng.choice(list(table.numbers))
        condition = _either(rng, table)
        while condition.column == key:
            condition = _either(rng, table)
        function = rng.choice(functions)
        return Query(form, database.name, table.name, "", key, function, (condition,))

    return draw


def _draw_top(rng: random.Random, database: Database, form: str) -> Query:
    table = database.main
    key = rng.choice(list(table.numbers))
    condition = _equal(rng, table)
    shown = _shown(rng, table, key, condition.column)
    order = rng.choice(("DESC", "ASC"))
    return Query(form, database.name, table.name, shown, key, order, (condition,))


def _draw_two(rng: random.Random, database: Database, form: str) -> Query:
    table = database.main
    pair = (_equal(rng, table), _compare(rng, table))
    shown = _shown(rng, table, pair[0].column, pair[1].column)
    return Query(form, database.name, table.name, shown, conditions=pair)


def _draw_groups(rng: random.Random, database: Database, form: str) -> Query:
    table = database.main
    key = rng.choice(list(table.words))
    return Query(form, database.name, table.name, "", key, conditions=(_compare(rng, table),))


def _draw_having(rng: random.Random, database: Database, form: str) -> Query:
    table = database.main
    key = rng.choice(list(table.words))
    function = rng.choice(("max", "min", "avg"))
    return Query(form, database.name, table.name, "", key, function, (_compare(rng, table),))


def _draw_join(rng: random.Random, database: Database, form: str) -> Query:
    shown = _shown(rng, database.main, database.link)
    conditions = (_either(rng, database.other),)
    return Query(form, database.name, database.main.name, shown, conditions=conditions)


def _draw_above_average(rng: random.Random, database: Database, form: str) -> Query:
    table = database.main
    key = rng.choice(list(table.numbers))
    condition = _equal(rng, table)
    shown = _shown(rng, table, key, condition.column)
    return Query(form, database.name, table.name, shown, key, rng.choice("<>"), (condition,))


def _sql_where(query: Query) -> str:
    return f"SELECT {query.shown} FROM {query.table} WHERE {query.conditions[0].sql}"


def _sql_aggregate(query: Query) -> str:
    shown = f"{query.function}({query.key})"
    return f"SELECT {shown} FROM {query.table} WHERE {query.conditions[0].sql}"


def _sql_top(query: Query) -> str:
    return f"{_sql_where(query)} ORDER BY {query.key} {query.function} LIMIT 1"


def _sql_both(query: Query) -> str:
    return f"{_sql_where(query)} AND {query.conditions[1].sql}"


def _sql_any(query: Query) -> str:
    return f"{_sql_where(query)} OR {query.conditions[1].sql}"


def _sql_groups(query: Query) -> str:
    return (
        f"SELECT {query.key}, count(*) FROM {query.table} WHERE {query.conditions[0].sql}"
        f" GROUP BY {query.key}"
    )


def _sql_having(query: Query) -> str:
    condition = query.conditions[0]
    having = f"{query.function}({condition.column}) {condition.sign} {condition.value}"
    return f"SELECT {query.key} FROM {query.table} GROUP BY {query.key} HAVING {having}"


def _sql_join(query: Query) -> str:
    database = DATABASES[query.database]
    return (
        f"SELECT {query.shown} FROM {query.table} JOIN {database.other.name}"
        f" USING ({database.link}) WHERE {query.conditions[0].sql}"
    )


def _sql_above_average(query: Query) -> str:
    inner = f"SELECT avg({query.key}) FROM {query.table} WHERE {query.conditions[0].sql}"
    return f"SELECT {query.shown} FROM {query.table} WHERE {query.key} {query.function} ({inner})"


_LIST = (
    "List the {c} of the {t}{0}.",
    "What is the {c} of the {t}{0}?",
    "Show {c} for all {t}{0}.",
    "Give every {c} of {t}{0}.",
)
_FORMS = {
    "list_equal": Form(_draw_list(_equal), _sql_where, _LIST),
    "list_compare": Form(_draw_list(_compare), _sql_where, _LIST),
    "count": Form(
        _draw_count,
        _sql_where,
        (
            "How many {t} are there{0}?",
            "Count the {t}{0}.",
            "What is the number of {t}{0}?",
            "Give the number of {t}{0}.",
        ),
    ),
    "largest": Form(
        _draw_aggregate("max", "min"),
        _sql_aggregate,
        (
            "What is the {f} {k} of {t}{0}?",
            "Give the {f} {k} among {t}{0}.",
            "Find the {f} {k} for the {t}{0}.",
            "Of the {t}{0}, what is the {f} {k}?",
        ),
    ),
    "top": Form(
        _draw_top,
        _sql_top,
        (
            "Of the {t}{0}, show the {c} of the one with the {f} {k}.",
            "What {c} has the {f} {k} among {t}{0}?",
            "Which {c} goes with the {f} {k} of the {t}{0}?",
            "Give the {c} of the {f} {k} in {t}{0}.",
        ),
    ),
    "groups": Form(
        _draw_groups,
        _sql_groups,
        (
            "How many {t} are there in each {k}{0}?",
            "For every {k}, count the {t}{0}.",
            "Give the number of {t} for each {k}{0}.",
            "Count {t}{0}, one line per {k}.",
        ),
    ),
    "total": Form(
        _draw_aggregate("sum", "avg"),
        _sql_aggregate,
        (
            "What is the {f} {k} of {t}{0}?",
            "Compute the {f} {k} over all {t}{0}.",
            "Find the {f} {k} for the {t}{0}.",
            "Of the {t}{0}, what is the {f} {k}?",
        ),
    ),
    "both": Form(
        _draw_two,
        _sql_both,
        (
            "List the {c} of the {t}{0} and also{1}.",
            "What is the {c} of the {t}{0}, if only those{1} count?",
            "Show {c} for all {t}{0}, but just the ones{1}.",
            "Give every {c} of {t}{0} and at the same time{1}.",
        ),
    ),
    "join": Form(
        _draw_join,
        _sql_join,
        (
            "List the {c} of the {t} that belong to {u}{0}.",
            "What is the {c} of the {t} linked to {u}{0}?",
            "Show {c} for all {t} in the {u}{0}.",
            "For {u}{0}, give every {c} of their {t}.",
        ),
    ),
    "any": Form(
        _draw_two,
        _sql_any,
        (
            "List the {c} of the {t}{0} or else{1}.",
            "What is the {c} of the {t}{0}, if those{1} count too?",
            "Show {c} for all {t}{0}, plus the ones{1}.",
            "Give every {c} of {t} either{0} or{1}.",
        ),
    ),
    "having": Form(
        _draw_having,
        _sql_having,
        (
            "Which {k} of {t} has {f}{h}?",
            "Group the {t} by {k} and keep those with {f}{h}.",
            "For which {k} do the {t} have {f}{h}?",
            "Name each {k} whose {t} reach {f}{h}.",
        ),
    ),
    "above_average": Form(
        _draw_above_average,
        _sql_above_average,
        (
            "List the {c} of the {t} that have {k} {s} the average of those{0}.",
            "What {c} comes with {k} {s} the mean for {t}{0}?",
            "Show {c} for {t} with {k} {s} the average of the {t}{0}.",
            "Compared to {t}{0}, which {c} has {k} {s} their mean?",
        ),
    ),
}
FORMS = tuple(_FORMS)
_BASICS = ("list_equal", "list_compare", "count")
ROLE_FORMS = {
    "teacher": FORMS,
    "student_a": (*_BASICS, "largest", "top", "groups"),
    "student_b": (*_BASICS, "total", "both", "join"),
}
_COMPARISONS = {">": ("above", "over"), "<": ("below", "under")}
# Share of new questions with the form of the seed.
_SAME_FORM = 0.5
_BATCH_LIMIT = 2_000  # Draws in a row without a new question before a split counts as used up.


@cache
def _connection(database: str) -> sqlite3.Connection:
    # Threads may share the connection: they only read, one at a time under the interpreter's lock.
    connection = sqlite3.connect(":memory:", check_same_thread=False)
    DATABASES[database].fill(connection)
    return connection


@cache
def _finds_something(database: str, sql: str) -> bool:
    """Return whether a query has a result that is neither empty nor zero nor NULL."""
    rows = _connection(database).execute(sql).fetchmany(1)
    return bool(rows) and rows[0] not in ((0,), (None,))


def _draw(
    rng: random.Random, forms: tuple[str, ...], database: str = "", held_out: bool = False
) -> Query:
    form = rng.choice(forms)
    chosen = DATABASES[database or rng.choice(list(DATABASES))]
    while True:
        query = _FORMS[form].draw(rng, chosen, form)
        if query.held_out == held_out and _finds_something(query.database, query.sql):
            return query


def _tell(rng: random.Random, query: Query) -> str:
    """Return the question in a random wording."""
    form = _FORMS[query.form]
    conditions = [_condition(rng, condition) for condition in query.conditions]
    function = rng.choice(_FUNCTIONS.get(query.function, ("",)))
    fields = {
        "t": query.table,
        "u": DATABASES[query.database].other.name,
        "c": query.shown,
        "k": query.key,
        "f": function,
        "s": rng.choice(_COMPARISONS.get(query.function, ("",))),
        "h": "",
    }
    if query.form == "having":
        condition = query.conditions[0]
        word = rng.choice(_COMPARISONS[condition.sign])
        fields["h"] = f" {condition.column} {word} {condition.value}"
    return rng.choice(form.wordings).format(*conditions, **fields)


def _condition(rng: random.Random, condition: Condition) -> str:
    wording = rng.choice(_CONDITIONS[condition.sign])
    return wording.format(c=condition.column, v=condition.value)


def _broken(rng: random.Random, query: Query, question: str) -> str:
    """Return the question with one fault that makes it unanswerable."""
    database = DATABASES[query.database]
    words = re.findall(r"\w+|[^\w\s]", question)
    columns = {*database.main.columns, *database.other.columns}
    values = {str(condition.value) for condition in query.conditions}
    fault = rng.randrange(5)
    if fault == 0:  # a missing value
        places = [k for k, word in enumerate(words) if word in values]
        del words[rng.choice(places)]
    elif fault == 1:  # a column that the schema lacks
        places = [k for k, word in enumerate(words) if word in columns]
        foreign = [c for c in _all_columns() if c not in columns]
        words[rng.choice(places)] = rng.choice(foreign)
    elif fault == 2:  # a table that the schema lacks
        places = [k for k, word in enumerate(words) if word == query.table]
        tables = [d.main.name for d in _DATABASES if d.name != query.database]
        words[rng.choice(places)] = rng.choice(tables)
    elif fault == 3:  # words in disorder
        start = rng.randrange(max(1, len(words) - 6))
        part = words[start : start + 6]
        rng.shuffle(part)
        mixed = [*words[:start], *part, *words[start + 6 :]]
        words = mixed if mixed != words else words[:-3]
    else:  # cut off
        words = words[: rng.randrange(2, len(words) - 2)]
    return _joined(words)


def _joined(words: list[str]) -> str:
    return re.sub(r" ([.,?])", r"\1", " ".join(words))


@cache
def _all_columns() -> tuple[str, ...]:
    tables = [table for database in _DATABASES for table in (database.main, database.other)]
    return tuple(sorted({column for table in tables for column in table.columns}))


class MiniSql:
    """The world of questions on small databases."""

    kind = "sql"

    def vocabulary(self) -> list[str]:
        """Return all words, numbers and signs of the world's texts, each once."""
        wordings = [w for form in _FORMS.values() for w in form.wordings]
        wordings += [w for part in _CONDITIONS.values() for w in part]
        texts = [re.sub(r"\{[^}]*\}", " ", wording) for wording in wordings]
        texts += [word for part in (_FUNCTIONS, _COMPARISONS) for w in part.values() for word in w]
        words = {word for text in texts for word in re.findall(r"\w+", text)}
        for database in _DATABASES:
            for table in (database.main, database.other):
                words |= {table.name, *table.columns}
                words |= {value for values in table.words.values() for value in values}
        words |= {*_KEYWORDS, "yes", "no", *"(),'=<>*.?"}
        return sorted(words) + [str(number) for number in range(LARGEST_NUMBER + 1)]

    def items(self, split: str, count: int, seed: int) -> list[TaskItem]:
        """Return `count` items of a split with distinct questions, all forms equally likely.

        Items with the same query share a cluster.

        Raises:
            ValueError: if the split is unknown, or has fewer questions.
        """
        if split not in ("train", "test"):
            raise ValueError(f"no split {split!r}; there are: train, test")
        rng = random.Random(f"mini_sql/{split}/{seed}")
        items: dict[tuple[str, str], TaskItem] = {}
        failed = 0
        while len(items) < count:
            query = _draw(rng, FORMS, held_out=split == "test")
            question = _tell(rng, query)
            key = (query.database, question)
            if key in items:
                failed += 1
                if failed == _BATCH_LIMIT:
                    raise ValueError(f"mini_sql has no {count} distinct {split} questions")
                continue
            failed = 0
            digest = hashlib.sha256(query.sql.encode()).hexdigest()[:12]
            items[key] = TaskItem(
                item_id=f"{split}-{len(items):05d}",
                question=question,
                context=DATABASES[query.database].context,
                answer=query.sql,
                gold=query.sql,
                database=f"{query.database}.sqlite",
                cluster=f"{query.database}-{digest}",
            )
        return list(items.values())

    def example(self, skill: str, role: str, rng: random.Random) -> tuple[dict[str, str], str]:
        """Return one pretraining example of a skill: the prompt's fields, and the response.

        A new question is about the database of its seed.

        Raises:
            ValueError: if the skill or role is unknown.
        """
        if role not in ROLE_FORMS:
            raise ValueError(f"no role {role!r}; there are: {', '.join(ROLE_FORMS)}")
        query = _draw(rng, ROLE_FORMS[role])
        question = _tell(rng, query)
        context = DATABASES[query.database].context
        fields = {"question": question, "context": context, "answer": query.sql}
        if skill == "answer":
            return fields, query.sql
        if skill == "question_rephrase":
            other = question
            while other == question:
                other = _tell(rng, query)
            return fields, other
        if skill == "new_question":
            forms = (query.form,) if rng.random() < _SAME_FORM else ROLE_FORMS[role]
            new = query
            while new.sql == query.sql:
                new = _draw(rng, forms, query.database)
            return fields, _tell(rng, new)
        if skill == "self_check":
            if rng.random() < 0.5:
                return fields, "yes"
            return fields | {"question": _broken(rng, query, question)}, "no"
        raise ValueError(f"no skill {skill!r}")

    def write_files(self, folder: Path) -> None:
        """Write the databases, `folder/databases/NAME.sqlite`."""
        for database in _DATABASES:
            with replacing(Path(folder) / "databases" / f"{database.name}.sqlite") as path:
                connection = sqlite3.connect(path)
                try:
                    with connection:
                        database.fill(connection)
                finally:
                    connection.close()


WORLD = MiniSql()
