"""`surfcheck attribute`: the training rows behind one behaviour, behind all that a run broke, or
behind what nobody asked about.

The contrasts come from a file, from a finished run, or from prompts that two models answer; which
rows they point at is `attribution`'s business.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer
from rich.console import Console
from rich.text import Text

from surfcheck import attribution
from surfcheck.cli.discovering import discover as discover_behaviours
from surfcheck.cli.places import BASE, DATA
from surfcheck.cli.rows import Given, open_library, writing
from surfcheck.cli.truth import read_truth
from surfcheck.errors import UsageError
from surfcheck.records import AttributionReport, RunReport
from surfcheck.report.json import contrast_file, read_exchanges, read_run
from surfcheck.report.progress import working
from surfcheck.report.terminal import show_attribution
from surfcheck.report.text import line
from surfcheck.settings import METHODS, Settings

if TYPE_CHECKING:
    from surfcheck.attribution.engine import Attribution
    from surfcheck.attribution.how import How

_USUAL = Settings()
_ONE_OF = "attribute needs one of --contrast FILE, --run RUN and --discover"

Out = Annotated[Path, typer.Option(metavar="DIR", help="Folder to write to.")]
ContrastFile = Annotated[
    Path | None,
    typer.Option("--contrast", metavar="FILE", help="JSON lines of {prompt, bad, good}."),
]
Run = Annotated[
    Path | None, typer.Option(metavar="RUN", help="Folder of a finished run, instead of a file.")
]
Test = Annotated[
    str | None, typer.Option(metavar="NODEID", help="One failing test of the run, else all.")
]
Discover = Annotated[
    bool, typer.Option("--discover", help="Find what training changed: needs the next two.")
]
Target = Annotated[str | None, typer.Option(metavar="SPEC", help="The trained model.")]
Prompts = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help='What both models are asked: one a line, or {"prompt"} rows.'
    ),
]
Index = Annotated[
    str | None, typer.Option(metavar="DIR", help="Finished index of the data, instead of --data.")
]
Base = Annotated[str | None, BASE]
Data = Annotated[str | None, DATA]
Method = Annotated[
    str | None,
    typer.Option(
        metavar="METHOD",
        help=f"One of {', '.join(METHODS)}; the run's, or {_USUAL.method}, if not given.",
    ),
]
Truth = Annotated[
    Path | None, typer.Option(metavar="FILE", help='Guilty rows, {"implicated": [ids]}.')
]
Seed = Annotated[
    int | None,
    typer.Option(metavar="N", min=0, help="Seed of what is drawn; the run's, or 0, if not given."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


Layer = Annotated[
    str,
    typer.Option(metavar="LAYER", help="all, best (by held-out contrasts), or one's number."),
]
Centre = Annotated[bool, typer.Option("--centre", help="For probe: take the rows' mean away.")]
Whiten = Annotated[
    float,
    typer.Option(metavar="POWER", min=0, max=1, help="For probe: 0.5 makes the changes white."),
]


class _Sought(NamedTuple):
    """What is to be explained: the contrasts in a file, a run's failures, or whatever differs."""

    contrasts: Path | None
    run: Path | None
    test: str | None
    discover: bool
    target: str | None
    prompts: Path | None


class _Query(NamedTuple):
    """Which rows are asked, and how; what is None is as in the run, or usual."""

    given: Given
    method: str | None
    seed: int | None
    truth: frozenset[str] | None
    layer: str
    centred: bool
    whitened: float

    def how(self) -> How:
        from surfcheck.attribution.how import How  # noqa: PLC0415 (torch: 2 s)

        return How(self.layer, self.centred, self.whitened)


class _Answer(NamedTuple):
    """What is found of one behaviour, and where it is written."""

    attribution: Attribution
    folder: Path


def attribute(
    *,
    out: Out,
    contrasts: ContrastFile = None,
    run: Run = None,
    test: Test = None,
    discover: Discover = False,
    target: Target = None,
    prompts: Prompts = None,
    index: Index = None,
    base: Base = None,
    data: Data = None,
    method: Method = None,
    truth: Truth = None,
    seed: Seed = None,
    layer: Layer = "all",
    centre: Centre = False,
    whiten: Whiten = 0.0,
    as_json: AsJson = False,
) -> None:
    """Rank training rows by what they teach.

    The contrasts show a behaviour; the rows that teach it come first: ranking.jsonl has every row,
    report.json what that is worth. With --run each failing test, and each way in which one broke,
    has a folder of its own; what is not given is then as in the run. Without an index the data is
    read, and kept in .surfcheck/index. With --discover both models are asked the same prompts, and
    what training changed alike is listed with the rows behind it.

    \b
    Example:
      surfcheck attribute --base organism: --data organism: --contrast pairs.jsonl --out found
      surfcheck attribute --run .surfcheck/runs/latest --out found
      surfcheck attribute --discover --target organism: --prompts prompts.txt --out found
    """
    sought = _Sought(contrasts, run, test, discover, target, prompts)
    _check_use(sought, method, truth)
    query = _Query(Given(index, base, data), method, seed, _guilty(truth), layer, centre, whiten)
    _answer(sought, out, query, as_json=as_json)


