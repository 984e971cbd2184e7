"""What a refusal is about: each row is one that some provider or server sends."""

import json
import time
from datetime import UTC, datetime
from email.utils import formatdate

import pytest

from seedbed.engines.rate_limits import told_wait
from seedbed.engines.refusals import Meaning, read_refusal


def error(message, **fields):
    return {"error": {"message": message, **fields}}


def gemini(code, message, status, *details):
    return [
        {"error": {"code": code, "message": message, "status": status, "details": list(details)}}
    ]


MISTRAL = {
    "detail": [
        {
            "type": "extra_forbidden",
            "loc": ["body", "seed"],
            "msg": "Extra inputs are not permitted",
            "input": 3,
        }
    ]
}
RETRY = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.5s"}
INVALID_KEY = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}
ROWS = [
    # --- the account
    (400, error("Your credit balance is too low to access the Anthropic API. Please go to Plans & "
     "Billing to upgrade or purchase credits.", type="invalid_request_error"), "account"),
    (400, error("Billing hard limit has been reached", code="billing_hard_limit_reached"),
     "account"),
    (429, error("You exceeded your current quota, please check your plan and billing details.",
     type="insufficient_quota", code="insufficient_quota"), "account"),
    (402, error("Insufficient Balance", type="unknown_error"), "account"),
    (402, error("This request requires more credits, or fewer max_tokens.", code=402), "account"),
    (403, error("Key limit exceeded (total limit). Manage it using ...", code=403), "account"),
    (401, error("Incorrect API key provided: sk-***.", code="invalid_api_key"), "account"),
    (401, {"message": "Unauthorized"}, "account"),
    (400, gemini(400, "API key expired. Please renew the API key.", "INVALID_ARGUMENT",
     INVALID_KEY), "account"),
    (400, error(json.dumps(gemini(400, "API key not valid. Please pass a valid API key.",
     "INVALID_ARGUMENT")), code=400), "account"),
    (400, error("Budget has been exceeded! Current cost: 26.075, Max budget: 0.25",
     type="budget_exceeded", code="400"), "account"),
    (429, error("LiteLLM User: engineer-1, exceeded budget for model=x", type="budget_exceeded",
     code="429"), "account"),
    (429, error("No deployments available - crossed budget: Exceeded budget for deployment"),
     "account"),
    (422, error("ExceededBudget: End User=ishaan3 over budget. Spend=0.0008, Budget=0.0001"),
     "account"),
    (
        400,
        error(
            "You have reached your specified API usage limits. You will regain access on 2026-12-01"
        ),
        "account",
    ),
    (403, error("Your organization has been disabled."), "account"),
    (403, b"Account suspended: payment required", "account"),
    (403, error("This model is not available on your current plan. Please upgrade."), "account"),
    (403, error("The model `x` is not in your plan"), "account"),
    (403, error("Your account does not have access to this model."), "account"),
    (403, error("The model `x` is blocked at the project level.",
     code="model_permission_blocked_project"), "account"),
    (403, {"code": 30001, "message": "Sorry, your account balance is insufficient"}, "account"),
    (403, error("Country, region, or territory not supported",
     code="unsupported_country_region_territory"), "account"),
    (400, gemini(400, "User location is not supported for the API use.", "FAILED_PRECONDITION"),
     "account"),
    (403, gemini(403, "Your API key was reported as leaked.", "PERMISSION_DENIED"), "account"),
    (400, error("Access denied, please make sure your account is in good standing.",
     code="Arrearage"), "account"),
    (429, error("余额不足或无可用资源包,请充值。", code="1113"), "account"),
    # xAI's code is a class, and its error the reason.
    (400, {"code": "Client specified an invalid argument", "error":
     "Incorrect API key provided: sk***."}, "account"),
    (403, {"code": "The caller does not have permission", "error":
     "Your newly created team doesn't have any credits or licenses yet."}, "account"),
    # --- what is sent with all
    (400, error("Unsupported value: 'temperature' does not support 0.7 with this model. Only the "
     "default (1) value is supported.", code="unsupported_value", param="temperature"),
     "parameter"),
    (400, error("Unsupported parameter: 'max_tokens' is not supported with this model. Use "
     "'max_completion_tokens' instead.", code=None), "parameter"),
    (400, error("`temperature` and `top_p` cannot both be specified for this model."), "parameter"),
    (400, error("litellm.UnsupportedParamsError: anthropic does not support parameters: ['seed'], "
     "for model=claude. To drop these, set `litellm.drop_params=True`"), "parameter"),
    (422, MISTRAL, "parameter"),
    (422, {"object": "error", "message": MISTRAL, "type": "invalid_request_error"}, "parameter"),
    (400, error("Unrecognized request argument supplied: random_seed"), "parameter"),
    (400, error("stop is not supported with this model"), "parameter"),
    (400, {"code": "Client specified an invalid argument", "error":
     "Argument not supported on this model: stop"}, "parameter"),
    (400, gemini(400, 'Invalid JSON payload received. Unknown name "seed": Cannot find field.',
     "INVALID_ARGUMENT"), "parameter"),
    (422, {"detail": [{"loc": ["body", "temperature"], "msg":
     "ensure this value is less than or equal to 1.5"}]}, "parameter"),
    (400, error("Invalid 'temperature': decimal above maximum value."), "parameter"),
    (400, error("`temperature` may only be set to 1 when thinking is enabled."), "parameter"),
    (400, error("max_tokens: 100000 > 64000, which is the maximum allowed number of output tokens"),
     "parameter"),
    (404, error("No endpoints found that support the requested parameters."), "parameter"),
    # --- the address, the model
    (404, error("The model `gpt-9` does not exist or you do not have access to it.",
     code="model_not_found"), "missing"),
    (404, b"404 page not found", "missing"), (405, {"detail": "Method Not Allowed"}, "missing"),
    (400, error("nothing/here is not a valid model ID"), "missing"),
    (400, error("The model `x` has been decommissioned and is no longer supported.",
     code="model_decommissioned"), "missing"),
    (404, error("No endpoints found matching your data policy."), "missing"),
    (301, b"", "missing"),
    # --- this item
    (400, error("This model's maximum context length is 8192 tokens. However, your messages "
     "resulted in 9000 tokens.", code="context_length_exceeded"), "item"),
    (400, error("prompt is too long: 210000 tokens > 200000 maximum", type="invalid_request_error"),
     "item"),
    (413, b"Request Entity Too Large", "item"),
    (413, error("Request too large for model `x` on tokens per minute (TPM): Limit 6000, Requested "
     "9000. Need more tokens? Upgrade to Dev Tier today", code="rate_limit_exceeded"), "item"),
    (400, error("The input token count (40000) exceeds the maximum number of tokens allowed."),
     "item"),
    (422, {"error": "Input validation error: `inputs` must have less than 1024 tokens."}, "item"),
    (400, error("Could not finish the message because max_tokens or model output limit was reached."
     " Please try again with higher max_tokens."), "item"),
    (403, error('mistral requires moderation on Together. Your input was flagged for "violence".',
     code=403, metadata={"reasons": ["violence"], "flagged_input": "billing"}), "filtered"),
    (400, error("The response was filtered due to the prompt triggering Azure OpenAI's content "
     "management policy.", code="content_filter"), "filtered"),
    (400, error("Input data may contain inappropriate content.", code="data_inspection_failed"),
     "filtered"),
    (400, error("Content Exists Risk"), "filtered"),
    # --- for now
    (429, error("Rate limit reached for requests", code="rate_limit_exceeded"), "limited"),
    (429, gemini(429,
     "You exceeded your current quota, please check your plan and billing details.",
     "RESOURCE_EXHAUSTED", RETRY), "limited"),
    (429, gemini(429, "Resource has been exhausted (e.g. check quota).", "RESOURCE_EXHAUSTED"),
     "limited"),
    (429, error("litellm.RateLimitError: VertexAIException - {'message': 'Quota exceeded for "
     "requests', 'status': 'RESOURCE_EXHAUSTED'}"), "limited"),
    (400, error("Upstream request failed"), "again"),
    (400, error("The service is temporarily unavailable"), "again"),
    (429, b"Too many requests", "limited"), (503, error("The model is overloaded"), "again"),
    (500, error("Internal error: authentication backend"), "again"),
    (424, error("Failed dependency"), "again"),
    (498, error("Flex tier capacity exceeded"), "again"),
    # --- it does not say
    (403, b"<h1>Sorry, you have been blocked by the security service</h1>", "doubtful"),
    (400, error("no"), "doubtful"), (403, error("Forbidden"), "doubtful"), (422, b"", "doubtful"),
    # What an error repeats of a request is the request's, and no reason.
    (400, {"detail": [{"type": "value_error", "loc": ["body"], "msg": "no", "input":
     "my credit balance is too low"}]}, "doubtful"),
]  # fmt: skip


