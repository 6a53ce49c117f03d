"""What travels: frozen values, each with JSON both ways.

These know nothing of models, judges or pytest. `to_json` gives plain JSON types and `from_json`
reads them back; unknown keys are ignored, so that an older reader can read a newer file.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from surfcheck.errors import Undecided
from surfcheck.jsonable import Record

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class Message(Record):
    """One turn of a conversation."""

    role: Role
    """Who speaks."""
    content: str
    """What is said."""


@dataclass(frozen=True, slots=True)
class Prompt(Record):
    """What a model is asked: a conversation that ends with the user's turn."""

    messages: tuple[Message, ...]
    """The turns, oldest first; never empty."""

    @classmethod
    def of(cls, value: str | Prompt | Sequence[Mapping[str, str]]) -> Prompt:
        """A prompt from a text (one user turn), a list of `{role, content}`, or a prompt."""
        if isinstance(value, Prompt):
            return value
        if isinstance(value, str):
            return cls((Message("user", value),))
        return cls(tuple(Message(m["role"], m["content"]) for m in value))  # type: ignore[arg-type]

    @property
    def text(self) -> str:
        """The last turn's text: what perturbations change."""
        return self.messages[-1].content

    def with_text(self, text: str) -> Prompt:
        """The same conversation with another last turn."""
        return Prompt((*self.messages[:-1], Message(self.messages[-1].role, text)))


@dataclass(frozen=True, slots=True)
class Response(Record):
    """A model's answer to a prompt, together with the prompt: one exchange."""

    prompt: Prompt
    """What was asked."""
    text: str
    """What was answered."""
    model: str = ""
    """The spec of the model that answered."""
    sample: int = 0
    """Which of several independent samples this is, from 0."""
    finish_reason: str | None = None
    """`stop`, `length`, or the provider's word for it."""
    prompt_tokens: int | None = None
    """Tokens in, where known."""
    completion_tokens: int | None = None
    """Tokens out, where known."""
    remembered: bool = False
    """Whether the answer came from memory and cost nothing."""
    refusal: str | None = None
    """What stands in the provider's own refusal field, or why it blocked the answer."""
    log_probability: float | None = None
    """Natural log of the answer's probability, where asked for and given."""
    usd: float | None = None
    """What the answer cost, where the price is known."""
    parameters: dict[str, Any] | None = None
    """Sampling parameters in force, where the model was asked over a provider's API."""

    def __str__(self) -> str:
        return self.text


ResultWord = Literal["pass", "fail", "inconclusive", "error", "skipped"]


class Outcome(enum.StrEnum):
    """What a judge can say of an answer, and a case of a behaviour."""

    HELD = "held"
    VIOLATED = "violated"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class Verdict(Record):
    """A judge's word on one exchange. In a boolean context, undecided raises `Undecided`."""

    outcome: Outcome
    """Held, violated or undecided."""
    reason: str = ""
    """Why, in a few words that can be shown beside the answer."""
    score: float | None = None
    """Degree of violation, 0 to 100, where the judge gives one."""

    def __bool__(self) -> bool:
        if self.outcome is Outcome.UNDECIDED:
            raise Undecided(self.reason or "the judge could not decide")
        return self.outcome is Outcome.HELD

    @classmethod
    def of(cls, held: bool, reason: str = "") -> Verdict:
        """Held if true, else violated."""
        return cls(Outcome.HELD if held else Outcome.VIOLATED, reason)


@dataclass(frozen=True, slots=True)
class Case(Record):
    """One prompt as it is asked, and how it came from the one that a person wrote."""

    seed: Prompt
    """The prompt as written in the test."""
    prompt: Prompt
    """The prompt as asked."""
    perturbation: str
    """The perturbation that made it."""
    steps: tuple[str, ...] = ()
    """The single changes in order, in words; empty for the unchanged prompt."""

    @property
    def unchanged(self) -> bool:
        """Whether this is the prompt as a person wrote it."""
        return self.prompt == self.seed


