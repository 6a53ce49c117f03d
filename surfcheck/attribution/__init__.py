"""From a broken behaviour to the training rows behind it.

`open_data` gives an index of the data as the base checkpoint reads it, `attribute` asks it one
contrast, `attribute_run` asks it every failing invariant of a run. Importing this loads no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from surfcheck.records import AttributionReport, Contrast, Exchange, Failure
from surfcheck.roles import Progress, silent

if TYPE_CHECKING:
    from surfcheck.attribution.engine import Attribution, Library
    from surfcheck.attribution.how import How

__all__ = ["attribute", "attribute_run", "open_data"]


def open_data(
    *,
    base: str | None,
    data: str | None,
    index: str | None = None,
    cache: Path,
    progress: Progress = silent,
) -> Library:
    """The index in the folder `index`, or one of `data` read by `base`, kept below `cache`.

    Raises UsageError if neither an index nor both of the others are given, MismatchError if the
    index was read by another checkpoint than `base`.
    """
    from surfcheck.attribution import engine  # noqa: PLC0415 (torch: 2 s)

    return engine.open_data(base=base, data=data, index=index, cache=cache, progress=progress)


def attribute(
    library: Library,
    contrasts: Sequence[Contrast],
    *,
    method: str,
    how: How | None = None,
    seed: int = 0,
    truth: frozenset[str] | None = None,
    progress: Progress = silent,
) -> Attribution:
    """Rank every training row for the behaviour that the contrasts show, and judge the ranking.

    `how` are layers and a space for methods that read activations.

    `truth` are the ids of the rows known to be guilty, for average precision. Raises UsageError if
    no contrast has both answers or the method is unknown.
    """
    from surfcheck.attribution import engine  # noqa: PLC0415 (torch: 2 s)
    from surfcheck.attribution.how import How  # noqa: PLC0415

    return engine.attribute(
        library, contrasts, method=method, how=how or How(), seed=seed, truth=truth,
        progress=progress,
    )  # fmt: skip


def attribute_run(
    *,
    base: str | None,
    data: str | None,
    index: str | None,
    cache: Path,
    exchanges: Sequence[Exchange],
    failures: Sequence[Failure],
    method: str,
    seed: int,
    progress: Progress = silent,
) -> tuple[AttributionReport, ...]:
    """One report a failing test, in the order of the failures."""
    library = open_data(base=base, data=data, index=index, cache=cache, progress=progress)
    from surfcheck.attribution import runs  # noqa: PLC0415 (torch: 2 s)

    return runs.attribute_run(
        library, exchanges, failures, method=method, seed=seed, progress=progress
    )
