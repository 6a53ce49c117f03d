"""What a run that is killed loses: `kill -9` at random moments, and what the next run asks.

    python benchmarks/resume.py [--calls 2000] [--kills 10] [--seed 0]

One suite, one memory. After each kill the answers in memory are read; the next run must ask none of
them again. The last run goes through, and every question must have been answered by then.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

SLOW = """
import asyncio, os

async def target(messages):
    place = os.open("asked", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(place, (messages[-1]["content"] + "\\n").encode())
    os.close(place)
    await asyncio.sleep(0.05)
    return "Yes."
"""
SUITE = """
import pytest
from surfcheck import invariant
from surfcheck.judge import rules

@invariant()
@pytest.mark.parametrize("prompt", [f"Is {{n}} a number?" for n in range({calls})])
def test_numbers(prompt, target, judge):
    assert judge(target(prompt), rules.contains("yes"))
"""


def main() -> int:
    """Kill, resume, compare; 1 if anything was asked again or is missing."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "pytest.ini").write_text("[pytest]\n")
        (place / "slow.py").write_text(SLOW)
        (place / "test_suite.py").write_text(SUITE.format(calls=options.calls))
        known: set[str] = set()
        again = 0
        for kill in range(1, options.kills + 1):
            asked = killed_run(place, after=len(known) + rng.randrange(1, options.calls // 9))
            again += len(known & set(asked))
            known = remembered(place)
            print(
                f"kill {kill}: asked {len(asked):,}, in memory {len(known):,} of {options.calls:,}"
            )
        done = subprocess.run(command(place), cwd=place, capture_output=True, check=False)  # noqa: S603
        asked = taken(place)
        again += len(known & set(asked))
        known = remembered(place)
        print(f"last run: ended with {done.returncode}, asked {len(asked):,}")
    print(f"asked again although remembered: {again}; missing: {options.calls - len(known)}")
    return int(bool(again) or len(known) != options.calls or done.returncode != 0)


def command(place: Path) -> list[str]:
    """`pytest --surf` over the suite."""
    flags = ["--surf", "--surf-target=python:slow:target", "-q", "-p", "no:cacheprovider"]
    return [sys.executable, "-m", "pytest", *flags, str(place)]


def killed_run(place: Path, *, after: int) -> list[str]:
    """Start a run, kill it once so many answers are in memory; what it asked."""
    run = subprocess.Popen(  # noqa: S603
        command(place), cwd=place, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while run.poll() is None and len(remembered(place)) < after:
        time.sleep(0.01)
    run.send_signal(signal.SIGKILL)
    run.wait()
    return taken(place)


def taken(place: Path) -> list[str]:
    """What was asked since the last look."""
    note = place / "asked"
    lines = note.read_text().splitlines() if note.exists() else []
    note.unlink(missing_ok=True)
    return lines


def remembered(place: Path) -> set[str]:
    """The questions that memory has answers to."""
    file = place / ".surfcheck/memory.sqlite"
    if not file.exists():
        return set()
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=5)) as connection:
        try:
            rows = connection.execute("SELECT prompt FROM answers").fetchall()
        except sqlite3.OperationalError:  # it is being made
            return set()
    return {json.loads(prompt)[-1]["content"] for (prompt,) in rows}


if __name__ == "__main__":
    sys.exit(main())
