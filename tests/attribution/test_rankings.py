"""Fusions and measures of rankings against their definitions, and the files they are read from."""

from __future__ import annotations

import json
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

from surfcheck.attribution.ranking import Ranking, read_ranking
from surfcheck.attribution.rankings import (
    Agreement,
    borda,
    combine,
    compare,
    overlap,
    rank_biased_overlap,
    reciprocal_ranks,
    spearman,
)
from surfcheck.errors import DataError, InfrastructureError, MismatchError, UsageError


def written(path: Path, scores: dict[str, float]) -> Path:
    """A ranking file, as `attribute` writes it."""
    ids = list(scores)
    ranking = Ranking.of(ids, ["s"] * len(ids), np.array(list(scores.values())))
    with path.open("wb") as file:
        ranking.write(file)
    return path


def test_reciprocal_ranks_are_the_papers_sum_over_rankings() -> None:
    one, other = np.array([0.9, 0.1, 0.5]), np.array([3.0, 2.0, 1.0])
    expected = [(1 / 61 + 1 / 61) / 2, (1 / 63 + 1 / 62) / 2, (1 / 62 + 1 / 63) / 2]
    np.testing.assert_allclose(reciprocal_ranks([one, other]), expected)
    np.testing.assert_allclose(reciprocal_ranks([one], smoothing=0.0), [1, 1 / 3, 1 / 2])


def test_a_first_place_counts_more_by_reciprocal_ranks_than_by_counts() -> None:
    once_first, always_second = 3, 7
    one, other = np.arange(100.0), np.arange(100.0)
    one[[once_first, always_second]] = 1001, 1000
    other[[once_first, always_second]] = -1, 1000
    by_rank, by_count = reciprocal_ranks([one, other], smoothing=0.0), borda([one, other])
    assert by_rank[once_first] < by_rank[always_second]  # it is the first of `other`
    other[50] = 2000
    by_rank = reciprocal_ranks([one, other], smoothing=0.0)
    assert by_rank[once_first] > by_rank[always_second]
    assert by_count[once_first] < by_count[always_second]


def test_borda_is_the_share_of_rows_beaten() -> None:
    scores = [np.array([3.0, 1.0, 2.0, 2.0]), np.array([4.0, 3.0, 2.0, 1.0])]
    expected = [
        np.mean([((s[i] > s).sum() + 0.5 * ((s == s[i]).sum() - 1)) / 3 for s in scores])
        for i in range(4)
    ]
    np.testing.assert_allclose(borda(scores), expected)
    assert borda([np.array([5.0])]) == [0.0]


def test_ties_do_not_depend_on_the_order_of_the_rows() -> None:
    scores = [np.array([1.0, 0.0, 0.0, 1.0]), np.array([0.0, 2.0, 2.0, 2.0])]
    for fuse in (reciprocal_ranks, borda):
        forward, backward = fuse(scores), fuse([s[::-1] for s in scores])
        np.testing.assert_allclose(forward, backward[::-1])
        assert forward[1] == forward[2]


def test_spearman_is_the_correlation_of_ranks() -> None:
    one = np.array([0.1, 0.4, 0.2, 0.9])
    assert spearman(one, np.exp(one)) == pytest.approx(1.0)
    assert spearman(one, -one) == pytest.approx(-1.0)
    differences = np.array([1, 3, 2, 4]) - np.array([2, 1, 4, 3])
    expected = 1 - 6 * (differences**2).sum() / (4 * 15)
    assert spearman(one, np.array([2.0, 1.0, 4.0, 3.0])) == pytest.approx(expected)
    assert spearman(one, np.ones(4)) is None
    assert spearman(one[:1], one[:1]) is None


def test_overlap_counts_what_both_have_among_the_first() -> None:
    assert overlap("abcdef", "abcdef", 3) == 1.0
    assert overlap("abcdef", "fedcba", 3) == 0.0
    assert overlap("abcdef", "cxaybz", 3) == pytest.approx(2 / 3)


@pytest.mark.parametrize("persistence", [0.5, 0.9])
def test_rank_biased_overlap_is_its_definition(persistence: float) -> None:
    """The infinite sum over depths, where below the last all is agreed."""
    one = "abcde"
    for other in permutations(one):
        depths = range(1, 400)
        agreed = [len(set(one[:d]) & set(other[:d])) / min(d, 5) for d in depths]
        weights = [(1 - persistence) * persistence ** (d - 1) for d in depths]
        expected = float(np.dot(weights, agreed))
        found = rank_biased_overlap(one, other, persistence=persistence)
        assert found == pytest.approx(expected, abs=1e-9)


def test_rank_biased_overlap_weighs_the_first_rows_most() -> None:
    rows = list(range(1000))
    early, late = rows.copy(), rows.copy()
    early[:10], late[-10:] = reversed(early[:10]), reversed(late[-10:])
    assert rank_biased_overlap(rows, rows) == pytest.approx(1.0)
    assert rank_biased_overlap(rows, early) < rank_biased_overlap(rows, late) < 1.0


