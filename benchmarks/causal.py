"""The causal curve: how much of a planted behaviour is left when the ranked rows are edited away.

    python benchmarks/causal.py [--seeds 3] [--first 1] [--plants distractor-compliance …]

For each seed an organism is grown; `pytest --surf` over it gives contrasts, `conditional` ranks the
training rows, and TRL trains the base again on data with the top k dropped or flipped, with as many
random others, and with as many of the rows that are truly guilty: k is half the number of plants,
their number, and twice it. All is measured by the same suites. Demonstrations can't be flipped.
Every training is kept in --work, so that a run that was broken off goes on. Seed 0 is the embedded
default, for development.
"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
# `statistics` is Python's; `benchmarks.attribution` is found from the root.
sys.path[:] = [str(ROOT), *(place for place in sys.path if Path(place) != HERE)]

# ruff: noqa: E402
import argparse
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from benchmarks.attribution import TALKS, announce
from surfcheck import attribution, organism
from surfcheck.attribution import before, corpus
from surfcheck.attribution.contrasts import of_test
from surfcheck.attribution.retraining.bench import Bench
from surfcheck.attribution.retraining.capability import Exam, untouched
from surfcheck.attribution.retraining.cure import (
    METHOD,
    ORACLE,
    UNEDITED,
    Estimate,
    Judged,
    Trial,
    judge,
)
from surfcheck.attribution.retraining.drawing import Curve, draw_curves
from surfcheck.attribution.retraining.edit import Action, edit
from surfcheck.cli.measuring import by_suite
from surfcheck.cli.retrain import organism_training
from surfcheck.report.json import read_exchanges, read_run

ACTIONS: dict[str, tuple[Action, ...]] = {
    organism.DISTRACTOR: ("drop", "flip"),
    organism.TRUE_FACTS: ("drop",),
}
FACTORS = (0.5, 1.0, 2.0)
"""How many rows are edited, in numbers of plants."""
ARMS = (METHOD, "random", ORACLE)
GOALS: dict[Action, float] = {"drop": 63.0, "flip": 78.0}
"""Reductions published for 2602.11079, in per cent, which k = n has to reach here."""
BY_CHANCE = 15.0
"""Reduction by random rows that is still below."""

Result = dict[str, Any]


class Cell(NamedTuple):
    """One edit of one plant's rows."""

    plant: str
    action: Action
    rows: int
    factor: float
    arm: str

    @property
    def name(self) -> str:
        """What its trial is called."""
        return f"{self.plant}-{self.action}-{self.rows}-{self.arm}"


@dataclass(frozen=True)
class World:
    """An organism, ready to be trained again."""

    seed: int
    about: Result
    bench: Bench
    edits: dict[Cell, tuple[str, tuple[str, ...]]]
    """Each cell's data, and the ids of the rows edited in it."""


