"""What changed, where it changed, and whether that was news to the base.

The probe cannot tell a culprit from a twin that moves the answer the same way in a harmless place.
What held can: every judged exchange of a run says of a (prompt, answer) whether it is bad. A
kernel ridge regression learns that badness from pairs of states,

    k((p, r), (p', r')) = (1 + cos(p, p'))² (1 + cos(r, r'))     prompt state p, answer state r

centred on the corpus and half whitened by it, so that what all rows share counts for little. Each
seed prompt has an intercept of its own, as in a mixed model: that every variation of one prompt
broke is no reason to suspect what else is about its topic; that some broke and some held is. The
score of a row is a product of three factors:

    what    how much worse the chosen answer is than the rejected one, if it is; 1 for a
            demonstration, which has no rejected side
    where   the badness of the answer that the row teaches, through a logistic function
    news    the odds that the base would have given another answer instead (`Rows.news`)

which are the factors of a gradient's inner product (output error times input) at the cost of a
forward pass: a pair that tells the base what it does anyway has taught it nothing.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from surfcheck.attribution.activations import Floats
from surfcheck.attribution.evidence import Evidence, Table
from surfcheck.attribution.moments import moments
from surfcheck.attribution.probe import Scores
from surfcheck.attribution.spaces import Space, space

RIDGE = 1.0
"""Of the mean diagonal of the kernel; smooths over mislabelled exchanges."""
TOPIC = 0.5
"""Variance of a seed prompt's intercept, of the mean diagonal of the kernel."""
STEEPNESS = 4.0
"""How sharply badness (about -1 held, +1 bad) turns into a weight."""
WHITENING = 0.25
"""Power of the inverse variance that each direction is scaled by; 0.5 would be white."""


def conditional(evidence: Evidence, table: Table) -> Scores:
    """What, where and news of each row, multiplied [rows]."""
    taught, other = badness(evidence, table)
    what = np.where(table.is_pair, np.maximum(taught - other, 0.0), 1.0)
    return np.asarray(what * expit(STEEPNESS * taught) * table.news, dtype=np.float64)


def badness(evidence: Evidence, table: Table) -> npt.NDArray[np.float64]:
    """How bad the answer that a row teaches is, and how bad what it is taught instead of, by the
    judged exchanges; mean over layers [2, rows].

    About +1 where the run's answers were bad, -1 where they held. What a demonstration is taught
    instead of is the mean answer of all of them.
    """
    layers = range(evidence.change.shape[1])
    found = [_at_layer(evidence, table, layer) for layer in layers]
    return np.asarray(np.mean(found, axis=0), dtype=np.float64)


def _at_layer(evidence: Evidence, table: Table, layer: int) -> npt.NDArray[np.float64]:
    place, answer = _half_white(table, "prompt", layer), _half_white(table, "chosen", layer)
    places = place.units(evidence.prompt[:, layer])
    answers = answer.units(evidence.response[:, layer])
    weights = _ridge(_kernel(places, places, answers, answers), evidence)
    found = []
    for rows in table.chunks(layers=slice(layer, layer + 1)):
        where, chosen = place.units(rows.prompt[:, 0]), rows.chosen[:, 0]
        sides = (answer.units(side) for side in (chosen, chosen - rows.change[:, 0]))
        found.append([_kernel(where, places, side, answers) @ weights for side in sides])
    return np.concatenate(found, axis=1)


@lru_cache(maxsize=16)  # a table is asked many times over: a null is as much work as a question
def _half_white(table: Table, side: Literal["prompt", "chosen"], layer: int) -> Space:
    return space(moments(table, side, layer), power=WHITENING)


def _kernel(
    places: Floats, other_places: Floats, answers: Floats, other_answers: Floats
) -> npt.NDArray[np.float64]:
    """[n, m] from unit vectors [n, d] and [m, d]."""
    same_place, same_answer = places @ other_places.T, answers @ other_answers.T
    return np.asarray((1.0 + same_place) ** 2 * (1.0 + same_answer), dtype=np.float64)


def _ridge(kernel: npt.NDArray[np.float64], evidence: Evidence) -> npt.NDArray[np.float64]:
    """Dual weights [n] for labels +1 bad and -1 held, both classes weighing the same."""
    bad, size = evidence.bad, np.trace(kernel) / len(kernel)
    labels = np.where(bad, 1.0, -1.0)
    counts = np.where(bad, bad.sum(), (~bad).sum())
    # A rarer class gets a smaller ridge: weighted least squares in dual form.
    penalty = RIDGE * size * counts / counts.mean()
    topics = TOPIC * size * (evidence.seed[:, None] == evidence.seed[None])
    weights = np.linalg.solve(kernel + topics + np.diag(penalty), labels)
    return np.asarray(weights, dtype=np.float64)
