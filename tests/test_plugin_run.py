"""Whole runs, in one process and spread over two workers: pytest's own flags keep their meaning."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

SHOUT_WATER = "test_suite.py::test_agrees[is-water-wet-a75a81-shout]"
SHOUT_ICE = "test_suite.py::test_agrees[is-ice-cold-609157-shout]"


def test_a_run_fails_reports_and_is_written(suite, run, latest) -> None:
    result = run("--surf")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(failed=2, passed=3)
    report = latest()
    assert [i["outcome"] for i in report["invariants"]] == ["fail", "pass"]
    assert report["invariants"][0] == {
        "test": "test_suite.py::test_agrees",
        "behaviour": "The reply agrees.",
        "outcome": "fail",
        "cases": 8,
        "held": 6,
        "violated": 2,
        "undecided": 0,
        "rate": 0.25,
        "interval": pytest.approx([0.0715, 0.5907], abs=1e-4),
        "hold": 1.0,
    }
    assert report["invariants"][1]["behaviour"] == "is calm"
    assert [f["item"] for f in report["failures"]] == [SHOUT_WATER, SHOUT_ICE]
    assert report["attributions"] == []
    assert report["usage"]["usd"] is None


def test_a_run_keeps_its_exchanges(suite, run, latest) -> None:
    run("--surf")
    folder = Path(latest()["settings"]["report"])
    exchanges = [json.loads(row) for row in (folder / "exchanges.jsonl").read_text().splitlines()]
    assert len(exchanges) == 10 + 2 * 4
    assert exchanges[0] == {
        "test": "test_suite.py::test_agrees",
        "prompt": "Is water wet?",
        "response": "Yes.",
        "outcome": "held",
        "perturbation": "shout",
        "seed": "Is water wet?",
        "sample": 0,
        "search": False,
    }
    assert (suite.path / ".surfcheck/.gitignore").read_text() == "*\n"
    assert not list(suite.path.glob(".surfcheck/**/*.part"))


def test_a_run_shows_what_failed(suite, run) -> None:
    result = run("--surf")
    result.stdout.fnmatch_lines(
        [
            "*_ test_agrees[[]is-water-wet-a75a81-shout[]] _*",
            "The reply agrees.",
            "smallest prompt that breaks it (shout: shout)",
            "  IS WATER WET?",
            "  No.",
            "nearest prompt that holds",
            "  Is water wet?",
            "broke 1 of 2 cases*again in 4 of 4 fresh samples",
            f"run it again: pytest --surf --surf-target python:fake:answer '{glob(SHOUT_WATER)}'",
            "*= surfcheck =*",
            "broken in 2 of 8 cases (25 %, 95 % interval 7 % to 59 %)",
            "*--surf-base MODEL --surf-data DATA",
            f"FAILED {glob(SHOUT_WATER)} - Violated*",
        ]
    )
    result.stdout.no_fnmatch_line("*surfcheck/*.py*")


def glob(name: str) -> str:
    return name.replace("[", "[[]")


def test_keywords_and_marks_select(suite, run, latest) -> None:
    run("--surf", "-k", "water and title").assert_outcomes(passed=1)
    assert [i["cases"] for i in latest()["invariants"]] == [2]


def test_the_mark_selects(suite, run) -> None:
    suite.makepyfile(test_other="def test_it(): pass")
    run("--surf", "-m", "not surf").assert_outcomes(passed=1)
    assert not (suite.path / "asked.txt").exists()


def test_exit_first(suite, run, latest) -> None:
    result = run("--surf", "-x", "--maxfail=1")
    assert result.ret in (pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.INTERRUPTED)
    assert len(latest()["failures"]) >= 1
    result.stdout.fnmatch_lines(["*--surf-base MODEL --surf-data DATA"])


def test_last_failed(suite, run) -> None:
    suite.runpytest_inprocess("--surf").assert_outcomes(failed=2, passed=3)
    result = run("--surf", "--lf", "-v")
    result.assert_outcomes(failed=2)
    result.stdout.no_fnmatch_line("*title*")


def test_stepwise(suite, run) -> None:
    suite.runpytest_inprocess("--surf", "--sw").assert_outcomes(failed=1)
    result = run("--surf", "--sw", "--sw-skip")
    assert result.parseoutcomes()["failed"] >= 1


def test_collect_only_asks_nothing(suite, run) -> None:
    result = run("--surf", "--collect-only")
    assert result.ret == pytest.ExitCode.OK
    assert not (suite.path / "asked.txt").exists()
    assert not (suite.path / ".surfcheck").exists()
    result.stdout.no_fnmatch_line("*= surfcheck =*")


def test_strict_markers(suite, run) -> None:
    run("--surf", "--strict-markers", "--strict-config", "-k", "calm").assert_outcomes(passed=1)


def test_junit_has_properties(suite, run) -> None:
    run("--surf", "--junitxml=junit.xml")
    cases = {
        case.get("name"): {p.get("name"): p.get("value") for p in case.iter("property")}
        for case in ElementTree.parse(suite.path / "junit.xml").iter("testcase")  # noqa: S314
    }
    assert cases["test_agrees[is-water-wet-a75a81-shout]"] == {
        "surf_outcome": "fail",
        "surf_cases": "2",
        "surf_violated": "1",
        "surf_undecided": "0",
        "surf_rate": "0.5000",
        "surf_interval": "0.0945 0.9055",
        "surf_smallest": "IS WATER WET?",
        "surf_confirmed": "4 of 4",
    }
    assert cases["test_is_calm[is-fire-hot-bcc89b-title]"]["surf_outcome"] == "pass"


def test_the_second_run_remembers(suite, run, latest) -> None:
    suite.runpytest_inprocess("--surf")
    asked = (suite.path / "asked.txt").read_text()
    first = latest()
    run("--surf").assert_outcomes(failed=2, passed=3)
    assert (suite.path / "asked.txt").read_text() == asked
    second = latest()
    assert second["usage"]["calls"] == 0
    assert second["failures"] == first["failures"]
    assert second["invariants"] == first["invariants"]
    assert len(list(suite.path.glob(".surfcheck/runs/*/run.json"))) == 3  # two and `latest`


def test_a_report_folder_of_ones_own(suite, run) -> None:
    run("--surf", "--surf-report", "out/here", "--surf-memory=off")
    assert json.loads((suite.path / "out/here/run.json").read_text())["target"]
    assert not (suite.path / ".surfcheck").exists()


@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["plain", "xdist"])
def test_without_the_plugin(suite, monkeypatch, workers) -> None:
    """By its name, as it is installed; what it collects is then an ordinary fixture error."""
    monkeypatch.delenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD")
    suite.makepyfile(test_other="def test_it(): pass")
    (suite.path / "pytest.ini").write_text("[pytest]\npythonpath = .\n")
    result = suite.runpytest_subprocess("-p", "no:surfcheck", "-W", "ignore", *workers)
    result.assert_outcomes(passed=1, errors=3)
    assert not (suite.path / "asked.txt").exists()