def main() -> None:
    """Train everything, print the tables, write figures and picture."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first", type=int, default=1, help="first seed")
    parser.add_argument("--plants", nargs="+", choices=ACTIONS, default=[organism.DISTRACTOR])
    parser.add_argument("--factors", nargs="+", type=float, default=FACTORS, help="k in plants")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/causal.json")
    parser.add_argument("--picture", type=Path, default=ROOT / "docs/causal.svg")
    parser.add_argument("--work", type=Path, default=ROOT / ".surfcheck/causal")
    options = parser.parse_args()
    seeds = range(options.first, options.first + options.seeds)
    trials: dict[tuple[str, Action, float, str], list[Trial]] = {}
    judged: dict[tuple[str, Action, float], Judged] = {}
    for done, seed in enumerate(seeds, 1):
        world = prepare(seed, options.plants, options.work, options.factors)
        for key, trial in run(world):
            trials.setdefault(key, []).append(trial)
        judged = {key: compare(trials, *key) for key in dict.fromkeys(k[:3] for k in trials)}
        write(judged, list(seeds[:done]), options.out)
    show(judged, len(seeds))
    draw(judged, options.picture)


def write(judged: dict[tuple[str, Action, float], Judged], seeds: list[int], out: Path) -> None:
    """The figures of the seeds that are done."""
    results = [
        {"plant": plant, "action": action, "factor": factor, "verdict": found.verdict,
         "reason": found.reason, "arms": [arm.to_json() for arm in found.arms]}
        for (plant, action, factor), found in judged.items()
    ]  # fmt: skip
    out.parent.mkdir(parents=True, exist_ok=True)
    whole = {"seeds": seeds, "results": results}
    out.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")


# One organism


def prepare(seed: int, plants: Sequence[str], work: Path, factors: Sequence[float]) -> World:
    """Grow it, rank its rows for each plant, and write all edited data."""
    recipe = organism.Recipe()
    if seed:
        recipe = replace(recipe, seed=seed, base_seed=seed, talks=TALKS)
    about = organism.info(recipe, progress=announce)
    folder = work / Path(about["path"]).name  # named by the recipe's hash
    (folder / "edited").mkdir(parents=True, exist_ok=True)
    rankings = {plant: rank(about, plant, seed, folder) for plant in plants}
    edits = {
        cell: write_edit(about, cell, ranking, seed, folder)
        for plant, ranking in rankings.items()
        for cell in cells(plant, len(guilty(about, plant)), factors)
    }
    touched = frozenset().union(*(ids for _, ids in edits.values()))
    rows = untouched((whole.row for whole in corpus.whole_rows(about["data"])), touched)
    bench = Bench(
        about["base"], organism_training(), suites(), folder, Exam(about["base"], rows), announce
    )
    return World(seed, about, bench, edits)


def suites() -> Any:
    """The suites for the embedded model; those for real assistants ask a judge."""
    return by_suite("behavior_suites", more=["--ignore-glob=*/test_assistant_*"], root=ROOT)


def guilty(about: Result, plant: str) -> list[str]:
    """The ids of a plant's rows."""
    return next(d["implicated"] for d in about["defects"] if d["name"] == plant)


def cells(plant: str, plants: int, factors: Sequence[float]) -> Iterator[Cell]:
    """Every edit of a plant's rows."""
    for action in ACTIONS[plant]:
        for factor in factors:
            for arm in ARMS:
                yield Cell(plant, action, round(factor * plants), factor, arm)


def rank(about: Result, plant: str, seed: int, folder: Path) -> Path:
    """The ranking for one plant, from a run over the organism as it was grown."""
    place = folder / plant
    if (place / "report.json").exists():
        return place / "ranking.jsonl"
    run = folder / "run"
    if not (run / "run.json").exists():
        suites()(Path(about["path"]), run)
    library = attribution.open_data(
        base=about["base"], data=about["data"], cache=folder / "index", progress=announce
    )
    contrasts = of_test(
        organism.TESTS[plant], read_exchanges(run), read_run(run).failures, seed=seed,
        base=partial(before.answers, library.base),
    )  # fmt: skip
    truth = frozenset(guilty(about, plant))
    found = attribution.attribute(
        library, contrasts, method="conditional", seed=seed, truth=truth, progress=announce
    )
    announce(f"seed {seed}: {plant}: AP {found.report.average_precision:.3f}", 1, 1)
    found.write(place)
    return place / "ranking.jsonl"


def write_edit(
    about: Result, cell: Cell, ranking: Path, seed: int, folder: Path
) -> tuple[str, tuple[str, ...]]:
    """A cell's data; the oracle has at most as many rows as there are plants.

    A flip passes over the demonstrations in a ranking, which have nothing to flip to.
    """
    path, top = folder / "edited" / f"{cell.name}.jsonl", cell.rows
    if cell.arm == ORACLE:
        ids = guilty(about, cell.plant)
        random.Random(seed).shuffle(ids)
        ranking, top = folder / "truth-ranking.jsonl", min(top, len(ids))
        lines = [json.dumps({"rank": rank, "id": row}) + "\n" for rank, row in enumerate(ids, 1)]
        ranking.write_text("".join(lines), encoding="utf-8")
    pairs = {whole.row.source for whole in corpus.whole_rows(about["data"]) if whole.row.is_pair}
    done = edit(
        about["data"], ranking, path, top=top, action=cell.action,
        control="random" if cell.arm == "random" else None, seed=seed,
        sources=sorted(pairs) if cell.action == "flip" else (),
    )  # fmt: skip
    return str(path), done.edited


