"""`surfcheck compare`: two runs on the same cases."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

RunA = Annotated[Path, typer.Argument(metavar="RUN_A", help="Folder of the run to compare with.")]
RunB = Annotated[Path, typer.Argument(metavar="RUN_B", help="Folder of the run in question.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def compare(run_a: RunA, run_b: RunB, as_json: AsJson = False) -> None:
    """Say where the second of two runs is worse, better or tied.

    Both must have asked the same suites with the same seed; answers are paired case by case, and
    the prompts as written are the units. Ends with 1 if B is worse somewhere after Holm's
    correction.

    \b
    Example:
      surfcheck compare .surfcheck/runs/before .surfcheck/runs/latest
    """
    from surfcheck import comparing  # noqa: PLC0415 (numpy)
    from surfcheck.report.comparison import show_comparison  # noqa: PLC0415

    compared = comparing.compare(run_a, run_b)
    if as_json:
        print(json.dumps({"schema": compared.schema, **compared.to_json()}, indent=2))
    else:
        show_comparison(compared, Console(highlight=False))
    if compared.worse:
        raise typer.Exit(1)
