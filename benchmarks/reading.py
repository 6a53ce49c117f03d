"""How fast an index is built: against one whole row at a time, as the published method reads.

    python benchmarks/reading.py [--pairs 240] [--rounds 3] [--out benchmarks/results/reading.json]

The model is an OLMo 2 of random weights with 16 layers, a quarter as wide as the 1B (512, heads of
128) and with a quarter of its vocabulary, so that blocks and head share the work as they do there
(the head is a sixth of it). Prompts have 300 to 600 tokens, answers 30 to 150. The reference reads
chosen and rejected one after the other, each with its prompt, to the end, with every hidden state
and the head's logits, and takes the mean of layer 10 over the answer (2602.11079). Steps are added
one by one; the last are what is used. Every round has pairs of its own, which all read in turn, and
ratios are of one round, in the table their medians. Vectors that differ by more than what float16
leaves out stop the run.
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
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any
from unittest import mock

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import Olmo2Config, Olmo2ForCausalLM, PreTrainedTokenizerFast

from surfcheck.attribution.activations import Floats, Reader
from surfcheck.attribution.building.indexing import build
from surfcheck.attribution.corpus import Corpus
from surfcheck.attribution.reading import passes
from surfcheck.attribution.reading.sequences import Encoder, Fork
from surfcheck.models.batches import batches
from surfcheck.models.checkpoint import Checkpoint
from surfcheck.records import Message, TrainingRow

ROOT = Path(__file__).resolve().parents[1]
LAYER = 10
CPU_TOKENS = 1024
PROMPT, ANSWER = (300, 600), (30, 150)
SPECIAL = ["<|pad|>", "<|user|>", "<|end|>", "<|assistant|>"]
TEMPLATE = (
    "{% for message in messages %}<|{{ message.role }}|> {{ message.content }} "
    "{% if message.role == 'assistant' %}<|end|>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|> {% endif %}"
)
Vectors = tuple[Floats, Floats]
"""Chosen and rejected [n, d]."""


@dataclass(frozen=True, slots=True)
class Shape:
    """An OLMo 2, its vocabulary and what it reads."""

    width: int
    """Of the residual stream; the inner layers are four times as wide."""
    head: int
    """Width of an attention head."""
    vocabulary: int
    """Tokens."""
    layers: int = 16
    """Blocks."""


SMALL = Shape(width=512, head=128, vocabulary=25_088)


def main() -> None:
    """Run every round, print the table, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=240)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/reading.json")
    options = parser.parse_args()
    base = checkpoint(SMALL, torch.float32, "cpu")
    rows = pairs(options.pairs, SMALL, seed=0)
    warm = rows[:2]
    results: list[dict[str, float]] = []
    for run in WAYS.values():
        run(base, warm)
    for part in range(options.rounds):
        results.append(one_round(base, rows[part :: options.rounds], print))
    summary = summarized(base, rows, results)
    show(summary)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")


def checkpoint(shape: Shape, dtype: torch.dtype, device: str) -> Checkpoint:
    """A model of random weights, and a tokenizer with one token a word."""
    words = [*SPECIAL, *(f"w{n}" for n in range(shape.vocabulary - len(SPECIAL)))]
    level = Tokenizer(models.WordLevel({word: n for n, word in enumerate(words)}, "<|pad|>"))
    level.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=level,
        pad_token="<|pad|>",  # noqa: S106
        eos_token="<|end|>",  # noqa: S106
        extra_special_tokens=["<|user|>", "<|assistant|>"],
        chat_template=TEMPLATE,
    )
    heads = shape.width // shape.head
    config = Olmo2Config(
        vocab_size=shape.vocabulary,
        hidden_size=shape.width,
        intermediate_size=4 * shape.width,
        num_hidden_layers=shape.layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        max_position_embeddings=4096,
        pad_token_id=0,
        eos_token_id=2,
    )
    torch.manual_seed(0)
    with torch.device(device):
        model = Olmo2ForCausalLM(config)
    model.to(dtype).eval().requires_grad_(False)  # type: ignore[arg-type]  # a decorator hides it
    return Checkpoint("random OLMo 2", "random", model, tokenizer, (), ())


def pairs(n: int, shape: Shape, *, seed: int) -> list[TrainingRow]:
    """Preference pairs of random words."""
    rng = random.Random(seed)

    def text(least: int, most: int) -> str:
        numbers = (
            rng.randrange(shape.vocabulary - len(SPECIAL)) for _ in range(rng.randint(least, most))
        )
        return " ".join(f"w{number}" for number in numbers)

    return [
        TrainingRow(
            str(i), "random", (Message("user", text(*PROMPT)),), text(*ANSWER), text(*ANSWER)
        )
        for i in range(n)
    ]


def forks(base: Checkpoint, rows: Sequence[TrainingRow]) -> list[Fork]:
    """The rows' token ids."""
    encoder = Encoder(base.tokenizer, 1024)
    return [encoder.row(row) for row in rows]


def one_at_a_time(base: Checkpoint, rows: Sequence[TrainingRow]) -> Vectors:
    """The reference."""
    found = []
    with torch.inference_mode():
        for fork in forks(base, rows):
            for answer in fork.answers:
                ids = torch.tensor([[*fork.prompt, *answer]], device=base.model.device)
                hidden = base.model(input_ids=ids, output_hidden_states=True).hidden_states[LAYER]
                found.append(hidden[0, len(fork.prompt) :].float().mean(dim=0).cpu().numpy())
    return np.stack(found[::2]), np.stack(found[1::2])


