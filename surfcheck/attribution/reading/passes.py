"""One pass of a checkpoint over a batch: means of hidden states, and how likely the answers are.

Padded on the right, where causal attention never looks. Two answers to one prompt stand one behind
the other, [prompt, first, second]: the second's positions go on from the prompt's, and a mask hides
the first from it. That is right only where attention is all that tokens know of each other and goes
by the mask it is given: in the families of `FORKING`, each held against one row at a time by a
test. The pass stops at the deepest layer that is wanted, unless likelihoods are too: then the head
runs as well, but only at the places that foretell a token of an answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from surfcheck.attribution.reading.cpu import OnCpu
from surfcheck.attribution.reading.sequences import Fork
from surfcheck.errors import ModelError
from surfcheck.models.checkpoint import Checkpoint

FORKING = frozenset(
    {"gemma3_text", "gpt2", "llama", "mistral", "olmo2", "olmo3", "phi3", "qwen2", "qwen3"}
)
"""Families that read two answers behind one prompt in one pass; all others read them apart."""
MASKED, CAUSAL = 2.7, 2.1
"""What attention to one more token takes, in units of its share of a block's operations, with a
mask and without; measured on a CPU with 650 tokens in a row."""
_LAYERWISE = frozenset({"gemma3_text", "olmo3", "qwen2", "qwen3"})  # take a mask a kind of layer
_AT_ONCE = 256  # log-probabilities whose softmax is held in float32 at once


class Found(NamedTuple):
    """What a pass finds of b forks, at L layers of width d."""

    means: npt.NDArray[np.float32]
    """Over prompt, first and second answer [b, 3, L, d]; zeros where there is no token."""
    likelihood: npt.NDArray[np.float32] | None
    """Log-probability of each answer [b, 2]; 0 where there is none; None if not asked for."""


class _Enough(Exception):
    """Every wanted layer is read: the rest of the model need not run."""


class Pass:
    """Reads a batch of forks through one checkpoint."""

    def __init__(
        self, checkpoint: Checkpoint, blocks: torch.nn.ModuleList, layers: Sequence[int]
    ) -> None:
        """`layers` are numbers from 0 to the number of `blocks`."""
        self._path, self._model = checkpoint.path, checkpoint.model
        self._decoder, self._blocks, self._layers = decoder(checkpoint), blocks, tuple(layers)
        config: Any = self._model.config
        self._config = config
        # Other kinds of attention, flash for one, have no use for such a mask.
        masked = config._attn_implementation in ("sdpa", "eager")
        self._forks = masked and config.model_type in FORKING
        self._cpu = self._model.device.type == "cpu"
        weights = sum(weight.numel() for weight in blocks[0].parameters())
        self._attention = 2 * config.get_text_config().hidden_size / weights

    def pays(self, fork: Fork) -> bool:
        """Whether two answers are read faster behind one prompt than behind one each.

        Each token of the prompt is one less for the linear layers. Attention grows with what stands
        before a token, on a GPU hidden or not: there a short prompt of long answers isn't worth it.
        """
        if not self._forks:
            return False
        first, second = fork.lengths()
        together, apart = MASKED * fork.size**2, CAUSAL * (first**2 + second**2)
        if self._cpu:
            together = CAUSAL * first**2 + MASKED * second * len(fork.answers[1])
        return bool(self._attention * (together - apart) < len(fork.prompt))

    def __call__(self, forks: Sequence[Fork], *, likelihood: bool) -> Found:
        """The states of forks that have a token each; likelihoods too if wanted.

        Raises ModelError if memory doesn't suffice.
        """
        batch = _Batch.of(forks, self._model.device)
        both = any(fork.both for fork in forks)
        masks, plain = self._masks(batch) if both else (None, None)
        way = OnCpu(forks, plain) if self._cpu else nullcontext()
        try:
            with torch.inference_mode(), way:
                return self._run(batch, masks, likelihood)
        except torch.OutOfMemoryError:
            width = batch.ids.shape[1]
            raise ModelError(
                f"{self._path}: out of memory with {len(forks)} rows of {width} tokens; read "
                "fewer layers, or shorter rows"
            ) from None

    def _run(self, batch: _Batch, masks: Any, likelihood: bool) -> Found:
        found: dict[int, torch.Tensor] = {}

        def keep(layer: int, hidden: torch.Tensor) -> None:
            found[layer] = batch.spans @ hidden.float()
            if not likelihood and layer == max(self._layers):
                raise _Enough

        taps = [_tap(self._blocks, layer, partial(keep, layer)) for layer in self._layers]
        named = (
            {"attention_mask": masks, "position_ids": batch.positions} if masks is not None else {}
        )
        totals = None
        try:
            if likelihood:
                totals = self._totals(batch, named)
            else:
                self._decoder(input_ids=batch.ids, use_cache=False, **named)
        except _Enough:
            pass
        finally:
            for tap in taps:
                tap.remove()
        sums = torch.stack([found[layer] for layer in self._layers], dim=2)
        means = sums / batch.spans.sum(dim=2).clamp(min=1)[:, :, None, None]
        return Found(means.cpu().numpy(), totals)

    def _totals(self, batch: _Batch, named: dict[str, Any]) -> npt.NDArray[np.float32]:
        """Log-probabilities of the answers [b, 2], through the model's own head."""
        row, place, token, which = batch.told.T

        def answers_only(_: Any, __: Any, output: Any) -> Any:
            output.last_hidden_state = output.last_hidden_state[row, place][None]
            return output

        hook = self._decoder.register_forward_hook(answers_only)
        try:
            logits = self._model(input_ids=batch.ids, use_cache=False, **named).logits[0]
        finally:
            hook.remove()
        values = [
            -torch.nn.functional.cross_entropy(part.float(), ids, reduction="none")
            for part, ids in zip(logits.split(_AT_ONCE), token.split(_AT_ONCE), strict=True)
        ]
        # In float64, where no order of summing shows in what is left in float32.
        totals = torch.zeros(len(batch.ids), 2, dtype=torch.float64, device=logits.device)
        totals.index_put_((row, which), torch.cat(values).double(), accumulate=True)
        array: npt.NDArray[np.float32] = totals.float().cpu().numpy()
        return array

    def _masks(self, batch: _Batch) -> tuple[Any, torch.Tensor | None]:
        """What each token sees, added to attention's scores: as the family takes it, and what of
        it hides nothing but the first answer from the second."""
        config, first = self._config, batch.spans[:, 1].bool()
        place = torch.arange(first.shape[1], device=first.device)
        # Whatever stands before the first answer is kept from seeing it by the order alone.
        seen = (place[:, None] >= place) & (first[:, :, None] | ~first[:, None, :])
        everything, near = self._added(seen), None
        # Not every family's configuration has the field, and not every model of it uses windows.
        if window := getattr(config, "sliding_window", None):
            apart = batch.positions[:, :, None] - batch.positions[:, None, :]
            near = self._added(seen & (apart < window))
        if config.model_type in _LAYERWISE:
            return {"full_attention": everything, "sliding_attention": near}, everything
        return (everything, everything) if near is None else (near, None)

    def _added(self, seen: torch.Tensor) -> torch.Tensor:
        """0 where a token sees another, the lowest number where not [b, 1, t, t]."""
        dtype = self._model.dtype
        mask = torch.zeros(seen.shape, dtype=dtype, device=seen.device)
        return mask.masked_fill_(~seen, torch.finfo(dtype).min)[:, None]


