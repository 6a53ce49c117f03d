from __future__ import annotations

import json
import random
from collections.abc import Iterable
from pathlib import Path

import pytest

from surfcheck.comparing import compare, compare_exchanges
from surfcheck.comparison import MARGIN, Compared, Comparison
from surfcheck.errors import DataError, MismatchError
from surfcheck.paired import mcnemar, sign_flip
from surfcheck.records import Exchange, InvariantResult, Outcome, RunReport, Usage
from surfcheck.report.json import write_run
from surfcheck.settings import Settings

HELD, VIOLATED, UNDECIDED = Outcome.HELD, Outcome.VIOLATED, Outcome.UNDECIDED


def asked(
    broken: Iterable[bool | None], *, test: str = "t.py::test", prompts: int = 10**6, first: int = 0
) -> list[Exchange]:
    """An exchange each, dealt to so many prompts; None could not be judged."""
    found = []
    for n, word in enumerate(broken):
        outcome = UNDECIDED if word is None else VIOLATED if word else HELD
        seed = f"prompt {first + n % prompts}"
        case = f"{seed}, case {n // prompts}"
        found.append(Exchange(test, case, "yes", outcome, "typos", seed))
    return found


def words(compared: Comparison) -> dict[str, str]:
    return {line.test: line.word for line in compared.invariants}


# Which answers belong together


def test_one_pair_a_prompt_is_mcnemars_test() -> None:
    a, b = [True] * 3 + [False] * 17, [False] * 2 + [True] * 12 + [False] * 6
    line = compare_exchanges(asked(a), asked(b)).overall
    assert (line.pairs, line.prompts) == (20, 20)
    assert (line.only_a, line.only_b) == (2, 11)
    assert (line.rate_a, line.rate_b) == (0.15, 0.6)
    assert line.difference == pytest.approx(0.45)
    assert line.p_value == pytest.approx(mcnemar(2, 11))


def test_the_pairs_of_a_prompt_are_one_cluster() -> None:
    a, b = [False] * 40, [True] * 8 + [False] * 32
    line = compare_exchanges(asked(a, prompts=8), asked(b, prompts=8)).overall
    assert (line.pairs, line.prompts, line.only_b) == (40, 8, 8)
    assert line.p_value == sign_flip([1] * 8)
    together = [False] * 35 + [True] * 5
    a, b = asked([False] * 40), asked(together)
    one = [Exchange(e.test, e.prompt, "", e.outcome, "typos", "one prompt") for e in b]
    other = [Exchange(e.test, e.prompt, "", e.outcome, "typos", "one prompt") for e in a]
    assert compare_exchanges(other, one).overall.p_value == 1.0


def test_samples_are_paired_in_order() -> None:
    def samples(*outcomes: Outcome) -> list[Exchange]:
        return [Exchange("t", "go", "", outcome, "typos", "go") for outcome in outcomes]

    line = compare_exchanges(samples(HELD, VIOLATED, HELD), samples(HELD, VIOLATED, VIOLATED))
    assert (line.overall.pairs, line.overall.only_a, line.overall.only_b) == (3, 0, 1)
    longer = compare_exchanges(samples(HELD), samples(HELD, VIOLATED, VIOLATED))
    assert (longer.overall.pairs, longer.overall.only_b, longer.unpaired) == (1, 0, 2)


def test_samples_are_paired_by_number_where_there_is_one() -> None:
    def samples(**outcomes: Outcome) -> list[Exchange]:
        return [Exchange("t", "go", "", o, "typos", "go", int(n[1:])) for n, o in outcomes.items()]

    searched = samples(s0=VIOLATED, s5=HELD, s6=HELD, s1=VIOLATED)
    compared = compare_exchanges(searched, samples(s0=HELD, s1=VIOLATED))
    assert (compared.overall.pairs, compared.overall.only_a, compared.unpaired) == (2, 1, 2)


def test_the_unchanged_prompt_counts_once_whatever_perturbations_there_are() -> None:
    def items(outcome: Outcome) -> list[Exchange]:
        return [
            Exchange("t", prompt, "", outcome, name, "go")
            for name in ("typos", "casing")
            for prompt in ("go", f"go, {name}")
        ]

    line = compare_exchanges(items(HELD), items(VIOLATED)).overall
    assert (line.pairs, line.prompts, line.only_b) == (3, 1, 3)


