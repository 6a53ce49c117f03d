"""What servers say when they do not answer, and what is made of it."""

from __future__ import annotations

import json
from email.utils import formatdate
from typing import Any

import pytest
from pydantic import BaseModel

from surfcheck.errors import ModelError, SurfcheckError, UsageError
from surfcheck.models.endpoint import Endpoint, Vendor
from surfcheck.models.http_errors import read_answer, read_fault, to_error
from surfcheck.models.provider import QuotaSpent, Transient, Unsupported

VENDOR = Vendor("https://api.vendor.com/v1", "vendor.com", "VENDOR_URL", "VENDOR_KEY")
ENDPOINT = Endpoint(VENDOR, VENDOR.url, "api.vendor.com", own=True)
SENT = {name: (name,) for name in ("temperature", "top_p", "seed", "logprobs")} | {
    "max_tokens": ("max_completion_tokens",)
}
KEY = "sk-proj-0123456789abcdefghij"


def said(message: str = "no", **more: Any) -> dict[str, Any]:
    """A refusal in the shape of OpenAI's API."""
    return {"error": {"message": message, "type": "invalid_request_error"} | more}


def error(status: int, body: object, **headers: str) -> SurfcheckError:
    """What is raised for a response, which is on one line."""
    text = body if isinstance(body, str) else json.dumps(body)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    raised = to_error(read_fault(status, named, text), ENDPOINT, "model-1", SENT)
    assert "\n" not in str(raised)
    return raised


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 501, 502, 503, 504, 520, 529])
@pytest.mark.parametrize("body", [said("no"), "<html>no</html>", "", "[1]", "[" * 100_000])
def test_what_is_worth_trying_again(status: int, body: object) -> None:
    raised = error(status, body)
    assert isinstance(raised, Transient)
    assert raised.throttled is (status in (429, 503, 529))
    assert str(raised).startswith(f"api.vendor.com answers {status}")


WAITS: list[tuple[dict[str, str], float | None]] = [
    ({}, None),
    ({"retry_after": "7"}, 7.0),
    ({"retry_after": "0.5"}, 0.5),
    ({"retry_after_ms": "250", "retry_after": "1"}, 0.25),
    ({"retry_after": "-3"}, 0.0),
    ({"retry_after": "soon"}, None),
    ({"retry_after": "nan"}, None),
    ({"retry_after": "inf"}, None),
    ({"retry_after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
]


@pytest.mark.parametrize(("headers", "after"), WAITS)
def test_how_long_to_wait(headers: dict[str, str], after: float | None) -> None:
    raised = error(429, said(), **headers)
    assert isinstance(raised, Transient)
    assert raised.after == after


def test_how_long_to_wait_until_a_date() -> None:
    raised = error(429, said(), retry_after=formatdate(usegmt=True, timeval=4e9))
    assert isinstance(raised, Transient)
    assert raised.after is not None
    assert raised.after > 1e9


SPENT = [
    (429, said("You exceeded your current quota.", code="insufficient_quota")),
    (429, said("Rate limit reached on requests per day (RPD): Limit 200, Used 200.")),
    (429, {"error": {"details": {"error_code": "enforced_spend_limit_reached"}}}),
    (403, said(code="billing_not_active")),
    (402, said("Insufficient credits")),
    (402, ""),
    (400, said("Your credit balance is too low to access the API.")),
]


@pytest.mark.parametrize(("status", "body"), SPENT)
def test_what_waiting_does_not_help(status: int, body: object) -> None:
    assert isinstance(error(status, body), QuotaSpent)


@pytest.mark.parametrize("status", [401, 403])
def test_keys_are_named_by_their_variable(status: int) -> None:
    raised = error(status, said(f"Incorrect API key provided: {KEY[:12]}***.", code="x"))
    assert type(raised) is UsageError
    assert "VENDOR_KEY" in str(raised)
    assert "0123" not in str(raised)


NO_MODEL = [
    (404, said("The model does not exist.", code="model_not_found")),
    (404, {"error": {"message": 'model "model-1" not found, try pulling it first'}}),
    (404, {"type": "error", "error": {"type": "not_found_error", "message": "model: model-1"}}),
    (404, {"message": "The model `model-1` does not exist.", "code": 404}),
    (400, said("invalid model ID", code="invalid_model")),
    (400, {"detail": "Server is pinned to 'model-2'; requested 'model-1'."}),
]


@pytest.mark.parametrize(("status", "body"), NO_MODEL)
def test_a_wrong_model(status: int, body: object) -> None:
    raised = error(status, body)
    assert type(raised) is UsageError
    assert str(raised) == "api.vendor.com has no model 'model-1': correct the name"


@pytest.mark.parametrize("body", [{"detail": "Not Found"}, {"error": "x"}, "<html>404", ""])
@pytest.mark.parametrize("status", [404, 405])
def test_a_wrong_address(status: int, body: object) -> None:
    raised = error(status, body)
    assert type(raised) is UsageError
    assert "give a base_url such as https://api.vendor.com/v1" in str(raised)


UNSUPPORTED = [
    (400, said("x", code="unsupported_value", param="temperature"), "temperature"),
    (400, said("Unknown parameter: 'seed'.", code="unknown_parameter", param="seed"), "seed"),
    (400, said("Unrecognized request argument supplied: seed"), "seed"),
    (400, said("`temperature` is deprecated for this model."), "temperature"),
    (400, said("top_p: Extra inputs are not permitted"), "top_p"),
    (400, said("Unsupported: 'max_completion_tokens'"), "max_tokens"),
    (403, said("You are not allowed to request logprobs from this model"), "logprobs"),
    (422, {"detail": "Unexpected fields in the request: {'top_p'}"}, "top_p"),
    (422, {"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"]}]}, "seed"),
]


