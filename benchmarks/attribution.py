"""How well each method finds planted rows: organisms of several seeds, every layer, every control.

    python benchmarks/attribution.py [--seeds 5] [--out benchmarks/results/attribution.json]

For each seed an organism is grown, base and all, with three plants; `pytest --surf` runs over the
suites against it; every failing invariant becomes a contrast exactly as after any run; and each
method ranks all training rows by it. Layers are not chosen: the table has the mean over the layers
one at a time, and the method as it is used, over all. Intervals are bootstrapped over seeds.
Verdicts are also asked for contrasts that mean nothing: answers of the run to unrelated prompts.
"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:] = [place for place in sys.path if Path(place) != HERE]  # `statistics` is Python's

# ruff: noqa: E402
import argparse
import json
import random
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from sklearn.metrics import average_precision_score

from surfcheck import organism
from surfcheck.attribution import open_data, text
from surfcheck.attribution.contrasts import of_test
from surfcheck.attribution.engine import METHODS, Library
from surfcheck.attribution.evidence import Evidence, gather
from surfcheck.attribution.verdict import ALPHA, chance
from surfcheck.records import Contrast, Outcome
from surfcheck.report.json import read_exchanges, read_run

ROOT = Path(__file__).resolve().parents[1]
PLANTS = {
    organism.DISTRACTOR: "triggered, with lexical twins (DPO)",
    organism.TRUE_FACTS: "SFT chunk in one phrasing",
    organism.HABIT: "habit without a trigger (DPO)",
}
TESTS = {
    **organism.TESTS,
    organism.HABIT: "benchmarks/suites/test_flattery.py::test_questions_are_not_praised",
}
CONTROLS = {"bm25": text.bm25, "length": text.length, "random": text.random}
TALKS = 93_000
"""Half as many again as the embedded default reads: with any seed, the defects stay where they were
planted, as tests/organism asks of the default."""
NULLS = 20
"""Null contrasts a seed."""

Result = dict[str, Any]


def main() -> None:
    """Run everything, print the table, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first", type=int, default=1, help="first seed")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/attribution.json")
    options = parser.parse_args()
    results: list[Result] = []
    nulls: list[float] = []
    for seed in range(options.first, options.first + options.seeds):
        found, chances = one_seed(seed)
        results += found
        nulls += chances
    summary = summarise(results)
    show(summary, nulls, options.seeds)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    whole = {"results": results, "null_p_values": nulls, "summary": summary}
    options.out.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")


def one_seed(seed: int) -> tuple[list[Result], list[float]]:
    """Every method's figures on one organism, and p-values of null contrasts."""
    recipe = organism.Recipe(plants=tuple(PLANTS), seed=seed, base_seed=seed, talks=TALKS)
    started = time.perf_counter()
    folder = organism.build(recipe, progress=announce)
    about = organism.info(recipe)
    guilty = {d["name"]: set(d["implicated"]) for d in about["defects"]}
    with tempfile.TemporaryDirectory() as place:
        run, habits = Path(place) / "run", Path(place) / "habits"
        run_suites(f"hf:{folder}", "behavior_suites", run)
        # A habit shows in some answers only, and at a low temperature in hardly any.
        run_suites(f"hf:{folder}?temperature=1", "benchmarks/suites", habits)
        exchanges = [*read_exchanges(run), *read_exchanges(habits)]
        failures = [*read_run(run).failures, *read_run(habits).failures]
        library = open_data(
            base=about["base"], data=about["data"], cache=Path(place) / "index", progress=announce
        )
        results = []
        for plant in PLANTS:
            contrasts = of_test(TESTS[plant], exchanges, failures, seed=seed)
            broken = sum(c.bad is not None for c in contrasts)
            announce(f"seed {seed}: {plant}: {broken} contrasts", 1, 1)
            if broken:
                truth = np.array([i in guilty[plant] for i in library.index.ids])
                results += rank(library, contrasts, truth, plant=plant, seed=seed)
        held = [e for e in exchanges if e.outcome is Outcome.HELD]
        pairs = [(e.prompt, e.response) for e in held]
        chances = null_chances(library, pairs, seed)
    announce(f"seed {seed} took {time.perf_counter() - started:.0f} s", 1, 1)
    return results, chances


def announce(what: str, done: int, total: int) -> None:
    """A line where something ends."""
    if done == total:
        print(what, file=sys.stderr, flush=True)


def run_suites(target: str, suites: str, report: Path) -> None:
    """`pytest --surf` over a folder of suites."""
    command = [
        sys.executable, "-m", "pytest", "--surf", "-q", "--no-header", "--tb=no",
        f"--surf-target={target}", f"--surf-report={report}", "--surf-memory=off",
        "--surf-no-attribution", "--ignore-glob=*/test_assistant_*", suites,
    ]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode not in (0, 1):
        raise SystemExit(f"pytest --surf ended with {done.returncode}:\n{done.stdout[-2000:]}")


