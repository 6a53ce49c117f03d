"""`surfcheck memory`: what is remembered, forgetting it, taking it elsewhere."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Annotated

import typer
from rich.filesize import decimal

from surfcheck.errors import UsageError
from surfcheck.models import memory_file
from surfcheck.models.memory_file import MemoryInfo
from surfcheck.report.progress import working
from surfcheck.report.text import line
from surfcheck.settings import surf_folder

FINDING = 1

app = typer.Typer(help="Every answer that was ever given, in .surfcheck/memory.sqlite.")

File = Annotated[Path | None, typer.Option("--file", metavar="PATH", help="Another memory.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Out = Annotated[Path, typer.Option(metavar="FILE", help="JSON lines to write.")]
Name = Annotated[
    str | None,
    typer.Option("--model", metavar="NAME", help="Answers of this model, as info names it."),
]
OlderThan = Annotated[
    float | None, typer.Option(metavar="DAYS", help="Answers that were kept before then.")
]
All = Annotated[bool, typer.Option("--all", help="Everything.")]


@app.command()
def info(file: File = None, as_json: AsJson = False) -> None:
    """Show whose answers are remembered.

    How many, with their tokens and dates, and whether the file is sound: every answer is checked.
    Ends with 1 if the file is damaged.

    \b
    Example:
      surfcheck memory info --json
    """
    with working() as progress:
        found = memory_file.info(file or _usual(), progress=progress)
    if as_json:
        print(json.dumps(found.to_json(), indent=2))
    else:
        _show(found)
    if found.damaged is not None:
        raise typer.Exit(FINDING)


@app.command()
def prune(
    file: File = None,
    older_than: OlderThan = None,
    model: Name = None,
    everything: All = False,
) -> None:
    """Forget answers, so that they are asked again.

    With both --older-than and --model, those of which both is true.

    \b
    Example:
      surfcheck memory prune --older-than 30
    """
    if everything == (older_than is not None or model is not None):
        raise UsageError("prune needs --older-than DAYS, --model NAME or both, or else --all")
    if older_than is not None and not 0 <= older_than < math.inf:
        raise UsageError(f"--older-than is {older_than:g}: give a number of days, 0 or more")
    with working() as progress:
        pruned = memory_file.prune(
            file or _usual(), older_than_days=older_than, model=model, progress=progress
        )
    print(f"{pruned.forgotten:,} answers forgotten, {pruned.left:,} left")


@app.command()
def export(out: Out, file: File = None, model: Name = None) -> None:
    """Write answers as JSON lines.

    One a line: prompt, response, model, sample, finish reason, tokens, parameters and date. What
    is written of one model can be asked as `replay:FILE`; to it, rows of several models are
    samples of one.

    \b
    Example:
      surfcheck memory export --model openai:gpt-6-sol --out answers.jsonl
    """
    with working() as progress:
        exported = memory_file.export(file or _usual(), out, model=model, progress=progress)
    print(f"{exported.rows:,} answers of {exported.models:,} models: {line(str(out))}")
    if exported.left_out:
        print(f"{exported.left_out:,} left out: kept by an older version, without their prompts")


def _show(found: MemoryInfo) -> None:
    print(f"path     {line(found.path)}")
    if found.damaged is not None:
        print(f"damaged  {line(found.damaged, 1000)}")
        return
    print(f"size     {decimal(found.bytes)}, schema {found.schema}")
    print(f"answers  {found.answers:,}")
    print(f"claims   {found.claims:,} open")
    for model in found.models:
        dates = "" if model.first is None else f", {model.first[:10]} to {(model.last or '')[:10]}"
        print(
            f"model    {line(model.model) or 'not known'}: {model.answers:,} answers, "
            f"{model.prompt_tokens:,} tokens in, {model.completion_tokens:,} out{dates}"
        )


def _usual() -> Path:
    """What runs remember, here or in the nearest folder above."""
    return surf_folder() / "memory.sqlite"
