"""What a checkpoint makes of a text: the mean of its residual stream over prompt and response.

Layer l is the output of block l, as `output_hidden_states` counts (0 = what enters the first
block), but the last block's output is taken before the final norm. After "In-the-Wild Model
Organisms" (2602.11079), which reads one row at a time, a pair's prompt twice, and always to the
model's end. Here: many rows at a time in batches of like length, several layers in one pass, which
stops at the deepest of them, and both answers of a pair behind one prompt where that is faster
(`passes`). How likely the model finds each answer of a training row comes out of the same pass,
which then runs to the end, head and all. Which tokens are the prompt's and which the answer's is
said in `sequences`. Left out: models that attend both ways, and rows that share a prompt.

A demonstration has no rejected answer. To read it against what the base answers by itself, give
rows that have that answer as `rejected`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from surfcheck.attribution.reading.passes import Found, Pass, decoder
from surfcheck.attribution.reading.sequences import Encoder, Fork
from surfcheck.errors import ModelError, UsageError
from surfcheck.models.batches import batches
from surfcheck.models.checkpoint import Checkpoint
from surfcheck.models.likelihood import LOGITS
from surfcheck.records import Message, TrainingRow
from surfcheck.roles import Progress, silent

Floats = npt.NDArray[np.float32]
Counts = npt.NDArray[np.int64]

TRL_LENGTH = 1024
"""Tokens of a row that TRL 1.16 trains on by default."""
_BUDGET = 8192
_CPU_BUDGET = 1024  # with more, what goes from layer to layer stays in no cache


class Passage(NamedTuple):
    """A prompt and an answer to read."""

    prompt: tuple[Message, ...]
    """The conversation before the answer."""
    response: str
    """The answer; may be empty."""
    templated: bool = True
    """Whether the chat template goes around it."""

    @classmethod
    def of(cls, prompt: str, response: str) -> Passage:
        """An exchange of one turn."""
        return cls((Message("user", prompt),), response)


@dataclass(frozen=True, slots=True)
class States:
    """Means over the tokens of n passages, at L layers of width d; zeros where there is none."""

    prompt: Floats
    """Over the prompt's tokens [n, L, d]."""
    response: Floats
    """Over the response's tokens [n, L, d]."""
    prompt_tokens: Counts
    """How many the prompt has [n]."""
    response_tokens: Counts
    """How many the response has [n]."""
    truncated: int
    """Passages that were cut."""


@dataclass(frozen=True, slots=True)
class RowStates:
    """Means over the tokens of n training rows; zeros where there is none."""

    prompt: Floats
    """Over the prompt's tokens [n, L, d]."""
    chosen: Floats
    """Over the chosen answer's tokens [n, L, d]."""
    rejected: Floats
    """Over the rejected answer's tokens [n, L, d]; zeros for a demonstration."""
    prompt_tokens: Counts
    """How many the prompt has [n]."""
    chosen_tokens: Counts
    """How many the chosen answer has [n]."""
    rejected_tokens: Counts
    """How many the rejected answer has [n]."""
    truncated: int
    """Rows of which a side was cut."""
    likelihood: Floats | None
    """Log-probability of the chosen and of the rejected answer [n, 2]; 0 where there is none; None
    if not read."""


class _Part(NamedTuple):
    """What goes through the model in one row of a batch."""

    row: int
    """Whose it is."""
    first: int
    """Which of the row's answers is the first in it."""
    fork: Fork
    """One answer of the row, or both."""


