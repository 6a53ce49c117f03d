"""One item, a prompt under one perturbation: first round, verdict, shrinking, confirmation.

The unchanged prompt comes first, then cases that Hypothesis draws. If any breaks the behaviour,
Hypothesis looks for the smallest change that still does, and that one has to break it again on
fresh samples: search picks the worst of many, so what it found is not believed yet.

Knows nothing of pytest: a body is any function that raises AssertionError when the behaviour broke.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from difflib import SequenceMatcher
from itertools import pairwise
from typing import NamedTuple

from surfcheck.cases import Effort, Item, size, smallest
from surfcheck.errors import BudgetReached, SurfcheckError, Undecided
from surfcheck.fixtures import Judging, Target
from surfcheck.records import (
    Case,
    Exchange,
    Failure,
    ItemResult,
    Outcome,
    Prompt,
    Response,
    ResultWord,
)
from surfcheck.roles import Ask, Model
from surfcheck.sequential import Plan, looks

FRESH_SAMPLES = 4
"""Samples that the smallest case is asked again; half have to break it, and a draw is replayed."""

Body = Callable[[Prompt], None]


class Trial(NamedTuple):
    """The body run once."""

    case: Case
    sample: int
    outcome: Outcome
    reason: str
    response: Response | None
    """The answer that was judged, else the last that was asked for."""


Baseline = tuple[Model, dict[Ask, Response]]
"""Another model, and the answers that it has given in this run."""


def check(
    item: Item,
    body: Body,
    target: Target,
    judging: Judging,
    effort: Effort,
    *,
    cases: Sequence[Case] = (),
    baseline: Baseline | None = None,
) -> ItemResult:
    """What the item comes to: pass, fail, inconclusive, or error where a SurfcheckError was raised.

    `cases` are the first round if it has been drawn already. A baseline is asked the first round
    too, and judged by the same body. Where a ceiling stops the run the item counts as skipped.
    Whatever else the body raises is the author's own mistake and goes through.
    """
    trials = _Trials(item, body, target, judging, effort, cases or item.cases(effort))
    try:
        return trials.compared(trials.run(), baseline)
    except BudgetReached as error:
        return replace(trials.result("skipped", str(error)), stopped=True)
    except SurfcheckError as error:
        return trials.result("error", f"{type(error).__name__}: {error}")


def _rounds(samples: int, cases: int) -> Iterator[range]:
    """Sample numbers to ask together: one of each case, then those up to each look."""
    ends = sorted({1, *(-(-answers // cases) for answers in looks(samples * cases, cases=cases))})
    for begin, end in pairwise((0, *ends)):
        yield range(begin, end)


class _Trials:
    """Everything that has been tried of one item; no answer is judged twice."""

    def __init__(
        self,
        item: Item,
        body: Body,
        target: Target,
        judging: Judging,
        effort: Effort,
        cases: Sequence[Case],
    ) -> None:
        self.item, self.effort = item, effort
        self._body, self._target, self._judging, self._cases = body, target, judging, cases
        self._known: dict[tuple[Prompt, int], Trial] = {}
        self._first: list[Trial] = []
        self._seed = f"{effort.seed}:{item.item}"

    def run(self) -> ItemResult:
        """Rounds of samples until it is clear, at most as many as the effort has."""
        plan = Plan(self.item.hold, len(self._cases) * self.effort.samples, self.effort.alpha)
        doubted: set[Prompt] = set()
        for samples in _rounds(self.effort.samples, len(self._cases)):
            self._ask(samples)
            broken = [case for case in self._broken() if case.prompt not in doubted]
            if self.item.hold < 1:
                word = plan.word(*self._counts())
                if word == "fail":
                    return self._failed(self._find(broken, sure=True))
                if word == "pass":
                    return self.result("pass")
            elif broken:
                failure = self._find(broken)
                if failure is not None:
                    return self._failed(failure)
                doubted |= {case.prompt for case in broken}
        return self._undecided(plan) or replace(self._passed(), unreproduced=bool(doubted))

    def _ask(self, samples: range) -> None:
        self._target.expect([case.prompt for case in self._cases], samples)
        for sample in samples:
            for case in self._cases:
                self._first += self._try(case, range(sample, sample + 1))

    def _broken(self) -> list[Case]:
        return list(dict.fromkeys(t.case for t in self._first if t.outcome is Outcome.VIOLATED))

    def _counts(self) -> tuple[int, int]:
        """How many answers held, and how many did not."""
        outcomes = [trial.outcome for trial in self._first]
        return outcomes.count(Outcome.HELD), outcomes.count(Outcome.VIOLATED)

    def _failed(self, failure: Failure | None) -> ItemResult:
        return replace(self.result("fail"), failure=failure)

    def _undecided(self, plan: Plan) -> ItemResult | None:
        """Inconclusive where too little could be judged, or the rate is too near its threshold."""
        unclear = [t.reason for t in self._first if t.outcome is Outcome.UNDECIDED]
        asked = len(self._first)
        if 2 * len(unclear) >= asked:
            message = f"{len(unclear)} of {asked} cases could not be judged ({unclear[0]})"
            return self.result("inconclusive", message)
        held, violated = self._counts()
        if self.item.hold < 1 and plan.word(held, violated, left=0) != "pass":
            message = (
                f"{held} of {held + violated} held, which does not tell whether "
                f"{self.item.hold:.0%} do: give more --surf-samples"
            )
            return self.result("inconclusive", message)
        return None

    def _passed(self) -> ItemResult:
        violated = self._counts()[1]
        if not violated or self.item.hold < 1:
            return self.result("pass")
        message = f"{violated} of {len(self._first)} cases broke it, and none of them again"
        return self.result("pass", f"{message} on fresh samples")

    def compared(self, result: ItemResult, baseline: Baseline | None) -> ItemResult:
        """With the first round answered by another model. What goes wrong there is said, no more:
        what was found of the target stands."""
        if baseline is None:
            return result
        try:
            with self._target.answered_by(*baseline):
                self._target.expect([case.prompt for case in self._cases], range(1))
                samples = [(trial.case, trial.sample) for trial in self._first]
                answered = tuple(self._exchanges(self._trial(*each) for each in samples))
        except SurfcheckError as error:
            return replace(result, notices=(f"The baseline could not be asked: {error}",))
        return replace(result, baseline=answered)

    def result(self, outcome: ResultWord, message: str = "") -> ItemResult:
        """The item as it stands, counted over the first round."""
        outcomes = [trial.outcome for trial in self._first]
        return ItemResult(
            test=self.item.test,
            item=self.item.item,
            behaviour=self.item.behaviour,
            outcome=outcome,
            held=outcomes.count(Outcome.HELD),
            violated=outcomes.count(Outcome.VIOLATED),
            undecided=outcomes.count(Outcome.UNDECIDED),
            exchanges=tuple(self._exchanges(self._known.values())),
            usage=self._target.usage,
            message=message,
            hold=self.item.hold,
        )

    def _exchanges(self, trials: Iterable[Trial]) -> Iterator[Exchange]:
        planned = {(trial.case.prompt, trial.sample) for trial in self._first}
        for trial in trials:
            if trial.response is not None:
                yield Exchange(
                    test=self.item.test,
                    prompt=trial.response.prompt.text,
                    response=trial.response.text,
                    outcome=trial.outcome,
                    perturbation=self.item.perturbation.name,
                    seed=self.item.prompt.text,
                    sample=trial.sample,
                    search=(trial.case.prompt, trial.sample) not in planned,
                )

    def _try(self, case: Case, samples: range) -> list[Trial]:
        """The body run on each sample of a case, unless it has been."""
        trials = []
        for sample in samples:
            key = (case.prompt, sample)
            if key not in self._known:
                self._known[key] = self._trial(case, sample)
            trials.append(self._known[key])
        return trials

    def _trial(self, case: Case, sample: int) -> Trial:
        target, judging = self._target, self._judging
        target.begin(self.item.prompt, sample)
        judging.begin()
        outcome, reason = Outcome.HELD, ""
        try:
            self._body(case.prompt)
        except AssertionError as error:
            outcome, reason = Outcome.VIOLATED, str(error).partition("\n")[0]
            verdict = judging.verdict
            if verdict is not None and verdict.outcome is Outcome.VIOLATED and verdict.reason:
                reason = verdict.reason
        except Undecided as error:
            outcome, reason = Outcome.UNDECIDED, str(error)
        response = target.last if judging.response is None else judging.response
        return Trial(case, sample, outcome, reason, response)

    def _find(self, broken: list[Case], *, sure: bool = False) -> Failure | None:
        """The smallest case that breaks the behaviour again on fresh samples, if one does.

        Where it is sure already that the behaviour is broken, the smallest case in any event.
        """
        if not broken:
            return None
        best = broken[0] if broken[0].unchanged else self._shrink(broken)
        others = sorted((c for c in broken if c.prompt != best.prompt), key=size)
        for case in (best, *others):
            confirmed, of = self._confirm(case)
            if 2 * confirmed >= of or sure:
                return self._failure(case, confirmed, of)
        return None

    def _shrink(self, broken: list[Case]) -> Case:
        """The simplest case that still breaks the behaviour; new answers are asked for it."""
        most = len(self._known) + self.effort.calls

        def breaks(case: Case) -> bool:
            known = (case.prompt, 0) in self._known
            if not known and len(self._known) + self.effort.samples > most:
                return False
            tried = self._try(case, range(self.effort.samples))
            return any(t.outcome is Outcome.VIOLATED for t in tried)

        found = smallest(
            self.item.perturbation,
            self.item.prompt,
            breaks,
            most=self.effort.examples,
            seed=self._seed,
        )
        return min(broken, key=size) if found is None else found

    def _confirm(self, case: Case) -> tuple[int, int]:
        """How many fresh samples break the behaviour, of how many; a draw asks as many again."""
        confirmed, asked = 0, 0
        prompts = [case.prompt, self.item.prompt] if self._target.compares else [case.prompt]
        while asked == 0 or (2 * confirmed == asked and asked < 2 * FRESH_SAMPLES):
            first = self.effort.samples + asked
            fresh = range(first, first + FRESH_SAMPLES)
            self._target.expect(prompts, fresh)
            confirmed += sum(t.outcome is Outcome.VIOLATED for t in self._try(case, fresh))
            asked += FRESH_SAMPLES
        return confirmed, asked

    def _failure(self, case: Case, confirmed: int, of: int) -> Failure:
        trial = next(
            t
            for t in self._known.values()
            if t.case.prompt == case.prompt and t.outcome is Outcome.VIOLATED
        )
        twin = self._twin(case)
        return Failure(
            test=self.item.test,
            item=self.item.item,
            behaviour=self.item.behaviour,
            case=case,
            response=trial.response.text if trial.response else "",
            reason=trial.reason,
            twin_prompt=twin.prompt.text if twin else None,
            twin_response=twin.text if twin else None,
            confirmed=confirmed,
            confirmed_of=of,
        )

    def _twin(self, case: Case) -> Response | None:
        """The unchanged prompt's answer if it held, else that of the most similar case that did."""

        def nearness(trial: Trial) -> tuple[bool, bool, float]:
            alike = SequenceMatcher(None, case.prompt.text, trial.case.prompt.text, autojunk=False)
            return trial.case.prompt != case.prompt, trial.case.unchanged, alike.ratio()

        known = self._known.values()
        held = [t for t in known if t.outcome is Outcome.HELD and t.response is not None]
        return max(held, key=nearness).response if held else None
