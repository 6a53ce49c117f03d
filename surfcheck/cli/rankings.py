"""`surfcheck rankings`: several methods' rankings of the same rows, compared or put together."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from surfcheck.report.text import line, percent

if TYPE_CHECKING:
    from surfcheck.attribution.rankings import Agreement

app = typer.Typer(help="Rankings of the same training rows, compared or put together.")

Files = Annotated[
    list[Path],
    typer.Argument(metavar="FILE...", help="Two rankings or more.", show_default=False),
]
Top = Annotated[
    int | None,
    typer.Option(metavar="K", min=1, help="How many of the first rows to look at, else 100."),
]
By = Annotated[
    Literal["reciprocal", "borda"],
    typer.Option(help="Mean reciprocal rank, or Borda's share of rows beaten."),
]
Out = Annotated[Path, typer.Option(metavar="FILE", help="File to write.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


@app.command()
def compare(rankings: Files, top: Top = None, as_json: AsJson = False) -> None:
    """Say how much rankings of the same rows agree.

    For every two: Spearman's correlation over all rows, the share of the first K that both have,
    and rank-biased overlap, in which the first 100 rows have 86 % of the weight.

    \b
    Example:
      surfcheck rankings compare probe/ranking.jsonl gradient/ranking.jsonl --top 140
    """
    from surfcheck.attribution import rankings as room  # noqa: PLC0415 (scipy)

    found = room.compare(rankings, top=top)
    if as_json:
        print(json.dumps([agreement.to_json() for agreement in found], indent=2))
    else:
        _show(found)


@app.command()
def combine(rankings: Files, out: Out, by: By = "reciprocal", as_json: AsJson = False) -> None:
    """Put rankings of the same rows together into one.

    The combined ranking is written as attribute writes one, and an edit takes it as such.

    \b
    Example:
      surfcheck rankings combine probe/ranking.jsonl gradient/ranking.jsonl --out both.jsonl
    """
    from surfcheck.attribution import rankings as room  # noqa: PLC0415 (scipy)

    combined = room.combine(rankings, out, by=by)
    rows, count = len(combined.ids), len(rankings)
    if as_json:
        print(json.dumps({"rows": rows, "rankings": count, "by": by, "path": str(out)}, indent=2))
    else:
        print(f"{count} rankings of {rows:,} rows combined: {line(str(out), 1000)}")


def _show(found: Sequence[Agreement]) -> None:
    one = found[0]
    console, table = Console(highlight=False), Table(box=None, pad_edge=False)
    heads = ("a", "b", "Spearman", f"of the first {one.top:,}", "rank-biased overlap")
    for place, head in enumerate(heads):
        table.add_column(head, justify="left" if place < 2 else "right", overflow="fold")
    for each in found:
        correlation = "none" if each.spearman is None else f"{each.spearman:.3f}"
        cells = (each.a, each.b, correlation, percent(each.overlap))
        table.add_row(
            *(Text(line(cell, 1000)) for cell in cells), f"{each.rank_biased_overlap:.3f}"
        )
    console.print(table)
    chance = percent(one.chance)
    print(f"{one.rows:,} rows; unrelated rankings would share {chance} of the first {one.top:,}")
