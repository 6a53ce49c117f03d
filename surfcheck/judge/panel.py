"""Several judge models on the same exchanges: the majority's word, and how far they agree.

All are asked the very same question. A judge that could not be asked, or whose answer can't be
read, decides nothing; it is never counted as a pass or a violation.
"""

from __future__ import annotations

import hashlib
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from surfcheck.errors import ModelError, UsageError
from surfcheck.jsonable import Record
from surfcheck.judge.rubric import Rubric, one_line, question, read_verdict
from surfcheck.records import Outcome, Response, Verdict
from surfcheck.roles import Ask, Model

HELD, VIOLATED, UNDECIDED = Outcome.HELD, Outcome.VIOLATED, Outcome.UNDECIDED


@dataclass(frozen=True, slots=True)
class Agreement(Record):
    """How far judges agree, over exchanges that two or more decided; sums of two add up."""

    exchanges: int = 0
    """Exchanges that two judges or more decided."""
    unanimous: int = 0
    """Those of which all that decided said the same."""
    verdicts: int = 0
    """Held or violated, over those exchanges."""
    violated: int = 0
    """Violated, over those exchanges."""
    discord: float = 0.0
    """Pairs of judges at odds, each exchange's over the judges that one is compared with."""

    @classmethod
    def of(cls, verdicts: Sequence[Verdict]) -> Self:
        """Of one exchange."""
        decided = [v.outcome for v in verdicts if v.outcome is not UNDECIDED]
        n, violated = len(decided), decided.count(VIOLATED)
        if n < 2:
            return cls()
        return cls(1, int(violated in (0, n)), n, violated, violated * (n - violated) / (n - 1))

    def __add__(self, other: Agreement) -> Agreement:
        return Agreement(
            self.exchanges + other.exchanges,
            self.unanimous + other.unanimous,
            self.verdicts + other.verdicts,
            self.violated + other.violated,
            self.discord + other.discord,
        )

    @property
    def rate(self) -> float | None:
        """Share of the exchanges that were unanimous; None without any."""
        return self.unanimous / self.exchanges if self.exchanges else None

    @property
    def alpha(self) -> float | None:
        """Krippendorff's alpha of held against violated; None where all verdicts are the same.

        1 is full agreement, 0 what chance would give.
        """
        held = self.verdicts - self.violated
        if not held or not self.violated:
            return None
        return 1 - (self.verdicts - 1) * self.discord / (held * self.violated)


class Panel:
    """Judge models that grade by a rubric."""

    def __init__(self, models: Sequence[Model], *, seed: int = 0) -> None:
        """Raises UsageError without a model, and for one that is named twice."""
        specs = [model.spec for model in models]
        if not specs:
            raise UsageError("a criterion in words needs a judge model: name one, provider:NAME")
        for spec in specs:
            if specs.count(spec) > 1:
                raise UsageError(f"{spec} is named twice as a judge: it would agree with itself")
        self.spec = ",".join(specs)
        """The specs of its models."""
        self.agreement = Agreement()
        """Of all exchanges so far."""
        self.missing: dict[str, str] = {}
        """Models that could not be asked while others could, and why."""
        self._models, self._seed = tuple(models), seed
        self._known: dict[str, Verdict] = {}

    def asks(self, response: Response, rubric: Rubric) -> Ask:
        """What every model of the panel is asked about a response."""
        return Ask(question(rubric, response, seed=self._seed))

    def judge(self, response: Response, rubric: Rubric) -> Verdict:
        """The word of the majority of those that decide, and the median degree of violation.

        Undecided at a tie, where fewer than half decide, and without a call on an empty answer. The
        same exchange is judged once. Raises ModelError if no model can be asked.
        """
        return self.judge_all([response], rubric)[0]

    def judge_all(self, responses: Sequence[Response], rubric: Rubric) -> list[Verdict]:
        """A verdict a response, in order; each model is asked all that is new in one batch.

        A model that can't be asked one of them is missing in all. Raises ModelError if all are.
        """
        asks = [self.asks(response, rubric) for response in responses]
        keys = [_key(ask, response) for ask, response in zip(asks, responses, strict=True)]
        new = {k: ask for k, ask in zip(keys, asks, strict=True) if k and k not in self._known}
        for key, verdicts in zip(new, self._verdicts(list(new.values())), strict=True):
            self.agreement += Agreement.of(verdicts)
            self._known[key] = majority(verdicts)
        empty = Verdict(UNDECIDED, "the answer is empty")
        return [self._known[key] if key else empty for key in keys]

    def _verdicts(self, asks: Sequence[Ask]) -> list[tuple[Verdict, ...]]:
        """What each model says, an ask."""
        if not asks:
            return []
        columns: list[list[Verdict]] = []
        failed: list[ModelError] = []
        for model in self._models:
            try:
                columns.append([read_verdict(answer) for answer in model.ask(asks)])
            except ModelError as error:
                failed.append(error)
                missing = Verdict(UNDECIDED, one_line(str(error)))
                columns.append([missing] * len(asks))
                self.missing.setdefault(model.spec, missing.reason)
        if len(failed) == len(self._models):
            raise failed[0]
        return list(zip(*columns, strict=True))


def majority(verdicts: Sequence[Verdict]) -> Verdict:
    """One verdict of one exchange from those of several judges."""
    decided = [v for v in verdicts if v.outcome is not UNDECIDED]
    if not decided or 2 * len(decided) < len(verdicts):
        why = next(v.reason for v in verdicts if v.outcome is UNDECIDED)
        of = f"{len(decided)} of {len(verdicts)} judges decided: " if len(verdicts) > 1 else ""
        return Verdict(UNDECIDED, f"{of}{why}")
    violated = sum(v.outcome is VIOLATED for v in decided)
    held = len(decided) - violated
    if violated == held:
        return Verdict(UNDECIDED, f"the judges disagree: {held} held, {violated} violated")
    outcome = VIOLATED if violated > held else HELD
    reason = next(v.reason for v in decided if v.outcome is outcome)
    scores = [v.score for v in decided if v.score is not None]
    return Verdict(outcome, reason, statistics.median(scores) if scores else None)


def _key(ask: Ask, response: Response) -> str:
    """Short for the question; empty for an answer without text, of which nothing is asked."""
    if not response.text.strip() and response.refusal is None:
        return ""
    return hashlib.sha256(ask.prompt.text.encode()).hexdigest()
