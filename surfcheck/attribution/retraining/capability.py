"""What a retrained checkpoint still can, on training rows that no arm of a retraining edits.

Two shares, so that "delete everything" is seen to cost something:

- `pairs`: pairs whose chosen answer gained more likelihood over the base than the rejected one, the
  accuracy of DPO's implicit reward (Rafailov et al. 2023, section 4);
- `answers`: the probability of an answer's token, its geometric mean: exp(-loss).

Every arm trains on these rows, so they show what an edit took away, not what generalises; that is
for the suite's other tests to say. Answers that are long are left out.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from surfcheck.jsonable import Record
from surfcheck.models.checkpoint import Checkpoint, load_checkpoint
from surfcheck.models.likelihood import LogProbability, score
from surfcheck.models.template import Encoded, encode_exchange
from surfcheck.records import TrainingRow

ROWS = 256
"""Rows of each kind, at most."""
LONGEST = 1024
"""Tokens of an exchange, at most."""
_BATCH = 8192


@dataclass(frozen=True, slots=True)
class Marks(Record):
    """What came of the rows; None where the data has none."""

    pairs: float | None
    """Share of pairs in the order that was taught."""
    answers: float | None
    """Mean probability of a token of the answers."""


def untouched(
    rows: Iterable[TrainingRow], edited: frozenset[str], *, seed: int = 0
) -> list[TrainingRow]:
    """`ROWS` of each kind that nobody edits, drawn in one pass (reservoir sampling)."""
    chance = random.Random(seed)
    drawn: dict[bool, list[TrainingRow]] = {True: [], False: []}
    seen = {True: 0, False: 0}
    for row in rows:
        if row.id in edited:
            continue
        kind = drawn[row.is_pair]
        seen[row.is_pair] += 1
        if len(kind) < ROWS:
            kind.append(row)
        elif (place := chance.randrange(seen[row.is_pair])) < ROWS:
            kind[place] = row
    return drawn[True] + drawn[False]


class Exam:
    """Rows to try checkpoints on, and what the base makes of them."""

    def __init__(self, base: str | Path, rows: Sequence[TrainingRow]) -> None:
        """Reads the rows with the base. Raises UsageError or ModelError as loading does."""
        checkpoint = load_checkpoint(base)
        longest = min(LONGEST, checkpoint.longest or LONGEST)
        self._answers: list[Encoded] = []
        self._pairs: list[tuple[Encoded, Encoded]] = []
        for row in rows:
            chosen = _encoded(checkpoint, row, row.chosen)
            sides = [chosen] if row.rejected is None else [
                chosen, _encoded(checkpoint, row, row.rejected)
            ]  # fmt: skip
            if max(len(side.ids) for side in sides) > longest:
                continue
            self._answers.append(chosen)
            if row.rejected is not None:
                self._pairs.append((sides[0], sides[1]))
        self._base = self._margins(checkpoint)

    def marks(self, model: str | Path) -> Marks:
        """What a checkpoint trained from the base makes of them."""
        checkpoint = load_checkpoint(model)
        margins = self._margins(checkpoint)
        right = [now > before for now, before in zip(margins, self._base, strict=True)]
        values = [value for read in _read(checkpoint, self._answers) for value in read.values]
        return Marks(
            sum(right) / len(right) if right else None,
            math.exp(math.fsum(values) / len(values)) if values else None,
        )

    def _margins(self, checkpoint: Checkpoint) -> list[float]:
        """log p(chosen) - log p(rejected) of every pair."""
        chosen = _read(checkpoint, [pair[0] for pair in self._pairs])
        rejected = _read(checkpoint, [pair[1] for pair in self._pairs])
        return [one.total - other.total for one, other in zip(chosen, rejected, strict=True)]


def _encoded(checkpoint: Checkpoint, row: TrainingRow, answer: str) -> Encoded:
    return encode_exchange(checkpoint.tokenizer, row.prompt, answer, templated=row.templated)


def _read(checkpoint: Checkpoint, rows: Sequence[Encoded]) -> list[LogProbability]:
    return score(checkpoint, rows, batch_tokens=_BATCH)
