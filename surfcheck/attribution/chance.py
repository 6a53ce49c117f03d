"""Three questions to chance: do the contrasts mean anything, the scores, the rows put first?

    the labels   bad and good swapped at random, all contrasts of a seed prompt at once. Exact if
                 the two are exchangeable. The statistic is how alike the contrasts are, and how
                 much more rows that were news, at prompts like theirs, teach bad over good than
                 good over bad: a behaviour in which every case moves its own way has only that.
    the scores   the method once more, with unrelated answers in place of the bad and the good ones:
                 the contrasts are as many, at the same prompts, of seed prompts as many, and mean
                 nothing. The statistic is the mean score of the rows put first. Exact where the
                 contrasts come from such a draw; for a method that is a function of the evidence.
    the rows     random rows of the same sources and lengths in place of those put first. The
                 statistic is their mean cosine with the contrasts. Exact for a ranking that does
                 not look at the behaviour; for rankings that are no function of the evidence.

A finding has to pass the first and one of the others, so the larger p-value counts: it is uniform
where one of the two nulls is true, and larger than uniform where both are (an intersection-union
test). None of them can tell a cause from a row that teaches the same rightly: a retraining can.

The scores are asked of a sample of rows, of states projected at random to `NARROW` numbers where
they are wider, and of some of what held, the true evidence like the drawn: the test stays exact and
costs about the same for any index. A behaviour taught by fewer rows than a sample shows is missed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from surfcheck.attribution.corpus import RowText
from surfcheck.attribution.evidence import Evidence, Rows, Table
from surfcheck.attribution.probe import Scores, probe
from surfcheck.attribution.scan import Floats, unit

DRAWS = 999
"""Of swapped labels, and of random rows; the smallest p-value is 1 / 1000."""
RESCORED = 199
"""Draws of unrelated contrasts; each costs the method once over the sample."""
SAMPLE = 1024
"""Rows that are scored again, or that random rows are drawn from."""
NARROW = 128
"""Numbers of a state in which rows are scored again."""
HELD = 128
"""Exchanges that held, in evidence that is scored again."""
ENOUGH = 64
"""Answers that held, to draw unrelated ones from; with fewer, those of the data are drawn from."""
FEWEST_TO_SWAP = 7
"""With fewer seed prompts, swapping can't reach 0.01: one way of 2 ** 6 is more than that."""
TEACHERS = 3
"""Sampled rows, each way round, that say what is taught at a seed prompt."""
FIRST_SHARE, FIRST_LEAST = 0.01, 10
"""Of the rows: those that a ranking puts first."""
LENGTHS = 4
"""Strata of length within a source."""
_CHUNK = 256  # rows of the full width in memory

Method = Callable[[Evidence, Table], Scores]
Doubles = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int_]


@dataclass(frozen=True, slots=True)
class Rescored:
    """Scores of sampled rows, by the evidence and by draws of unrelated evidence."""

    true: Doubles
    """By the evidence [n]."""
    null: Doubles
    """By each draw [draws, n]."""
    p_value: float
    """Chance that unrelated contrasts score the rows that they put first as high."""


def chance(evidence: Evidence, table: Table, *, seed: int) -> float:
    """Probability that contrasts without a meaning are as much alike, and as much taught, as these.

    By swapped labels, all of them where they are few; with fewer than `FEWEST_TO_SWAP` seed prompts
    by as many changes between unrelated answers. That null is another one: a few labels swapped at
    random are all the right way round too often for any test at 0.01.
    """
    rng = np.random.default_rng(seed)
    narrow = _narrow(evidence.change.shape[-1], rng)
    changes, places = _by_seed(evidence)
    some, seeds = _sample(table, rng, narrow), len(changes)
    if seeds < FEWEST_TO_SWAP:
        observed, pool = unit(changes @ narrow), _answers(evidence, some.chosen, narrow)
        one, other = rng.integers(len(pool), size=(2, DRAWS, seeds))
        drawn = zip(one, other, strict=True)
        means = np.stack([unit(pool[i] - pool[j]).mean(axis=0) for i, j in drawn])
        return tail(_alike(observed.mean(axis=0)[None])[0], _alike(means))
    if 2**seeds <= DRAWS + 1:
        signs = 1.0 - 2.0 * (np.arange(2**seeds)[:, None] >> np.arange(seeds) & 1)
    else:
        drawn_signs = rng.choice((-1.0, 1.0), size=(DRAWS, seeds))
        signs = np.concatenate([np.ones((1, seeds)), drawn_signs])
    swapped = np.einsum("km,mld->kld", signs, changes, optimize=True) / seeds
    statistic = _alike(swapped) + signs @ _taught(changes @ narrow, places @ narrow, some) / seeds
    return tail(statistic[0], statistic[1:])


