"""What changed, where it changed, and whether that was news to the base.

The probe cannot tell a culprit from a twin that moves the answer the same way in a harmless place,
and sees nothing where every place moves its own way. The score of a row is a product of three
factors:

    what    how far chosen minus rejected goes the way that the contrasts went in places like this
            one, if it does; 1 for a demonstration, which has no rejected side
    where   how bad the answer that the row teaches is at its prompt, by every judged exchange,
            through a logistic function
    news    the odds that the base would have given another answer instead (`Rows.news`)

which are the factors of a gradient's inner product (output error times input) at the cost of a
forward pass: a pair that tells the base what it does anyway has taught it nothing. The first two
are kernel ridge regressions. `what` is 1 for each of the contrasts, and badness 1 for an exchange
that broke the behaviour and -1 for one that held, by

    k((p, c), (p', c')) = (1 + cos(p, p'))² c·c'                  prompt state p, change c
    k((p, r), (p', r')) = (1 + cos(p, p'))² (1 + cos(r, r'))      answer state r

after the corpus has half whitened them, so that what all rows share counts for little. For badness,
each seed prompt has an intercept of its own, as in a mixed model: that every variation of one
prompt broke is no reason to suspect what else is about its topic; that some broke and some held is.
Left out: the likelihood of a kernel, which prefers one that forgets the rarer exchanges.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import numpy as np
from scipy.special import expit

from surfcheck.attribution.activations import Floats
from surfcheck.attribution.evidence import Evidence, Table
from surfcheck.attribution.moments import Doubles, moments
from surfcheck.attribution.probe import Scores
from surfcheck.attribution.scan import TINY
from surfcheck.attribution.spaces import Space, space

RIDGE = 1.0
"""Of the mean diagonal of the kernel of exchanges; smooths over mislabelled ones."""
CONTRAST_RIDGE = 0.5
"""Of the mean diagonal of the kernel of contrasts, which are fewer and were told apart by twins."""
TOPIC = 0.5
"""Variance of a seed prompt's intercept, of the mean diagonal of the kernel."""
STEEPNESS = 4.0
"""How sharply badness (about -1 held, +1 bad) turns into a weight."""
WHITENING = 0.25
"""Power of the inverse variance that each direction is scaled by; 0.5 would be white."""


def conditional(evidence: Evidence, table: Table) -> Scores:
    """What, where and news of each row, multiplied [rows]."""
    layers = range(evidence.change.shape[1])
    what, where = np.mean([_at_layer(evidence, table, layer) for layer in layers], axis=0).T
    moved = np.where(table.is_pair, np.maximum(what, 0.0), 1.0)
    return np.asarray(moved * expit(STEEPNESS * where) * table.news, dtype=np.float64)


def _at_layer(evidence: Evidence, table: Table, layer: int) -> Doubles:
    """How far each row goes the contrasts' way, about 1 for one of them, and how bad the answer is
    that it teaches, about 1 where answers were bad and -1 where they held [rows, 2]."""
    place, answer = _half_white(table, "prompt", layer), _half_white(table, "chosen", layer)
    places = place.units(evidence.prompt[:, layer])
    answers = answer.units(evidence.response[:, layer])
    changes: Floats = evidence.change[:, layer] @ answer.scale
    m = len(changes)
    one_way = _one_way(_alike(places[:m], places[:m]) * (changes @ changes.T))
    badness = _badness(_alike(places, places) * (1.0 + answers @ answers.T), evidence)
    back = answer.scale @ changes.T
    found = []
    for rows in table.chunks(layers=slice(layer, layer + 1)):
        alike = _alike(place.units(rows.prompt[:, 0]), places)
        same = 1.0 + answer.units(rows.chosen[:, 0]) @ answers.T
        moved = alike[:, :m] * (rows.change[:, 0] @ back)
        found.append(np.stack([moved @ one_way, (alike * same) @ badness], axis=1))
    return np.concatenate(found)


@lru_cache(maxsize=16)  # a table is asked many times over: a null is as much work as a question
def _half_white(table: Table, side: Literal["prompt", "chosen"], layer: int) -> Space:
    return space(moments(table, side, layer), power=WHITENING)


def _alike(places: Floats, others: Floats) -> Floats:
    """Of places as unit vectors [n, d] and [m, d]: [n, m]."""
    alike: Floats = (1.0 + places @ others.T) ** 2
    return alike


def _one_way(kernel: Floats) -> Doubles:
    """Dual weights [m] for what is 1 for every contrast."""
    ridge = CONTRAST_RIDGE * kernel.diagonal().mean() + TINY
    weights = np.linalg.solve(kernel + ridge * np.eye(len(kernel)), np.ones(len(kernel)))
    return np.asarray(weights, dtype=np.float64)


def _badness(kernel: Floats, evidence: Evidence) -> Doubles:
    """Dual weights [n] for labels 1 bad and -1 held, both classes weighing the same."""
    bad, size = evidence.bad, kernel.diagonal().mean()
    labels = np.where(bad, 1.0, -1.0)
    counts = np.where(bad, bad.sum(), (~bad).sum())
    # A rarer class gets a smaller ridge: weighted least squares in dual form.
    penalty = RIDGE * size * counts / counts.mean()
    topics = TOPIC * size * (evidence.seed[:, None] == evidence.seed[None])
    weights = np.linalg.solve(kernel + topics + np.diag(penalty), labels)
    return np.asarray(weights, dtype=np.float64)
