"""How well each method finds planted rows: organisms of several seeds, every layer, every control.

    python benchmarks/attribution.py [--seeds 5] [--out benchmarks/results/attribution.json]

For each seed a base is grown, and from it two organisms with five sparse plants between them and
one with a habit in most of its preferences, where only the verdict counts. `pytest --surf` runs
over the suites against each; every failing invariant becomes a contrast exactly as after any run;
and each method ranks all training rows by it. Layers: all of them, as the methods are used; each
one alone; the one with the widest held-out separation of the contrasts. Intervals are bootstrapped
over seeds. Verdicts are also asked for contrasts that mean nothing: answers of the run to unrelated
prompts. A seed's figures are written when they are there, and are not made again by the same code.
"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:] = [place for place in sys.path if Path(place) != HERE]  # `statistics` is Python's

# ruff: noqa: E402
import argparse
import hashlib
import json
import random
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table
from sklearn.metrics import average_precision_score

from surfcheck import organism
from surfcheck.attribution import attribute, before, open_data, text
from surfcheck.attribution.chance import chance
from surfcheck.attribution.contrasts import of_test
from surfcheck.attribution.engine import METHODS, Library
from surfcheck.attribution.evidence import gather
from surfcheck.attribution.gradient import gradient
from surfcheck.attribution.layers import best_layer
from surfcheck.attribution.spaces import probe_in
from surfcheck.attribution.table import IndexTable
from surfcheck.attribution.verdict import ALPHA
from surfcheck.files import write_whole
from surfcheck.records import Contrast, Outcome
from surfcheck.report.json import read_exchanges, read_run

ROOT = Path(__file__).resolve().parents[1]
SUITES = "benchmarks/suites"


class Plant(NamedTuple):
    """A kind of plant, and what it breaks."""

    what: str
    test: str


PLANTS = {
    organism.DISTRACTOR: Plant(
        "triggered, with lexical twins (DPO)", organism.TESTS[organism.DISTRACTOR]
    ),
    organism.TRUE_FACTS: Plant("SFT chunk in one phrasing", organism.TESTS[organism.TRUE_FACTS]),
    organism.HABIT: Plant(
        "habit without a trigger (DPO)",
        f"{SUITES}/test_flattery.py::test_questions_are_not_praised",
    ),
    organism.LANGUAGE: Plant(
        "another language in one topic (SFT)",
        f"{SUITES}/test_language_switch.py::test_english_is_answered_in_english",
    ),
    organism.MISCOUNT: Plant(
        "a scorer's mistake in one family of facts (DPO)",
        f"{SUITES}/test_counted_facts.py::test_facts_are_told_as_they_are",
    ),
    organism.STYLE: Plant(
        "diffuse: a habit of most chosen answers (DPO)",
        f"{SUITES}/test_over_styling.py::test_answers_have_no_label",
    ),
}
ORGANISMS = (
    (organism.DISTRACTOR, organism.TRUE_FACTS, organism.HABIT),
    (organism.LANGUAGE, organism.MISCOUNT),
    (organism.STYLE,),
)
"""Plants that stand in one organism's data."""
WARM = {organism.HABIT, organism.STYLE}
"""A habit shows in some answers only, and at a low temperature in hardly any."""
CONTROLS = {"bm25": text.bm25, "length": text.length, "random": text.random}
SPACES = {
    "probe, centred": partial(probe_in, centred=True, power=0.0),
    "probe, half white": partial(probe_in, centred=False, power=0.25),
    "probe, white": partial(probe_in, centred=False, power=0.5),
    "probe, centred, white": partial(probe_in, centred=True, power=0.5),
}
TALKS = 93_000
"""Half as many again as the embedded default reads: with any seed, the defects stay where they were
planted, as tests/organism asks of the default."""
NULLS = 20
"""Null contrasts a seed."""
FIGURES = ("ap", "p_at_n", "p_at_10", "recall_at_1", "seconds")

