"""What `load` gives: a model that can also say which model it is, and begin before it has to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from surfcheck.records import Response
from surfcheck.roles import Ask, Model

Then = Callable[[Response], None]
"""Called with an answer as soon as it is there, on another thread; it must not wait."""


class LoadedModel(Model, Protocol):
    """A Model that can be told from every other one."""

    @property
    def identity(self) -> str:
        """Equal for two models only if they would give the same answers: memory's key."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know of how it is asked, a sentence each."""

    def known(self, asks: Sequence[Ask]) -> int:
        """How many of these can be answered without a call."""

    def expect(self, asks: Sequence[Ask], then: Then | None = None) -> None:
        """Begin to answer these and do not wait; a later `ask` joins them.

        A model that answers in batches on this machine does nothing here.
        """


class Around:
    """What passes through unchanged where one model stands around another."""

    def __init__(self, model: LoadedModel) -> None:
        self._model = model

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

    def expect(self, asks: Sequence[Ask], then: Then | None = None) -> None:
        """Nothing: a model that is asked in batches has nothing to begin early."""
