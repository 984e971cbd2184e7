"""Finding the SQL query in a model's output.

This module neither runs nor parses queries: it splits a text into SQL's tokens, and ends a query
before the first token that cannot continue it.
"""

from __future__ import annotations

import html
import re
from itertools import islice

from seedbed.evaluation.scorers import Reading
from seedbed.evaluation.scorers.outputs import final_part

MAX_CHARACTERS = 20_000

TOKEN = re.compile(
    r"(?P<comment>--[^\n]*+|/\*(?>(?:[^*]|\*(?!/))*)(?:\*/|\Z))"
    r"|(?P<text>'(?>(?:[^']|'')*)(?:'|\Z))"
    r'|(?P<name>"(?>(?:[^"]|"")*)(?:"|\Z)|`[^`]*+(?:`|\Z)|\[[^\]]*+(?:\]|\Z))'
    r"|(?P<number>(?<![\w.])(?:\d++(?:\.\d*+)?|\.\d++)(?:[eE][+-]?\d++)?)"
    r"|(?P<word>\w++)"
    r"|(?P<sign><>|<=|>=|!=|==|\|\||\S)"
)
_BLANK = r"(?:\s|--[^\n]{0,200}\n|/\*[^*]{0,200}\*/)"
_NAME = r"(?:\w{1,99}|\"[^\"\n]{1,99}\"|`[^`\n]{1,99}`|\[[^\]\n]{1,99}\])"
_QUERY = (
    r"(?<![A-Za-z0-9.])(?<![A-Za-z0-9]_)"
    r"(?:SELECT\b|VALUES\s{0,9}\((?=\s{0,9}(?:[-+(\d'\"]|null\b|x'))"
    rf"|WITH{_BLANK}{{1,20}}(?:RECURSIVE{_BLANK}{{1,20}})?{_NAME}{_BLANK}{{0,20}}"
    rf"(?:\([^()]{{0,500}}\){_BLANK}{{0,20}})?AS{_BLANK}{{0,20}}"
    rf"(?:(?:NOT{_BLANK}{{1,20}})?MATERIALIZED{_BLANK}{{0,20}})?\()"
)
_ANY = re.compile(_QUERY, re.IGNORECASE)
_LEADING = re.compile(r"(?>(?:\s|--[^\n]*+\n|/\*(?>(?:[^*]|\*(?!/))*)\*/)*)")
_FENCE = re.compile(
    r"(?:```|~~~)`?[ \t]*(?:(?:sql|sqlite)(?=(?:select|with)\b)|"
    r"(?!(?:select|with|values)\b)[A-Za-z][\w+#.:-]{0,20}(?:[ \t]+|(?=\n)))?"
    r"\n?((?>(?:[^`~]|`(?!``)|~(?!~~))*))(?:```|~~~|\Z)",
    re.IGNORECASE,
)
_TAG = re.compile(
    r"<(?P<tag>sql|query|answer|code|final_sql|sql_query)>((?>(?:[^<]|<(?!/(?P=tag)>))*))"
    r"(?:</(?P=tag)>|\Z)",
    re.IGNORECASE,
)
_FINAL = re.compile(
    r"\bfinal\s(?:answer|query|sql(?:\squery)?)\b[^\n:]{0,40}:|\bcorrected\s(?:query|sql)\b[^\n:]{0,40}:",
    re.IGNORECASE,
)
# After these words, the next query on a line of its own replaces the earlier one.
_REVISES = re.compile(
    r"\b(?:(?:final|correct(?:ed|ion)?|revised|improved|fixed|updated)\b[^\n:]{0,40}:"
    r"|(?:wait|oops|sorry|actually|hmm+|on\ssecond\sthought)\b)",
    re.IGNORECASE,
)
_INSTEAD_OF = re.compile(
    r"\b(?:instead\sof|rather\sthan|not|incorrect:|wrong:)[\s:*`\"']{1,6}\Z", re.I
)
_OTHER_STATEMENT = re.compile(
    r"\b(?:(?:insert|replace)\s+into\b|create\s+(?:\w+\s+){0,2}(?:table|view)\b)[^;]{0,500}\Z",
    re.IGNORECASE,
)
# "Select the best answer", "a SELECT statement", "select from": prose.
_NO_QUERY = re.compile(
    r"select\s+(?:from\b|(?:the|an|any|some|your|my|this|these|those|one|only|all\sthe|statements?"
    r"|clauses?|which|what)\s+(?!from\b|as\b)\w)",
    re.IGNORECASE,
)
_WITHOUT_TABLE = re.compile(
    r"select\s+(?:distinct\s+|all\s+)?[-+(~]*\s?"
    r"(?:[\d'\".:?(]|x'|\w+\s?\(|(?:null|true|false|case|exists|not|cast|current_\w+)\b)",
    re.IGNORECASE,
)
_SELECTS_FROM = re.compile(r"[^;]{1,2000}?(?:\b|\\n)from\b", re.IGNORECASE)
# Prose after a query, on the query's last line.
_PROSE_BEHIND = re.compile(
    r",\s+(?:which|where|so|but|because|since|assuming|if|to|as\s(?:you|we|asked|requested))\s"
    r"|-\s(?:that|this|which|it|to)\s|[–—]|\*\*|\((?:this|that|which|it|assuming|where|the)\s|is\s+(?:the|an?|what|used|your|my|how"
    r"|this|that|correct|right)\s|:\s|\#|[”»。]|\[(?:/|end\s|[a-z]{3,12}\]\s*\Z)",
    re.IGNORECASE,
)
_RULE = re.compile(r"(?:[*=_~|#-]\s?){2,}$|\|.*\|\s*$", re.MULTILINE)
_NOTE = re.compile(r"\([A-Za-z]+\s(?!from\b)[a-z]+\s", re.IGNORECASE)
_ESCAPED = re.compile(r"&(?:lt|gt|amp|quot|#39|apos|nbsp);")
_COMPOUND = re.compile(r"\b(?:union|all|intersect|except)\s*\Z", re.IGNORECASE)
_LABELLED = re.compile(r"(?:[:=>\"'`]|\(\"|\('|^[\s>*\-\d.)#]*)[\s*_]*\Z")

