"""pytest's options, fixtures and the hooks that are always there. Decides nothing.

Installed and unused it costs a table of options and a look at each test's marks. What runs only
under `--surf` stands in `running`, which is imported and registered only then.
"""

from __future__ import annotations

import inspect
from collections.abc import Generator
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import pytest

from surfcheck.errors import SurfcheckError, UsageError
from surfcheck.settings import OPTIONS, Option, Settings, read_settings

if TYPE_CHECKING:
    from surfcheck.fixtures import Judging, Target
    from surfcheck.invariants import Invariant
    from surfcheck.running import SurfRun

NEEDS_SURF = "needs --surf (it asks a model)"

_RUN: pytest.StashKey[SurfRun] = pytest.StashKey()
_DECLARED: pytest.StashKey[Invariant] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("surfcheck", "behaviour tests of language models")
    group.addoption("--surf", action="store_true", help="run the tests that ask a model")
    types = {field.name: str(field.type) for field in fields(Settings)}
    for option in OPTIONS:
        if option.metavar is None:
            group.addoption(option.flag, action="store_true", default=None, help=option.help)
        else:
            group.addoption(option.flag, metavar=option.metavar, help=option.help)
        kind: Any = types[option.name] if types[option.name] in ("int", "bool") else "string"
        parser.addini(option.ini, option.help, type=kind, default=None)
    suites = "where `pytest --surf` looks for tests if it is given no path"
    group.addoption("--surf-suites", metavar="PATH", action="append", help=suites)
    parser.addini("surf_suites", suites, type="paths", default=[])


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "surf(invariant): asks a model; set by @invariant.")
    if config.getoption("surf"):
        from surfcheck.running import SurfRun  # noqa: PLC0415 (only a run pays for it)

        _look_in_suites(config)
        run = SurfRun(config, _settings(config))
        config.stash[_RUN] = run
        config.pluginmanager.register(run, "surfcheck-run")


def _look_in_suites(config: pytest.Config) -> None:
    """Without a path on the command line, `surf_suites` stands in for `testpaths`."""
    flags: list[str] = config.getoption("surf_suites") or []
    at_root = config.invocation_params.dir == config.rootpath
    suites = flags or (config.getini("surf_suites") if at_root else [])
    if suites and config.args_source is not config.ArgsSource.ARGS:
        config.args, config.args_source = [str(s) for s in suites], config.ArgsSource.ARGS


def _settings(config: pytest.Config) -> Settings:
    def given(option: Option) -> str | bool | None:
        value: object = config.getoption(f"surf_{option.name}")
        if value == "":
            raise UsageError(f"{option.flag} is empty: give {option.metavar}, or leave it out")
        if value is None:
            try:
                value = config.getini(option.ini)
            except (pytest.UsageError, TypeError, ValueError) as error:
                takes = "true or false" if option.metavar is None else "a whole number"
                raise UsageError(f"{option.ini} in the ini file: give {takes} ({error})") from None
        return value if value is None or isinstance(value, bool) else str(value)

    try:
        return read_settings(given)
    except UsageError as error:
        raise pytest.UsageError(str(error)) from None


@pytest.hookimpl(wrapper=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> Generator[None]:
    """One item a perturbation, beside whatever the test and its fixtures are parametrized with."""
    marks = list(metafunc.definition.iter_markers("surf"))
    if not marks:
        return (yield)
    # Whoever has the mark has loaded this.
    from surfcheck.invariants import PERTURBATION, Invariant  # noqa: PLC0415

    test = metafunc.definition.nodeid
    declared = Invariant.declared(marks, test)
    if "prompt" not in inspect.signature(metafunc.function).parameters:
        raise UsageError(f"{test}: @invariant varies the argument `prompt`: give the test one")
    if inspect.iscoroutinefunction(metafunc.function):
        raise UsageError(f"{test}: @invariant runs plain functions: write `def`, not `async def`")
    metafunc.config.stash[_DECLARED] = declared
    try:
        yield
    finally:
        del metafunc.config.stash[_DECLARED]
    metafunc.fixturenames.append(PERTURBATION)
    names = [perturbation.name for perturbation in declared.perturbations]
    metafunc.parametrize(PERTURBATION, declared.perturbations, indirect=True, ids=names)


def pytest_make_parametrize_id(config: pytest.Config, val: object, argname: str) -> str | None:
    """Ids of an invariant's prompts; every other test keeps the ids it has."""
    declared = config.stash.get(_DECLARED, None)
    return None if declared is None else declared.id_of(argname, val)


def pytest_exception_interact(
    call: pytest.CallInfo[Any], report: pytest.CollectReport | pytest.TestReport
) -> None:
    """What is wrong with a declaration is said in one line, not with our traceback."""
    error = None if call.excinfo is None else call.excinfo.value
    if isinstance(report, pytest.CollectReport) and isinstance(error, SurfcheckError):
        report.longrepr = f"{type(error).__name__}: {error}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("surf") is None:
            continue
        if not hasattr(item, "callspec"):
            raise pytest.UsageError(
                f"{item.nodeid}: @invariant needs a function or a plain class: pytest can't "
                "parametrize a unittest.TestCase"
            )
        if not config.getoption("surf"):
            item.add_marker(pytest.mark.skip(reason=NEEDS_SURF))


@pytest.fixture
def target(request: pytest.FixtureRequest) -> Target:
    """The model under test: `target(prompt)` answers; `target.unchanged` answers as written."""
    return _run(request).fixtures(request.node).target


@pytest.fixture
def judge(request: pytest.FixtureRequest) -> Judging:
    """Whether an answer holds a behaviour: `assert judge(target(prompt), rules.refuses())`."""
    return _run(request).fixtures(request.node).judge


def _run(request: pytest.FixtureRequest) -> SurfRun:
    run = request.config.stash.get(_RUN, None)
    if run is None:
        pytest.skip(NEEDS_SURF)
    return run