def test_what_a_search_asked_counts_for_nothing(tmp_path: Path) -> None:
    """A run against itself is what its first round was, and so is one that searched."""
    first = asked([False] * 20 + [True])
    found = [
        Exchange("t.py::test", "smallest", "no", VIOLATED, "typos", "prompt 20", n, search=True)
        for n in range(8)
    ]
    alone = compare_exchanges(first, first)
    assert compare_exchanges([*first, *found], [*first, *found]) == alone
    assert compare_exchanges([*first, *found], first) == alone
    a, b = write(tmp_path / "a", "m", [*first, *found]), write(tmp_path / "b", "m", first)
    for run in (a, b):
        line = compare(a, run).overall
        assert (line.pairs, line.rate_a, line.rate_b) == (21, 1 / 21, 1 / 21)
    assert compare(a, b).unpaired == 0


def test_one_test_is_not_paired_with_another() -> None:
    compared = compare_exchanges(asked([True] * 9, test="a"), asked([True] * 9, test="b"))
    assert [line.test for line in compared.invariants] == ["a", "b"]
    assert compared.unpaired == 18
    assert compared.overall == Compared("", 0, 0, 0, 0)


def test_a_pair_with_an_answer_that_could_not_be_judged_counts_for_nothing() -> None:
    compared = compare_exchanges(asked([True, None, None]), asked([None, None, True]))
    assert (compared.overall.pairs, compared.unpaired) == (0, 0)
    assert compared.overall.word == "too few"


def test_an_exchange_without_its_seed_is_its_own_cluster() -> None:
    old = [Exchange("t", f"p{n}", "", HELD, "typos") for n in range(7)]
    assert compare_exchanges(old, old).overall.prompts == 7


# What it comes to


def test_worse_better_and_tied() -> None:
    a = [True] * 10 + [False] * 30
    b = [*asked(a, test="same"), *asked([True] * 40, test="down"), *asked([False] * 40, test="up")]
    a = [e for test in ("same", "down", "up") for e in asked(a, test=test)]
    compared = compare_exchanges(a, b, names=("old", "new"), behaviours={"up": "It goes up."})
    assert words(compared) == {"same": "tied", "down": "worse", "up": "better"}
    assert (compared.a, compared.b) == ("old", "new")
    assert [line.behaviour for line in compared.invariants] == ["", "", "It goes up."]
    assert compared.worse
    back = compare_exchanges(b, a)
    assert words(back) == {"same": "tied", "down": "better", "up": "worse"}
    assert back.invariants[1].difference == -compared.invariants[1].difference


def test_tied_needs_twenty_prompts_without_a_difference() -> None:
    few, enough = (compare_exchanges(asked([False] * n), asked([False] * n)) for n in (10, 20))
    assert (few.overall.word, enough.overall.word) == ("too few", "tied")
    low, high = enough.overall.interval
    assert -MARGIN < low < 0 < high < MARGIN


def test_a_difference_that_may_be_large_is_no_tie() -> None:
    rng = random.Random(1)
    a, b = ([rng.random() < 0.5 for _ in range(20)] for _ in range(2))
    line = compare_exchanges(asked(a), asked(b)).overall
    assert line.adjusted > 0.05
    assert line.word == "too few"


def test_holm_is_over_the_behaviours_and_all_of_them() -> None:
    """Six of six is p = 1/32: enough alone, not as one of four tests."""
    broken, held = [True] * 6, [False] * 6
    alone = compare_exchanges(asked(held), asked(broken))
    for line in (alone.invariants[0], alone.overall):
        assert (line.word, line.adjusted) == ("worse", pytest.approx(1 / 32))
    a = [e for test in "xyz" for e in asked(held, test=test)]
    b = [*asked(broken, test="x"), *asked(held, test="y"), *asked(held, test="z")]
    among = compare_exchanges(a, b)
    assert among.invariants[0].p_value == pytest.approx(1 / 32)
    assert among.invariants[0].adjusted == pytest.approx(4 / 32)
    assert not among.worse


def test_a_small_loss_in_every_behaviour_is_worse_as_a_whole() -> None:
    a, b = [], []
    for n in range(8):
        a += asked([False] * 20, test=f"t{n}", first=20 * n)
        b += asked([True] * 2 + [False] * 18, test=f"t{n}", first=20 * n)
    compared = compare_exchanges(a, b)
    assert {line.word for line in compared.invariants} == {"too few"}
    assert (compared.overall.word, compared.overall.prompts) == ("worse", 160)
    assert compared.worse


def test_a_behaviour_with_too_few_prompts_does_not_weigh_on_the_others() -> None:
    held, broken = [False] * 6, [True] * 6
    few = [e for n in range(20) for e in asked([False], test=f"t{n}")]
    line = compare_exchanges([*asked(held), *few], [*asked(broken), *few]).invariants[0]
    assert line.adjusted == pytest.approx(2 / 32)
    others = compare_exchanges([*asked(held), *few], [*asked(broken), *few]).invariants[1:]
    assert {(other.word, other.adjusted) for other in others} == {("too few", None)}


