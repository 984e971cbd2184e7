"""Refusals: whether an endpoint refuses one request, or the whole account.

The status alone does not say: providers report an empty account as 400, 402, 403 or 429, and a
flagged request may be a 403. So known words in the error decide (`WORDS`), and otherwise the other
requests of the call (`seedbed.engines.suspects`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from seedbed.engines.rate_limits import told_wait
from seedbed.engines.responses import clean, read_json, shown

SAID_CHARACTERS = 300


class Meaning(Enum):
    """The reason of a refusal."""

    ACCOUNT = "account"
    """The account: its key, credit, budget or rights. No request will be answered."""
    PARAMETER = "parameter"
    """A field that is sent with every request. No request will be answered."""
    MISSING = "missing"
    """The address or the model does not exist."""
    FILTERED = "filtered"
    """The content of this request."""
    ITEM = "item"
    """Something else in this request, e.g. its length."""
    LIMITED = "limited"
    """A rate limit."""
    AGAIN = "again"
    """A temporary failure."""
    DOUBTFUL = "doubtful"
    """Unknown."""


@dataclass(frozen=True)
class Refusal:
    """An endpoint's refusal of a request.

    Attributes:
        meaning: reason of the refusal.
        said: status and message of the endpoint.
        certain: whether it certainly concerns more than this one request.
        wait: seconds that the endpoint asks to wait; None if it does not say.
        forbidden: whether the status is 403 without a reason.
    """

    meaning: Meaning
    said: str
    certain: bool = False
    wait: float | None = None
    forbidden: bool = False


CODES = {
    # OpenAI and compatible providers
    "insufficient_quota": Meaning.ACCOUNT,
    "invalid_api_key": Meaning.ACCOUNT,
    "account_deactivated": Meaning.ACCOUNT,
    "billing_hard_limit_reached": Meaning.ACCOUNT,
    "billing_not_active": Meaning.ACCOUNT,
    "access_terminated": Meaning.ACCOUNT,
    "unsupported_country_region_territory": Meaning.ACCOUNT,
    "unsupported_parameter": Meaning.PARAMETER,
    "unsupported_value": Meaning.PARAMETER,
    "unknown_parameter": Meaning.PARAMETER,
    "model_not_found": Meaning.MISSING,
    "deploymentnotfound": Meaning.MISSING,
    "context_length_exceeded": Meaning.ITEM,
    "string_above_max_length": Meaning.ITEM,
    "content_filter": Meaning.FILTERED,
    "content_policy_violation": Meaning.FILTERED,
    "responsibleaipolicyviolation": Meaning.FILTERED,
    "data_inspection_failed": Meaning.FILTERED,
    # Anthropic
    "authentication_error": Meaning.ACCOUNT,
    "billing_error": Meaning.ACCOUNT,
    # Gemini
    "api_key_invalid": Meaning.ACCOUNT,
    "api_key_expired": Meaning.ACCOUNT,
    # Mistral and other servers that validate with Pydantic
    "extra_forbidden": Meaning.PARAMETER,
    # Groq
    "model_decommissioned": Meaning.MISSING,
    "model_permission_blocked_project": Meaning.ACCOUNT,
    "model_permission_blocked_org": Meaning.ACCOUNT,
    "model_terms_required": Meaning.ACCOUNT,
    # Alibaba
    "arrearage": Meaning.ACCOUNT,
    # LiteLLM
    "budget_exceeded": Meaning.ACCOUNT,
    "expired_key": Meaning.ACCOUNT,
}
"""The reason of a refusal by the error's code, type or reason in lower case."""

