"""One item: what it comes to, what its body may be, and what is no finding."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from surfcheck.cases import Effort, Item
from surfcheck.check import FRESH_SAMPLES, Body, check
from surfcheck.errors import BudgetReached, ModelError, Undecided, UsageError
from surfcheck.fixtures import Judging, Target
from surfcheck.records import Case, Outcome, Prompt, Response, Usage, Verdict
from surfcheck.roles import Ask
from tests.checking import SEED, Grid, Recorded, always, corner, never, run

# What an item comes to


def test_an_item_that_holds_passes() -> None:
    result, model = run(never)
    assert (result.outcome, result.held, result.violated) == ("pass", 6, 0)
    assert result.failure is None
    assert not result.unreproduced
    assert result.usage == Usage(calls=6, tokens=12, usd=None)
    assert len(model.asked) == 6


def test_samples_come_in_rounds_with_the_unchanged_prompt_first() -> None:
    _, model = run(never, samples=5, examples=4)
    assert [len(batch) for batch in model.batches] == [4, 4, 4, 4, 4]
    assert model.asked[0] == ("go", 0)
    assert model.asked[4] == ("go", 1)
    assert len(set(model.asked)) == 20


def test_a_broken_behaviour_is_not_asked_for_more_samples() -> None:
    result, model = run(always, samples=8, examples=4)
    assert result.outcome == "fail"
    assert len(model.batches[0]) == 4
    assert result.cases == 4


def one_in(n: int) -> Callable[[str, int], str]:
    return lambda text, sample: "yes" if random.Random(f"{text} {sample}").randrange(n) else "no"


@pytest.mark.parametrize(
    ("answer", "hold", "outcome"),
    [
        (one_in(10), 0.7, "pass"),
        (one_in(2), 0.9, "fail"),
        (always, 0.5, "fail"),
        (never, 0.9, "pass"),
    ],
)
def test_a_share_may_break_where_the_test_says_so(
    answer: Callable[[str, int], str], hold: float, outcome: str
) -> None:
    result, _ = run(answer, hold=hold, samples=20, examples=6)
    assert result.outcome == outcome
    assert (result.failure is not None) == (outcome == "fail")
    asked_first = result.held + result.violated
    assert asked_first <= 60, "a clear case needs half of the answers at most"


def test_a_rate_near_its_threshold_is_inconclusive() -> None:
    result, _ = run(one_in(4), hold=0.8, samples=8, examples=6)
    assert result.outcome == "inconclusive"
    assert "give more --surf-samples" in result.message


def test_a_ceiling_leaves_the_item_unasked() -> None:
    def spent(text: str, sample: int) -> str:
        raise BudgetReached("the run may spend 5 calls")

    result, _ = run(spent)
    assert (result.outcome, result.message) == ("skipped", "the run may spend 5 calls")


def test_a_baseline_is_asked_the_same_first_round() -> None:
    other = Recorded(always)
    model = Recorded(never)
    target, judging = Target(model), Judging()

    def says_yes(prompt: Prompt) -> None:
        assert judging(target(prompt), lambda r: Verdict.of(r.text == "yes"))

    whole = Item("t.py::test", "t.py::test[a]", "It says yes.", SEED, Grid())
    result = check(whole, says_yes, target, judging, Effort(), baseline=(other, {}))
    assert result.outcome == "pass"
    assert [len(batch) for batch in other.batches] == [6]
    assert other.asked == model.asked
    assert [e.prompt for e in result.baseline] == [e.prompt for e in result.exchanges]
    assert {e.outcome for e in result.baseline} == {Outcome.VIOLATED}


def test_one_case_is_the_unchanged_prompt() -> None:
    assert run(never, examples=1)[1].asked == [("go", 0)]


def test_the_same_item_and_seed_ask_the_same() -> None:
    asked = [run(never, seed=seed, item=item)[1].asked for seed, item in ((1, "a"), (1, "a"))]
    assert asked[0] == asked[1]
    assert run(never, seed=2, item="a")[1].asked != asked[0]
    assert run(never, seed=1, item="b")[1].asked != asked[0]


@pytest.mark.parametrize("seed", range(10))
def test_the_finding_is_the_smallest_case_that_breaks_it(seed: int) -> None:
    result, _ = run(corner, seed=seed, examples=8)
    assert result.outcome == "fail"
    failure = result.failure
    assert failure is not None
    assert failure.case.prompt.text == "goxxy"
    assert failure.case.steps == ("x", "x", "y")
    assert (failure.response, failure.reason) == ("no", "said no")
    assert (failure.twin_prompt, failure.twin_response) == ("go", "yes")
    assert (failure.confirmed, failure.confirmed_of) == (FRESH_SAMPLES, FRESH_SAMPLES)


def test_an_unchanged_prompt_that_breaks_it_is_the_smallest_case() -> None:
    result, model = run(always)
    assert result.failure is not None
    assert result.failure.case == Case(SEED, SEED, "grid")
    assert result.failure.twin_prompt is None
    assert len(model.asked) == 6 + FRESH_SAMPLES
    assert (result.held, result.violated) == (0, 6)


def test_the_twin_is_the_most_similar_case_that_held() -> None:
    result, _ = run(lambda text, _: "no" if text in ("go", "goxxxxx") else "yes", examples=8)
    assert result.failure is not None
    assert result.failure.case.unchanged
    held = {e.prompt for e in result.exchanges if e.outcome is Outcome.HELD}
    assert result.failure.twin_prompt == min(held, key=len)


def test_a_prompt_that_fails_at_times_has_another_prompt_for_a_twin() -> None:
    result, _ = run(lambda text, sample: "no" if text == "go" and sample != 1 else "yes", samples=2)
    assert result.failure is not None
    assert result.failure.case.unchanged
    assert result.failure.twin_prompt != "go"


# Bodies


def test_an_assertion_without_a_judge_gives_its_own_reason() -> None:
    def body(target: Target, _: Judging) -> Body:
        def is_yes(prompt: Prompt) -> None:
            text = target(prompt).text
            assert text == "yes", f"not yes: {text}\nsecond line"

        return is_yes

    result, _ = run(always, body)
    assert result.failure is not None
    assert result.failure.reason == "not yes: no"


def test_the_answer_on_record_is_the_one_that_was_judged() -> None:
    def body(target: Target, judging: Judging) -> Body:
        def is_the_same(prompt: Prompt) -> None:
            unchanged = target.unchanged.text
            assert judging(target(prompt), lambda r: Verdict.of(r.text == unchanged, "other"))

        return is_the_same

    result, model = run(corner, body, examples=8)
    assert result.failure is not None
    assert result.failure.response == "no"
    assert ("goxxy", "no", Outcome.VIOLATED) in {
        (e.prompt, e.response, e.outcome) for e in result.exchanges
    }
    fresh = [batch for batch in model.batches if batch[0].sample == 1]
    assert [len(batch) for batch in fresh] == [2 * FRESH_SAMPLES], "the unchanged prompt with it"


def test_an_answer_that_cannot_be_judged_is_undecided() -> None:
    def body(target: Target, judging: Judging) -> Body:
        def is_yes(prompt: Prompt) -> None:
            text = target(prompt).text
            assert judging(
                target(prompt),
                lambda r: Verdict(Outcome.UNDECIDED, "hm") if text == "?" else Verdict.of(True),
            )

        return is_yes

    few, _ = run(lambda text, _: "?" if text == "go" else "yes", body)
    assert (few.outcome, few.undecided, few.held) == ("pass", 1, 5)
    most, _ = run(lambda text, _: "?" if len(text) > 3 else "yes", body)
    assert most.outcome == "inconclusive"
    assert most.message == f"{most.undecided} of 6 cases could not be judged (hm)"
    none, _ = run(lambda *_: "?", body)
    assert (none.outcome, none.undecided, none.cases) == ("inconclusive", 6, 6)
    assert {e.outcome for e in none.exchanges} == {Outcome.UNDECIDED}


def test_a_finding_outweighs_what_is_undecided() -> None:
    def body(target: Target, _: Judging) -> Body:
        def is_yes(prompt: Prompt) -> None:
            if target(prompt).text == "?":
                raise Undecided("hm")
            assert prompt.text != "go"

        return is_yes

    result, _ = run(lambda text, _: "?" if text != "go" else "yes", body)
    assert (result.outcome, result.undecided) == ("fail", 5)


def test_a_prompt_that_the_body_writes_itself_is_asked_alone() -> None:
    def body(target: Target, _: Judging) -> Body:
        return lambda prompt: print(target("Please " + prompt.text))

    result, model = run(never, body, examples=3)
    assert [len(batch) for batch in model.batches] == [1, 1, 1]
    assert {e.prompt for e in result.exchanges} == {text for text, _ in model.asked}


def test_a_body_that_asks_nothing_costs_nothing() -> None:
    result, model = run(never, lambda *_: lambda prompt: None)
    assert (result.outcome, result.held, result.exchanges) == ("pass", 6, ())
    assert model.batches == []


# What is no finding


def test_a_model_that_cannot_be_asked_is_an_error() -> None:
    def unreachable(text: str, sample: int) -> str:
        raise ModelError("the model is away: try again")

    result, model = run(unreachable)
    assert result.outcome == "error"
    assert result.message == "ModelError: the model is away: try again"
    assert result.failure is None
    assert len(model.batches) == 1


def test_a_model_that_goes_away_while_shrinking_is_an_error_and_is_not_shrunk() -> None:
    calls = Counter()

    def goes_away(text: str, sample: int) -> str:
        calls["asked"] += 1
        if calls["asked"] > 8:
            raise ModelError("away")
        return "no" if len(text) > 4 else "yes"

    result, model = run(goes_away)
    assert result.outcome == "error"
    assert calls["asked"] == 9
    assert result.violated + result.held == 6
    assert len(result.exchanges) == 8
    assert len(model.batches) <= 4


@pytest.mark.parametrize("when", ["at once", "in shrinking"])
def test_the_authors_own_mistake_goes_through(when: str) -> None:
    def body(target: Target, _: Judging) -> Body:
        def mistaken(prompt: Prompt) -> None:
            text = target(prompt).text
            if when == "at once" or (len(prompt.text) < 5 and not prompt == SEED):
                raise TypeError("my mistake")
            assert text == "yes"

        return mistaken

    with pytest.raises(TypeError, match="my mistake"):
        run(lambda text, _: "no" if len(text) >= 5 else "yes", body)


def test_a_criterion_in_words_says_what_to_give_instead() -> None:
    def body(target: Target, judging: Judging) -> Body:
        return lambda prompt: judging(target(prompt), "It says yes.")

    result, _ = run(never, body)
    assert result.outcome == "error"
    assert "or a rule from surfcheck.judge" in result.message


def test_there_is_no_unchanged_prompt_outside_an_invariant() -> None:
    target = Target(Recorded(never))
    assert target("hello").text == "yes"
    assert target([{"role": "user", "content": "hello"}]).prompt == Prompt.of("hello")
    with pytest.raises(UsageError, match="@invariant"):
        _ = target.unchanged


def test_remembered_answers_are_counted_apart() -> None:
    class Remembers(Recorded):
        def ask(self, asks: Sequence[Ask]) -> list[Response]:
            return [replace(r, remembered=True) for r in super().ask(asks)]

    target = Target(Remembers(never))
    target("a"), target("b"), target("a")
    assert target.usage == Usage(remembered=2)
