"""`xai:NAME`: a Grok model through xai-sdk, one gRPC call a question.

Tools, images, search and stored conversations are left out. `api_host` is another host, with a
port; `insecure=1` speaks without TLS, for a server on this machine.
"""

from __future__ import annotations

import asyncio
import math
import os
import re
from typing import Any

import grpc
import xai_sdk
from xai_sdk.chat import Response, assistant, system, user

from surfcheck.errors import ModelError, SurfcheckError, UsageError
from surfcheck.models.endpoint import READERS, flag, read_price
from surfcheck.models.provider import Parameters, QuotaSpent, Reply, Transient, Unsupported
from surfcheck.models.spec import Reader, Spec, number, one_of, whole
from surfcheck.roles import Ask

KEY = "XAI_API_KEY"
HOST = "api.x.ai"
TIMEOUT = 300.0

_READERS: dict[str, Reader] = {
    "api_host": str,
    "insecure": one_of("1", "0"),
    **{name: reader for name, reader in READERS.items() if name != "base_url"},
}
_SAMPLING: dict[str, Reader] = {
    "temperature": number(0),
    "top_p": number(0, 1),
    "max_tokens": whole(1),
    "seed": whole(0),
    "logprobs": flag,
}
_NAMED = {
    "temperature": r"\btemperature\b",
    "top_p": r"\btop_?p\b",
    "max_tokens": r"\bmax_?(completion_?)?tokens\b",
    "seed": r"\bseed\b",
    "logprobs": r"\b(top_?)?logprobs\b",
}
"""How a message names our parameters: topP, max_tokens, topLogprobs."""

# The SDK's retries would multiply the engine's, and a channel that waits up to two minutes before
# it dials again would outlast them.
_CHANNEL = [
    ("grpc.enable_retries", 0),
    ("grpc.service_config", "{}"),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2000),
]
_SAY = {"system": system, "user": user, "assistant": assistant}
_FINISH = {
    "REASON_STOP": "stop",
    "REASON_MAX_LEN": "length",
    "REASON_MAX_CONTEXT": "length",
    "REASON_TIME_LIMIT": "length",
}

_HOST = re.compile(r"([\w.-]+|\[[0-9a-fA-F:.]+\])(:\d{1,5})?", re.ASCII)
_LOCAL = re.compile(r"(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d+)?")
_BLOCKED = re.compile(r"usage guidelines|safety_check", re.IGNORECASE)
_CHECK = re.compile(r"SAFETY_CHECK_\w+")
_NO_MODEL = re.compile(r"model not found|does not exist", re.IGNORECASE)
_SPENT = re.compile(r"\bcredits?\b|spending[ -]limit", re.IGNORECASE)
_TOO_LONG = re.compile(
    r"prompt length|input_too_large|context (length|window)|too long|larger than max", re.IGNORECASE
)

_AGAIN = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.CANCELLED,  # by the server; our own cancelling is no error of the call
    }
)
_REFUSED = frozenset({grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED})


