"""What a checkpoint makes of a text: the mean of its residual stream over prompt and response.

Layer l is the output of block l, as `output_hidden_states` counts (0 = what enters the first
block), but the last block's output is taken before the final norm. Many rows at a time in batches
of like length, padded on the right, where causal attention never looks; several layers in one
pass, which stops at the deepest of them and never reaches the language-model head. After "In-the-
Wild Model Organisms" (2602.11079), which reads one row at a time. Of training rows, how likely the
model finds each answer is read as well, in a pass of its own with the head. Left out: models that
attend both ways, and sharing the prompt between the two sides of a pair.

Which tokens: the boundary between prompt and response is TRL's (`models.template`), for a pair
the smaller of its two, so that both sides share their prompt. The special tokens that close the
response, and white space after them, are the template's and not the answer's: they are left out.
Rows over `max_length` tokens are cut at their end, as TRL does (`keep_start`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from surfcheck.errors import ModelError, UsageError
from surfcheck.models.batches import batches
from surfcheck.models.checkpoint import Checkpoint
from surfcheck.models.likelihood import score
from surfcheck.models.template import Encoded, encode_exchange
from surfcheck.records import Message, TrainingRow
from surfcheck.roles import Progress, silent

Floats = npt.NDArray[np.float32]
Counts = npt.NDArray[np.int64]

TRL_LENGTH = 1024
"""Tokens of a row that TRL 1.16 trains on by default."""


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
    likelihood: Floats
    """Log-probability of the chosen and of the rejected answer [n, 2]; 0 where there is none."""


class _Sequence(NamedTuple):
    """Token ids as the model reads them."""

    ids: list[int]
    """Prompt and response, nothing after."""
    boundary: int
    """Where the response begins."""
    cut: bool
    """Whether `max_length` took something away."""
    name: str
    """What an error calls it."""


class _Enough(Exception):
    """Every wanted layer is read: the rest of the model need not run."""


class Reader:
    """Reads passages and training rows through one checkpoint."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        layers: Sequence[int],
        *,
        max_length: int | None = None,
        token_budget: int = 8192,
    ) -> None:
        """`layers` are numbers from 0 to the number of blocks; a batch has at most `token_budget`
        tokens, padding counted; `max_length` is 1024 or what the model can take if not given.

        Raises UsageError if the model has no such layer.
        """
        self._blocks = find_blocks(checkpoint)
        depth = len(self._blocks)
        if not layers or len(set(layers)) < len(layers) or not set(layers) <= set(range(depth + 1)):
            asked = ", ".join(map(str, layers)) or "none"
            raise UsageError(
                f"layers {asked}: {checkpoint.path} has {depth} blocks; "
                f"give different numbers from 0 to {depth}"
            )
        self.checkpoint, self.layers = checkpoint, tuple(layers)
        self.max_length = max_length or min(checkpoint.longest or TRL_LENGTH, TRL_LENGTH)
        self._budget = token_budget
        self._model = checkpoint.model
        self._decoder = _decoder(checkpoint)
        added = checkpoint.tokenizer.added_tokens_decoder
        self._special = {number for number, token in added.items() if token.special}

    def read(self, passages: Sequence[Passage], *, progress: Progress = silent) -> States:
        """The states of prompts and answers. Raises ModelError if one is not finite."""
        sequences = [self._one(passage, f"{passage.response[:40]!r}") for passage in passages]
        prompt, response = self._empty(len(passages)), self._empty(len(passages))
        for members, means in self._means(sequences, progress):
            prompt[members], response[members] = means[:, 0], means[:, 1]
        counts = _counts(sequences)
        cut = sum(sequence.cut for sequence in sequences)
        return States(prompt, response, counts[:, 0], counts[:, 1], cut)

    def read_rows(self, rows: Sequence[TrainingRow], *, progress: Progress = silent) -> RowStates:
        """The states of training rows; a pair's prompt is read once, in front of its chosen
        answer. Raises ModelError naming a row whose states are not finite."""
        sides = [self._sides(row) for row in rows]
        pairs = np.array([i for i, both in enumerate(sides) if len(both) > 1], dtype=np.int64)
        sequences = [both[0] for both in sides] + [sides[i][1] for i in pairs]
        n = len(rows)
        prompt, chosen, rejected = self._empty(n), self._empty(n), self._empty(n)
        for members, means in self._means(sequences, progress):
            first = members < n
            prompt[members[first]], chosen[members[first]] = means[first, 0], means[first, 1]
            rejected[pairs[members[~first] - n]] = means[~first, 1]
        counts, lost = _counts(sequences), np.zeros(n, dtype=np.int64)
        lost[pairs] = counts[n:, 1]
        cut = sum(any(side.cut for side in both) for both in sides)
        totals, likelihood = self._likelihoods(sequences), np.zeros((n, 2), dtype=np.float32)
        likelihood[:, 0], likelihood[pairs, 1] = totals[:n], totals[n:]
        return RowStates(
            prompt, chosen, rejected, counts[:n, 0], counts[:n, 1], lost, cut, likelihood
        )

    def _likelihoods(self, sequences: Sequence[_Sequence]) -> Floats:
        """Log-probability of each response [n]; 0 for an empty one."""
        totals = np.zeros(len(sequences), dtype=np.float32)
        asked = [i for i, s in enumerate(sequences) if len(s.ids) > s.boundary]
        encoded = [Encoded(sequences[i].ids, sequences[i].boundary) for i in asked]
        found = score(self.checkpoint, encoded, batch_tokens=self._budget)
        totals[asked] = [probability.total for probability in found]
        return totals

    def _empty(self, n: int) -> Floats:
        width = self._model.config.get_text_config().hidden_size
        return np.zeros((n, len(self.layers), width), dtype=np.float32)

    def _one(self, passage: Passage, name: str) -> _Sequence:
        encoded = self._encode(*passage)
        return self._sequence(encoded, encoded.boundary, name)

    def _sides(self, row: TrainingRow) -> list[_Sequence]:
        """The chosen side, and the rejected one of a pair."""
        answers = [row.chosen] if row.rejected is None else [row.chosen, row.rejected]
        encoded = [self._encode(row.prompt, answer, row.templated) for answer in answers]
        boundary = min(side.boundary for side in encoded)
        return [self._sequence(side, boundary, f"row {row.id}") for side in encoded]

    def _encode(self, prompt: tuple[Message, ...], response: str, templated: bool) -> Encoded:
        return encode_exchange(self.checkpoint.tokenizer, prompt, response, templated=templated)

    def _sequence(self, encoded: Encoded, boundary: int, name: str) -> _Sequence:
        end = self._end(encoded.ids, boundary)
        kept = min(end, self.max_length)
        return _Sequence(encoded.ids[:kept], min(boundary, kept), kept < end, name)

    def _end(self, ids: list[int], boundary: int) -> int:
        """Where the special tokens that close a response begin."""
        end = len(ids)
        for position in range(end - 1, boundary - 1, -1):
            if ids[position] in self._special:
                if str(self.checkpoint.tokenizer.decode(ids[position + 1 : end])).strip():
                    break
                end = position
        return end

    def _means(
        self, sequences: Sequence[_Sequence], progress: Progress
    ) -> Iterator[tuple[Counts, Floats]]:
        """Batch by batch: which sequences [b], their means of prompt and response [b, 2, L, d]."""
        lengths = [len(sequence.ids) for sequence in sequences]
        done = lengths.count(0)
        for batch in batches(lengths, self._budget):
            members = [i for i in batch if lengths[i]]
            if not members:
                continue
            means = self._pooled([sequences[i] for i in members])
            finite = np.isfinite(means).all(axis=(1, 2, 3))
            if not finite.all():
                name = sequences[members[int(finite.argmin())]].name
                raise ModelError(
                    f"{name}: the hidden states of {self.checkpoint.path} are not finite in "
                    f"{self._model.dtype}; load it in bfloat16 or float32"
                )
            yield np.array(members), means
            done += len(members)
            progress("reading activations", done, len(sequences))

    def _pooled(self, batch: Sequence[_Sequence]) -> Floats:
        """Means over prompt and response [b, 2, L, d], summed in float32."""
        longest = max(len(sequence.ids) for sequence in batch)
        ids = torch.zeros(len(batch), longest, dtype=torch.long)
        spans = torch.zeros(len(batch), 2, longest)
        for row, (tokens, boundary, _, _) in enumerate(batch):
            ids[row, : len(tokens)] = torch.tensor(tokens)
            spans[row, 0, :boundary] = 1
            spans[row, 1, boundary : len(tokens)] = 1
        spans = spans.to(self._model.device)
        try:
            with torch.inference_mode():
                sums = self._sums(ids.to(self._model.device), spans)
        except torch.OutOfMemoryError:
            raise ModelError(
                f"{self.checkpoint.path}: out of memory with {len(batch)} rows of {longest} "
                "tokens; read fewer layers, or shorter rows"
            ) from None
        means = sums / spans.sum(dim=2).clamp(min=1)[:, :, None, None]
        array: Floats = means.cpu().numpy()
        return array

    def _sums(self, ids: torch.Tensor, spans: torch.Tensor) -> torch.Tensor:
        """Sums of the hidden states over spans [b, s, t], as [b, s, L, d]."""
        found: dict[int, torch.Tensor] = {}

        def keep(layer: int, hidden: torch.Tensor) -> None:
            found[layer] = spans @ hidden.float()
            if layer == max(self.layers):
                raise _Enough

        taps = [_tap(self._blocks, layer, partial(keep, layer)) for layer in self.layers]
        try:
            # No mask: right padding lies behind every real token, and attention is causal.
            self._decoder(input_ids=ids, use_cache=False)
        except _Enough:
            pass
        finally:
            for tap in taps:
                tap.remove()
        return torch.stack([found[layer] for layer in self.layers], dim=2)


