"""A run on a terminal: what failed, beside what held; which rows are implicated; what to do next.

Every text of a model or of a data set is cleaned and shown as it stands, never read as markup.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text
from rich.theme import Theme

from surfcheck.cases import size
from surfcheck.comparison import Comparison
from surfcheck.records import (
    AttributionReport,
    Failure,
    Implicated,
    InvariantResult,
    ResultWord,
    RunReport,
    SourceShare,
    Usage,
    VerdictWord,
)
from surfcheck.report.comparison import show_comparison
from surfcheck.report.json import contrast_file
from surfcheck.report.text import (
    again,
    again_in,
    change,
    clean,
    counted,
    line,
    percent,
    pieces,
    plural,
    share,
)

TOP_ROWS = 10
MOST_UNASKED = 3
MOST_SOURCES = 8

_THEME = Theme(
    {
        "surf.heading": "bold",
        "surf.label": "cyan",
        "surf.quiet": "bright_black",
        "surf.differs": "bold yellow",
        "surf.pass": "green",
        "surf.fail": "bold red",
        "surf.inconclusive": "yellow",
        "surf.error": "red",
        "surf.skipped": "bright_black",
        "surf.command": "bold",
    }
)

_VERDICTS: dict[VerdictWord, str] = {
    "sparse": "a few training rows stand out",
    "source": "one source of the training data stands out, not single rows",
    "diffuse": "a habit of the whole data set: no few rows explain it",
    "none": "nothing stands out that chance would not give",
}


def show(run: RunReport, console: Console) -> None:
    """Print the run: each failing invariant, then a table of all, then what it cost."""
    with console.use_theme(_THEME):
        for invariant in run.invariants:
            if invariant.outcome == "fail":
                _show_failing(run, invariant, console)
        console.print(_summary(run))
        if run.comparison is not None:
            show_comparison(Comparison.from_json(run.comparison), console)
        if run.judges is not None:
            console.print(_judges(run.judges))
        if run.parameters:
            console.print(Text(f"asked with {line(json.dumps(run.parameters))}", "surf.quiet"))
        console.print(_usage(run.usage))
        if run.unasked:
            console.print(_unasked(run.unasked), soft_wrap=True)
        if run.settings.get("report"):
            place = line(str(run.settings["report"]), 1000)
            console.print(Text(f"written to {place}", "surf.quiet"), soft_wrap=True)


def show_attribution(report: AttributionReport, console: Console) -> None:
    """Print one report: its verdict, its rows, its sources."""
    with console.use_theme(_THEME):
        _show_attribution(report, console)


def render(run: RunReport | None, notices: Sequence[str], *, width: int, colour: bool) -> str:
    """What `show` prints and a line a notice, as text for whoever owns the terminal."""
    file = StringIO()
    console = Console(
        file=file,
        width=width,
        force_terminal=colour,
        color_system="standard" if colour else None,
        legacy_windows=False,
        highlight=False,
    )
    if run is not None:
        show(run, console)
    for notice in notices:
        console.print(Text(clean(notice)), soft_wrap=True)
    return file.getvalue()


def _show_failing(run: RunReport, invariant: InvariantResult, console: Console) -> None:
    failures = [f for f in run.failures if f.test == invariant.test]
    reports = [r for r in run.attributions if r.test == invariant.test]
    console.print(Text(line(invariant.behaviour), "surf.fail"))
    console.print(Text(line(invariant.test), "surf.quiet"))
    decided = invariant.held + invariant.violated
    word, undecided = counted(run.settings), invariant.undecided
    broken = share(invariant.violated, decided, word, undecided=undecided)
    console.print(Text(f"broken in {broken}"))
    console.print()
    if failures:
        smallest = min(failures, key=lambda failure: size(failure.case))
        _show_smallest(smallest, len(failures), run.target, console)
    for report in reports:
        _show_attribution(report, console)
    _show_next(run, failures, reports, console)
    console.print()


def _show_smallest(failure: Failure, of: int, target: str, console: Console) -> None:
    """The failing prompt and its passing twin side by side, what differs picked out."""
    prompt, twin = clean(failure.case.prompt.text), clean(failure.twin_prompt or "")
    table = Table(box=box.SIMPLE_HEAD, expand=True, padding=(0, 1))
    table.add_column("", style="surf.label", width=7)
    table.add_column("smallest prompt that breaks it", ratio=1, overflow="fold")
    if failure.twin_prompt is None:
        table.add_row("asked", Text(prompt))
        table.add_row("answer", Text(_paragraph(failure.response)))
    else:
        table.add_column("nearest prompt that holds", ratio=1, overflow="fold")
        answers = (_paragraph(failure.response), _paragraph(failure.twin_response or ""))
        table.add_row("asked", _marked(prompt, twin), _marked(twin, prompt))
        table.add_row("answer", *(Text(answer) for answer in answers))
    console.print(table)
    _fact(console, "change", change(failure))
    _fact(console, "why", failure.reason)
    again_words = f"{again_in(failure, target)} broke it again"
    more = f"; {of - 1} more failing item{'s' if of > 2 else ''}" if of > 1 else ""
    _fact(console, "sure", again_words + more)


def _show_attribution(report: AttributionReport, console: Console) -> None:
    console.print()
    if report.behaviour is not None:
        which = report.behaviour
        shown = "; ".join(line(prompt, 90) for prompt in which.prompts)
        label = f"behaviour {which.number} of {which.of}"
        _fact(console, label, f"in {plural(which.broken, 'broken answer')}, as to: {shown}")
    _fact(console, report.verdict, _VERDICTS[report.verdict])
    _fact(console, "by", f"{report.method} over {report.rows:,} rows, p = {report.p_value:.2g}")
    if report.rows_needed and report.verdict != "none":
        _fact(console, "rows", _needed(report))
    if report.implicated:
        console.print(_rows(report.implicated))
        console.print(
            Text(
                "Implicated, not proven: a candidate until a retraining has shown it.", "surf.quiet"
            )
        )
    if report.sources and report.verdict != "none":
        _show_sources(report.sources, console)


def _needed(report: AttributionReport) -> str:
    """How many rows, with the interval, and in how many sources they are."""
    words = f"{report.rows_needed or 0:,} implicated"
    if report.rows_between is not None:
        low, high = report.rows_between
        words += f", {low:,} to {high:,} of them more than chance would give"
    if report.source_share is not None:
        carriers = round(report.source_share * len(report.sources))
        words += f"; most are in {carriers:,} of {plural(len(report.sources), 'source')}"
    return words


def _rows(implicated: Sequence[Implicated]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, expand=True, padding=(0, 1))
    table.add_column("#", justify="right", style="surf.quiet")
    table.add_column("score", justify="right")
    table.add_column("source", overflow="fold", max_width=18)
    table.add_column("row", overflow="fold", max_width=12)
    table.add_column("what it teaches", ratio=1, overflow="fold")
    for row in implicated[:TOP_ROWS]:
        source, name = line(row.source, 60), line(row.id, 40)
        table.add_row(str(row.rank), f"{row.score:.3f}", Text(source), Text(name), _lesson(row))
    return table


def _lesson(row: Implicated) -> Text:
    """Prompt, then the answer that is taught, marked where it differs from the one that lost."""
    chosen = line(row.chosen, 120)
    lesson = Text(line(row.prompt, 90), "surf.quiet")
    lesson.append("\n+ ", "surf.label")
    if row.rejected is None:
        return lesson.append(chosen, "default")
    rejected = line(row.rejected, 120)
    lesson.append_text(_marked(chosen, rejected))
    return lesson.append("\n- ", "surf.label").append_text(_marked(rejected, chosen))


def _show_sources(sources: Sequence[SourceShare], console: Console) -> None:
    """Those that have implicated rows, the first of them; the others are counted."""
    implicated = [source for source in sources if source.implicated]
    shown = sorted(implicated, key=lambda s: (s.q_value, -s.lift, s.source))[:MOST_SOURCES]
    if shown:
        console.print(_sources(shown))
    more, without = len(implicated) - len(shown), len(sources) - len(implicated)
    said = [f"{more:,} more"] if more else []
    said += [f"{without:,} more without any implicated row"] if without else []
    if said:
        words = " and ".join(said)
        console.print(Text(f"{'and ' if shown else ''}{words}", "surf.quiet"))


def _sources(sources: Sequence[SourceShare]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1))
    table.add_column("source", overflow="fold")
    for name in ("rows", "implicated", "lift", "q-value"):
        table.add_column(name, justify="right")
    for source in sources:
        table.add_row(
            Text(line(source.source, 60)),
            f"{source.rows:,}",
            f"{source.implicated:,}",
            f"{source.lift:.1f}×",
            f"{source.q_value:.2g}",
            style="surf.differs" if source.q_value <= 0.05 and source.lift > 1 else None,
        )
    return table


def _show_next(
    run: RunReport,
    failures: Sequence[Failure],
    reports: Sequence[AttributionReport],
    console: Console,
) -> None:
    """Commands that can be pasted, each on a line of its own however long it is."""
    console.print()
    if failures:
        smallest = min(failures, key=lambda failure: size(failure.case))
        _command(console, "run it again", again(smallest.item, run.settings))
    base, data, report = (run.settings.get(name) for name in ("base", "data", "report"))
    if base and data and report and any(f.twin_response is not None for f in failures):
        method = "probe" if any(r.method == "conditional" for r in reports) else "conditional"
        contrast = contrast_file(Path(report), failures[0].test)
        words = ["surfcheck", "attribute", "--base", base, "--data", data]
        words += ["--contrast", str(contrast), "--method", method, "--out", f"by-{method}"]
        _command(console, "rank the training rows by another method", shlex.join(words))


def _summary(run: RunReport) -> Table:
    columns = [f"{counted(run.settings)}s", "broke", "95 % interval"]
    undecided = any(invariant.undecided for invariant in run.invariants)
    table = Table(box=box.SIMPLE_HEAD, expand=True, padding=(0, 1))
    table.add_column("behaviour", ratio=1, overflow="fold")
    table.add_column("outcome")
    for name in [*columns, "undecided"] if undecided else columns:
        table.add_column(name, justify="right")
    for invariant in run.invariants:
        numbers = [f"{invariant.cases}", "–", "–", f"{invariant.undecided}"]
        if invariant.rate is not None and invariant.interval is not None:
            low, high = invariant.interval
            decided = invariant.held + invariant.violated
            numbers[1] = f"{invariant.violated} of {decided}, {percent(invariant.rate)}"
            numbers[2] = f"{percent(low)} to {percent(high)}"
        behaviour, outcome = Text(line(invariant.behaviour)), _outcome(invariant.outcome)
        if invariant.hold < 1:
            behaviour.append(f" ({percent(invariant.hold)} have to hold)", "surf.quiet")
        table.add_row(behaviour, outcome, *(numbers if undecided else numbers[:3]))
    return table


def _usage(usage: Usage) -> Text:
    said = f"{plural(usage.calls, 'answer')} generated, {usage.remembered:,} remembered"
    if usage.calls:
        price = "unpriced" if usage.usd is None else f"${usage.usd:,.2f}"
        said += f", {usage.tokens:,} tokens, {price}"
    return Text(said, "surf.quiet")


def _judges(judges: Mapping[str, Any]) -> Text:
    """Who judged, and how far they agreed where there were several."""
    said = f"judged by {line(str(judges['models']))}"
    if judges["exchanges"]:
        alpha = "" if judges["alpha"] is None else f", Krippendorff's alpha {judges['alpha']:.2f}"
        unanimous = percent(judges["unanimous"])
        said += f"; unanimous on {unanimous} of {judges['exchanges']:,} exchanges{alpha}"
    return Text(said, "surf.quiet")


def _unasked(items: Sequence[str]) -> Text:
    """The first items that were not asked; all of them stand in run.json."""
    shown = [f"not asked: {line(item)}" for item in items[:MOST_UNASKED]]
    if len(items) > MOST_UNASKED:
        shown.append(f"and {len(items) - MOST_UNASKED:,} more, in run.json")
    return Text("\n".join(shown), "surf.inconclusive")


def _outcome(word: ResultWord) -> Text:
    return Text(word, f"surf.{word}")


def _marked(text: str, other: str) -> Text:
    marked = Text()
    for piece in pieces(text, other):
        marked.append(piece.text, "surf.differs" if piece.differs else "default")
    return marked


def _paragraph(text: str, most: int = 600) -> str:
    shown = clean(text).strip()
    return shown if len(shown) <= most else shown[: most - 1] + "…"


def _fact(console: Console, label: str, text: str) -> None:
    if text:
        words = Text(f"{label}: ", "surf.label").append(line(text, 400), "default")
        console.print(Padding(words, (0, 0, 0, 1)))


def _command(console: Console, label: str, command: str) -> None:
    console.print(Text(f"{label}:", "surf.label"))
    console.print(Text(f"  {command}", "surf.command"), soft_wrap=True)
