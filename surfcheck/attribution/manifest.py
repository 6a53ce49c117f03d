"""What an index folder says of itself, and how its files are written and checked.

Files are written under a temporary name and renamed, so that a name that is there is a whole
file; one process at a time writes into a folder. Left out: what is in the files, which is
`index`'s.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from surfcheck.errors import DataError, MismatchError, UsageError
from surfcheck.jsonable import Record
from surfcheck.roles import Progress

SCHEMA = "surfcheck/index/2"
POOLING = "mean over prompt tokens, mean over response tokens"
_SAME = {
    "fingerprint": "model",
    "template": "chat template",
    "layers": "choice of layers",
    "dtype": "precision",
    "max_length": "length to cut at",
    "pooling": "pooling",
    "data": "data set",
}


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
    merged: tuple[str, ...] = ()
    """Fingerprints of the data of the indexes that it was merged from; none if it was built."""
    schema: str = SCHEMA
    """Of this file."""

    def with_shard(self, number: int, shard: Shard) -> Manifest:
        """The same, with another word on one shard."""
        shards = (*self.shards[:number], shard, *self.shards[number + 1 :])
        return replace(self, shards=shards)


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


def finished(folder: Path) -> Manifest:
    """The manifest of an index that is done. Raises UsageError if there is none, or it is not."""
    manifest = begun(folder)
    waiting = sum(not shard.done for shard in manifest.shards)
    if waiting:
        again = "merge" if manifest.merged else "build"
        raise UsageError(
            f"{folder}: {waiting} of {len(manifest.shards)} shards are not done; {again} the index "
            "again with the same arguments to go on"
        )
    return manifest


def begun(folder: Path) -> Manifest:
    """The manifest of an index, done or not. Raises UsageError if there is none."""
    if not (folder / "manifest.json").is_file():
        raise UsageError(
            f"{folder}: no index (no manifest.json); make one with `surfcheck index build`"
        )
    return read_manifest(folder)


def difference(
    one: Manifest, other: Manifest, *, but: Sequence[str] = ()
) -> tuple[str, str, str] | None:
    """The first thing in which two indexes do not belong together, and what it is in each."""
    left, right = one.to_json(), other.to_json()
    for field, what in _SAME.items():
        if field not in but and left[field] != right[field]:
            return what, _short(left[field]), _short(right[field])
    return None


def resumed(folder: Path, planned: Manifest) -> Manifest:
    """The manifest to go on with: the folder's own, less what is damaged, or the planned one.

    Raises MismatchError if the folder holds another index.
    """
    if not (folder / "manifest.json").exists():
        write_manifest(folder, planned)
        return planned
    there = read_manifest(folder)
    if differs := difference(there, planned):
        what, old, new = differs
        raise MismatchError(
            f"{folder}: holds an index of another {what} ({old} there, {new} asked); name another "
            "folder, or delete this one"
        )
    checked = (
        shard if shard.done and not damage(folder, n, shard) else Shard(shard.first, shard.rows)
        for n, shard in enumerate(there.shards)
    )
    return replace(there, shards=tuple(checked))


@contextmanager
def sole_writer(folder: Path, progress: Progress) -> Iterator[None]:
    """Nobody else builds or merges into the folder meanwhile; waits for one who does.

    A process that is killed lets go at once. Raises OSError if the folder cannot be written.
    """
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        progress("waiting for another build of this index", 0, 1)
        lock.acquire()
        progress("waiting for another build of this index", 1, 1)
    try:
        yield
    finally:
        with suppress(PermissionError):  # Windows: released, it is removed by itself
            (folder / ".lock").unlink(missing_ok=True)
        lock.release()


def damage(
    folder: Path, number: int, shard: Shard, *, thorough: bool = True
) -> tuple[Path, str] | None:
    """The first file of a shard that is not as it was written, and in what."""
    for which in (0, 1):
        path = folder / names(number)[which]
        if found := flaw(path, shard.sizes[which], shard.sha256[which] if thorough else None):
            return path, found
    return None


def flaw(path: Path, size: int, sha256: str | None) -> str | None:
    """In what a file is not as it was written; without a checksum its size alone tells."""
    if not path.is_file():
        return "is missing"
    if path.stat().st_size != size:
        return f"has {path.stat().st_size} bytes and not {size}"
    if sha256 is not None:
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
                return "does not match its checksum"
    return None


def damaged(path: Path, what: str, *, merged: bool = False) -> DataError:
    """The error for a file of a shard."""
    return DataError(path, None, f"{what}; {remedy(merged=merged)}, which reads this shard anew")


def remedy(*, merged: bool) -> str:
    """What repairs an index, keeping every shard that is good."""
    if merged:
        return "merge the same indexes into it again (`surfcheck index merge`)"
    return "build the index again with the same arguments (`surfcheck index build`)"


def _short(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)[:12]
