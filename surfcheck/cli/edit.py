"""`surfcheck edit`: training data without the rows that a ranking points at, or with them flipped.

Which rows, and what is written, is `attribution.edit`'s.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from surfcheck.cli import places
from surfcheck.errors import UsageError
from surfcheck.report.progress import working
from surfcheck.report.text import line

if TYPE_CHECKING:
    from surfcheck.attribution.retraining.edit import Edit

Ranking = Annotated[
    Path, typer.Option(metavar="FILE", help="The ranking.jsonl that attribute wrote of this data.")
]
Top = Annotated[int, typer.Option(metavar="K", min=1, help="How many of the best-ranked rows.")]
Action = Annotated[
    Literal["drop", "flip"],
    typer.Option(help="Leave the rows out, or swap chosen and rejected."),
]
Out = Annotated[Path, typer.Option(metavar="FILE", help="File to write: .jsonl or .jsonl.gz.")]
Control = Annotated[
    Literal["random", "length"] | None,
    typer.Option(help="Edit as many other rows instead: any, or with answers as long."),
]
Seed = Annotated[int | None, typer.Option(metavar="N", min=0, help="Seed of the control, else 0.")]
Sources = Annotated[
    list[str] | None,
    typer.Option("--source", metavar="NAME", help="Count only rows of this source; repeatable."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def edit(
    data: Annotated[str, places.DATA],
    ranking: Ranking,
    top: Top,
    action: Action,
    out: Out,
    control: Control = None,
    seed: Seed = None,
    source: Sources = None,
    as_json: AsJson = False,
) -> None:
    """Drop or flip the best-ranked training rows.

    All other rows are written as they lie, in their order. A control edits as many other rows,
    and never one of the top K: what it changes is what any edit of that size changes.

    \b
    Example:
      surfcheck edit --data rows.jsonl --ranking found/ranking.jsonl --top 50 --action drop \\
        --out edited.jsonl
    """
    if seed is not None and control is None:
        raise UsageError("--seed draws a control: give --control random or length, or no --seed")

    from surfcheck.attribution.retraining import edit as room  # noqa: PLC0415 (pyarrow)

    with working() as progress:
        done = room.edit(
            places.find_data(data, progress), ranking, out,
            top=top, action=action, control=control, seed=seed or 0, sources=source or (),
            progress=progress,
        )  # fmt: skip
    if as_json:
        print(json.dumps(done.to_json(), indent=2))
    else:
        _show(done, out)


def _show(done: Edit, out: Path) -> None:
    what = "dropped" if done.action == "drop" else "flipped"
    how = "" if done.control is None else f" as a control by {done.control}, seed {done.seed}"
    counts = f"{len(done.edited):,} of {done.rows_before:,} rows {what}{how}"
    print(f"{counts}, {done.rows_after:,} written: {line(str(out))}")
