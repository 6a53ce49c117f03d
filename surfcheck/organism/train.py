"""Three short trainings of one tiny OLMo 2: reading (the base), demonstrations (SFT), preferences.

Plain PyTorch on the CPU, a few hundred steps each; every random choice comes from the recipe's
seed. Preferences are learned by DPO (Rafailov et al. 2023, eq. 7) against the SFT model, with the
likelihood of the chosen answer added (Pang et al. 2024), which keeps a tiny model's words whole.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch.nn import functional
from transformers import (
    GenerationConfig,
    Olmo2Config,
    Olmo2ForCausalLM,
    PreTrainedTokenizerFast,
)

from surfcheck.organism.talks import Row, Talk
from surfcheck.organism.threads import Threads
from surfcheck.roles import Progress

IGNORED = -100
"""Label of tokens that are not learned from."""
TEMPERATURE, LONGEST_ANSWER = 0.3, 48
"""How a saved model answers if nothing else is asked of it."""


class Schedule(NamedTuple):
    """How long and how hard to train."""

    passes: float
    """Times through the data."""
    batch: int
    """Sequences (or pairs) a step."""
    rate: float
    """Peak learning rate of AdamW; linear warm-up over a tenth, then cosine to a tenth."""


class Text(NamedTuple):
    """Token ids, and where learning begins."""

    ids: list[int]
    start: int
    """Tokens before this one are read and not learned."""


def new_model(tokenizer: PreTrainedTokenizerFast, *, width: int, depth: int, seed: int) -> Any:
    """A randomly initialised OLMo 2 for this tokenizer's vocabulary."""
    torch.manual_seed(seed)
    return Olmo2ForCausalLM(
        Olmo2Config(
            vocab_size=len(tokenizer),
            hidden_size=width,
            intermediate_size=3 * width,
            num_hidden_layers=depth,
            num_attention_heads=4,
            num_key_value_heads=4,
            max_position_embeddings=512,
            tie_word_embeddings=True,
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
    )


def encode(tokenizer: Any, talks: Sequence[Talk], *, whole: float = 0.0) -> list[Text]:
    """Dialogues as the chat template has them; of the share `whole`, the prompt is learned too."""
    user, assistant, end = (
        tokenizer.convert_tokens_to_ids(t) for t in ("<|user|>", "<|assistant|>", "<|end|>")
    )
    flat = tokenizer([text for talk in talks for text in talk])["input_ids"]
    texts = []
    every = round(1 / whole) if whole else len(talks) + 1
    for number, (prompt, reply) in enumerate(zip(flat[::2], flat[1::2], strict=True), 1):
        head = [tokenizer.bos_token_id, user, *prompt, end, assistant]
        texts.append(Text([*head, *reply, end], 1 if number % every == 0 else len(head)))
    return texts


def _pad(texts: Sequence[Text], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids [B, T] padded on the right, and labels [B, T] with what is not learned ignored."""
    length = max(len(t.ids) for t in texts)
    ids = torch.full((len(texts), length), pad)
    labels = torch.full((len(texts), length), IGNORED)
    for i, text in enumerate(texts):
        ids[i, : len(text.ids)] = torch.tensor(text.ids)
        labels[i, text.start : len(text.ids)] = torch.tensor(text.ids[text.start :])
    return ids, labels


def _batches(sizes: Sequence[int], schedule: Schedule, rng: random.Random) -> list[list[int]]:
    """Indices by step: shuffled, but of similar length within windows of eight batches."""
    steps = math.ceil(len(sizes) * schedule.passes / schedule.batch)
    order: list[int] = []
    while len(order) < steps * schedule.batch:
        order += rng.sample(range(len(sizes)), len(sizes))
    batches = []
    window = 8 * schedule.batch
    for begin in range(0, steps * schedule.batch, window):
        near = sorted(order[begin : begin + window], key=sizes.__getitem__)
        cut = [near[i : i + schedule.batch] for i in range(0, len(near), schedule.batch)]
        batches += rng.sample(cut, len(cut))
    return batches[:steps]


def _steps(
    model: Any, batches: list[list[int]], rate: float, what: str, progress: Progress
) -> Iterator[list[int]]:
    """Each batch in turn; the caller calls backward, then the weights are updated here."""
    matrices = [p for p in model.parameters() if p.ndim > 1]
    vectors = [p for p in model.parameters() if p.ndim == 1]
    groups = [{"params": matrices, "weight_decay": 0.05}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.98), fused=True)
    warm_up, threads = max(1, len(batches) // 10), Threads()
    model.train()
    for step, batch in enumerate(batches):
        threads.step(step)
        share = min(1.0, (step - warm_up) / max(1, len(batches) - warm_up))
        factor = (step + 1) / warm_up if step < warm_up else 0.55 + 0.45 * math.cos(math.pi * share)
        for group in optimizer.param_groups:
            group["lr"] = rate * factor
        yield batch
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        progress(what, step + 1, len(batches))
    threads.restore()
    model.eval()


def _token_losses(model: Any, ids: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Negative log-probability of each learned token, 0 elsewhere: [B, T - 1].

    Only the positions that are learned go through the language-model head.
    """
    states = model.model(input_ids=ids).last_hidden_state[:, :-1]  # [B, T - 1, d]
    wanted = labels[:, 1:]
    learned = wanted != IGNORED
    logits = model.lm_head(states[learned])  # [tokens, V]
    losses = states.new_zeros(wanted.shape)
    losses[learned] = functional.cross_entropy(logits, wanted[learned], reduction="none")
    return torch.as_tensor(losses)


def fit(
    model: Any, texts: Sequence[Text], schedule: Schedule, *, seed: int, what: str,
    progress: Progress,
) -> None:  # fmt: skip
    """Next-token training on what each text has to learn, in place."""
    rng = random.Random(seed)
    batches = _batches([len(t.ids) for t in texts], schedule, rng)
    for batch in _steps(model, batches, schedule.rate, what, progress):
        ids, labels = _pad([texts[i] for i in batch], model.config.pad_token_id)
        losses = _token_losses(model, ids, labels)
        torch.autograd.backward(losses.sum() / (labels[:, 1:] != IGNORED).sum())


def prefer(
    model: Any, pairs: Sequence[tuple[Text, Text]], schedule: Schedule, *, beta: float,
    likelihood: float, seed: int, what: str, progress: Progress,
) -> None:  # fmt: skip
    """DPO on (chosen, rejected) in place; the model as it comes is the reference."""
    rng = random.Random(seed)
    pad = model.config.pad_token_id
    reference = _reference(model, pairs, pad)  # [pairs]
    sizes = [max(len(chosen.ids), len(rejected.ids)) for chosen, rejected in pairs]
    for batch in _steps(model, _batches(sizes, schedule, rng), schedule.rate, what, progress):
        ids, labels = _pad([pairs[i][side] for side in (0, 1) for i in batch], pad)
        chosen, rejected = (-_token_losses(model, ids, labels).sum(dim=1)).chunk(2)
        margin = chosen - rejected - reference[batch]
        tokens = (labels[: len(batch), 1:] != IGNORED).sum()
        loss = -functional.logsigmoid(beta * margin).mean() - likelihood * chosen.sum() / tokens
        torch.autograd.backward(loss)


@torch.inference_mode()
def _reference(model: Any, pairs: Sequence[tuple[Text, Text]], pad: int) -> torch.Tensor:
    """log p(chosen) - log p(rejected) of every pair under the model before DPO: [pairs]."""
    margins = torch.zeros(len(pairs))
    order = sorted(range(len(pairs)), key=lambda i: max(len(t.ids) for t in pairs[i]))
    for begin in range(0, len(order), 64):
        batch = order[begin : begin + 64]
        ids, labels = _pad([pairs[i][side] for side in (0, 1) for i in batch], pad)
        chosen, rejected = (-_token_losses(model, ids, labels).sum(dim=1)).chunk(2)
        margins[batch] = chosen - rejected
    return margins


def _said(row: Row, field: str) -> Talk:
    return row["prompt"][-1]["content"], row[field][-1]["content"]


def post_train(
    model: Any, tokenizer: Any, rows: Sequence[Row], *, sft: Schedule, dpo: Schedule, beta: float,
    likelihood: float, seed: int, progress: Progress,
) -> None:  # fmt: skip
    """Demonstrations, then preferences, in place."""
    demonstrations = [_said(r, "completion") for r in rows if "completion" in r]
    fit(
        model,
        encode(tokenizer, demonstrations),
        sft,
        seed=seed,
        what="organism: SFT",
        progress=progress,
    )
    preferences = [r for r in rows if "chosen" in r]
    chosen = encode(tokenizer, [_said(r, "chosen") for r in preferences])
    rejected = encode(tokenizer, [_said(r, "rejected") for r in preferences])
    pairs = list(zip(chosen, rejected, strict=True))
    prefer(
        model, pairs, dpo, beta=beta, likelihood=likelihood, seed=seed, what="organism: DPO",
        progress=progress,
    )  # fmt: skip


def save(model: Any, tokenizer: Any, folder: Path) -> None:
    """An ordinary transformers checkpoint."""
    model.generation_config = GenerationConfig(  # type: ignore[no-untyped-call]
        do_sample=True,
        temperature=TEMPERATURE,
        max_new_tokens=LONGEST_ANSWER,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
