"""Files that are there whole or not at all: written beside their place, then moved there."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from surfcheck.errors import InfrastructureError


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file that takes the place of `path` once the context has ended well. Raises OSError."""
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    try:
        with part.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def output(path: Path) -> Iterator[IO[bytes]]:
    """The same for a file that a person named. Raises InfrastructureError that says so."""
    try:
        with replacing(path) as file:
            yield file
    except OSError as error:
        raise InfrastructureError(
            f"{path}: can't be written ({error.strerror}); make room or name another file"
        ) from None


def write_whole(path: Path, text: str) -> None:
    """All of the text under this name, in UTF-8, or nothing. Raises OSError."""
    content = text.encode()
    with replacing(path) as file:
        file.write(content)


def write_json(path: Path, value: dict[str, Any]) -> None:
    """The value as indented JSON, whole or not at all. Raises OSError."""
    write_whole(path, json.dumps(value, indent=2) + "\n")
