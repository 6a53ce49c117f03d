"""The hooks of a run under `--surf`: in a plain run, in an xdist worker, in its controller.

An item's result rides on its pytest report as JSON; the controller gathers them, however many
processes there are, and the rest is `session`'s.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, TypeGuard

import pytest
from rich.console import Console

from surfcheck import freezing
from surfcheck.asking import Share
from surfcheck.cases import Item
from surfcheck.check import Body
from surfcheck.errors import SurfcheckError, Undecided, UsageError
from surfcheck.fixtures import Judging, Target
from surfcheck.gathering import undecided
from surfcheck.invariants import MARK, PERTURBATION, Invariant
from surfcheck.outcomes import Fault, Inconclusive, Violated, properties, show_as_error
from surfcheck.perturb import unfrozen
from surfcheck.records import ItemResult, Prompt, RunReport
from surfcheck.report.progress import bar, lines
from surfcheck.report.terminal import render
from surfcheck.report.text import line
from surfcheck.roles import Progress, silent
from surfcheck.session import Session
from surfcheck.settings import Settings

PAYLOAD = "surf_item"
NOT_DECIDED = 3
"""Exit code where nothing was found, but a ceiling stopped the run, nothing could be judged of a
behaviour, or the run could not be written."""


class Fixtures(NamedTuple):
    """What the body of one test works with."""

    target: Target
    judge: Judging


_FIXTURES = pytest.StashKey[Fixtures]()
_RESULT = pytest.StashKey[ItemResult]()


class SurfRun:
    """Registered as a plugin where `--surf` is given."""

    def __init__(self, config: pytest.Config, settings: Settings) -> None:
        self._config, self._settings = config, settings
        folder = config.rootpath / ".surfcheck"
        self._session = Session(
            settings, folder=folder, working=self._working, share=_share(config)
        )
        self._order: Mapping[str, int] = {}
        self._report: RunReport | None = None
        self._stopped = False

    def pytest_sessionstart(self) -> None:
        """What is wrong with the settings is said once, before anything is collected."""
        if not self._config.option.collectonly:
            try:
                self._session.prepare()
            except UsageError as error:
                raise pytest.UsageError(str(error)) from None

    def fixtures(self, item: pytest.Item) -> Fixtures:
        """The target and the judge of an item, the same for all that ask for them."""
        if _FIXTURES not in item.stash:
            test, criterion = item.nodeid, ""
            if isinstance(item, pytest.Function):
                test = _test(item) if _is_ours(item) else test
                criterion = inspect.getdoc(item.obj) or ""
            session = self._session
            fixtures = Fixtures(session.target(test), session.judging(test, criterion))
            item.stash[_FIXTURES] = fixtures
        return item.stash[_FIXTURES]

    def pytest_report_header(self) -> str:
        s = self._settings
        return (
            f"surfcheck: target {s.target}, {s.examples} cases × {s.samples} samples an item, "
            f"seed {s.seed}, memory {s.memory}"
        )

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            missing = _missing(item, self._settings)
            if missing is not None:
                item.add_marker(pytest.mark.skip(reason=missing))

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._order = {item.nodeid: place for place, item in enumerate(session.items)}
        declared = [item for item in session.items if _is_ours(item) and not _skipped(item)]
        planned = [found for item in declared if (found := _planned(item)) is not None]
        self._session.plan(planned)
        if self._settings.writer is not None and not session.config.option.collectonly:
            self._write_missing(planned, self._settings.writer)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        """With `--surf-estimate` nothing runs: what it would take is said at the end."""
        if not self._settings.estimate or session.config.option.collectonly:
            return None
        if session.config.pluginmanager.hasplugin("dsession"):
            raise pytest.UsageError("--surf-estimate asks nothing: leave out -n")
        try:
            self._session.estimate()
        except SurfcheckError as error:
            raise pytest.UsageError(str(error)) from None
        return True

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: Sequence[str]) -> None:
        self._order = {item: place for place, item in enumerate(ids)}

    @pytest.hookimpl(tryfirst=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> bool | None:
        """An invariant's body runs once a case; every other test runs as it would."""
        if not _is_ours(pyfuncitem):
            return None
        fixtures = self.fixtures(pyfuncitem)
        item, body = _item(pyfuncitem, pyfuncitem.funcargs["prompt"]), _body(pyfuncitem)
        result = self._session.check(item, body, fixtures.target, fixtures.judge)
        pyfuncitem.stash[_RESULT] = result
        pyfuncitem.user_properties.extend(properties(result))
        match result.outcome:
            case "fail":
                raise Violated(self._session.explain(result))
            case "error":
                raise Fault(result.message)
            case "inconclusive":
                raise Undecided(result.message)
            case "skipped":  # a ceiling was reached
                # Which one, and what to do, is said once, at the end.
                pyfuncitem.session.shouldstop = "surfcheck: a ceiling was reached"
                pytest.skip("a ceiling was reached")
        return True

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self) -> Generator[None]:
        """Undecided, in any test that asks, is neither pass nor fail."""
        try:
            return (yield)
        except Undecided as error:
            raise Inconclusive(line(str(error))) from None

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        error = None if call.excinfo is None else call.excinfo.value
        if isinstance(error, Inconclusive):
            where = (str(item.path), (item.location[1] or 0) + 1)
            report.longrepr = (*where, f"Skipped: inconclusive: {error.msg}")
        elif isinstance(error, SurfcheckError | Fault):
            show_as_error(report, error)
        if isinstance(item, pytest.Function) and item.get_closest_marker(MARK) is not None:
            result = _result(item, report, call)
            if result is not None:
                report.__dict__[PAYLOAD] = json.dumps(result.to_json())
        if call.when == "teardown" and _FIXTURES in item.stash:
            del item.stash[_FIXTURES]  # an item that is run again starts anew
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        payload = report.__dict__.get(PAYLOAD)
        if payload is not None:
            self._session.add(ItemResult.from_json(json.loads(payload)))

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        # Under xdist `-x` comes here too, as a subclass; only a person wants no more work.
        self._stopped = excinfo.type in (KeyboardInterrupt, pytest.exit.Exception)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        self._session.close()
        if "workerinput" in vars(self._config):
            return  # an xdist worker: its controller has every report
        attribute = not self._stopped and exitstatus != pytest.ExitCode.INTERNAL_ERROR
        try:
            self._report = self._session.finish(
                self._order, attribute=attribute, complete=not self._broken_off(session)
            )
            session.exitstatus = self._exit_code(exitstatus)
        except SurfcheckError as error:
            self._session.notices.append(str(error))
            session.exitstatus = error.exit_code

    def _write_missing(self, items: Sequence[Item], writer: str) -> None:
        """Have the rewrites written that no frozen file has yet, but by one process only."""
        wants = [
            freezing.Want(Path(written.suite), item.prompt.text, written, whole=False)
            for item in items
            for written in unfrozen(item.perturbation, item.prompt)
        ]
        if not wants or self._settings.estimate:
            return
        if "workerinput" in vars(self._config):
            raise pytest.UsageError("--surf-writer writes into the suites: leave out -n")
        try:
            model = self._session.models.load(writer)
            with self._working() as progress:
                freezing.freeze(wants, model, model, update=False, progress=progress)
        except SurfcheckError as error:
            raise pytest.UsageError(str(error)) from None

    def _broken_off(self, session: pytest.Session) -> bool:
        return self._stopped or bool(session.shouldstop) or bool(session.shouldfail)

    def _exit_code(self, status: int) -> int:
        """pytest's own, but never that of a success where something is missing."""
        report = self._report
        stopped = self._session.stopped
        if report is None or status != (pytest.ExitCode.INTERRUPTED if stopped else 0):
            return status
        if report.failures:
            return pytest.ExitCode.TESTS_FAILED
        missing = stopped or undecided(report) or self._session.unwritten
        return NOT_DECIDED if missing else status

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        notices = self._session.notices
        if self._report is None and not notices:
            return
        width = self._config.get_terminal_writer().fullwidth
        colour = terminalreporter.hasmarkup
        terminalreporter.section("surfcheck")
        terminalreporter.write(render(self._report, notices, width=width, colour=colour))

    @contextmanager
    def _working(self) -> Iterator[Progress]:
        """Progress past pytest's capture; none in an xdist worker, which has no terminal."""
        plugins = self._config.pluginmanager
        reporter = plugins.get_plugin("terminalreporter")
        if reporter is None:
            yield silent
            return
        capture = plugins.get_plugin("capturemanager")
        uncaptured = nullcontext if capture is None else capture.global_and_fixture_disabled
        if reporter.isatty:
            with uncaptured(), bar(Console(), begin=reporter.ensure_newline) as progress:
                yield progress
            return

        def write(text: str) -> None:
            with uncaptured():
                reporter.ensure_newline()
                reporter.write_line(f"surfcheck: {text}")

        with lines(write) as progress:
            yield progress


