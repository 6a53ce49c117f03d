"""What it means when an HTTP provider gives no answer: one reading for all of them.

The vendors' APIs and the many servers that imitate them refuse with a status and a JSON object.
Its shape differs from server to server, its words hardly do. Knows no SDK. What a server says
about a key is never passed on, because such messages quote a part of it.
"""

from __future__ import annotations

import email.utils
import json
import os
import re
import socket
import ssl
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import httpx2
from pydantic import BaseModel, ValidationError

from surfcheck.errors import ModelError, SurfcheckError, UsageError
from surfcheck.models.endpoint import Endpoint
from surfcheck.models.provider import QuotaSpent, Transient, Unsupported

THROTTLED = frozenset({429, 503, 529})
AGAIN = frozenset({408, 409, 425}) | THROTTLED
REFUSED = frozenset({400, 403, 422})
SHORTEST_KEY = 8
"""Characters of what may be a secret; local servers are given words such as `none`."""


def _any_of(*phrases: str) -> re.Pattern[str]:
    return re.compile("|".join(phrases), re.IGNORECASE)


_SPENT = frozenset(
    {
        "insufficient_quota",
        "insufficient_credits",
        "billing_error",
        "billing_hard_limit_reached",
        "billing_not_active",
        "enforced_spend_limit_reached",
        "contract_spend_limit_reached",
        "linked_organization_spend_limit_reached",
    }
)
_NO_MODEL = frozenset({"model_not_found", "invalid_model", "model_not_available"})
_NO_MODEL_TEXT = _any_of("model .*(does not exist|not found)", "pinned to '.*'; requested '")
_BLOCKED = frozenset({"content_policy_violation", "content_filter", "invalid_prompt"})
_TOO_LONG = frozenset({"context_length_exceeded", "exceed_context_size_error"})
_SPENT_TEXT = _any_of(
    "credit balance is too low", "exceeded your current quota", "insufficient (credit|balance)"
)
_DAY_TEXT = _any_of(r"per[ -]day\b", r"/ ?day\b", r"\bdaily\b")
_BLOCKED_TEXT = _any_of(
    "content (filtering|management) policy", "violating our usage policy", r"\bflagged (for|as|by)"
)
_TOO_LONG_TEXT = _any_of(
    "(prompt|request|input) (is )?too (long|large)",
    "(maximum|exceeds .*) context",
    "context (length|size|window) exceeded",
    "longer than the (model|context)",
)
_NOT_TAKEN_TEXT = _any_of(
    "unsupported", "not support", "unknown", "unrecogni[sz]ed", "unexpected", "extra[_ ](in|forb)",
    "not (permitted|allowed)", "deprecated", "removed", "no longer", "cannot both",
)  # fmt: skip
_SECRET = _any_of(r"\b(sk|pk|rk|xai|gsk|org|proj)[-_][\w*-]{6,}", r"\bbearer\s+\S+")


@dataclass(frozen=True, slots=True)
class Fault:
    """What a server said in place of an answer."""

    status: int
    """The HTTP status."""
    words: frozenset[str]
    """The server's own names for what is wrong: its code, its type."""
    parameter: str
    """The parameter that it names; empty if none."""
    message: str
    """What it says, on one line without anything like a key."""
    after: float | None
    """Seconds that it asks to wait, if it does."""

    @property
    def blocked(self) -> bool:
        """Whether a content policy stopped it: a way of declining, not a fault."""
        return self.status in REFUSED and self._is(_BLOCKED, _BLOCKED_TEXT)

    @property
    def spent(self) -> bool:
        """Whether money or a quota of days is used up, so that waiting minutes won't help."""
        if self.status == 429:
            return self._is(_SPENT, _SPENT_TEXT) or bool(_DAY_TEXT.search(self.message))
        return self.status == 402 or (self.status in REFUSED and self._is(_SPENT, _SPENT_TEXT))

    @property
    def too_long(self) -> bool:
        """Whether the prompt does not fit into the model."""
        # OpenAI's 429 for a prompt beyond the tokens of a minute will never be anything else.
        asked = self.status in REFUSED | {429} and self._is(_TOO_LONG, _TOO_LONG_TEXT)
        return asked or self.status == 413

    def names(self, model: str) -> bool:
        """Whether it says that there is no such model, rather than no such address."""
        if self.status == 404 and model in self.message:
            return True
        return self.status in REFUSED | {404} and self._is(_NO_MODEL, _NO_MODEL_TEXT)

    def refuses(self, parameter: str) -> bool:
        """Whether it says that the model does not take a parameter of this name."""
        said = " ".join((*self.words, self.message))
        if self.status not in REFUSED or not _NOT_TAKEN_TEXT.search(said):
            return False
        if self.parameter:
            return self.parameter == parameter
        return re.search(rf"\b{re.escape(parameter)}\b", self.message) is not None

    def _is(self, words: frozenset[str], text: re.Pattern[str]) -> bool:
        return bool(self.words & words or text.search(self.message))


