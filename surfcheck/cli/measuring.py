"""A suite over a checkpoint, by pytest in a process of its own, as `retrain` measures its arms.

With what the project's ini says, as any run; but nothing is remembered or attributed. A case counts
by its first answer, which is asked whatever comes of the others: where a case has several
samples, how many are asked depends on what was answered.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from surfcheck.errors import InfrastructureError, UsageError
from surfcheck.records import Exchange, Outcome
from surfcheck.report.json import read_exchanges, read_run

if TYPE_CHECKING:
    from surfcheck.attribution.retraining.bench import Measure, Measured

_ASKED = (0, 1)
"""Exit codes of pytest after a run: all passed, or something failed."""


def by_suite(*suites: str, more: Sequence[str] = (), root: Path | None = None) -> Measure:
    """What asks these suites: paths or node ids, with more of pytest's arguments, from `root`."""

    def measure(checkpoint: Path, report: Path) -> Measured:
        command = [
            sys.executable, "-m", "pytest", "--surf", "-q", "--tb=no", "-p", "no:cacheprovider",
            f"--surf-target=hf:{checkpoint.resolve()}", f"--surf-report={report.resolve()}",
            "--surf-no-attribution", "--surf-memory=off", *more, *suites,
        ]  # fmt: skip
        ran = subprocess.run(  # noqa: S603
            command, cwd=root, capture_output=True, text=True, errors="replace", check=False
        )
        if ran.returncode not in _ASKED:
            raise _broken(ran)
        return _measured(report)

    return measure


def _broken(ran: subprocess.CompletedProcess[str]) -> InfrastructureError | UsageError:
    said = [row.strip() for row in (ran.stdout + ran.stderr).splitlines() if row.strip()]
    errors = [row for row in said if row.startswith("ERROR")]
    told = (*errors, *said[-1:], "it said nothing")[0]
    reason = f"pytest --surf ended with {ran.returncode}: {told}"
    if ran.returncode in (4, 5):  # of pytest: wrong use, nothing collected
        return UsageError(f"the suite can't be asked; {reason}")
    return InfrastructureError(f"the suite broke off; {reason}")


def _measured(report: Path) -> Measured:
    """What the run in a folder says. Raises InfrastructureError if a part of it was not asked."""
    from surfcheck.attribution.retraining.bench import Measured  # noqa: PLC0415 (torch: 2 s)

    run = read_run(report)
    unasked = [each.test for each in run.invariants if each.outcome == "error"]
    if unasked or run.unasked:
        first = (*unasked, *run.unasked)[0]
        raise InfrastructureError(f"{first} could not be asked; see {report}, and try again")
    tests: dict[str, list[int]] = {}
    for exchange in read_exchanges(report):
        if exchange.sample == 0 and not exchange.search:
            _count(tests.setdefault(exchange.test, [0, 0, 0]), exchange)
    failed = tuple(each.test for each in run.invariants if each.outcome == "fail")
    return Measured(tests, failed)


def _count(counts: list[int], exchange: Exchange) -> None:
    counts[0] += exchange.outcome is Outcome.VIOLATED
    counts[1] += exchange.outcome is not Outcome.UNDECIDED
    counts[2] += 1
