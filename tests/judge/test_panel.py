from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable, Sequence

import pytest

from surfcheck.errors import BudgetReached, ModelError, SurfcheckError, UsageError
from surfcheck.judge import Rubric
from surfcheck.judge.panel import Agreement, Panel, majority
from surfcheck.records import Outcome, Prompt, Response, Verdict
from surfcheck.roles import Ask

HELD, VIOLATED, UNDECIDED = Outcome.HELD, Outcome.VIOLATED, Outcome.UNDECIDED
WORDS = {"h": HELD, "v": VIOLATED, "u": UNDECIDED}
CALM = Rubric.of("The reply is calm.")


class JudgeModel:
    """A model whose answers are a function of what it is asked, as a provider would give them."""

    def __init__(self, spec: str, says: Callable[[Ask], str] | str | SurfcheckError) -> None:
        self.spec, self._says = spec, says
        self.batches: list[list[Ask]] = []

    def ask(self, asks: Sequence[Ask]) -> list[Response]:
        self.batches.append(list(asks))
        if isinstance(self._says, SurfcheckError):
            raise self._says
        return [Response(ask.prompt, self._text(ask), self.spec, ask.sample) for ask in asks]

    def _text(self, ask: Ask) -> str:
        return self._says if isinstance(self._says, str) else self._says(ask)  # type: ignore[operator]


def graded(score: object, reasoning: str = "So it is.") -> str:
    return f"<reasoning>{reasoning}</reasoning><score>{score}</score>"


def answered(text: str) -> Response:
    return Response(Prompt.of("Say hello."), text)


def panel(*scores: object) -> Panel:
    """A judge model a score."""
    return Panel([JudgeModel(f"j:{n}", graded(s, f"judge {n}")) for n, s in enumerate(scores)])


def verdicts(words: str) -> list[Verdict]:
    """Those of several judges: `hvu`."""
    return [Verdict(WORDS[word], f"{word}{n}") for n, word in enumerate(words)]


@pytest.mark.parametrize(
    ("scores", "outcome", "score", "reason"),
    [
        ((90,), VIOLATED, 90, "judge 0"),
        ((10,), HELD, 10, "judge 0"),
        ((90, 10, 80), VIOLATED, 80, "judge 0"),
        ((90, 10, 20), HELD, 20, "judge 1"),
        ((10, 20, 30, 90), HELD, 25, "judge 0"),
        ((90, 10), UNDECIDED, None, "the judges disagree: 1 held, 1 violated"),
        (("?", 10), HELD, 10, "judge 1"),
        (("?", 10, 90), UNDECIDED, None, "the judges disagree: 1 held, 1 violated"),
        (("?", "?", 90), UNDECIDED, None, "1 of 3 judges decided: '?' is no score"),
        (("?", "?", 90, 95), VIOLATED, 92.5, "judge 2"),
        (("?",), UNDECIDED, None, "'?' is no score from 0 to 100: judge 0"),
    ],
)
def test_the_majority_of_those_that_decide(
    scores: tuple[object, ...], outcome: Outcome, score: float | None, reason: str
) -> None:
    verdict = panel(*scores).judge(answered("Hello."), CALM)
    assert (verdict.outcome, verdict.score) == (outcome, score)
    assert verdict.reason.startswith(reason)


def test_the_majority_by_counting() -> None:
    for n in range(1, 6):
        for words in map("".join, itertools.product("hvu", repeat=n)):
            held, violated = words.count("h"), words.count("v")
            if held == violated or 2 * (held + violated) < n:
                expected = UNDECIDED
            else:
                expected = HELD if held > violated else VIOLATED
            found = majority(verdicts(words))
            assert found.outcome is expected, words
            if expected is not UNDECIDED:
                assert found.reason[0] == {HELD: "h", VIOLATED: "v"}[expected]
            assert found.reason


def test_all_judges_get_the_very_question_that_is_announced() -> None:
    models = [JudgeModel("a:a", graded(1)), JudgeModel("b:b", graded(2))]
    judges = Panel(models, seed=7)
    announced = judges.asks(answered("Hello."), CALM)
    judges.judge(answered("Hello."), CALM)
    assert [model.batches for model in models] == [[[announced]], [[announced]]]
    assert announced.sample == 0
    assert Panel(models, seed=8).asks(answered("Hello."), CALM) != announced
    assert judges.spec == "a:a,b:b"


def test_the_sample_and_the_model_of_the_answer_are_not_told() -> None:
    asks = panel(1).asks
    one = Response(Prompt.of("Hi"), "Hello.", model="vendor:one", sample=0)
    other = Response(Prompt.of("Hi"), "Hello.", model="vendor:two", sample=3)
    assert asks(one, CALM) == asks(other, CALM)


def test_an_exchange_is_judged_once() -> None:
    model = JudgeModel("j:0", graded(90))
    judges = Panel([model, JudgeModel("j:1", graded(10))])
    first = judges.judge_all([answered("a"), answered("b"), answered("a")], CALM)
    assert judges.judge(answered("b"), CALM) == first[1]
    assert [len(batch) for batch in model.batches] == [2]
    assert judges.agreement.exchanges == 2
    judges.judge(answered("b"), Rubric.of("The reply is kind."))
    assert judges.agreement.exchanges == 3


def test_many_are_judged_in_one_batch_in_order() -> None:
    def says(ask: Ask) -> str:
        return graded(90 if "shouts" in ask.prompt.text else 10)

    model = JudgeModel("j:0", says)
    answers = [answered(f"{'shouts' if n % 3 == 0 else 'speaks'} {n}") for n in range(50)]
    found = Panel([model]).judge_all(answers, CALM)
    assert [v.outcome is VIOLATED for v in found] == [n % 3 == 0 for n in range(50)]
    assert [len(batch) for batch in model.batches] == [50]
    assert Panel([model]).judge_all([], CALM) == []


