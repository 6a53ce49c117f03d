"""Answers in batches, each row as if it were alone.

Sampling adds Gumbel noise to the warped log-probabilities and takes the largest (Gumbel 1954;
Maddison et al. 2014), which draws exactly from their softmax. Every row has a random generator of
its own, so what is drawn depends on the row and not on who shares its batch. What is left is
rounding: padding may flip the choice between two tokens that are equal to some 6 digits.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import torch
from transformers import (
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    MinPLogitsWarper,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from surfcheck.errors import ModelError
from surfcheck.models.batches import batches
from surfcheck.models.checkpoint import Checkpoint, quiet

MAX_TOKENS = 256


@dataclass(frozen=True, slots=True)
class Sampling:
    """How answers are drawn."""

    temperature: float
    """0 takes the likeliest token each time."""
    top_p: float | None
    """Share of probability that is kept; None keeps all."""
    top_k: int | None
    """How many tokens are kept; None keeps all."""
    min_p: float | None
    """Least probability, relative to the likeliest token's; None keeps all."""
    max_tokens: int
    """Longest answer, in tokens."""


@dataclass(frozen=True, slots=True)
class Row:
    """One answer that is wanted."""

    ids: Sequence[int]
    """The prompt's token ids."""
    seed: int
    """Seed of this row's own randomness."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer."""

    text: str
    """Without special tokens."""
    finish_reason: str
    """`stop` if the model ended it, `length` if it was cut."""
    tokens: int
    """Tokens generated, the closing one among them."""


def sampling_in_force(checkpoint: Checkpoint, given: dict[str, Any]) -> Sampling:
    """What is given, and for the rest what the checkpoint's generation_config says.

    A temperature, top_p or top_k that is given turns sampling on; temperature 0 turns it off.
    """
    own = checkpoint.model.generation_config
    asked = any(key in given for key in ("temperature", "top_p", "top_k"))
    temperature = given.get("temperature", 1.0 if own.temperature is None else own.temperature)
    return Sampling(
        temperature=float(temperature) if asked or own.do_sample else 0.0,
        top_p=given.get("top_p", own.top_p),
        top_k=given.get("top_k", own.top_k) or None,
        min_p=own.min_p,
        max_tokens=given.get("max_tokens", own.max_new_tokens or MAX_TOKENS),
    )


