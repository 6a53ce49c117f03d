"""What an index folder says of itself, and how its files are checked.

`manifest.json` is the plan, written before the first shard, and again when the last one is done;
meanwhile each finished shard has a file of its own, `shard-00017.json`, written after the two that
it speaks of. So nobody who finishes a shard writes what another one writes. Left out: what is in
the shards (`index`), and who reads which (`sharing`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from surfcheck.attribution.store.storage import Store, store
from surfcheck.errors import DataError, InfrastructureError, UsageError
from surfcheck.jsonable import Record

MANIFEST = "manifest.json"
_FORMAT = "surfcheck/index/"
SCHEMA = f"{_FORMAT}2"
POOLING = "mean over prompt tokens, mean over response tokens"
_SAME = {
    "fingerprint": "model",
    "template": "chat template",
    "layers": "choice of layers",
    "dtype": "precision",
    "max_length": "length to cut at",
    "pooling": "pooling",
    "likelihood": "choice of likelihoods",
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
    """What an index holds."""

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
    likelihood: bool = True
    """Whether the rows' likelihoods under the model were read."""
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


def record_name(number: int) -> str:
    """The file that says that a shard is done, until the manifest says so."""
    return f"shard-{number:05d}.json"


def write_manifest(folder: Store, manifest: Manifest) -> None:
    """Replace the folder's manifest. Raises OSError."""
    folder.write(MANIFEST, encoded(manifest))


def encoded(record: Manifest | Shard) -> bytes:
    """As it is written."""
    return json.dumps(record.to_json(), indent=1).encode() + b"\n"


def read_manifest(folder: Store) -> Manifest:
    """The folder's manifest, as it is written. Raises FileNotFoundError if there is none, DataError
    if it is none of ours or of an older format."""
    path = f"{folder.place}/{MANIFEST}"
    manifest, content = None, folder.read(MANIFEST)
    try:
        raw = json.loads(content)
        older = raw["schema"] != SCHEMA and str(raw["schema"]).startswith(_FORMAT)
        if not older:
            manifest = Manifest.from_json(raw)
    except (ValueError, TypeError, KeyError, AttributeError):
        older = False
    if older:
        what = f"is an index of another format ({raw['schema']}, read here is {SCHEMA})"
        raise DataError(path, None, f"{what}; delete the folder and build the index anew")
    if manifest is None or manifest.schema != SCHEMA:
        raise DataError(path, None, f"not a manifest of {SCHEMA}; build into another folder")
    return manifest


def current(folder: Store) -> Manifest:
    """The folder's manifest with what was finished since it was written.

    Raises FileNotFoundError if there is none, DataError if it is none of ours.
    """
    listed = folder.names()  # first: a shard's file goes once the manifest has its content
    there = read_manifest(folder)
    for number in range(len(there.shards)):
        if record_name(number) in listed:
            try:
                shard = Shard.from_json(json.loads(folder.read(record_name(number))))
            except FileNotFoundError:
                return read_manifest(folder)  # completed meanwhile
            except (ValueError, TypeError, KeyError):
                continue  # half a file, of a storage that lets one be: not done
            there = there.with_shard(number, shard)
    return there


def begun(place: str | Path) -> tuple[Store, Manifest]:
    """A folder with an index, done or not. Raises UsageError if there is none."""
    folder = store(place)
    try:
        return folder, current(folder)
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError(
            f"{place}: no index (no {MANIFEST}); make one with `surfcheck index build`"
        ) from None
    except OSError as error:
        raise unreadable(folder, error) from None


def finished(place: str | Path) -> tuple[Store, Manifest]:
    """A folder with an index that is done. Raises UsageError if there is none, or it is not."""
    folder, manifest = begun(place)
    waiting = sum(not shard.done for shard in manifest.shards)
    if waiting:
        again = "merge" if manifest.merged else "build"
        raise UsageError(
            f"{place}: {waiting} of {len(manifest.shards)} shards are not done; {again} the index "
            "again with the same arguments to go on"
        )
    return folder, manifest


def difference(
    one: Manifest, other: Manifest, *, but: Sequence[str] = ()
) -> tuple[str, str, str] | None:
    """The first thing in which two indexes do not belong together, and what it is in each."""
    left, right = one.to_json(), other.to_json()
    for field, what in _SAME.items():
        if field not in but and left[field] != right[field]:
            return what, _short(left[field]), _short(right[field])
    return None


def damage(
    folder: Store, number: int, shard: Shard, *, thorough: bool = True, only: int | None = None
) -> tuple[str, str] | None:
    """The first file of a shard, or the one of its files, that is not as it was written, and in
    what; without being `thorough` its size alone tells. Raises OSError.

    Elsewhere than on this machine, being thorough fetches the file.
    """
    for which in (0, 1) if only is None else (only,):
        name, size, sha256 = names(number)[which], shard.sizes[which], shard.sha256[which]
        held = folder.size(name)
        if held is None:
            return name, "is missing"
        if held != size:
            return name, f"has {held} bytes and not {size}"
        if thorough and (found := flaw(folder.here(name, sha256, anew=True), size, sha256)):
            return name, found
    return None


def flaw(path: Path, size: int, sha256: str) -> str | None:
    """In what a file of this machine is not as it was written."""
    if not path.is_file():
        return "is missing"
    if path.stat().st_size != size:
        return f"has {path.stat().st_size} bytes and not {size}"
    with path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
            return "does not match its checksum"
    return None


def damaged(folder: Store, name: str, what: str, *, merged: bool = False) -> DataError:
    """The error for a file of a shard."""
    remedy = f"{what}; {_remedy(merged)}, which reads this shard anew"
    return DataError(f"{folder.place}/{name}", None, remedy)


def unreadable(folder: Store, error: OSError) -> InfrastructureError:
    """The error for a folder that cannot be asked."""
    return InfrastructureError(
        f"{folder.place}: cannot be read: {error.strerror or error}; see to the disk or the "
        "connection, and try again"
    )


def _remedy(merged: bool) -> str:
    """What repairs an index, keeping every shard that is good."""
    if merged:
        return "merge the same indexes into it again (`surfcheck index merge`)"
    return "build the index again with the same arguments (`surfcheck index build`)"


def _short(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)[:12]
