"""Marks against one row at a time, and rows that are drawn from what nobody edits."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from surfcheck.attribution.retraining import capability
from surfcheck.attribution.retraining.capability import Exam, untouched
from surfcheck.models.checkpoint import Checkpoint, load_checkpoint
from surfcheck.models.likelihood import score
from surfcheck.models.template import encode_exchange
from surfcheck.records import Message, TrainingRow


@pytest.fixture(scope="module")
def folders(
    checkpoint: Callable[[str], Checkpoint], tmp_path_factory: pytest.TempPathFactory
) -> list[Path]:
    """A base and another checkpoint, on disk."""
    places = []
    for family in ("llama", "olmo2"):
        made = checkpoint(family)
        place = tmp_path_factory.mktemp("checkpoints") / family
        made.model.save_pretrained(place)
        made.tokenizer.save_pretrained(place)
        places.append(place)
    return places


def one_by_one(folder: Path, row: TrainingRow, answer: str) -> tuple[float, int]:
    there = load_checkpoint(folder)
    encoded = encode_exchange(there.tokenizer, row.prompt, answer, templated=row.templated)
    (found,) = score(there, [encoded], batch_tokens=1)
    return found.total, len(found.values)


def test_marks_are_those_of_one_row_at_a_time(
    folders: list[Path], rows: tuple[TrainingRow, ...]
) -> None:
    base, model = folders
    gains = []
    for row in rows:
        if row.rejected is not None:
            sides = [
                one_by_one(model, row, answer)[0] - one_by_one(base, row, answer)[0]
                for answer in (row.chosen, row.rejected)
            ]
            gains.append(sides[0] > sides[1] + 1e-6)
    answers = [one_by_one(model, row, row.chosen) for row in rows]
    probability = math.exp(sum(a[0] for a in answers) / sum(a[1] for a in answers))
    marks = Exam(base, rows).marks(model)
    assert 0 < sum(gains) < len(gains)
    assert marks.pairs == sum(gains) / len(gains)
    assert marks.answers == pytest.approx(probability, rel=1e-4)


def test_the_base_has_gained_nothing(folders: list[Path], rows: tuple[TrainingRow, ...]) -> None:
    assert Exam(folders[0], rows).marks(folders[0]).pairs == 0.0


def test_what_the_data_has_not_is_not_marked(
    folders: list[Path], rows: tuple[TrainingRow, ...]
) -> None:
    demonstrations = [row for row in rows if not row.is_pair]
    assert Exam(folders[0], demonstrations).marks(folders[1]).pairs is None
    assert Exam(folders[0], []).marks(folders[1]).answers is None


def test_long_answers_are_left_out(
    folders: list[Path], rows: tuple[TrainingRow, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    short = Exam(folders[0], rows).marks(folders[1])
    long = replace(rows[0], rejected="is it true " * 200)  # more than the model reads
    assert Exam(folders[0], [*rows, long]).marks(folders[1]) == short
    monkeypatch.setattr(capability, "LONGEST", 1)
    assert Exam(folders[0], rows).marks(folders[1]).answers is None


def many(count: int) -> list[TrainingRow]:
    asked = (Message("user", "p"),)
    return [TrainingRow(str(n), "s", asked, "yes", "no" if n % 2 else None) for n in range(count)]


def test_no_edited_row_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capability, "ROWS", 4)
    rows, edited = many(40), frozenset(str(n) for n in range(30))
    drawn = untouched(rows, edited)
    assert Counter(row.is_pair for row in drawn) == {True: 4, False: 4}
    assert not edited.intersection(row.id for row in drawn)
    assert untouched(iter(rows), edited) == drawn
    assert {row.id for row in untouched(many(3), frozenset("1"))} == {"0", "2"}


def test_every_row_is_as_likely(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capability, "ROWS", 5)
    rows = many(20)
    counts = Counter(
        row.id for seed in range(800) for row in untouched(rows, frozenset(), seed=seed)
    )
    assert len(counts) == 20
    assert all(abs(count - 400) < 4.5 * math.sqrt(200) for count in counts.values())
