"""The word on figures that are written here; nothing is trained."""

from __future__ import annotations

import math

import pytest
from scipy import stats

from surfcheck.attribution.retraining.capability import Marks
from surfcheck.attribution.retraining.cure import (
    Arm,
    Count,
    Judged,
    Trial,
    difference,
    judge,
    over_seeds,
)
from surfcheck.errors import InfrastructureError
from surfcheck.statistics import wilson

BAD, GOOD = "suite.py::test_bad", "suite.py::test_good"
SKILLED = Marks(1.0, 0.9)


def trials(
    arm: str, *violated: int, others: int = 0, undecided: int = 0, marks: Marks = SKILLED
) -> list[Trial]:
    """An arm's trainings: of 100 cases so many violated, one number a seed."""
    return [
        Trial(
            arm, seed, 0 if arm == "unedited" else 10,
            {BAD: [count, 100, 100], GOOD: [others, 200 - undecided, 200]},
            (BAD,), marks, 1.0, 1.0,
        )
        for seed, count in enumerate(violated)
    ]  # fmt: skip


PLAIN, CURED = trials("unedited", 80, 84, 82), trials("method", 10, 14, 9)
RANDOM, LENGTH = trials("random", 78, 80, 83), trials("length", 80, 77, 81)


def named(judged: Judged) -> dict[str, Arm]:
    return {arm.name: arm for arm in judged.arms}


def test_a_cure_is_verified_and_says_by_how_much() -> None:
    judged = judge([*PLAIN, *CURED, *RANDOM, *LENGTH], [BAD])
    assert judged.verdict == "verified"
    assert judged.reason == "the behaviour fell by 87 % (controls: random 2 %, length 3 %)"
    arm = named(judged)["method"]
    assert arm.rate.mean == pytest.approx(0.11)
    assert arm.rates == (0.10, 0.14, 0.09)
    assert arm.fall is not None
    assert arm.fall.mean == pytest.approx(0.71)
    assert arm.capability == pytest.approx({"others": 1.0, "pairs": 1.0, "answers": 0.9})
    assert named(judged)["unedited"].fall is None
    assert [trial.seed for trial in arm.trials] == [0, 1, 2]


def test_the_order_of_the_trials_does_not_matter() -> None:
    there = judge([*PLAIN, *CURED, *RANDOM], [BAD])
    back = judge([*PLAIN[::-1], *RANDOM[::-1], *CURED[::-1]], [BAD])
    assert named(back) == named(there)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        (trials("method", 81, 83, 80), "the interval of the fall includes 0"),
        (trials("method", 2, 80, 60), "the interval of the fall includes 0"),
        (trials("method", 10, 14, 9, others=5), "costs more capability than 2 points: others -2.5"),
        (trials("method", 10, 14, 9, undecided=5), "2 points: others -2.5 points"),
        (trials("method", 10, 14, 9, marks=Marks(0.97, 0.9)), "2 points: pairs -3.0 points"),
        (trials("method", 10, 14, 9, marks=Marks(1.0, 0.7)), "2 points: answers -20.0 points"),
    ],
)
def test_what_is_not_verified_says_why(changed: list[Trial], reason: str) -> None:
    judged = judge([*PLAIN, *changed, *RANDOM], [BAD])
    assert judged.verdict == "not verified"
    assert reason in judged.reason


def test_a_control_that_cures_as_well_takes_the_credit_away() -> None:
    for name, rates in (("random", (12, 20, 9)), ("length", (10, 60, 40))):
        judged = judge([*PLAIN, *CURED, *trials(name, *rates)], [BAD])
        assert judged.verdict == "not verified"
        assert f"by more than in the {name} control" in judged.reason
    assert judge([*PLAIN, *CURED, *trials("length", 78, 60, 70)], [BAD]).verdict == "verified"


def test_deleting_everything_does_not_win() -> None:
    mute = trials("method", 0, 0, 0, others=150, marks=Marks(0.5, 0.1))
    judged = judge([*PLAIN, *mute, *RANDOM], [BAD])
    assert judged.verdict == "not verified"
    assert not named(judged)["method"].able


