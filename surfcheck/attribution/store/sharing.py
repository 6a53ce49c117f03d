"""Any number of workers at one folder, on any number of machines, and no lock.

Rows are independent and shards never change, so nobody has to wait: whoever looks for work takes a
shard that is not done, preferably one that nobody has begun, and at last the manifest is completed
by each who finds nothing left to do. A shard that two have read is the same; the last one stays. A
worker that dies leaves a shard that is begun and not done, which others take when nothing else is
left.

    shard-00017.begun    advice to the others: somebody reads this one
    shard-00017.json     both files of the shard are whole: done
    *.part               being written

None of these is left in a finished index.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

from surfcheck.attribution.store.manifest import (
    MANIFEST,
    Manifest,
    Shard,
    current,
    damage,
    difference,
    encoded,
    names,
    read_manifest,
    record_name,
    write_manifest,
)
from surfcheck.attribution.store.storage import Store
from surfcheck.errors import MismatchError

_OFTEN = 1.0  # seconds between two looks at whether another worker was quicker


class Overtaken(Exception):
    """Another worker has finished the shard that is being read."""


def join(folder: Store, planned: Manifest) -> Manifest:
    """The manifest to go on with: the folder's own, less what is damaged, or the planned one.

    Damage that leaves a file's size is looked for on this machine, elsewhere only in a finished
    index: resuming is no reason to fetch all that is done. Raises MismatchError if the folder holds
    another index, OSError.
    """
    folder.make()
    with suppress(FileExistsError):
        folder.create(MANIFEST, encoded(planned))
    written = read_manifest(folder)
    if differs := difference(written, planned):
        what, old, new = differs
        raise MismatchError(
            f"{folder.place}: holds an index of another {what} ({old} there, {new} asked); name "
            "another folder, or delete this one"
        )
    there = current(folder)
    thorough = folder.is_local or all(shard.done for shard in there.shards)
    spoiled = [
        number
        for number, shard in enumerate(there.shards)
        if shard.done and damage(folder, number, shard, thorough=thorough)
    ]
    for number in spoiled:
        there = there.with_shard(
            number, Shard(there.shards[number].first, there.shards[number].rows)
        )
    if any(written.shards[number].done for number in spoiled):
        write_manifest(folder, there)
    for number in spoiled:
        folder.remove(record_name(number))
    return there


class Crew:
    """One worker's view of a folder that others may be working in too."""

    def __init__(self, folder: Store, start: int = 0) -> None:
        """`start`: the shard to look from, which is best another one for each worker."""
        self._folder, self._next = folder, start
        self._looked = 0.0

    def todo(self) -> Iterator[tuple[int, Shard, int]]:
        """Shards to read, one at a time: the number, the shard, and the rows of all that are done.

        Ends when every shard is done. Raises OSError.
        """
        while True:
            listed = self._folder.names()  # first: see `current`
            there = read_manifest(self._folder)
            waiting = {
                number: shard
                for number, shard in enumerate(there.shards)
                if not shard.done and record_name(number) not in listed
            }
            if not waiting:
                return
            free = [n for n in waiting if _begun_name(n) not in listed]
            open_ones = free or list(waiting)
            number = next((n for n in open_ones if n >= self._next), open_ones[0])
            self._next = number + 1
            if not self._begin(number, again=not free):
                continue
            try:
                left = sum(shard.rows for shard in waiting.values())
                yield number, waiting[number], there.rows - left
            finally:
                with suppress(OSError):
                    self._folder.remove(_begun_name(number))

    def _begin(self, number: int, *, again: bool) -> bool:
        """Say that a shard is being read; False if another said so first, and `again` is not asked.

        Without it, two that look at the same moment would go on side by side.
        """
        try:
            if again:
                self._folder.write(_begun_name(number), b"")
            else:
                self._folder.create(_begun_name(number), b"")
        except FileExistsError:
            return False
        return True

    def check(self, number: int) -> None:
        """Raise Overtaken if another worker has finished this shard; looks once a second."""
        if time.monotonic() - self._looked > _OFTEN:
            self._looked = time.monotonic()
            if self._is_done(number):
                raise Overtaken

    def finish(self, number: int, shard: Shard, contents: tuple[bytes, bytes]) -> None:
        """Write a shard's files, and after them that it is done. Raises OSError."""
        if self._is_done(number):
            return
        try:
            for name, content in zip(names(number), contents, strict=True):
                self._folder.write(name, content)
            self.record(number, shard)
        except FileNotFoundError:  # tidied away by one who found all done
            if not self._is_done(number):
                raise

    def record(self, number: int, shard: Shard) -> None:
        """Say that a shard's files are there. Raises OSError."""
        self._folder.write(record_name(number), encoded(replace(shard, done=True)))

    def _is_done(self, number: int) -> bool:
        if self._folder.size(record_name(number)) is not None:
            return True
        return read_manifest(self._folder).shards[number].done


def complete(folder: Store) -> Manifest:
    """Make the manifest say what is done, and if that is all, remove what only workers need."""
    there = current(folder)
    if all(shard.done for shard in there.shards):
        if there != read_manifest(folder):
            write_manifest(folder, there)
        for name in folder.names():
            if name.startswith("shard-") or name.endswith(".part"):
                folder.remove(name)
    return there


def _begun_name(number: int) -> str:
    return f"shard-{number:05d}.begun"
