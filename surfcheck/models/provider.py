"""What a hosted model's adapter has to do: one question, once. All waiting is the engine's.

An adapter translates: our ask into its SDK's call, the SDK's answer into a `Reply`, and the SDK's
errors into those here. It never retries, sleeps, counts, caches or logs, and no error message of
its own contains a key or a header.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from surfcheck.errors import ModelError
from surfcheck.roles import Ask

Parameters = Mapping[str, Any]
"""Sampling parameters under our own names: temperature, top_p, max_tokens, seed, logprobs."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back."""

    text: str
    """The answer; empty where the model declined without a word."""
    finish_reason: str | None = None
    """`stop`, `length`, `refusal`, `filter`, or the provider's word for it."""
    prompt_tokens: int | None = None
    """Tokens in, where said."""
    completion_tokens: int | None = None
    """Tokens out, where said."""
    refusal: str | None = None
    """What stands in the provider's own refusal field, or why it blocked the answer."""
    log_probability: float | None = None
    """Natural log of the answer's probability, where asked for and given."""
    usd: float | None = None
    """Price, where the provider says it."""

    @property
    def tokens(self) -> int:
        """Tokens in and out, as far as they are known."""
        return (self.prompt_tokens or 0) + (self.completion_tokens or 0)


class Provider(Protocol):
    """Answers one ask at a time, as many at once as it is called."""

    @property
    def spec(self) -> str:
        """How it was named."""

    @property
    def identity(self) -> str:
        """Provider, address and model, without parameters and without a key: memory's key."""

    @property
    def lane(self) -> str:
        """Whose limits apply: equal for all models behind one account and address."""

    @property
    def parameters(self) -> Parameters:
        """What is asked for; a model may refuse some of it, see `Unsupported`."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know of how it is asked, a sentence each."""

    async def complete(self, ask: Ask, parameters: Parameters) -> Reply:
        """The answer under these parameters.

        Raises Transient or Unsupported, which the engine deals with; UsageError where nothing
        will ever be answered (no key, wrong key, no such model); ModelError where this ask will
        not be (prompt too long, malformed answer); QuotaSpent where nothing more will be today.
        """

    async def close(self) -> None:
        """Let go of connections; called on the loop that `complete` was called on."""


class Transient(ModelError):
    """Worth trying again: overloaded, cut, slow, a server's error."""

    def __init__(self, reason: str, *, after: float | None = None, throttled: bool = False) -> None:
        super().__init__(reason)
        self.after = after
        """Seconds that the provider asks to wait, if it says."""
        self.throttled = throttled
        """Whether it said that too much was asked at once (429, 503, 529, RESOURCE_EXHAUSTED)."""


class Unsupported(ModelError):
    """The model does not take a parameter; the engine drops it and remembers."""

    def __init__(self, parameter: str) -> None:
        super().__init__(f"does not take {parameter}")
        self.parameter = parameter
        """One of our names."""


class QuotaSpent(ModelError):
    """A quota of the day, the month or the purse is used up: waiting minutes won't help."""
