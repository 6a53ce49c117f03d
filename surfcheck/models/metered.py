"""A model that answers batches by itself, counted against the run's budget like all others."""

from __future__ import annotations

from collections.abc import Sequence

from surfcheck.models.budget import Budget
from surfcheck.models.engine import Engine
from surfcheck.models.loaded import Around, LoadedModel
from surfcheck.records import Response, Usage
from surfcheck.roles import Ask


class Metered(Around):
    """A LoadedModel whose answers an engine counts; it stands below memory, which is free."""

    def __init__(self, model: LoadedModel, engine: Engine) -> None:
        super().__init__(model)
        self._engine = engine

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
                budget.begin(ask.prompt.about_tokens)
                begun += 1
            responses = self._model.ask(asks)
        except BaseException:
            for _ in range(begun):
                budget.give_back()
            raise
        for response in responses:
            self._engine.count(Usage(calls=1, tokens=response.tokens, usd=None))
            budget.end(response.tokens, None)
        return responses