KEYWORDS = frozenset(
    re.findall(
        r"\w+",
        "select distinct all from join left right full inner cross outer natural on using where "
        "and or not group by having order limit offset union intersect except window as is null in "
        "like glob between exists case when then else end asc desc collate filter over partition "
        "escape isnull  notnull regexp match nulls first last with recursive values materialized "
        "cast rows range  preceding following unbounded current row binary nocase rtrim true false",
    )
)
# "Select the names from staff:" announces a query.
_SENTENCE = re.compile(r"Select\b[^\n]{0,300}[.:][ \t]*\n")
_FROM = re.compile(r".{1,500}?\bfrom\b", re.IGNORECASE | re.DOTALL)
_GO_ON = KEYWORDS - {"select", "with", "values", "first", "last", "distinct", "true", "false"}
_COMPARES = re.compile(r"[=<>]|\b(?:is|in|like|between|not)\b", re.IGNORECASE)
# A third word in a row, after a name and its alias, is prose.
_MOST_NAMES = 2


def _leading(text: str) -> int:
    """Return the position after an introduction, where a query may begin."""
    found = _LEADING.match(text)
    return found.end() if found else 0


def read_strict(output: str) -> Reading:
    """Read the SQL of an output that is one query and nothing else."""
    text = final_part(output, _answered).strip()
    if len(text) > MAX_CHARACTERS:
        return Reading(None, "too long")
    start = _leading(text)
    if not _ANY.match(text, start):
        return Reading(None, "does not begin with SELECT or WITH")
    statement = _first_statement(text[start:])
    if text[start + len(statement) :].strip("; \t\r\n"):
        return Reading(None, "more than one statement")
    return Reading(statement)


