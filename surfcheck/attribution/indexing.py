"""Building an index: every row of a corpus through one checkpoint, shard by shard.

The manifest is written after a shard's files, so a shard that it calls done is whole. Building
again goes on with what is not done, and reads anew what is damaged; a second builder of a folder
waits for the first.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors.numpy import save

from surfcheck.attribution import formats
from surfcheck.attribution.activations import Reader, RowStates, find_blocks
from surfcheck.attribution.corpus import Corpus, RowText
from surfcheck.attribution.index import Index, open_index
from surfcheck.attribution.manifest import (
    Manifest,
    Shard,
    names,
    resumed,
    sole_writer,
    write,
    write_manifest,
)
from surfcheck.attribution.scan import unit
from surfcheck.errors import InfrastructureError
from surfcheck.models.checkpoint import Checkpoint
from surfcheck.records import TrainingRow
from surfcheck.roles import Progress, silent

Bools = npt.NDArray[np.bool_]

SHARD_ROWS = 8192
"""Most rows of a shard."""
_SHARD_BYTES = 2**28
_FLOAT16_SAFE = 32768.0
_ROWS = pa.schema(
    {
        "id": pa.string(),
        "source": pa.string(),
        "is_pair": pa.bool_(),
        "text_sha256": pa.string(),
        "prompt_tokens": pa.int32(),
        "chosen_tokens": pa.int32(),
        "rejected_tokens": pa.int32(),
        "chosen_likelihood": pa.float32(),
        "rejected_likelihood": pa.float32(),
        "prompt": pa.string(),
        "chosen": pa.string(),
        "rejected": pa.string(),
    }
)


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
    corpus: Corpus,
    out: str | Path,
    *,
    layers: Sequence[int] | None = None,
    shard_rows: int | None = None,
    progress: Progress = silent,
) -> Index:
    """Read every row of the corpus through `base`, or go on where an earlier call stopped.

    Shards have up to `shard_rows` rows, by default 8192 or what 256 MiB of vectors hold. Waits
    while another process builds into the folder. Raises
    MismatchError if the folder holds another index, UsageError for a layer that the model does
    not have, ModelError for states that are not finite, InfrastructureError if the folder cannot
    be written; what was done before stays good.
    """
    reader = Reader(base, layers or default_layers(len(find_blocks(base))))
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with sole_writer(folder, progress):
            _write(folder, _planned(reader, corpus, shard_rows), reader, corpus, progress)
    except OSError as error:
        raise InfrastructureError(
            f"{folder}: cannot be written: {error.strerror or error}; make room or name another "
            "folder, and build again (finished shards are kept)"
        ) from None
    return open_index(folder)


def _planned(reader: Reader, corpus: Corpus, shard_rows: int | None) -> Manifest:
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
        versions={name: version(name) for name in ("torch", "transformers")},
    )


def _write(
    folder: Path, planned: Manifest, reader: Reader, corpus: Corpus, progress: Progress
) -> None:
    """Every shard that is not done; the manifest after each."""
    manifest = resumed(folder, planned)
    for number, shard in enumerate(manifest.shards):
        if not shard.done:
            ready = _write_shard(folder, number, shard, reader, corpus.rows, progress)
            manifest = manifest.with_shard(number, ready)
            write_manifest(folder, manifest)
        progress("building the index", shard.first + shard.rows, len(corpus.rows))


def _write_shard(
    folder: Path,
    number: int,
    shard: Shard,
    reader: Reader,
    corpus_rows: Sequence[TrainingRow],
    progress: Progress,
) -> Shard:
    rows = corpus_rows[shard.first : shard.first + shard.rows]

    def within(_: str, done: int, of: int) -> None:
        progress("building the index", shard.first + shard.rows * done // of, len(corpus_rows))

    states = reader.read_rows(rows, progress=within)
    arrays, scale = _arrays(states, np.array([row.is_pair for row in rows]))
    vectors, table = save(arrays), _table(rows, states)
    for name, content in zip(names(number), (vectors, table), strict=True):
        write(folder / name, content)
    return replace(
        shard,
        done=True,
        sha256=(hashlib.sha256(vectors).hexdigest(), hashlib.sha256(table).hexdigest()),
        sizes=(len(vectors), len(table)),
        scale=scale,
        truncated=states.truncated,
    )


def _arrays(states: RowStates, is_pair: Bools) -> tuple[dict[str, Any], float]:
    """A shard's arrays as they are stored, and the scale of `prompt` and `chosen`."""
    peak = max(float(np.abs(side).max()) for side in (states.prompt, states.chosen))
    scale = 2.0 ** max(0, math.ceil(math.log2(peak / _FLOAT16_SAFE))) if peak else 1.0
    change = states.chosen - states.rejected
    # A side without a token has no state: nothing can be said of such a row.
    known = is_pair & (states.chosen_tokens > 0) & (states.rejected_tokens > 0)
    change[~known] = 0.0
    length = np.linalg.norm(change, axis=-1)
    return {
        "prompt": (states.prompt / np.float32(scale)).astype(np.float16),
        "chosen": (states.chosen / np.float32(scale)).astype(np.float16),
        "change": unit(change).astype(np.float16),
        "length": length,
        "demonstrations": states.chosen[~is_pair].sum(axis=0),
    }, scale


def _table(rows: Sequence[TrainingRow], states: RowStates) -> bytes:
    """A Parquet file of what is known of the rows beside their vectors."""
    texts = [RowText.of(row) for row in rows]
    columns = {
        **{name: [text[i] for text in texts] for i, name in enumerate(RowText._fields)},
        "is_pair": [row.is_pair for row in rows],
        "text_sha256": [hashlib.sha256(formats.canonical(row)).hexdigest() for row in rows],
        "prompt_tokens": states.prompt_tokens,
        "chosen_tokens": states.chosen_tokens,
        "rejected_tokens": states.rejected_tokens,
        "chosen_likelihood": states.likelihood[:, 0],
        "rejected_likelihood": states.likelihood[:, 1],
    }
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns, schema=_ROWS), buffer, compression="zstd")
    return buffer.getvalue()