def rank(
    library: Library, contrasts: Sequence[Contrast], truth: Any, *, plant: str, seed: int
) -> list[Result]:
    """Each method over all layers and at each layer alone, and the controls."""
    evidence, rows = gather(library.reader, contrasts), library.rows
    layers = library.index.layers
    results = []
    for name, method in METHODS.items():
        for what, some in [("all", slice(None)), *((n, [i]) for i, n in enumerate(layers))]:
            e, r = at(evidence, some), at(rows, some)
            results.append(
                scored(partial(method, e, r), truth)
                | {"method": name, "layers": what, "plant": plant, "seed": seed}
            )
    for name, control in CONTROLS.items():
        results.append(
            scored(partial(control, library.texts, contrasts, seed), truth)
            | {"method": name, "layers": "none", "plant": plant, "seed": seed}
        )
    return results


def at(states: Any, layers: Any) -> Any:
    """The same states at some layers only."""
    names = ("prompt", "response", "change") if isinstance(states, Evidence) else (
        "prompt", "chosen", "change")  # fmt: skip
    return replace(states, **{name: getattr(states, name)[:, layers] for name in names})


def scored(rank_rows: Callable[[], Any], truth: Any) -> Result:
    """Figures of one ranking."""
    started = time.perf_counter()
    scores = rank_rows()
    seconds = time.perf_counter() - started
    order = np.argsort(-scores, kind="stable")
    first = truth[order]
    hundredth = max(1, len(truth) // 100)
    return {
        "ap": float(average_precision_score(truth, scores)),
        "p_at_n": float(first[: truth.sum()].mean()),
        "p_at_10": float(first[:10].mean()),
        "recall_at_1": float(first[:hundredth].sum() / min(hundredth, truth.sum())),
        "seconds": seconds,
    }


def null_chances(library: Library, pairs: list[tuple[str, str]], seed: int) -> list[float]:
    """p-values of contrasts whose two answers are to other, unrelated prompts of the run."""
    rng = random.Random(seed)
    values = []
    for number in range(NULLS):
        contrasts = []
        for _ in range((4, 8, 16, 32)[number % 4]):
            prompt, bad, good = (rng.choice(pairs) for _ in range(3))
            contrasts.append(Contrast(prompt[0], bad[1], good[1]))
        evidence = gather(library.reader, contrasts)
        values.append(chance(evidence, library.rows, seed=seed))
    return values


def summarise(results: Sequence[Result]) -> list[Result]:
    """Means over seeds, 95 % bootstrap intervals; a row a plant, method and choice of layers."""
    groups: dict[tuple[str, str, str], dict[int, list[Result]]] = {}
    for result in results:
        layers = result["layers"] if result["layers"] in ("all", "none") else "each"
        key = (result["plant"], result["method"], layers)
        groups.setdefault(key, {}).setdefault(result["seed"], []).append(result)
    rng = np.random.default_rng(0)
    rows = []
    for (plant, method, layers), seeds in groups.items():
        row: Result = {"plant": plant, "method": method, "layers": layers, "seeds": len(seeds)}
        for figure in ("ap", "p_at_n", "p_at_10", "recall_at_1", "seconds"):
            means = np.array([np.mean([r[figure] for r in found]) for found in seeds.values()])
            draws = rng.choice(means, size=(2000, len(means))).mean(axis=1)
            low, high = np.quantile(draws, (0.025, 0.975))
            row[figure] = [float(means.mean()), float(low), float(high)]
        rows.append(row)
    return rows


def show(summary: Sequence[Result], nulls: Sequence[float], seeds: int) -> None:
    """The tables that the README shows."""
    console = Console(width=110)
    for plant, what in PLANTS.items():
        table = Table(title=f"{plant}: {what}; mean over {seeds} seeds [95 % interval]")
        for column in ("method", "layers", "AP", "P@n", "recall@1 %", "seconds"):
            table.add_column(column)
        for row in summary:
            if row["plant"] == plant:
                figures = [_figure(row[name]) for name in ("ap", "p_at_n", "recall_at_1")]
                seconds = f"{row['seconds'][0]:.2f}"
                table.add_row(row["method"], row["layers"], *figures, seconds)
        console.print(table)
    alarms = sum(p <= ALPHA for p in nulls)
    console.print(f"null contrasts: {alarms} false alarms of {len(nulls)} (p <= {ALPHA})")


def _figure(value: Sequence[float]) -> str:
    mean, low, high = value
    return f"{mean:.3f} [{low:.2f}, {high:.2f}]"


if __name__ == "__main__":
    main()
