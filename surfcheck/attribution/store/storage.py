"""Folders that an index's files lie in: on this machine, or anywhere that fsspec reaches.

    index, file:///data/index         this machine: files are mapped where they lie
    s3://bucket/index, memory://…     elsewhere: a file is fetched once, and mapped from the cache

A file that is written is there whole or not at all. Elsewhere that is the storage's own promise;
where it gives none, what tells is the checksum that the manifest has of each file. Left out:
removing old files from the cache, where they lie under their checksums.
"""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

import fsspec
import platformdirs

from surfcheck.errors import InfrastructureError, UsageError
from surfcheck.files import replacing


class Store(Protocol):
    """A folder of files. Every method raises OSError if the storage cannot do it."""

    @property
    def place(self) -> str:
        """The folder as a person names it."""

    @property
    def is_local(self) -> bool:
        """Whether its files can be mapped where they lie."""

    def make(self) -> None:
        """Make the folder, if it is not there."""

    def names(self) -> set[str]:
        """Of the files that are there; none if there is no folder."""

    def size(self, name: str) -> int | None:
        """A file's bytes; None if it is not there."""

    def read(self, name: str) -> bytes:
        """A small file. Raises FileNotFoundError if it is not there."""

    def write(self, name: str, content: bytes) -> None:
        """Put a file in its place, whatever was there."""

    def create(self, name: str, content: bytes) -> None:
        """The same for a file that nobody has written yet. Raises FileExistsError if one has."""

    def copy(self, path: Path, name: str) -> None:
        """Put a file of this machine here under a name."""

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""

    def here(self, name: str, sha256: str, *, anew: bool = False) -> Path:
        """A file on this machine that stays: the file itself, or its copy in the cache, fetched
        `anew` or if there is none. Raises FileNotFoundError if it is not there."""


def store(place: str | Path) -> Store:
    """The folder of this path or URL. Raises UsageError for a URL that nothing here can reach."""
    if "://" not in str(place):
        return LocalStore(Path(place))
    try:
        system, path = fsspec.url_to_fs(str(place), use_listings_cache=False)
    except ImportError as error:
        reason = str(error).rstrip(".")
        raise UsageError(f"{place}: {reason} (pip install it beside surfcheck)") from None
    except ValueError as error:
        raise UsageError(f"{place}: {error}; give a folder, or a URL that fsspec knows") from None
    if "file" in system.protocol:
        return LocalStore(Path(path))
    return RemoteStore(str(place).rstrip("/"), system, path.rstrip("/"))


class LocalStore:
    """A folder of this machine, or one that it mounts."""

    is_local = True

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def place(self) -> str:
        """See `Store`; the same below."""
        return str(self._folder)

    def make(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)

    def names(self) -> set[str]:
        try:
            return {path.name for path in self._folder.iterdir()}
        except FileNotFoundError:
            return set()

    def size(self, name: str) -> int | None:
        try:
            return (self._folder / name).stat().st_size
        except FileNotFoundError:
            return None

    def read(self, name: str) -> bytes:
        return (self._folder / name).read_bytes()

    def write(self, name: str, content: bytes) -> None:
        with replacing(self._folder / name) as file:
            file.write(content)

    def create(self, name: str, content: bytes) -> None:
        own = f"{name}.{secrets.token_hex(4)}.part"
        self.write(own, content)
        try:
            os.link(self._folder / own, self._folder / name)  # whole, and never over another
        except FileExistsError:
            raise
        except OSError as error:  # no hard links here
            if self.size(name) is not None:
                raise FileExistsError(name) from error
            (self._folder / own).replace(self._folder / name)
        finally:
            self.remove(own)

    def copy(self, path: Path, name: str) -> None:
        with path.open("rb") as source, replacing(self._folder / name) as file:
            while piece := source.read(2**22):
                file.write(piece)

    def remove(self, name: str) -> None:
        (self._folder / name).unlink(missing_ok=True)

    def here(self, name: str, sha256: str, *, anew: bool = False) -> Path:
        return self._folder / name


class RemoteStore:
    """A folder that a file system of fsspec reaches."""

    is_local = False

    def __init__(self, place: str, system: fsspec.AbstractFileSystem, path: str) -> None:
        self._place, self._system, self._path = place, system, path

    @property
    def place(self) -> str:
        """See `Store`; the same below."""
        return self._place

    def make(self) -> None:
        with _reached():
            self._system.makedirs(self._path, exist_ok=True)

    def names(self) -> set[str]:
        try:
            with _reached():
                listed = self._system.ls(self._path, detail=False)
        except FileNotFoundError:
            return set()
        return {str(name).rsplit("/", 1)[-1] for name in listed}

    def size(self, name: str) -> int | None:
        try:
            with _reached():
                return int(self._system.size(self._at(name)))
        except FileNotFoundError:
            return None

    def read(self, name: str) -> bytes:
        with _reached():
            return bytes(self._system.cat_file(self._at(name)))

    def write(self, name: str, content: bytes) -> None:
        with _reached():
            self._system.pipe_file(self._at(name), content)

    def create(self, name: str, content: bytes) -> None:
        with _reached():
            self._system.pipe_file(self._at(name), content, mode="create")

    def copy(self, path: Path, name: str) -> None:
        with _reached():
            self._system.put_file(str(path), self._at(name))

    def remove(self, name: str) -> None:
        with suppress(FileNotFoundError), _reached():
            self._system.rm_file(self._at(name))

    def here(self, name: str, sha256: str, *, anew: bool = False) -> Path:
        kept = _cache() / f"{sha256}{Path(name).suffix}"
        if anew or not kept.is_file():
            with tempfile.TemporaryDirectory(dir=kept.parent) as folder:
                fetched = Path(folder) / name
                with _reached():
                    self._system.get_file(self._at(name), str(fetched))
                fetched.replace(kept)
        return kept

    def _at(self, name: str) -> str:
        return f"{self._path}/{name}"


def unwritable(folder: Store, error: OSError, again: str) -> InfrastructureError:
    """The error for a folder in which nothing can be written; `again` says what goes on then."""
    return InfrastructureError(
        f"{folder.place}: cannot be written: {error.strerror or error}; make room or name another "
        f"folder, and {again} again (finished shards are kept)"
    )


@contextmanager
def _reached() -> Iterator[None]:
    """Whatever a storage's client raises, as OSError."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:  # each client has errors of its own
        reason = " ".join(str(error).split()) or type(error).__name__
        raise OSError(reason) from error


def _cache() -> Path:
    """Where fetched files are kept."""
    named = os.environ.get("SURFCHECK_CACHE")
    folder = Path(named) if named else Path(platformdirs.user_cache_dir("surfcheck"))
    (folder / "index").mkdir(parents=True, exist_ok=True)
    return folder / "index"
