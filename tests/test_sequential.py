from __future__ import annotations

import random
from fractions import Fraction
from itertools import pairwise, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import betabinom, binomtest

from surfcheck.sequential import DOUBT, Plan, Word, allowed, boundary, looks, needed, split
from surfcheck.statistics import clopper_pearson

PLANS = [(0.9, 30, 0.001), (0.5, 20, 0.01), (0.8, 60, 0.0005), (0.95, 12, 0.02), (0.99, 6, 0.05)]


def follow(plan: Plan, answers: list[bool], at: tuple[int, ...]) -> tuple[Word, int]:
    """The word after the first look that gives one, and the answers it took."""
    for n in at:
        held = sum(answers[:n])
        word = plan.word(held, n - held)
        if word != "go on":
            return word, n
    raise AssertionError("the last look gives a word")


# The error of a fail


def chance_of_a_fail(hold: Fraction, found: tuple[int, ...]) -> Fraction:
    """By every order in which the answers can come."""
    total = Fraction(0)
    for answers in product((0, 1), repeat=len(found)):
        counts = [sum(answers[: n + 1]) for n in range(len(found))]
        if any(count >= fails_at for count, fails_at in zip(counts, found, strict=True)):
            total += (1 - hold) ** counts[-1] * hold ** (len(found) - counts[-1])
    return total


@pytest.mark.parametrize("hold", ["1/2", "4/5", "9/10"])
@pytest.mark.parametrize("alpha", [0.2, 0.05, 0.01])
def test_a_rate_at_hold_fails_with_at_most_its_alpha_whenever_one_looks(
    hold: str, alpha: float
) -> None:
    rate = Fraction(hold)
    found = boundary(float(rate), 12, alpha)
    assert chance_of_a_fail(rate, found) <= Fraction(alpha)
    if found[-1] > found[-2]:
        assert chance_of_a_fail(rate, (*found[:-1], found[-1] - 1)) > Fraction(alpha)


@pytest.mark.parametrize(("hold", "most", "alpha"), PLANS)
def test_an_answer_that_holds_never_turns_the_word_to_fail(
    hold: float, most: int, alpha: float
) -> None:
    found = boundary(hold, most, alpha)
    assert list(found) == sorted(found)
    assert len(found) == most


@pytest.mark.parametrize(("hold", "most", "alpha"), PLANS)
def test_a_fail_is_significant_and_outside_the_interval_that_is_shown(
    hold: float, most: int, alpha: float
) -> None:
    for n, violated in enumerate(boundary(hold, most, min(alpha, 0.025)), 1):
        if violated > n:
            continue
        assert Plan(hold, most, alpha).word(n - violated, violated) == "fail"
        assert binomtest(n - violated, n, hold, alternative="less").pvalue <= alpha
        assert clopper_pearson(n - violated, n)[1] < hold


def test_a_whole_suite_at_hold_turns_red_in_one_run_of_twenty_at_most() -> None:
    rng, suites, items, most = random.Random(1), 400, 25, 20
    plan, at = Plan(0.8, most, split(0.05, items)), looks(most)
    red = sum(
        any(
            follow(plan, [rng.random() < 0.8 for _ in range(most)], at)[0] == "fail"
            for _ in range(items)
        )
        for _ in range(suites)
    )
    assert binomtest(red, suites, 0.05, alternative="greater").pvalue > 0.01
    assert red > 0


def test_cases_of_uneven_rates_fail_no_more_often() -> None:
    """Half of the cases always hold and half at 0.8: at 0.9 together, whatever the looks."""
    rng, cases, rounds = random.Random(2), 6, 5
    plan, at = Plan(0.9, cases * rounds, 0.02), looks(cases * rounds, cases=cases)
    rates = [1.0, 0.8] * 3
    runs = 4000
    red = sum(
        follow(plan, [rng.random() < rate for rate in rates * rounds], at)[0] == "fail"
        for _ in range(runs)
    )
    assert binomtest(red, runs, 0.02, alternative="greater").pvalue > 0.01


# Pass and inconclusive


@pytest.mark.parametrize("hold", [0.05, 0.5, 0.8, 0.9, 0.99, 1.0])
@pytest.mark.parametrize("most", [1, 2, 6, 30])
def test_no_violation_is_a_pass_at_any_hold(hold: float, most: int) -> None:
    plan = Plan(hold, most, 0.001)
    assert plan.word(most, 0) == "pass"
    assert plan.word(0, 0) == "go on"
    assert {plan.word(n, 0) for n in range(most)} <= {"go on", "pass"}


@given(st.sampled_from(PLANS), st.data())
def test_the_whole_plan_passes_from_hold_on(
    numbers: tuple[float, int, float], data: st.DataObject
) -> None:
    hold, most, alpha = numbers
    violated = data.draw(st.integers(0, most))
    word = Plan(hold, most, alpha).word(most - violated, violated)
    reached = Fraction(most - violated, most) >= Fraction(str(hold))
    assert (word == "pass") == reached
    assert word in ("pass", "fail", "inconclusive")


def test_what_could_not_be_judged_is_left_out() -> None:
    plan = Plan(0.8, 10, 0.01)
    assert plan.word(4, 1) == "go on"
    assert plan.word(4, 1, left=0) == "pass"
    assert plan.word(3, 1, left=0) == "inconclusive"
    assert plan.word(0, 0, left=0) == "inconclusive"
    assert Plan(1.0, 3, 0.01).word(0, 0, left=0) == "inconclusive"
    assert Plan(1.0, 3, 0.01).word(2, 0, left=0) == "pass"


