"""The controls of an edit: as many other rows, drawn or matched, and never a ranked one."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from surfcheck.attribution import corpus
from surfcheck.attribution.retraining.edit import edit


def _lines(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def _ranking(path: Path, ids: list[str]) -> Path:
    return _lines(path, [{"rank": rank, "id": identity} for rank, identity in enumerate(ids, 1)])


@pytest.fixture
def many(tmp_path: Path) -> tuple[Path, Path]:
    """400 rows, pairs and demonstrations in turn, of two sources; answers of many lengths. The 40
    best-ranked have long answers, and 30 of them are pairs."""
    chance, rows = random.Random(0), []
    for n in range(400):
        row = {"id": f"i{n}", "source": "ab"[n // 2 % 2], "prompt": "p"}
        answer = "x" * (chance.randint(300, 500) if n < 120 else chance.randint(1, 500))
        pair = {"chosen": answer, "rejected": "n"}
        rows.append({**row, **(pair if n % 2 == 0 else {"completion": answer})})
    top = [f"i{n}" for n in (*range(0, 60, 2), *range(1, 21, 2))]
    rest = [row["id"] for row in rows if row["id"] not in top]
    chance.shuffle(rest)
    ranking = _ranking(tmp_path / "ranking.jsonl", [*top, *rest])
    return _lines(tmp_path / "rows.jsonl", rows), ranking


@pytest.mark.parametrize("control", ["random", "length"])
def test_a_control_takes_as_many_others_of_each_kind(
    control: Any, many: tuple[Path, Path], tmp_path: Path
) -> None:
    data, ranking = many
    ranked = set(edit(data, ranking, tmp_path / "o.jsonl", top=40, action="drop").edited)
    pairs = {row.id for row in corpus.read(data).rows if row.is_pair}
    for seed in range(5):
        out = tmp_path / "control.jsonl"
        done = edit(data, ranking, out, top=40, action="drop", control=control, seed=seed)
        assert len(set(done.edited)) == 40
        assert not ranked.intersection(done.edited)
        assert len(pairs.intersection(done.edited)) == 30
        assert (done.control, done.seed, done.rows_after) == (control, seed, 360)
        assert {row.id for row in corpus.read(out).rows}.isdisjoint(done.edited)


@pytest.mark.parametrize("control", ["random", "length"])
def test_a_control_is_its_seed_s(control: Any, many: tuple[Path, Path], tmp_path: Path) -> None:
    def drawn(seed: int, name: str = "o.jsonl.gz") -> tuple[str, ...]:
        out = tmp_path / name
        return edit(*many, out, top=40, action="drop", control=control, seed=seed).edited

    assert drawn(3) == drawn(3, "again.jsonl.gz")
    assert (tmp_path / "o.jsonl.gz").read_bytes() == (tmp_path / "again.jsonl.gz").read_bytes()
    assert (tmp_path / "o.jsonl.gz").read_bytes()[3:8] == bytes(5)  # no name, no time
    assert drawn(3) != drawn(4)


def test_a_random_control_is_uniform(tmp_path: Path) -> None:
    rows = [{"id": i, "prompt": "p", "chosen": "c", "rejected": "r"} for i in "abcdef"]
    data, ranking = _lines(tmp_path / "rows.jsonl", rows), _ranking(tmp_path / "r", [*"abcdef"])
    counts = dict.fromkeys("cdef", 0)
    for seed in range(300):
        out = tmp_path / "o.jsonl"
        done = edit(data, ranking, out, top=2, action="flip", control="random", seed=seed)
        for identity in done.edited:
            counts[identity] += 1
    assert all(120 < count < 180 for count in counts.values()), counts  # 150 +- 3.5 sigma


def test_a_control_by_length_takes_the_nearest_that_is_left(
    many: tuple[Path, Path], tmp_path: Path
) -> None:
    data, ranking = many
    rows = {row.id: row for row in corpus.read(data).rows}

    def off(ids: tuple[str, ...]) -> float:
        """Mean distance in length from the ranked rows, in order of length."""
        sides = [sorted(len(rows[i].chosen) for i in some) for some in (ranked, ids)]
        return sum(abs(a - b) for a, b in zip(*sides, strict=True)) / len(ids)

    out = tmp_path / "o.jsonl"
    ranked = edit(data, ranking, out, top=40, action="drop").edited
    for seed in range(3):
        length, chance = (
            edit(data, ranking, out, top=40, action="drop", control=c, seed=seed).edited
            for c in ("length", "random")
        )
        assert off(length) < 10 < off(chance)
        left = set(rows).difference(ranked)  # the slow way: at each step none is nearer
        for wanted, taken in zip(ranked, length, strict=True):
            distances = {
                i: abs(len(rows[i].chosen) - len(rows[wanted].chosen))
                for i in left
                if rows[i].is_pair == rows[wanted].is_pair
            }
            assert distances[taken] == min(distances.values())
            left.remove(taken)


def test_a_control_within_sources_stays_in_them(many: tuple[Path, Path], tmp_path: Path) -> None:
    for control in ("random", "length"):
        done = edit(
            *many, tmp_path / "o.jsonl", top=9, action="drop", control=control, sources=["b"]
        )
        assert done.by_source == {"b": 9}