def _share(config: pytest.Config) -> Share:
    """This process's part of the run; in xdist's workers, what the controller said."""
    worker = vars(config).get("workerinput")
    if worker is None:
        return Share()
    return Share(run=str(worker["testrunuid"]), processes=int(worker["workercount"]))


def _is_ours(item: pytest.Item) -> TypeGuard[pytest.Function]:
    marked = isinstance(item, pytest.Function) and item.get_closest_marker(MARK) is not None
    return marked and "callspec" in vars(item)


def _skipped(item: pytest.Item) -> bool:
    return item.get_closest_marker("skip") is not None


def _missing(item: pytest.Item, settings: Settings) -> str | None:
    """Why a test can't be asked in this run, by what its suite says it needs."""
    if not _is_ours(item):
        return None
    needs = Invariant.declared(item.iter_markers(MARK), item.nodeid).needs
    if "assistant" in needs and settings.target.startswith("organism:"):
        return f"needs an assistant: {settings.target} knows only what it was taught"
    if "judge" in needs and settings.judge is None:
        return "needs a judge model (--surf-judge SPEC)"
    return None


def _planned(function: pytest.Function) -> Item | None:
    """What will be checked, where the prompt is known before the test runs."""
    prompt = function.callspec.params.get("prompt")
    if prompt is None or PERTURBATION not in function.callspec.params:
        return None
    try:
        return _item(function, prompt)
    except UsageError:
        return None  # said when the test runs