def rescore(method: Method, evidence: Evidence, table: Table, *, seed: int) -> Rescored:
    """The method by the evidence and by `RESCORED` draws of unrelated contrasts."""
    rng = np.random.default_rng(seed)
    narrow = _narrow(evidence.change.shape[-1], rng)
    some = _sample(table, rng, narrow)
    shown, m = np.arange(len(evidence.bad)), 2 * len(evidence.change)
    kept = np.concatenate([shown[:m], m + rng.permutation(len(shown) - m)[:HELD]])
    response = evidence.response[kept] @ narrow
    change = response[: m // 2] - response[m // 2 : m]  # from one good answer, as in a draw
    fewer = Evidence(
        evidence.prompt[kept] @ narrow, response, evidence.bad[kept], change, evidence.seed[kept]
    )
    answers = _answers(evidence, some.chosen, narrow)
    true = method(fewer, some)
    null = np.stack([method(unrelated(fewer, answers, rng), some) for _ in range(RESCORED)])
    return Rescored(true, null, tail(_first(true[None])[0], _first(null)))


def unrelated(evidence: Evidence, answers: Floats, rng: np.random.Generator) -> Evidence:
    """The evidence with random answers [k, L, d] for the bad and for the good ones of each seed
    prompt; what held stays."""
    m = len(evidence.change)
    prompts = np.unique(evidence.seed[:m], return_inverse=True)[1]
    one, other = rng.integers(len(answers), size=(2, prompts.max() + 1))
    bad, good = answers[one[prompts]], answers[other[prompts]]
    response = np.concatenate([bad, good, evidence.response[2 * m :]])
    return replace(evidence, response=response, change=bad - good)


def matched(
    scores: Scores, evidence: Evidence, table: Table, texts: Callable[[Numbers], Sequence[RowText]],
    *, seed: int,
) -> float:  # fmt: skip
    """Chance that random rows of the same sources and lengths go with the contrasts as much as
    those that a ranking puts first."""
    rng = np.random.default_rng(seed)
    first = np.argsort(-scores, kind="stable")[: first_rows(len(scores))]
    others = np.setdiff1d(np.arange(len(scores)), first)
    others = rng.permutation(others)[: max(SAMPLE, len(first))]
    numbers = np.concatenate([first, others])
    strata = _strata(texts(numbers))
    cosines = np.concatenate([probe(evidence, table.some(part)) for part in _parts(numbers)])
    sets = np.zeros(DRAWS)
    for stratum in np.unique(strata[: len(first)]):
        there = cosines[strata == stratum]
        wanted = int((strata[: len(first)] == stratum).sum())
        ranks = rng.random((DRAWS, len(there))).argsort(axis=1)[:, :wanted]
        sets += there[ranks].sum(axis=1)
    return tail(float(cosines[: len(first)].sum()), sets)


def first_rows(rows: int) -> int:
    """How many of so many rows a ranking puts first."""
    return min(rows, max(FIRST_LEAST, round(FIRST_SHARE * rows)))


def tail(observed: float, null: Doubles) -> float:
    """Share of draws that reach what was observed, which counts as one; equal to rounding is
    equal."""
    reached = null >= observed - 1e-6 * abs(observed)
    return float((1 + reached.sum()) / (1 + len(null)))


def _by_seed(evidence: Evidence) -> tuple[Floats, Floats]:
    """The mean direction of each seed prompt's changes, what says the same once, and its mean place
    [2, g, L, d]."""
    changes = unit(evidence.change)
    numbers = evidence.seed[: len(changes)]
    each = [numbers == n for n in np.unique(numbers)]
    means = unit(np.stack([changes[same].mean(axis=0) for same in each]))
    places = np.stack([evidence.prompt[: len(changes)][same].mean(axis=0) for same in each])
    flat = np.round(means.reshape(len(means), -1), 5)
    once = np.unique(flat, axis=0, return_index=True)[1]
    return means[once], places[once]


def _taught(changes: Floats, places: Floats, rows: Rows) -> Doubles:
    """How much more rows go the way of each change [g, L, d] than against it, by the few that do
    most: cosine, times news, times how like the places [g, L, d] are; -1 to 1 [g]."""
    usual = rows.prompt.mean(axis=0)
    same = np.einsum("gld,rld->glr", unit(places - usual), unit(rows.prompt - usual))
    along = np.einsum("gld,rld->glr", unit(changes), unit(rows.change))
    taught = (((1.0 + same) / 2.0) ** 2 * along).mean(axis=1) * rows.news
    ranked = np.sort(taught, axis=1)
    found = ranked[:, -TEACHERS:].mean(axis=1) + ranked[:, :TEACHERS].mean(axis=1)
    return np.asarray(found, dtype=np.float64)


def _alike(means: Floats) -> Doubles:
    """Length of a mean of unit changes [k, L, d], over layers [k]: 1 if all point one way."""
    return np.asarray(np.linalg.norm(means, axis=-1).mean(axis=-1), dtype=np.float64)


def _first(scores: Doubles) -> Doubles:
    """Mean score of the rows that each ranking [k, n] puts first [k]."""
    return np.asarray(np.sort(scores, axis=1)[:, -first_rows(scores.shape[1]) :].mean(axis=1))


def _sample(table: Table, rng: np.random.Generator, narrow: Floats) -> Rows:
    """Random rows, all if they are few, of states times `narrow` [d, k]."""
    numbers = np.sort(rng.permutation(len(table))[:SAMPLE])
    parts = [table.some(part) for part in _parts(numbers)]
    prompt, chosen, change = (
        np.concatenate([getattr(part, side) @ narrow for part in parts])
        for side in ("prompt", "chosen", "change")
    )
    return Rows(prompt, chosen, change, table.is_pair[numbers], table.news[numbers])


def _parts(numbers: Numbers) -> list[Numbers]:
    return np.array_split(numbers, -(-len(numbers) // _CHUNK))


def _narrow(width: int, rng: np.random.Generator) -> Floats:
    """A random projection [width, NARROW] that keeps angles about as they are; of states that are
    narrow already, none."""
    if width <= NARROW:
        return np.eye(width, dtype=np.float32)
    axes = np.linalg.qr(rng.normal(size=(width, NARROW)))[0]
    return np.asarray(axes * (width / NARROW) ** 0.5, dtype=np.float32)


def _answers(evidence: Evidence, chosen: Floats, narrow: Floats) -> Floats:
    """Answers that have nothing to do with the behaviour: those that held, else the data's."""
    held = evidence.response[2 * len(evidence.change) :]
    return held @ narrow if len(held) >= ENOUGH else chosen


def _strata(texts: Sequence[RowText]) -> Numbers:
    """Source and quarter of length, by which the better answer is longer, as a number [n]."""
    sources = np.unique([row.source for row in texts], return_inverse=True)[1]
    lengths = np.array([len(row.chosen) - len(row.rejected or "") for row in texts])
    quarters = np.zeros(len(texts), dtype=np.int64)
    for source in np.unique(sources):
        there = np.flatnonzero(sources == source)
        order = np.argsort(lengths[there], kind="stable")
        quarters[there[order]] = np.arange(len(there)) * LENGTHS // len(there)
    return np.asarray(sources * LENGTHS + quarters, dtype=np.int64)
