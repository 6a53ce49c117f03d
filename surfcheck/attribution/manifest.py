"""What an index folder says of itself, and how its files are written and checked.

Files are written under a temporary name and renamed, so that a name that is there is a whole
file. Left out: what is in them, which is `index`'s.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

from surfcheck.errors import DataError
from surfcheck.jsonable import Record

SCHEMA = "surfcheck/index/1"
POOLING = "mean over prompt tokens, mean over response tokens"


@dataclass(frozen=True, slots=True)
class Shard(Record):
    """A run of rows in two files."""

    first: int
    """Number of its first row in the data, from 0."""
    rows: int
    """How many rows it has."""
    done: bool = False
    """Whether both files are whole."""
    sha256: tuple[str, str] = ("", "")
    """Checksums of the vectors and the rows file."""
    sizes: tuple[int, int] = (0, 0)
    """Their bytes."""
    scale: float = 1.0
    """What stored vectors are multiplied by when read."""
    truncated: int = 0
    """Rows that were cut at the longest length."""


@dataclass(frozen=True, slots=True)
class Manifest(Record):
    """What an index holds: `manifest.json`."""

    model: str
    """Folder or hub id of the checkpoint that read the rows."""
    fingerprint: str
    """Its fingerprint: weights, configuration, tokenizer and chat template."""
    template: str
    """SHA-256 of the chat template."""
    layers: tuple[int, ...]
    """Layers, as `activations` counts them, in the order of the vectors' second axis."""
    width: int
    """The vectors' last axis."""
    dtype: str
    """Precision in which the model read."""
    max_length: int
    """Tokens at which rows were cut."""
    data: str
    """Fingerprint of the corpus."""
    files: tuple[str, ...]
    """The corpus' files."""
    rows: int
    """Rows of the corpus."""
    skipped: int
    """Bad rows that the corpus left out."""
    shards: tuple[Shard, ...]
    """In the order of the rows; together all of them."""
    pooling: str = POOLING
    """What a vector is."""
    versions: dict[str, str] | None = None
    """Versions of the packages that matter."""
    schema: str = SCHEMA
    """Of this file."""


def names(number: int) -> tuple[str, str]:
    """The vectors and the rows file of a shard."""
    return f"vectors-{number:05d}.safetensors", f"rows-{number:05d}.parquet"


def write(path: Path, content: bytes) -> None:
    """All of it under this name, or nothing. Raises OSError."""
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Replace the folder's manifest. Raises OSError."""
    write(folder / "manifest.json", json.dumps(manifest.to_json(), indent=1).encode() + b"\n")


def read_manifest(folder: Path) -> Manifest:
    """The folder's manifest. Raises DataError if it is none of ours."""
    path = folder / "manifest.json"
    try:
        manifest = Manifest.from_json(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError, KeyError, AttributeError):
        manifest = None
    if manifest is None or manifest.schema != SCHEMA:
        raise DataError(path, None, f"not a manifest of {SCHEMA}; build into another folder")
    return manifest


def damage(
    folder: Path, number: int, shard: Shard, *, thorough: bool = True
) -> tuple[Path, str] | None:
    """The first file of a shard that is not as it was written, and in what."""
    for name, checksum, size in zip(names(number), shard.sha256, shard.sizes, strict=True):
        path = folder / name
        if not path.is_file():
            return path, "is missing"
        if path.stat().st_size != size:
            return path, f"has {path.stat().st_size} bytes and not {size}"
        if thorough:
            with path.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != checksum:
                    return path, "does not match its checksum"
    return None


def damaged(path: Path, what: str) -> DataError:
    """The error for a file of a shard."""
    advice = "build the index again with the same arguments, which reads this shard anew"
    return DataError(path, None, f"{what}; {advice}")
