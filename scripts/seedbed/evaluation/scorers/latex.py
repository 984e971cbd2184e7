"""Conversion of models' LaTeX to plain text."""

from __future__ import annotations

import re

BOX_START, BOX_END = "\ue000", "\ue001"
"""Marks of the beginning and the end of a box in `plain_latex`."""

# A longer box contains no final answer.
_MAX_BOX = 300
_MAX_BOXES = 20

# In JSON that was not decoded, "\b" of "\boxed" is a control character.
_BOX = re.compile(r"[\\\x08]*+(?:f?boxed|oxed|fbox|framebox)\s?\{")
_BARE_BOX = re.compile(r"\\boxed\s?(?=[-+$]?\d)([-+$]{0,2}\d[\d,.]*+)")
_FRACTION = re.compile(
    r"\\[dtc]?frac\s?(?:\{(-?[\d.,]{1,20})\}\s?\{([\d.,]{1,20})\}|\s?(\d)\s?(\d)(?!\d))"
)
_WRAPPER = re.compile(
    r"\\(?:text[a-z]{0,10}|math[a-z]{1,10}|mbox|operatorname|emph|underline|hbox|color\{[a-z]+\})\s?\{"
)
_SYMBOLS = {
    "times": "×",
    "cdot": "×",
    "ast": "×",
    "div": "÷",
    "approx": "≈",
    "simeq": "≈",
    "eq": "=",
    "ne": "≠",
    "neq": "≠",
    "le": "≤",
    "leq": "≤",
    "ge": "≥",
    "geq": "≥",
    "frac": "√",
    "dfrac": "√",
    "tfrac": "√",
    "sqrt": "√",
    "overline": "√",
    "bar": "√",
    "pi": "√",
    "pm": "±",
    "left": "",
    "right": "",
    "circ": "",
}
"""Commands that are not just space. "√" replaces commands that change the value of a number."""
_COMMAND = re.compile(r"\\([A-Za-z]{1,30})")


def plain_latex(text: str) -> str:
    """Return a text without LaTeX, with the numbers and signs of formulas in plain characters.

    `BOX_START` and `BOX_END` replace the ends of a box.
    """
    text = text.replace("π", "√")
    if "\\" not in text and "{" not in text:
        return text
    text = (
        text.replace("\\text{,}", ",").replace("{,}", ",").replace(",\\!", ",").replace("\\!", "")
    )
    text = re.sub(r"(?<=\d)\\,(?=\d)", "", text).replace("\\,", " ")
    text = re.sub(r"\\[;:> ]|(?<=\S)~(?=\S)", " ", text)
    text = re.sub(r"\\([$%#_&])", r"\1", text)
    text = re.sub(r"\\[()\[\]]", " ", text)
    text = (
        text.replace("\\\\", "\n\\")
        if re.search(r"\\\\[a-z]", text)
        else text.replace("\\\\", "\n")
    )
    text = _BARE_BOX.sub(r"\\boxed{\1}", text)
    text = _marked_boxes(text)
    text = re.sub(r"\^\s?\{?\\circ\}?", "", text)
    text = re.sub(r"(?<=\d)(?=\\[dtc]?frac)", " ", text)
    text = _FRACTION.sub(_plain_fraction, text)
    text = _WRAPPER.sub(" ", text)
    text = _COMMAND.sub(lambda match: f" {_SYMBOLS.get(match[1], '')} ", text)
    # In tables, "&" separates columns.
    text = re.sub(r"&(?=\s?[=≈])", " ", text)
    return re.sub(r"[{}]", "", text)


def _plain_fraction(match: re.Match[str]) -> str:
    above, below = (match[1], match[2]) if match[1] is not None else (match[3], match[4])
    return f"{above.replace(',', '')}/{below.replace(',', '')}"


def _marked_boxes(text: str) -> str:
    """Return a text with its last boxes marked; a box ends at its own brace."""
    parts, end = [], len(text)
    for box in reversed(list(_BOX.finditer(text))[-_MAX_BOXES:]):
        if box.end() > end:
            continue
        close = _closing_brace(text, box.end(), end)
        parts.append(text[min(close + 1, end) : end])
        parts.append(f"{BOX_START} {text[box.end() : close]} {BOX_END}")
        end = box.start()
    parts.append(text[:end])
    return "".join(reversed(parts))


def _closing_brace(text: str, start: int, end: int) -> int:
    """Return the position of the closing brace, or of the end of the line or the longest box."""
    depth = 1
    stop = min(end, start + _MAX_BOX)
    for place in range(start, stop):
        if text[place] == "{":
            depth += 1
        elif text[place] == "}":
            depth -= 1
            if depth == 0:
                return place
    line = text.find("\n", start, stop)
    return line if line >= 0 else stop
