"""What an item can come to, and how pytest, JUnit and run.json say so."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple
from xml.etree import ElementTree

import pytest

from surfcheck.records import ItemResult
from surfcheck.running import PAYLOAD

HEAD = """
from __future__ import annotations
import pytest
from changes import agrees, shout, unsure
from surfcheck import invariant
from surfcheck.errors import ModelError, Undecided

ask = pytest.mark.parametrize("prompt", ["Is it so?"])

"""


class Ran(NamedTuple):
    """One test, run."""

    result: pytest.RunResult
    report: dict[str, Any]
    """run.json."""
    junit: ElementTree.Element
    """Its `<testcase>`."""


@pytest.fixture
def ran(folder: pytest.Pytester, latest: Callable[[], dict[str, Any]]) -> Callable[..., Ran]:
    def ran(test: str, *arguments: str) -> Ran:
        folder.makepyfile(test_it=HEAD + test)
        result = folder.runpytest_inprocess("--surf", "--junitxml=junit.xml", *arguments)
        case = ElementTree.parse(folder.path / "junit.xml").find(".//testcase")  # noqa: S314
        assert case is not None
        return Ran(result, latest(), case)

    return ran


def outcome(ran: Ran) -> str:
    return str(ran.report["invariants"][0]["outcome"])


def test_undecided_is_a_skip_that_says_so(ran) -> None:
    it = ran("@invariant(shout)\n@ask\ndef test_it(prompt, target, judge):\n"
             "    assert judge(target(prompt), unsure)")  # fmt: skip
    it.result.assert_outcomes(skipped=1)
    it.result.stdout.fnmatch_lines(
        ["SKIPPED*test_it.py:*: inconclusive: 2 of 2 cases could not be judged (cannot tell)"]
    )
    assert outcome(it) == "inconclusive"
    assert it.report["invariants"][0]["undecided"] == 2
    assert it.report["invariants"][0]["rate"] is None
    assert it.junit.find("skipped") is not None


def test_undecided_in_a_plain_test_is_a_skip_too(folder) -> None:
    folder.makepyfile(HEAD + "def test_it(target, judge): assert judge(target('x'), unsure)")
    result = folder.runpytest_inprocess("--surf")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED*test_undecided_in*.py:*: inconclusive: cannot tell"])


BREAKS = "def test_it(prompt, target, judge): assert judge(target(prompt), agrees)\n"
UNREACHABLE = (
    "@invariant(shout)\n@pytest.mark.parametrize('prompt', ['unreachable'])\n"
    "def test_it(prompt, target): assert target(prompt)\n"
)


@pytest.mark.parametrize("mark", ["", "@pytest.mark.xfail\n", "@pytest.mark.xfail(strict=True)\n"])
def test_a_model_that_cannot_be_asked_is_an_error_and_no_finding(ran, mark) -> None:
    it = ran(mark + UNREACHABLE)
    assert it.result.ret == pytest.ExitCode.TESTS_FAILED
    it.result.assert_outcomes(errors=1)
    it.result.stdout.fnmatch_lines(
        ["*= ERRORS =*", "ModelError: *ConnectionError: no route to host*", "ERROR test_it.py::*"]
    )
    it.result.stdout.no_fnmatch_line("*Traceback*")
    it.result.stdout.no_fnmatch_line("*surfcheck/*.py*")
    assert outcome(it) == "error"
    assert it.report["failures"] == []
    assert it.junit.find("error") is not None
    assert it.junit.find("failure") is None


def test_an_unknown_provider_is_said_once_before_anything(suite, run) -> None:
    for flag in ("target", "judge", "baseline"):
        result = run("--surf", f"--surf-{flag}=nowhere:x")
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines(
            "ERROR: nowhere:x: no provider 'nowhere'; known are *organism:*"
        )


@pytest.mark.parametrize("target", ["organism:nobody"])
def test_an_unknown_target_is_one_line_an_item(ran, target: str) -> None:
    test = "@invariant()\n@pytest.mark.parametrize('prompt', ['a', 'b'])\n" + BREAKS
    it = ran(test, f"--surf-target={target}")
    it.result.assert_outcomes(errors=2)
    it.result.stdout.fnmatch_lines([f"UsageError: {target}: *"])
    assert outcome(it) == "error"


def test_an_error_in_a_plain_test_is_an_error(folder) -> None:
    folder.makepyfile("def test_it(target): target('unreachable')")
    result = folder.runpytest_inprocess("--surf")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["ModelError: *no route to host*"])


@pytest.mark.parametrize("raises", ["", "raises=AssertionError, "])
def test_a_known_defect_is_expected_to_fail(ran, raises) -> None:
    mark = f"@pytest.mark.xfail({raises}reason='known')\n"
    it = ran(f"{mark}@invariant(shout)\n@ask\n{BREAKS}")
    it.result.assert_outcomes(xfailed=1)
    assert it.result.ret == pytest.ExitCode.OK
    assert outcome(it) == "skipped"
    assert it.report["failures"] == []
    assert it.report["invariants"][0]["violated"] == 1


def test_a_known_defect_that_is_gone(ran) -> None:
    it = ran(f"@pytest.mark.xfail(strict=True, reason='known')\n@invariant()\n@ask\n{BREAKS}")
    it.result.assert_outcomes(failed=1)
    it.result.stdout.fnmatch_lines(["[[]XPASS(strict)[]] known"])
    assert outcome(it) == "pass"


def test_an_unexpected_kind_of_failure_is_not_hidden(ran) -> None:
    it = ran(f"@pytest.mark.xfail(raises=OSError)\n@invariant(shout)\n@ask\n{BREAKS}")
    it.result.assert_outcomes(failed=1)
    assert outcome(it) == "fail"


def test_a_skip_is_a_skip(ran) -> None:
    it = ran(f"@pytest.mark.skip(reason='later')\n@invariant(shout)\n@ask\n{BREAKS}")
    it.result.assert_outcomes(skipped=1)
    assert outcome(it) == "skipped"
    inside = ran("@invariant(shout)\n@ask\ndef test_it(prompt): pytest.skip('not today')")
    inside.result.assert_outcomes(skipped=1)
    inside.result.stdout.fnmatch_lines(["SKIPPED*not today"])
    assert outcome(inside) == "skipped"


def test_the_authors_mistake_is_an_ordinary_failure_with_its_traceback(ran) -> None:
    it = ran("@invariant(shout)\n@ask\ndef test_it(prompt, target):\n    prompt.nonsense()")
    it.result.assert_outcomes(failed=1)
    it.result.stdout.fnmatch_lines(["*prompt.nonsense()*", "E *AttributeError: *'nonsense'*"])
    assert outcome(it) == "error"


def test_a_fixture_that_breaks_is_an_error(ran) -> None:
    it = ran(
        "@pytest.fixture\ndef broken(): raise ModelError('the judge is away: try again')\n"
        "@invariant(shout)\n@ask\ndef test_it(prompt, broken): pass"
    )
    it.result.assert_outcomes(errors=1)
    it.result.stdout.fnmatch_lines(["ModelError: the judge is away: try again"])
    it.result.stdout.no_fnmatch_line("*raise ModelError*")
    assert outcome(it) == "error"


def test_pytest_fail_breaks_a_behaviour(ran) -> None:
    it = ran(
        "@invariant(shout)\n@ask\ndef test_it(prompt, target):\n"
        "    if target(prompt).text != 'Yes.': pytest.fail('it said no')"
    )
    it.result.assert_outcomes(failed=1)
    assert it.report["failures"][0]["reason"] == "it said no"
    assert it.report["failures"][0]["case"]["prompt"]["messages"][0]["content"] == "IS IT SO?"


def test_what_broke_once_and_not_again_is_not_red(ran) -> None:
    it = ran(
        "@invariant(shout)\n@ask\ndef test_it(prompt, target, seen=[]):\n"
        "    target(prompt); seen.append(prompt)\n    assert len(seen) != 2"
    )
    it.result.assert_outcomes(passed=1)
    assert it.report["invariants"][0]["violated"] == 1
    assert it.report["failures"] == []
    properties = {p.get("name"): p.get("value") for p in it.junit.iter("property")}
    assert properties["surf_unreproduced"] == "true"


HOSTILE = "\x1b[31mred\x1b]0;title\x07 [bold]x[/bold] \u202eevil\u2066 \x00\x08 </failure>]]>"


def test_hostile_text_is_shown_as_text(folder, run, latest) -> None:
    folder.makepyfile(fake=f"def answer(messages): return {HOSTILE!r}")
    folder.makepyfile(
        test_it=HEAD + "@invariant()\n@pytest.mark.parametrize('prompt', "
        f"[{HOSTILE!r}])\ndef test_it(prompt, target):\n    '''{HOSTILE[:8]}'''\n"
        "    assert not target(prompt).text, target(prompt).text\n"
    )  # fmt: skip
    result = run("--surf", "--junitxml=junit.xml", "--surf-memory=off")
    result.assert_outcomes(failed=1)
    shown = result.stdout.str()
    assert not set(shown) & set("\x1b\x07\x00\x08\u202e\u2066")
    assert "[bold]x[/bold]" in shown
    ElementTree.parse(folder.path / "junit.xml")  # noqa: S314
    assert latest()["failures"][0]["response"] == HOSTILE


def test_the_result_rides_on_one_report_as_json(suite) -> None:
    """In a plain run and from an xdist worker the controller reads the same."""
    reports = []

    class Listener:
        def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
            reports.append(report)

    pytest.main(["--surf", "-q", str(suite.path)], plugins=[Listener()])
    carried = [(r.nodeid, vars(r)[PAYLOAD]) for r in reports if PAYLOAD in vars(r)]
    assert len(carried) == len({item for item, _ in carried}) == 5
    for item, payload in carried:
        payload.encode("ascii")
        assert ItemResult.from_json(json.loads(payload)).item == item


def test_an_item_that_runs_again_counts_once(folder, latest) -> None:
    folder.makeconftest(
        """
        from _pytest.runner import runtestprotocol

        def pytest_runtest_protocol(item, nextitem):
            item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
            for again in range(2):
                item._initrequest()
                for report in runtestprotocol(item, nextitem=nextitem, log=False):
                    item.ihook.pytest_runtest_logreport(report=report)
            item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
            return True
        """
    )
    folder.makepyfile(HEAD + "@invariant(shout)\n@ask\n" + BREAKS)
    folder.runpytest_inprocess("--surf")
    assert latest()["invariants"][0]["cases"] == 2
    assert len(latest()["failures"]) == 1
    assert latest()["usage"] == {"calls": 0, "remembered": 0, "tokens": 0, "usd": 0.0}


def test_a_run_that_is_stopped_keeps_what_it_has(folder, latest) -> None:
    folder.makepyfile(
        HEAD + "@invariant(shout)\n@ask\n" + BREAKS
        + "@invariant()\n@ask\ndef test_stop(prompt): raise KeyboardInterrupt"
    )  # fmt: skip
    result = folder.runpytest_inprocess("--surf", no_reraise_ctrlc=True)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert [i["outcome"] for i in latest()["invariants"]] == ["fail"]
    result.stdout.no_fnmatch_line("*--surf-base*")


def test_a_report_that_cannot_be_written_is_said_before_anything_is_asked(suite) -> None:
    (suite.path / "taken").write_text("a file")
    result = suite.runpytest_inprocess("--surf", "--surf-report=taken", "-k", "calm")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --surf-report taken can't be written (*); name another"])
    assert not (suite.path / "asked.txt").exists()