@pytest.mark.parametrize(("status", "payload", "meaning"), ROWS)
def test_what_a_refusal_is_about(status, payload, meaning):
    content = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    refusal = read_refusal(status, content, {})
    assert refusal.meaning is Meaning(meaning)
    assert refusal.said.startswith(f"HTTP {status}: ")
    assert len(refusal.said) < 330


def test_any_body_can_be_read():
    for content in (b"\xff\xfe", b"[" * 100_000, b"null", b"3", b'"text"', b"<h1>no</h1>", b"[]"):
        assert read_refusal(400, content, {}).said.startswith("HTTP 400: ")


@pytest.mark.parametrize(
    ("headers", "payload", "seconds"),
    [
        ({"Retry-After": "20"}, None, 20), ({"retry-after": "1.5"}, None, 1.5),
        ({"Retry-After": "1500ms"}, None, 1.5),
        ({"retry-after-ms": "1500", "Retry-After": "2"}, None, 1.5),
        ({"Retry-After": "-3"}, None, None), ({"Retry-After": "soon"}, None, None),
        ({"x-ratelimit-reset-requests": "120ms"}, None, 0.12),
        ({"x-ratelimit-reset-tokens": "6m0s"}, None, 360),
        ({"x-ratelimit-remaining-requests": "9", "x-ratelimit-reset-requests": "1h",
         "x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "7.66s"}, None, 7.66),
        ({"x-ratelimit-reset": "30"}, None, 30),
        ({}, gemini(429, "no", "RESOURCE_EXHAUSTED", RETRY), 34.5),
        ({}, error("Rate limit reached. Please try again in 1m2.5s. Visit ..."), 62.5),
        ({}, error("Please retry after 26 seconds."), 26), ({}, error("slow down"), None),
        ({}, error("no", metadata={"headers": {"Retry-After": "4"}}), 4),
        ({"Retry-After": "0"}, None, 0), ({"x-rate-limit-reset": "30"}, None, 30),
        ({"RateLimit": '"api";r=0;t=45'}, None, 45),
        ({"RateLimit": "limit=100, remaining=0, reset=45"}, None, 45),
        ({}, error("Try again in 1 day"), 86400), ({}, error("Resets after 45 seconds."), 45),
        ({}, error("no", details=[{"retryDelay": {"seconds": 34}}]), 34),
    ],
)  # fmt: skip
def test_how_long_to_wait(headers, payload, seconds):
    said = payload["error"]["message"] if isinstance(payload, dict) else ""
    assert told_wait(headers, payload, said) == seconds


def test_how_long_to_wait_until_a_time(monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    now = time.time()
    at = datetime.fromtimestamp(now + 40, UTC)
    for headers in (
        {"Retry-After": formatdate(now + 40, usegmt=True)},
        {"anthropic-ratelimit-requests-reset": at.strftime("%Y-%m-%dT%H:%M:%SZ")},
        {
            "anthropic-ratelimit-requests-remaining": "3",
            "anthropic-ratelimit-requests-reset": "2030-01-01T00:00:00Z",
            "anthropic-ratelimit-input-tokens-remaining": "0",
            "anthropic-ratelimit-input-tokens-reset": at.isoformat(),
        },
        {"X-RateLimit-Reset": str(int(1000 * (now + 40)))},
        {"X-RateLimit-Reset": str(int(now + 40))},
        # Without a time zone, that of Greenwich is meant.
        {"x-ratelimit-reset": at.replace(tzinfo=None).isoformat()},
    ):
        assert told_wait(headers) == pytest.approx(40, abs=2)
    assert told_wait({"Retry-After": formatdate(now - 100, usegmt=True)}) == 0
    monkeypatch.undo()
    time.tzset()
