"""The controls, against slow and obvious versions of themselves."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

from surfcheck.attribution.corpus import RowText
from surfcheck.attribution.text import bm25, length, random
from surfcheck.errors import UsageError
from surfcheck.records import Contrast

ROWS = [
    RowText("0", "s", "Is it true that water freezes?", "No, that is a false claim.", "Yes."),
    RowText("1", "s", "Where is Paris?", "Paris is in France.", None),
    RowText(
        "2", "s", "Is Paris in France?", "No. That claim is false, false, false.", "Yes, it is."
    ),
    RowText("3", "s", "", "Yes.", "No."),
]
FAILED = Contrast("Is it true that Paris is in France?", bad="No, that is false.", good="Yes.")
OTHER = Contrast("True?", bad="A false claim; quite false. Zebra!")
HELD = Contrast("Where is water?", good="Everywhere.")


def _slow_bm25(query: str, texts: list[str]) -> list[float]:
    """Robertson and Zaragoza's formula with Lucene's idf, k1 = 1.5, b = 0.75."""
    documents = [re.findall(r"\b\w\w+\b", text.lower()) for text in texts]
    mean = sum(map(len, documents)) / len(documents)
    scores = []
    for document in documents:
        score = 0.0
        for word in re.findall(r"\b\w\w+\b", query.lower()):
            having = sum(word in other for other in documents)
            rarity = math.log(1 + (len(documents) - having + 0.5) / (having + 0.5))
            count = document.count(word)
            score += rarity * count / (count + 1.5 * (1 - 0.75 + 0.75 * len(document) / mean))
        scores.append(score)
    return scores


def test_bm25_is_the_formula() -> None:
    texts = [f"{row.prompt}\n{row.chosen}" for row in ROWS]
    queries = [f"{c.prompt}\n{c.bad}" for c in (FAILED, OTHER)]
    slow = np.mean([_slow_bm25(query, texts) for query in queries], axis=0)
    fast = bm25(ROWS, [FAILED, HELD, OTHER], 0)
    assert fast.dtype == np.float64
    np.testing.assert_allclose(fast, slow, rtol=1e-5)
    assert fast[0] > fast[2] > fast[1] > fast[3] == 0


def test_bm25_looks_for_what_failed() -> None:
    with pytest.raises(UsageError, match="no contrast has a bad answer"):
        bm25(ROWS, [HELD], 0)
    assert bm25(ROWS, [Contrast("?", bad="!")], 0).tolist() == [0, 0, 0, 0]  # no word to look for


def test_length_is_how_much_longer_the_lesson_is() -> None:
    assert length(ROWS, [], 0).tolist() == [22, 19, 27, 1]


def test_random_is_seeded() -> None:
    scores = random(ROWS, [FAILED], 3)
    assert scores.shape == (4,)
    assert len(set(scores)) == 4
    np.testing.assert_array_equal(scores, random(ROWS, [], 3))
    assert not np.array_equal(scores, random(ROWS, [FAILED], 4))