@dataclass(frozen=True, slots=True)
class Exchange(Record):
    """A judged exchange of a run: a row of `exchanges.jsonl`."""

    test: str
    """Node id of the test function, without parameters."""
    prompt: str
    """The last user turn as asked."""
    response: str
    """What the target answered."""
    outcome: Outcome
    """How it was judged."""
    perturbation: str
    """The perturbation whose case this is."""
    seed: str = ""
    """The prompt as written in the test."""


@dataclass(frozen=True, slots=True)
class Failure(Record):
    """A behaviour that broke: the smallest case that breaks it beside its nearest passing twin."""

    test: str
    """Node id of the test function, without parameters."""
    item: str
    """Node id of the item: what to give pytest to run it again."""
    behaviour: str
    """The test's docstring, first line: what ought to hold."""
    case: Case
    """The smallest case that still breaks it."""
    response: str
    """What the target answered there."""
    reason: str
    """Why that breaks the behaviour."""
    twin_prompt: str | None
    """The nearest prompt that holds, if one was seen."""
    twin_response: str | None
    """What the target answered there."""
    confirmed: int
    """How many fresh samples of the smallest case broke it again."""
    confirmed_of: int
    """How many fresh samples were asked."""


@dataclass(frozen=True, slots=True)
class Usage(Record):
    """What was spent."""

    calls: int = 0
    """Answers that were generated."""
    remembered: int = 0
    """Answers that came from memory."""
    tokens: int = 0
    """Tokens in and out of the generated answers."""
    usd: float | None = None
    """Dollars; None where a price is not known."""

    def __add__(self, other: Usage) -> Usage:
        usd = None if self.usd is None or other.usd is None else self.usd + other.usd
        return Usage(
            self.calls + other.calls,
            self.remembered + other.remembered,
            self.tokens + other.tokens,
            usd,
        )


@dataclass(frozen=True, slots=True)
class ItemResult(Record):
    """What one item (prompt × perturbation) came to; rides on the pytest report."""

    test: str
    """Node id of the test function, without parameters."""
    item: str
    """Node id of the item."""
    outcome: ResultWord
    """The item's outcome."""
    held: int = 0
    """Cases that held."""
    violated: int = 0
    """Cases that broke the behaviour, in the first round."""
    undecided: int = 0
    """Cases that could not be judged."""
    unreproduced: bool = False
    """Whether something broke once and not again on fresh samples."""
    failure: Failure | None = None
    """The finding, if there is one."""
    exchanges: tuple[Exchange, ...] = ()
    """Every judged exchange."""
    usage: Usage | None = None
    """What it cost."""
    message: str = ""
    """Why it is an error, skipped or inconclusive."""
    behaviour: str = ""
    """The test's docstring, first line: what ought to hold."""

    @property
    def cases(self) -> int:
        """How many cases the first round had."""
        return self.held + self.violated + self.undecided


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

    schema = "surfcheck/attribution/1"


@dataclass(frozen=True, slots=True)
class InvariantResult(Record):
    """One test function over all its items."""

    test: str
    """Node id of the test function, without parameters."""
    behaviour: str
    """The test's docstring, first line."""
    outcome: ResultWord
    """`fail` if any item failed; else the worst of the items."""
    cases: int
    """Cases asked, over all items."""
    held: int
    """Cases that held."""
    violated: int
    """Cases that broke the behaviour."""
    undecided: int
    """Cases that could not be judged."""
    rate: float | None
    """Violated over decided cases; None if none was decided."""
    interval: tuple[float, float] | None
    """95 % Wilson interval of the rate."""


@dataclass(frozen=True, slots=True)
class RunReport(Record):
    """A whole run: `run.json`."""

    target: str
    """The spec of the model under test."""
    settings: dict[str, Any]
    """Every option that was in force."""
    invariants: tuple[InvariantResult, ...]
    """One a test function, in the order of the run."""
    failures: tuple[Failure, ...]
    """One a failing item."""
    attributions: tuple[AttributionReport, ...]
    """One a failing invariant, where there was data to ask."""
    usage: Usage
    """What the run cost."""

    schema = "surfcheck/run/1"
