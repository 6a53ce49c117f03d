"""One item, a prompt under one perturbation: first round, verdict, shrinking, confirmation.

The unchanged prompt comes first, then cases that Hypothesis draws. If any breaks the behaviour,
Hypothesis looks for the smallest change that still does, and that one has to break it again on
fresh samples: search picks the worst of many, so what it found is not believed yet.

Knows nothing of pytest: a body is any function that raises AssertionError when the behaviour broke.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from typing import NamedTuple

from surfcheck.cases import draw, size, smallest
from surfcheck.errors import SurfcheckError, Undecided, UsageError
from surfcheck.records import (
    Case,
    Exchange,
    Failure,
    ItemResult,
    Outcome,
    Prompt,
    Response,
    ResultWord,
    Usage,
    Verdict,
)
from surfcheck.roles import Ask, Judge, Model, Perturbation

CALL_BUDGET = 40
"""Answers that shrinking may judge anew; after that, an unknown case counts as one that holds."""
FRESH_SAMPLES = 4
"""Samples that the smallest case is asked again; half have to break it, and a draw is replayed."""

Body = Callable[[Prompt], None]


class Target:
    """The model under test as a test body sees it: the fixture `target`."""

    def __init__(self, model: Model, *, answers: dict[Ask, Response] | None = None) -> None:
        self.usage = Usage()
        """What this item's answers cost."""
        self.last: Response | None = None
        """The answer that the body asked for last."""
        self.compares = False
        """Whether the body looks at the unchanged prompt's answer."""
        self._seed: Prompt | None = None
        self._sample = 0
        self._model = model
        self._answers = {} if answers is None else answers
        self._expected: tuple[Ask, ...] = ()

    def __call__(self, prompt: str | Prompt | Sequence[Mapping[str, str]]) -> Response:
        """The model's answer. Raises ModelError if it can't be asked."""
        self.last = self._answer(Prompt.of(prompt))
        return self.last

    @property
    def unchanged(self) -> Response:
        """The answer to the prompt as written in the test, for `rules.same_answer`."""
        if self._seed is None:
            raise UsageError("target.unchanged: there is one only inside a test with @invariant")
        self.compares = True
        return self._answer(self._seed)

    def begin(self, seed: Prompt, sample: int) -> None:
        """What `unchanged` answers to, and the sample number in force, from here on."""
        self._seed, self._sample, self.last = seed, sample, None

    def expect(self, prompts: Iterable[Prompt], samples: range) -> None:
        """What will be asked: the first of these to be asked brings all of them in one batch."""
        self._expected = tuple(Ask(prompt, sample) for prompt in prompts for sample in samples)

    def _answer(self, prompt: Prompt) -> Response:
        ask = Ask(prompt, self._sample)
        if ask not in self._answers:
            batch = self._expected if ask in self._expected else (ask,)
            new = [a for a in dict.fromkeys(batch) if a not in self._answers]
            for asked, response in zip(new, self._model.ask(new), strict=True):
                self._answers[asked] = response
                self.usage += _cost(response)
        return self._answers[ask]


class Judging:
    """Judges as a test body sees them: the fixture `judge`."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Forget the last word."""
        self.response: Response | None = None
        """The answer that was judged last."""
        self.verdict: Verdict | None = None
        """What was said of it."""

    def __call__(self, response: Response, criterion: Judge | str) -> Verdict:
        """What `criterion` says of the response. Raises UsageError for a criterion in words."""
        if isinstance(criterion, str):
            raise UsageError(
                "a criterion in words needs a judge model, which this version does not have: "
                "give a rule from surfcheck.judge, such as rules.refuses()"
            )
        self.response, self.verdict = response, criterion(response)
        return self.verdict


@dataclass(frozen=True, slots=True)
class Item:
    """What is checked."""

    test: str
    """Node id of the test function, without parameters."""
    item: str
    """Node id of the item; with the seed it decides which cases are drawn."""
    behaviour: str
    """What ought to hold, in a line."""
    prompt: Prompt
    """The prompt as written in the test."""
    perturbation: Perturbation
    """How it may change."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is asked."""

    examples: int = 6
    """Cases of the first round, the unchanged prompt among them."""
    samples: int = 1
    """Samples a case; each is counted on its own."""
    seed: int = 0
    """Seed of what is drawn."""
    calls: int = CALL_BUDGET
    """Answers that shrinking may judge anew."""


