"""Is it shown that editing the ranked rows cures the behaviour: rates, intervals, one word.

An arm is the same training on differently edited data, once a seed. Its rates are paired by seed
with those of the unedited arm and of the controls. An interval has to hold for two reasons at once:
seeds differ (Student's t over the seeds, of the paired differences) and only so many cases were
asked (Wilson 1927 and Newcombe 1998 on all cases together). It spans both, so that three seeds that
happen to agree prove no more than their cases do, and one seed says nothing of the next.

*Verified* is said if the method's arm breaks the behaviour less often than the unedited arm and
than every control of equal size, each by an interval that excludes 0, and no capability has
fallen by more than the tolerance on average, so that "delete everything" can't win. Published
retrainings (2602.11079) had one run a cell and controls that differed by several points.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any, Literal, NamedTuple

from scipy import stats

from surfcheck.attribution.retraining.capability import Marks
from surfcheck.errors import InfrastructureError
from surfcheck.jsonable import Record
from surfcheck.statistics import wilson

UNEDITED, METHOD, ORACLE = "unedited", "method", "oracle"
CONTROLS = ("random", "length")
TOLERANCE = 0.02
"""How far a capability may fall: 2 points."""
_LEVEL = 0.975

CureWord = Literal["verified", "not verified"]


class Count(NamedTuple):
    """Cases of a behaviour, each by its first answer."""

    violated: int
    decided: int

    @property
    def rate(self) -> float:
        """Share that was violated."""
        return self.violated / self.decided


@dataclass(frozen=True, slots=True)
class Trial(Record):
    """One arm with one seed: trained and measured."""

    arm: str
    """Its name."""
    seed: int
    """Of the training, and of the draw if it is a control."""
    edited: int
    """How many rows were dropped or flipped."""
    tests: dict[str, list[int]]
    """For each test of the suite, how many cases were violated, were decided, and were asked."""
    failed: tuple[str, ...]
    """Tests that failed."""
    marks: Marks
    """Training rows that no arm edits."""
    training_seconds: float
    """What the training took; a demonstration stage counts where it was trained."""
    measuring_seconds: float
    """What the suite and the rows took."""


@dataclass(frozen=True, slots=True)
class Estimate(Record):
    """A mean over seeds with its 95 % interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Arm(Record):
    """What one edit came to, over all seeds."""

    name: str
    """`unedited`, `method`, the name of a control, or `oracle`."""
    edited: int
    """How many rows were dropped or flipped."""
    rate: Estimate
    """How often the behaviour is broken."""
    rates: tuple[float, ...]
    """The same for each seed."""
    fall: Estimate | None
    """By how much less than in the unedited arm; None for that one."""
    reduction: float | None
    """The fall in per cent of the unedited arm's rate; None where that is 0."""
    capability: dict[str, float]
    """Means of `others` (share of other tests' cases that hold), `pairs` and `answers`."""
    changes: dict[str, float]
    """By how much each of them is above that of the unedited arm, as a share."""
    able: bool
    """Whether something could be measured and none fell by more than the tolerance."""
    trials: tuple[Trial, ...]
    """Its trainings."""


class Judged(NamedTuple):
    """The arms side by side, and the word."""

    arms: tuple[Arm, ...]
    verdict: CureWord
    reason: str


def over_seeds(counts: Sequence[Count]) -> Estimate:
    """The mean rate of one arm."""
    rates = [count.rate for count in counts]
    low, high = _students(rates)
    case_low, case_high = wilson(*_pooled(counts))
    return Estimate(fmean(rates), max(0.0, min(low, case_low)), min(1.0, max(high, case_high)))


def difference(a: Sequence[Count], b: Sequence[Count]) -> Estimate:
    """How much more often `a` is violated than `b`, paired by seed."""
    differences = [x.rate - y.rate for x, y in zip(a, b, strict=True)]
    mean = fmean(differences)
    low, high = _students(differences)
    (p, q), (x, y) = _pooled(a), _pooled(b)
    a_low, a_high = (end - p / q for end in wilson(p, q))
    b_low, b_high = (end - x / y for end in wilson(x, y))
    low = min(low, mean - math.hypot(a_low, b_high))
    high = max(high, mean + math.hypot(a_high, b_low))
    return Estimate(mean, max(-1.0, low), min(1.0, high))


def judge(trials: Sequence[Trial], tests: Sequence[str], *, tolerance: float = TOLERANCE) -> Judged:
    """Put the arms side by side. Every arm has to have the same seeds.

    Raises InfrastructureError if an arm's answers to these tests could not be judged.
    """
    by_arm: dict[str, list[Trial]] = {}
    for trial in sorted(trials, key=lambda trial: trial.seed):
        by_arm.setdefault(trial.arm, []).append(trial)
    plain = by_arm[UNEDITED]
    arms = tuple(_arm(name, of, plain, tests, tolerance) for name, of in by_arm.items())
    counts = {name: [behaviour(trial, tests) for trial in of] for name, of in by_arm.items()}
    named = {arm.name: arm for arm in arms}
    doubt = _unshown(named, counts) or _cost(named[METHOD], tolerance)
    if doubt is None:
        return Judged(arms, "verified", _credit(named))
    return Judged(arms, "not verified", doubt)


