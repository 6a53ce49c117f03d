"""How likely a model finds an answer: log-probabilities of its tokens under teacher forcing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from surfcheck.errors import ModelError
from surfcheck.jsonable import Record
from surfcheck.models.batches import batches
from surfcheck.models.checkpoint import Checkpoint, quiet
from surfcheck.models.template import Encoded, encode_exchange
from surfcheck.records import Prompt

LOGITS = 2**28
"""Largest number of logits (rows x tokens x vocabulary) held at once: 1 GiB in float32."""


@dataclass(frozen=True, slots=True)
class LogProbability(Record):
    """How likely a response is, token by token."""

    tokens: tuple[int, ...]
    """Ids of the response and of what the template closes the turn with."""
    values: tuple[float, ...]
    """Natural log-probability of each of them given all before it."""

    @property
    def total(self) -> float:
        """Log-probability of the whole response."""
        return math.fsum(self.values)


def log_probabilities(
    checkpoint: Checkpoint, pairs: Sequence[tuple[Prompt, str]], *, batch_tokens: int
) -> list[LogProbability]:
    """One a pair of prompt and response, in order. Raises ModelError if a pair is too long."""
    rows = [
        encode_exchange(checkpoint.tokenizer, prompt.messages, response)
        for prompt, response in pairs
    ]
    for row in rows:
        _check_length(checkpoint, len(row.ids))
    return score(checkpoint, rows, batch_tokens=batch_tokens)


def score(
    checkpoint: Checkpoint, rows: Sequence[Encoded], *, batch_tokens: int
) -> list[LogProbability]:
    """The same of rows that are encoded already and fit into the model."""
    vocabulary = checkpoint.model.config.get_text_config().vocab_size
    budget = min(batch_tokens, LOGITS // vocabulary)
    found: dict[int, LogProbability] = {}
    for batch in batches([len(row.ids) for row in rows], budget):
        found.update(zip(batch, _score(checkpoint, [rows[n] for n in batch]), strict=True))
    return [found[n] for n in range(len(rows))]


def _check_length(checkpoint: Checkpoint, length: int) -> None:
    if checkpoint.longest is not None and length > checkpoint.longest:
        raise ModelError(
            f"{checkpoint.path}: a prompt and response of {length} tokens, and the model reads at "
            f"most {checkpoint.longest}; shorten them"
        )


def _score(checkpoint: Checkpoint, rows: Sequence[Encoded]) -> list[LogProbability]:
    # Padded on the right: no token attends to what comes after it.
    device = checkpoint.model.device
    width = max(len(row.ids) for row in rows)
    ids = torch.zeros((len(rows), width), dtype=torch.long)
    mask = torch.zeros_like(ids)
    for i, row in enumerate(rows):
        ids[i, : len(row.ids)] = torch.tensor(row.ids)
        mask[i, : len(row.ids)] = 1
    try:
        with quiet(), torch.inference_mode():
            logits = checkpoint.model(
                input_ids=ids.to(device), attention_mask=mask.to(device), use_cache=False
            ).logits  # [rows, width, vocabulary]
            return [_read(row, logits[i]) for i, row in enumerate(rows)]
    except torch.OutOfMemoryError:
        raise ModelError(
            f"{checkpoint.path}: out of memory with {len(rows)} rows of {width} tokens; "
            "give a smaller batch_tokens, such as ?batch_tokens=2048"
        ) from None


def _read(row: Encoded, logits: torch.Tensor) -> LogProbability:
    first = max(row.boundary, 1)  # nothing precedes the first token of all
    response = row.ids[first:]
    spread = logits[first - 1 : len(row.ids) - 1].float().log_softmax(-1)  # [response, vocabulary]
    picked = spread.gather(1, torch.tensor(response, device=spread.device)[:, None])[:, 0]
    return LogProbability(tuple(response), tuple(picked.tolist()))