def read_fault(status: int, headers: Mapping[str, str], text: str, *, key: str = "") -> Fault:
    """The refusal in a response: `{error: {code, type, param, message}}`, or what comes near.

    `key` is the one that was sent: where the message repeats it, it is struck out.
    """
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        body = {}
    if not isinstance(body, dict):
        body = {}
    inner = body.get("error")
    error = inner if isinstance(inner, dict) else body
    details, parameter = error.get("details"), error.get("param")
    words = [error.get("code"), error.get("type")]
    if isinstance(details, dict):
        words.append(details.get("error_code"))
    message = error.get("message") or body.get("detail") or (inner if error is body else "") or ""
    message = message if isinstance(message, str) else json.dumps(message)
    if len(key) >= SHORTEST_KEY:
        message = message.replace(key, "***")
    return Fault(
        status,
        frozenset(word for word in words if isinstance(word, str)),
        parameter if isinstance(parameter, str) else "",
        _one_line(message),
        _seconds(headers),
    )


def to_error(
    fault: Fault, endpoint: Endpoint, model: str, sent: Mapping[str, Iterable[str]]
) -> SurfcheckError:
    """The error to raise. `sent`: our names of the parameters, with the server's for each."""
    said = f": {fault.message[:200]}" if fault.message else ""
    if fault.spent:
        return QuotaSpent(f"{endpoint.host}: the account's quota or credit is used up{said}")
    if fault.too_long:
        return ModelError(f"prompt is longer than the model takes: shorten it ({model}{said})")
    for ours, theirs in sent.items():
        if any(fault.refuses(name) for name in theirs):
            return Unsupported(ours)
    return _by_status(fault, endpoint, model, said)


def _by_status(fault: Fault, endpoint: Endpoint, model: str, said: str) -> SurfcheckError:
    host, status, key = endpoint.host, fault.status, endpoint.vendor.key_variable
    if status == 401:
        return UsageError(f"{host} does not take what is in {key} (401): set a valid key")
    if status == 403:
        return UsageError(f"{host} does not let the key in {key} ask {model} (403): set another")
    if fault.names(model):
        return UsageError(f"{host} has no model {model!r}: correct the name")
    if status in (404, 405):
        example = endpoint.vendor.url
        return UsageError(f"{endpoint.url} answers {status}: give a base_url such as {example}")
    if status in AGAIN or status >= 500:
        throttled = status in THROTTLED
        return Transient(f"{host} answers {status}{said}", after=fault.after, throttled=throttled)
    return ModelError(f"{host} does not answer the question ({status}){said}")


def to_transient(error: Exception, endpoint: Endpoint, seconds: float) -> Transient:
    """What to raise where an SDK says that the connection failed."""
    cause = error.__cause__
    if isinstance(cause, httpx2.ConnectError | httpx2.ConnectTimeout):
        return Transient(f"{endpoint.host} can't be reached{_reason(cause)}: see that it runs")
    if isinstance(cause, httpx2.TimeoutException):
        return Transient(f"{endpoint.host} gave no answer in {seconds:g} s")
    return Transient(f"{endpoint.host} hung up before the answer was whole")


Shape = TypeVar("Shape", bound=BaseModel)


def read_answer(shape: type[Shape], text: str, endpoint: Endpoint) -> Shape:
    """The part of an answer that is used. Raises Transient for half of one or a web page."""
    host = endpoint.host
    try:
        return shape.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    if text.lstrip().startswith("<"):
        raise Transient(f"{host} sent a web page in place of an answer: see base_url")
    if first["type"] == "json_invalid" and "EOF" in first["msg"]:
        raise Transient(f"{host} sent half of an answer")
    where = ".".join(map(str, first["loc"])) or "it"
    raise ModelError(f"{host} sent an answer that can't be read: {where}: {first['msg']}")


def _one_line(message: str) -> str:
    """Printable (a server may send a terminal's control codes), and without a secret."""
    line = " ".join(_SECRET.sub("***", message).split())
    line = "".join(character for character in line if character.isprintable())
    return line[:1000]


def _seconds(headers: Mapping[str, str]) -> float | None:
    """What Retry-After says: seconds, or a date."""
    try:
        if "retry-after-ms" in headers:
            wait = float(headers["retry-after-ms"]) / 1000
        else:
            wait = float(headers.get("retry-after", ""))
    except ValueError:
        date = email.utils.parsedate_tz(headers.get("retry-after", ""))
        wait = email.utils.mktime_tz(date) - time.time() if date else float("nan")
    return max(0.0, wait) if wait < float("inf") else None  # nan is less than nothing


def _reason(error: BaseException) -> str:
    """The system's words for it, from the innermost error."""
    found = ""
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, socket.gaierror | ssl.SSLError):  # numbers of their own
            found = f" ({_one_line(str(inner.strerror))})"
        elif isinstance(inner, OSError) and inner.errno:
            found = f" ({os.strerror(inner.errno)})"
        inner = inner.__cause__ or inner.__context__
    return found
