"""The command `surfcheck freeze`: has a model write what the suites want, and says what came of it.

Ends with 1 if there is nothing at all of some prompt.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from surfcheck.errors import UsageError
from surfcheck.report.progress import working
from surfcheck.report.text import line
from surfcheck.session import Session
from surfcheck.settings import MemoryMode, Settings, surf_folder

if TYPE_CHECKING:
    from surfcheck.freezing import Frozen, FrozenSuite

FINDING = 1

Paths = Annotated[
    list[str] | None,
    typer.Argument(metavar="[PATH]...", help="Suites; else all that `pytest --surf` runs."),
]
Writer = Annotated[
    str | None, typer.Option(metavar="SPEC", help="Model that writes, such as openai:NAME.")
]
Checker = Annotated[
    str | None,
    typer.Option(metavar="SPEC", help="Model that compares the meaning, else the writer."),
]
Update = Annotated[
    bool, typer.Option("--update", help="Write all anew, and drop what no suite wants.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def freeze(
    paths: Paths = None,
    writer: Writer = None,
    checker: Checker = None,
    update: Update = False,
    as_json: AsJson = False,
) -> None:
    """Have a model write what the suites want.

    That is perturb.rewrite, translate, persona and prefix_context. What it wrote is compared with
    the prompt by a second call and kept in a file beside the suite, frozen/NAME.jsonl, for you to
    review and to commit. What is there already is kept, and a line of your own ("model": "by
    hand", "check": null) always is.

    \b
    Example:
      surfcheck freeze behavior_suites --writer openai:gpt-5.6
    """
    if writer is None:
        raise UsageError(
            "freeze needs a model that writes: --writer SPEC, such as --writer openai:NAME "
            "(runs need none: they read what is frozen)"
        )
    frozen = _freeze(paths or [], writer, checker or writer, update)
    if as_json:
        print(json.dumps(frozen.to_json(), indent=2))
    else:
        _show(frozen, update)
    if frozen.bare:
        raise typer.Exit(FINDING)


def _freeze(paths: list[str], writer: str, checker: str, update: bool) -> Frozen:
    from surfcheck import freezing  # noqa: PLC0415 (pytest, and the models' own libraries)
    from surfcheck.models import Engine, Memory, load  # noqa: PLC0415

    wants = freezing.wanted(paths)
    home = Session(Settings(), folder=surf_folder(), working=working).home()
    mode: MemoryMode = "record" if update else "auto"
    with Memory(home / "memory.sqlite", mode) as memory, Engine() as engine:
        models = [load(spec, memory=memory, engine=engine) for spec in (writer, checker)]
        with working() as progress:
            frozen = freezing.freeze(wants, *models, update=update, progress=progress)
    for note in dict.fromkeys(note for model in models for note in model.notes):
        print(f"surfcheck: {line(note)}", file=sys.stderr)
    return frozen


def _show(frozen: Frozen, update: bool) -> None:
    if not frozen.suites:
        print("no suite there wants anything written, such as perturb.rewrite(4)")
    for suite in frozen.suites:
        _show_suite(suite, update)


def _show_suite(suite: FrozenSuite, update: bool) -> None:
    counts = [f"{suite.written} written", f"{suite.kept} kept"]
    counts += [f"{suite.rejected} rejected"] if suite.rejected else []
    counts += [f"{suite.rejected_before} rejected before"] if suite.rejected_before else []
    counts += [f"{suite.dropped} dropped"] if suite.dropped else []
    file = Path(suite.file)
    if not file.exists():  # nothing was written, and nothing had been
        file, counts = file.parent.parent / f"{file.stem}.py", ["nothing written"]
    here = file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file
    print(f"{line(str(here))}: {', '.join(counts)}")
    for prompt in () if update else suite.stale:
        print(f"  no longer wanted, --update drops it: {line(prompt, 80)!r}")
    for short in suite.short:
        what = f"{short.offered} of {short.wanted} ({short.perturbation})"
        print(f"  {what}: {line(short.prompt, 80)!r}: {line(short.reason)}")
