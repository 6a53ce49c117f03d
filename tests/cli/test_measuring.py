"""A suite that pytest really runs over a checkpoint."""

from __future__ import annotations

import subprocess
import textwrap
from pathlib import Path

import pytest

from surfcheck.cli import measuring
from surfcheck.cli.measuring import by_suite
from surfcheck.errors import InfrastructureError, UsageError
from surfcheck.records import InvariantResult, RunReport, Usage
from surfcheck.report.json import read_run, write_run

SUITE = """
    import pytest
    from surfcheck import invariant, perturb
    from surfcheck.records import Outcome, Verdict

    def says(word):
        def judge(response):
            return Verdict(word, "as told")
        return judge

    @invariant(perturb.casing())
    @pytest.mark.parametrize("prompt", ["is it true", "is it so"])
    def test_broken(prompt, target, judge):
        "It holds."
        assert judge(target(prompt), says(Outcome.VIOLATED))

    @invariant(perturb.casing())
    @pytest.mark.parametrize("prompt", ["is it true"])
    def test_unclear(prompt, target, judge):
        "It is clear."
        assert judge(target(prompt), says(Outcome.UNDECIDED))
"""


@pytest.fixture
def suite(project: Path) -> Path:
    (project / "pytest.ini").write_text("[pytest]\nsurf_samples = 3\n")
    (project / "test_it.py").write_text(textwrap.dedent(SUITE))
    return project


def test_a_case_counts_once_by_its_first_answer(suite: Path, checkpoints: Path) -> None:
    before = {place.name for place in suite.iterdir()}
    found = by_suite("test_it.py", more=["--surf-examples=2"])(checkpoints / "one", suite / "ran")
    assert found.tests == {
        "test_it.py::test_broken": [4, 4, 4],
        "test_it.py::test_unclear": [0, 0, 2],
    }
    assert found.failed == ("test_it.py::test_broken",)
    assert read_run(suite / "ran").target == f"hf:{checkpoints / 'one'}"
    made = {place.name for place in suite.iterdir()} - before - {"__pycache__", ".hypothesis"}
    assert made == {"ran"}


def test_a_suite_that_cannot_be_asked_is_a_line(suite: Path, checkpoints: Path) -> None:
    with pytest.raises(UsageError, match="the suite can't be asked; pytest --surf ended with 4"):
        by_suite("test_gone.py")(checkpoints / "one", suite / "ran")
    (suite / "test_it.py").write_text("def broken(:")
    with pytest.raises(
        InfrastructureError, match="broke off; pytest --surf ended with 2"
    ) as caught:
        by_suite("test_it.py")(checkpoints / "one", suite / "ran")
    assert "\n" not in str(caught.value)


def test_items_that_could_not_be_asked_are_no_measurement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = InvariantResult("test_it.py::test_a", "", "error", 0, 0, 0, 0, None, None)

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        report = RunReport("hf:x", {}, (asked,), (), (), Usage())
        write_run(tmp_path / "ran", report, ())
        return subprocess.CompletedProcess(command, 1, "", "")

    monkeypatch.setattr(measuring.subprocess, "run", run)
    with pytest.raises(InfrastructureError, match=r"test_it\.py::test_a could not be asked; see"):
        by_suite("test_it.py")(tmp_path, tmp_path / "ran")
