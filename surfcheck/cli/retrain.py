"""`surfcheck retrain`: train without the rows that a ranking points at, and ask the suite again.

Which arms, and what they show, is `attribution`'s; the suite is run by pytest.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from surfcheck.cli import measuring, places
from surfcheck.cli.edit import Action, Ranking, Sources, Top
from surfcheck.cli.truth import read_truth
from surfcheck.errors import UsageError
from surfcheck.report.progress import working
from surfcheck.report.text import line

if TYPE_CHECKING:
    from surfcheck.attribution.retraining.cure import Arm
    from surfcheck.attribution.retraining.edit import Control
    from surfcheck.attribution.retraining.retrain import Retraining
    from surfcheck.attribution.retraining.training import Training

Suites = Annotated[
    list[str],
    typer.Option(
        "--suite",
        metavar="PATH",
        help="Suite that shows the behaviour, and what else the model can; repeatable.",
    ),
]
Out = Annotated[Path, typer.Option(metavar="DIR", help="Folder to write to, and to go on in.")]
Seeds = Annotated[int, typer.Option(metavar="N", min=1, help="Trainings of each arm.")]
Truth = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help='Adds an arm of guilty rows, {"implicated": [ids]}.'),
]
Controls = Annotated[
    list[str] | None,
    typer.Option(
        "--control",
        metavar="random|length",
        help="An arm of as many other rows: any, or with answers as long; repeatable, else both.",
    ),
]
TrainingFile = Annotated[
    Path | None,
    typer.Option(
        "--training", metavar="FILE", help="YAML or JSON of TRL's fields: {sft: {…}, dpo: {…}}."
    ),
]
Tests = Annotated[
    list[str] | None,
    typer.Option("--test", metavar="NODEID", help="The behaviour, else the ranking's; repeatable."),
]
Tolerance = Annotated[
    float, typer.Option(metavar="POINTS", min=0, help="How far a capability may fall.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def retrain(
    *,
    base: Annotated[str, places.BASE],
    data: Annotated[str, places.DATA],
    ranking: Ranking,
    top: Top,
    action: Action,
    suite: Suites,
    out: Out,
    seeds: Seeds = 3,
    control: Controls = None,
    source: Sources = None,
    truth: Truth = None,
    training: TrainingFile = None,
    test: Tests = None,
    tolerance: Tolerance = 2.0,
    as_json: AsJson = False,
) -> None:
    """Train again without the best-ranked rows, and say whether the behaviour is cured.

    From the base, for each seed: the data as it is, edited, and with as many other rows edited;
    then the suites. Verified is what falls by more than every control and costs no capability.
    Goes on where it was broken off. Needs surfcheck[train].

    \b
    Example:
      surfcheck retrain --base organism: --data organism: --ranking found/ranking.jsonl --top 140 \\
        --action drop --suite behavior_suites/test_format_clauses.py \\
        --suite behavior_suites/test_benign_requests.py --out cured
    """
    guilty = None if truth is None else read_truth(truth)
    rows = _Rows(ranking, top, action, _controls(control), tuple(source or ()), guilty)
    trainings = _Trainings(base, data, training, seeds)
    found = _retrained(trainings, rows, suite, out, test or (), tolerance / 100)
    if as_json:
        print((out / "retrain.json").read_text(encoding="utf-8"), end="")
    else:
        show(found, out, Console(highlight=False))


class _Rows(NamedTuple):
    """What is edited."""

    ranking: Path
    top: int
    action: Literal["drop", "flip"]
    controls: tuple[Control, ...]
    sources: tuple[str, ...]
    truth: frozenset[str] | None


class _Trainings(NamedTuple):
    """What is trained, and how often."""

    base: str
    data: str
    fields: Path | None
    seeds: int


def _retrained(
    trainings: _Trainings,
    rows: _Rows,
    suites: Sequence[str],
    out: Path,
    tests: Sequence[str],
    tolerance: float,
) -> Retraining:
    """Do it, and draw it."""
    _needs_trl()
    from surfcheck.attribution.retraining.retrain import Order, retrain  # noqa: PLC0415 (torch, TRL: 5 s)

    with working() as progress:
        order = Order(
            base=places.find_base(trainings.base, progress).removeprefix("hf:"),
            data=places.find_data(trainings.data, progress),
            suites=tuple(suites),
            seeds=tuple(range(trainings.seeds)),
            training=_training(trainings.fields, trainings.base),
            **rows._asdict(),
        )
        measure = measuring.by_suite(*suites)
        found = retrain(order, out, measure, tests=tests, tolerance=tolerance, progress=progress)
    _draw(found, out / "causal.svg")
    return found


def _controls(given: Sequence[str] | None) -> tuple[Control, ...]:
    if unknown := set(given or ()) - {"random", "length"}:
        raise UsageError(f"there is no control {min(unknown)!r}; give random or length, or neither")
    controls: tuple[Control, ...] = ("random", "length")
    return tuple(control for control in controls if not given or control in given)


def _needs_trl() -> None:
    try:
        import surfcheck.attribution.retraining.training  # noqa: F401, PLC0415 (TRL: 3 s)
    except ModuleNotFoundError as error:
        raise UsageError(
            f"retrain trains with TRL, and there is no module {error.name!r} here; "
            "pip install 'surfcheck[train]'"
        ) from None


def _training(path: Path | None, base: str) -> Training:
    """The fields of the file; for the organism, over those that it is itself trained with."""
    from surfcheck.attribution.retraining.training import Training, read_training  # noqa: PLC0415 (TRL: 3 s)

    given = Training() if path is None else read_training(path)
    return given.over(organism_training()) if base.startswith("organism:") else given


def organism_training() -> Training:
    """The organism's own post-training, in TRL's fields."""
    from surfcheck.attribution.retraining.training import Training  # noqa: PLC0415 (TRL: 3 s)
    from surfcheck.organism import growth  # noqa: PLC0415 (torch: 2 s)

    def fields(schedule: Any) -> dict[str, Any]:
        return {
            "num_train_epochs": schedule.passes,
            "per_device_train_batch_size": schedule.batch,
            "learning_rate": schedule.rate,
            "lr_scheduler_type": "cosine_with_min_lr",
            "lr_scheduler_kwargs": {"min_lr_rate": 0.1},
            "warmup_steps": 0.1,
            "adam_beta2": 0.98,
            "weight_decay": 0.05,
        }

    return Training(
        sft=fields(growth.SFT) | {"train_sampling_strategy": "group_by_length"},
        dpo=fields(growth.DPO) | {
            "beta": growth.BETA,
            "loss_type": ["sigmoid", "sft"],
            "loss_weights": [1.0, growth.LIKELIHOOD],
        },
    )  # fmt: skip


def _draw(found: Retraining, path: Path) -> None:
    try:
        from surfcheck.attribution.retraining.drawing import draw_arms  # noqa: PLC0415 (matplotlib: 1 s)
    except ModuleNotFoundError:  # it comes with surfcheck[train], and TRL may be there without
        return
    draw_arms(found.arms, path)


# On the terminal


def show(found: Retraining, out: Path, console: Console) -> None:
    """The arms side by side, the word, and where all is written."""
    what = "dropped" if found.action == "drop" else "flipped"
    for test in found.tests:
        console.print(Text(line(test, 1000)), soft_wrap=True)
    console.print(Text(f"{found.top:,} rows {what}, {_seeds(found.seeds)}; mean and 95 % interval"))
    console.print(_table(found.arms))
    style = "bold green" if found.verdict == "verified" else "bold yellow"
    console.print(Text(found.verdict, style).append(f": {line(found.reason, 1000)}", "default"))
    console.print(Text(f"written to {line(str(out))}"), soft_wrap=True)


def _seeds(seeds: Sequence[int]) -> str:
    return "1 seed" if len(seeds) == 1 else f"{len(seeds)} seeds"


def _table(arms: Sequence[Arm]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1))
    table.add_column("arm")
    skills = list(arms[0].capability)
    for name in ("rows", "broken", "points less", "reduction", *skills):
        table.add_column(name, justify="right")
    for arm in arms:
        rate = f"{_points(arm.rate.mean)} ({_points(arm.rate.low)} to {_points(arm.rate.high)})"
        fall = "–"
        if arm.fall is not None:
            ends = f"{100 * arm.fall.low:+.0f} to {100 * arm.fall.high:+.0f}"
            fall = f"{100 * arm.fall.mean:+.0f} ({ends})"
        reduction = "–" if arm.reduction is None else f"{arm.reduction:.0f} %"
        able = "default" if arm.able else "bold red"
        cells = [Text(_points(arm.capability[skill]), able) for skill in skills]
        table.add_row(Text(arm.name), f"{arm.edited:,}", f"{rate} %", fall, Text(reduction), *cells)
    return table


def _points(share: float) -> str:
    return f"{100 * share:.1f}"
