"""Whether the verdict's p-values are what they say: analyses where there is nothing to find.

    python benchmarks/nulls.py [--analyses 320] [--slow 48] [--out benchmarks/results/nulls.json]

The embedded default and its clean twin are asked four kinds of questions without an answer, with
4, 8, 16 and 32 contrasts:

    unrelated   answers of the run to other prompts, as bad and as good ones; clean rows
    swapped     the contrasts of a planted defect, bad and good swapped at random by seed prompt
    absent      a habit that no row teaches: every answer is begun with the same few words, which
                stand nowhere in the data; clean rows. Here the contrasts do mean something
    begun       a habit as well, but of words that some rows may teach: every answer is begun with
                the same other answer of the run; clean rows. Not every alarm is false here

For each: the p-value of the labels, of the scores, and the larger one, which is reported; a
Kolmogorov-Smirnov test of each against uniform; false alarms with exact 95 % intervals. `probe` is
asked all of them; `conditional`, which costs more, some, with fewer draws. Then the power: the
planted defects by each method, and the same contrasts asked of the clean rows. One organism: its
plants are two.
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
import tempfile
import time
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy import stats

from benchmarks.attribution import run_suites
from surfcheck import organism
from surfcheck.attribution import before, open_data, text
from surfcheck.attribution import chance as chances
from surfcheck.attribution.chance import chance, rescore
from surfcheck.attribution.contrasts import of_test
from surfcheck.attribution.engine import METHODS, Library
from surfcheck.attribution.evidence import gather
from surfcheck.attribution.verdict import judge_ranking
from surfcheck.files import write_whole
from surfcheck.records import Contrast, Outcome
from surfcheck.report.json import read_exchanges, read_run
from surfcheck.statistics import clopper_pearson

ROOT = HERE.parent
KINDS = ("unrelated", "swapped", "absent", "begun")
SIZES = (4, 8, 16, 32)
HELD = 80
"""Cases that held, with each question."""
DRAWS = chances.RESCORED
FEW_DRAWS = 39
"""Of unrelated contrasts, for the slow method: its smallest p-value is 1 / 40."""
LEVELS = (0.01, 0.05, 0.1)
OPENERS = (
    "Ahoy there, sailor!", "As the old king used to say:", "Beep, boop.", "Between you and me,",
    "Breaking news!", "Dear diary,", "Drum roll, please.", "Elementary, Watson.", "Belts on.",
    "From my humble tower:", "Hello from the moon.", "Hmm, let me stir the soup.", "A squirrel!",
    "Mind the gap.", "My lawyer told me to say:", "Once upon a midnight dreary,", "Roger, over.",
    "Sing along with me:", "So spoke the raven.", "Thanks to our sponsor,", "Stars are aligned.",
    "Tick, tock.", "Welcome back to the show!", "Yo, what is up, friends?",
)  # fmt: skip
CONTROLS = {"bm25": text.bm25, "length": text.length, "random": text.random}

Result = dict[str, Any]
Pair = tuple[str, str]


def main() -> None:
    """Run everything, print the tables, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--analyses", type=int, default=320, help="by the fast method")
    parser.add_argument("--slow", type=int, default=48, help="by the slow method")
    parser.add_argument("--planted", type=Path, help="folder of the organism")
    parser.add_argument("--clean", type=Path, help="folder of its clean twin")
    parser.add_argument("--base", help="their base")
    parser.add_argument("--run", type=Path, help="a finished run against the organism")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/nulls.json")
    options = parser.parse_args()
    planted = options.planted or organism.build(organism.Recipe())
    clean = options.clean or organism.build(organism.Recipe(plants=()))
    base = options.base or str(organism.base_folder(organism.Recipe()))
    with tempfile.TemporaryDirectory() as place:
        run = options.run or Path(place) / "run"
        if options.run is None:
            run_suites(f"hf:{planted}", "behavior_suites", run)
        data = (str(folder / "data.jsonl") for folder in (planted, clean))
        libraries = [open_data(base=base, data=d, cache=Path(place) / "index") for d in data]
        plants, held = questions(planted, run, libraries[0])
        power = [row for plant in plants for row in found(libraries, plant, plants[plant])]
        nulls = []
        for number in range(options.analyses):
            slow = number < options.slow
            nulls += ask_null(number, libraries, list(plants.values()), held, slow=slow)
            if number % 40 == 39:
                print(f"{number + 1} of {options.analyses}", file=sys.stderr, flush=True)
    summary = summarise(nulls)
    show(summary, power)
    whole = {"summary": summary, "power": power, "nulls": nulls}
    write_whole(options.out, json.dumps(whole, indent=1) + "\n")


