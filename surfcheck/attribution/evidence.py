"""What is known of a behaviour, and of the training rows, as vectors that can be compared.

A contrast gives two exchanges with one prompt: the bad answer and a good one. A case that held
gives one. All are read through the base checkpoint that read the rows (2602.11079 reads both sides
through M0). Which rows a behaviour points at is the methods' business.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from surfcheck.attribution.activations import Floats, Passage, Reader
from surfcheck.attribution.scan import unit
from surfcheck.errors import DataError, UsageError
from surfcheck.records import Contrast
from surfcheck.roles import Progress, silent

Bools = npt.NDArray[np.bool_]

EVERY = slice(None)
"""Of the layers."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Judged exchanges of one behaviour, at L layers of width d: m bad ones, a good answer to each
    of them in the same order, their other good answers, and what held elsewhere."""

    prompt: Floats
    """Mean state over the prompt [n, L, d]."""
    response: Floats
    """Mean state over the answer [n, L, d]."""
    bad: Bools
    """Which exchanges broke the behaviour [n]; the others held it."""
    change: Floats
    """Bad answer minus its good answer, or the mean of its good ones [m, L, d]."""
    seed: npt.NDArray[np.int_]
    """Which seed prompt each exchange varies, as a number [n]."""

    def at(self, layers: slice) -> Evidence:
        """The same at some layers."""
        return replace(
            self,
            prompt=self.prompt[:, layers],
            response=self.response[:, layers],
            change=self.change[:, layers],
        )


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Training rows at the same layers; the same only as itself."""

    prompt: Floats
    """Mean state over the prompt [rows, L, d]."""
    chosen: Floats
    """Mean state over the answer that a row teaches [rows, L, d]."""
    change: Floats
    """What a row teaches: chosen minus rejected; of a demonstration, its answer minus the mean
    answer of all demonstrations [rows, L, d]."""
    is_pair: Bools
    """Which rows are preference pairs [rows]."""
    news: Floats
    """How far a row is news to the base: of a pair, how probably it would have given the rejected
    answer rather than the chosen one; of a demonstration, which has none, `UNWEIGHED`; 0 where an
    answer has no token and nothing can be said [rows]."""

    def __len__(self) -> int:
        return len(self.prompt)

    def chunks(self, *, layers: slice = EVERY, step: int = 1) -> Iterator[Rows]:
        """Themselves."""
        some = slice(None, None, step)
        prompt, chosen, change = (
            side[some, layers] for side in (self.prompt, self.chosen, self.change)
        )
        yield Rows(prompt, chosen, change, self.is_pair[some], self.news[some])

    def some(self, numbers: Sequence[int] | npt.NDArray[np.int_]) -> Rows:
        """Those of these numbers, in that order."""
        return self.at(EVERY, np.asarray(numbers, dtype=np.int64))

    def cosines(self, directions: Floats) -> Floats:
        """Of each row's change with directions [k, L, d], mean over layers [rows, k]."""
        found: Floats = np.einsum("rld,kld->rk", unit(self.change), unit(directions))
        return found / np.float32(self.change.shape[1])

    def at(self, layers: slice, numbers: npt.NDArray[np.int_]) -> Rows:
        """Some rows at some layers."""
        prompt, chosen, change = (
            side[numbers][:, layers] for side in (self.prompt, self.chosen, self.change)
        )
        return Rows(prompt, chosen, change, self.is_pair[numbers], self.news[numbers])


class Table(Protocol):
    """Training rows, maybe more than fit into memory; `Rows` are a small one."""

    @property
    def is_pair(self) -> Bools:
        """Which rows are preference pairs [rows]."""

    @property
    def news(self) -> Floats:
        """How far each row is news to the base [rows]."""

    def __len__(self) -> int: ...

    def __hash__(self) -> int: ...

    def chunks(self, *, layers: slice = EVERY, step: int = 1) -> Iterator[Rows]:
        """Every row, or every `step`th one, in order, a part at a time."""

    def some(self, numbers: Sequence[int] | npt.NDArray[np.int_]) -> Rows:
        """The rows of these numbers, in that order, in memory."""

    def cosines(self, directions: Floats) -> Floats:
        """Of each row's change with directions [k, L, d], mean over layers [rows, k]."""


def gather(
    reader: Reader, contrasts: Sequence[Contrast], *, progress: Progress = silent
) -> Evidence:
    """Read contrasts and held cases. Raises UsageError if no contrast has both answers."""
    broken: dict[tuple[str, str], list[Contrast]] = {}
    for contrast in contrasts:
        if contrast.bad is not None and contrast.good is not None:
            broken.setdefault((contrast.prompt, contrast.bad), []).append(contrast)
    if not broken:
        raise UsageError(
            "no contrast has both a `bad` and a `good` answer: attribution compares the two"
        )
    bad = [same[0] for same in broken.values()]
    more = [contrast for same in broken.values() for contrast in same[1:]]
    held = [c for c in contrasts if c.bad is None and c.good is not None]
    read = (*bad, *bad, *more, *held)
    passages = [Passage.of(c.prompt, c.bad or "") for c in bad]
    passages += [Passage.of(c.prompt, c.good or "") for c in read[len(bad) :]]
    states = reader.read(passages, progress=progress)
    m, good = len(bad), states.response[len(bad) :]
    whose = np.repeat(np.arange(m), [len(same) - 1 for same in broken.values()])
    total = good[:m].astype(np.float64)
    np.add.at(total, whose, good[m : m + len(more)])
    counts = 1 + np.bincount(whose, minlength=m)
    change = states.response[:m] - (total / counts[:, None, None]).astype(np.float32)
    numbers = np.unique([c.seed or c.prompt for c in read], return_inverse=True)[1]
    is_bad = np.arange(len(passages)) < m
    return Evidence(states.prompt, states.response, is_bad, change, numbers)


def read_contrasts(path: str | Path) -> tuple[Contrast, ...]:
    """The rows of a contrast file. Raises DataError naming the line that is not one."""
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise UsageError(f"{path}: no such contrast file; give a JSONL file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(path, None, f"can't be read as UTF-8 text: {error}") from None
    contrasts = [_contrast(path, n, line) for n, line in enumerate(lines, 1) if line.strip()]
    if not contrasts:
        raise DataError(path, None, "is empty: give rows of {prompt, bad, good}")
    return tuple(contrasts)


def _contrast(path: str | Path, number: int, line: str) -> Contrast:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise DataError(path, number, f"is not JSON: {error.msg}") from None
    if not isinstance(row, dict) or not isinstance(row.get("prompt"), str):
        raise DataError(path, number, "needs a text `prompt`, with `bad` and `good` answers")
    bad, good = row.get("bad"), row.get("good")
    for name, answer in (("bad", bad), ("good", good)):
        if answer is not None and not isinstance(answer, str):
            raise DataError(path, number, f"`{name}` must be a text")
    if good is None:
        missing = "`good`" if bad is not None else "`bad` and no `good`"
        wanted = "give both answers, or `good` alone for a case that held"
        raise DataError(path, number, f"has no {missing}: {wanted}")
    seed = row.get("seed")
    if seed is not None and not isinstance(seed, str):
        raise DataError(path, number, "`seed` must be a text: the prompt that this one varies")
    return Contrast(row["prompt"], bad, good, seed)
