"""`provider:name[?key=value&…]`: how every model is named.

Reads the text and says what is wrong with it. What a provider does with its name and parameters
is the provider's own business.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote

from surfcheck.errors import UsageError

Reader = Callable[[str], Any]
"""From a parameter's text to its value; a ValueError says what it takes."""


@dataclass(frozen=True, slots=True)
class Spec:
    """A model's name, read."""

    provider: str
    """Who answers: `hf`, `python`, `replay`."""
    name: str
    """Which model, in the provider's own words."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    """What came after the question mark, as text."""

    def __str__(self) -> str:
        query = "&".join(f"{k}={quote(v, safe='/:,')}" for k, v in self.parameters.items())
        return f"{self.provider}:{self.name}" + (f"?{query}" if query else "")

    def read(self, readers: Mapping[str, Reader]) -> dict[str, Any]:
        """The parameters as values. Raises UsageError for one unknown or unreadable."""
        values = {}
        for key, text in self.parameters.items():
            if key not in readers:
                known = ", ".join(readers) or "none"
                raise UsageError(f"{self}: no parameter {key!r}; {self.provider}: takes {known}")
            try:
                values[key] = readers[key](text)
            except ValueError as error:
                raise UsageError(f"{self}: {key} is {text!r}: give {error}") from None
        return values


PROVIDERS = ("anthropic", "google", "hf", "openai", "organism", "python", "replay", "xai")
"""All that a spec can begin with; `organism:` is resolved to an `hf:` path above this room."""


def check_spec(text: str) -> None:
    """Raises UsageError where `text` can't name a model, without looking for the model."""
    if text.startswith("organism:"):
        return
    provider = parse_spec(text).provider
    if provider not in PROVIDERS:
        known = ", ".join(f"{name}:" for name in PROVIDERS)
        raise UsageError(f"{text}: no provider {provider!r}; known are {known}")


def parse_spec(text: str) -> Spec:
    """The spec that `text` writes. Raises UsageError that says what to write instead."""
    address, question, query = text.partition("?")
    provider, colon, name = address.partition(":")
    if not colon or not provider:
        raise UsageError(
            f"{text!r} names no provider: write provider:name, such as hf:{name or text or 'PATH'}"
        )
    if not name:
        raise UsageError(f"{text!r} names no model: write {provider}:NAME")
    return Spec(provider, name, _parameters(text, query) if question else {})


def _parameters(text: str, query: str) -> dict[str, str]:
    parameters: dict[str, str] = {}
    for part in query.split("&"):
        key, equals, value = part.partition("=")
        if not (key and equals and value):
            raise UsageError(f"{text!r}: {part!r} is no parameter: write key=value, joined by &")
        if key in parameters:
            raise UsageError(f"{text!r}: {key} is given twice: leave one out")
        parameters[key] = unquote(value)
    return parameters


def number(least: float, most: float = math.inf) -> Reader:
    """Reads a number from `least` to `most`."""
    wanted = f"a number, {least:g} or more" if most == math.inf else f"a number, {least:g}-{most:g}"

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            raise ValueError(wanted) from None
        if not (math.isfinite(value) and least <= value <= most):
            raise ValueError(wanted)
        return value

    return read


def whole(least: int) -> Reader:
    """Reads a whole number, `least` or more."""

    def read(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise ValueError(f"a whole number, {least} or more")
        return int(text)

    return read


def one_of(*words: str) -> Reader:
    """Reads one of some words."""

    def read(text: str) -> str:
        if text not in words:
            raise ValueError("one of " + ", ".join(words))
        return text

    return read