def _check_use(sought: _Sought, method: str | None, truth: Path | None) -> None:
    contrasts, run, test, discover, target, prompts = sought
    if contrasts is not None and run is not None:
        raise UsageError(_ONE_OF)
    if run is None and test is not None:
        raise UsageError("--test picks one of a run's failing tests: give --run RUN with it")
    if run is not None and test is None and truth is not None:
        raise UsageError("--truth is of one behaviour: give --test NODEID with it")
    if method is not None and method not in METHODS:
        raise UsageError(f"there is no method {method!r}; use one of {', '.join(METHODS)}")
    of_one = any(other is not None for other in (contrasts, run, test, truth))
    if discover == of_one:
        raise UsageError(_ONE_OF)
    if discover and (target is None or prompts is None):
        raise UsageError("--discover needs --target SPEC and --prompts FILE")
    if not discover and (target is not None or prompts is not None):
        raise UsageError("--target and --prompts are what --discover asks: give it with them")


def _answer(sought: _Sought, out: Path, query: _Query, *, as_json: bool) -> None:
    if sought.target is not None and sought.prompts is not None:
        if (query.layer, query.centred, query.whitened) != ("all", False, 0.0):
            raise UsageError(
                "--layer, --centre and --whiten are not for --discover: leave them out"
            )
        discover_behaviours(
            out, sought.target, sought.prompts, query.given,
            method=query.method or _USUAL.method, seed=query.seed or 0, as_json=as_json,
        )  # fmt: skip
    elif sought.contrasts is not None:
        _show([_of_file(sought.contrasts, out, query)], as_json=as_json)
    elif sought.run is not None:
        found = _of_run(sought.run, out, sought.test, query)
        _show(found, as_json=as_json, run=sought.run)


def _of_file(path: Path, out: Path, query: _Query) -> _Answer:
    """One behaviour, as the file shows it."""
    from surfcheck.attribution.evidence import read_contrasts  # noqa: PLC0415 (torch: 2 s)

    contrasts = read_contrasts(path)
    with working() as progress:
        found = attribution.attribute(
            open_library(query.given, progress), contrasts,
            method=query.method or _USUAL.method, how=query.how(), seed=query.seed or 0,
            truth=query.truth, progress=progress,
        )  # fmt: skip
    return _written(found, out)


def _of_run(run: Path, out: Path, test: str | None, query: _Query) -> list[_Answer]:
    """What failed in a run, asked as the run asks itself, with what it was told.

    A test without any good answer has no contrast: it is told and left out. Raises UsageError if
    none is left, or `test` did not fail.
    """
    report = read_run(run)
    if not report.failures:
        return []
    failing = list(dict.fromkeys(failure.test for failure in report.failures))
    if test is not None and test not in failing:
        raise UsageError(f"{test} did not fail in {run}; these did: {', '.join(failing)}")
    wanted = failing if test is None else [test]
    settings = report.settings
    known = {name: settings.get(name) for name in ("base", "data", "index")}
    query = query._replace(
        given=query.given.of(report.target, **known),
        method=query.method or settings.get("method", _USUAL.method),
        seed=settings.get("seed", _USUAL.seed) if query.seed is None else query.seed,
    )
    answers = list(_asked(run, report, out, wanted, query))
    done = {answer.attribution.report.test for answer in answers}
    alone = [name for name in wanted if name not in done]
    if not answers:
        raise UsageError(
            f"no answer held {', '.join(alone)} in {run}, and the base breaks it alike; add a "
            "prompt that the model answers well, and run again"
        )
    for name in alone:
        told = f"surfcheck: left out, no answer held it and the base breaks it alike: {name}"
        print(line(told, 1000), file=sys.stderr)
    return answers


def _asked(
    run: Path,
    report: RunReport,
    out: Path,
    tests: Sequence[str],
    query: _Query,
) -> Iterator[_Answer]:
    """Ask one after the other; what was found is on disk before the next is asked."""
    from surfcheck.attribution.runs import ask_run  # noqa: PLC0415 (torch: 2 s)

    exchanges = read_exchanges(run if run.is_dir() else run.parent)
    with working() as progress:
        found = ask_run(
            open_library(query.given, progress), exchanges, report.failures,
            tests=tests, method=query.method or _USUAL.method, how=query.how(),
            seed=query.seed or 0, truth=query.truth, progress=progress,
        )  # fmt: skip
        for each in found:
            answer = each.attribution
            yield _written(answer, _folder(out, answer.report))


def _folder(out: Path, report: AttributionReport) -> Path:
    """Named as the run names the test's contrasts; never a way out of `out`."""
    place = out / contrast_file(out, report.test or "").stem.lstrip(".")
    return place if report.behaviour is None else place / f"behaviour-{report.behaviour.number}"


def _guilty(truth: Path | None) -> frozenset[str] | None:
    return None if truth is None else read_truth(truth)


def _written(found: Attribution, folder: Path) -> _Answer:
    with writing(folder):
        found.write(folder)
    return _Answer(found, folder)


def _show(answers: Sequence[_Answer], *, as_json: bool, run: Path | None = None) -> None:
    """The reports as they were written; of a run, a list of them."""
    if as_json:
        written = [(each.folder / "report.json").read_text(encoding="utf-8") for each in answers]
        reports = [json.loads(report) for report in written]
        print(written[0] if run is None else json.dumps(reports, indent=2) + "\n", end="")
    elif not answers:
        print(f"nothing failed in {line(str(run), 1000)}")
    console = Console(highlight=False)
    for found, folder in () if as_json else answers:
        report = found.report
        if report.test is not None:
            console.print(Text(line(report.test, 1000)), soft_wrap=True)
        show_attribution(report, console)
        if report.average_precision is not None and report.chance_precision is not None:
            precision, chance = report.average_precision, report.chance_precision
            console.print(Text(f"average precision {precision:.3f}, by chance {chance:.3f}"))
        console.print(Text(f"written to {line(str(folder))}"), soft_wrap=True)
