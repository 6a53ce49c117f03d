"""What was tried, what a judge said of it, and what a run came to."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any, Literal

from surfcheck.errors import Undecided
from surfcheck.jsonable import Record
from surfcheck.records.conversation import Prompt
from surfcheck.records.training import AttributionReport

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
    sample: int = 0
    """Which of the case's independent samples this is, from 0."""
    search: bool = False
    """Whether a search for the smallest failing prompt asked it, not the first round."""


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
    usd: float | None = 0.0
    """Dollars; None as soon as one answer has no known price."""

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
    baseline: tuple[Exchange, ...] = ()
    """The first round answered by the baseline, if there is one."""
    parameters: dict[str, Any] | None = None
    """Sampling parameters that were in force, where the target was asked over an API."""
    notices: tuple[str, ...] = ()
    """What a person should know, said for the first time with this item."""
    agreement: dict[str, Any] | None = None
    """How far the judges agreed on it, `judge.panel.Agreement` as JSON."""

    calibrated: bool = True
    """Whether the judges were known, by then, for every rubric that was used."""
    hold: float = 1.0
    """Share of the answers that had to hold."""
    stopped: bool = False
    """Whether a ceiling on calls, tokens or money left it unasked."""

    @property
    def cases(self) -> int:
        """How many cases the first round had."""
        return self.held + self.violated + self.undecided


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
    hold: float = 1.0
    """Share of an item's answers that had to hold."""


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
    parameters: dict[str, Any] | None = None
    """Sampling parameters that were in force, where the target was asked over an API."""
    judges: dict[str, Any] | None = None
    """The judge models, how far they agreed, and whether they were calibrated."""
    comparison: dict[str, Any] | None = None
    """Against the baseline, if there is one: `comparison.Comparison` as JSON."""
    unasked: tuple[str, ...] = ()
    """Items that were not asked because a ceiling was reached."""

    schema = "surfcheck/run/1"