def read_sql(output: str) -> Reading:
    """Read the query in a free text: in its last code block or tag with a query, or the first one.

    A query ends at its semicolon, at an empty line that it does not continue after, before prose,
    or at the end of the text.
    """
    text = final_part(output, _answered)[-MAX_CHARACTERS:]
    if not text.strip():
        return Reading(None, "empty")
    if _ESCAPED.search(text):
        text = html.unescape(text)
    blocks = [block[1] for block in _FENCE.finditer(text) if _ANY.search(block[1])]
    blocks = blocks or [block[2] for block in _TAG.finditer(text) if _ANY.search(block[2])]
    if blocks:
        source = blocks[-1]
    else:
        finals = [cue.end() for cue in _FINAL.finditer(text) if _ANY.search(text, cue.end())]
        finals += [cue.end() for cue in _REVISES.finditer(text) if _follows(text, cue.end())]
        source = text[max(finals) :] if finals else text
    source = source.strip()
    start = _start(source)
    if start is None:
        return Reading(None, "no query")
    query = _query(source, start)
    return Reading(query) if query else Reading(None, "no query")


def _follows(text: str, end: int) -> bool:
    """Return whether a query is on a line of its own after a position in a text."""
    return any(
        _rank(text, match.start(), match[0]) == 0 and _is_query(text, match.start())
        for match in islice(_ANY.finditer(text, end), 10)
    )


def _is_query(text: str, start: int) -> bool:
    """Return whether a query may begin at the position of a word such as SELECT."""
    if text[start : start + 6].lower() == "select":
        if _NO_QUERY.match(text, start):
            return False
        if not _WITHOUT_TABLE.match(text, start) and not _SELECTS_FROM.match(text, start):
            return False
    before = text[max(0, start - 600) : start]
    return not (_OTHER_STATEMENT.search(before) or _INSTEAD_OF.search(before[-40:]))


def _answered(head: str, tail: str) -> bool:
    """Return whether the text before a next question or turn contains a query."""
    head = head[-MAX_CHARACTERS:]
    start = _start(head)
    return start is not None and (head[start : start + 1].isupper() or not head[:start].strip())


def _start(source: str) -> int | None:
    """Return the start of the query in a text, or None if there is none.

    Prose may contain "select". A query at the beginning, on a line of its own, or after a colon or
    a quote is preferred, then one in capitals.
    """
    begin = _leading(source)
    best: tuple[int, int] | None = None
    if _ANY.match(source, begin) and _is_query(source, begin):
        if _SENTENCE.match(source, begin) is None:
            return begin
        best = 1, begin
    for match in _ANY.finditer(source):
        start = match.start()
        if not _is_query(source, start):
            continue
        rank = _rank(source, start, match[0])
        if rank == 4 and not _FROM.match(source, start):
            continue
        if best is None or rank < best[0]:
            best = rank, start
        if rank == 0:
            break
    return None if best is None else best[1]


def _rank(source: str, start: int, found: str) -> int:
    """Return the rank of a query's possible start; 0 is the most likely."""
    line = source[max(0, source.rfind("\n", 0, start) + 1, start - 300) : start]
    before = source[max(0, start - 100) : start].rstrip()
    if "--" in line or "/*" in line:
        return 6
    if before.endswith(("(", ")")) or _COMPOUND.search(before):
        # Inside another query.
        return 5
    word = found.split(None, 1)[0].partition("(")[0]
    plain = word.isupper() or word.islower()
    if _LABELLED.search(line):
        return 0 if plain else 2
    return 3 if word.isupper() else 4


def _query(source: str, start: int) -> str:
    """Return the query that begins at a position in a text."""
    before, text = source[:start], source[start:]
    if before.endswith(('"""', "'''")):
        text = text.split(before[-3:], 1)[0]
    elif before[-1:] in ("`", '"', "'"):
        text = _unquoted(text, before[-1])
    for fence in re.finditer("```|~~~", text):
        if text.count("'", 0, fence.start()) % 2 == 0:
            text = text[: fence.start()]
            break
    query = text[: _end(text)].strip().strip("\u200b\ufeff").removesuffix("|").rstrip()
    for mark in ("**", "__", "*"):
        if before.rstrip().endswith(mark):
            query = query.removesuffix(mark).rstrip()
    # The full stop of a sentence.
    return query.removesuffix(".").rstrip()


