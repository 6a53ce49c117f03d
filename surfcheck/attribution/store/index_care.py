"""Looking after index folders: what one holds, whether it is whole, several made into one.

Everything here goes by the manifest and the files; no checkpoint is loaded. Left out: repair, which
is what building or merging again does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from safetensors import SafetensorError, safe_open

from surfcheck.attribution.store.manifest import (
    Manifest,
    Shard,
    begun,
    damage,
    damaged,
    difference,
    finished,
    names,
    unreadable,
)
from surfcheck.attribution.store.sharing import Crew, complete, join
from surfcheck.attribution.store.storage import Store, store, unwritable
from surfcheck.errors import MismatchError, UsageError
from surfcheck.jsonable import Record
from surfcheck.roles import Progress, silent


@dataclass(frozen=True, slots=True)
class IndexInfo(Record):
    """What an index folder holds, finished or not, by its manifest."""

    path: str
    """The folder."""
    model: str
    """Folder or hub id of the checkpoint that read the rows."""
    fingerprint: str
    """Its fingerprint."""
    layers: tuple[int, ...]
    """Layers that were read."""
    width: int
    """Numbers in a vector."""
    dtype: str
    """Precision in which the model read."""
    max_length: int
    """Tokens at which rows were cut."""
    data: str
    """Fingerprint of the rows."""
    files: tuple[str, ...]
    """Where they came from."""
    merged: int
    """How many indexes it was merged from; 0 if it was built."""
    rows: int
    """Rows in all."""
    done: int
    """Rows of finished shards."""
    skipped: int
    """Bad rows that were left out."""
    truncated: int
    """Rows of finished shards that were cut."""
    shards: int
    """Shards in all."""
    bytes: int
    """Size of the finished shards."""


@dataclass(frozen=True, slots=True)
class Fault(Record):
    """A file of an index that is not as its manifest says."""

    file: str
    """Its name in the folder."""
    what: str
    """What is wrong with it."""


@dataclass(frozen=True, slots=True)
class Verification(Record):
    """What comparing an index with its manifest found."""

    path: str
    """The folder."""
    shards: int
    """Shards in all."""
    rows: int
    """Rows of the shards that are whole."""
    unfinished: int
    """Shards that were not built yet."""
    faults: tuple[Fault, ...]
    """What is damaged, in the order of the shards."""
    merged: bool
    """Whether merging again is what repairs it, and not building."""

    @property
    def whole(self) -> bool:
        """Whether nothing is wrong or missing."""
        return not self.faults and not self.unfinished


def info(path: str | Path) -> IndexInfo:
    """What the folder's manifest says. Raises UsageError if there is no index."""
    _, there = begun(path)
    ready = [shard for shard in there.shards if shard.done]
    return IndexInfo(
        path=str(path),
        model=there.model,
        fingerprint=there.fingerprint,
        layers=there.layers,
        width=there.width,
        dtype=there.dtype,
        max_length=there.max_length,
        data=there.data,
        files=there.files,
        merged=len(there.merged),
        rows=there.rows,
        done=sum(shard.rows for shard in ready),
        skipped=there.skipped,
        truncated=sum(shard.truncated for shard in ready),
        shards=len(there.shards),
        bytes=sum(sum(shard.sizes) for shard in ready),
    )


def verify(path: str | Path, *, progress: Progress = silent) -> Verification:
    """Compare every file with its checksum, its rows with the manifest's, and those with the whole.

    Raises UsageError if there is no index, InfrastructureError if a file cannot be read.
    """
    folder, there = begun(path)
    faults = list(_gaps(there))
    good = 0
    try:
        for number, shard in enumerate(there.shards):
            found = list(_faults(folder, there, number)) if shard.done else []
            faults += found
            good += shard.rows if shard.done and not found else 0
            progress("verifying the index", number + 1, len(there.shards))
    except OSError as error:
        raise unreadable(folder, error) from None
    return Verification(
        path=str(path),
        shards=len(there.shards),
        rows=good,
        unfinished=sum(not shard.done for shard in there.shards),
        faults=tuple(faults),
        merged=bool(there.merged),
    )


def merge(paths: Sequence[str | Path], out: str | Path, *, progress: Progress = silent) -> Manifest:
    """Copy indexes of different data, read alike, into one, or go on where a call was stopped.

    Rows come in the order of the indexes. Every file is compared with its checksum on the way.
    Raises MismatchError naming what differs or an id that two have, UsageError for an index that
    is not there or not finished, DataError naming a damaged file, InfrastructureError if `out`
    cannot be written.
    """
    if len(paths) < 2:
        raise UsageError("merge needs two indexes or more; name their folders")
    parts = [finished(path) for path in paths]
    _belong_together(parts)
    _check_ids(parts)
    origins = [
        (folder, number, shard)
        for folder, part in parts
        for number, shard in enumerate(part.shards)
    ]
    planned, target = _merged([part for _, part in parts]), store(out)
    try:
        there = join(target, planned)
        if [shard.first for shard in there.shards] != [shard.first for shard in planned.shards]:
            what = "is merged of the same rows in other shards"
            raise MismatchError(f"{out}: {what}; name another folder, or delete this one")
        crew = Crew(target)
        for number, shard, done in crew.todo():
            progress("merging", done, there.rows)
            _copy_shard(*origins[number], target, number)
            crew.record(number, replace(origins[number][2], first=shard.first))
        progress("merging", there.rows, there.rows)
        return complete(target)
    except OSError as error:
        raise unwritable(target, error, "merge") from None