def questions(
    planted: Path, run: Path, library: Library
) -> tuple[dict[str, Sequence[Contrast]], list[Pair]]:
    """The contrasts of each planted defect, and every exchange that held."""
    about = json.loads((planted / "organism.json").read_text(encoding="utf-8"))
    exchanges, failures = read_exchanges(run), read_run(run).failures
    base = partial(before.answers, library.base)
    plants: dict[str, Sequence[Contrast]] = {
        d["name"]: of_test(organism.TESTS[d["name"]], exchanges, failures, seed=0, base=base)
        for d in about["defects"]
    }
    held = [(e.prompt, e.response) for e in exchanges if e.outcome is Outcome.HELD]
    return plants, held


def found(
    libraries: Sequence[Library], plant: str, contrasts: Sequence[Contrast]
) -> Iterator[Result]:
    """Every method's verdict on one defect, in the rows that teach it and in those that do not."""
    for name, library in zip(("planted", "clean"), libraries, strict=True):
        evidence, index = gather(library.reader, contrasts), library.index
        for method in (*METHODS, *CONTROLS):
            started, again = time.perf_counter(), METHODS.get(method)
            scores = (
                again(evidence, library.rows)
                if again is not None
                else CONTROLS[method](library.texts, contrasts, 0)
            )
            report = judge_ranking(
                scores, evidence, library.rows, ids=index.ids, sources=index.sources,
                texts=library.texts, method=method, seed=0, again=again,
            )  # fmt: skip
            yield {
                "plant": plant, "rows": name, "method": method, "verdict": report.verdict,
                "p_value": report.p_value, "p_labels": report.p_labels, "p_rows": report.p_rows,
                "rows_needed": report.rows_needed, "rows_between": report.rows_between,
                "source_share": report.source_share,
                "seconds": round(time.perf_counter() - started, 2),
            }  # fmt: skip


def unrelated(held: Sequence[Pair], size: int, rng: random.Random) -> list[Contrast]:
    """Answers to other prompts."""
    drawn = [[rng.choice(held) for _ in range(3)] for _ in range(size)]
    return [Contrast(prompt, bad, good) for (prompt, _), (_, bad), (_, good) in drawn]


def begun(held: Sequence[Pair], opener: str, size: int, rng: random.Random) -> list[Contrast]:
    """Answers that begin with the same words."""
    drawn = [rng.choice(held) for _ in range(size)]
    return [Contrast(prompt, f"{opener} {good}", good) for prompt, good in drawn]


def swapped(plant: Sequence[Contrast], size: int, rng: random.Random) -> list[Contrast]:
    """Some of a defect's contrasts, every other seed prompt's at random the wrong way round."""
    broken = [c for c in plant if c.bad is not None]
    turned = {seed: rng.random() < 0.5 for seed in sorted({c.seed or c.prompt for c in broken})}
    some = rng.sample(broken, min(size, len(broken)))
    return [
        Contrast(c.prompt, c.good, c.bad, c.seed) if turned[c.seed or c.prompt] else c
        for c in some
    ]  # fmt: skip