@pytest.mark.parametrize(("status", "body", "parameter"), UNSUPPORTED)
def test_a_parameter_that_is_not_taken(status: int, body: object, parameter: str) -> None:
    raised = error(status, body)
    assert isinstance(raised, Unsupported)
    assert raised.parameter == parameter


NOT_UNSUPPORTED = [
    said("Unsupported value: system role; drop the seed", param="messages[0].role"),
    said("Unsupported: top_k"),
    said("temperature must be at most 2", param="temperature"),
    said("max_tokens: 99999 > 8192, which is the maximum"),
]


@pytest.mark.parametrize("body", NOT_UNSUPPORTED)
def test_a_parameter_is_not_blamed_for_something_else(body: dict[str, Any]) -> None:
    raised = error(400, body)
    assert type(raised) is ModelError
    assert str(raised).endswith(f"(400): {body['error']['message']}")


TOO_LONG = [
    (400, said("maximum context length is 128 tokens", code="context_length_exceeded")),
    (400, {"message": "This model's maximum context length is 128 tokens", "code": 400}),
    (400, said("the request exceeds the available context size")),
    (400, said("prompt is too long: 210000 tokens > 200000 maximum")),
    (413, "Payload Too Large"),
    (429, said("Request too large for model-1 on tokens per min (TPM): Limit 10, Requested 20")),
]


@pytest.mark.parametrize(("status", "body"), TOO_LONG)
def test_a_prompt_that_is_too_long(status: int, body: object) -> None:
    raised = error(status, body)
    assert type(raised) is ModelError
    assert str(raised).startswith("prompt is longer than the model takes: shorten it (model-1")


BLOCKED = [
    said("The response was filtered", code="content_filter"),
    said("Invalid prompt: flagged as potentially violating our usage policy."),
    said("Output blocked by content filtering policy"),
]


@pytest.mark.parametrize("body", BLOCKED)
def test_a_policy_is_told_from_a_fault(body: dict[str, Any]) -> None:
    assert read_fault(400, {}, json.dumps(body)).blocked
    assert not read_fault(500, {}, json.dumps(body)).blocked
    assert not read_fault(400, {}, json.dumps(said("messages must not be empty"))).blocked


def test_what_a_server_says_is_cleaned() -> None:
    raised = error(400, said(f"bad\n \x1b[31mAuthorization: Bearer {KEY}, {KEY}" + "!" * 5000))
    assert "bad [31mAuthorization: *** ***!!!" in str(raised)
    assert len(str(raised)) < 300


class Shape(BaseModel):
    """A part of an answer."""

    text: str


ANSWERS = [
    ("<!DOCTYPE html><p>Sign in", Transient, "a web page"),
    ('{"text": "Ye', Transient, "half of an answer"),
    ("", Transient, "half of an answer"),
    ("oops", ModelError, "expected"),
    ("[]", ModelError, "it: Input should be an object"),
    ("{}", ModelError, "text: Field required"),
    ('{"text": 5}', ModelError, "text: Input should be a valid string"),
    ('{"text": "\\ud800"}', ModelError, "hex escape"),
    ("[" * 100_000, ModelError, "recursion limit"),
]


@pytest.mark.parametrize(("text", "kind", "reason"), ANSWERS)
def test_an_answer_that_can_not_be_read(text: str, kind: type[ModelError], reason: str) -> None:
    with pytest.raises(ModelError, match=reason) as caught:
        read_answer(Shape, text, ENDPOINT)
    assert type(caught.value) is kind
    assert str(caught.value).startswith("api.vendor.com sent ")


def test_what_is_not_used_may_be_anything() -> None:
    assert read_answer(Shape, '{"text": "Yes.", "new": [1]}', ENDPOINT).text == "Yes."
