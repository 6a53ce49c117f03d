"""What changed, where it changed, and whether that was news to the base.

The probe cannot tell a culprit from a twin that moves the answer the same way in a harmless place.
What held can: every judged exchange of a run says of a (prompt, answer) whether it is bad. A
kernel ridge regression learns that badness from pairs of states,

    k((p, r), (p', r')) = (1 + cos(p, p'))² (1 + cos(r, r'))     prompt state p, answer state r

centred on the corpus and half whitened by it, so that what all rows share counts for little. Each
seed prompt has an intercept of its own, as in a mixed model: that every variation of one prompt
broke is no reason to suspect what else is about its topic; that some broke and some held is. The
score of a row is a product of three factors:

    what    the probe's cosine, if positive; 1 for a demonstration, which has no rejected side
    where   the badness of the answer that the row teaches, through a logistic function
    news    the odds that the base would have given the rejected answer instead (`Rows.news`)

which are the factors of a gradient's inner product (output error times input) at the cost of a
forward pass: a pair that tells the base what it does anyway has taught it nothing.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from surfcheck.attribution.activations import Floats
from surfcheck.attribution.evidence import Evidence, Rows
from surfcheck.attribution.probe import Scores, probe, unit

RIDGE = 1.0
"""Of the mean diagonal of the kernel; smooths over mislabelled exchanges."""
TOPIC = 0.5
"""Variance of a seed prompt's intercept, of the mean diagonal of the kernel."""
STEEPNESS = 4.0
"""How sharply badness (about -1 held, +1 bad) turns into a weight."""
WHITENING = 0.25
"""Power of the inverse variance that each direction is scaled by; 0.5 would be white."""
FLOOR = 0.1
"""Of the mean variance, added to each before whitening: directions below it are noise."""


def conditional(evidence: Evidence, rows: Rows) -> Scores:
    """What, where and news of each row, multiplied [rows]."""
    what = np.where(rows.is_pair, np.maximum(probe(evidence, rows), 0.0), 1.0)
    what[~rows.change.any(axis=(1, 2))] = 0.0  # nothing can be said of a row without a token
    where = 1.0 / (1.0 + np.exp(-STEEPNESS * teaches_bad(evidence, rows)))
    return np.asarray(what * where * rows.news, dtype=np.float64)


def teaches_bad(evidence: Evidence, rows: Rows) -> Scores:
    """How bad the answer that a row teaches is, by the judged exchanges; mean over layers [rows].

    About +1 where the run's answers were bad, -1 where they held.
    """
    badness = [_at_layer(evidence, rows, layer) for layer in range(rows.prompt.shape[1])]
    return np.asarray(np.mean(badness, axis=0), dtype=np.float64)


def _at_layer(evidence: Evidence, rows: Rows, layer: int) -> Scores:
    where, places = _whitened(rows.prompt[:, layer], evidence.prompt[:, layer])
    taught, answers = _whitened(rows.chosen[:, layer], evidence.response[:, layer])
    weights = _ridge(_kernel(places, places, answers, answers), evidence)
    return np.asarray(_kernel(where, places, taught, answers) @ weights, dtype=np.float64)


def _whitened(corpus: Floats, exchanges: Floats) -> tuple[Floats, Floats]:
    """Both [n, d] as unit vectors, centred and scaled along the corpus's axes."""
    mean = corpus.mean(axis=0)
    variances, axes = np.linalg.eigh(np.cov(corpus, rowvar=False, bias=True))
    variances = np.maximum(variances, 0.0)
    scale = (variances + FLOOR * variances.mean() + np.finfo(np.float64).tiny) ** -WHITENING
    whiten = (axes * scale) @ axes.T
    return unit((corpus - mean) @ whiten), unit((exchanges - mean) @ whiten)


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