class XAI:
    """A Grok model as a Provider."""

    notes: tuple[str, ...] = ()
    """What a person should know of how it is asked, a sentence each."""

    def __init__(self, spec: Spec, *, label: str | None = None) -> None:
        """Reads the spec; connects to nothing. Raises UsageError."""
        given = spec.read(_SAMPLING | _READERS)
        self._host: str = given.get("api_host", HOST).lower()
        if not _HOST.fullmatch(self._host):  # not repeated: it may hold a password
            raise UsageError(f"xai:{spec.name}: api_host is no host: give one such as {HOST}:443")
        self._insecure = given.get("insecure") == "1"
        self._model = spec.name
        self.spec = label or str(spec)
        """How it was named."""
        self._timeout: float = given.get("timeout", TIMEOUT)
        self.parameters: Parameters = {
            name: given[name] for name in _SAMPLING if given.get(name, False) is not False
        }
        """What the spec asks for."""
        self.price = read_price(spec, given)
        """Dollars for a million tokens in and out, where said; xAI itself says what it took."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._client: xai_sdk.AsyncClient | None = None

    @property
    def identity(self) -> str:
        """Provider, address and model."""
        return f"xai:{self._host}:{self._model}"

    @property
    def lane(self) -> str:
        """Provider and host: one account's limits."""
        return f"xai:{self._host}"

    async def complete(self, ask: Ask, parameters: Parameters) -> Reply:
        """The answer under these parameters. Raises what `Provider.complete` says."""
        chats = self._connected().chat
        sampling = dict(parameters)
        if "seed" in sampling:  # one seed for all samples would make them one
            sampling["seed"] += ask.sample
        try:
            messages = [_SAY[message.role](message.content) for message in ask.prompt.messages]
            chat = chats.create(model=self._model, messages=messages, **sampling)
        except ValueError as error:  # a lone surrogate, a seed beyond 32 bits
            raise ModelError(f"{self._model} can't be asked this: {error}") from None
        try:
            answer = await chat.sample()
        except grpc.aio.AioRpcError as error:
            details = error.details() or ""
            if _BLOCKED.search(details):
                check = _CHECK.search(details)  # the rest names the team and the key
                return Reply("", "filter", refusal=check[0] if check else "usage guidelines")
            raise self._error(error, parameters) from None
        # What it can't decode, grpc hands to the SDK as None, which has no outputs; and the SDK
        # refuses a finish reason that is newer than itself.
        except (AttributeError, ValueError) as error:
            what = f"{self._host} sent an answer that can't be read ({type(error).__name__})"
            raise ModelError(f"{what}: see whether there is a newer xai-sdk") from None
        return self._reply(answer)

    async def close(self) -> None:
        """Let go of connections."""
        if self._client is not None:
            await self._client.close()
            self._client = None

    def _connected(self) -> xai_sdk.AsyncClient:
        """The running loop's client: a channel belongs to the loop that opened it."""
        loop = asyncio.get_running_loop()
        if self._client is None or self._loop is not loop:
            self._loop = loop
            self._client = xai_sdk.AsyncClient(
                api_key=self._key(),
                api_host=self._host,
                use_insecure_channel=self._insecure,
                timeout=self._timeout,
                channel_options=_CHANNEL,
            )
        return self._client

    def _key(self) -> str:
        key = os.environ.get(KEY, "").strip()
        if not key and not (self._insecure and _LOCAL.fullmatch(self._host)):
            raise UsageError(f"{KEY} is not set and {self._host} wants a key: export it first")
        if not (key.isascii() and key.isprintable()):
            raise UsageError(f"{KEY} holds characters that no key has: set it again")
        return key or "none"

    def _reply(self, answer: Response) -> Reply:
        text, reason = answer.content, answer.finish_reason
        if not text and reason == "REASON_MAX_LEN":
            raise ModelError(f"{self._model} used up max_tokens before its answer: give it more")
        if not text and reason != "REASON_STOP":
            raise Transient(f"{self._model} ended with {reason} and said nothing")
        usage, counted = answer.usage, answer.proto.HasField("usage")
        logprob = math.fsum(token.logprob for token in answer.logprobs.content)
        return Reply(
            text,
            _FINISH.get(reason, reason.removeprefix("REASON_").lower()),
            prompt_tokens=usage.prompt_tokens if counted else None,
            completion_tokens=_said_and_thought(usage) if counted else None,
            log_probability=logprob if answer.logprobs.content and math.isfinite(logprob) else None,
            usd=answer.cost_usd,
        )

    def _error(self, error: grpc.aio.AioRpcError, sent: Parameters) -> SurfcheckError:  # noqa: PLR0911
        """What to raise for a refusal; messages differ by model, so words decide within a code."""
        host, model, code, details = self._host, self._model, error.code(), error.details() or ""
        said = self._said(details)
        if code in {grpc.StatusCode.RESOURCE_EXHAUSTED, *_REFUSED} and _SPENT.search(details):
            return QuotaSpent(f"{host}: the account's credits or spending limit are used up{said}")
        if code == grpc.StatusCode.DEADLINE_EXCEEDED:
            return Transient(f"{host} gave no answer in {self._timeout:g} s")
        if code in _AGAIN:
            return Transient(f"{host} answers {code.name}{said}", after=_after(error))
        if code in _REFUSED or "api key" in details.lower():  # its words quote a part of the key
            return UsageError(
                f"{host} does not let the key in {KEY} ask {model} ({code.name}): set a valid key, "
                "or see what it may do"
            )
        if code == grpc.StatusCode.NOT_FOUND or _NO_MODEL.search(details):
            return UsageError(f"{host} has no model {model!r}: correct the name{said}")
        if code == grpc.StatusCode.UNIMPLEMENTED:
            return UsageError(f"{host} does not speak xAI's API: correct api_host{said}")
        if _TOO_LONG.search(details):
            return ModelError(f"prompt is longer than the model takes: shorten it ({model}{said})")
        if code == grpc.StatusCode.RESOURCE_EXHAUSTED:
            return Transient(
                f"{host} answers {code.name}{said}", after=_after(error), throttled=True
            )
        if code == grpc.StatusCode.INVALID_ARGUMENT:
            for ours in sent:
                if re.search(_NAMED[ours], details, re.IGNORECASE):
                    return Unsupported(ours)
        return ModelError(f"{host} does not answer the question ({code.name}){said}")

    def _said(self, details: str) -> str:
        """The server's words on one short line, without the key."""
        key = os.environ.get(KEY, "").strip()
        line = " ".join((details.replace(key, "***") if key else details).split())
        line = "".join(character for character in line if character.isprintable())
        return f": {line if len(line) <= 200 else line[:199] + '…'}" if line else ""


def _said_and_thought(usage: Any) -> int:
    """Tokens out: the SDK's completion_tokens leaves out what was thought, which is paid for."""
    return max(int(usage.total_tokens - usage.prompt_tokens), int(usage.completion_tokens))


def _after(error: grpc.aio.AioRpcError) -> float | None:
    """Seconds to wait, where the trailing metadata says."""
    for name, value in error.trailing_metadata() or ():
        if name == "retry-after" and re.fullmatch(r"\d+(\.\d+)?", value):
            return float(value)
    return None