SAMPLING = (
    "temperature|top_p|seed|stop|max_tokens|max_completion_tokens|presence_penalty"
    "|frequency_penalty|reasoning_effort|budget_tokens|chat_template_kwargs"
)
"""Names of fields that are sent with every request."""
WORDS = (
    (
        Meaning.ITEM,
        r"context[ _](?:length|window)|maximum context|(?:prompt|input|messages?|request|sequence)"
        r"[^.]{0,40} (?:is|are|was|exceeds?)?[^.]{0,20}too (?:long|large)|too many tokens"
        r"|reduce the length|exceed[^.]{0,40}(?:context|max_model_len|maximum (?:input|sequence)"
        r"|maximum number of tokens)"
        r"|payload too large|string too long|must have less than \d+ tokens|input length"
        r"|output limit was reached",
    ),
    (
        Meaning.PARAMETER,
        r"unsupported[ _]?(?:param|value|argument|field)"
        r"|(?:unknown|unrecognized|unexpected|invalid|extra)(?: request)?[ _]"
        r"(?:param|argument|field|keyword|inputs?)"
        r"|extra (?:inputs|fields)|not permitted"
        r"|(?:param\w*|value|field|argument|temperature|top_p|seed|stop|max_tokens|penalty)"
        r"\W[^.]{0,60}"
        r"\b(?:is|are) (?:not (?:supported|allowed|available|valid)|unsupported|deprecated)"
        r"|does(?: not|n't) support (?:the )?(?:param|temperature|top_p|seed|stop|max|value|custom)"
        r"|(?:temperature|top_p|seed|stop|max_tokens|max_completion_tokens)\W+"
        r"(?:does|do) not support"
        r"|cannot both be (?:specified|set)|only the default \(?1"
        r"|max_(?:completion_)?tokens[^.]{0,30}too (?:large|small|high)"
        r"|support the requested parameters|unknown name\b|assistant message prefill"
        r"|only works in thinking mode"
        rf"|(?:{SAMPLING})\b[^.]{{0,80}}"
        r"(?:\b(?:must|should|may only|invalid|range|maximum|minimum|expected|less than"
        r"|greater than|at most|at least)\b|[<>])"
        r"|(?:invalid|less than|greater than|not supported)\b[^|]{0,60}"
        rf"\b(?:{SAMPLING})\b",
    ),
    (
        Meaning.ACCOUNT,
        r"credit balance|(?:insufficient|not enough|out of|no|add|more|exhausted)(?: \w+){0,3}[ _]"
        r"(?:credits?|balance|funds|quota)\b|credits? (?:exhausted|depleted|required)"
        r"|insufficient[ _](?:quota|balance|credits?|funds|permissions?)"
        r"|payment (?:is )?required|billing|hard[ _]limit|over (?:its |your |the )?budget"
        r"|budget[^.]{0,40}exceeded|exceeded[ _]?(?:your |the |its )?[ _]?budget|crossed budget"
        r"|spend(?:ing)?[ _](?:limit|cap)|usage limits?\b|key limit"
        r"|quota[^.]{0,30}(?:exceeded|exhausted)"
        r"|exceeded your current quota|monthly (?:limit|quota)"
        r"|(?:account|organi[sz]ation|project|subscription|workspace)[^.]{0,40}"
        r"(?:suspend|disabled|deactivat|not active|inactive|blocked|overdue|in arrears|restricted"
        r"|terminated|banned|flagged)"
        r"|(?:(?:api|access|auth|virtual)[ _-]?(?:key|token)|\bkey\b)[^.]{0,40}"
        r"(?:expired|invalid|not valid|incorrect|revoked|disabled|not found|missing|required)"
        r"|(?:invalid|incorrect|expired|wrong|missing|no|revoked|disabled)[^.]{0,20} "
        r"(?:api|access|auth\w*|virtual)[ _-]?(?:key|token|credentials?)"
        r"|unauthori[sz]ed|authentication|not authori[sz]ed|invalid credentials"
        r"|trial (?:has )?ended|good standing|(?:terms|verified|verification) [^.]{0,20}required"
        r"|requires? (?:terms|a subscription)|organi[sz]ation must be verified"
        r"|(?:do|does|did)(?: not|n't) have (?:any |enough |sufficient )?(?:access|credits?|balance"
        r"|funds|permission)|denied access|access denied|unregistered callers|reported as leaked"
        r"|\bplan\b[^.]{0,40}(?:includ|access|upgrade)|upgrade[^.]{0,20}\bplan\b"
        r"|(?:includ\w+ |available |supported )?\b(?:in|on|under|with) (?:your|this|the) "
        r"(?:current )?(?:\w+ )?plan\b"
        r"|(?:location|country|region|territory)[^.]{0,20} (?:is )?not supported"
        r"|balance[^.]{0,20}(?:insufficient|exhausted|too low|negative)"
        r"|exceeded[^.]{0,30}\bquota|余额|欠费",
    ),
    (
        Meaning.FILTERED,
        r"content[ _](?:filter|policy|management|moderation)|flagged|moderat"
        r"|safety (?:system|filter|polic|reason)|(?:usage|acceptable use) polic|violat|harmful"
        r"|inappropriate|prohibited content|sensitive (?:word|content|information)"
        r"|content exists risk|blocked (?:by|for|due)",
    ),
    (
        Meaning.MISSING,
        r"(?:model|deployment|engine)[^.]{0,80}"
        r"(?:not (?:found|exist|available|deployed)|does not exist|unknown|not a valid"
        r"|decommissioned|deprecated|retired|no longer (?:supported|available))"
        r"|(?:no such|unknown|invalid) (?:model|deployment)|is not a valid model"
        r"|no endpoints found|no allowed providers",
    ),
    (
        Meaning.AGAIN,
        r"upstream|temporar|try again|please retry|timed? ?out|overloaded"
        r"|internal (?:server )?error",
    ),
)
"""The reason of a refusal by its words; the first match counts. They are searched in messages and
codes, but not in parts of the request that an error repeats. The words of `AGAIN` count only if the
status does not decide."""
_WORDS = tuple((meaning, re.compile(words, re.IGNORECASE)) for meaning, words in WORDS)