class Trial(NamedTuple):
    """The body run once."""

    case: Case
    outcome: Outcome
    reason: str
    response: Response | None
    """The answer that was judged, else the last that was asked for."""


def check(item: Item, body: Body, target: Target, judging: Judging, effort: Effort) -> ItemResult:
    """What the item comes to: pass, fail, inconclusive, or error where a SurfcheckError was raised.

    Whatever else the body raises is the author's own mistake and goes through.
    """
    trials = _Trials(item, body, target, judging, effort)
    try:
        return trials.run()
    except SurfcheckError as error:
        return trials.result("error", f"{type(error).__name__}: {error}")


class _Trials:
    """Everything that has been tried of one item; no answer is judged twice."""

    def __init__(
        self, item: Item, body: Body, target: Target, judging: Judging, effort: Effort
    ) -> None:
        self.item, self.effort = item, effort
        self._body, self._target, self._judging = body, target, judging
        self._known: dict[tuple[Prompt, int], Trial] = {}
        self._first: list[Trial] = []
        self._samples = range(effort.samples)
        self._seed = f"{effort.seed}:{item.item}"

    def run(self) -> ItemResult:
        item = self.item
        cases = draw(item.perturbation, item.prompt, most=self.effort.examples, seed=self._seed)
        self._target.expect([case.prompt for case in cases], self._samples)
        for case in cases:
            self._first += self._try(case, self._samples)
        broken = list(dict.fromkeys(t.case for t in self._first if t.outcome is Outcome.VIOLATED))
        failure = self._find(broken) if broken else None
        undecided = [t.reason for t in self._first if t.outcome is Outcome.UNDECIDED]
        of = f"of {len(self._first)} cases"
        if failure is not None:
            return replace(self.result("fail"), failure=failure)
        if 2 * len(undecided) >= len(self._first):
            message = f"{len(undecided)} {of} could not be judged ({undecided[0]})"
            result = self.result("inconclusive", message)
        elif broken:
            violated = sum(t.outcome is Outcome.VIOLATED for t in self._first)
            message = f"{violated} {of} broke it, and none of them again on fresh samples"
            result = self.result("pass", message)
        else:
            result = self.result("pass")
        return replace(result, unreproduced=bool(broken))

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
            exchanges=tuple(self._exchanges()),
            usage=self._target.usage,
            message=message,
        )

    def _exchanges(self) -> Iterator[Exchange]:
        for trial in self._known.values():
            if trial.response is not None:
                yield Exchange(
                    test=self.item.test,
                    prompt=trial.response.prompt.text,
                    response=trial.response.text,
                    outcome=trial.outcome,
                    perturbation=self.item.perturbation.name,
                    seed=self.item.prompt.text,
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
        return Trial(case, outcome, reason, response)

    def _find(self, broken: list[Case]) -> Failure | None:
        """The smallest case that breaks the behaviour again on fresh samples, if one does."""
        best = broken[0] if broken[0].unchanged else self._shrink(broken)
        others = sorted((c for c in broken if c.prompt != best.prompt), key=size)
        for case in (best, *others):
            confirmed, of = self._confirm(case)
            if 2 * confirmed >= of:
                return self._failure(case, confirmed, of)
        return None

    def _shrink(self, broken: list[Case]) -> Case:
        """The simplest case that still breaks the behaviour; new answers are asked for it."""
        most = len(self._known) + self.effort.calls

        def breaks(case: Case) -> bool:
            known = (case.prompt, 0) in self._known
            if not known and len(self._known) + self.effort.samples > most:
                return False
            return any(t.outcome is Outcome.VIOLATED for t in self._try(case, self._samples))

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


def _cost(response: Response) -> Usage:
    if response.remembered:
        return Usage(remembered=1)
    tokens = (response.prompt_tokens or 0) + (response.completion_tokens or 0)
    return Usage(calls=1, tokens=tokens)
