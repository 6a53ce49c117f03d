"""`surfcheck attribute`: the training rows behind one behaviour, or behind all that a run broke.

The contrasts come from a file or from a finished run; which rows they point at is `attribution`'s
business.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer
from rich.console import Console
from rich.text import Text

from surfcheck import attribution
from surfcheck.cli.places import BASE, DATA, find_base, find_data
from surfcheck.errors import DataError, InfrastructureError, UsageError
from surfcheck.records import Contrast, RunReport
from surfcheck.report.json import contrast_file, read_exchanges, read_run
from surfcheck.report.progress import working
from surfcheck.report.terminal import show_attribution
from surfcheck.report.text import line
from surfcheck.roles import Progress
from surfcheck.session import Session
from surfcheck.settings import METHODS, Settings, surf_folder

if TYPE_CHECKING:
    from surfcheck.attribution.engine import Attribution, Library

_USUAL = Settings()
_TRUTH = 'give {"implicated": [ids of rows]}'

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


@dataclass(frozen=True, slots=True)
class _Given:
    """What is told of where the rows and their reader lie, and of how to ask them."""

    index: str | None
    base: str | None
    data: str | None
    method: str | None
    seed: int | None


class _Question(NamedTuple):
    """The contrasts of one behaviour, and where what they point at is written."""

    test: str | None
    contrasts: tuple[Contrast, ...]
    folder: Path


def attribute(
    out: Out,
    contrasts: ContrastFile = None,
    run: Run = None,
    test: Test = None,
    index: Index = None,
    base: Base = None,
    data: Data = None,
    method: Method = None,
    truth: Truth = None,
    seed: Seed = None,
    as_json: AsJson = False,
) -> None:
    """Rank training rows by what they teach.

    The contrasts show a behaviour; the rows that teach it come first. Writes ranking.jsonl (every
    row) and report.json (what the ranking is worth, the implicated rows, the sources); with --run
    for each failing test, with its contrasts, into a folder of its own. What is not given is then
    as in the run. Without an index the data is read, and kept in .surfcheck/index.

    \b
    Example:
      surfcheck attribute --base organism: --data organism: --contrast pairs.jsonl --out found
      surfcheck attribute --run .surfcheck/runs/latest --out found
    """
    _check_use(contrasts, run, test, method, truth)
    guilty = None if truth is None else _truth(truth)
    given = _Given(index, base, data, method, seed)
    questions: list[_Question] = []
    if run is not None:
        questions, given = _of_run(run, out, test, given)
    elif contrasts is not None:
        questions = [_of_file(contrasts, out)]
    found = _answer(questions, given, guilty)
    if as_json:
        _print_json(questions, a_list=run is not None)
    elif not found:
        print(f"nothing failed in {line(str(run), 1000)}")
    else:
        _show(found, questions)


def _check_use(
    contrasts: Path | None,
    run: Path | None,
    test: str | None,
    method: str | None,
    truth: Path | None,
) -> None:
    if (contrasts is None) == (run is None):
        raise UsageError("attribute needs one of --contrast FILE and --run RUN")
    if run is None and test is not None:
        raise UsageError("--test picks one of a run's failing tests: give --run RUN with it")
    if run is not None and test is None and truth is not None:
        raise UsageError("--truth is of one behaviour: give --test NODEID with it")
    if method is not None and method not in METHODS:
        raise UsageError(f"there is no method {method!r}; use one of {', '.join(METHODS)}")


def _of_file(path: Path, out: Path) -> _Question:
    from surfcheck.attribution.evidence import read_contrasts  # noqa: PLC0415 (torch: 2 s)

    return _Question(None, read_contrasts(path), out)


def _of_run(
    run: Path, out: Path, test: str | None, given: _Given
) -> tuple[list[_Question], _Given]:
    """What failed in a run, and what is given with what the run was told."""
    report = read_run(run)
    settings = report.settings
    method = given.method or settings.get("method", _USUAL.method)
    seed = settings.get("seed", _USUAL.seed) if given.seed is None else given.seed
    given = replace(_rows_of(report, given), method=method, seed=seed)
    if not report.failures:
        return [], given
    return _failing(run, report, out, test=test, seed=seed), given


def _failing(
    run: Path, report: RunReport, out: Path, *, test: str | None, seed: int
) -> list[_Question]:
    """The contrasts of each failing test, or of one, as the run drew them.

    A test that no answer held has none: it is told and left out. Raises UsageError if none is
    left, or `test` did not fail.
    """
    from surfcheck.attribution.contrasts import of_test  # noqa: PLC0415 (only a failing run)

    failing = list(dict.fromkeys(failure.test for failure in report.failures))
    if test is not None and test not in failing:
        raise UsageError(f"{test} did not fail in {run}; these did: {', '.join(failing)}")
    exchanges = read_exchanges(run if run.is_dir() else run.parent)
    wanted = failing if test is None else [test]
    found = {name: of_test(name, exchanges, report.failures, seed=seed) for name in wanted}
    alone = [n for n, each in found.items() if all(contrast.bad is None for contrast in each)]
    if alone == wanted:
        raise UsageError(
            f"no answer held {', '.join(alone)} in {run}, and a broken one is compared with one "
            "that held; add a prompt that the model answers well, and run again"
        )
    for name in alone:
        print(line(f"surfcheck: left out, no answer held it: {name}", 1000), file=sys.stderr)
    return [_Question(n, found[n], _folder(out, n)) for n in wanted if n not in alone]


def _folder(out: Path, test: str) -> Path:
    """Named as the run names the test's contrasts; never a way out of `out`."""
    return out / contrast_file(out, test).stem.lstrip(".")