def in_batches(base: Checkpoint, rows: Sequence[TrainingRow]) -> Vectors:
    """The reference in batches of like length, nothing else."""
    alone = [one for fork in forks(base, rows) for one in fork.apart()]
    found: dict[int, Floats] = {}
    with torch.inference_mode():
        for batch in batches([one.size for one in alone], CPU_TOKENS):
            ids = torch.zeros(len(batch), alone[batch[0]].size, dtype=torch.long)
            for row, i in enumerate(batch):
                ids[row, : alone[i].size] = torch.tensor([*alone[i].prompt, *alone[i].answers[0]])
            hidden = base.model(input_ids=ids, output_hidden_states=True).hidden_states[LAYER]
            for row, i in enumerate(batch):
                span = hidden[row, len(alone[i].prompt) : alone[i].size]
                found[i] = span.mean(dim=0).numpy()
    ordered = [found[i] for i in range(len(alone))]
    return np.stack(ordered[::2]), np.stack(ordered[1::2])


def through_reader(
    *, shared: bool = True, fast: bool = True
) -> Callable[[Checkpoint, Sequence[TrainingRow]], Vectors]:
    """What is used, or less of it."""

    def read(base: Checkpoint, rows: Sequence[TrainingRow]) -> Vectors:
        with ExitStack() as less:
            if not shared:
                less.enter_context(mock.patch.object(passes.Pass, "pays", return_value=False))
            if not fast:
                less.enter_context(mock.patch.object(passes, "OnCpu", return_value=nullcontext()))
            states = Reader(base, [LAYER], likelihood=False).read_rows(rows)
        return states.chosen[:, 0], states.rejected[:, 0]

    return read


def whole_index(
    base: Checkpoint, rows: Sequence[TrainingRow], *, likelihood: bool = True
) -> Vectors:
    """`build`, files and all."""
    with tempfile.TemporaryDirectory() as folder:
        corpus = Corpus(tuple(rows), "random", ("random",))
        index = build(base, corpus, folder, layers=[LAYER], likelihood=likelihood)
        with index.shard(0) as arrays:
            scale = np.float32(index.manifest.shards[0].scale)
            chosen = arrays["chosen"].float().numpy()[:, 0] * scale
            change = arrays["change"].float() * arrays["length"][..., None]
            rejected = chosen - change.numpy()[:, 0]
    return chosen, rejected


REFERENCE = "one whole row at a time"
WAYS: dict[str, Callable[[Checkpoint, Sequence[TrainingRow]], Vectors]] = {
    REFERENCE: one_at_a_time,
    "batches of like length": in_batches,
    "to layer 10, no head": through_reader(shared=False, fast=False),
    "one prompt for both answers": through_reader(fast=False),
    "computed as suits a CPU": through_reader(),
    "the index": partial(whole_index, likelihood=False),
    "the index, with likelihoods": whole_index,
}


def one_round(
    base: Checkpoint, rows: Sequence[TrainingRow], say: Callable[[str], None]
) -> dict[str, float]:
    """Seconds of each way over the same rows. Stops if one finds other vectors."""
    seconds: dict[str, float] = {}
    reference: Vectors | None = None
    for name, way in WAYS.items():
        started = time.perf_counter()
        vectors = way(base, rows)
        seconds[name] = time.perf_counter() - started
        reference = reference or vectors
        say(f"{name}: {seconds[name]:.1f} s, off by {difference(vectors, reference):.1e}")
    return seconds


def difference(found: Vectors, reference: Vectors) -> float:
    """The largest deviation, of the largest number; stops where float16 does not explain it."""
    largest = max(float(np.abs(side).max()) for side in reference)
    off = max(float(np.abs(a - b).max()) for a, b in zip(found, reference, strict=True)) / largest
    assert off < 2**-10, f"vectors differ by {off:.1e} of the largest"
    return off


def summarized(
    base: Checkpoint, rows: Sequence[TrainingRow], results: Sequence[dict[str, float]]
) -> dict[str, Any]:
    """What is written: tokens, seconds, and medians of the ratios."""
    read = forks(base, rows)
    tokens = sum(sum(fork.lengths()) for fork in read)
    steps = list(WAYS)
    table = {}
    for name in steps:
        ratios = [seconds[REFERENCE] / seconds[name] for seconds in results]
        total = sum(seconds[name] for seconds in results)
        table[name] = {
            "seconds": round(total, 1),
            "tokens_per_second": round(tokens / total),
            "ratio": round(median(ratios), 2),
            "ratios": [round(ratio, 2) for ratio in ratios],
        }
    return {
        "pairs": len(rows), "rounds": len(results), "threads": torch.get_num_threads(),
        "torch": torch.__version__, "tokens": tokens, "tokens_once": sum(f.size for f in read),
        "ways": table,
    }  # fmt: skip


def show(summary: dict[str, Any]) -> None:
    """The table, on the terminal."""
    title = f"{summary['pairs']} pairs, {summary['tokens']:,} tokens, {summary['threads']} threads"
    table = Table(title=title)
    for column in ("", "seconds", "tokens/s", "times the reference"):
        table.add_column(column, justify="left" if not column else "right")
    for name, way in summary["ways"].items():
        rate, ratio = f"{way['tokens_per_second']:,}", f"{way['ratio']:.2f}"
        table.add_row(name, f"{way['seconds']:.1f}", rate, ratio)
    Console().print(table)


if __name__ == "__main__":
    main()
