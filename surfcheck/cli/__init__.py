"""The command `surfcheck`: thin verbs over the rooms.

Exit codes are those of `errors`: 0 done, 1 finding, 2 wrong use, 3 infrastructure; 130 interrupted.
What goes wrong is one line on stderr. Results go to stdout, progress to stderr.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from surfcheck import __version__, attribution
from surfcheck.cli import compare, freeze, judge, memory
from surfcheck.errors import DataError, InfrastructureError, SurfcheckError, UsageError
from surfcheck.organism import Recipe, info, resolve
from surfcheck.records import AttributionReport
from surfcheck.report.progress import working
from surfcheck.report.terminal import show_attribution
from surfcheck.report.text import line
from surfcheck.roles import Progress
from surfcheck.session import Session
from surfcheck.settings import METHODS, Settings, surf_folder

if TYPE_CHECKING:
    from surfcheck.attribution.engine import Attribution, Library

FINDING, INTERRUPTED = 1, 130
_USUAL = Settings()
_TRUTH = 'give {"implicated": [ids of rows]}'

app = typer.Typer(add_completion=False, rich_markup_mode=None)
index_app = typer.Typer(help="Training rows, read once and asked many times.")
organism_app = typer.Typer(help="The embedded default: a tiny model with planted defects.")
app.add_typer(index_app, name="index")
app.add_typer(organism_app, name="organism")
app.add_typer(memory.app, name="memory")
app.add_typer(judge.app, name="judge")
app.command()(compare.compare)
app.command()(freeze.freeze)

_BASE = typer.Option(
    metavar="MODEL", help="Checkpoint before post-training: a folder, a hub id, or organism:"
)
_DATA = typer.Option(
    metavar="DATA", help="Post-training data: a file, a folder, a dataset id, or organism:"
)
Out = Annotated[Path, typer.Option(metavar="DIR", help="Folder to write to.")]
Layers = Annotated[
    str | None, typer.Option(metavar="N,N", help="Layers to read, else some are chosen.")
]
Skip = Annotated[bool, typer.Option("--skip-bad-rows", help="Count bad rows and go on.")]
Index = Annotated[
    str | None, typer.Option(metavar="DIR", help="Finished index of the data, instead of --data.")
]
ContrastFile = Annotated[
    Path, typer.Option("--contrast", metavar="FILE", help="JSON lines of {prompt, bad, good}.")
]
Method = Annotated[str, typer.Option(metavar="METHOD", help=f"One of {', '.join(METHODS)}.")]
Truth = Annotated[
    Path | None, typer.Option(metavar="FILE", help='Guilty rows, {"implicated": [ids]}.')
]
Seed = Annotated[int, typer.Option(metavar="N", min=0, help="Seed of what is drawn.")]
Clean = Annotated[bool, typer.Option("--clean", help="The twin without planted defects.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line, by default the process's own; its exit code."""
    command = typer.main.get_command(app)
    try:
        code = command.main(args=arguments, prog_name="surfcheck", standalone_mode=False)
    except SurfcheckError as error:
        return _complain(str(error), error.exit_code)
    except typer.TyperException as error:
        reason = error.format_message().rstrip(".")
        return _complain(f"{reason}; --help shows what there is", error.exit_code)
    if code == INTERRUPTED:
        return _complain("interrupted", code)
    return code or 0


def _complain(what: str, code: int) -> int:
    print(f"surfcheck: {line(what, 1000)}", file=sys.stderr)
    return code


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"surfcheck {__version__}")
        raise typer.Exit


Version = Annotated[
    bool,
    typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True),
]


@app.callback()
def surfcheck(version: Version = False) -> None:
    """Behaviour tests for language models, and the training rows behind each failure.

    The tests themselves are run by pytest: `pytest --surf`.
    """


@index_app.command("build")
def build_index(
    base: Annotated[str, _BASE],
    data: Annotated[str, _DATA],
    out: Out,
    layers: Layers = None,
    skip_bad_rows: Skip = False,
    as_json: AsJson = False,
) -> None:
    """Read training rows through the base.

    Goes on where an earlier call was stopped.

    \b
    Example:
      surfcheck index build --base organism: --data organism: --out index
    """
    wanted = None if layers is None else _numbers(layers)

    from surfcheck.attribution import corpus, index  # noqa: PLC0415 (torch: 2 s)
    from surfcheck.models.checkpoint import load_checkpoint  # noqa: PLC0415 (torch: 2 s)

    with working() as progress:
        model, rows = _checkpoint(base, progress), _rows(data, progress)
        read = corpus.read(rows, skip_bad_rows=skip_bad_rows)
        checkpoint = load_checkpoint(model.removeprefix("hf:"))
        built = index.build(checkpoint, read, out, layers=wanted, progress=progress)
    if as_json:
        _print_json(built.manifest.to_json())
        return
    cut = sum(shard.truncated for shard in built.manifest.shards)
    skipped = f", {read.skipped:,} bad rows skipped" if read.skipped else ""
    shortened = f", {cut:,} cut at {built.manifest.max_length:,} tokens" if cut else ""
    names = ", ".join(map(str, built.layers))
    print(f"{len(built):,} rows at layers {names}{skipped}{shortened}: {line(str(out))}")