def _unquoted(text: str, quote: str) -> str:
    """Return a text up to its closing quote; a quote after a space or a sign opens an inner one."""
    place = 0
    while (place := text.find(quote, place)) >= 0:
        if text[place - 1 : place] == "\\":
            place += 1
            continue
        if text[place - 1 : place] not in (" ", "=", "(", ",", ".", "\n", "<", ">"):
            break
        close = text.find(quote, place + 1)
        if close < 0:
            break
        place = close + 1
    inside = text if place < 0 else text[:place]
    return inside.replace(f"\\{quote}", quote).replace("\\n", "\n").replace("\\t", " ")


def _end(text: str) -> int:
    """Return the end of the query at the beginning of a text."""
    title = text[:1].isupper() and not text[:2].isupper()
    depth, names = 0, 0
    end = name_end = 0
    complete = False  # Whether the query could end here.
    with_query = text[:4].lower() == "with"
    previous = ""
    for match in TOKEN.finditer(text):
        kind, token = match.lastgroup, match[0]
        word = token.lower()
        if kind == "comment":
            continue
        if token == ";" or (token == ")" and depth == 0):
            return end
        if word == "end" and "case" not in text[:end].lower():
            return end
        if depth == 0 and complete and _PROSE_BEHIND.match(text, match.start()):
            return end
        if token == "<" and re.match(r"/[A-Za-z]", text[match.end() : match.end() + 2]):
            # A closing tag.
            return end
        keyword = kind == "word" and word in KEYWORDS
        if depth == 0 and complete and "\n" in text[end : match.start()]:
            joins = with_query and previous == ")" and word == "select"
            if not joins and not _goes_on(text, match, keyword, title):
                return end
        if token == "(":
            depth += 1
        elif token == ")":
            depth -= 1
        if depth == 0:
            operand = (kind in ("text", "name", "number", "word") and not keyword) or token == ")"
            if operand:
                names = names + 1 if complete and previous not in (".", "(") else 1
                if names == 1:
                    name_end = match.end()
                if names > _MOST_NAMES and kind == "word":
                    return name_end
            else:
                names = 0
            star = token == "*" and previous in ("select", "distinct", ".", ",", "all")
            complete = operand or star or word in ("end", "null", "asc", "desc", "true", "false")
        end, previous = match.end(), word
    return end


def _goes_on(text: str, match: re.Match[str], keyword: bool, title: bool) -> bool:
    """Return whether a token on a new line continues a query that could end before it."""
    token = match[0]
    if match.lastgroup == "sign":
        if _RULE.match(text, match.start()) or _NOTE.match(text, match.start()):
            return False
        return token not in ("*", "#", "-", ">", "`") or text[match.end() : match.end() + 1] != " "
    line = text[match.start() :].split("\n", 1)[0].strip()
    if match.lastgroup == "word" and keyword and token.lower() in _GO_ON:
        ends = line.endswith((".", ":", "!", "?"))
        if ends and not _COMPARES.search(line):
            return False
        if ends and not title and token.istitle() and len(token) > 1:
            return False
        if title or not (token[0].isupper() and token[1:].islower() and len(token) > 1):
            return True
        # "Order by" may continue a query; "As you can see" does not.
        rest = line[len(token) :].split()
        by = rest[:1] and rest[0].lower() in ("by", "join", "outer")
        return bool(by) or (len(rest) <= 3 and "," not in line) or bool(re.search(r"[=<>]", line))
    if match.lastgroup in ("word", "name"):
        # An alias on a line of its own.
        behind = text[match.end() :].lstrip(" \t")
        after = re.match(r"\n\s{0,99}(\w{1,20})", behind)
        return after is not None and after[1].lower() in _GO_ON
    return False


def _first_statement(text: str) -> str:
    """Return the text up to its first semicolon outside quotes and comments."""
    for match in TOKEN.finditer(text):
        if match[0] == ";":
            return text[: match.start()].strip()
    return text.strip()
