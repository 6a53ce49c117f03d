"""The baseline to beat: rows on which a training step moves the model as the behaviour would.

LESS (Xia et al. 2024, 2402.04333) adapted to preferences, as "In-the-Wild Model Organisms"
(2602.11079) compares itself with it. At the base checkpoint, with log p the mean over an answer's
tokens (that baseline's; length-normalised DPO is what trained those models):

    a pair           the gradient of log p(chosen) - log p(rejected)
    a demonstration  the gradient of log p(answer)
    the behaviour    the gradient of log p(bad) - log p(good), of length one for each contrast, and
                     the mean of these: as in LESS, and so that no contrast counts for more because
                     the base is more surprised by it
    a row's score    the cosine of its gradient with the behaviour's

Where the base is its own reference, DPO's loss -log σ(β margin) has the gradient -β/2 times that of
the margin log p(chosen) - log p(rejected): a step down the loss is the vector above but for its
length, which the cosine does not see.

Gradients are of the weight matrices of the blocks, all or the last few (the blocks before them then
run without a graph), at random projected to 8192 numbers (`projection`). The gradients of many rows
come out of one pass: what went into each linear map, and what came back out of it, say a row's
share. Rows stream; a row's vector is gone once it has its score. Left out: warm-up training, Adam's
preconditioner and a sum over checkpoints, which the published baseline has; experts that do not
read one token after the other; embeddings, norms and biases, as LoRA leaves them out, although a
tiny model's gradients say more with them (`benchmarks/gradient.py` has both).

Tokens are those that TRL trains on, with what closes the answer; rows over `max_length` are cut
at their end. A row of which an answer has no token, or whose two answers are the same, scores 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.nn import functional
from transformers.pytorch_utils import Conv1D

from surfcheck.attribution.activations import TRL_LENGTH, Counts, find_blocks
from surfcheck.attribution.probe import Scores
from surfcheck.attribution.projection import kronecker, outer, shorten
from surfcheck.attribution.scan import TINY
from surfcheck.errors import ModelError, UsageError
from surfcheck.models.batches import batches
from surfcheck.models.checkpoint import Checkpoint, quiet
from surfcheck.models.likelihood import LOGITS
from surfcheck.models.template import encode_exchange
from surfcheck.records import Contrast, Message, TrainingRow
from surfcheck.roles import Progress, silent

DIMENSION = 8192
"""Numbers that a gradient is projected to, as published."""
WINDOW = 1024
"""Rows that are sorted by length at a time."""
NUMBERS = 2**26
"""Most numbers of a batch's vectors: 256 MiB."""


def gradient(
    checkpoint: Checkpoint,
    rows: Iterable[TrainingRow],
    contrasts: Sequence[Contrast],
    *,
    dimension: int | None = DIMENSION,
    last: int | None = None,
    max_length: int | None = None,
    token_budget: int = 4096,
    seed: int = 0,
    expected: int = 0,
    progress: Progress = silent,
) -> Scores:
    """Cosine of each row's gradient with the behaviour's [rows], in the order of the rows.

    `dimension` None projects nothing, for small models; `last` takes that many of the last blocks;
    `max_length` is 1024 or what the model can take if not given; a batch has at most
    `token_budget` tokens, padding counted; `expected` rows are what progress is told.

    Raises UsageError if no contrast has both answers or there is no such choice of blocks or
    dimension, ModelError for gradients that are not finite or do not fit into memory.
    """
    reader = Gradients(
        checkpoint, dimension=dimension, last=last, max_length=max_length,
        token_budget=token_budget, seed=seed,
    )  # fmt: skip
    direction = reader.direction(contrasts)
    scores, before = [np.zeros(0)], 0
    for window in _windows(rows):
        found, total = np.zeros(len(window)), max(before + len(window), expected)
        for done, members, units in reader.units(window):
            found[members] = (units @ direction).cpu().numpy()
            progress("reading gradients", before + done, total)
        scores.append(found)
        before += len(window)
        progress("reading gradients", before, total)
    return np.concatenate(scores)


class _Side(NamedTuple):
    """An answer as the model reads it."""

    ids: list[int]
    """Prompt and answer."""
    first: int
    """Where the answer begins; never at 0, which nothing precedes."""
    weight: float
    """What each token's log-probability counts for: 1 / tokens; of what lost, less than 0."""