# The reason by status, if no words are known.
_STATUSES = {
    401: Meaning.ACCOUNT,
    402: Meaning.ACCOUNT,
    407: Meaning.ACCOUNT,
    403: Meaning.DOUBTFUL,
    404: Meaning.MISSING,
    405: Meaning.MISSING,
    410: Meaning.MISSING,
    413: Meaning.ITEM,
    400: Meaning.DOUBTFUL,
    422: Meaning.DOUBTFUL,
    429: Meaning.LIMITED,
    408: Meaning.AGAIN,
    409: Meaning.AGAIN,
    425: Meaning.AGAIN,
    424: Meaning.AGAIN,
    498: Meaning.AGAIN,
    499: Meaning.AGAIN,
}
_REPEATED = frozenset(
    (
        "input",
        "input_value",
        "flagged_input",
        "request",
        "prompt",
        "messages",
        "body",
        "url",
        "@type",
    )
)
_CODES_AT = frozenset(("code", "type", "reason", "status", "error_code"))


def read_refusal(status: int, content: bytes, headers: Mapping[str, str]) -> Refusal:
    """Interpret a response without an answer.

    Args:
        status: HTTP status, or the status in the body's error.
        content: body of the response.
        headers: headers of the response.
    """
    payload = read_json(content)
    texts = list(_texts(payload))
    said = f"HTTP {status}: {_message(payload, content)}"
    wait = told_wait(headers, payload, said)
    codes = [
        CODES[text.lower()] for key, text in texts if key in _CODES_AT and text.lower() in CODES
    ]
    # Values of "status" are too general, e.g. INVALID_ARGUMENT. So are sentences in "code", e.g.
    # xAI's "Client specified an invalid argument".
    words = " | ".join(
        text for key, text in texts if key != "status" and not (key == "code" and " " in text)
    )
    words = words or shown(content)
    limited = any("RESOURCE_EXHAUSTED" in text for _, text in texts)
    spoken = next((meaning for meaning, known in _WORDS if known.search(words)), None)
    if spoken is Meaning.FILTERED and ((payload is None and b"<" in content) or status == 404):
        spoken = None  # A firewall's page, or a server without this address.
    if status >= 500:
        # A failing server may say anything, so only unambiguous codes are believed.
        certain = next((one for one in codes if one is Meaning.ACCOUNT), None)
        return Refusal(certain or Meaning.AGAIN, said, certain is not None, wait)
    if 300 <= status < 400 and (elsewhere := _header(headers, "location")):
        said = f"HTTP {status}: it says to ask {elsewhere}"
    if 300 <= status < 400 or (status in (401, 402, 407) and spoken is not Meaning.FILTERED):
        return Refusal(Meaning.ACCOUNT if status >= 400 else Meaning.MISSING, said, True)
    if status == 429:
        # Some providers call a rate limit a quota, and state a wait. Others mean the account.
        paid = Meaning.ACCOUNT in codes or (spoken is Meaning.ACCOUNT and wait is None)
        if paid and not limited:
            return Refusal(Meaning.ACCOUNT, said, Meaning.ACCOUNT in codes)
        return Refusal(Meaning.LIMITED, said, wait=wait)
    if codes:
        return Refusal(codes[0], said, codes[0] in (Meaning.ACCOUNT, Meaning.PARAMETER), wait)
    meaning = spoken or _STATUSES.get(status, Meaning.DOUBTFUL)
    if meaning is Meaning.MISSING and status in (400, 403, 422) and not spoken:
        meaning = Meaning.DOUBTFUL
    if status in (408, 409, 425, 424, 498, 499) and meaning is not Meaning.ACCOUNT:
        meaning = Meaning.AGAIN
    elif meaning is Meaning.AGAIN and _STATUSES.get(status) not in (None, Meaning.DOUBTFUL):
        meaning = _STATUSES[status]
    return Refusal(meaning, said, wait=wait, forbidden=status == 403 and spoken is None)


