"""The command `surfcheck`: thin verbs over the rooms.

Exit codes are those of `errors`: 0 done, 1 finding, 2 wrong use, 3 infrastructure; 130 interrupted.
What goes wrong is one line on stderr. Results go to stdout, progress to stderr.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.console import Console

from surfcheck import __version__
from surfcheck.cli import (
    attribute,
    compare,
    edit,
    freeze,
    index,
    judge,
    memory,
    rankings,
    retrain,
)
from surfcheck.errors import SurfcheckError
from surfcheck.organism import Recipe, info
from surfcheck.report.progress import working
from surfcheck.report.text import line
from surfcheck.settings import surf_folder

FINDING, INTERRUPTED = 1, 130

app = typer.Typer(add_completion=False, rich_markup_mode=None)
organism_app = typer.Typer(help="The embedded default: a tiny model with planted defects.")
app.add_typer(index.app, name="index")
app.add_typer(organism_app, name="organism")
app.add_typer(memory.app, name="memory")
app.add_typer(judge.app, name="judge")
app.add_typer(rankings.app, name="rankings")
app.command()(attribute.attribute)
app.command()(edit.edit)
app.command()(retrain.retrain)
app.command()(compare.compare)
app.command()(freeze.freeze)

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


def _organism(clean: bool) -> dict[str, Any]:
    with working() as progress:
        return info(Recipe(plants=()) if clean else Recipe(), progress=progress)


def _console() -> Console:
    return Console(highlight=False)


def _print_json(value: object) -> None:
    print(json.dumps(value, indent=2))
