"""`surfcheck compare`, in this process, on runs that are written here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer

from surfcheck.cli.compare import compare
from surfcheck.comparison import Comparison
from surfcheck.errors import UsageError
from surfcheck.records import Exchange, InvariantResult, Outcome, RunReport, Usage
from surfcheck.report.json import write_run

TESTS = {
    "a.py::test_facts": "Facts are not [b]rejected[/b].",
    "b.py::test_tone": "It is \x1b[2Jkind.",
}


def write(folder: Path, target: str, broken: dict[str, int]) -> Path:
    exchanges = [
        Exchange(
            test, f"prompt {n}", "yes", Outcome.VIOLATED if n < worst else Outcome.HELD, "typos"
        )
        for test, worst in broken.items()
        for n in range(30)
    ]
    invariants = tuple(
        InvariantResult(test, TESTS[test], "pass", 30, 30, 0, 0, 0.0, (0.0, 0.1)) for test in broken
    )
    run = RunReport(target, {}, invariants, failures=(), attributions=(), usage=Usage())
    write_run(folder, run, exchanges)
    return folder


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Path, Path]:
    """The second is worse in one behaviour and the same in the other."""
    facts, tone = TESTS
    a = write(tmp_path / "a", "hf:old", {facts: 2, tone: 5})
    return a, write(tmp_path / "b", "hf:new", {facts: 25, tone: 5})


def run(*arguments: str | Path) -> int:
    """The verb alone, as `surfcheck` runs it."""
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command()(compare)
    command = typer.main.get_command(app)
    code = command.main(args=[str(a) for a in arguments], standalone_mode=False)
    return code or 0


def test_a_run_that_is_worse_ends_with_one(
    runs: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*runs) == 1
    out = capsys.readouterr().out
    assert out.startswith("A: hf:old\nB: hf:new\n")
    rows = {row.split()[0]: row for row in out.splitlines() if " % " in row}
    assert "worse" in rows["Facts"]
    assert "7 % to 83 %" in rows["Facts"]
    assert "+77 (" in rows["Facts"]
    assert "tied" in rows["It"]
    assert "+0 (" in rows["It"]
    assert "worse" in rows["all"]
    assert "worse: B breaks it more often" in out


def test_a_run_that_is_not_worse_ends_with_nought(runs: tuple[Path, Path]) -> None:
    assert run(*reversed(runs)) == 0
    assert run(runs[0], runs[0]) == 0


def test_text_of_a_run_is_shown_as_text(
    runs: tuple[Path, Path],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    run(*runs)
    out = capsys.readouterr().out
    assert "[b]rejected[/b]" in out
    assert "\x1b" not in out


def test_json_is_the_comparison(
    runs: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*runs, "--json") == 1
    data = json.loads(capsys.readouterr().out)
    assert data["schema"] == "surfcheck/comparison/1"
    compared = Comparison.from_json(data)
    assert [line.word for line in compared.invariants] == ["worse", "tied"]
    assert compared.worse


def test_a_folder_that_is_no_run_is_wrong_use(runs: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nowhere: No such file") as caught:
        run(runs[0], tmp_path / "nowhere")
    assert caught.value.exit_code == 2


def test_help_has_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--help") == 0
    assert "\n  Example:\n    surfcheck compare" in capsys.readouterr().out