class _Batch(NamedTuple):
    """b forks as tensors of t tokens, padded on the right."""

    ids: torch.Tensor
    """Token ids [b, t]."""
    positions: torch.Tensor
    """How many tokens of its own conversation stand before each [b, t]."""
    spans: torch.Tensor
    """1 where a token belongs to the prompt, the first or the second answer [b, 3, t]."""
    told: torch.Tensor
    """Of each token in an answer that has one before it: the row, the place of that one, the
    token's id, and which answer [m, 4]."""

    @classmethod
    def of(cls, forks: Sequence[Fork], device: torch.device) -> _Batch:
        """The forks' tensors on a device."""
        longest = max(fork.size for fork in forks)
        ids = torch.zeros(len(forks), longest, dtype=torch.long)
        positions, spans = torch.zeros_like(ids), torch.zeros(len(forks), 3, longest)
        told: list[tuple[int, int, int, int]] = []
        for row, fork in enumerate(forks):
            place = length = len(fork.prompt)
            _put(ids[row], 0, fork.prompt)
            _put(positions[row], 0, range(length))
            spans[row, 0, :length] = 1
            for which, answer in enumerate(fork.answers):
                end = place + len(answer)
                _put(ids[row], place, answer)
                _put(positions[row], place, range(length, length + len(answer)))
                spans[row, 1 + which, place:end] = 1
                befores = [length - 1, *range(place, end - 1)]
                told += [
                    (row, before, token, which)
                    for before, token in zip(befores, answer, strict=False)
                    if before >= 0
                ]
                place = end
        where = torch.tensor(told, dtype=torch.long).reshape(-1, 4)
        return cls(*(tensor.to(device) for tensor in (ids, positions, spans, where)))


def decoder(checkpoint: Checkpoint) -> torch.nn.Module:
    """The model without its language-model head."""
    found: torch.nn.Module = checkpoint.model.get_decoder()  # type: ignore[no-untyped-call]
    return found


def _put(row: torch.Tensor, place: int, values: Sequence[int]) -> None:
    row[place : place + len(values)] = torch.tensor(values, dtype=row.dtype)


def _tap(blocks: torch.nn.ModuleList, layer: int, keep: Any) -> Any:
    """Hand the hidden states of a layer to `keep` as they pass."""
    if layer == 0:

        def before(_: Any, given: tuple[Any, ...], named: dict[str, Any]) -> None:
            keep(given[0] if given else named["hidden_states"])

        return blocks[0].register_forward_pre_hook(before, with_kwargs=True)

    def after(_: Any, __: Any, output: Any) -> None:
        keep(output[0] if isinstance(output, tuple) else output)

    return blocks[layer - 1].register_forward_hook(after)
