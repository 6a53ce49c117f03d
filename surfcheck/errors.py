"""What can go wrong, one tree. A behaviour that is broken is an `AssertionError` and is not in it.

    SurfcheckError              ours or the provider's: never a finding, never shrunk
    ├── UsageError              the person who ran us has to change something      (exit code 2)
    │   ├── DataError           a file they gave us has a bad row: file, line, reason
    │   └── MismatchError       two things that do not belong together (index and model, say)
    ├── InfrastructureError     disk, network, provider: try again                 (exit code 3)
    │   ├── ModelError          the model could not be asked
    │   └── BudgetReached       a ceiling on calls, tokens or money stopped the run
    └── Undecided               an answer that could not be judged: neither pass nor fail

Every message is one line that says what is wrong and what to do.
"""

from __future__ import annotations

from pathlib import Path


class SurfcheckError(Exception):
    """Anything that is not about the behaviour under test."""

    exit_code = 3


class UsageError(SurfcheckError):
    """Wrong use; the message says what to do instead."""

    exit_code = 2


class DataError(UsageError):
    """A file cannot be read as what it should be."""

    def __init__(self, path: str | Path, line: int | None, reason: str) -> None:
        self.path, self.line, self.reason = str(path), line, reason
        where = str(path) if line is None else f"{path}:{line}"
        super().__init__(f"{where}: {reason}")


class MismatchError(UsageError):
    """Two things that do not belong together, such as an index and another model."""


class InfrastructureError(SurfcheckError):
    """Disk, network or provider: nobody's behaviour, worth trying again."""


class ModelError(InfrastructureError):
    """A model could not be loaded or asked."""


class BudgetReached(InfrastructureError):
    """A ceiling on calls, tokens or money was reached."""


class Undecided(SurfcheckError):
    """An answer could not be judged; counted apart."""
