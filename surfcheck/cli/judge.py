"""`surfcheck judge calibrate`: what a judge is worth against people's labels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from surfcheck.errors import UsageError
from surfcheck.report.progress import working
from surfcheck.report.text import line
from surfcheck.session import Session
from surfcheck.settings import Settings, surf_folder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from surfcheck.judge.calibrate import Calibration, Label
    from surfcheck.judge.panel import Agreement
    from surfcheck.records import Verdict

TOGETHER = 32
"""Answers that a judge is asked about between two steps of the progress bar."""

app = typer.Typer(help="Judges, and what their word is worth.")

LabelFile = Annotated[
    Path, typer.Option(metavar="FILE", help="JSON lines of {prompt, response, violates}.")
]
JudgeSpec = Annotated[
    str,
    typer.Option(
        metavar="SPEC[,SPEC]", help="Judge models, by majority; or rules:NAME, as rules:refusal."
    ),
]
RubricFile = Annotated[
    Path | None, typer.Option(metavar="FILE", help="YAML file that the models judge by.")
]
Seed = Annotated[int, typer.Option(metavar="N", min=0, help="Seed of the intervals.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


class Calibrated(NamedTuple):
    """What came of it."""

    keys: tuple[str, ...]
    """What it is remembered under."""
    calibration: Calibration
    """How the judge did."""
    agreement: Agreement | None = None
    """Among judge models, where there are several."""


@app.command("calibrate")
def judge_calibrate(
    labels: LabelFile,
    judge: JudgeSpec,
    rubric: RubricFile = None,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Compare a judge with people's labels.

    Agreement, Cohen's kappa, and precision, recall and F1 of what it calls a violation, with 95 %
    intervals. An answer that it can't decide agrees with nobody. Kept in .surfcheck, so that a run
    can say whether its judge was ever calibrated.

    A violation is an answer that breaks the rubric, or of which the rule does not hold:
    rules:refusal holds where the answer refuses, so its labels have "violates": true where the
    answer should have refused and did not. For too much refusing name the opposite,
    rules:complies.

    \b
    Example:
      surfcheck judge calibrate --labels labels.jsonl --judge rules:refusal
    """
    from surfcheck.judge.calibrate import read_labels, remember  # noqa: PLC0415 (only this verb)

    specs = _specs(judge, rubric)
    labelled = read_labels(labels)
    home = Session(Settings(), folder=surf_folder(), working=working).home()
    if rubric is None:
        found = _by_rule(specs[0], labelled, seed)
    else:
        found = _by_models(specs, labelled, rubric, seed, home)
    if as_json:
        print(json.dumps(found.calibration.to_json(), indent=2))
    else:
        _show(found, labelled)
    for key in found.keys:
        remember(home, key, found.calibration)


def _specs(judge: str, rubric: Path | None) -> list[str]:
    """The judges that are named. Raises UsageError where they and the rubric do not go together."""
    specs = [spec.strip() for spec in judge.split(",") if spec.strip()]
    by_rule = [spec for spec in specs if spec.startswith("rules:")]
    if not specs:
        raise UsageError("--judge is empty: give models, as provider:NAME, or rules:NAME")
    if by_rule and len(specs) > 1:
        raise UsageError(f"--judge {judge}: a rule judges alone; give {by_rule[0]}, or only models")
    if by_rule and rubric is not None:
        raise UsageError(f"{specs[0]} goes by no rubric: leave out --rubric, or name a model")
    if not by_rule and rubric is None:
        raise UsageError(f"--judge {judge} needs --rubric FILE, what the model judges by")
    return specs


def _by_rule(spec: str, labels: Sequence[Label], seed: int) -> Calibrated:
    from surfcheck.judge.calibrate import calibrate, rule  # noqa: PLC0415 (only this verb)

    return Calibrated((spec,), calibrate(rule(spec.removeprefix("rules:")), labels, seed=seed))


def _by_models(
    specs: Sequence[str], labels: Sequence[Label], rubric: Path, seed: int, home: Path
) -> Calibrated:
    from surfcheck.judge.calibrate import judge_key, measure  # noqa: PLC0415 (only this verb)
    from surfcheck.judge.panel import Panel  # noqa: PLC0415
    from surfcheck.judge.rubric import read_rubric  # noqa: PLC0415
    from surfcheck.models import Engine, Memory, load  # noqa: PLC0415 (heavy)

    criterion = read_rubric(rubric)
    answers = [label.response for label in labels]
    with Memory(home / "memory.sqlite", "auto") as memory, Engine() as engine:
        models = [load(spec, memory=memory, engine=engine) for spec in specs]
        panel = Panel(models, seed=seed)
        asks = [panel.asks(answer, criterion) for answer in answers]
        for model in models:
            model.expect(asks)  # all judges at once; what goes wrong is said when they are heard
        verdicts: list[Verdict] = []
        with working() as progress:
            for start in range(0, len(answers), TOGETHER):
                verdicts += panel.judge_all(answers[start : start + TOGETHER], criterion)
                progress("judging answers", len(verdicts), len(answers))
    measured = measure(verdicts, labels, seed=seed)
    keys = (panel.spec, judge_key(panel.spec, criterion))
    return Calibrated(keys, measured, panel.agreement if len(models) > 1 else None)


def _show(found: Calibrated, labels: Sequence[Label]) -> None:
    console, c = Console(highlight=False), found.calibration
    guilty = sum(label.violates for label in labels)
    console.print(
        Text(
            f"{line(found.keys[0])} against {c.n:,} labels, {guilty:,} of them violations; "
            f"{c.undecided:,} undecided"
        ),
        soft_wrap=True,
    )
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1))
    table.add_column("")
    table.add_column("value", justify="right")
    table.add_column("95 % interval", justify="right")
    for name, value, interval in (
        ("agreement", c.agreement, c.intervals.agreement),
        ("Cohen's kappa", c.kappa, c.intervals.kappa),
        ("precision", c.precision, c.intervals.precision),
        ("recall", c.recall, c.intervals.recall),
        ("F1", c.f1, c.intervals.f1),
    ):
        between = "–" if interval is None else f"{interval[0]:.3f} to {interval[1]:.3f}"
        table.add_row(name, _number(value), between)
    console.print(table)
    if found.agreement is not None:
        a = found.agreement
        console.print(
            Text(
                f"judges among themselves: {_number(a.rate)} of {a.exchanges:,} unanimous, "
                f"Krippendorff's alpha {_number(a.alpha)}"
            ),
            soft_wrap=True,
        )


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
