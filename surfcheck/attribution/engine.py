"""Two verbs of the room: open the data, and ask it one behaviour."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from surfcheck.attribution import corpus, text
from surfcheck.attribution.activations import Reader
from surfcheck.attribution.building.indexing import build
from surfcheck.attribution.building.streaming import survey
from surfcheck.attribution.chance import Method
from surfcheck.attribution.conditional import conditional
from surfcheck.attribution.evidence import EVERY, Table, gather
from surfcheck.attribution.gradient import gradient
from surfcheck.attribution.how import USUAL, How
from surfcheck.attribution.index import Index, open_index
from surfcheck.attribution.probe import Scores, bank, probe
from surfcheck.attribution.ranking import Ranking
from surfcheck.attribution.store.manifest import SCHEMA
from surfcheck.attribution.table import IndexTable
from surfcheck.attribution.verdict import judge_ranking
from surfcheck.errors import MismatchError, UsageError
from surfcheck.files import replacing, write_json
from surfcheck.models.checkpoint import Checkpoint, load_checkpoint
from surfcheck.records import AttributionReport, Contrast, TrainingRow
from surfcheck.roles import Progress, silent

METHODS: dict[str, Method] = {
    "probe": probe,
    "conditional": conditional,
    "bank": bank,
}
"""By activations."""
CONTROLS = {"bm25": text.bm25, "length": text.length, "random": text.random}
"""By the rows' text alone."""
NAMES = (*METHODS, "gradient", *CONTROLS)
"""Every method."""


@dataclass(frozen=True)
class Library:
    """An index together with the checkpoint that read it."""

    index: Index
    """The training rows."""
    base: Checkpoint
    """What read them and will read the contrasts."""
    data: str | None = None
    """Where the rows themselves lie; None if only their index was given."""

    @cached_property
    def rows(self) -> Table:
        """The index as a table, of which a part at a time is in memory."""
        return IndexTable(self.index)

    @cached_property
    def texts(self) -> list[corpus.RowText]:
        """What the rows say."""
        return self.index.texts()

    def training_rows(self) -> tuple[TrainingRow, ...]:
        """The rows themselves, of which an index keeps the text alone.

        Raises UsageError without data, MismatchError if it is not the data of the index.
        """
        if self.data is None:
            raise UsageError("gradient reads the rows again: give --data DATA beside --index DIR")
        there = self.index.manifest
        read = corpus.read(self.data, skip_bad_rows=bool(there.skipped))
        if read.fingerprint != there.data:
            raise MismatchError(
                f"{self.data}: is not the data that the index was built of; give that data, or "
                "leave out --index"
            )
        return read.rows

    @property
    def reader(self) -> Reader:
        """Reads exchanges as the rows were read."""
        return Reader(self.base, self.index.layers, max_length=self.index.manifest.max_length)


@dataclass(frozen=True, slots=True)
class Attribution:
    """A ranking of all rows, and what it is worth."""

    report: AttributionReport
    """The verdict, the implicated rows, the sources."""
    ids: tuple[str, ...]
    """All row ids, in the order of the data."""
    sources: tuple[str, ...]
    """Their sources."""
    scores: Scores
    """Their scores [rows]."""

    def ranking(self) -> Ranking:
        """Every row, best first."""
        return Ranking.of(self.ids, self.sources, self.scores)

    def write(self, folder: Path) -> None:
        """`ranking.jsonl` and then `report.json`, each whole or not at all. Raises OSError."""
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(folder / "ranking.jsonl") as file:
            self.ranking().write(file)
        whole = {"schema": AttributionReport.schema, **self.report.to_json()}
        if whole["average_precision"] is None:
            del whole["average_precision"], whole["chance_precision"]
        write_json(folder / "report.json", whole)


def open_data(
    *, base: str | None, data: str | None, index: str | None, cache: Path, progress: Progress
) -> Library:
    """See `surfcheck.attribution.open_data`."""
    if index is not None:
        there = open_index(index)
        checkpoint = load_checkpoint(_path(base or there.manifest.model))
        there.check_query(checkpoint.fingerprint, there.layers)
        return Library(there, checkpoint, data)
    if base is None or data is None:
        raise UsageError(
            "attribution needs an index (--index DIR), or a checkpoint and its post-training data "
            "(--base MODEL --data DATA)"
        )
    checkpoint, rows = load_checkpoint(_path(base)), survey(data)
    known = f"{SCHEMA} {checkpoint.fingerprint} {rows.fingerprint}"
    name = hashlib.sha256(known.encode()).hexdigest()[:16]
    return Library(build(checkpoint, rows, cache / name, progress=progress), checkpoint, data)


def _path(model: str) -> str:
    """A checkpoint may be named as a path, a hub id, or an `hf:` spec."""
    return model.removeprefix("hf:")


def attribute(
    library: Library,
    contrasts: Sequence[Contrast],
    *,
    method: str,
    how: How = USUAL,
    seed: int = 0,
    truth: frozenset[str] | None = None,
    progress: Progress = silent,
) -> Attribution:
    """See `surfcheck.attribution.attribute`."""
    if method not in NAMES:
        raise UsageError(f"there is no method {method!r}; use one of {', '.join(NAMES)}")
    started, index = time.perf_counter(), library.index
    again = None
    if method in METHODS:
        again = how.score_by(METHODS[method])
    else:
        how.only_by_activations(method)
    table: Table = library.rows
    evidence = gather(library.reader, contrasts, progress=progress)
    if again is None:
        scores = _by_text_or_gradient(library, contrasts, method, seed, progress)
    else:
        layers = how.pick(evidence, index.layers)
        if layers != EVERY:
            evidence, table = evidence.at(layers), IndexTable(index, layers)
        scores = again(evidence, table)
    report = judge_ranking(
        scores, evidence, table, ids=index.ids, sources=index.sources,
        texts=lambda numbers: index.texts(numbers.tolist()), method=method, again=again, seed=seed,
    )  # fmt: skip
    if truth is not None:
        precision, by_chance = _precision(scores, index.ids, truth)
        report = replace(report, average_precision=precision, chance_precision=by_chance)
    cost = {"seconds": round(time.perf_counter() - started, 3), "passages": len(evidence.bad)}
    return Attribution(replace(report, cost=cost), tuple(index.ids), tuple(index.sources), scores)


def _by_text_or_gradient(
    library: Library,
    contrasts: Sequence[Contrast],
    method: str,
    seed: int,
    progress: Progress,
) -> Scores:
    """Scores by what no index holds."""
    if method in CONTROLS:
        return CONTROLS[method](library.texts, contrasts, seed)
    return gradient(
        library.base,
        library.training_rows(),
        contrasts,
        max_length=library.index.manifest.max_length,
        expected=len(library.index),
        seed=seed,
        progress=progress,
    )


def _precision(scores: Scores, ids: Sequence[str], truth: frozenset[str]) -> tuple[float, float]:
    """Average precision of the ranking, and of a random one."""
    from sklearn.metrics import average_precision_score  # noqa: PLC0415 (1 s, and only for truth)

    if missing := truth.difference(ids):
        raise UsageError(
            f"{len(missing)} ids of the truth are not in the data, {min(missing)!r} among them; "
            "give the truth of this data"
        )
    guilty = np.array([i in truth for i in ids])
    return float(average_precision_score(guilty, scores)), float(guilty.mean())
