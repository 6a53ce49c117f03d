"""Asking a provider, and what its errors may not say, for the tests of each of them."""

from __future__ import annotations

import asyncio
import traceback
from typing import Any

import pytest

from surfcheck.errors import ModelError, SurfcheckError, UsageError
from surfcheck.models.provider import Parameters, Provider, Reply
from surfcheck.records import Prompt
from surfcheck.roles import Ask

ASK = Ask(Prompt.of("Is water wet?"))


def ask_all(provider: Provider, *asks: Ask, parameters: Parameters | None = None) -> list[Reply]:
    """The replies to some asks, one after the other, on a loop of its own."""
    given = provider.parameters if parameters is None else parameters

    async def run() -> list[Reply]:
        try:
            return [await provider.complete(one, given) for one in asks or (ASK,)]
        finally:
            await provider.close()

    return asyncio.run(run())


def ask(provider: Provider, prompt: Any = "Is water wet?", sample: int = 0) -> Reply:
    """The reply to one prompt."""
    return ask_all(provider, Ask(Prompt.of(prompt), sample))[0]


def failure(provider: Provider, **options: Any) -> SurfcheckError:
    """The error that asking raises: one line, and no key in it or in its traceback."""
    with pytest.raises(SurfcheckError) as caught:
        ask_all(provider, **options)
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    assert "0123456789" not in shown
    assert "\n" not in str(caught.value)
    return caught.value


def fails(provider: Provider, kind: type[ModelError | UsageError]) -> Any:
    """The same, of exactly this kind."""
    error = failure(provider)
    assert type(error) is kind
    return error
