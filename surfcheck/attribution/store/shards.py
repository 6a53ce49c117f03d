"""What is in a shard's two files: `index` says which arrays, and what they are for."""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors.numpy import save

from surfcheck.attribution import formats
from surfcheck.attribution.activations import RowStates
from surfcheck.attribution.corpus import RowText
from surfcheck.attribution.scan import unit
from surfcheck.attribution.store.manifest import Shard
from surfcheck.records import TrainingRow

Bools = npt.NDArray[np.bool_]

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


def packed(
    shard: Shard, rows: Sequence[TrainingRow], states: RowStates
) -> tuple[Shard, tuple[bytes, bytes]]:
    """The shard with what is known once it is read, and its vectors and rows file."""
    arrays, scale = _arrays(states, np.array([row.is_pair for row in rows]))
    vectors, table = save(arrays), _table(rows, states)
    known = replace(
        shard,
        sha256=(hashlib.sha256(vectors).hexdigest(), hashlib.sha256(table).hexdigest()),
        sizes=(len(vectors), len(table)),
        scale=scale,
        truncated=states.truncated,
    )
    return known, (vectors, table)


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
    unread = np.full((len(rows), 2), np.nan, dtype=np.float32)
    likelihood = unread if states.likelihood is None else states.likelihood
    columns = {
        **{name: [text[i] for text in texts] for i, name in enumerate(RowText._fields)},
        "is_pair": [row.is_pair for row in rows],
        "text_sha256": [hashlib.sha256(formats.canonical(row)).hexdigest() for row in rows],
        "prompt_tokens": states.prompt_tokens,
        "chosen_tokens": states.chosen_tokens,
        "rejected_tokens": states.rejected_tokens,
        "chosen_likelihood": likelihood[:, 0],
        "rejected_likelihood": likelihood[:, 1],
    }
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns, schema=_ROWS), buffer, compression="zstd")
    return buffer.getvalue()
