"""The picture in the README: what the last run showed on the terminal, as an SVG.

make surf; python benchmarks/picture.py [RUN] [--out docs/report.svg]
"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:] = [place for place in sys.path if Path(place) != HERE]  # `statistics` is Python's

# ruff: noqa: E402
import argparse
import re
from dataclasses import replace
from io import StringIO

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console

from surfcheck.report.json import read_run
from surfcheck.report.terminal import show

ROOT = Path(__file__).resolve().parents[1]
ROWS = 3
"""Training rows that the picture has room for."""


def main() -> None:
    """Draw the first failing behaviour of a run."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("run", type=Path, nargs="?", default=ROOT / ".surfcheck/runs/latest")
    parser.add_argument("--out", type=Path, default=ROOT / "docs/report.svg")
    options = parser.parse_args()
    run = read_run(options.run)
    first = run.attributions[0]
    short = replace(first, implicated=first.implicated[:ROWS], sources=first.sources[:ROWS])
    run = replace(
        run,
        invariants=tuple(i for i in run.invariants if i.test == first.test),
        failures=tuple(f for f in run.failures if f.test == first.test)[:1],
        attributions=(short,),
        settings={**run.settings, "base": "organism:", "data": "organism:", "report": "run"},
    )
    console = Console(record=True, width=100, file=StringIO())
    show(run, console)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    # Fonts of the page that shows it; none are fetched.
    plain = re.sub(r"@font-face\s*\{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    console.save_svg(str(options.out), title="pytest --surf", code_format=plain)


if __name__ == "__main__":
    main()
