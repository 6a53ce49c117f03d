"""Several behaviours in one set of changes: a tree of what is alike, and where it divides.

A test can break in more ways than one, and a training changes more than one thing. The cosines of
the changes (bad answer minus good one, mean over layers) are clustered by Ward's linkage, as "In-
the-Wild Model Organisms" (2602.11079) clusters behaviours. A tree divides anything, so two sides of
it are two behaviours only if each points somewhere and they point to unrelated places:

    alike(A)                                    mean cosine of two different changes of A
    alike(A, B) / sqrt(alike(A) alike(B))       cosine of the directions of A and B, freed of the
                                                noise of single changes (Spearman 1904)

A refusal that became a list and one that became a poem are clusters far apart, and both lead away
from refusing: one behaviour. What unrelated changes have in common is drawn from the data: changes
between answers to different questions. Left out: a change that shows two behaviours at once.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.cluster.hierarchy import ClusterNode, leaves_list, linkage, to_tree
from scipy.spatial.distance import squareform

from surfcheck.attribution.activations import Floats
from surfcheck.attribution.evidence import Table
from surfcheck.attribution.scan import unit

FEWEST = 6
"""Changes that a behaviour has at least."""
RELATED = 0.1
"""Share of unrelated changes that are more alike than `limit`: what is less alike is unrelated."""
PAIRS = 1000
"""Unrelated changes that `limit` is drawn from."""
POOL = 1000
"""Answers of the data that unrelated changes are drawn from."""

Numbers = npt.NDArray[np.int64]


class Part(NamedTuple):
    """Changes that show one behaviour."""

    members: Numbers
    """Their numbers, the most central first."""
    alike: float
    """Mean cosine of two different ones."""


def split(change: Floats, limit: float) -> list[Part]:
    """Changes [m, L, d] as behaviours, every one in one of them; the largest first.

    Divides only what is surely two: each side more alike than `limit`, their directions less.
    """
    tree = Tree(change)
    parts: list[Numbers] = []
    waiting = [tree.root]
    while waiting:
        node = waiting.pop()
        one, other = _sides(node)
        if one is None or other is None or node.count < 2 * FEWEST:
            parts.append(_members(node))
        elif other.count < FEWEST:  # too few to be a behaviour: they go where they are nearest
            waiting.append(one)
        elif tree.divides(_members(one), _members(other), limit):
            waiting += [one, other]
        else:
            parts.append(_members(node))
    return tree.ordered(tree.whole(parts))


def stand_out(change: Floats, limit: float) -> list[Part]:
    """The behaviours among changes [m, L, d] of which most may show none; the largest first.

    Goes down the tree to what is more alike than `limit` and does not divide; the rest is left.
    """
    tree = Tree(change)
    found: list[Numbers] = []
    waiting = [tree.root]
    while waiting:
        node = waiting.pop()
        one, other = _sides(node)
        if node.count < FEWEST or one is None or other is None:
            continue
        if other.count >= FEWEST and tree.divides(_members(one), _members(other), limit):
            waiting += [one, other]
        elif tree.alike(_members(node)) > limit:
            found.append(_members(node))
        else:
            waiting += [one, other]
    return tree.ordered(found)


class Tree:
    """Ward's tree of changes [m, L, d], and how much alike its branches are."""

    def __init__(self, change: Floats) -> None:
        flat = unit(change).reshape(len(change), -1) / np.sqrt(np.float32(change.shape[1]))
        self.cosines = np.asarray(flat @ flat.T, dtype=np.float64)
        """Of the changes, mean over layers [m, m]; 0 with one that changes nothing."""
        size = np.diag(self.cosines)
        squares = np.maximum(size[:, None] + size - 2.0 * self.cosines, 0.0)
        np.fill_diagonal(squares, 0.0)
        apart = squareform(np.sqrt(squares), checks=False)
        self._links = linkage(apart, "ward") if len(change) > 1 else None
        self.root = ClusterNode(0) if self._links is None else to_tree(self._links)

    @property
    def order(self) -> Numbers:
        """The changes as the tree puts them side by side [m]."""
        leaves = np.zeros(1) if self._links is None else leaves_list(self._links)
        return np.asarray(leaves, dtype=np.int64)

    def alike(self, members: Numbers) -> float:
        """Mean cosine of two different ones; 1 of a single one."""
        n = len(members)
        within = self.cosines[np.ix_(members, members)]
        return float((within.sum() - np.trace(within)) / (n * (n - 1))) if n > 1 else 1.0

    def divides(self, one: Numbers, other: Numbers, limit: float) -> bool:
        """Whether these are two behaviours."""
        alike = self.alike(one), self.alike(other)
        if min(alike) <= max(limit, 0.0):
            return False
        between = self.cosines[np.ix_(one, other)].mean()
        return bool(between / np.sqrt(alike[0] * alike[1]) < limit)

    def whole(self, parts: list[Numbers]) -> list[Numbers]:
        """The parts, with each change that is in none put to those that it is most like."""
        left = np.setdiff1d(np.arange(len(self.cosines)), np.concatenate(parts))
        nearness = np.array([self.cosines[np.ix_(left, part)].mean(axis=1) for part in parts])
        nearest = nearness.argmax(axis=0)
        return [np.append(part, left[nearest == i]) for i, part in enumerate(parts)]

    def ordered(self, parts: list[Numbers]) -> list[Part]:
        """The largest first, and in each the most central first."""
        central = [
            part[np.argsort(-self.cosines[np.ix_(part, part)].sum(axis=1), kind="stable")]
            for part in parts
        ]
        largest = sorted(central, key=lambda part: (-len(part), int(part.min())))
        return [Part(part, self.alike(part)) for part in largest]


def answers(table: Table, rng: np.random.Generator) -> Floats:
    """Some of the answers that the data teaches [n, L, d]."""
    size = min(POOL, len(table))
    return table.some(np.sort(rng.choice(len(table), size, replace=False))).chosen


def unrelated(pool: Floats, count: int, rng: np.random.Generator) -> Floats:
    """Changes between answers to different questions [count, L, d]."""
    one, other = rng.integers(len(pool), size=(2, count))
    changes: Floats = pool[one] - pool[other]
    return changes


def limit_of(pool: Floats, rng: np.random.Generator) -> float:
    """The cosine, mean over layers, that only `RELATED` of unrelated changes exceed."""
    changes = unit(unrelated(pool, PAIRS, rng))
    cosines = [np.einsum("ld,ld->l", one, other).mean() for one, other in pairwise(changes)]
    return float(np.quantile(cosines, 1.0 - RELATED))


def _sides(node: ClusterNode) -> tuple[ClusterNode | None, ClusterNode | None]:
    """Its two branches, the larger first; none of a leaf."""
    one, other = node.left, node.right
    if one is not None and other is not None and one.count < other.count:
        return other, one
    return one, other


def _members(node: ClusterNode) -> Numbers:
    return np.asarray(node.pre_order(), dtype=np.int64)