def find_blocks(checkpoint: Checkpoint) -> torch.nn.ModuleList:
    """The transformer blocks, first to last. Raises ModelError if the model shows none."""
    depth = checkpoint.model.config.get_text_config().num_hidden_layers
    for module in _decoder(checkpoint).modules():
        if isinstance(module, torch.nn.ModuleList) and len(module) == depth:
            return module
    raise ModelError(f"{checkpoint.path}: no list of {depth} blocks in it; use another model")


def _decoder(checkpoint: Checkpoint) -> torch.nn.Module:
    """The model without its language-model head."""
    decoder: torch.nn.Module = checkpoint.model.get_decoder()  # type: ignore[no-untyped-call]
    return decoder


def _tap(blocks: torch.nn.ModuleList, layer: int, keep: Any) -> Any:
    """Hand the hidden states of a layer to `keep` as they pass."""
    if layer == 0:

        def before(_: Any, given: tuple[Any, ...], named: dict[str, Any]) -> None:
            keep(given[0] if given else named["hidden_states"])

        return blocks[0].register_forward_pre_hook(before, with_kwargs=True)

    def after(_: Any, __: Any, output: Any) -> None:
        keep(output[0] if isinstance(output, tuple) else output)

    return blocks[layer - 1].register_forward_hook(after)


def _counts(sequences: Sequence[_Sequence]) -> Counts:
    """Tokens of prompt and response [n, 2]."""
    pairs = [(s.boundary, len(s.ids) - s.boundary) for s in sequences]
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)
