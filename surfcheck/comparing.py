"""Compare two models on the same cases, from the files of two runs or from their exchanges.

Exchanges are paired by test, prompt as written, prompt as asked, and sample. Those that a search
for the smallest failing prompt asked are left out: of the model that failed it kept the worst of
many. Which test is used when is said in `paired`; α, the chance of calling any behaviour better or
worse where the models do not differ, is shared by Holm's method among the behaviours and all of
them together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from surfcheck.comparison import MARGIN, Compared, Comparison, ComparisonWord
from surfcheck.errors import MismatchError
from surfcheck.paired import ALPHA, paired
from surfcheck.records import Exchange, Outcome
from surfcheck.report.json import read_exchanges, read_run
from surfcheck.statistics import holm

_CONFOUNDING = ("system", "judge", "seed", "examples", "samples")


class Pair(NamedTuple):
    """Both models' answers to one case."""

    test: str
    seed: str
    """The prompt as written: the cluster."""
    a: bool
    """Whether A broke the behaviour."""
    b: bool
    """Whether B did."""


def compare(run_a: Path, run_b: Path, *, seed: int = 0) -> Comparison:
    """Two runs, given by folder or by `run.json`.

    Raises DataError if one is no run, MismatchError if they asked nothing in common.
    """
    a, b = read_run(run_a), read_run(run_b)
    both = [read_exchanges(path if path.is_dir() else path.parent) for path in (run_a, run_b)]
    compared = compare_exchanges(
        *both,
        names=(a.target, b.target),
        behaviours={i.test: i.behaviour for run in (b, a) for i in run.invariants},
        seed=seed,
    )
    if not compared.overall.pairs:
        raise MismatchError(
            f"{run_a} and {run_b} judged no case in common; "
            "run both over the same suites with the same --surf-seed"
        )
    return replace(compared, notes=_apart(a.settings, b.settings))


def compare_exchanges(
    a: Iterable[Exchange],
    b: Iterable[Exchange],
    *,
    names: tuple[str, str] = ("A", "B"),
    behaviours: Mapping[str, str] | None = None,
    seed: int = 0,
) -> Comparison:
    """The judged exchanges of two models, each in the order of its run.

    Both must have been asked by the same rule. What a search asked counts for nothing.
    """
    answers_a, answers_b = _answers(a), _answers(b)
    pairs = list(_pairs(answers_a, answers_b))
    tests = list(dict.fromkeys(key.test for key in (*answers_a, *answers_b)))
    told = {} if behaviours is None else behaviours
    lines = [
        replace(
            _line(test, [pair for pair in pairs if pair.test == test], seed),
            behaviour=told.get(test, ""),
        )
        for test in tests
    ]
    *lines, overall = _judged(lines, _line("", pairs, seed))
    common = len(answers_a.keys() & answers_b.keys())
    return Comparison(
        a=names[0],
        b=names[1],
        invariants=tuple(lines),
        overall=overall,
        unpaired=len(answers_a) + len(answers_b) - 2 * common,
    )


class _Key(NamedTuple):
    test: str
    seed: str
    prompt: str
    sample: int
    turn: int
    """Runs on record without sample numbers have them all 0: there the order tells them apart."""


def _answers(exchanges: Iterable[Exchange]) -> dict[_Key, Outcome]:
    """Each answer once: the unchanged prompt's stands in the item of every perturbation."""
    seen: Counter[tuple[str, _Key]] = Counter()
    found: dict[_Key, Outcome] = {}
    for e in exchanges:
        if e.search:
            continue
        key = _Key(e.test, e.seed or e.prompt, e.prompt, e.sample, 0)
        again = e.perturbation, key
        found.setdefault(key._replace(turn=seen[again]), e.outcome)
        seen[again] += 1
    return found


def _pairs(a: Mapping[_Key, Outcome], b: Mapping[_Key, Outcome]) -> Iterable[Pair]:
    """The cases that both answered, where both answers could be judged."""
    for key, first in a.items():
        second = b.get(key, Outcome.UNDECIDED)
        if Outcome.UNDECIDED not in (first, second):
            yield Pair(key.test, key.seed, first is Outcome.VIOLATED, second is Outcome.VIOLATED)


def _line(test: str, pairs: Sequence[Pair], seed: int) -> Compared:
    """One behaviour without its word, which depends on all of them."""
    a, b = [pair.a for pair in pairs], [pair.b for pair in pairs]
    seeds = [pair.seed for pair in pairs]
    line = Compared(
        test=test,
        pairs=len(pairs),
        prompts=len(set(seeds)),
        only_a=sum(pair.a and not pair.b for pair in pairs),
        only_b=sum(pair.b and not pair.a for pair in pairs),
    )
    if not pairs:
        return line
    found = paired(a, b, seeds, seed=seed)
    return replace(
        line,
        rate_a=sum(a) / len(a),
        rate_b=sum(b) / len(b),
        difference=found.difference,
        interval=(found.low, found.high),
        p_value=found.p_value,
    )


def _judged(behaviours: Sequence[Compared], overall: Compared) -> list[Compared]:
    """Each line with its adjusted p and its word.

    A line with so few prompts that no answers could have shown a difference is not tested, and
    does not weigh on the others (Tarone 1990). Where all pairs are of one behaviour, `overall` is
    the same test again.
    """
    same = [line for line in behaviours if line.pairs == overall.pairs]
    family = [*behaviours, *([] if same else [overall])]
    family = [line for line in family if 2.0 ** (1 - line.prompts) <= ALPHA]
    shared = holm([line.p_value for line in family])
    adjusted = {line.test: p_value for line, p_value in zip(family, shared, strict=True)}
    if same and same[0].test in adjusted:
        adjusted[overall.test] = adjusted[same[0].test]
    lines = [replace(line, adjusted=adjusted.get(line.test)) for line in (*behaviours, overall)]
    return [replace(line, word=_word(line)) for line in lines]


def _word(line: Compared) -> ComparisonWord:
    if line.difference is None or line.interval is None:
        return "too few"
    if line.adjusted is not None and line.adjusted <= ALPHA:
        return "worse" if line.difference > 0 else "better"
    low, high = line.interval
    return "tied" if max(-low, high) < MARGIN else "too few"


def _apart(a: Mapping[str, Any], b: Mapping[str, Any]) -> tuple[str, ...]:
    """Settings that change what is asked or how it is judged, where the runs differ in them."""
    return tuple(
        f"the runs differ in {name} too: {a.get(name)} in A, {b.get(name)} in B"
        for name in _CONFOUNDING
        if a.get(name) != b.get(name)
    )