def test_an_empty_answer_is_undecided_and_not_asked() -> None:
    model = JudgeModel("j:0", graded(0))
    judges = Panel([model])
    found = judges.judge_all([answered(" \n"), answered("Hello.")], CALM)
    assert [v.outcome for v in found] == [UNDECIDED, HELD]
    assert found[0].reason == "the answer is empty"
    assert [len(batch) for batch in model.batches] == [1]
    assert judges.judge(answered(""), CALM).outcome is UNDECIDED
    blocked = Response(Prompt.of("Hi"), "", refusal="blocked")
    assert judges.judge(blocked, CALM).outcome is HELD


def test_a_judge_that_cannot_be_asked_is_missing() -> None:
    failing = JudgeModel("j:0", ModelError("j:0: no route\nto host"))
    judges = Panel([failing, JudgeModel("j:1", graded(90)), JudgeModel("j:2", graded(95))])
    verdict = judges.judge(answered("Hello."), CALM)
    assert (verdict.outcome, verdict.score) == (VIOLATED, 92.5)
    two_missing = Panel([failing, JudgeModel("j:3", "hm"), JudgeModel("j:4", graded(90))])
    verdict = two_missing.judge(answered("Hello."), CALM)
    assert verdict.outcome is UNDECIDED
    assert verdict.reason == "1 of 3 judges decided: j:0: no route to host"


def test_what_no_judge_can_be_asked_is_an_error_and_is_asked_again() -> None:
    models = [JudgeModel(f"j:{n}", ModelError(f"j:{n}: no route")) for n in range(2)]
    judges = Panel(models)
    for _ in range(2):
        with pytest.raises(ModelError, match="j:0: no route"):
            judges.judge(answered("Hello."), CALM)
    assert [len(model.batches) for model in models] == [2, 2]


def test_a_spent_budget_is_no_missing_judge() -> None:
    spent = JudgeModel("j:0", BudgetReached("1,000 calls"))
    with pytest.raises(BudgetReached):
        Panel([JudgeModel("j:1", graded(1)), spent]).judge(answered("Hello."), CALM)


def test_a_panel_has_judges_and_each_once() -> None:
    with pytest.raises(UsageError, match="needs a judge model"):
        Panel([])
    with pytest.raises(UsageError, match="j:0 is named twice"):
        Panel([JudgeModel("j:0", ""), JudgeModel("j:1", ""), JudgeModel("j:0", "")])


# Agreement


def coincidences(units: Sequence[str]) -> float | None:
    """Krippendorff's alpha from the matrix of coincidences, as he writes it down."""
    matrix = {(a, b): 0.0 for a in "hv" for b in "hv"}
    for unit in units:
        values = [word for word in unit if word in "hv"]
        for (i, a), (j, b) in itertools.product(enumerate(values), repeat=2):
            if i != j:
                matrix[a, b] += 1 / (len(values) - 1)
    total = {a: sum(matrix[a, b] for b in "hv") for a in "hv"}
    n = sum(total.values())
    by_chance = sum(total[a] * total[b] for a in "hv" for b in "hv" if a != b) / (n * (n - 1) or 1)
    observed = sum(matrix[a, b] for a in "hv" for b in "hv" if a != b) / (n or 1)
    return 1 - observed / by_chance if by_chance else None


def of(units: Sequence[str]) -> Agreement:
    return sum((Agreement.of(verdicts(unit)) for unit in units), Agreement())


def test_alpha_of_a_published_example() -> None:
    """Krippendorff (2011), "Computing Krippendorff's Alpha-Reliability", A: 0.095."""
    meg, owen = "0100000010", "1110010000"
    units = ["".join("hv"[int(word)] for word in unit) for unit in zip(meg, owen, strict=True)]
    assert of(units).alpha == pytest.approx(0.095, abs=0.0005)
    assert of(units).rate == 0.6


@pytest.mark.parametrize("seed", range(40))
def test_alpha_against_coincidences(seed: int) -> None:
    rng = random.Random(seed)
    weights = [rng.random(), rng.random(), rng.random() / 3]
    units = ["".join(rng.choices("hvu", weights, k=rng.randint(1, 5))) for _ in range(20)]
    found = of(units)
    several = [unit for unit in units if len(unit) - unit.count("u") >= 2]
    alpha = coincidences(several)
    assert found.alpha == (None if alpha is None else pytest.approx(alpha))
    assert found.exchanges == len(several)
    assert found.unanimous == sum(len(set(unit) & set("hv")) == 1 for unit in several)
    assert of(units[:7]) + of(units[7:]) == found or found.discord == pytest.approx(
        (of(units[:7]) + of(units[7:])).discord
    )


def test_agreement_of_nothing() -> None:
    assert (Agreement().rate, Agreement().alpha) == (None, None)
    assert of(["h", "u", "vu"]) == Agreement()
    assert (of(["hh", "hhh"]).rate, of(["hh", "hhh"]).alpha) == (1.0, None)
    assert of(["hh", "vv"]).alpha == 1.0
    assert Agreement.from_json(json.loads(json.dumps(of(["hv"]).to_json()))) == of(["hv"])


def test_a_panel_keeps_count_of_its_agreement() -> None:
    def says(ask: Ask) -> str:
        return graded(90 if "shouts" in ask.prompt.text else 10)

    judges = Panel([JudgeModel("j:0", says), JudgeModel("j:1", graded(90))])
    judges.judge_all([answered("shouts"), answered("speaks"), answered("shouts twice")], CALM)
    assert (judges.agreement.exchanges, judges.agreement.unanimous) == (3, 2)
    assert judges.agreement == of(["vv", "hv", "vv"])