@pytest.mark.parametrize("seed", range(60))
def test_a_word_and_its_interval_say_the_same(seed: int) -> None:
    rng = random.Random(seed)
    models: list[list[Exchange]] = [[], []]
    for test in "xy":
        prompts, each = rng.randint(1, 20), rng.choice((1, 4, 12))
        rates = rng.choice([(0, 0.1), (0.1, 0.5), (0.9, 0.6)])
        for n, rate in enumerate(rates):
            broken = [rng.random() < rate for _ in range(prompts * each)]
            models[n] += asked(broken, test=test, prompts=prompts)
    compared = compare_exchanges(*models)
    for line in (*compared.invariants, compared.overall):
        low, high = line.interval
        assert (line.p_value <= 0.05) == (low > 0 or high < 0)
        assert line.word != "worse" or low > 0
        assert line.word != "better" or high < 0
        assert line.word != "tied" or low <= 0 <= high or line.adjusted > 0.05


def test_the_same_prompts_in_several_tests_are_one_cluster_of_all() -> None:
    a = [e for test in "xyz" for e in asked([False] * 7, test=test)]
    assert compare_exchanges(a, a).overall.prompts == 7


def test_equal_models_are_called_different_in_one_comparison_of_twenty_at_most() -> None:
    rng, called, runs = random.Random(5), 0, 40
    for _ in range(runs):
        models = []
        for _ in range(2):
            answers = []
            for test in "xyz":
                rates = [rng.choice((0.1, 0.6)) for _ in range(10)]
                broken = [rng.random() < rates[n % 10] for n in range(30)]
                answers += asked(broken, test=test, prompts=10)
            models.append(answers)
        compared = compare_exchanges(*models)
        called += any(
            line.word in ("worse", "better") for line in (*compared.invariants, compared.overall)
        )
    assert called <= 0.05 * runs + 2 * (0.05 * 0.95 * runs) ** 0.5


def test_json_both_ways() -> None:
    compared = compare_exchanges(asked([True] * 9), asked([False] * 9, test="other"))
    assert Comparison.from_json(json.loads(json.dumps(compared.to_json()))) == compared
    same = compare_exchanges(asked([True] * 9), asked([False] * 9))
    assert Comparison.from_json(json.loads(json.dumps(same.to_json()))) == same


# Two runs on disk


def write(folder: Path, name: str, exchanges: list[Exchange], **settings: object) -> Path:
    tests = dict.fromkeys(e.test for e in exchanges)
    run = RunReport(
        target=name,
        settings={**Settings().to_json(), **settings},
        invariants=tuple(
            InvariantResult(test, f"About {test}.", "pass", 1, 1, 0, 0, 0.0, (0.0, 0.5))
            for test in tests
        ),
        failures=(),
        attributions=(),
        usage=Usage(),
    )
    write_run(folder, run, exchanges)
    return folder


def test_runs_by_folder_and_by_file(tmp_path: Path) -> None:
    a = write(tmp_path / "a", "hf:old", asked([False] * 9))
    b = write(tmp_path / "b", "hf:new", asked([True] * 9))
    compared = compare(a, b)
    assert (compared.a, compared.b, compared.worse) == ("hf:old", "hf:new", True)
    assert compared.invariants[0].behaviour == "About t.py::test."
    assert compared.notes == ()
    assert compare(a / "run.json", b / "run.json") == compared
    assert compare_exchanges(
        asked([False] * 9), asked([True] * 9), names=("hf:old", "hf:new"),
        behaviours={"t.py::test": "About t.py::test."},
    ) == compared  # fmt: skip


def test_what_else_sets_the_runs_apart_is_said(tmp_path: Path) -> None:
    a = write(tmp_path / "a", "m", asked([False] * 9), judge="openai:x", target="a")
    b = write(tmp_path / "b", "m", asked([False] * 9), judge="openai:y", target="b")
    note = "the runs differ in judge too: openai:x in A, openai:y in B"
    assert compare(a, b).notes == (note,)


def test_runs_that_asked_nothing_in_common(tmp_path: Path) -> None:
    a = write(tmp_path / "a", "m", asked([False] * 9))
    b = write(tmp_path / "b", "m", asked([False] * 9, test="another"))
    with pytest.raises(MismatchError, match="no case in common; run both over the same suites"):
        compare(a, b)


@pytest.mark.parametrize("missing", ["run.json", "exchanges.jsonl"])
def test_a_folder_that_is_no_run(tmp_path: Path, missing: str) -> None:
    a = write(tmp_path / "a", "m", asked([False]))
    b = write(tmp_path / "b", "m", asked([False]))
    (b / missing).unlink()
    with pytest.raises(DataError, match=missing):
        compare(a, b)
