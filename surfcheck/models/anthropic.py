"""`anthropic:NAME`: Claude, by Anthropic's messages API.

The API has neither a seed nor log-probabilities, and its newest version no temperature and no
top_p: `version=2023-06-01` asks older models with them. Tools and streaming are left out.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any

import anthropic
import httpx2
from anthropic.resources.messages import DEPRECATED_MODELS
from pydantic import BaseModel

from surfcheck.errors import ModelError
from surfcheck.models.endpoint import READERS, Endpoint, Vendor, read_price
from surfcheck.models.http_errors import read_answer, read_fault, to_error, to_transient
from surfcheck.models.provider import Parameters, Reply, Unsupported
from surfcheck.models.spec import Reader, Spec, number, whole
from surfcheck.roles import Ask

ANTHROPIC = Vendor(
    url="https://api.anthropic.com",
    domain="anthropic.com",
    url_variable="ANTHROPIC_BASE_URL",
    key_variable="ANTHROPIC_API_KEY",
)
TIMEOUT = 600.0
MAX_TOKENS = 1024
"""The API answers nothing without a limit."""
OLDER = "2023-06-01"
"""The last version of the API with temperature and top_p."""
NO_SAMPLING = "2026-10-21"
"""The first one without, and the one that the SDK asks for."""


def _version(text: str) -> str:
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", text):
        raise ValueError(f"a date such as {OLDER}")
    return text


_SAMPLING: dict[str, Reader] = {
    "temperature": number(0, 1),
    "top_p": number(0, 1),
    "max_tokens": whole(1),
}
_FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
}


class _Block(BaseModel):
    type: str
    text: str = ""


class _Refusal(BaseModel):
    category: str | None = None
    explanation: str | None = None


class _Usage(BaseModel):
    input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    output_tokens: int | None = None

    @property
    def prompt_tokens(self) -> int | None:
        """All of the prompt, whether it was read afresh or came from the API's cache."""
        if self.input_tokens is None:
            return None
        cached = (self.cache_creation_input_tokens or 0) + (self.cache_read_input_tokens or 0)
        return self.input_tokens + cached


class _Answer(BaseModel):
    """What is read of a message."""

    content: list[_Block]
    stop_reason: str | None = None
    stop_details: _Refusal | None = None
    usage: _Usage | None = None


class Anthropic:
    """A Claude model as a Provider."""

    def __init__(self, spec: Spec, *, label: str | None = None) -> None:
        """Reads the spec; connects to nothing. Raises UsageError."""
        self._endpoint = Endpoint.of(spec, ANTHROPIC)
        given = spec.read(_SAMPLING | READERS | {"version": _version})
        self.spec = label or str(spec)
        """How it was named."""
        self.price = read_price(spec, given)
        """Dollars for a million tokens in and out, where the spec says."""
        self.parameters: Parameters = {"max_tokens": MAX_TOKENS} | {
            name: given[name] for name in _SAMPLING if name in given
        }
        """What is asked for."""
        self._model = spec.name
        self._version: str | None = given.get("version")
        self._timeout: float = given.get("timeout", TIMEOUT)
        self._clients: dict[asyncio.AbstractEventLoop, anthropic.AsyncAnthropic] = {}

    @property
    def identity(self) -> str:
        """Provider, address, model, and the API's version where the spec says it."""
        version = f":{self._version}" if self._version else ""
        return f"anthropic:{self._endpoint.url}:{self._model}{version}"

    @property
    def lane(self) -> str:
        """Provider and host: one account's limits."""
        return f"anthropic:{self._endpoint.host}"

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know of how it is asked, a sentence each."""
        notes = []
        if self._model in DEPRECATED_MODELS:
            notes.append(
                f"{self._model} is deprecated: it ends on {DEPRECATED_MODELS[self._model]}."
            )
        notes += [
            f"{name} is not sent: the API knows it up to {OLDER} only (version={OLDER})."
            for name in self.parameters
            if not self._takes(name)
        ]
        return tuple(notes)

    async def complete(self, ask: Ask, parameters: Parameters) -> Reply:
        """The answer under these parameters. Raises what `Provider.complete` says."""
        for name in parameters:
            if not self._takes(name):
                raise Unsupported(name)
        body = _body(ask, parameters) | {"model": self._model}
        try:
            # What `messages.create` sends. That one also warns of models that end soon, which is
            # an error where warnings are; `notes` says it instead.
            response = await self._connected().post(
                "/v1/messages", body=body, cast_to=httpx2.Response
            )
        except anthropic.APIStatusError as error:
            response = error.response
        except anthropic.APIConnectionError as error:
            raise to_transient(error, self._endpoint, self._timeout) from None
        except UnicodeEncodeError:
            raise ModelError("the prompt is not Unicode (a lone surrogate): correct it") from None
        if response.is_success:
            return self._reply(read_answer(_Answer, response.text, self._endpoint))
        status, key = response.status_code, self._endpoint.key()
        fault = read_fault(status, response.headers, response.text, key=key)
        if fault.blocked:
            return Reply("", finish_reason="filter", refusal=fault.message or "blocked")
        sent = {name: (name,) for name in parameters if name != "max_tokens"}
        raise to_error(fault, self._endpoint, self._model, sent)

    async def close(self) -> None:
        """Let go of the running loop's connections."""
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.close()

    def _takes(self, parameter: str) -> bool:
        older = self._version is not None and self._version < NO_SAMPLING
        return parameter == "max_tokens" or (older and parameter in _SAMPLING)

    def _reply(self, answer: _Answer) -> Reply:
        text = "".join(block.text for block in answer.content if block.type == "text")
        finish = _FINISH.get(answer.stop_reason or "", answer.stop_reason)
        refusal = None
        if finish == "refusal":
            details = answer.stop_details or _Refusal()
            refusal = details.explanation or details.category or "refusal"
        elif not text and finish == "length":
            raise ModelError(
                f"{self._model} used up max_tokens before its answer began: give it more"
            )
        usage = answer.usage or _Usage()
        return Reply(
            text,
            finish_reason=finish,
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.output_tokens,
            refusal=refusal,
        )

    def _connected(self) -> anthropic.AsyncAnthropic:
        """The running loop's client: a connection belongs to the loop that opened it."""
        loop = asyncio.get_running_loop()
        if loop not in self._clients:
            self._clients[loop] = anthropic.AsyncAnthropic(
                api_key=self._endpoint.key(),
                base_url=self._endpoint.url,
                timeout=anthropic.Timeout(self._timeout, connect=min(10.0, self._timeout)),
                max_retries=0,
                default_headers={"anthropic-version": self._version} if self._version else None,
            )
        return self._clients[loop]


def _body(ask: Ask, parameters: Parameters) -> dict[str, Any]:
    turns = ask.prompt.messages
    system = "\n\n".join(turn.content for turn in turns if turn.role == "system")
    body: dict[str, Any] = {"max_tokens": MAX_TOKENS, **parameters}
    body["messages"] = [turn.to_json() for turn in turns if turn.role != "system"]
    return body | {"system": system} if system else body
