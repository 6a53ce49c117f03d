"""The linear datamodeling score: do the scores of half the rows foretell a training on that half?

    python benchmarks/lds.py [--subsets 32] [--seed 0] [--out benchmarks/results/lds.json]

After TRAK (Park et al. 2023, 2303.14186). The base is post-trained on random halves of the embedded
default's rows as that was on all of them. What a training did is log p(bad) - log p(good), mean
over the contrasts of a failing invariant; what a method foretells is the sum of its scores over the
half; the score is Spearman's correlation of the two over the halves, its interval bootstrapped over
them. Some halves are trained twice, with another seed: how far the two are apart is noise, and says
what the best of forecasts would reach. Every training leaves a line in a file beside --out, and a
run that was stopped goes on after the last.
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
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from rich.console import Console
from rich.table import Table
from scipy.stats import rankdata

from benchmarks.attribution import announce, run_suites
from surfcheck import attribution, organism
from surfcheck.attribution import before, corpus
from surfcheck.attribution.contrasts import of_test
from surfcheck.attribution.gradient import gradient
from surfcheck.files import write_whole
from surfcheck.models.checkpoint import Checkpoint, load_checkpoint
from surfcheck.models.likelihood import log_probabilities
from surfcheck.organism import growth, train
from surfcheck.records import Contrast, Prompt
from surfcheck.report.json import read_exchanges, read_run
from surfcheck.roles import silent

METHODS = ("probe", "bank", "conditional", "bm25", "length", "random")
"""Beside `gradient`, which reads the rows themselves."""
SHARE = 0.5
"""Of the rows in a subset."""
DRAWS = 2000
"""Bootstrap resamples."""
TOKENS = 8192
"""Of a batch when contrasts are read."""

Numbers = npt.NDArray[np.float64]
Result = dict[str, Any]


@dataclass(frozen=True)
class World:
    """An organism's rows, and what it does wrong."""

    base: str
    """Checkpoint before post-training."""
    data: str
    """The rows' file."""
    rows: list[dict[str, Any]]
    """The rows, as training takes them."""
    contrasts: dict[str, list[Contrast]]
    """Of each planted behaviour that the run found."""