def test_the_tolerance_is_in_shares_and_holds_at_its_edge() -> None:
    edge = trials("method", 10, 14, 9, others=4)  # 4 of 200: exactly 2 points
    assert judge([*PLAIN, *edge, *RANDOM], [BAD]).verdict == "verified"
    assert judge([*PLAIN, *edge, *RANDOM], [BAD], tolerance=0.01).verdict == "not verified"
    worse = trials("method", 10, 14, 9, others=5)
    assert judge([*PLAIN, *worse, *RANDOM], [BAD], tolerance=0.03).verdict == "verified"


def test_a_seed_alone_verifies_nothing() -> None:
    judged = judge([*PLAIN[:1], *CURED[:1], *RANDOM[:1]], [BAD])
    assert judged.reason == "one seed says nothing of the next: train with more"
    assert named(judged)["method"].rate.high == 1.0


def test_without_the_behaviour_or_any_capability_there_is_no_cure() -> None:
    gone = [*trials("unedited", 0, 0), *trials("method", 0, 0), *trials("random", 0, 0)]
    judged = judge(gone, [BAD])
    assert "there is nothing to cure" in judged.reason
    assert named(judged)["method"].reduction is None
    blind = [
        Trial(t.arm, t.seed, 0, {BAD: t.tests[BAD]}, (), Marks(None, None), 0, 0)
        for t in (*PLAIN, *CURED, *RANDOM)
    ]
    assert "no capability could be measured" in judge(blind, [BAD]).reason


def test_what_could_not_be_judged_is_no_rate() -> None:
    silent = Trial("method", 0, 1, {BAD: [0, 0, 9]}, (), SKILLED, 0, 0)
    with pytest.raises(InfrastructureError, match=r"no answer to .* in the arm method with seed 0"):
        judge([*PLAIN[:1], silent], [BAD])


def test_several_tests_are_one_behaviour() -> None:
    judged = judge([*PLAIN, *CURED, *RANDOM], [BAD, GOOD])
    assert named(judged)["unedited"].rate.mean == pytest.approx(82 / 300)
    assert set(named(judged)["method"].capability) == {"pairs", "answers"}


# Intervals


def test_seeds_that_differ_widen_the_interval_to_students() -> None:
    many = [Count(700, 1000), Count(600, 1000), Count(500, 1000)]
    estimate = difference(many, [Count(0, 1000)] * 3)
    half = stats.t.ppf(0.975, 2) * 0.1 / math.sqrt(3)
    ends = (0.6, 0.6 - half, 0.6 + half)
    assert (estimate.mean, estimate.low, estimate.high) == pytest.approx(ends)
    rate = over_seeds(many)
    assert (rate.mean, rate.low, rate.high) == pytest.approx(ends)


def test_seeds_that_agree_prove_no_more_than_their_cases() -> None:
    same = [Count(1, 20)] * 3
    estimate = difference(same, [Count(0, 20)] * 3)
    assert estimate.mean == pytest.approx(0.05)
    assert estimate.low < 0  # 3 of 60 against 0 of 60
    rate = over_seeds(same)
    assert (rate.low, rate.high) == pytest.approx(wilson(3, 60))
    assert difference([Count(60, 60)] * 3, [Count(0, 60)] * 3).low > 0.9


def test_intervals_stay_within_what_shares_can_be() -> None:
    wild = over_seeds([Count(0, 10), Count(10, 10)])
    assert (wild.low, wild.high) == (0.0, 1.0)
    estimate = difference([Count(10, 10), Count(0, 10)], [Count(0, 10), Count(10, 10)])
    assert (estimate.low, estimate.high) == (-1.0, 1.0)


def test_a_difference_is_paired_and_has_a_sign() -> None:
    a, b = [Count(90, 100), Count(30, 100)], [Count(80, 100), Count(20, 100)]
    there, back = difference(a, b), difference(b, a)
    assert there.mean == pytest.approx(0.1)
    assert (back.mean, back.low, back.high) == pytest.approx((-0.1, -there.high, -there.low))
    assert there.high - there.low < 0.4  # the seeds differ by 60 points, their pairs by none
