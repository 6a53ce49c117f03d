"""What an item came to, in pytest's words: its exceptions, its error, its JUnit properties."""

from __future__ import annotations

import pytest

from surfcheck.errors import SurfcheckError
from surfcheck.records import ItemResult
from surfcheck.report.text import clean, line
from surfcheck.statistics import wilson


# pytest reaches its outcomes through instances, which mypy doesn't take for classes.
class Violated(pytest.fail.Exception, AssertionError):  # type: ignore[misc, name-defined]
    """A behaviour broke. An AssertionError for `xfail(raises=…)`; shown without a traceback."""

    __module__ = "builtins"  # like pytest's own outcomes: shown by its bare name

    def __init__(self, text: str) -> None:
        pytest.fail.Exception.__init__(self, text, pytrace=False)


class Inconclusive(pytest.skip.Exception):  # type: ignore[misc, name-defined]
    """Nothing can be said of a behaviour."""


class Fault(pytest.fail.Exception):  # type: ignore[misc, name-defined]
    """What made an item an error; the message begins with the name of it.

    Without a traceback from the start: CPython 3.11 can't read source for one in two threads.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text, pytrace=False)


def properties(result: ItemResult) -> list[tuple[str, object]]:
    """What JUnit shows of an item."""
    properties: list[tuple[str, object]] = [
        ("surf_outcome", result.outcome),
        ("surf_cases", result.cases),
        ("surf_violated", result.violated),
        ("surf_undecided", result.undecided),
    ]
    decided = result.held + result.violated
    if decided:
        low, high = wilson(result.violated, decided)
        properties += [
            ("surf_rate", f"{result.violated / decided:.4f}"),
            ("surf_interval", f"{low:.4f} {high:.4f}"),
        ]
    if result.failure is not None:
        failure = result.failure
        properties += [
            ("surf_smallest", line(failure.case.prompt.text, 1000)),
            ("surf_confirmed", f"{failure.confirmed} of {failure.confirmed_of}"),
        ]
    if result.unreproduced:
        properties.append(("surf_unreproduced", "true"))
    return properties


def show_as_error(report: pytest.TestReport, error: SurfcheckError | Fault) -> None:
    """An error and not a failure: pytest knows errors by the phase, and xfail must not hide it."""
    name = "" if isinstance(error, Fault) else f"{type(error).__name__}: "
    report.outcome, report.longrepr = "failed", clean(f"{name}{error}")
    report.when = "setup" if report.when == "call" else report.when
    vars(report).pop("wasxfail", None)