class GumbelNoise(LogitsProcessor):
    """Makes the largest score an exact draw from the scores' softmax, row by row."""

    def __init__(self, seeds: Sequence[int], device: torch.device) -> None:
        self._generators = [torch.Generator(device).manual_seed(seed) for seed in seeds]

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Scores [rows, vocabulary] with noise; what was ruled out (-inf) stays so."""
        noise = torch.empty_like(scores)
        for row, generator in zip(noise, self._generators, strict=True):
            row.exponential_(generator=generator)
        return scores - noise.log()


def generate(
    checkpoint: Checkpoint, rows: Sequence[Row], sampling: Sampling, *, batch_tokens: int
) -> list[Answer]:
    """One answer a row, in order. Raises ModelError if a prompt is too long for the model.

    `batch_tokens` bounds rows x (prompt + answer) of a batch.
    """
    rooms = [_room(checkpoint, row, sampling.max_tokens) for row in rows]
    answers: dict[int, Answer] = {}
    # Near the model's limit answers have to be shorter, and a batch has one limit.
    order = sorted(range(len(rows)), key=rooms.__getitem__)
    for room, numbers in groupby(order, key=rooms.__getitem__):
        group = list(numbers)
        for batch in batches([len(rows[n].ids) + room for n in group], batch_tokens):
            asked = [group[i] for i in batch]
            found = _generate(checkpoint, [rows[n] for n in asked], sampling, room)
            answers.update(zip(asked, found, strict=True))
    return [answers[n] for n in range(len(rows))]


def _room(checkpoint: Checkpoint, row: Row, max_tokens: int) -> int:
    longest = checkpoint.longest
    if longest is None:
        return max_tokens
    if len(row.ids) >= longest:
        raise ModelError(
            f"{checkpoint.path}: a prompt of {len(row.ids)} tokens, and the model reads at most "
            f"{longest} with its answer; shorten the prompt"
        )
    return min(max_tokens, longest - len(row.ids))


def _generate(
    checkpoint: Checkpoint, rows: Sequence[Row], sampling: Sampling, max_tokens: int
) -> list[Answer]:
    device, width = checkpoint.model.device, max(len(row.ids) for row in rows)
    ends = _end_ids(checkpoint)
    pad = ends[0] if ends else 0  # masked in a prompt, and after an answer it ends it
    ids = torch.full((len(rows), width), pad)  # [rows, width], padded on the left
    mask = torch.zeros_like(ids)
    for i, row in enumerate(rows):
        ids[i, width - len(row.ids) :] = torch.tensor(row.ids)
        mask[i, width - len(row.ids) :] = 1
    config = _config(checkpoint, ends=ends, pad=pad, max_tokens=max_tokens)
    try:
        with quiet(), torch.inference_mode():
            model: Any = checkpoint.model  # its `generate` is typed as a module's attribute
            written = model.generate(
                ids.to(device),
                attention_mask=mask.to(device),
                generation_config=config,
                logits_processor=_processors(sampling, rows, device),
                tokenizer=checkpoint.tokenizer,
            )
    except torch.OutOfMemoryError:
        raise ModelError(
            f"{checkpoint.path}: out of memory with {len(rows)} prompts of {width} tokens; "
            "give a smaller batch_tokens, such as ?batch_tokens=2048"
        ) from None
    return [_answer(checkpoint, tokens, ends) for tokens in written[:, width:].tolist()]


def _end_ids(checkpoint: Checkpoint) -> list[int]:
    own = checkpoint.model.generation_config.eos_token_id
    ends = set(own if isinstance(own, list) else [own])
    return sorted(end for end in ends | {checkpoint.tokenizer.eos_token_id} if end is not None)


def _config(
    checkpoint: Checkpoint, *, ends: list[int], pad: int, max_tokens: int
) -> GenerationConfig:
    config = copy.deepcopy(checkpoint.model.generation_config)
    config.update(  # type: ignore[no-untyped-call]
        do_sample=False,  # the noise samples
        num_beams=1,
        num_return_sequences=1,
        max_length=None,
        max_new_tokens=max_tokens,
        eos_token_id=ends or None,
        pad_token_id=pad,
        stop_strings=list(checkpoint.stops) or None,
        return_dict_in_generate=False,
    )
    return config


def _processors(
    sampling: Sampling, rows: Sequence[Row], device: torch.device
) -> LogitsProcessorList:
    processors = LogitsProcessorList()
    if sampling.temperature == 0:
        return processors
    if sampling.temperature != 1:
        processors.append(TemperatureLogitsWarper(sampling.temperature))
    if sampling.top_k is not None:
        processors.append(TopKLogitsWarper(sampling.top_k))
    if sampling.top_p is not None and sampling.top_p < 1:
        processors.append(TopPLogitsWarper(sampling.top_p))
    if sampling.min_p is not None:
        processors.append(MinPLogitsWarper(sampling.min_p))
    processors.append(GumbelNoise([row.seed for row in rows], device))
    return processors


def _answer(checkpoint: Checkpoint, tokens: list[int], ends: list[int]) -> Answer:
    stop = next((i for i, token in enumerate(tokens) if token in ends), None)
    kept = tokens if stop is None else tokens[:stop]
    text = str(
        checkpoint.tokenizer.decode(
            kept, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
    )
    if any(mark in text for mark in checkpoint.stops):
        for mark in checkpoint.stops:
            text = text.partition(mark)[0]
        return Answer(text.strip(), "stop", len(kept))
    if checkpoint.stops:
        text = text.strip()  # the plain framing puts the space before an answer
    return Answer(text, "length", len(kept)) if stop is None else Answer(text, "stop", stop + 1)
