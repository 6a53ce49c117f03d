"""What a training changed that nobody asked about: `discovered.json`."""

from __future__ import annotations

from dataclasses import dataclass, field

from surfcheck.jsonable import Record
from surfcheck.records.training import AttributionReport


@dataclass(frozen=True, slots=True)
class TwoAnswers(Record):
    """A prompt as two models answer it."""

    prompt: str
    """What was asked."""
    base: str
    """The answer before post-training."""
    target: str
    """The answer after it."""


@dataclass(frozen=True, slots=True)
class Emergent(Record):
    """One way in which the target answers otherwise than its base."""

    number: int
    """From 1, the strongest first."""
    prompts: int
    """How many prompts show it."""
    alike: float
    """Mean cosine of the changes of two of its prompts; 1 if all answers moved the same way."""
    share: float
    """Of all that changed, how much its direction explains: prompts × alike / prompts that are
    answered otherwise."""
    p_value: float
    """Chance of so large a share among as many changes between unrelated answers of the data."""
    examples: tuple[TwoAnswers, ...]
    """The most typical first."""
    rows: AttributionReport
    """The training rows that it points at."""


@dataclass(frozen=True, slots=True)
class DiscoveryReport(Record):
    """What a training changed, as far as some prompts show it."""

    target: str
    """The spec of the trained model."""
    base: str
    """The checkpoint before post-training."""
    prompts: int
    """How many were asked, each once."""
    same: int
    """How many of them both answer in the same words: they show nothing."""
    scattered: int
    """How many are answered otherwise, and like no behaviour."""
    behaviours: tuple[Emergent, ...]
    """The strongest first."""
    cost: dict[str, float] = field(default_factory=dict)
    """Seconds: what it took."""

    schema = "surfcheck/discovery/1"