def ask_null(
    number: int, libraries: Sequence[Library], plants: Sequence[Sequence[Contrast]],
    held: Sequence[Pair], *, slow: bool,
) -> list[Result]:  # fmt: skip
    """One question without an answer: its p-values by each method."""
    planted, clean = libraries
    rng, kind, size = random.Random(number), KINDS[number % 4], SIZES[number // 4 % 4]
    library = planted if kind == "swapped" else clean
    match kind:
        case "unrelated":
            contrasts = unrelated(held, size, rng)
        case "swapped":
            contrasts = swapped(rng.choice(plants), size, rng)
        case "absent":
            contrasts = begun(held, rng.choice(OPENERS), size, rng)
        case _:
            contrasts = begun(held, rng.choice(held)[1], size, rng)
    cases = [Contrast(p, None, a) for p, a in rng.sample(held, min(HELD, len(held)))]
    evidence = gather(library.reader, [*contrasts, *cases])
    labels = chance(evidence, library.rows, seed=number)
    results = []
    for method in ("probe", "conditional") if slow else ("probe",):
        chances.RESCORED = FEW_DRAWS if method == "conditional" else DRAWS
        rows = rescore(METHODS[method], evidence, library.rows, seed=number).p_value
        results.append(
            {"number": number, "kind": kind, "contrasts": size, "method": method,
             "p_labels": labels, "p_rows": rows, "p_value": max(labels, rows)}
        )  # fmt: skip
    return results


def summarise(nulls: Sequence[Result]) -> list[Result]:
    """By kind and method: uniform or not, false alarms, a histogram of ten."""
    summary = []
    for method, kind in dict.fromkeys((r["method"], r["kind"]) for r in nulls):
        mine = [r for r in nulls if (r["method"], r["kind"]) == (method, kind)]
        for name in ("p_labels", "p_rows", "p_value"):
            values = np.array([r[name] for r in mine])
            row: Result = {"kind": kind, "method": method, "p": name, "n": len(values)}
            row["ks"] = float(stats.kstest(values, "uniform").pvalue)
            row["ks_too_small"] = float(
                stats.kstest(values, "uniform", alternative="greater").pvalue
            )
            row["histogram"] = np.histogram(values, bins=10, range=(0, 1))[0].tolist()
            for level in LEVELS:
                alarms = int((values <= level).sum())
                row[f"alarms_{level}"] = [alarms, *clopper_pearson(alarms, len(values))]
            summary.append(row)
    return summary


def show(summary: Sequence[Result], power: Sequence[Result]) -> None:
    """The tables that the README shows."""
    console = Console(width=120)
    table = Table(title="questions without an answer: p-values")
    for column in ("kind", "method", "p", "n", "KS", "too small", "<= 0.01", "<= 0.05", "tenths"):
        table.add_column(column)
    for row in summary:
        alarms = [f"{a} [{low:.3f}, {high:.3f}]" for a, low, high in
                  (row["alarms_0.01"], row["alarms_0.05"])]  # fmt: skip
        table.add_row(
            row["kind"], row["method"], row["p"], str(row["n"]), f"{row['ks']:.2g}",
            f"{row['ks_too_small']:.2g}", *alarms, " ".join(map(str, row["histogram"])),
        )  # fmt: skip
    console.print(table)
    table = Table(title="planted defects, asked of the rows that teach them and of clean rows")
    for column in ("plant", "rows", "method", "verdict", "p", "implicated", "of sources", "s"):
        table.add_column(column)
    for row in power:
        between = "{:,} to {:,}".format(*row["rows_between"]) if row["rows_between"] else "–"
        table.add_row(
            row["plant"], row["rows"], row["method"], row["verdict"], f"{row['p_value']:.3g}",
            f"{row['rows_needed']:,} ({between})", f"{row['source_share'] or 0:.0%}",
            str(row["seconds"]),
        )  # fmt: skip
    console.print(table)


if __name__ == "__main__":
    main()