def behaviour(trial: Trial, tests: Sequence[str]) -> Count:
    """The cases of these tests together. Raises InfrastructureError if none was decided."""
    count = _total([trial.tests.get(test, [0, 0]) for test in tests])
    if not count.decided:
        raise InfrastructureError(
            f"no answer to {', '.join(tests)} could be judged in the arm {trial.arm} with seed "
            f"{trial.seed}; see its run, and edit fewer rows or train less hard"
        )
    return count


def _arm(
    name: str, trials: Sequence[Trial], plain: Sequence[Trial], tests: Sequence[str],
    tolerance: float,
) -> Arm:  # fmt: skip
    counts = [behaviour(trial, tests) for trial in trials]
    before = [behaviour(trial, tests) for trial in plain]
    rate, usual = over_seeds(counts), over_seeds(before).mean
    can, could = [_capability(t, tests) for t in trials], [_capability(t, tests) for t in plain]
    changes = {
        skill: fmean(now[skill] - then[skill] for now, then in zip(can, could, strict=True))
        for skill in could[0]
        if all(skill in each for each in (*can, *could))
    }
    return Arm(
        name, trials[0].edited, rate, tuple(count.rate for count in counts),
        None if name == UNEDITED else difference(before, counts),
        100 * (1 - rate.mean / usual) if usual and name != UNEDITED else None,
        {skill: fmean(each[skill] for each in can) for skill in changes}, changes,
        bool(changes) and not _lost(changes, tolerance), tuple(trials),
    )  # fmt: skip


def _capability(trial: Trial, tests: Sequence[str]) -> dict[str, float]:
    """What the suite's other tests and the rows say; what could not be measured is left out.

    Answers that could not be judged do not hold: gibberish is no capability.
    """
    others = [counts for test, counts in trial.tests.items() if test not in tests]
    asked = sum(counts[2] for counts in others)
    held = sum(counts[1] - counts[0] for counts in others)
    found = {
        "others": held / asked if asked else None,
        "pairs": trial.marks.pairs,
        "answers": trial.marks.answers,
    }
    return {skill: value for skill, value in found.items() if value is not None}


def _lost(changes: Mapping[str, float], tolerance: float) -> list[str]:
    return [skill for skill, change in changes.items() if change < -tolerance - 1e-9]


def _unshown(arms: Mapping[str, Arm], counts: Mapping[str, Sequence[Count]]) -> str | None:
    """Why the fall is not shown; None if it is."""
    method = arms[METHOD]
    if len(method.trials) < 2:
        return "one seed says nothing of the next: train with more"
    if not arms[UNEDITED].rate.mean:
        return "the unedited arm does not show the behaviour: there is nothing to cure"
    if method.fall is None or method.fall.low <= 0:
        return "the interval of the fall includes 0: nothing is shown to have fallen"
    for control in CONTROLS:
        if control in counts and difference(counts[control], counts[METHOD]).low <= 0:
            return f"it is not shown to fall by more than in the {control} control of equal size"
    return None


def _cost(method: Arm, tolerance: float) -> str | None:
    """What capability the cure costs beyond the tolerance; None if none."""
    if not method.changes:
        return "no capability could be measured: give a suite that has other tests as well"
    changes = [
        f"{s} {100 * method.changes[s]:+.1f} points" for s in _lost(method.changes, tolerance)
    ]
    if not changes:
        return None
    return f"it costs more capability than {100 * tolerance:g} points: {', '.join(changes)}"


def _credit(arms: Mapping[str, Arm]) -> str:
    controls = [f"{name} {arms[name].reduction:.0f} %" for name in CONTROLS if name in arms]
    reduction = arms[METHOD].reduction
    return f"the behaviour fell by {reduction:.0f} % (controls: {', '.join(controls)})"


def _total(counts: Sequence[Sequence[int]]) -> Count:
    return Count(sum(count[0] for count in counts), sum(count[1] for count in counts))


def _pooled(counts: Sequence[Count]) -> tuple[int, int]:
    total = _total(counts)
    return total.violated, total.decided


def _students(values: Sequence[float]) -> tuple[float, float]:
    """Student's 95 % interval of the mean; of one value, everything."""
    if len(values) < 2:
        return -math.inf, math.inf
    quantile: Any = stats.t.ppf(_LEVEL, len(values) - 1)
    half = float(quantile) * stdev(values) / math.sqrt(len(values))
    return fmean(values) - half, fmean(values) + half
