"""From a finished run to its reports: every failing test becomes a question to the data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from surfcheck.attribution import contrasts as from_run
from surfcheck.attribution.engine import Library, attribute
from surfcheck.records import AttributionReport, Exchange, Failure
from surfcheck.roles import Progress, silent


def attribute_run(
    library: Library,
    exchanges: Sequence[Exchange],
    failures: Sequence[Failure],
    *,
    method: str,
    seed: int,
    progress: Progress = silent,
) -> tuple[AttributionReport, ...]:
    """See `surfcheck.attribution.attribute_run`."""
    reports = []
    for test in dict.fromkeys(failure.test for failure in failures):
        found = from_run.of_test(test, exchanges, failures, seed=seed)
        report = attribute(library, found, method=method, seed=seed, progress=progress).report
        reports.append(replace(report, test=test))
    return tuple(reports)