def _gaps(there: Manifest) -> Iterator[Fault]:
    """Shards that do not follow on each other, or come to another number of rows."""
    expected = 0
    for number, shard in enumerate(there.shards):
        if shard.first != expected:
            what = f"shard {number} begins at row {shard.first:,} and not {expected:,}"
            yield Fault("manifest.json", what)
        expected = shard.first + shard.rows
    if expected != there.rows:
        yield Fault("manifest.json", f"its shards end at row {expected:,} and not {there.rows:,}")


def _faults(folder: Store, there: Manifest, number: int) -> Iterator[Fault]:
    """What is wrong with the files of a shard that is done."""
    shard = there.shards[number]
    for which, name in enumerate(names(number)):
        if found := damage(folder, number, shard, only=which):
            yield Fault(*found)
            continue
        path = folder.here(name, shard.sha256[which])
        held = _shapes(path) if which == 0 else _rows(path)
        wanted = _expected(there, shard.rows) if which == 0 else shard.rows
        if held != wanted:
            yield Fault(name, f"holds {held}, and the manifest says {wanted}")


def _expected(there: Manifest, rows: int) -> dict[str, tuple[int, ...]]:
    """The shapes of the arrays of a shard with so many rows."""
    states = (rows, len(there.layers), there.width)
    vectors = dict.fromkeys(("prompt", "chosen", "change"), states)
    return {**vectors, "length": states[:2], "demonstrations": states[1:]}


def _shapes(path: Path) -> dict[str, tuple[int, ...]] | str:
    """The shapes of the arrays in a vectors file, or why they cannot be told."""
    try:
        with safe_open(path, framework="numpy") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        return str(error)


def _rows(path: Path) -> int | str:
    """The number of rows in a rows file, or why it cannot be told."""
    try:
        rows: int = pq.read_metadata(path).num_rows
    except pa.ArrowException as error:
        return str(error).partition("\n")[0]
    return rows


def _belong_together(parts: Sequence[tuple[Store, Manifest]]) -> None:
    """Raise MismatchError naming the first index that was not read as the first one was."""
    one, like = parts[0]
    for folder, part in parts[1:]:
        if differs := difference(like, part, but=("data",)):
            what, there, other = differs
            raise MismatchError(
                f"{folder.place}: was read with another {what} ({other}) than {one.place} "
                f"({there}); build both alike"
            )


def _check_ids(parts: Sequence[tuple[Store, Manifest]]) -> None:
    """Raise MismatchError for the first row id that was there before."""
    seen: dict[str, str] = {}
    for folder, part in parts:
        for number, shard in enumerate(part.shards):
            path = _checked(folder, number, shard, 1, merged=bool(part.merged))
            for row in pq.read_table(path, columns=["id"])["id"].to_pylist():
                if row in seen:
                    raise MismatchError(
                        f"{folder.place}: row id {row!r} is in {seen[row]} as well; give the rows "
                        "ids that are their own (an `id` field) and build again"
                    )
                seen[row] = folder.place


def _checked(folder: Store, number: int, shard: Shard, which: int, *, merged: bool = False) -> Path:
    """A shard's file on this machine. Raises DataError if it is damaged, InfrastructureError."""
    try:
        if found := damage(folder, number, shard, only=which):
            raise damaged(folder, *found, merged=merged)
        return folder.here(names(number)[which], shard.sha256[which])
    except OSError as error:
        raise unreadable(folder, error) from None


def _merged(parts: Sequence[Manifest]) -> Manifest:
    """The manifest of all parts in a row, nothing of it done."""
    shards: list[Shard] = []
    for part in parts:
        for shard in part.shards:
            first = shards[-1].first + shards[-1].rows if shards else 0
            shards.append(Shard(first, shard.rows))
    data = tuple(part.data for part in parts)
    return replace(
        parts[0],
        data=hashlib.sha256(" ".join(data).encode()).hexdigest(),
        files=tuple(dict.fromkeys(name for part in parts for name in part.files)),
        rows=sum(part.rows for part in parts),
        skipped=sum(part.skipped for part in parts),
        shards=tuple(shards),
        versions=_common([part.versions or {} for part in parts]),
        merged=data,
    )


def _common(versions: Sequence[dict[str, str]]) -> dict[str, str]:
    """Each package with all the versions that it had, `/` between them."""
    packages = dict.fromkeys(name for part in versions for name in part)
    return {
        name: "/".join(dict.fromkeys(part[name] for part in versions if name in part))
        for name in packages
    }


def _copy_shard(source: Store, number: int, shard: Shard, target: Store, to: int) -> None:
    """Copy both files under other names. Raises DataError for one that is damaged, OSError."""
    for which, name in enumerate(names(to)):
        target.copy(_checked(source, number, shard, which), name)
