"""Two answers behind one prompt, and the head at their places only, against one row at a time."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

from surfcheck.attribution.activations import find_blocks
from surfcheck.attribution.reading import passes
from surfcheck.attribution.reading.passes import FORKING, Pass
from surfcheck.attribution.reading.sequences import Fork
from surfcheck.models.checkpoint import Checkpoint

Make = Callable[[str], Checkpoint]
WINDOW = 8
LAYERS = (0, 1, 2, 4)
WIDTH, VOCABULARY = 32, 96


SHAPE: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": WIDTH,
    "intermediate_size": 64,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "initializer_range": 0.3,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
MIXED = {"sliding_window": WINDOW, "layer_types": ["sliding_attention", "full_attention"] * 2}
OWN = {
    "gemma3_text": {**MIXED, "head_dim": 8, "final_logit_softcapping": 2.0},
    "gpt_neo": {"attention_types": [[["global", "local"], 2]], "window_size": WINDOW},
    "mistral": {"sliding_window": WINDOW},
    "olmo3": MIXED,
    "phi3": {"sliding_window": WINDOW},
    "qwen2": {**MIXED, "use_sliding_window": True},
    "qwen3": {"head_dim": 8},
}
"""What a family has beside `SHAPE`: four blocks, 64 tokens, windows shorter than the rows."""
FAMILIES = sorted(FORKING)


@pytest.fixture(scope="module")
def tiny(tokenizer: PreTrainedTokenizerFast) -> Make:
    """A random checkpoint of a family, made once."""

    @cache
    def make(family: str) -> Checkpoint:
        torch.manual_seed(0)
        config = AutoConfig.for_model(family, **SHAPE, **OWN.get(family, {}))
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
        model = model.eval().requires_grad_(False)
        return Checkpoint(f"tiny-{family}", f"fingerprint-{family}", model, tokenizer, (), ())

    return make


@pytest.fixture
def forks() -> list[Fork]:
    """Long and short prompts, one answer and two, none and empty ones."""
    generator = np.random.default_rng(0)

    def ids(n: int) -> list[int]:
        return [int(token) for token in generator.integers(3, VOCABULARY, n)]

    lengths = [
        (30, 9, 14),
        (5, 12, 3),
        (0, 7, 4),
        (20, 6),
        (11, 5, 0),
        (9, 0, 5),
        (12, 1, 1),
        (6, 0, 0),
    ]
    return [
        Fork(ids(n), tuple(ids(m) for m in answers), False, f"row {i}")
        for i, (n, *answers) in enumerate(lengths)
    ]


def _oracle(base: Checkpoint, fork: Fork) -> tuple[np.ndarray, np.ndarray]:
    """Means [3, L, d] and likelihoods [2] of a fork: one whole row at a time, every state kept."""
    means, totals = np.zeros((3, len(LAYERS), WIDTH), np.float32), np.zeros(2, np.float32)
    headless = copy.deepcopy(base.model)
    decoder = headless.get_decoder()
    setattr(decoder, "ln_f" if hasattr(decoder, "ln_f") else "norm", torch.nn.Identity())
    start = len(fork.prompt)
    for which, answer in enumerate(fork.answers):
        ids = torch.tensor([[*fork.prompt, *answer]])
        with torch.no_grad():
            logits = base.model(input_ids=ids).logits[0].float().log_softmax(-1)
            hidden = headless(input_ids=ids, output_hidden_states=True).hidden_states
        states = torch.stack([hidden[layer][0] for layer in LAYERS]).float().numpy()
        if start:
            means[0] = states[:, :start].mean(axis=1)
        if answer:
            means[1 + which] = states[:, start:].mean(axis=1)
        first = max(start, 1)
        totals[which] = sum(logits[n - 1, ids[0, n]].item() for n in range(first, ids.shape[1]))
    return means, totals


def _pass(base: Checkpoint, layers: tuple[int, ...] = LAYERS) -> Pass:
    return Pass(base, find_blocks(base), layers)


def _close(a: np.ndarray, b: np.ndarray) -> None:
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4 * max(1.0, float(np.abs(b).max())))


@pytest.mark.parametrize("cpu", [True, False])
@pytest.mark.parametrize("family", FAMILIES)
def test_both_answers_behind_one_prompt_equal_one_row_at_a_time(
    family: str, cpu: bool, tiny: Make, forks: list[Fork], monkeypatch: pytest.MonkeyPatch
) -> None:
    base = tiny(family)
    if not cpu:  # as it is computed elsewhere
        monkeypatch.setattr(passes, "OnCpu", lambda *_: nullcontext())
    found = _pass(base)(forks, likelihood=True)
    early = _pass(base)(forks, likelihood=False)
    assert found.likelihood is not None
    assert early.likelihood is None
    np.testing.assert_array_equal(early.means, found.means)
    for i, fork in enumerate(forks):
        means, totals = _oracle(base, fork)
        _close(found.means[i], means)
        _close(found.likelihood[i], totals)


@pytest.mark.parametrize("family", [*FAMILIES, "gpt_neo"])
def test_answers_apart_equal_one_row_at_a_time(family: str, tiny: Make, forks: list[Fork]) -> None:
    base = tiny(family)
    alone = [one for fork in forks for one in fork.apart() if one.size]
    found = _pass(base)(alone, likelihood=True)
    assert found.likelihood is not None
    for i, fork in enumerate(alone):
        means, totals = _oracle(base, fork)
        _close(found.means[i], means)
        _close(found.likelihood[i], totals)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_the_mask_is_right_for_either_attention(
    attention: str, tiny: Make, forks: list[Fork]
) -> None:
    base = tiny("qwen2")
    model = copy.deepcopy(base.model)
    model.set_attn_implementation(attention)
    found = _pass(replace(base, model=model))(forks, likelihood=False)
    _close(found.means[0], _oracle(base, forks[0])[0])


def test_an_answer_does_not_know_the_other(tiny: Make, forks: list[Fork]) -> None:
    # And would, if it were not for the mask: the same tokens as one answer read otherwise.
    reads, fork = _pass(tiny("llama")), forks[0]
    first, second = fork.answers
    other = fork._replace(answers=(first[::-1], second))
    joined = fork._replace(answers=([*first, *second],))
    one, two = (reads([f], likelihood=False).means[0] for f in (fork, other))
    _close(two[2], one[2])
    whole = reads([joined], likelihood=False).means[0, 1]
    parts = (len(first) * one[1] + len(second) * one[2]) / len(joined.answers[0])
    assert np.abs(whole[1:] - parts[1:]).max() > 0.01


def _long(prompt: int, first: int, second: int) -> Fork:
    return Fork([3] * prompt, ([4] * first, [5] * second), False, "row")


def test_a_prompt_is_shared_where_that_is_less_work(tiny: Make) -> None:
    reads = _pass(tiny("llama"))
    assert reads.pays(_long(300, 50, 40))
    assert reads.pays(_long(20, 5, 5))
    assert not reads.pays(_long(2, 30, 300))
    assert not reads.pays(_long(0, 5, 5))
    # Where a mask hides and what it hides is computed all the same, it has to save more.
    assert reads.pays(_long(100, 150, 150))
    reads._cpu = False
    assert not reads.pays(_long(100, 150, 150))


def test_families_that_were_not_checked_read_their_answers_apart(tiny: Make) -> None:
    assert not _pass(tiny("gpt_neo")).pays(_long(40, 5, 5))
    base = tiny("llama")
    model = copy.deepcopy(base.model)
    model.config._attn_implementation = "flash_attention_2"
    assert not _pass(replace(base, model=model)).pays(_long(40, 5, 5))


@pytest.fixture
def ran(tiny: Make) -> Iterator[list[tuple[str, tuple[int, ...]]]]:
    """What of the tiny Llama ran, and on what shape."""
    base, seen = tiny("llama"), []
    named = {f"block {n}": block for n, block in enumerate(find_blocks(base))}
    named |= {"norm": base.model.get_decoder().norm, "head": base.model.lm_head}
    hooks = [
        module.register_forward_pre_hook(
            lambda _, given, named, name=name: seen.append(
                (name, tuple((given[0] if given else named["hidden_states"]).shape))
            ),
            with_kwargs=True,
        )
        for name, module in named.items()
    ]
    yield seen
    for hook in hooks:
        hook.remove()


def test_without_likelihoods_nothing_runs_behind_the_deepest_layer(
    tiny: Make, forks: list[Fork], ran: list[tuple[str, tuple[int, ...]]]
) -> None:
    _pass(tiny("llama"), (2, 1))(forks[:1], likelihood=False)
    assert ran == [("block 0", (1, 53, WIDTH)), ("block 1", (1, 53, WIDTH))]


def test_likelihoods_come_out_of_the_same_pass_with_the_head_at_answers_only(
    tiny: Make, forks: list[Fork], ran: list[tuple[str, tuple[int, ...]]]
) -> None:
    base = tiny("llama")
    _pass(base, (1,))(forks[:1], likelihood=True)
    assert [name for name, _ in ran] == ["block 0", "block 1", "block 2", "block 3", "norm", "head"]
    assert ran[-1][1] == (1, 9 + 14, WIDTH)
    # And the model is as it was.
    assert not base.model.get_decoder()._forward_hooks
    assert base.model(input_ids=torch.tensor([[3, 4]])).logits.shape == (1, 2, VOCABULARY)


def test_answers_without_a_token_have_no_likelihood(tiny: Make) -> None:
    found = _pass(tiny("llama"))([Fork([3, 4], ([], []), False, "row")], likelihood=True)
    assert found.likelihood is not None
    assert found.likelihood.tolist() == [[0.0, 0.0]]
    assert found.means[0, 0].any()
    assert not found.means[0, 1:].any()


@pytest.mark.parametrize("family", ["olmo2", "gemma3_text"])
def test_bfloat16_agrees(family: str, tiny: Make, forks: list[Fork]) -> None:
    base = tiny(family)
    coarse = replace(base, model=copy.deepcopy(base.model).to(torch.bfloat16))
    together = _pass(coarse)(forks[:1], likelihood=True)
    means, totals = _oracle(coarse, forks[0])
    assert together.likelihood is not None
    cosines = (together.means[0] * means).sum(-1) / (
        np.linalg.norm(together.means[0], axis=-1) * np.linalg.norm(means, axis=-1)
    )
    assert cosines.min() >= 0.999
    np.testing.assert_allclose(together.likelihood[0], totals, rtol=0.02)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_cuda_agrees_with_one_row_at_a_time(
    dtype: torch.dtype, family: str, tiny: Make, forks: list[Fork]
) -> None:
    base = tiny(family)
    there = replace(base, model=copy.deepcopy(base.model).to("cuda", dtype))
    found = _pass(there)(forks, likelihood=True)
    exact = dtype is torch.float32
    assert found.likelihood is not None
    for i, fork in enumerate(forks):
        means, totals = _oracle(base, fork)
        scale = max(1.0, float(np.abs(means).max()))
        np.testing.assert_allclose(found.means[i], means, atol=(1e-3 if exact else 0.1) * scale)
        np.testing.assert_allclose(found.likelihood[i], totals, rtol=1e-3 if exact else 0.1)
