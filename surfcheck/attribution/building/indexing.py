"""Building an index: every row of a data set through one checkpoint, shard by shard.

Any number of processes, here and on other machines, may build the same index into the same folder
at the same time: they share the work (`sharing`), and each ends when all of it is done. Building
again goes on with what is not done, and reads anew what is damaged. One shard of rows is in memory
at a time. Left out: starting those processes (`workers`, `on_ray`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from surfcheck.attribution.activations import Reader, find_blocks
from surfcheck.attribution.building.streaming import Cursor, Data
from surfcheck.attribution.index import Index, open_index
from surfcheck.attribution.store.manifest import Manifest, Shard
from surfcheck.attribution.store.shards import packed
from surfcheck.attribution.store.sharing import Crew, Overtaken, complete, join
from surfcheck.attribution.store.storage import Store, store, unwritable
from surfcheck.models.checkpoint import Checkpoint
from surfcheck.roles import Progress, silent

SHARD_ROWS = 8192
"""Most rows of a shard."""
BUILDING = "building the index"
"""What it is called where progress is shown."""
_SHARD_BYTES = 2**28


def default_layers(depth: int) -> tuple[int, ...]:
    """Layers of a model with `depth` blocks to read if none are named.

    All of up to six; else four, evenly spread, about 5/8 of the depth among them (20 of 32, where
    2602.11079 found its best) and neither end.
    """
    if depth <= 6:
        return tuple(range(1, depth + 1))
    return tuple(round(depth * part / 16) for part in (4, 7, 10, 13))


def build(
    base: Checkpoint,
    corpus: Data,
    out: str | Path,
    *,
    layers: Sequence[int] | None = None,
    shard_rows: int | None = None,
    likelihood: bool = True,
    part: tuple[int, int] = (0, 1),
    progress: Progress = silent,
) -> Index:
    """Read every row of the corpus through `base`, or what is left of that to do.

    Shards have up to `shard_rows` rows, by default 8192 or what 256 MiB of vectors hold. Of several
    workers, `part` is which of how many this one is: where it begins; each goes on with what others
    have left. `out` is a folder or a URL that fsspec knows. Raises MismatchError if the folder
    holds another index, UsageError for a layer that the model does not have, ModelError naming a
    row whose states are not finite, InfrastructureError if the folder cannot be written; what was
    done before stays good.
    """
    worker = Worker.of(base, corpus, out, layers=layers, likelihood=likelihood)
    planned = worker.planned(shard_rows)
    try:
        there = join(worker.folder, planned)
        crew = Crew(worker.folder, start=len(there.shards) * part[0] // part[1])
        for number, shard, done in crew.todo():
            worker.build(crew, number, shard, done, progress)
        complete(worker.folder)
    except OSError as error:
        raise unwritable(worker.folder, error, "build") from None
    progress(BUILDING, there.rows, there.rows)
    return open_index(out)


class Worker:
    """Reads shards of a data set through a checkpoint, and writes them."""

    def __init__(self, reader: Reader, corpus: Data, folder: Store, *, likelihood: bool) -> None:
        self.folder = folder
        self._reader, self._corpus, self._likelihood = reader, corpus, likelihood
        self._rows = Cursor(corpus.rows)

    @classmethod
    def of(
        cls,
        base: Checkpoint,
        corpus: Data,
        out: str | Path,
        *,
        layers: Sequence[int] | None,
        likelihood: bool,
    ) -> Worker:
        """For an index of these. Raises UsageError for a layer that the model does not have."""
        wanted = layers or default_layers(len(find_blocks(base)))
        reader = Reader(base, wanted, likelihood=likelihood)
        return cls(reader, corpus, store(out), likelihood=likelihood)

    def planned(self, shard_rows: int | None) -> Manifest:
        """The manifest of the whole index, nothing of it done."""
        reader, corpus = self._reader, self._corpus
        base, rows = reader.checkpoint, len(corpus.rows)
        width = base.model.config.get_text_config().hidden_size
        fitting = _SHARD_BYTES // (3 * 2 * len(reader.layers) * width)
        size = shard_rows or max(1, min(SHARD_ROWS, fitting))
        template = json.dumps(base.tokenizer.chat_template)
        return Manifest(
            model=base.path,
            fingerprint=base.fingerprint,
            template=hashlib.sha256(template.encode()).hexdigest(),
            layers=reader.layers,
            width=width,
            dtype=str(base.model.dtype).removeprefix("torch."),
            max_length=reader.max_length,
            data=corpus.fingerprint,
            files=corpus.files,
            rows=rows,
            skipped=corpus.skipped,
            shards=tuple(Shard(n, min(size, rows - n)) for n in range(0, rows, size)),
            likelihood=self._likelihood,
            versions={name: version(name) for name in ("torch", "transformers")},
        )

    def build(self, crew: Crew, number: int, shard: Shard, done: int, progress: Progress) -> Shard:
        """Read a shard and write it, unless somebody else has in the meantime; what is known of it
        then. Raises ModelError naming a row, OSError if it cannot be written."""

        def within(_: str, so_far: int, of: int) -> None:
            crew.check(number)
            progress(BUILDING, done + shard.rows * so_far // of, len(self._corpus.rows))

        rows = self._rows.take(shard.first, shard.rows)
        try:
            states = self._reader.read_rows(rows, progress=within)
        except Overtaken:
            return shard
        known, contents = packed(shard, rows, states)
        crew.finish(number, known, contents)
        return known