def _rows_of(report: RunReport, given: _Given) -> _Given:
    """With the run's rows where no others are given; an organism brings its own along."""
    if given.index is not None:  # which knows what read it
        return given
    target, settings = report.target, report.settings
    known = target if target.startswith("organism:") else None
    given = replace(given, base=given.base or settings.get("base") or known)
    if given.data is not None:
        return given
    if settings.get("index"):
        return replace(given, index=settings["index"])
    return replace(given, data=settings.get("data") or known)


def _answer(
    questions: Sequence[_Question], given: _Given, truth: frozenset[str] | None
) -> list[Attribution]:
    """Ask them one after the other; what was found is on disk before the next is asked."""
    if not questions:
        return []
    answers = []
    with working() as progress:
        library = _library(given, progress)
        for question in questions:
            found = attribution.attribute(
                library, question.contrasts, method=given.method or _USUAL.method,
                seed=given.seed or 0, truth=truth, progress=progress,
            )  # fmt: skip
            found = replace(found, report=replace(found.report, test=question.test))
            _write(found, question.folder)
            answers.append(found)
    return answers


def _library(given: _Given, progress: Progress) -> Library:
    """The index that is named, or that of the data, kept where a run would keep it."""
    index, base, data = given.index, given.base, given.data
    if index is not None and data is not None:
        raise UsageError("an index has its data: leave out --data, or --index to read the data")
    if index is None and (base is None or data is None):
        raise UsageError("attribute needs --index DIR, or both --base MODEL and --data DATA")

    base = None if base is None else find_base(base, progress)
    data = None if data is None else find_data(data, progress)
    home = surf_folder()
    if index is None:
        home = Session(_USUAL, folder=home, working=working).home()
    return attribution.open_data(
        base=base, data=data, index=index, cache=home / "index", progress=progress
    )


def _truth(path: Path) -> frozenset[str]:
    """The ids in a truth file."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"{path}: no such truth file; give a JSON file") from None
    except OSError as error:
        raise UsageError(f"{path}: can't be read ({error.strerror}); give a JSON file") from None
    except UnicodeDecodeError as error:
        raise DataError(path, None, f"not UTF-8 at byte {error.start}; save it as UTF-8") from None
    except (json.JSONDecodeError, RecursionError) as error:
        raise DataError(path, None, f"is no JSON ({error}); {_TRUTH}") from None
    ids = data.get("implicated") if isinstance(data, dict) else None
    if not isinstance(ids, list) or not ids:
        raise DataError(path, None, f"has no ids under `implicated`; {_TRUTH}")
    if not all(isinstance(i, str) for i in ids):
        raise DataError(path, None, f"an id is no text; {_TRUTH}")
    return frozenset(ids)


def _write(found: Attribution, out: Path) -> None:
    try:
        found.write(out)
    except OSError as error:
        raise InfrastructureError(
            f"{out}: can't be written ({error.strerror}); make room or name another folder"
        ) from None


def _print_json(questions: Sequence[_Question], *, a_list: bool) -> None:
    """The report as it was written; of a run, a list of them."""
    written = [(q.folder / "report.json").read_text(encoding="utf-8") for q in questions]
    if a_list:
        print(json.dumps([json.loads(report) for report in written], indent=2))
    else:
        print(written[0], end="")


def _show(found: Sequence[Attribution], questions: Sequence[_Question]) -> None:
    console = Console(highlight=False)
    for report, question in zip([each.report for each in found], questions, strict=True):
        if report.test is not None:
            console.print(Text(line(report.test, 1000)), soft_wrap=True)
        show_attribution(report, console)
        if report.average_precision is not None and report.chance_precision is not None:
            precision, chance = report.average_precision, report.chance_precision
            console.print(Text(f"average precision {precision:.3f}, by chance {chance:.3f}"))
        console.print(Text(f"written to {line(str(question.folder))}"), soft_wrap=True)
