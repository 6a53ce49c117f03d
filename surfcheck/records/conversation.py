"""What is asked and what is answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from surfcheck.jsonable import Record

CHARACTERS_A_TOKEN = 4
"""In English, about."""

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class Message(Record):
    """One turn of a conversation."""

    role: Role
    """Who speaks."""
    content: str
    """What is said."""


@dataclass(frozen=True, slots=True)
class Prompt(Record):
    """What a model is asked: a conversation that ends with the user's turn."""

    messages: tuple[Message, ...]
    """The turns, oldest first; never empty."""

    @classmethod
    def of(cls, value: str | Prompt | Sequence[Mapping[str, str]]) -> Prompt:
        """A prompt from a text (one user turn), a list of `{role, content}`, or a prompt.

        Raises ValueError for no turns and for a role that is none, KeyError or TypeError for
        anything else.
        """
        if isinstance(value, Prompt):
            return value
        if isinstance(value, str):
            return cls((Message("user", value),))
        turns = tuple(Message(m["role"], m["content"]) for m in value)  # type: ignore[arg-type]
        if not turns:
            raise ValueError("has no turns")
        for turn in turns:
            if turn.role not in get_args(Role):
                raise ValueError(f"has the role {turn.role!r}")
        return cls(turns)

    @property
    def text(self) -> str:
        """The last turn's text: what perturbations change."""
        return self.messages[-1].content

    @property
    def about_tokens(self) -> int:
        """Tokens in English, about; the provider's own count stands in the report of a run."""
        return self.characters // CHARACTERS_A_TOKEN

    @property
    def characters(self) -> int:
        """Length of all turns."""
        return sum(len(message.content) for message in self.messages)

    def with_text(self, text: str) -> Prompt:
        """The same conversation with another last turn."""
        return Prompt((*self.messages[:-1], Message(self.messages[-1].role, text)))


@dataclass(frozen=True, slots=True)
class Response(Record):
    """A model's answer to a prompt, together with the prompt: one exchange."""

    prompt: Prompt
    """What was asked."""
    text: str
    """What was answered."""
    model: str = ""
    """The spec of the model that answered."""
    sample: int = 0
    """Which of several independent samples this is, from 0."""
    finish_reason: str | None = None
    """`stop`, `length`, or the provider's word for it."""
    prompt_tokens: int | None = None
    """Tokens in, where known."""
    completion_tokens: int | None = None
    """Tokens out, where known."""
    remembered: bool = False
    """Whether the answer came from memory and cost nothing."""
    refusal: str | None = None
    """What stands in the provider's own refusal field, or why it blocked the answer."""
    log_probability: float | None = None
    """Natural log of the answer's probability, where asked for and given."""
    usd: float | None = None
    """What the answer cost, where the price is known."""
    parameters: dict[str, Any] | None = None
    """Sampling parameters in force, where the model was asked over a provider's API."""

    def __str__(self) -> str:
        return self.text

    @property
    def tokens(self) -> int:
        """Tokens in and out, as far as they are known."""
        return (self.prompt_tokens or 0) + (self.completion_tokens or 0)
