"""Who acts: protocols with one method. Users write functions that fit them, never subclasses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from surfcheck.records import Case, Prompt, Response, Verdict

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy


class Ask(NamedTuple):
    """One question to a model."""

    prompt: Prompt
    sample: int = 0
    """Which independent sample is wanted; the same number gives the same answer again."""


class Model(Protocol):
    """Answers prompts."""

    @property
    def spec(self) -> str:
        """How the model was named: `provider:name[?key=value&…]`."""

    def ask(self, asks: Sequence[Ask]) -> list[Response]:
        """One response an ask, in order. Raises ModelError if the model can't be asked."""


class Judge(Protocol):
    """Decides whether an answer holds a behaviour."""

    def __call__(self, response: Response) -> Verdict:
        """Held, violated or undecided. Raises SurfcheckError, never a verdict, on a fault."""


class Perturbation(Protocol):
    """Changes a prompt without changing what is asked."""

    @property
    def name(self) -> str:
        """Short and stable: part of the test id."""

    def __call__(self, case: Case) -> SearchStrategy[Case]:
        """Cases that go on from this one. The simplest example is `case` itself."""


Progress = Callable[[str, int, int], None]
"""Called with (what is being done, how far, of how much) on work that takes over two seconds."""


def silent(what: str, done: int, total: int) -> None:
    """A Progress that shows nothing."""