def test_a_ranking_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", {"x": 0.25, "y": 1.0, "z": 0.25})
    ranking = read_ranking(path)
    assert ranking == Ranking(("y", "x", "z"), ("s",) * 3, (1.0, 0.25, 0.25))
    lines = path.read_text().splitlines()
    assert json.loads(lines[0]) == {"rank": 1, "id": "y", "source": "s", "score": 1.0}
    path.write_text("\n\n".join(reversed(lines)))
    assert read_ranking(path) == ranking  # the ranks say the order


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "is no JSON"),
        ("[]", "has no whole `rank` or no text `id`"),
        ('{"rank": 1.5, "id": "b", "source": "s", "score": 1}', "has no whole `rank`"),
        ('{"rank": 2, "id": 3, "source": "s", "score": 1}', "no text `id`"),
        ('{"rank": 2, "id": "b", "score": 1}', "has no text `source`"),
        ('{"rank": 2, "id": "b", "source": "s"}', "has no finite `score`"),
        ('{"rank": 2, "id": "b", "source": "s", "score": true}', "has no finite `score`"),
        ('{"rank": 2, "id": "b", "source": "s", "score": NaN}', "has no finite `score`"),
        ('{"rank": 2, "id": "a", "source": "s", "score": 1}', "already ranked in line 1"),
    ],
)
def test_a_line_that_is_no_rank_is_named(tmp_path: Path, line: str, reason: str) -> None:
    path = written(tmp_path / "a.jsonl", {"a": 1.0})
    path.write_text(f"{path.read_text()}{line}\n")
    with pytest.raises(DataError, match=f"a.jsonl:2: .*{reason}"):
        read_ranking(path)


def test_a_ranking_that_is_not_there_or_empty_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such ranking"):
        read_ranking(tmp_path / "none.jsonl")
    with pytest.raises(UsageError, match="can't be read"):
        read_ranking(tmp_path)
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(DataError, match="ranks no row"):
        read_ranking(tmp_path / "empty.jsonl")


def test_files_are_combined_by_id(tmp_path: Path) -> None:
    a = written(tmp_path / "a.jsonl", {"x": 3.0, "y": 2.0, "z": 1.0})
    b = written(tmp_path / "b.jsonl", {"z": 0.9, "x": 0.8, "y": 0.1})
    found = combine([a, b], tmp_path / "both.jsonl", by="borda")
    assert found.ids == ("x", "z", "y")
    assert found.scores == pytest.approx((0.75, 0.5, 0.25))
    assert read_ranking(tmp_path / "both.jsonl") == found
    fused = combine([a, b], tmp_path / "both.jsonl")
    assert fused.scores[0] == pytest.approx((1 / 61 + 1 / 62) / 2)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.jsonl", "b.jsonl", "both.jsonl"]


def test_files_are_compared_two_by_two(tmp_path: Path) -> None:
    scores = {name: float(n) for n, name in enumerate("abcdefgh")}
    a = written(tmp_path / "a.jsonl", scores)
    b = written(tmp_path / "b.jsonl", {name: -score for name, score in scores.items()})
    c = written(tmp_path / "c.jsonl", dict.fromkeys(scores, 1.0))
    found = compare([a, b, c], top=4)
    assert [(Path(f.a).stem, Path(f.b).stem) for f in found] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert found[0].spearman == pytest.approx(-1.0)
    assert (found[0].overlap, found[0].chance, found[0].rows) == (0.0, 0.5, 8)
    assert found[1].spearman is None
    assert Agreement.from_json(found[0].to_json()) == found[0]


def test_rankings_of_other_rows_are_refused(tmp_path: Path) -> None:
    a = written(tmp_path / "a.jsonl", {"x": 3.0, "y": 2.0})
    b = written(tmp_path / "b.jsonl", {"x": 3.0, "z": 2.0})
    with pytest.raises(MismatchError, match=r"a.jsonl ranks 'y' and .*b.jsonl does not \(2 such"):
        compare([a, b], top=1)
    with pytest.raises(MismatchError, match=r"b\.jsonl ranks 'z'"):
        combine([written(tmp_path / "c.jsonl", {"x": 1.0}), b], tmp_path / "out.jsonl")
    assert not (tmp_path / "out.jsonl").exists()


def test_what_cannot_be_done_is_refused(tmp_path: Path) -> None:
    a = written(tmp_path / "a.jsonl", {"x": 3.0, "y": 2.0})
    b = written(tmp_path / "b.jsonl", {"x": 3.0, "y": 4.0})
    with pytest.raises(UsageError, match="give two or more"):
        compare([a], top=1)
    for top in (0, 3):
        with pytest.raises(UsageError, match=f"no top {top} of 2 ranked rows"):
            compare([a, b], top=top)
    before = a.read_text()
    with pytest.raises(UsageError, match="is one of the rankings itself"):
        combine([a, b], a)
    with pytest.raises(UsageError, match="is a folder"):
        combine([a, b], tmp_path)
    with pytest.raises(InfrastructureError, match="can't be written"):
        combine([a, b], tmp_path / "none" / "out.jsonl")
    assert a.read_text() == before
