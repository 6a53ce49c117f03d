"""What the gradient baseline finds and costs beside the methods that read activations.

    python benchmarks/gradient.py [--seed 0] [--out benchmarks/results/gradient.json]

On the embedded default: average precision for each plant, and seconds of a question, with the index
and without it, which one build makes for all questions. Beside `gradient` as it is used stand the
same without a projection, other projections, the last blocks, and its slow oracle: one backward
pass a row by autograd, over every parameter, embeddings and norms too. Seconds are the processor's,
so that neighbours on the machine do not count.
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
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from rich.console import Console
from rich.table import Table
from sklearn.metrics import average_precision_score

from benchmarks.attribution import announce
from benchmarks.lds import asked
from surfcheck import attribution, organism
from surfcheck.attribution import corpus
from surfcheck.attribution.engine import METHODS, Library
from surfcheck.attribution.evidence import gather
from surfcheck.attribution.gradient import gradient
from surfcheck.files import write_whole
from surfcheck.models.checkpoint import Checkpoint
from surfcheck.models.template import encode_exchange
from surfcheck.records import Contrast, Message, TrainingRow

GRADIENTS: dict[str, dict[str, Any]] = {
    "gradient": {},
    "gradient, another projection": {"seed": 1},
    "gradient, 65,536 numbers": {"dimension": 65_536},
    "gradient, no projection": {"dimension": None},
    "gradient, last block": {"last": 1},
    "gradient, last two blocks": {"last": 2},
}

Scores = npt.NDArray[np.float64]
Result = dict[str, Any]


def main() -> None:
    """Rank, print the table, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=0, help="of the organism")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/gradient.json")
    options = parser.parse_args()
    about = organism.info(organism.Recipe(seed=options.seed), progress=announce)
    guilty = {defect["name"]: set(defect["implicated"]) for defect in about["defects"]}
    rows, results = corpus.read(about["data"]).rows, []
    with tempfile.TemporaryDirectory() as place:
        open_data = partial(attribution.open_data, base=about["base"], data=about["data"])
        library, build = timed(lambda: open_data(cache=Path(place)))
        for plant, found in asked(about, options.seed).items():
            contrasts = [Contrast.from_json(each) for each in found]
            truth = np.array([row.id in guilty[plant] for row in rows])
            for name, ask in methods(library, rows, contrasts):
                scores, seconds = timed(ask)
                built = build if name in METHODS else 0.0
                results.append(
                    {
                        "plant": plant,
                        "method": name,
                        "ap": float(average_precision_score(truth, scores)),
                        "seconds": seconds,
                        "with_index": seconds + built,
                    }
                )
                announce(f"{plant}: {name}", 1, 1)
    show(results)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    whole = {"seed": options.seed, "index_seconds": build, "results": results}
    write_whole(options.out, json.dumps(whole, indent=1) + "\n")


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """What it gives, and the processor's seconds that it took."""
    started = time.process_time()
    found = work()
    return found, time.process_time() - started


def methods(
    library: Library, rows: Sequence[TrainingRow], contrasts: Sequence[Contrast]
) -> Iterator[tuple[str, Callable[[], Scores]]]:
    """Every method by name; reading the contrasts is part of each."""
    for name, method in METHODS.items():
        yield name, partial(by_activations, method, library, contrasts)
    for name, options in GRADIENTS.items():
        yield name, partial(gradient, library.base, rows, contrasts, **options)
    yield "autograd, every parameter", partial(every_parameter, library.base, rows, contrasts)


def by_activations(
    method: Callable[[Any, Any], Scores], library: Library, contrasts: Sequence[Contrast]
) -> Scores:
    """A method that asks the index [rows]."""
    return method(gather(library.reader, contrasts), library.rows)


def every_parameter(
    checkpoint: Checkpoint, rows: Sequence[TrainingRow], contrasts: Sequence[Contrast]
) -> Scores:
    """The same cosines of whole gradients, one row at a time [rows]."""
    full = [
        TrainingRow("", "", (Message("user", c.prompt),), c.bad, c.good)
        for c in contrasts
        if c.bad is not None and c.good is not None
    ]
    checkpoint.model.requires_grad_(True)
    units = [whole_gradient(checkpoint, row) for row in full]
    direction = torch.nn.functional.normalize(torch.stack(units).sum(dim=0), dim=0)
    scores = [float(whole_gradient(checkpoint, row) @ direction) for row in rows]
    checkpoint.model.requires_grad_(False)
    return np.array(scores)


def whole_gradient(checkpoint: Checkpoint, row: TrainingRow) -> torch.Tensor:
    """The gradient of a row's margin, of length one, over all parameters in one vector."""
    answers = [row.chosen] if row.rejected is None else [row.chosen, row.rejected]
    encoded = [
        encode_exchange(checkpoint.tokenizer, row.prompt, answer, templated=row.templated)
        for answer in answers
    ]
    first, margin = max(1, min(each.boundary for each in encoded)), torch.zeros(())
    for each, sign in zip(encoded, (1, -1), strict=False):
        ids = torch.tensor(each.ids)
        logits = checkpoint.model(input_ids=ids[None], use_cache=False).logits[0, first - 1 : -1]
        likelihoods = logits.float().log_softmax(-1).gather(1, ids[first:, None])
        margin = margin + sign * likelihoods.mean()
    found = torch.autograd.grad(margin, list(checkpoint.model.parameters()))
    return torch.nn.functional.normalize(torch.cat([g.flatten() for g in found]), dim=0)


def show(results: Sequence[Result]) -> None:
    """A row a method and plant."""
    table = Table(title="gradients beside activations: average precision, processor seconds")
    for column in ("plant", "method", "AP", "a question", "with the index"):
        table.add_column(column)
    for row in results:
        seconds = (f"{row['seconds']:.2f}", f"{row['with_index']:.2f}")
        table.add_row(row["plant"], row["method"], f"{row['ap']:.3f}", *seconds)
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
