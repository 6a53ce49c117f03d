"""What overlapping calls is worth: a thousand questions that take 50 ms each.

    python benchmarks/overlap.py [--calls 1000] [--out benchmarks/results/overlap.json]

The target is an async `python:` function that sleeps; so is the judge. Ideal is calls × 50 ms ÷ 64
in flight. What pytest itself takes for the same items (`--collect-only`) is measured and taken off.
Every function writes down what it was asked, so that a duplicate call is seen. Beside it: the same
thousand waits as plain tests, one after another and under `pytest -n 2`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
SECONDS, IN_FLIGHT = 0.05, 64
SLOW = f"""
import asyncio, os

def note(name, text):
    place = os.open(name, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(place, (text.replace("\\n", " ") + "\\n").encode())
    os.close(place)

async def target(messages):
    note("asked", messages[-1]["content"])
    await asyncio.sleep({SECONDS})
    return "Yes."

async def judge(messages):
    note("judged", messages[-1]["content"])
    await asyncio.sleep({SECONDS})
    return "<reasoning>It agrees.</reasoning><score>0</score>"
"""
SUITE = """
import pytest
from surfcheck import invariant
from surfcheck.judge import rules

@invariant()
@pytest.mark.parametrize("prompt", [f"Is {{n}} a number?" for n in range({calls})])
def test_numbers(prompt, target, judge):
    \"\"\"The answer agrees.\"\"\"
    assert judge(target(prompt){criterion})
"""
PLAIN = """
import time
import pytest

@pytest.mark.parametrize("n", range({calls}))
def test_numbers(n):
    time.sleep({seconds})
"""
Result = dict[str, Any]


def main() -> None:
    """Run everything, print the table, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/overlap.json")
    options = parser.parse_args()
    overlapped("warming up", 10, judged=True)
    results = [
        overlapped("rule", options.calls),
        overlapped("rule, -n 2", options.calls, workers=2),
        overlapped("rubric judge", options.calls, judged=True),
        overlapped("rubric judge, -n 2", options.calls, judged=True, workers=2),
        plain("plain pytest, serial", options.calls),
        plain("plain pytest, -n 2", options.calls, workers=2),
    ]
    show(results, options.calls)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def overlapped(name: str, calls: int, *, judged: bool = False, workers: int = 0) -> Result:
    """`pytest --surf` over one suite, from an empty memory."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "pytest.ini").write_text("[pytest]\n")  # so that this folder is pytest's root
        (place / "slow.py").write_text(SLOW)
        criterion = "" if judged else ', rules.contains("yes")'
        (place / "test_suite.py").write_text(SUITE.format(calls=calls, criterion=criterion))
        flags = ["--surf", "--surf-target=python:slow:target", f"--surf-concurrency={IN_FLIGHT}"]
        flags += ["--surf-judge=python:slow:judge"] if judged else []
        own = timed(place, [*flags, "--collect-only"])
        whole = timed(place, [*flags, *(["-n", str(workers)] if workers else [])])
        asked = Counter(
            (kind, line)
            for kind in ("asked", "judged")
            if (place / kind).exists()
            for line in (place / kind).read_text().splitlines()
        )
    ideal = sum(asked.values()) * SECONDS / IN_FLIGHT
    duplicates = sum(asked.values()) - len(asked)
    return {
        "run": name, "seconds": whole, "pytest": own, "beyond": whole - own, "ideal": ideal,
        "calls": sum(asked.values()), "duplicates": duplicates,
    }  # fmt: skip


def plain(name: str, calls: int, *, workers: int = 0) -> Result:
    """The same waits as tests that wait themselves."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "test_plain.py").write_text(PLAIN.format(calls=calls, seconds=SECONDS))
        own = timed(place, ["--collect-only"])
        whole = timed(place, ["-n", str(workers)] if workers else [])
    ideal = calls * SECONDS / max(1, workers)
    return {
        "run": name, "seconds": whole, "pytest": own, "beyond": whole - own, "ideal": ideal,
        "calls": calls, "duplicates": 0,
    }  # fmt: skip


def timed(place: Path, flags: Sequence[str]) -> float:
    """Wall time of pytest in a folder, which has to succeed."""
    command = [sys.executable, "-m", "pytest", "-q", "--no-header", "-p", "no:cacheprovider"]
    # Compiled modules are kept, as they are wherever pytest runs twice.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    started = time.perf_counter()
    done = subprocess.run(  # noqa: S603
        [*command, *flags], cwd=place, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"pytest ended with {done.returncode}:\n{done.stdout[-3000:]}")
    return time.perf_counter() - started


def show(results: Sequence[Result], calls: int) -> None:
    """The table that the README shows."""
    table = Table(title=f"{calls:,} questions of {SECONDS * 1000:.0f} ms, {IN_FLIGHT} in flight")
    for column in ("run", "calls", "duplicates", "seconds", "beyond pytest", "ideal", "ratio"):
        table.add_column(column, justify="left" if column == "run" else "right")
    for r in results:
        ratio = r["beyond"] / r["ideal"] if r["ideal"] else float("nan")
        table.add_row(
            r["run"], f"{r['calls']:,}", str(r["duplicates"]), f"{r['seconds']:.2f}",
            f"{r['beyond']:.2f}", f"{r['ideal']:.2f}", f"{ratio:.2f}",
        )  # fmt: skip
    Console().print(table)


if __name__ == "__main__":
    main()