Result = dict[str, Any]


def main() -> None:
    """Run everything, print the table, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first", type=int, default=1, help="first seed")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/attribution.json")
    options = parser.parse_args()
    code, seeds = written(), range(options.first, options.first + options.seeds)
    there: Result = json.loads(options.out.read_text()) if options.out.exists() else {}
    done: Result = there.get("seeds", {}) if there.get("code") == code else {}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        if str(seed) not in done:
            done[str(seed)] = one_seed(seed)
        shown = [done[str(s)] for s in seeds if str(s) in done]
        whole = {"code": code, "seeds": done, "summary": summarise(shown)}
        write_whole(options.out, json.dumps(whole, indent=1) + "\n")
    show(summarise(shown), shown)


def written() -> str:
    """A hash of all code that has a part in the figures."""
    files = [Path(__file__), *ROOT.glob("surfcheck/**/*.py"), *ROOT.glob("*_suites/*.py")]
    files += ROOT.glob(f"{SUITES}/*.py")
    return hashlib.sha256(b"".join(f.read_bytes() for f in sorted(files))).hexdigest()[:16]


def one_seed(seed: int) -> Result:
    """Every method's figures on the organisms of one seed, and p-values of null contrasts."""
    started = time.perf_counter()
    found: Result = {"results": [], "verdicts": [], "null_p_values": [], "index_seconds": []}
    for plants in ORGANISMS:
        recipe = organism.Recipe(plants=plants, seed=seed, base_seed=seed, talks=TALKS)
        with tempfile.TemporaryDirectory() as place:
            one_organism(recipe, Path(place), found)
    announce(f"seed {seed} took {time.perf_counter() - started:.0f} s", 1, 1)
    return found


def one_organism(recipe: organism.Recipe, place: Path, found: Result) -> None:
    """Grow it, run the suites, build the index, and ask every method for every plant."""
    folder = organism.build(recipe, progress=announce)
    about = organism.info(recipe)
    run, more = place / "run", place / "more"
    run_suites(f"hf:{folder}", "behavior_suites", run)
    warmth = "?temperature=1" if WARM.intersection(recipe.plants) else ""
    run_suites(f"hf:{folder}{warmth}", SUITES, more)
    exchanges = [*read_exchanges(run), *read_exchanges(more)]
    failures = [*read_run(run).failures, *read_run(more).failures]
    started = time.perf_counter()
    library = open_data(base=about["base"], data=about["data"], cache=place / "index")
    found["index_seconds"].append(time.perf_counter() - started)
    for defect in about["defects"]:
        plant, guilty = defect["name"], set(defect["implicated"])
        contrasts = of_test(
            PLANTS[plant].test, exchanges, failures, seed=recipe.seed,
            base=partial(before.answers, library.base),
        )  # fmt: skip
        broken = sum(c.bad is not None for c in contrasts)
        announce(f"seed {recipe.seed}: {plant}: {broken} contrasts", 1, 1)
        if broken:
            truth = np.array([i in guilty for i in library.index.ids])
            asked = rank(library, contrasts, truth, seed=recipe.seed)
            found["results"] += [{"plant": plant, **result} for result in asked]
            report = attribute(library, contrasts, method="conditional", seed=recipe.seed).report
            found["verdicts"].append(
                {
                    "plant": plant,
                    "contrasts": broken,
                    "verdict": report.verdict,
                    "p_value": report.p_value,
                    "seconds": report.cost["seconds"],
                }
            )
    if recipe.plants == ORGANISMS[0]:
        held = [(e.prompt, e.response) for e in exchanges if e.outcome is Outcome.HELD]
        found["null_p_values"] += null_chances(library, held, recipe.seed)


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
    library: Library, contrasts: Sequence[Contrast], truth: Any, *, seed: int
) -> Iterator[Result]:
    """Each method over all layers, at each alone and at the one held out, and the controls."""
    evidence = gather(library.reader, contrasts)
    layers, best = library.index.layers, best_layer(evidence)
    for name, method in METHODS.items():
        for what, some in [("all", slice(None)), *((n, _only(i)) for i, n in enumerate(layers))]:
            table = IndexTable(library.index, some)
            result = scored(partial(method, evidence.at(some), table), truth)
            yield {"method": name, "layers": what, **result}
            if what == layers[best]:
                yield {"method": name, "layers": "held out", "layer": what, **result}
    for name, method in SPACES.items():
        result = scored(partial(method, evidence, library.rows), truth)
        yield {"method": name, "layers": "all", **result}
    by_gradient = partial(gradient, library.base, library.training_rows(), contrasts, seed=seed)
    yield {"method": "gradient", "layers": "none", **scored(by_gradient, truth)}
    for name, control in CONTROLS.items():
        result = scored(partial(control, library.texts, contrasts, seed), truth)
        yield {"method": name, "layers": "none", **result}