@given(st.sampled_from(PLANS), st.data())
def test_an_early_pass_is_one_that_the_rest_would_hardly_change(
    numbers: tuple[float, int, float], data: st.DataObject
) -> None:
    hold, most, alpha = numbers
    decided = data.draw(st.integers(1, most))
    violated = data.draw(st.integers(0, decided))
    left = most - decided
    word = Plan(hold, most, alpha).word(decided - violated, violated)
    room = allowed(hold, most) - violated
    stays = betabinom.cdf(room, left, violated + 1, decided - violated + 1) if left else room >= 0
    if abs(stays - (1 - DOUBT)) > 1e-9 and word != "fail":
        assert (word == "pass") == (stays >= 1 - DOUBT)


def chance_of_words(plan: Plan, rate: float) -> tuple[float, float, float]:
    """Of an early pass that the whole plan would not give, of any pass, and the mean of answers."""
    at = looks(plan.most)
    alive, turned, passed, answers = {0: 1.0}, 0.0, 0.0, 0.0
    for n in range(1, plan.most + 1):
        after: dict[int, float] = {}
        for violated, chance in alive.items():
            after[violated] = after.get(violated, 0) + chance * rate
            after[violated + 1] = after.get(violated + 1, 0) + chance * (1 - rate)
        alive = after
        if n not in at:
            continue
        for violated in list(alive):
            word = plan.word(n - violated, violated)
            if word == "go on":
                continue
            chance = alive.pop(violated)
            answers += chance * n
            if word == "pass":
                passed += chance
                room = allowed(plan.hold, plan.most) - violated
                test = binomtest(room, plan.most - n, 1 - rate, alternative="less") if room < (
                    plan.most - n) else None  # fmt: skip
                turned += chance * (1 - test.pvalue) if test else 0.0
    return turned, passed, answers


@pytest.mark.parametrize(("hold", "most", "alpha"), PLANS)
def test_looking_early_hardly_ever_makes_a_pass_of_what_is_none(
    hold: float, most: int, alpha: float
) -> None:
    plan = Plan(hold, most, alpha)
    assert max(chance_of_words(plan, rate / 20)[0] for rate in range(1, 20)) < DOUBT


@pytest.mark.parametrize("rate", [0.3, 0.99])
def test_a_clear_case_takes_less_than_sixty_per_cent_of_the_answers(rate: float) -> None:
    _, passed, answers = chance_of_words(Plan(0.8, 40, 0.001), rate)
    assert answers < 0.6 * 40
    assert passed == pytest.approx(float(rate > 0.8), abs=0.01)


def test_with_hold_at_one_a_violation_that_reproduced_is_a_fail() -> None:
    plan = Plan(1.0, 6, 1e-9)
    assert plan.word(0, 1) == "fail"
    assert plan.word(5, 1) == "fail"
    assert plan.word(5, 0) == "go on"
    assert plan.word(6, 0) == "pass"


# Planning


@settings(max_examples=200)
@given(st.integers(1, 500), st.integers(1, 12))
def test_looks_end_with_the_plan_and_come_after_whole_rounds(most: int, cases: int) -> None:
    found = looks(most, cases=cases)
    assert found[-1] == most
    assert all(earlier < later for earlier, later in pairwise(found))
    assert all(n % cases == 0 for n in found[:-1])


def test_looks_are_few() -> None:
    assert looks(1) == (1,)
    assert looks(6) == (6,)
    assert looks(30) == (5, 7, 10, 14, 20, 30)
    assert looks(30, cases=6) == (6, 12, 18, 24, 30)
    assert len(looks(1000)) == 14


@pytest.mark.parametrize("hold", [0.2, 0.5, 0.8, 0.9, 0.99])
@pytest.mark.parametrize("alpha", [0.025, 0.001, 1e-5])
def test_needed_answers_are_just_enough_for_a_fail(hold: float, alpha: float) -> None:
    most = needed(hold, alpha)
    assert Plan(hold, most, alpha).word(0, most) == "fail"
    if most > 1:
        assert Plan(hold, most - 1, alpha).word(0, most - 1) == "inconclusive"


def test_one_answer_is_needed_where_all_must_hold() -> None:
    assert needed(1.0, 0.001) == 1


def test_alpha_is_split_evenly() -> None:
    assert split(0.05, 10) == pytest.approx(0.005)
    assert split(0.05, 0) == 0.05


@pytest.mark.parametrize(
    ("hold", "most", "alpha"), [(0, 1, 0.1), (1.1, 1, 0.1), (0.5, 0, 0.1), (0.5, 1, 0), (0.5, 1, 1)]
)
def test_a_plan_that_is_none(hold: float, most: int, alpha: float) -> None:
    with pytest.raises(ValueError, match="no plan"):
        Plan(hold, most, alpha)


@pytest.mark.parametrize("counts", [(7, 0, None), (-1, 0, None), (3, 3, 1), (0, 0, -1)])
def test_more_answers_than_planned(counts: tuple[int, int, int | None]) -> None:
    with pytest.raises(ValueError, match="of 6"):
        Plan(0.9, 6, 0.01).word(*counts[:2], left=counts[2])
