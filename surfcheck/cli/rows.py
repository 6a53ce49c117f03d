"""The training rows that a verb asks, who read them, and where it writes what it found."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from surfcheck import attribution
from surfcheck.cli.places import find_base, find_data
from surfcheck.errors import InfrastructureError, UsageError
from surfcheck.report.progress import working
from surfcheck.roles import Progress
from surfcheck.session import Session
from surfcheck.settings import Settings, surf_folder

if TYPE_CHECKING:
    from surfcheck.attribution.engine import Library


@dataclass(frozen=True, slots=True)
class Given:
    """What is told of where the rows and their reader lie."""

    index: str | None
    base: str | None
    data: str | None

    def of(
        self,
        target: str,
        *,
        base: str | None = None,
        data: str | None = None,
        index: str | None = None,
    ) -> Given:
        """With these where no others are given; an organism brings its own along."""
        if self.index is not None:  # which knows what read it
            return self
        known = target if target.startswith("organism:") else None
        given = replace(self, base=self.base or base or known)
        if given.data is not None:
            return given
        return replace(given, index=index) if index else replace(given, data=data or known)


def open_library(given: Given, progress: Progress) -> Library:
    """The index that is named, or that of the data, kept where a run would keep it."""
    index, base, data = given.index, given.base, given.data
    if index is None and (base is None or data is None):
        raise UsageError("attribute needs --index DIR, or both --base MODEL and --data DATA")

    base = None if base is None else find_base(base, progress)
    data = None if data is None else find_data(data, progress)
    home = surf_folder() if index is not None else make_home()
    return attribution.open_data(
        base=base, data=data, index=index, cache=home / "index", progress=progress
    )


def make_home() -> Path:
    """`.surfcheck`, made if need be. Raises InfrastructureError."""
    return Session(Settings(), folder=surf_folder(), working=working).home()


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Raises InfrastructureError that names the folder if something can't be written inside."""
    try:
        yield
    except OSError as error:
        raise InfrastructureError(
            f"{folder}: can't be written ({error.strerror}); make room or name another folder"
        ) from None