def _item(function: pytest.Function, given: Any) -> Item:
    try:
        prompt = Prompt.of(given)
    except (KeyError, TypeError, ValueError) as error:
        wrong = error if isinstance(error, ValueError) else f"is a {type(given).__name__}"
        raise UsageError(
            f"prompt {wrong}: give a text, a list of {{role, content}} or a Prompt"
        ) from None
    test = _test(function)
    perturbation: Any = function.callspec.params[PERTURBATION]
    return Item(
        test=test,
        item=function.nodeid,
        behaviour=_behaviour(function),
        prompt=prompt,
        perturbation=perturbation,
        hold=Invariant.declared(function.iter_markers(MARK), test).hold,
    )


def _test(function: pytest.Function) -> str:
    """Node id of the test function, without parameters."""
    return function.nodeid.removesuffix(f"[{function.callspec.id}]")


def _behaviour(function: pytest.Function) -> str:
    """First line of the docstring, else the function's name as words."""
    documented = inspect.getdoc(function.obj)
    if documented:
        return documented.partition("\n")[0]
    return function.originalname.removeprefix("test_").replace("_", " ")


def _body(function: pytest.Function) -> Body:
    """The test's function with its fixtures; a prompt goes in as what it was written as."""
    arguments = {
        name: function.funcargs[name]
        for name, parameter in inspect.signature(function.obj).parameters.items()
        if name in function.funcargs and parameter.default is parameter.empty
    }
    text = isinstance(arguments["prompt"], str)

    def body(prompt: Prompt) -> None:
        arguments["prompt"] = prompt.text if text else prompt
        try:
            function.obj(**arguments)
        except pytest.fail.Exception as failed:
            raise AssertionError(failed.msg or "") from None

    return body


def _result(
    function: pytest.Function, report: pytest.TestReport, call: pytest.CallInfo[None]
) -> ItemResult | None:
    """What the item came to, once, with the phase that decided it."""
    if call.when == "teardown":
        return None
    expected = vars(report).get("wasxfail") if report.skipped else None
    if _RESULT in function.stash:
        result = function.stash[_RESULT]
        del function.stash[_RESULT]
        if expected is None:
            return result
        message = f"expected to fail: {expected}"
        return replace(result, outcome="skipped", failure=None, message=message)
    if report.passed:
        return None  # set up, and not yet run
    return ItemResult(
        test=_test(function),
        item=function.nodeid,
        behaviour=_behaviour(function),
        outcome="skipped" if report.skipped else "error",
        message="" if call.excinfo is None else line(call.excinfo.exconly(tryshort=True)),
    )
