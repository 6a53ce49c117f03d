"""How fast a GPU reads: tokens per second of a 1B in bfloat16, beside what the card can multiply.

    python benchmarks/gpu.py [--pairs 2000] [--out benchmarks/results/gpu.json]

The model has the shape of OLMo 2 1B and random weights; the pairs are like those of `reading.py`,
read at layer 10. The ceiling is one large product of matrices in bfloat16, measured on the same
card; how much of it is used counts the products of the blocks that were read, every token once,
without attention and padding. `--tiny --device cpu` tries the same code on a small model and says
nothing of speed. Without a GPU it ends with 3.
"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:] = [str(HERE.parent), *(place for place in sys.path if Path(place) != HERE)]

# ruff: noqa: E402
import argparse
import json
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.reading import LAYER, ROOT, Shape, checkpoint, forks, one_at_a_time, pairs
from surfcheck.attribution.activations import Reader, find_blocks

LARGE = Shape(width=2048, head=128, vocabulary=100_352)
TINY = Shape(width=128, head=32, vocabulary=1_000)
REPEATS = 3


def main() -> int:
    """Measure, print the table, write the figures; 3 if there is no GPU."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=2000)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/gpu.json")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        print("no CUDA device here: run this on a machine that has one")
        return 3
    figures = measured(TINY if options.tiny else LARGE, options.device, options.pairs)
    show(figures)
    if not options.tiny:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return 0


def measured(shape: Shape, device: str, n: int) -> dict[str, Any]:
    """The card, its ceiling, and tokens per second of each way to read."""
    base = checkpoint(shape, torch.bfloat16, device)
    rows = pairs(n, shape, seed=0)
    few = rows[: max(1, n // 20)]
    ceiling = products(device, 512 if shape is TINY else 8192)
    blocks = find_blocks(base)[:LAYER]
    weights = sum(weight.numel() for weight in blocks.parameters())
    ways: dict[str, tuple[int, Callable[[], object]]] = {
        "one whole row at a time": (len(few), lambda: one_at_a_time(base, few))
    }
    for name, likelihood in (("read", False), ("read, with likelihoods", True)):
        reader = Reader(base, [LAYER], likelihood=likelihood)
        ways[name] = (n, lambda reader=reader: reader.read_rows(rows))  # type: ignore[misc]
    found = {}
    for name, (count, way) in ways.items():
        took = seconds(device, way)
        read = forks(base, rows[:count])
        once, twice = sum(f.size for f in read), sum(sum(f.lengths()) for f in read)
        found[name] = {
            "tokens_per_second": round(twice / took),
            "teraflops": 2 * weights * once / took / 1e12 if name == "read" else None,
        }
    used = found["read"]["teraflops"]
    return {
        "card": torch.cuda.get_device_name() if device == "cuda" else device,
        "torch": torch.__version__, "pairs": n, "ceiling_teraflops": ceiling,
        "of_ceiling": (used or 0.0) / ceiling, "ways": found,
    }  # fmt: skip


def products(device: str, size: int) -> float:
    """Operations per second of one product of square matrices in bfloat16, in 10^12."""
    a, b = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    return 2 * size**3 * 10 / seconds(device, lambda: [a @ b for _ in range(10)]) / 1e12


def seconds(device: str, run: Callable[[], object]) -> float:
    """The median of a few, after a first that does not count."""
    times = []
    for _ in range(1 + REPEATS):
        started = time.perf_counter()
        run()
        if device == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - started)
    return median(times[1:])


def show(figures: dict[str, Any]) -> None:
    """The table, on the terminal."""
    ceiling, used = figures["ceiling_teraflops"], figures["of_ceiling"]
    table = Table(title=f"{figures['card']}: {ceiling:.3g} TFLOP/s in bfloat16, {used:.0%} used")
    table.add_column("")
    table.add_column("tokens/s", justify="right")
    for name, way in figures["ways"].items():
        table.add_row(name, f"{way['tokens_per_second']:,}")
    Console().print(table)


if __name__ == "__main__":
    sys.exit(main())