class Reader:
    """Reads passages and training rows through one checkpoint."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        layers: Sequence[int],
        *,
        max_length: int | None = None,
        token_budget: int | None = None,
        likelihood: bool = True,
    ) -> None:
        """`layers` are numbers from 0 to the number of blocks; `max_length` is 1024 or what the
        model can take if not given; a batch has at most `token_budget` tokens, padding counted: if
        not given, what suits the device. `likelihood` is whether that of training rows is read.

        Raises UsageError if the model has no such layer.
        """
        blocks = find_blocks(checkpoint)
        depth = len(blocks)
        if not layers or len(set(layers)) < len(layers) or not set(layers) <= set(range(depth + 1)):
            asked = ", ".join(map(str, layers)) or "none"
            raise UsageError(
                f"layers {asked}: {checkpoint.path} has {depth} blocks; "
                f"give different numbers from 0 to {depth}"
            )
        self.checkpoint, self.layers = checkpoint, tuple(layers)
        self.max_length = max_length or min(checkpoint.longest or TRL_LENGTH, TRL_LENGTH)
        self._likelihood = likelihood
        self._model = checkpoint.model
        self._budget = token_budget or (
            _CPU_BUDGET if self._model.device.type == "cpu" else _BUDGET
        )
        self._encoder = Encoder(checkpoint.tokenizer, self.max_length)
        self._pass = Pass(checkpoint, blocks, self.layers)

    def read(self, passages: Sequence[Passage], *, progress: Progress = silent) -> States:
        """The states of prompts and answers. Raises ModelError if one is not finite."""
        forks = [
            self._encoder.exchange(prompt, [answer], f"{answer[:40]!r}", templated=templated)
            for prompt, answer, templated in passages
        ]
        prompt, answers, _ = self._read(forks, False, progress)
        counts = _counts(forks)
        cut = sum(fork.cut for fork in forks)
        return States(prompt, answers[0], counts[0], counts[1], cut)

    def read_rows(self, rows: Sequence[TrainingRow], *, progress: Progress = silent) -> RowStates:
        """The states of training rows. Raises ModelError naming a row whose states are not
        finite."""
        forks = [self._encoder.row(row) for row in rows]
        prompt, answers, likelihood = self._read(forks, self._likelihood, progress)
        chosen, rejected = answers
        cut = sum(fork.cut for fork in forks)
        return RowStates(prompt, chosen, rejected, *_counts(forks), cut, likelihood)

    def _read(
        self, forks: Sequence[Fork], likelihood: bool, progress: Progress
    ) -> tuple[Floats, Floats, Floats | None]:
        """Means of prompts [n, L, d] and of both answers [2, n, L, d]; likelihoods [n, 2]."""
        width = self._model.config.get_text_config().hidden_size
        shape = (len(forks), len(self.layers), width)
        prompt, answers = np.zeros(shape, np.float32), np.zeros((2, *shape), np.float32)
        totals = np.zeros((len(forks), 2), np.float32)
        for batch, found in self._passes(forks, likelihood, progress):
            for i, (row, first, fork) in enumerate(batch):
                if first == 0:
                    prompt[row] = found.means[i, 0]
                for which in range(len(fork.answers)):
                    answers[first + which, row] = found.means[i, 1 + which]
                    if found.likelihood is not None:
                        totals[row, first + which] = found.likelihood[i, which]
        return prompt, answers, totals if likelihood else None

    def _passes(
        self, forks: Sequence[Fork], likelihood: bool, progress: Progress
    ) -> Iterator[tuple[list[_Part], Found]]:
        """Batch by batch: what was in it, and what was found; rows without a token are in none."""
        parts = [part for row, fork in enumerate(forks) for part in self._parts(row, fork)]
        wanted = sum(len(fork.answers) for fork in forks)
        done = wanted - sum(len(part.fork.answers) for part in parts)
        for batch in self._batches(parts, likelihood):
            found = self._pass([part.fork for part in batch], likelihood=likelihood)
            finite = np.isfinite(found.means).all(axis=(1, 2, 3))
            if not finite.all():
                raise ModelError(
                    f"{batch[int(finite.argmin())].fork.name}: the hidden states of "
                    f"{self.checkpoint.path} are not finite in {self._model.dtype}; load it in "
                    "bfloat16 or float32"
                )
            yield batch, found
            done += sum(len(part.fork.answers) for part in batch)
            progress("reading activations", done, wanted)

    def _parts(self, row: int, fork: Fork) -> list[_Part]:
        """The fork as it is, or its two answers apart."""
        if not fork.both or self._pass.pays(fork):
            parts = [_Part(row, 0, fork)]
        else:
            parts = [_Part(row, first, one) for first, one in enumerate(fork.apart())]
        return [part for part in parts if part.fork.size]

    def _batches(self, parts: Sequence[_Part], likelihood: bool) -> Iterator[list[_Part]]:
        """Parts of like length; those that need a mask by themselves, since it is slower."""
        budget = self._budget
        if likelihood:
            budget = min(budget, LOGITS // self._model.config.get_text_config().vocab_size)
        for masked in (True, False):
            group = [part for part in parts if part.fork.both is masked]
            for batch in batches([part.fork.size for part in group], budget):
                yield [group[i] for i in batch]


def find_blocks(checkpoint: Checkpoint) -> torch.nn.ModuleList:
    """The transformer blocks, first to last. Raises ModelError if the model shows none."""
    depth = checkpoint.model.config.get_text_config().num_hidden_layers
    for module in decoder(checkpoint).modules():
        if isinstance(module, torch.nn.ModuleList) and len(module) == depth:
            return module
    raise ModelError(f"{checkpoint.path}: no list of {depth} blocks in it; use another model")


def _counts(forks: Sequence[Fork]) -> tuple[Counts, Counts, Counts]:
    """Tokens of prompts, of first and of second answers, 0 where there is none [n] each."""
    rows = [(len(f.prompt), *map(len, f.answers), 0)[:3] for f in forks]
    prompt, first, second = np.array(rows, dtype=np.int64).reshape(-1, 3).T
    return prompt, first, second
