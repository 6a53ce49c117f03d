"""Two models side by side on a terminal: a line a behaviour, then all of them together."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from surfcheck.comparison import MARGIN, Compared, Comparison, ComparisonWord
from surfcheck.report.text import line, percent

_STYLES: dict[ComparisonWord, str] = {
    "worse": "bold red",
    "better": "green",
    "tied": "default",
    "too few": "yellow",
}
_MEANINGS: dict[ComparisonWord, str] = {
    "worse": "B breaks it more often",
    "better": "B breaks it less often",
    "tied": f"shown to differ by less than {100 * MARGIN:.0f} points either way",
    "too few": "neither a difference nor a tie can be shown: more prompts would",
}


def show_comparison(comparison: Comparison, console: Console) -> None:
    """Print who is compared, the table, and what its words mean."""
    console.print(Text(f"A: {line(comparison.a)}\nB: {line(comparison.b)}"))
    for note in comparison.notes:
        console.print(Text(line(note), "yellow"))
    console.print(_table(comparison))
    lines = (*comparison.invariants, comparison.overall)
    for word in dict.fromkeys(compared.word for compared in lines):
        console.print(Text(f"{word}: ", _STYLES[word]).append(_MEANINGS[word], "default"))
    if comparison.unpaired:
        console.print(Text(f"{comparison.unpaired:,} answers of one model alone are left out"))


def _table(comparison: Comparison) -> Table:
    table = Table(box=box.SIMPLE_HEAD, expand=True, padding=(0, 1))
    table.add_column("behaviour", ratio=1, overflow="fold")
    table.add_column("B is")
    for name in ("broken, A to B", "points, 95 %", "p", "prompts"):
        table.add_column(name, justify="right")
    for compared in comparison.invariants:
        table.add_row(Text(line(compared.behaviour or compared.test)), *_cells(compared))
    if len(comparison.invariants) != 1:
        table.add_section()
        table.add_row(Text("all of them"), *_cells(comparison.overall))
    return table


def _cells(compared: Compared) -> tuple[Text, ...]:
    """The word, both rates, the difference with its 95 % interval, p after Holm, the prompts."""
    word = Text(compared.word, _STYLES[compared.word])
    if compared.rate_a is None or compared.rate_b is None or compared.interval is None:
        return (word, Text("–"), Text("–"), Text("–"), Text("0"))
    rates = f"{percent(compared.rate_a)} to {percent(compared.rate_b)}"
    more, low, high = (100 * x for x in (compared.rate_b - compared.rate_a, *compared.interval))
    p_value = "–" if compared.adjusted is None else f"{compared.adjusted:.2g}"
    points = f"{more:+.0f} ({low:+.0f} to {high:+.0f})"
    return (word, Text(rates), Text(points), Text(p_value), Text(f"{compared.prompts:,}"))
