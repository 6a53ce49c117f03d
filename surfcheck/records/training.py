"""Training rows, and what a ranking of them says."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from surfcheck.jsonable import Record
from surfcheck.records.conversation import Message


@dataclass(frozen=True, slots=True)
class TrainingRow(Record):
    """One row of post-training data: a preference pair, or a demonstration (SFT)."""

    id: str
    """The `id` column, else the row's number in the data."""
    source: str
    """The `source` column, else the file's name."""
    prompt: tuple[Message, ...]
    """The conversation before the answer."""
    chosen: str
    """The preferred answer; for a demonstration, the answer."""
    rejected: str | None
    """The answer that lost; None for a demonstration."""
    templated: bool = True
    """Whether the chat template goes around it. Whole transcripts and plain strings (TRL's
    standard format) are trained as they stand: their `prompt` is one turn with the raw text."""

    @property
    def is_pair(self) -> bool:
        """Whether it is a preference pair."""
        return self.rejected is not None

    @property
    def prompt_text(self) -> str:
        """The last turn before the answer."""
        return self.prompt[-1].content if self.prompt else ""


@dataclass(frozen=True, slots=True)
class Contrast(Record):
    """An answer that broke a behaviour and one that holds it; without `bad`, a case that held."""

    prompt: str
    """What was asked."""
    bad: str | None = None
    """The answer that broke the behaviour."""
    good: str | None = None
    """An answer that holds it."""
    seed: str | None = None
    """The prompt that this one is a variation of, if it is one: both are about the same thing."""


@dataclass(frozen=True, slots=True)
class Implicated(Record):
    """A training row that a report points at: a candidate until a retraining has shown it."""

    id: str
    """The row's id."""
    source: str
    """Where the row comes from."""
    score: float
    """The method's score."""
    rank: int
    """1 is the highest score."""
    prompt: str = ""
    """The row's prompt, for showing."""
    chosen: str = ""
    """The answer the row teaches."""
    rejected: str | None = None
    """The answer the row teaches against."""


@dataclass(frozen=True, slots=True)
class SourceShare(Record):
    """How much more often a source stands among the implicated rows than chance would have it."""

    source: str
    """The source's name."""
    rows: int
    """Rows of it in the data."""
    implicated: int
    """Rows of it among those implicated."""
    lift: float
    """Its share among the implicated over its share in the data; 1 is chance."""
    q_value: float
    """Hypergeometric p-value after Benjamini and Hochberg."""


VerdictWord = Literal["sparse", "source", "diffuse", "none"]


@dataclass(frozen=True, slots=True)
class Behaviour(Record):
    """Which of several behaviours a report is about."""

    number: int
    """From 1, the one that most broken answers show first."""
    of: int
    """How many there are."""
    broken: int
    """How many broken answers show this one."""
    prompts: tuple[str, ...]
    """What was asked where it shows most clearly."""


@dataclass(frozen=True, slots=True)
class AttributionReport(Record):
    """What a method says of one behaviour and one data set."""

    method: str
    """Name of the method."""
    verdict: VerdictWord
    """A few rows, one source, a habit of the whole set, or nothing that chance would not give."""
    p_value: float
    """Chance of so strong a ranking if the contrast meant nothing."""
    implicated: tuple[Implicated, ...]
    """Best rows first; empty when the verdict is `none`."""
    sources: tuple[SourceShare, ...]
    """Every source of the data."""
    cost: dict[str, float] = field(default_factory=dict)
    """Seconds and rows: what the answer took."""
    rows: int = 0
    """Rows ranked."""
    chance_precision: float | None = None
    """With a truth file: average precision of a random ranking."""
    average_precision: float | None = None
    """With a truth file: average precision of this ranking."""
    test: str | None = None
    """Node id of the failing test, when a run asked."""
    behaviour: Behaviour | None = None
    """Which behaviour it is, where the contrasts show several."""
    p_labels: float | None = None
    """Chance that contrasts without a meaning would be as much alike."""
    p_rows: float | None = None
    """Chance that the rows put first would go with the contrasts as much; `p_value` is the larger
    of the two."""
    rows_needed: int | None = None
    """Rows that are implicated, listed or not."""
    rows_between: tuple[int, int] | None = None
    """Of those, how many are not there by chance: 95 % interval, where it is known."""
    source_share: float | None = None
    """Share of the data's sources that has four fifths of the implicated rows."""

    schema = "surfcheck/attribution/1"
