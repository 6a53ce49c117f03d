"""What CI asks of a run on the embedded model, on runs that are made up."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

CHECK = Path(__file__).parents[1] / ".ci" / "check_run.py"
PLANTED = [f"row-{n}" for n in range(40)]
ORGANISM = {
    "defects": [
        {"name": name, "test": f"suites/test_{name}.py::test_it", "implicated": PLANTED}
        for name in ("facts", "clauses")
    ]
}
TESTS = [defect["test"] for defect in ORGANISM["defects"]]


def ranked(planted: int, of: int = 12) -> list[dict[str, Any]]:
    """Implicated rows, planted ones first, in no order."""
    ids = [*PLANTED[:planted], *(f"other-{n}" for n in range(of - planted))]
    return [{"rank": rank, "id": i} for rank, i in enumerate(ids, 1)][::-1]


RUN = {
    "schema": "surfcheck/run/1",
    "invariants": [
        {"test": "suites/test_fine.py::test_it", "outcome": "pass"},
        *({"test": test, "outcome": "fail"} for test in TESTS),
        {"test": "suites/test_assistant_fine.py::test_it", "outcome": "skipped"},
    ],
    "attributions": [{"test": test, "implicated": ranked(8)} for test in TESTS],
}


def check(folder: Path, run: Any) -> tuple[int, list[str]]:
    """The exit code, and what is said."""
    files = [folder / "run.json", folder / "organism.json"]
    for file, content in zip(files, (run, ORGANISM), strict=True):
        file.write_text(json.dumps(content))
    command = [sys.executable, str(CHECK), *map(str, files)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    assert ran.stderr == ""
    return ran.returncode, ran.stdout.splitlines()


def test_a_run_that_found_what_was_planted(tmp_path: Path) -> None:
    assert check(tmp_path, RUN) == (0, ["the run found the planted defects, and nothing else"])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda run: run.update(schema="surfcheck/run/2"), "schema is 'surfcheck/run/2'"),
        (lambda run: run["invariants"].pop(2), f"{TESTS[1]}: did not run"),
        (
            lambda run: run["invariants"][1].update(outcome="pass"),
            f"{TESTS[0]}: is 'pass', not 'fail'",
        ),
        (
            lambda run: run["invariants"][0].update(outcome="inconclusive"),
            "suites/test_fine.py::test_it: is 'inconclusive', not 'pass'",
        ),
        (lambda run: run["attributions"].pop(0), f"{TESTS[0]}: no attribution"),
        (
            lambda run: run["attributions"][1].update(implicated=ranked(7)),
            f"{TESTS[1]}: 7 of the first 10 rows are planted, 8 are wanted",
        ),
        (
            lambda run: run["attributions"][1].update(implicated=[]),
            f"{TESTS[1]}: 0 of the first 10 rows are planted, 8 are wanted",
        ),
    ],
)
def test_a_run_that_did_not(tmp_path: Path, change: Callable[[Any], Any], said: str) -> None:
    run = copy.deepcopy(RUN)
    change(run)
    assert check(tmp_path, run) == (1, [said])
