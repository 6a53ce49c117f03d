"""What an index costs: building one, its bytes, its memory, and asking it.

    python benchmarks/index.py [--rows 10000 100000 378339] [--width 4096] [--repeats 5]
        [--built 2000] [--base MODEL --data DATA] [--threads 2] [--folder DIR]
        [--out benchmarks/results/index.json]

Asking: indexes in the format of the product, one layer, with random unit vectors as changes (the
chosen states are the same vectors, the prompts' are zeros), through `IndexTable.cosines`, for one
vector and for a bank of 150. Beside it faiss (float16, inner product, exact, the best 100; not for
the bank) and numpy's matrix product of the same file, a chunk at a time. All are warm and take
turns; figures are medians, and the ratio is that of the turns. Memory is that of a process of its
own, which does nothing else: its anonymous pages, the mapped file is not among them.

Building: `--base` and `--data`, by default the organism's, beside the reference that reads one text
at a time, prompt and all, through the whole model.
"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:] = [place for place in sys.path if Path(place) != HERE]  # `statistics` is Python's

# ruff: noqa: E402
import argparse
import json
import os
import platform
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from math import nan
from statistics import median
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt
import torch
from rich.console import Console
from rich.table import Table as Shown

from surfcheck.attribution import corpus
from surfcheck.attribution.activations import RowStates
from surfcheck.attribution.building import indexing
from surfcheck.attribution.corpus import Corpus
from surfcheck.attribution.index import Index, open_index
from surfcheck.attribution.store.manifest import Manifest, Shard, names, write_manifest
from surfcheck.attribution.store.shards import packed
from surfcheck.attribution.store.storage import LocalStore
from surfcheck.attribution.table import IndexTable
from surfcheck.models.checkpoint import Checkpoint, load_checkpoint
from surfcheck.models.template import encode_exchange
from surfcheck.organism import resolve
from surfcheck.records import Message, TrainingRow

ROOT = HERE.parent
BANK, BEST, SHARD_ROWS, CHUNK = 150, 100, 8192, 4096
Floats = npt.NDArray[np.float32]
Result = dict[str, Any]
Ways = dict[str, Callable[[], Any]]


def main() -> None:
    """Run everything, print the tables, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, nargs="*", default=[10_000, 100_000, 378_339])
    parser.add_argument("--width", type=int, default=4096)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--built", type=int, default=2000)
    parser.add_argument("--base", default=None, help="the organism's, if not given")
    parser.add_argument("--data", default=None)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--folder", type=Path, default=None)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/index.json")
    parser.add_argument("--alone", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    faiss.omp_set_num_threads(options.threads)
    if options.alone is not None:
        print(json.dumps(alone(options.alone)))
        return
    asked = [asking(rows, options) for rows in options.rows]
    built = building(options) if options.built else None
    where = {"processor": platform.processor() or platform.machine(), "threads": options.threads}
    versions = {"torch": torch.__version__, "numpy": np.__version__, "faiss": faiss.__version__}
    result = {**where, "versions": versions, "asking": asked, "building": built}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    show(asked, built)


# Asking


def asking(rows: int, options: argparse.Namespace) -> Result:
    """One size: written, asked by everybody in turns, and by ourselves alone."""
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        began = time.perf_counter()
        size = synthetic(Path(folder), rows, options.width)
        written = time.perf_counter() - began
        command = [sys.executable, __file__, "--alone", folder, "--threads", str(options.threads)]
        ran = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
        found = {
            "rows": rows,
            "width": options.width,
            "bytes_per_row": round(size / rows),
            "seconds_to_write": round(written, 1),
            **json.loads(ran.stdout),
            **turns(open_index(folder), options.repeats),
        }
        print(json.dumps(found), flush=True)
        return found


def synthetic(folder: Path, rows: int, width: int) -> int:
    """Write an index of random vectors; its bytes."""
    store, random = LocalStore(folder), np.random.default_rng(rows)
    shards, size = list[Shard](), 0
    for number, first in enumerate(range(0, rows, SHARD_ROWS)):
        count = min(SHARD_ROWS, rows - first)
        chosen = random.standard_normal((count, 1, width), dtype=np.float32)
        chosen /= np.linalg.norm(chosen, axis=-1, keepdims=True)
        nothing, one = np.zeros_like(chosen), np.ones(count, dtype=np.int64)
        states = RowStates(nothing, chosen, nothing, one, one, one, 0, None)
        prompt = (Message("user", "a prompt"),)
        texts = [
            TrainingRow(str(first + n), f"source {n % 20}", prompt, "yes", "no")
            for n in range(count)
        ]
        shard, contents = packed(Shard(first, count, done=True), texts, states)
        for name, content in zip(names(number), contents, strict=True):
            store.write(name, content)
            size += len(content)
        shards.append(shard)
    manifest = Manifest(
        model="none", fingerprint="", template="", layers=(1,), width=width, dtype="float32",
        max_length=1024, data="random", files=(), rows=rows, skipped=0, shards=tuple(shards),
        likelihood=False,
    )  # fmt: skip
    write_manifest(store, manifest)
    return size


def alone(folder: Path) -> Result:
    """Ask an index in this process, which does nothing else: what it takes of memory."""
    index = open_index(folder)
    before, peak, ended = anonymous(), [0], threading.Event()

    def watch() -> None:
        while not ended.wait(0.002):
            peak[0] = max(peak[0], anonymous())

    watching = threading.Thread(target=watch)
    watching.start()
    bank = directions(index.manifest.width, BANK)
    first = seconds(lambda: IndexTable(index).cosines(bank[:1]))
    IndexTable(index).cosines(bank)
    ended.set()
    watching.join()
    return {
        "first_query_seconds": round(first, 2),  # every file's checksum is compared
        "anonymous_mib": {"before": before >> 20, "peak": peak[0] >> 20},
    }


def turns(index: Index, repeats: int) -> Result:
    """Everybody's time for one vector and for a bank, taking turns."""
    width = index.manifest.width
    flat = faiss.IndexScalarQuantizer(
        width, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
    )
    for stored in changes(index):
        for first in range(0, len(stored), CHUNK):
            flat.add(stored[first : first + CHUNK].astype(np.float32))
    table, one, bank = IndexTable(index), directions(width, 1), directions(width, BANK)
    one_by_one: Ways = {
        "surfcheck": partial(table.cosines, one),
        "faiss": partial(flat.search, one[:, 0], BEST),
        "numpy": partial(multiplied, index, one[:, 0]),
    }
    at_once: Ways = {
        "surfcheck": partial(table.cosines, bank),
        "numpy": partial(multiplied, index, bank[:, 0]),
    }
    best, which = one_by_one["faiss"]()
    ours = table.cosines(one)
    np.testing.assert_allclose(np.take_along_axis(ours.T, which, axis=1), best, atol=2e-5)
    return {"one": compared(one_by_one, repeats), "bank": compared(at_once, max(3, repeats // 2))}


def compared(ways: Ways, repeats: int) -> Result:
    """Seconds of each way, and ours as a part of theirs; all find the same, which warms them."""
    np.testing.assert_allclose(ways["surfcheck"](), ways["numpy"](), atol=2e-5)
    rounds = [{way: seconds(ask) for way, ask in ways.items()} for _ in range(repeats)]
    took: Result = {way: round(median(each[way] for each in rounds), 4) for way in ways}
    ratios = {
        f"ratio_to_{other}": round(median(each["surfcheck"] / each[other] for each in rounds), 3)
        for other in ways
        if other != "surfcheck"
    }
    return took | ratios


def changes(index: Index) -> list[npt.NDArray[np.float16]]:
    """The vectors of each shard as they are mapped [n, d]."""
    found = []
    for number in range(len(index.manifest.shards)):
        with index.shard(number) as arrays:
            found.append(arrays["change"].flatten(1).numpy())
    return found


def multiplied(index: Index, asked: Floats) -> Floats:
    """numpy's own product, a chunk in float32 at a time."""
    parts = []
    for stored in changes(index):
        for first in range(0, len(stored), CHUNK):
            parts.append(stored[first : first + CHUNK].astype(np.float32) @ asked.T)
    return np.concatenate(parts)


def directions(width: int, many: int) -> Floats:
    """Unit vectors [k, 1, d]."""
    drawn = np.random.default_rng(1).standard_normal((many, 1, width), dtype=np.float32)
    unit: Floats = drawn / np.linalg.norm(drawn, axis=-1, keepdims=True)
    return unit


def anonymous() -> int:
    """Bytes of this process that no file backs."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("RssAnon:")[2].split()[0]) << 10


def seconds(work: Callable[[], object]) -> float:
    """How long it takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


# Building


def building(options: argparse.Namespace) -> Result:
    """Rows through a base, and a tenth of them one at a time."""
    if options.base is None or options.data is None:
        own = resolve("organism:")
        options.base, options.data = own.base, own.data
    base, whole = load_checkpoint(options.base), corpus.read(options.data)
    some = Corpus(whole.rows[: options.built], whole.fingerprint, whole.files)
    found: Result = {"rows": len(some.rows), "layers": None}
    with tempfile.TemporaryDirectory() as folder:
        for name, likelihood in (("without", False), ("with", True)):
            out = Path(folder) / name
            began = time.perf_counter()
            built = indexing.build(base, some, out, likelihood=likelihood)
            took = time.perf_counter() - began
            found[f"rows_per_second_{name}_likelihood"] = round(len(some.rows) / took, 1)
        size = sum(sum(shard.sizes) for shard in built.manifest.shards)
        few = some.rows[: max(1, len(some.rows) // 10)]
        began = time.perf_counter()
        reference = one_at_a_time(base, few, built.layers, built.manifest.max_length)
        took = time.perf_counter() - began
        ours = IndexTable(built).some(range(len(few))).chosen
        inner = [layer < base.model.config.num_hidden_layers for layer in built.layers]
        # Behind the last block transformers gives the normed states, and we do not.
        np.testing.assert_allclose(ours[:, inner], reference[:, inner], rtol=5e-3, atol=5e-3)
    return found | {
        "layers": list(built.layers),
        "bytes_per_row": round(size / len(some.rows)),
        "reference_rows_per_second": round(len(few) / took, 1),
    }


def one_at_a_time(
    base: Checkpoint, rows: tuple[TrainingRow, ...], layers: tuple[int, ...], longest: int
) -> Floats:
    """Mean states over the chosen answers [n, L, d]: every text by itself, the model to its end."""
    special = {n for n, token in base.tokenizer.added_tokens_decoder.items() if token.special}
    found = []
    for row in rows:
        answers = [row.chosen] + ([] if row.rejected is None else [row.rejected])
        encoded = [
            encode_exchange(base.tokenizer, row.prompt, answer, templated=row.templated)
            for answer in answers
        ]
        boundary, means = min(each.boundary for each in encoded), []
        for each in encoded:
            ids = list(each.ids)
            for position in range(len(ids) - 1, boundary - 1, -1):  # what closes the turn
                if ids[position] in special:
                    if str(base.tokenizer.decode(ids[position + 1 :])).strip():
                        break
                    ids = ids[:position]
            ids = ids[:longest]
            with torch.inference_mode():
                given = torch.tensor([ids], device=base.model.device)
                states = base.model(input_ids=given, output_hidden_states=True).hidden_states
            kept = torch.stack([states[layer][0, boundary:] for layer in layers])
            means.append((kept.float().sum(dim=1) / max(1, kept.shape[1])).cpu().numpy())
        found.append(means[0])
    return np.stack(found)


def show(asked: list[Result], built: Result | None) -> None:
    """The figures as tables."""
    console = Console()
    table = Shown("rows", "bytes a row", "ask", "surfcheck s", "faiss s", "numpy s", "to faiss",
                  "to numpy", "MiB")  # fmt: skip
    for each in asked:
        for name in ("one", "bank"):
            took = each[name]
            table.add_row(
                f"{each['rows']:,}", f"{each['bytes_per_row']:,}", name, f"{took['surfcheck']:.3f}",
                f"{took.get('faiss', nan):.3f}", f"{took['numpy']:.3f}",
                f"{took.get('ratio_to_faiss', nan):.2f}",
                f"{took['ratio_to_numpy']:.2f}", str(each["anonymous_mib"]["peak"]),
            )  # fmt: skip
    console.print(table)
    if built is not None:
        console.print(built)


if __name__ == "__main__":
    main()