def main() -> None:
    """Train on the halves that are not done, rank, print the table, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--subsets", type=int, default=32)
    parser.add_argument("--twice", type=int, default=8, help="subsets that are trained twice")
    parser.add_argument("--seed", type=int, default=0, help="of the organism and the subsets")
    parser.add_argument("--passes", type=float, default=1.0, help="share of a training, to try it")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/lds.json")
    options = parser.parse_args()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    about = organism.info(organism.Recipe(seed=options.seed), progress=announce)
    plan = {"organism": Path(about["path"]).name, "seed": options.seed, "passes": options.passes}
    log = options.out.with_suffix(".trainings.jsonl")
    world, done = opened(log, plan, about)
    wanted = [(n, 0) for n in range(options.subsets)]
    wanted += [(n, 1) for n in range(min(options.twice, options.subsets))]
    for number, again in wanted:
        if (number, again) not in done:
            done[number, again] = trained(world, plan, number, again)
            write_line(log, {"subset": number, "again": again, "targets": done[number, again]})
            announce(f"trained {len(done)} of {len(wanted)}", 1, 1)
    results = judge(world, plan, {key: done[key] for key in wanted})
    show(results, options.subsets)
    write_whole(options.out, json.dumps({"plan": plan, "results": results}, indent=1) + "\n")


def opened(
    log: Path, plan: Result, about: Result
) -> tuple[World, dict[tuple[int, int], dict[str, float]]]:
    """The world of a log, and the targets of every training in it; a new log if there is none."""
    if not log.exists():
        write_line(log, {"plan": plan, "contrasts": asked(about, plan["seed"])})
    text = log.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    if whole != text:  # stopped in the middle of a line
        write_whole(log, whole)
    first, *lines = [json.loads(line) for line in whole.splitlines()]
    if first["plan"] != plan:
        raise SystemExit(f"{log}: has trainings of {first['plan']}; move it away, or name an --out")
    contrasts = {
        plant: [Contrast.from_json(c) for c in found] for plant, found in first["contrasts"].items()
    }
    rows = [json.loads(line) for line in Path(about["data"]).read_text("utf-8").splitlines()]
    world = World(about["base"], about["data"], rows, contrasts)
    return world, {(line["subset"], line["again"]): line["targets"] for line in lines}


def write_line(log: Path, value: Result) -> None:
    """A line that is there once this has returned."""
    with log.open("a", encoding="utf-8") as file:
        file.write(json.dumps(value) + "\n")
        file.flush()
        os.fsync(file.fileno())


def asked(about: Result, seed: int) -> dict[str, list[Result]]:
    """Contrasts of each plant whose test fails, as after any run."""
    with tempfile.TemporaryDirectory() as place:
        run = Path(place) / "run"
        run_suites(f"hf:{about['path']}", "behavior_suites", run)
        exchanges, failures = read_exchanges(run), read_run(run).failures
    base = partial(before.answers, load_checkpoint(about["base"]))
    found = {}
    for defect in about["defects"]:
        contrasts = of_test(defect["test"], exchanges, failures, seed=seed, base=base)
        if any(c.bad is not None for c in contrasts):
            found[defect["name"]] = [c.to_json() for c in contrasts]
    if not found:
        raise SystemExit("no planted behaviour broke in the run: nothing to foretell")
    return found


def subset(rows: int, seed: int, number: int) -> npt.NDArray[np.int64]:
    """The rows of a subset, the same however many subsets there are."""
    drawn = np.random.default_rng([seed, number]).permutation(rows)
    return np.sort(drawn[: round(SHARE * rows)])


def trained(world: World, plan: Result, number: int, again: int) -> dict[str, float]:
    """What a training on a subset does to each behaviour."""
    started = time.perf_counter()
    rows = [world.rows[i] for i in subset(len(world.rows), plan["seed"], number)]
    checkpoint = load_checkpoint(world.base, device="cpu")
    checkpoint.model.requires_grad_(True)
    with torch.random.fork_rng(devices=[]):
        train.post_train(
            checkpoint.model, checkpoint.tokenizer, rows,
            sft=shortened(growth.SFT, plan["passes"]), dpo=shortened(growth.DPO, plan["passes"]),
            beta=growth.BETA, likelihood=growth.LIKELIHOOD,
            seed=plan["seed"] + 1000 * again, progress=silent,
        )  # fmt: skip
    checkpoint.model.requires_grad_(False)
    targets = {plant: leaning(checkpoint, found) for plant, found in world.contrasts.items()}
    announce(f"subset {number}: {time.perf_counter() - started:.0f} s", 1, 1)
    return targets


def shortened(schedule: train.Schedule, passes: float) -> train.Schedule:
    """A share of a schedule."""
    return schedule._replace(passes=schedule.passes * passes)


def leaning(checkpoint: Checkpoint, contrasts: Sequence[Contrast]) -> float:
    """log p(bad) - log p(good), mean over contrasts."""
    full = [
        (c.prompt, c.bad, c.good) for c in contrasts if c.bad is not None and c.good is not None
    ]
    pairs = [(Prompt.of(prompt), answer) for prompt, *answers in full for answer in answers]
    found = log_probabilities(checkpoint, pairs, batch_tokens=TOKENS)
    totals = np.array([probability.total for probability in found]).reshape(-1, 2)
    return float((totals[:, 0] - totals[:, 1]).mean())


def judge(
    world: World, plan: Result, done: dict[tuple[int, int], dict[str, float]]
) -> list[Result]:
    """The score of every method for every behaviour, and what noise leaves to be foretold."""
    numbers = [number for number, again in done if not again]
    twice = [number for number, again in done if again]
    halves = [subset(len(world.rows), plan["seed"], number) for number in numbers]
    results = []
    for plant, rankings in ranked(world, plan["seed"]).items():
        targets = np.array([done[number, 0][plant] for number in numbers])
        pairs = np.array([[done[number, again][plant] for again in (0, 1)] for number in twice])
        foretold = {
            name: np.array([scores[half].sum() for half in halves])
            for name, scores in rankings.items()
        }
        results.append(
            {
                "plant": plant,
                "spread": float(targets.std(ddof=1)),
                "twice": correlated(pairs[:, 0], pairs[:, 1]) if len(pairs) > 2 else None,
                "ceiling": ceiling(targets, pairs) if len(pairs) else None,
                "lds": {name: correlated(sums, targets) for name, sums in foretold.items()},
            }
        )
    return results


def ranked(world: World, seed: int) -> dict[str, dict[str, Numbers]]:
    """Every method's scores of all rows, for every behaviour."""
    rows = corpus.read(world.data).rows
    found: dict[str, dict[str, Numbers]] = {}
    with tempfile.TemporaryDirectory() as place:
        library = attribution.open_data(base=world.base, data=world.data, cache=Path(place))
        for plant, contrasts in world.contrasts.items():
            found[plant] = {
                method: attribution.attribute(library, contrasts, method=method, seed=seed).scores
                for method in METHODS
            }
            found[plant]["gradient"] = gradient(library.base, rows, contrasts, seed=seed)
    return found


def correlated(one: Numbers, other: Numbers) -> list[float]:
    """Spearman's correlation, and its 95 % interval over resampled subsets."""
    picked = np.random.default_rng(0).integers(len(one), size=(DRAWS, len(one)))
    picked[0] = np.arange(len(one))
    ranks = [rankdata(values[picked], axis=1) for values in (one, other)]
    centred = [r - r.mean(axis=1, keepdims=True) for r in ranks]
    lengths = [np.linalg.norm(c, axis=1) for c in centred]
    products = (centred[0] * centred[1]).sum(axis=1)
    some = lengths[0] * lengths[1] > 0  # a resample of one subset alone has no correlation
    found = products[some] / (lengths[0] * lengths[1])[some]
    low, high = np.quantile(found[1:], (0.025, 0.975))
    return [float(found[0]), float(low), float(high)]


def ceiling(targets: Numbers, pairs: Numbers) -> float:
    """Correlation of the targets with what they would be without noise: the root of the share of
    their variance that two trainings on one subset have in common."""
    noise = ((pairs[:, 0] - pairs[:, 1]) ** 2).mean() / 2
    return float(np.sqrt(max(0.0, 1.0 - noise / targets.var(ddof=1))))


def show(results: Sequence[Result], subsets: int) -> None:
    """The table that the README shows."""
    table = Table(title=f"Linear datamodeling score, {subsets} halves [95 % interval]")
    table.add_column("method")
    for result in results:
        table.add_column(result["plant"], justify="right")
    for method in results[0]["lds"]:
        table.add_row(method, *(_figure(result["lds"][method]) for result in results))
    table.add_section()
    table.add_row("two trainings of a half", *(_figure(result["twice"]) for result in results))
    ceilings = [result["ceiling"] for result in results]
    table.add_row("ceiling", *("-" if value is None else f"{value:.2f}" for value in ceilings))
    Console(width=100).print(table)


def _figure(value: Sequence[float] | None) -> str:
    if value is None:
        return "-"
    score, low, high = value
    return f"{score:.2f} [{low:.2f}, {high:.2f}]"


if __name__ == "__main__":
    main()
