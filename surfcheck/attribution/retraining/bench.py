"""One arm of a retraining with one seed: trained from the base, asked the suite, and written down.

A trial is there whole or not at all. The checkpoint is removed once it has been measured: train
the edited data for one to keep. What the demonstrations give is kept until others come, so the arms
of a seed that edit none of them train on them once.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from surfcheck.attribution import corpus
from surfcheck.attribution.retraining.capability import Exam
from surfcheck.attribution.retraining.cure import Trial
from surfcheck.attribution.retraining.training import Rows, Stage, Training, content, train
from surfcheck.files import write_json
from surfcheck.roles import Progress, silent


class Measured(NamedTuple):
    """What a suite says of a checkpoint."""

    tests: dict[str, list[int]]
    """For each test, how many cases were violated, were decided, and were asked."""
    failed: tuple[str, ...]
    """Tests that failed."""


Measure = Callable[[Path, Path], Measured]
"""Runs the suite over the checkpoint in a folder, and keeps the run in another."""


@dataclass(slots=True)
class Bench:
    """Where arms are trained and measured, one after the other; what is finished is kept."""

    base: str
    """What every training starts from."""
    training: Training
    """How it goes on."""
    measure: Measure
    """The suite."""
    folder: Path
    """Where all is kept."""
    exam: Exam | None = None
    """Rows that no arm edits; None where every trial is known already."""
    progress: Progress = silent
    """How far it is."""

    def place(self, arm: str, seed: int) -> Path:
        """Where a trial is kept."""
        return self.folder / "trials" / f"{arm}-{seed}.json"

    def trial(self, arm: str, data: str, edited: Sequence[str], seed: int) -> Trial:
        """Train on `data` and measure what came of it, unless that was done before."""
        place = self.place(arm, seed)
        if not place.exists():
            scratch = self.folder / "scratch"
            shutil.rmtree(scratch, ignore_errors=True)  # of one that was killed
            scratch.mkdir()
            try:
                found = self._trial(arm, data, len(edited), seed, scratch)
            finally:
                shutil.rmtree(scratch, ignore_errors=True)
            place.parent.mkdir(exist_ok=True)
            write_json(place, found.to_json())
        return Trial.from_json(json.loads(place.read_text(encoding="utf-8")))

    def _trial(self, arm: str, data: str, edited: int, seed: int, scratch: Path) -> Trial:
        started = time.perf_counter()
        checkpoint = self._trained(data, seed, scratch)
        trained = time.perf_counter()
        report = self.folder / "runs" / f"{arm}-{seed}"
        shutil.rmtree(report, ignore_errors=True)
        measured = self.measure(checkpoint, report)
        if self.exam is None:
            raise AssertionError("a trial that is not known needs an exam")
        marks = self.exam.marks(checkpoint)
        ended = time.perf_counter()
        return Trial(
            arm, seed, edited, measured.tests, measured.failed, marks,
            round(trained - started, 1), round(ended - trained, 1),
        )  # fmt: skip

    def _trained(self, data: str, seed: int, scratch: Path) -> Path:
        """Demonstrations, then preference pairs, of whichever the data has."""
        said, kinds = hashlib.sha256(repr(seed).encode()), set[bool]()
        said.update(self.base.encode() + json.dumps(self.training.sft, sort_keys=True).encode())
        for row in _rows(data)():
            kinds.add(row.is_pair)
            if not row.is_pair:
                said.update(content(row))
        place: str | Path = self.base
        if False in kinds:
            place = self._stage(said.hexdigest()[:16], _rows(data, False), seed, scratch)
        if True in kinds:
            self._train("dpo", place, _rows(data, True), scratch / "checkpoint", seed)
            place = scratch / "checkpoint"
        return Path(place)

    def _stage(self, name: str, rows: Rows, seed: int, scratch: Path) -> Path:
        """What the demonstrations give; the last one is kept for the next arm."""
        place = self.folder / "stages" / name
        if not place.exists():
            shutil.rmtree(place.parent, ignore_errors=True)
            place.parent.mkdir()
            self._train("sft", self.base, rows, scratch / "stage", seed)
            (scratch / "stage").replace(place)
        return place

    def _train(self, stage: Stage, model: str | Path, rows: Rows, out: Path, seed: int) -> None:
        scratch = self.folder / "scratch" / stage
        train(
            stage, model, rows, out, self.training,
            seed=seed, scratch=scratch, progress=self.progress,
        )  # fmt: skip
        shutil.rmtree(scratch, ignore_errors=True)


def _rows(data: str, is_pair: bool | None = None) -> Rows:
    return lambda: (
        whole.row
        for whole in corpus.whole_rows(data)
        if is_pair is None or whole.row.is_pair == is_pair
    )