@app.command()
def attribute(
    contrasts: ContrastFile,
    out: Out,
    index: Index = None,
    base: Annotated[str | None, _BASE] = None,
    data: Annotated[str | None, _DATA] = None,
    method: Method = _USUAL.method,
    truth: Truth = None,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Rank training rows by what they teach.

    The contrasts show a behaviour; the rows that teach it come first. Writes ranking.jsonl (every
    row) and report.json (what the ranking is worth, the implicated rows, the sources). Without an
    index the data is read, and kept in .surfcheck/index.

    \b
    Example:
      surfcheck attribute --base organism: --data organism: --contrast pairs.jsonl --out found
    """
    if method not in METHODS:
        raise UsageError(f"there is no method {method!r}; use one of {', '.join(METHODS)}")
    guilty = None if truth is None else _truth(truth)

    from surfcheck.attribution.evidence import read_contrasts  # noqa: PLC0415 (torch: 2 s)

    asked = read_contrasts(contrasts)
    with working() as progress:
        found = attribution.attribute(
            _library(index, base, data, progress), asked,
            method=method, seed=seed, truth=guilty, progress=progress,
        )  # fmt: skip
    _write(found, out)
    if as_json:
        print((out / "report.json").read_text(encoding="utf-8"), end="")
    else:
        _show(found.report, out)


@organism_app.command("build")
def build_organism(clean: Clean = False, as_json: AsJson = False) -> None:
    """Train the organism, if it is not yet.

    \b
    Example:
      surfcheck organism build --clean
    """
    about = _organism(clean)
    if as_json:
        _print_json(about)
    else:
        print(about["path"])


@organism_app.command("info")
def organism_info(clean: Clean = False, as_json: AsJson = False) -> None:
    """Show its sources and its defects.

    With the ids of the rows that teach each defect. Trains the organism if it is not yet.

    \b
    Example:
      surfcheck organism info --json
    """
    about = _organism(clean)
    if as_json:
        _print_json(about)
        return
    for name in ("path", "base", "data"):
        print(f"{name:8}{about[name]}")
    for name, rows in about["sources"].items():
        print(f"source  {name}: {rows:,} rows")
    for defect in about["defects"]:
        rows = len(defect["implicated"])
        print(f"defect  {defect['name']}: {rows:,} rows, seen by {defect['test'] or 'no test'}")


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Say what is there and what is missing.

    Versions, device, caches, memory; and for what is missing the command that fixes it.
    Ends with 1 if something is broken; what only saves time later is no finding.

    \b
    Example:
      surfcheck doctor
    """
    from surfcheck.doctor import checkup, show  # noqa: PLC0415 (looks at all that is installed)

    found = checkup(surf_folder())
    if as_json:
        _print_json(found.to_json())
    else:
        show(found, _console())
    if any(advice.broken for advice in found.advice):
        raise typer.Exit(FINDING)


def _library(index: str | None, base: str | None, data: str | None, progress: Progress) -> Library:
    """The index that is named, or that of the data, kept where a run would keep it."""
    if index is not None and data is not None:
        raise UsageError("an index has its data: leave out --data, or --index to read the data")
    if index is None and (base is None or data is None):
        raise UsageError("attribute needs --index DIR, or both --base MODEL and --data DATA")

    base = None if base is None else _checkpoint(base, progress)
    data = None if data is None else _rows(data, progress)
    home = surf_folder()
    if index is None:
        home = Session(_USUAL, folder=home, working=working).home()
    return attribution.open_data(
        base=base, data=data, index=index, cache=home / "index", progress=progress
    )


def _checkpoint(base: str, progress: Progress) -> str:
    """Where a base lies: an organism's is trained if need be."""
    return resolve(base, progress=progress).base if base.startswith("organism:") else base


def _rows(data: str, progress: Progress) -> str:
    """Where data lies: an organism's is written with its training."""
    return resolve(data, progress=progress).data if data.startswith("organism:") else data


def _organism(clean: bool) -> dict[str, Any]:
    with working() as progress:
        return info(Recipe(plants=()) if clean else Recipe(), progress=progress)


def _numbers(text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise UsageError(f"--layers is {text!r}: give whole numbers, such as 8,12")
    return tuple(dict.fromkeys(int(part) for part in parts))


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


def _console() -> Console:
    return Console(highlight=False)


def _print_json(value: object) -> None:
    print(json.dumps(value, indent=2))


def _write(found: Attribution, out: Path) -> None:
    try:
        found.write(out)
    except OSError as error:
        raise InfrastructureError(
            f"{out}: can't be written ({error.strerror}); make room or name another folder"
        ) from None


def _show(report: AttributionReport, out: Path) -> None:
    console = _console()
    show_attribution(report, console)
    if report.average_precision is not None and report.chance_precision is not None:
        precision, chance = report.average_precision, report.chance_precision
        console.print(Text(f"average precision {precision:.3f}, by chance {chance:.3f}"))
    console.print(Text(f"written to {line(str(out))}"), soft_wrap=True)
