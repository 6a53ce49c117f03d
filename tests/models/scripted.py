"""A provider that does what a test has written down, for the tests of what hosts it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from surfcheck.models.limits import Backoff
from surfcheck.models.provider import Parameters, Reply
from surfcheck.records import Prompt
from surfcheck.roles import Ask

ASKS = [Ask(Prompt.of(f"question {n}"), n % 2) for n in range(100)]
QUICK = Backoff(first=0.002, longest=0.02, random=Random(0))
Answer = Callable[[Ask, Parameters], Awaitable[Reply]]


async def echo(ask: Ask, parameters: Parameters) -> Reply:
    await asyncio.sleep(0.001)
    return Reply(ask.prompt.text.upper(), "stop", 3, 4)


@dataclass
class Scripted:
    """A provider that does what a test has written down."""

    answer: Answer = echo
    parameters: Mapping[str, Any] = field(default_factory=lambda: {"temperature": 1, "seed": 2})
    spec: str = "api:model"
    lane: str = "api"
    identity: str = "api:model"
    notes: tuple[str, ...] = ()
    asked: list[Ask] = field(default_factory=list)
    running: int = 0
    most: int = 0

    async def complete(self, ask: Ask, parameters: Parameters) -> Reply:
        self.asked.append(ask)
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            return await self.answer(ask, parameters)
        finally:
            self.running -= 1

    async def close(self) -> None:
        pass