def _header(headers: Mapping[str, str], name: str) -> str:
    return next((str(value) for key, value in headers.items() if key.lower() == name), "")


def _texts(value: Any, key: str = "", depth: int = 0) -> Iterator[tuple[str, str]]:
    """Yield (key, text) for all texts of an error, except repeated parts of the request."""
    if depth > 8:
        return
    if isinstance(value, str):
        inner = read_json(value.encode()) if value.lstrip().startswith(("{", "[")) else None
        if isinstance(inner, dict | list):
            yield from _texts(inner, key, depth + 1)
        else:
            yield key, clean(value)[:2000]
    elif isinstance(value, dict):
        for name, inner in list(value.items())[:50]:
            if name not in _REPEATED:
                yield from _texts(inner, str(name), depth + 1)
    elif isinstance(value, list):
        for inner in value[:20]:
            yield from _texts(inner, key, depth + 1)


def _message(payload: Any, content: bytes) -> str:
    """Return the message in the body of an error, in any known format, and its location."""
    if isinstance(payload, list) and payload:
        payload = payload[0]
    error = payload.get("error", payload) if isinstance(payload, dict) else payload
    if isinstance(error, str) and error.strip():
        return clean(error)[:SAID_CHARACTERS]
    if not isinstance(error, dict):
        return shown(content)
    for name in ("message", "msg", "detail", "error"):
        found = error.get(name)
        if isinstance(found, str) and found.strip():
            inner = read_json(found.encode()) if found.lstrip().startswith(("{", "[")) else None
            if isinstance(inner, dict | list):
                return _message(inner, found.encode())
            return " ".join(clean(found).split())[:SAID_CHARACTERS]
        if isinstance(found, dict):
            return _message(found, content)
        if isinstance(found, list) and found and isinstance(found[0], dict):
            place = found[0].get("loc")
            place = ".".join(map(str, place)) if isinstance(place, list) else ""
            return f"{found[0].get('msg', shown(content))} {place}".strip()[:SAID_CHARACTERS]
    return shown(content)
