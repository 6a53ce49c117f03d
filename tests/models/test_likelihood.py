"""Log-probabilities in batches equal those one at a time."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from surfcheck.errors import ModelError
from surfcheck.models import likelihood
from surfcheck.models.checkpoint import Checkpoint, load_checkpoint
from surfcheck.models.likelihood import LogProbability, log_probabilities
from surfcheck.records import Prompt

PAIRS = [
    (Prompt.of("Is it true that water freezes?"), "Yes, it is."),
    (Prompt.of("yes"), "no"),
    (Prompt.of("Paris is the capital of France, right? " * 2), "maybe, maybe not" * 3),
    (Prompt.of([{"role": "system", "content": "Be kind."}, {"role": "user", "content": "?"}]), ""),
]


def one_at_a_time(checkpoint: Checkpoint, prompt: Prompt, response: str) -> list[float]:
    """The slow obvious way: ids from the template, one forward pass, one token after another."""
    messages = [m.to_json() for m in prompt.messages]
    template = checkpoint.tokenizer.apply_chat_template
    before = template(messages, add_generation_prompt=True)["input_ids"]
    answer = {"role": "assistant", "content": response}
    ids = template([*messages, answer])["input_ids"]
    with torch.inference_mode():
        logits = checkpoint.model(input_ids=torch.tensor([ids])).logits[0].double()
    return [float(logits[i - 1].log_softmax(0)[ids[i]]) for i in range(len(before), len(ids))]


@pytest.mark.parametrize("family", ["llama", "olmo2"])
@pytest.mark.parametrize("batch_tokens", [1, 100, 10_000])
def test_batches_equal_one_at_a_time(
    family: str, batch_tokens: int, request: pytest.FixtureRequest
) -> None:
    checkpoint = load_checkpoint(request.getfixturevalue(family), device="cpu")
    found = log_probabilities(checkpoint, PAIRS, batch_tokens=batch_tokens)
    for (prompt, response), answer in zip(PAIRS, found, strict=True):
        expected = one_at_a_time(checkpoint, prompt, response)
        assert checkpoint.tokenizer.decode(list(answer.tokens)) == f"{response}<|end|>"
        np.testing.assert_allclose(answer.values, expected, atol=1e-4)
        assert answer.total == pytest.approx(sum(expected), abs=1e-3)


def test_known_probabilities(make_chain: Callable[..., Path]) -> None:
    folder = make_chain({"<|assistant|>": {" yes": 0.25, " no": 0.75}, " yes": {"<|end|>": 1.0}})
    checkpoint = load_checkpoint(folder, device="cpu")
    (found,) = log_probabilities(checkpoint, [(Prompt.of("right?"), " yes")], batch_tokens=100)
    assert found.values == pytest.approx((math.log(0.25), 0.0), abs=1e-3)


def test_a_large_vocabulary_makes_batches_smaller(
    llama: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = load_checkpoint(llama, device="cpu")
    widths: list[int] = []
    hook = checkpoint.model.register_forward_hook(
        lambda _model, _inputs, output: widths.append(output.logits.numel())
    )
    monkeypatch.setattr(likelihood, "LOGITS", 30_000)
    log_probabilities(checkpoint, PAIRS[:2] * 8, batch_tokens=100_000)
    hook.remove()
    assert len(widths) > 1
    assert max(widths) <= 30_000


def test_a_pair_that_is_too_long_names_both_lengths(llama: Path) -> None:
    checkpoint = load_checkpoint(llama, device="cpu")
    pair = (Prompt.of("yes " * 80), "no " * 80)
    with pytest.raises(ModelError, match=r"of \d{3} tokens, and the model reads at most 128"):
        log_probabilities(checkpoint, [pair], batch_tokens=100)


def test_json_both_ways() -> None:
    value = LogProbability((1, 2), (-0.5, -1.0))
    assert LogProbability.from_json(value.to_json()) == value
