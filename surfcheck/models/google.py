"""`google:NAME`: a Gemini model through google-genai, one request a question.

The SDK builds and sends the request; the answer is read here, because the SDK's own reading warns
of every word that is newer than itself. Vertex, tools, and the SDK's second request that goes on
with a long answer are left out.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import re

import httpx2
from google import genai
from google.genai import errors, types
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from surfcheck.errors import ModelError, SurfcheckError, UsageError
from surfcheck.models.endpoint import READERS, Endpoint, Vendor, flag, read_price
from surfcheck.models.http_errors import AGAIN, THROTTLED, read_answer, read_fault
from surfcheck.models.provider import Parameters, QuotaSpent, Reply, Transient, Unsupported
from surfcheck.models.spec import Reader, Spec, number, whole
from surfcheck.roles import Ask

TIMEOUT = 300.0

_SAMPLING: dict[str, Reader] = {
    "temperature": number(0),
    "top_p": number(0, 1),
    "max_tokens": whole(1),
    "seed": whole(0),
    "logprobs": flag,
}
_THEIRS = {"max_tokens": "max_output_tokens", "logprobs": "response_logprobs"}
_NAMED = {
    "temperature": r"\btemperature\b",
    "top_p": r"\btop_?p\b",
    "max_tokens": r"\bmax_?output_?tokens\b",
    "seed": r"\bseed\b",
    "logprobs": r"\b(response_?)?logprobs\b",
}
"""How a message names our parameters: generation_config.top_p, topP, Logprobs."""

_FINISH = {"STOP": "stop", "MAX_TOKENS": "length", "CONTINUATION": "length"}
_FILTER = frozenset(
    {"SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT"}
    | {"SPII", "ESCALATION", "MODEL_ARMOR"}
)
# Every 429 says "check your plan and billing"; only these don't pass within minutes.
_SPENT = re.compile(r'"quotaId": "[^"]*PerDay|credits are depleted|spend(ing)? cap')
_DELAY = re.compile(r'"retryDelay": "(\d+(?:\.\d+)?)s"')
_REASON = re.compile(r'"reason": "(\w+)"')
_STATUS = re.compile(r'"status": "(\w+)"')
_TOO_LONG = re.compile(r"token count|payload size", re.IGNORECASE)


class _Shape(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel)


class _Part(_Shape):
    text: str = ""
    thought: bool = False


class _Content(_Shape):
    parts: list[_Part] = []


class _Token(_Shape):
    log_probability: float = 0.0


class _Tokens(_Shape):
    log_probability_sum: float | None = None
    chosen_candidates: list[_Token] = []


class _Candidate(_Shape):
    content: _Content = _Content()
    finish_reason: str = ""
    finish_message: str = ""
    logprobs_result: _Tokens = _Tokens()


class _Feedback(_Shape):
    block_reason: str = ""
    block_reason_message: str = ""


class _Usage(_Shape):
    prompt_token_count: int | None = None
    candidates_token_count: int = 0
    thoughts_token_count: int = 0


class _Answer(_Shape):
    candidates: list[_Candidate] = []
    prompt_feedback: _Feedback = _Feedback()
    usage: _Usage = Field(_Usage(), alias="usageMetadata")


class Google:
    """A Gemini model as a Provider."""

    notes: tuple[str, ...] = ()
    """What a person should know of how it is asked, a sentence each."""

    def __init__(self, spec: Spec, *, label: str | None = None) -> None:
        """Reads the spec; connects to nothing. Raises UsageError."""
        if ".." in spec.name or "&" in spec.name:  # the SDK's own rule
            raise UsageError(f"google: has no model {spec.name!r}: correct the name")
        self._endpoint = Endpoint.of(spec, _vendor())
        given = spec.read(_SAMPLING | READERS)
        self._model = spec.name
        self.spec = label or str(spec)
        """How it was named."""
        self._timeout: float = given.get("timeout", TIMEOUT)
        self.parameters: Parameters = {
            name: given[name] for name in _SAMPLING if given.get(name, False) is not False
        }
        """What the spec asks for."""
        self.price = read_price(spec, given)
        """Dollars for a million tokens in and out, where said."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._http: httpx2.AsyncClient | None = None
        self._client: genai.Client | None = None

    @property
    def identity(self) -> str:
        """Provider, address and model."""
        return f"google:{self._endpoint.url}:{self._model}"

    @property
    def lane(self) -> str:
        """Provider and host: one account's limits."""
        return f"google:{self._endpoint.host}"

    async def complete(self, ask: Ask, parameters: Parameters) -> Reply:
        """The answer under these parameters. Raises what `Provider.complete` says."""
        models, host = self._connected().aio.models, self._endpoint.host
        try:
            async with asyncio.timeout(self._timeout):
                answer = await models.generate_content(
                    model=self._model, contents=_contents(ask), config=_config(ask, parameters)
                )
        except errors.APIError as error:
            raise self._error(error, parameters) from None
        except (TimeoutError, httpx2.TimeoutException):
            raise Transient(f"{host} gave no answer in {self._timeout:g} s") from None
        except httpx2.ConnectError as error:
            raise Transient(f"{host} can't be reached ({error}): see that it runs") from None
        except httpx2.HTTPError:
            raise Transient(f"{host} hung up before the answer was whole") from None
        except (ValueError, httpx2.InvalidURL) as error:  # the SDK refuses to send it
            reason = " ".join(self._without_key(str(error)).split())
            raise ModelError(f"{self._model} can't be asked this: {reason[:200]}") from None
        response = answer.sdk_http_response
        text = (response and response.body) or ""
        return self._reply(read_answer(_Answer, text, self._endpoint))

    async def close(self) -> None:
        """Let go of connections."""
        if self._client is not None and self._http is not None:
            self._client.close()
            await self._http.aclose()
            self._client = self._http = None

    def _connected(self) -> genai.Client:
        """The client of the running loop: connections belong to the loop they were opened on."""
        loop = asyncio.get_running_loop()
        if self._client is None or self._loop is not loop:
            key = self._endpoint.key()
            # The SDK's own client is another one where aiohttp is installed, and takes the key
            # along to wherever it is redirected. How many connections is the engine's business.
            self._http = httpx2.AsyncClient(limits=httpx2.Limits())
            options = types.HttpOptions(
                base_url=self._endpoint.url,
                timeout=max(1, round(self._timeout * 1000)),
                retry_options=types.HttpRetryOptions(attempts=1),
                httpx_async_client=self._http,
            )
            self._client = genai.Client(vertexai=False, api_key=key, http_options=options)
            self._loop = loop
        return self._client

    def _reply(self, answer: _Answer) -> Reply:
        blocked = answer.prompt_feedback
        if blocked.block_reason:
            refusal = _joined(blocked.block_reason, blocked.block_reason_message)
            return Reply("", "filter", *_tokens(answer.usage), refusal=refusal)
        if not answer.candidates:
            raise Transient(f"{self._endpoint.host} sent an answer without a candidate")
        candidate = answer.candidates[0]
        text = "".join(part.text for part in candidate.content.parts if not part.thought)
        reason = candidate.finish_reason
        filtered = reason in _FILTER
        if not (text or filtered or reason == "STOP"):
            raise self._silence(reason)
        return Reply(
            text,
            "filter" if filtered else _FINISH.get(reason, reason.lower() or None),
            *_tokens(answer.usage),
            refusal=_joined(reason, candidate.finish_message) if filtered else None,
            log_probability=_log_probability(candidate.logprobs_result),
        )

    def _silence(self, reason: str) -> ModelError:
        """Nothing was said, and not because the model had nothing to say."""
        if reason == "MAX_TOKENS":
            return ModelError(f"{self._model} used up max_tokens before its answer: give it more")
        return Transient(f"{self._model} ended with {reason or 'no reason'} and said nothing")

    def _error(self, error: errors.APIError, sent: Parameters) -> SurfcheckError:  # noqa: PLR0911
        """What to raise for a refusal; Google's own names for it stand in its typed details."""
        host, model, code = self._endpoint.host, self._model, error.code
        notes = self._without_key(json.dumps(error.details))
        fault = read_fault(code, error.response.headers, notes)
        said = f": {fault.message}" if fault.message else ""
        reason = match[1] if (match := _REASON.search(notes) or _STATUS.search(notes)) else ""
        if code == 429 and _SPENT.search(notes):
            return QuotaSpent(f"{host}: the account's quota or credit is used up{said}")
        if code in AGAIN or code >= 499:  # 499: cancelled by the server
            after = float(match[1]) if (match := _DELAY.search(notes)) else fault.after
            throttled = code in THROTTLED
            return Transient(f"{host} answers {code}{said}", after=after, throttled=throttled)
        if code in (401, 403) or "API_KEY" in reason:  # its words may quote the key
            variable = self._endpoint.vendor.key_variable
            return UsageError(
                f"{host} does not let the key in {variable} ask {model} ({code} {reason}): "
                "set a valid key, or see its project"
            )
        if code == 404:
            return UsageError(f"{host} has no model {model!r}: correct the name{said}")
        if _TOO_LONG.search(fault.message):
            return ModelError(f"prompt is longer than the model takes: shorten it ({model}{said})")
        if code == 400:
            for ours in sent:
                if re.search(_NAMED[ours], notes, re.IGNORECASE):
                    return Unsupported(ours)
        if reason == "FAILED_PRECONDITION":  # a country, or billing
            return UsageError(f"{host} answers none of this account's questions{said}")
        return ModelError(f"{host} does not answer the question ({code}){said}")

    def _without_key(self, text: str) -> str:
        key = os.environ.get(self._endpoint.vendor.key_variable, "").strip()
        return text.replace(key, "***") if key else text