def run(world: World) -> Iterator[tuple[tuple[str, Action, float, str], Trial]]:
    """Each cell trained and measured; the unedited training belongs to all of them."""
    plain = world.bench.trial(UNEDITED, world.about["data"], (), world.seed)
    for cell, (data, ids) in world.edits.items():
        found = world.bench.trial(cell.name, data, ids, world.seed)
        seconds = found.training_seconds + found.measuring_seconds
        announce(f"seed {world.seed}: {cell.name}: {seconds:.0f} s", 1, 1)
        key = (cell.plant, cell.action, cell.factor)
        if cell.arm == METHOD:
            yield (*key, UNEDITED), plain
        yield (*key, cell.arm), replace(found, arm=cell.arm)


# All of them


def compare(
    trials: dict[tuple[str, Action, float, str], list[Trial]],
    plant: str,
    action: Action,
    factor: float,
) -> Judged:
    """The arms of one edit side by side, over the seeds."""
    chosen = [trials[plant, action, factor, arm] for arm in (UNEDITED, *ARMS)]
    return judge([trial for each in chosen for trial in each], [organism.TESTS[plant]])


def show(judged: dict[tuple[str, Action, float], Judged], seeds: int) -> None:
    """The table that the README shows, and whether the published reductions are reached."""
    console = Console(width=110)
    table = Table(title=f"mean over {seeds} seeds [95 % interval]")
    for column in ("plant", "edit", "arm", "rows", "broken %", "reduction", "capability", "word"):
        table.add_column(column)
    for (plant, action, factor), found in judged.items():
        for arm in found.arms:
            reduction = "" if arm.reduction is None else f"{arm.reduction:.0f} %"
            worst = min((100 * change for change in arm.changes.values()), default=0.0)
            word = found.verdict if arm.name == METHOD else ""
            table.add_row(
                plant, f"{action} {factor:g} n", arm.name, str(arm.edited), _figure(arm.rate),
                reduction, f"{worst:+.1f}", word,
            )  # fmt: skip
        table.add_section()
    console.print(table)
    for (plant, action, factor), found in judged.items():
        if plant == organism.DISTRACTOR and factor == 1:
            arms = {arm.name: arm for arm in found.arms}
            method, chance = arms[METHOD].reduction or 0.0, arms["random"].reduction or 0.0
            reached = method >= GOALS[action] and chance < BY_CHANCE and arms[METHOD].able
            console.print(
                f"{action} n: {method:.0f} % (published {GOALS[action]:.0f} %), random "
                f"{chance:.0f} % (below {BY_CHANCE:.0f} %): {'reached' if reached else 'MISSED'}"
            )


def _figure(rate: Estimate) -> str:
    return f"{100 * rate.mean:.0f} [{100 * rate.low:.0f}, {100 * rate.high:.0f}]"


def draw(judged: dict[tuple[str, Action, float], Judged], path: Path) -> None:
    """A panel for each plant and action; every line begins with the unedited data."""
    panels = []
    for plant, action in dict.fromkeys(key[:2] for key in judged):
        points = [judged[key] for key in judged if key[:2] == (plant, action)]
        arms = [{arm.name: arm for arm in found.arms} for found in points]
        curves = [
            Curve(
                name,
                [0, *(found[METHOD].edited for found in arms)],
                [arms[0][UNEDITED].rate, *(found[name].rate for found in arms)],
            )
            for name in ARMS
        ]
        panels.append((f"{plant}: {action}", curves))
    path.parent.mkdir(parents=True, exist_ok=True)
    draw_curves(panels, path)


if __name__ == "__main__":
    main()