class Gradients:
    """Reads the gradients of rows at one checkpoint, as vectors of one length."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        dimension: int | None = DIMENSION,
        last: int | None = None,
        max_length: int | None = None,
        token_budget: int = 4096,
        seed: int = 0,
    ) -> None:
        """The arguments are those of `gradient`, and so is what is raised."""
        blocks = list(find_blocks(checkpoint))
        if last is not None and not 1 <= last <= len(blocks):
            raise UsageError(
                f"the last {last} blocks: {checkpoint.path} has {len(blocks)}; give 1 to as many"
            )
        self._blocks = blocks[-(last or len(blocks)) :]
        self._maps = [m for block in self._blocks for m in block.modules() if _is_linear(m)]
        if not self._maps:
            raise ModelError(f"{checkpoint.path}: no linear map in its blocks; use another model")
        self.checkpoint, self._model = checkpoint, checkpoint.model
        shapes = [_shape(linear) for linear in self._maps]
        self._factors = kronecker(shapes, dimension, seed=seed, device=self._model.device)
        sides = [
            [size if f is None else f.shape[1] for size, f in zip(shape, factors, strict=True)]
            for shape, factors in zip(shapes, self._factors, strict=True)
        ]
        self._ends = np.cumsum([0, *(n * m for n, m in sides)]).tolist()
        self.max_length = max_length or min(checkpoint.longest or TRL_LENGTH, TRL_LENGTH)
        vocabulary = self._model.config.get_text_config().vocab_size
        self._budget = min(token_budget, LOGITS // vocabulary)

    def __len__(self) -> int:
        """How many numbers a gradient has."""
        return int(self._ends[-1])

    def direction(self, contrasts: Sequence[Contrast]) -> torch.Tensor:
        """The behaviour's gradient, of length one; zeros if contrasts say nothing."""
        rows = [
            TrainingRow(c.prompt[:40], "", (Message("user", c.prompt),), c.bad, c.good)
            for c in contrasts
            if c.bad is not None and c.good is not None
        ]
        if not rows:
            raise UsageError(
                "no contrast has both a `bad` and a `good` answer: attribution compares the two"
            )
        total = torch.zeros(len(self), device=self._model.device)
        for _, _, units in self.units(rows):
            total += units.sum(dim=0)
        return functional.normalize(total, dim=0, eps=TINY)

    def units(self, rows: Sequence[TrainingRow]) -> Iterator[tuple[int, Counts, torch.Tensor]]:
        """Batch by batch, longest rows first: how many rows are done, then which these are [b]
        and their gradients, of length one [b, len(self)]. Rows that have none are not given."""
        sides = [self._sides(row) for row in rows]
        lengths = [len(both) * max((len(s.ids) for s in both), default=0) for both in sides]
        most, done = max(1, NUMBERS // len(self)), lengths.count(0)
        for batch in batches(lengths, self._budget):
            told = [i for i in batch if lengths[i]]
            for begin in range(0, len(told), most):
                members = told[begin : begin + most]
                vectors = self._vectors([sides[i] for i in members])
                finite = vectors.isfinite().all(dim=1)
                if not finite.all():
                    name = rows[members[int(finite.int().argmin())]].id
                    raise ModelError(
                        f"row {name}: its gradient at {self.checkpoint.path} is not finite in "
                        f"{self._model.dtype}; load it in bfloat16 or float32"
                    )
                done += len(members)
                yield done, np.array(members), functional.normalize(vectors, dim=1, eps=TINY)

    def _sides(self, row: TrainingRow) -> list[_Side]:
        """The answers of a row; none if it teaches nothing: an answer has no token, or both are
        the same."""
        answers = [row.chosen] if row.rejected is None else [row.chosen, row.rejected]
        encoded = [
            encode_exchange(self.checkpoint.tokenizer, row.prompt, answer, templated=row.templated)
            for answer in answers
        ]
        first = max(1, min(side.boundary for side in encoded))
        kept = [side.ids[: self.max_length] for side in encoded]
        tokens = [len(ids) - first for ids in kept]
        if min(tokens) < 1 or (row.is_pair and kept[0] == kept[1]):
            return []  # of two that are alike, rounding alone would be left
        signed = zip(kept, tokens, (1.0, -1.0), strict=False)
        return [_Side(ids, first, sign / count) for ids, count, sign in signed]

    def _vectors(self, rows: Sequence[Sequence[_Side]]) -> torch.Tensor:
        """Gradients of rows [b, len(self)]."""
        sides = [side for both in rows for side in both]
        owners = torch.tensor([n for n, both in enumerate(rows) for _ in both])
        width = max(len(side.ids) for side in sides)
        vectors = torch.zeros(len(rows), len(self), device=self._model.device)
        try:
            with ExitStack() as hooks:
                entry = self._tap(hooks, vectors, owners.to(vectors.device), width)
                objective = self._objective(sides, width)
                torch.autograd.grad(objective, entry)
        except torch.OutOfMemoryError:
            raise ModelError(
                f"{self.checkpoint.path}: out of memory with {len(sides)} answers of {width} "
                "tokens; give a smaller token budget, or take only the last blocks"
            ) from None
        return vectors

    def _objective(self, sides: Sequence[_Side], width: int) -> torch.Tensor:
        """The weighted sum of the log-probabilities of all answers' tokens."""
        start = min(side.first for side in sides) - 1  # its logits are of the first that counts
        ids = torch.zeros(len(sides), width, dtype=torch.long)
        weights = torch.zeros(len(sides), width)
        for n, (tokens, first, weight) in enumerate(sides):
            ids[n, : len(tokens)] = torch.tensor(tokens)
            weights[n, first : len(tokens)] = weight
        ids, weights = ids.to(self._model.device), weights[:, start + 1 :].to(self._model.device)
        with quiet(), torch.enable_grad():
            # No mask: right padding lies behind every real token, and attention is causal.
            kept = width - start
            logits = self._model(input_ids=ids, use_cache=False, logits_to_keep=kept).logits
            counted = weights != 0
            losses = functional.cross_entropy(
                logits[:, :-1][counted].float(), ids[:, start + 1 :][counted], reduction="none"
            )
            return -(losses * weights[counted]).sum()

    def _tap(
        self, hooks: ExitStack, vectors: torch.Tensor, owners: torch.Tensor, width: int
    ) -> list[torch.Tensor]:
        """Add each linear map's share to the vectors as the gradient passes; a list that the first
        block's input will be in, from which on there is a graph."""
        entry: list[torch.Tensor] = []

        def enter(_: Any, given: tuple[Any, ...], named: dict[str, Any]) -> Any:
            hidden = given[0] if given else named["hidden_states"]
            entry.append(hidden.detach().requires_grad_())
            if given:
                return (entry[0], *given[1:]), named
            return given, {**named, "hidden_states": entry[0]}

        def watch(number: int, given: torch.Tensor, output: torch.Tensor) -> None:
            tokens = (len(owners), width, -1)
            into, out_of = self._factors[number]
            inputs = shorten(self._by_token(given.detach(), tokens), into)
            columns = slice(*self._ends[number : number + 2])

            def keep(came_back: torch.Tensor) -> None:
                outputs = shorten(came_back.reshape(tokens), out_of)
                vectors[:, columns].index_add_(0, owners, outer(inputs, outputs))

            output.register_hook(keep)  # type: ignore[no-untyped-call]

        for number, linear in enumerate(self._maps):
            hook = linear.register_forward_hook(
                lambda _, given, output, number=number: watch(number, given[0], output)
            )
            hooks.callback(hook.remove)
        hooks.callback(self._blocks[0].register_forward_pre_hook(enter, with_kwargs=True).remove)
        return entry

    def _by_token(self, states: torch.Tensor, tokens: tuple[int, int, int]) -> torch.Tensor:
        """States of a linear map as [s, t, n], flat or not."""
        if states.numel() != tokens[0] * tokens[1] * states.shape[-1]:
            raise ModelError(
                f"{self.checkpoint.path}: one of its linear maps does not read every token once, "
                "and no gradient can be told from another's; use another method"
            )
        return states.reshape(tokens)


def _is_linear(module: torch.nn.Module) -> bool:
    return isinstance(module, torch.nn.Linear | Conv1D)


def _shape(linear: Any) -> tuple[int, int]:
    """Inputs and outputs of a linear map."""
    rows, columns = linear.weight.shape
    return (rows, columns) if isinstance(linear, Conv1D) else (columns, rows)


def _windows(rows: Iterable[TrainingRow]) -> Iterator[list[TrainingRow]]:
    left = iter(rows)
    while window := list(islice(left, WINDOW)):
        yield window