def _vendor() -> Vendor:
    # The SDK too looks at both variables, in this order.
    names = ("GOOGLE_API_KEY", "GEMINI_API_KEY")
    return Vendor(
        url="https://generativelanguage.googleapis.com",
        domain="googleapis.com",
        url_variable="GOOGLE_GEMINI_BASE_URL",
        key_variable=next((name for name in names if os.environ.get(name)), names[-1]),
    )


def _contents(ask: Ask) -> list[types.Content]:
    return [
        types.Content(
            role="model" if message.role == "assistant" else "user",
            parts=[types.Part(text=message.content)],
        )
        for message in ask.prompt.messages
        if message.role != "system"
    ]


def _config(ask: Ask, parameters: Parameters) -> types.GenerateContentConfig:
    system = [m.content for m in ask.prompt.messages if m.role == "system"]
    sampling = {_THEIRS.get(name, name): value for name, value in parameters.items()}
    if "seed" in sampling:  # one seed for all samples would make them one
        sampling["seed"] += ask.sample
    return types.GenerateContentConfig(
        system_instruction="\n\n".join(system) if system else None,
        should_return_http_response=True,
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
        **sampling,
    )


def _tokens(usage: _Usage) -> tuple[int | None, int | None]:
    """In and out; what was thought is paid for like what was said."""
    if usage.prompt_token_count is None:
        return None, None
    return usage.prompt_token_count, usage.candidates_token_count + usage.thoughts_token_count


def _log_probability(tokens: _Tokens) -> float | None:
    total = tokens.log_probability_sum
    if total is None and tokens.chosen_candidates:
        total = math.fsum(token.log_probability for token in tokens.chosen_candidates)
    return total if total is not None and math.isfinite(total) else None


def _joined(word: str, message: str) -> str:
    return f"{word}: {message}" if message else word
