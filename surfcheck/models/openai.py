"""`openai:NAME`: OpenAI's chat completions, and every server that speaks them, by `base_url`.

vLLM, SGLang, llama.cpp, Ollama, OpenRouter, `transformers serve` and others do. Text only: the
Responses API, tools and streaming are left out.
"""

from __future__ import annotations

import asyncio
import math
from typing import Any

import openai
from pydantic import BaseModel

from surfcheck.errors import ModelError
from surfcheck.models.endpoint import READERS, Endpoint, Vendor, flag, read_price
from surfcheck.models.http_errors import read_answer, read_fault, to_error, to_transient
from surfcheck.models.provider import Parameters, Reply, Transient, Unsupported
from surfcheck.models.spec import Reader, Spec, number, whole
from surfcheck.roles import Ask

OPENAI = Vendor(
    url="https://api.openai.com/v1",
    domain="openai.com",
    url_variable="OPENAI_BASE_URL",
    key_variable="OPENAI_API_KEY",
)
TIMEOUT = 600.0

_SAMPLING: dict[str, Reader] = {
    "temperature": number(0),
    "top_p": number(0, 1),
    "max_tokens": whole(1),
    "seed": whole(0),
    "logprobs": flag,
}


class _Token(BaseModel):
    logprob: float


class _LogProbabilities(BaseModel):
    content: list[_Token] | None = None


class _Message(BaseModel):
    content: str | None = None
    refusal: str | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None
    logprobs: _LogProbabilities | None = None


class _Usage(BaseModel):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _Error(BaseModel):
    code: int | str | None = None


class _Completion(BaseModel):
    """What is read of a chat completion."""

    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    error: _Error | None = None


class OpenAI:
    """A model behind a chat completions API as a Provider."""

    notes: tuple[str, ...] = ()
    """What a person should know of how it is asked, a sentence each."""

    def __init__(self, spec: Spec, *, label: str | None = None) -> None:
        """Reads the spec; connects to nothing. Raises UsageError."""
        self._endpoint = Endpoint.of(spec, OPENAI)
        given = spec.read(_SAMPLING | READERS)
        self.spec = label or str(spec)
        """How it was named."""
        self.price = read_price(spec, given)
        """Dollars for a million tokens in and out, where the spec says."""
        self.parameters: Parameters = {
            name: given[name] for name in _SAMPLING if given.get(name, False) is not False
        }
        """What is asked for."""
        self._model = spec.name
        self._timeout: float = given.get("timeout", TIMEOUT)
        # OpenAI's newest models know the first name alone, many other servers only the second.
        limits = ("max_completion_tokens", "max_tokens")
        self._limits = limits if self._endpoint.own else limits[::-1]
        self._clients: dict[asyncio.AbstractEventLoop, openai.AsyncOpenAI] = {}

    @property
    def identity(self) -> str:
        """Provider, address and model."""
        return f"openai:{self._endpoint.url}:{self._model}"

    @property
    def lane(self) -> str:
        """Provider and host: one account's limits."""
        return f"openai:{self._endpoint.host}"

    async def complete(self, ask: Ask, parameters: Parameters) -> Reply:
        """The answer under these parameters. Raises what `Provider.complete` says."""
        first, second = self._limits
        try:
            return await self._send(ask, parameters, first)
        except Unsupported as refused:
            if refused.parameter != "max_tokens":
                raise
        self._limits = (second, first)
        return await self._send(ask, parameters, second)

    async def close(self) -> None:
        """Let go of the running loop's connections."""
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.close()

    async def _send(self, ask: Ask, parameters: Parameters, limit: str) -> Reply:
        """One request, with `limit` as the server's name for max_tokens."""
        body = _body(ask, parameters, limit) | {"model": self._model}
        try:
            completions = self._connected().chat.completions
            raw = await completions.with_raw_response.create(**body)
            response = raw.http_response
        except openai.APIStatusError as error:
            response = error.response
        except openai.APIConnectionError as error:
            raise to_transient(error, self._endpoint, self._timeout) from None
        except UnicodeEncodeError:
            raise ModelError("the prompt is not Unicode (a lone surrogate): correct it") from None
        status = response.status_code
        if response.is_success:
            completion = read_answer(_Completion, response.text, self._endpoint)
            if not completion.error:
                return self._reply(completion)
            # OpenRouter's way to say that the server behind it failed.
            status = completion.error.code if isinstance(completion.error.code, int) else 502
        key = self._endpoint.key()
        fault = read_fault(status, response.headers, response.text, key=key)
        if fault.blocked:
            return Reply("", finish_reason="filter", refusal=fault.message or "blocked")
        sent = {name: (name,) for name in parameters}
        if "max_tokens" in sent:
            sent["max_tokens"] = (limit,)
        raise to_error(fault, self._endpoint, self._model, sent)

    def _reply(self, completion: _Completion) -> Reply:
        host, model = self._endpoint.host, self._model
        if not completion.choices:
            raise ModelError(f"{host} sent no choices for {model}: ask again or see its log")
        choice = completion.choices[0]
        text, refusal, finish = choice.message.content, choice.message.refusal, choice.finish_reason
        if finish == "error":
            raise Transient(f"{host} broke off the answer of {model}")
        if finish == "content_filter":
            finish, refusal = "filter", refusal or "content_filter"
        elif refusal:
            finish = "refusal"
        elif not text and finish == "length":
            raise ModelError(f"{model} used up max_tokens before its answer began: give it more")
        elif text is None:
            raise ModelError(f"{host} sent neither text nor a refusal for {model}: ask again")
        usage = completion.usage or _Usage()
        return Reply(
            text or "",
            finish_reason=finish,
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            refusal=refusal,
            log_probability=_log_probability(choice),
        )

    def _connected(self) -> openai.AsyncOpenAI:
        """The running loop's client: a connection belongs to the loop that opened it."""
        loop = asyncio.get_running_loop()
        if loop not in self._clients:
            self._clients[loop] = openai.AsyncOpenAI(
                api_key=self._endpoint.key(),
                base_url=self._endpoint.url,
                timeout=openai.Timeout(self._timeout, connect=min(10.0, self._timeout)),
                max_retries=0,
            )
        return self._clients[loop]


def _body(ask: Ask, parameters: Parameters, limit: str) -> dict[str, Any]:
    body: dict[str, Any] = {limit if n == "max_tokens" else n: v for n, v in parameters.items()}
    if "seed" in body:  # one seed for all samples would make them one
        body["seed"] += ask.sample
    return body | {"messages": [message.to_json() for message in ask.prompt.messages]}


def _log_probability(choice: _Choice) -> float | None:
    if choice.logprobs is None or not choice.logprobs.content:
        return None
    total = math.fsum(token.logprob for token in choice.logprobs.content)
    return total if math.isfinite(total) else None