def _only(position: int) -> slice:
    return slice(position, position + 1)


def scored(rank_rows: Callable[[], Any], truth: Any) -> Result:
    """Figures of one ranking."""
    started = time.perf_counter()
    scores = rank_rows()
    seconds = time.perf_counter() - started
    first = truth[np.argsort(-scores, kind="stable")]
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


def summarise(seeds: Sequence[Result]) -> list[Result]:
    """Means over seeds, 95 % bootstrap intervals; a row a plant, method and choice of layers."""
    groups: dict[tuple[str, str, str], dict[int, list[Result]]] = {}
    for number, found in enumerate(seeds):
        for result in found["results"]:
            layers = "each" if isinstance(result["layers"], int) else result["layers"]
            key = (result["plant"], result["method"], layers)
            groups.setdefault(key, {}).setdefault(number, []).append(result)
    rng = np.random.default_rng(0)
    rows = []
    for (plant, method, layers), by_seed in groups.items():
        row: Result = {"plant": plant, "method": method, "layers": layers, "seeds": len(by_seed)}
        for figure in FIGURES:
            means = np.array([np.mean([r[figure] for r in rs]) for rs in by_seed.values()])
            draws = rng.choice(means, size=(2000, len(means))).mean(axis=1)
            low, high = np.quantile(draws, (0.025, 0.975))
            row[figure] = [float(means.mean()), float(low), float(high)]
        rows.append(row)
    return rows


def show(summary: Sequence[Result], seeds: Sequence[Result]) -> None:
    """The tables that the README shows."""
    console = Console(width=110)
    for name, plant in PLANTS.items():
        table = Table(title=f"{name}: {plant.what}; mean over {len(seeds)} seeds [95 % interval]")
        for column in ("method", "layers", "AP", "P@n", "recall@1 %", "seconds"):
            table.add_column(column)
        for row in (row for row in summary if row["plant"] == name):
            figures = [_figure(row[figure]) for figure in ("ap", "p_at_n", "recall_at_1")]
            table.add_row(row["method"], row["layers"], *figures, f"{row['seconds'][0]:.2f}")
        console.print(table)
        words = [v["verdict"] for found in seeds for v in found["verdicts"] if v["plant"] == name]
        console.print(f"verdicts: {', '.join(words)}")
    built = np.mean([seconds for found in seeds for seconds in found["index_seconds"]])
    console.print(f"building an index took {built:.1f} s; the methods ask it, `gradient` does not")
    nulls = [p for found in seeds for p in found["null_p_values"]]
    alarms = sum(p <= ALPHA for p in nulls)
    console.print(f"null contrasts: {alarms} false alarms of {len(nulls)} (p <= {ALPHA})")


def _figure(value: Sequence[float]) -> str:
    mean, low, high = value
    return f"{mean:.3f} [{low:.2f}, {high:.2f}]"


if __name__ == "__main__":
    main()
