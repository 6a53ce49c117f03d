"""A model that answers batches by itself, counted against the run's budget like all others."""

from __future__ import annotations

from collections.abc import Sequence

from surfcheck.models.budget import Budget
from surfcheck.models.engine import Engine
from surfcheck.models.loaded import LoadedModel, Then
from surfcheck.records import Response, Usage
from surfcheck.roles import Ask


class Metered:
    """A LoadedModel whose answers an engine counts; it stands below memory, which is free."""

    def __init__(self, model: LoadedModel, engine: Engine) -> None:
        self._model, self._engine = model, engine

    @property
    def spec(self) -> str:
        """The model's."""
        return self._model.spec

    @property
    def identity(self) -> str:
        """The model's."""
        return self._model.identity

    @property
    def notes(self) -> tuple[str, ...]:
        """The model's."""
        return self._model.notes

    def known(self, asks: Sequence[Ask]) -> int:
        """The model's."""
        return self._model.known(asks)

    def ask(self, asks: Sequence[Ask]) -> list[Response]:
        """The model's answers. Raises BudgetReached before a batch that a ceiling has no room for.

        What a local model costs is not known: its answers have no price.
        """
        budget, begun = self._engine.budget or Budget(), 0
        try:
            for ask in asks:
                budget.begin(sum(len(message.content) for message in ask.prompt.messages) // 4)
                begun += 1
            responses = self._model.ask(asks)
        except BaseException:
            for _ in range(begun):
                budget.give_back()
            raise
        for response in responses:
            tokens = (response.prompt_tokens or 0) + (response.completion_tokens or 0)
            self._engine.count(Usage(calls=1, tokens=tokens, usd=None))
            budget.end(tokens, None)
        return responses

    def expect(self, asks: Sequence[Ask], then: Then | None = None) -> None:
        """Nothing: its batches are asked when they are needed."""
