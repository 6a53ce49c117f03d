"""Whether a run on the embedded model found what was planted in it, all of it and nothing else.

    python .ci/check_run.py RUN.json ORGANISM.json

The second file is what `surfcheck organism info --json` prints.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TOP, PLANTED = 10, 8
"""Of the ten rows that an attribution puts first, how many have to be planted."""

ASSISTANT = "/test_assistant_"
"""Suites for a target that answers whatever it is asked, which the embedded model is not."""


def problems(run: dict[str, Any], organism: dict[str, Any]) -> Iterator[str]:
    """What is wrong with the run, a line each."""
    if run["schema"] != "surfcheck/run/1":
        yield f"schema is {run['schema']!r}"
    defects = {defect["test"]: defect for defect in organism["defects"]}
    outcomes = {invariant["test"]: invariant["outcome"] for invariant in run["invariants"]}
    for test in sorted(defects.keys() - outcomes.keys()):
        yield f"{test}: did not run"
    for test, outcome in outcomes.items():
        wanted = "fail" if test in defects else "skipped" if ASSISTANT in test else "pass"
        if outcome != wanted:
            yield f"{test}: is {outcome!r}, not {wanted!r}"
    reports = {report["test"]: report for report in run["attributions"]}
    for test, defect in defects.items():
        if test not in reports:
            yield f"{test}: no attribution"
            continue
        ranked = sorted(reports[test]["implicated"], key=lambda row: row["rank"])[:TOP]
        planted = sum(row["id"] in defect["implicated"] for row in ranked)
        if planted < PLANTED:
            yield f"{test}: {planted} of the first {TOP} rows are planted, {PLANTED} are wanted"


def main(run: str, organism: str) -> int:
    """0 if nothing is wrong, else 1."""
    found = list(problems(*(json.loads(Path(file).read_text()) for file in (run, organism))))
    print("\n".join(found) or "the run found the planted defects, and nothing else")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
