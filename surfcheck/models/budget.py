"""Ceilings on calls, tokens and dollars, for one run in one process or several.

A call is counted before it is made, so a ceiling on calls is never passed. What it costs is known
only afterwards: a ceiling on tokens or dollars stops the next call once it is reached, and what
was in flight then is paid, counted and reported, over the ceiling if need be.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from surfcheck.errors import BudgetReached
from surfcheck.models.memory import Memory, Spent
from surfcheck.models.provider import Reply

MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Price:
    """What a model costs, in dollars a million tokens."""

    usd_in: float
    """For what is asked."""
    usd_out: float
    """For what is answered."""

    def of(self, reply: Reply) -> float | None:
        """What a reply cost; None where its tokens are neither known nor free."""
        if not (self.usd_in or self.usd_out):
            return 0.0
        if reply.prompt_tokens is None or reply.completion_tokens is None:
            return None
        cost = self.usd_in * reply.prompt_tokens + self.usd_out * reply.completion_tokens
        return cost / MILLION


class Budget:
    """What a run may spend, and what it has spent. Thread-safe."""

    def __init__(
        self,
        *,
        calls: int | None = None,
        tokens: int | None = None,
        usd: float | None = None,
        memory: Memory | None = None,
        run: str = "",
    ) -> None:
        """None is no ceiling. With a `memory`, processes that name the same `run` share one."""
        self.calls, self.tokens, self.usd = calls, tokens, usd
        self._memory = memory or Memory(Path(os.devnull), "off")
        self._run = run

    @property
    def limited(self) -> bool:
        """Whether there is any ceiling; without one nothing has to be counted here."""
        return (self.calls, self.tokens, self.usd) != (None, None, None)

    @property
    def spent(self) -> Spent:
        """Calls made and not turned away; tokens and dollars of those answered."""
        return self._memory.spent(self._run)

    def begin(self, expected_tokens: int = 0) -> None:
        """Count a call that is about to be made, with a prompt of about so many tokens.

        Raises BudgetReached, and counts nothing, if a ceiling is reached or would be passed.
        """
        spent = self._memory.spend(self._run, calls=1, tokens=0, usd=0.0, ceiling_calls=self.calls)
        if spent.refused:
            raise _reached(f"{self.calls} calls (--surf-max-calls)", f"{spent.calls} are made")
        if self.tokens is not None and spent.tokens + max(expected_tokens, 1) > self.tokens:
            self.give_back()
            about = f"the next question has about {max(expected_tokens, 1)}"
            raise _reached(
                f"{self.tokens} tokens (--surf-max-tokens)", f"{spent.tokens} are spent, {about}"
            )
        if self.usd is not None and spent.usd >= self.usd:
            self.give_back()
            raise _reached(f"${self.usd:g} (--surf-max-usd)", f"${spent.usd:.4f} are spent")

    def end(self, tokens: int, usd: float | None) -> None:
        """A call was answered and cost this; dollars are None where the price is not known."""
        self._memory.spend(self._run, calls=0, tokens=tokens, usd=usd or 0.0)

    def give_back(self) -> None:
        """A call that was counted was turned away and cost nothing."""
        self._memory.spend(self._run, calls=-1, tokens=0, usd=0.0)


def _reached(ceiling: str, spent: str) -> BudgetReached:
    return BudgetReached(f"the run may spend {ceiling} and {spent}; allow more to ask the rest")
