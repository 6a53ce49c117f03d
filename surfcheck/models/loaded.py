"""What `load` gives: a model that can also say which model it is."""

from __future__ import annotations

from typing import Protocol

from surfcheck.roles import Model


class LoadedModel(Model, Protocol):
    """A Model that can be told from every other one."""

    @property
    def identity(self) -> str:
        """Equal for two models only if they would give the same answers: memory's key."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know of how it is asked, a sentence each."""
