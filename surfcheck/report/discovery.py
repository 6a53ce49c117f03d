"""What a training changed, on a terminal: each behaviour with examples and the rows behind it.

Every text of a model or of a data set is cleaned and shown as it stands, never read as markup.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from surfcheck.records import AttributionReport, DiscoveryReport, Emergent, TwoAnswers
from surfcheck.report.text import line, percent, plural

MOST_EXAMPLES = 3
MOST_SOURCES = 3
MOST_ROWS = 3


def show_discovery(report: DiscoveryReport, console: Console) -> None:
    """Print how many prompts showed something, then a table of the behaviours."""
    other = report.prompts - report.same
    said = (
        f"{plural(report.prompts, 'prompt')} asked, {other:,} answered otherwise than by the base"
    )
    if report.scattered:
        said += f", {report.scattered:,} of them like no behaviour"
    console.print(Text(said), soft_wrap=True)
    if not report.behaviours:
        console.print(Text("no behaviour stands out"))
        return
    console.print(_table(report.behaviours))
    console.print(
        Text("Implicated, not proven: rows are candidates until a retraining has shown it.")
    )


def _table(behaviours: Sequence[Emergent]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, expand=True, padding=(0, 1), show_lines=True)
    table.add_column("#", justify="right")
    table.add_column("prompts", justify="right")
    table.add_column("share", justify="right")
    table.add_column("p", justify="right")
    table.add_column("asked · - base · + target", ratio=3, overflow="fold")
    table.add_column("rows it points at", ratio=2, overflow="fold")
    for found in behaviours:
        table.add_row(
            str(found.number),
            f"{found.prompts:,}",
            percent(found.share),
            f"{found.p_value:.2g}",
            Text("\n").join(map(_example, found.examples[:MOST_EXAMPLES])),
            _rows(found.rows),
        )
    return table


def _example(pair: TwoAnswers) -> Text:
    shown = Text(line(pair.prompt, 90), "cyan")
    return shown.append(f"\n- {line(pair.base, 120)}\n+ {line(pair.target, 120)}", "default")


def _rows(report: AttributionReport) -> Text:
    """The verdict, the sources that stand out, the first rows."""
    shown = Text(f"{report.verdict}, p = {report.p_value:.2g}")
    if report.verdict == "none":
        return shown
    for source in [s for s in report.sources if s.implicated][:MOST_SOURCES]:
        counts = f"{source.implicated:,} of {source.rows:,}, {source.lift:.1f}×"
        shown.append(f"\n{line(source.source, 60)}: {counts}")
    for row in report.implicated[:MOST_ROWS]:
        shown.append(f"\n{line(row.id, 40)}: {line(row.prompt, 60)}")
    return shown
