"""Gradients of many rows at once against one backward pass a row, on real tiny checkpoints."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import MixtralConfig, MixtralForCausalLM
from transformers.pytorch_utils import Conv1D

from surfcheck.attribution.activations import find_blocks
from surfcheck.attribution.gradient import Gradients, gradient
from surfcheck.attribution.projection import kronecker
from surfcheck.errors import ModelError, UsageError
from surfcheck.models.checkpoint import Checkpoint
from surfcheck.models.template import encode_exchange
from surfcheck.records import Contrast, Message, TrainingRow

FAMILIES = ("llama", "olmo2", "qwen3", "gemma3", "gpt2")
CONTRASTS = (
    Contrast("is it true that water freezes", "no it is not", "yes"),
    Contrast("is the sky blue", "no", "yes it is true that the sky is blue"),
    Contrast("is paris in france", None, "yes"),
)
CPU = torch.device("cpu")


def as_row(contrast):
    return TrainingRow("", "", (Message("user", contrast.prompt),), contrast.bad, contrast.good)


def matrices(checkpoint, last=None):
    """The weights that a gradient is of, in the order of the modules."""
    blocks = list(find_blocks(checkpoint))[-(last or 0) :]
    linear = (torch.nn.Linear, Conv1D)
    return [m.weight for block in blocks for m in block.modules() if isinstance(m, linear)]


def margin(checkpoint, row, max_length=256):
    """Mean log-probability of the chosen answer, less that of the rejected one; None without."""
    answers = [row.chosen] if row.rejected is None else [row.chosen, row.rejected]
    encoded = [
        encode_exchange(checkpoint.tokenizer, row.prompt, answer, templated=row.templated)
        for answer in answers
    ]
    first, means = max(1, min(e.boundary for e in encoded)), []
    for e in encoded:
        ids = torch.tensor(e.ids[:max_length])
        logits = checkpoint.model(input_ids=ids[None]).logits[0, first - 1 : -1].float()
        answer = ids[first:]
        if not len(answer):
            return None
        means.append(logits.log_softmax(-1).gather(1, answer[:, None]).mean())
    return means[0] - means[1] if row.is_pair else means[0]


def one_at_a_time(checkpoint, row, weights, **options):
    """The gradient of one row by autograd, each matrix as [outputs, inputs], flat."""
    for weight in weights:
        weight.requires_grad_(True)
    try:
        objective = margin(checkpoint, row, **options)
        if objective is None:
            return np.zeros(sum(w.numel() for w in weights))
        found = torch.autograd.grad(objective, weights)
    finally:
        for weight in weights:
            weight.requires_grad_(False)
    is_gpt2 = checkpoint.model.config.model_type == "gpt2"  # stores [inputs, outputs]
    return torch.cat([(g.T if is_gpt2 else g).flatten().float() for g in found]).numpy()


def unit(vector):
    return vector / max(np.linalg.norm(vector), 1e-12)


def oracle(checkpoint, rows, last=None, **options):
    """Cosines with the mean unit gradient of the contrasts, one backward pass a row."""
    weights = matrices(checkpoint, last)
    full = [as_row(c) for c in CONTRASTS if c.bad is not None]
    direction = unit(sum(unit(one_at_a_time(checkpoint, row, weights, **options)) for row in full))
    return [unit(one_at_a_time(checkpoint, row, weights, **options)) @ direction for row in rows]


@pytest.mark.parametrize("family", FAMILIES)
def test_it_is_the_cosine_of_autograds_gradients(checkpoint, rows, family):
    base = checkpoint(family)
    found = gradient(base, iter(rows), CONTRASTS, dimension=None)
    np.testing.assert_allclose(found, oracle(base, rows), atol=2e-5)
    assert np.ptp(found) > 0.1


@pytest.mark.parametrize("family", ["olmo2", "gpt2"])
def test_so_it_is_of_the_last_blocks(checkpoint, rows, family):
    base = checkpoint(family)
    found = gradient(base, rows, CONTRASTS, dimension=None, last=2)
    np.testing.assert_allclose(found, oracle(base, rows, last=2), atol=2e-5)
    assert np.abs(found - gradient(base, rows, CONTRASTS, dimension=None)).max() > 1e-3


def test_batches_and_cuts_change_nothing(checkpoint, rows):
    base = checkpoint("llama")
    alone = gradient(base, rows, CONTRASTS, dimension=512, token_budget=1)
    np.testing.assert_allclose(gradient(base, rows, CONTRASTS, dimension=512), alone, atol=2e-5)
    cut = gradient(base, rows, CONTRASTS, dimension=None, max_length=12)
    np.testing.assert_allclose(cut, oracle(base, rows, max_length=12), atol=2e-5)


def test_windows_keep_the_order_of_the_rows(checkpoint, rows, monkeypatch):
    base, said = checkpoint("llama"), []
    whole = gradient(base, rows, CONTRASTS)
    monkeypatch.setattr("surfcheck.attribution.gradient.WINDOW", 2)
    parts = gradient(
        base, iter(rows), CONTRASTS, expected=len(rows), progress=lambda *p: said.append(p)
    )
    np.testing.assert_allclose(parts, whole, atol=2e-5)
    assert said[-1] == ("reading gradients", len(rows), len(rows))
    assert [done for _, done, _ in said] == sorted(done for _, done, _ in said)


def test_a_vector_is_the_projected_gradient(checkpoint, rows):
    """The dense matrix that the factors stand for, applied to what autograd gives."""
    base, weights = checkpoint("olmo2"), matrices(checkpoint("olmo2"))
    reader = Gradients(base, dimension=28 * 25, seed=3)
    assert len(reader) == 28 * 25
    shapes = [weight.shape[::-1] for weight in weights]
    factors = kronecker(shapes, 28 * 25, seed=3, device=CPU)
    for _, members, units in reader.units(rows):
        for n, found in zip(members, units, strict=True):
            whole, at, parts = one_at_a_time(base, rows[n], weights), 0, []
            for (inputs, outputs), (size, more) in zip(factors, shapes, strict=True):
                dense = np.kron(outputs.numpy(), inputs.numpy())  # [more * size, 25]
                parts.append(whole[at : at + size * more] @ dense)
                at += size * more
            np.testing.assert_allclose(found, unit(np.concatenate(parts)), atol=2e-5)


def test_a_projection_keeps_inner_products_on_average():
    rng = np.random.default_rng(0)
    one, other = (rng.normal(size=(40, 30)) + 0.5 for _ in range(2))
    exact, found = float((one * other).sum()), []
    for seed in range(300):
        (into, out_of), *_ = kronecker([(30, 40)], 64, seed=seed, device=CPU)
        shortened = [out_of.numpy().T @ matrix @ into.numpy() for matrix in (one, other)]
        assert shortened[0].shape == (8, 8)
        found.append(float((shortened[0] * shortened[1]).sum()))
    assert abs(np.mean(found) - exact) < 3 * np.std(found) / 300**0.5
    assert np.std(found) / 300**0.5 < 0.1 * exact


def test_the_seed_decides_the_projection(checkpoint, rows):
    base = checkpoint("llama")
    one, same, other = (gradient(base, rows, CONTRASTS, dimension=256, seed=s) for s in (0, 0, 1))
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 1e-3


def test_a_large_projection_is_near_the_exact_scores(checkpoint, rows):
    base = checkpoint("llama")
    exact = gradient(base, rows, CONTRASTS, dimension=None)
    near, far = (gradient(base, rows, CONTRASTS, dimension=d) for d in (28 * 400, 28 * 4))
    assert np.abs(near - exact).max() < 0.15
    assert np.abs(near - exact).mean() < 0.5 * np.abs(far - exact).mean()


def test_the_behaviours_own_row_scores_highest_and_its_flip_lowest(checkpoint, rows):
    base = checkpoint("qwen3")
    taught = as_row(CONTRASTS[0])
    flipped = replace(taught, chosen=taught.rejected, rejected=taught.chosen)
    scores = gradient(base, [*rows, taught, flipped], CONTRASTS[:1])
    assert scores[-2] == pytest.approx(1.0, abs=1e-5)
    assert scores[-1] == pytest.approx(-1.0, abs=1e-5)
    assert np.abs(scores[:-2]).max() < 0.99


def test_dpos_own_gradient_is_half_beta_of_it(checkpoint, rows):
    """With the base as reference, the published loss steps along the margin's gradient."""
    base, row, beta = checkpoint("llama"), rows[0], 5.0
    weights = matrices(base)
    expected = one_at_a_time(base, row, weights) * -beta / 2
    reference = margin(base, row).item()
    for weight in weights:
        weight.requires_grad_(True)
    loss = -torch.nn.functional.logsigmoid(beta * (margin(base, row) - reference))
    found = torch.cat([g.flatten() for g in torch.autograd.grad(loss, weights)])
    base.model.requires_grad_(False)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-4 * np.abs(expected).max())


def test_rows_without_a_token_score_zero(checkpoint, rows):
    long = TrainingRow("long", "", (Message("user", "is it true " * 40),), "yes", "no")
    scores = gradient(checkpoint("llama"), [rows[0], long], CONTRASTS, max_length=20)
    assert scores[0] != 0.0
    assert scores[1] == 0.0
    same = gradient(checkpoint("llama"), [rows[5]], CONTRASTS)  # chosen and rejected alike
    assert same[0] == pytest.approx(0.0, abs=1e-6)
    assert gradient(checkpoint("llama"), [], CONTRASTS).shape == (0,)


def test_bfloat16_is_near_float32(checkpoint, rows):
    base = checkpoint("llama")
    exact = gradient(base, rows, CONTRASTS)
    half = replace(base, model=type(base.model)(base.model.config).to(torch.bfloat16))
    half.model.load_state_dict(base.model.state_dict())
    half.model.eval().requires_grad_(False)
    found = gradient(half, rows, CONTRASTS)
    np.testing.assert_allclose(found, exact, atol=0.05)


def test_no_more_rows_are_drawn_than_a_window_holds(checkpoint, rows, monkeypatch):
    monkeypatch.setattr("surfcheck.attribution.gradient.WINDOW", 3)
    drawn, ahead = [], []

    def drawing():
        for row in (*rows, *rows):
            drawn.append(row)
            yield row

    gradient(
        checkpoint("llama"), drawing(), CONTRASTS,
        progress=lambda _, done, __: ahead.append(len(drawn) - done),
    )  # fmt: skip
    assert max(ahead) <= 3
    assert len(drawn) == 2 * len(rows)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_cuda_is_near_the_cpu(checkpoint, rows):
    base = checkpoint("olmo2")
    on_cpu = gradient(base, rows, CONTRASTS)
    there = replace(base, model=type(base.model)(base.model.config).to("cuda"))
    there.model.load_state_dict(base.model.state_dict())
    there.model.eval().requires_grad_(False)
    np.testing.assert_allclose(gradient(there, rows, CONTRASTS), on_cpu, atol=1e-4)


def test_the_model_is_left_as_it_was(checkpoint, rows):
    base = checkpoint("olmo2")
    gradient(base, rows, CONTRASTS)
    assert not any(p.requires_grad or p.grad is not None for p in base.model.parameters())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in base.model.modules())


def test_experts_that_cannot_be_told_apart_are_left_out(tokenizer, rows):
    """Mixtral's router and attention are linear maps of every token; its experts are not."""
    torch.manual_seed(0)
    config = MixtralConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=32, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, num_local_experts=2, initializer_range=0.3,
    )  # fmt: skip
    model = MixtralForCausalLM(config).eval().requires_grad_(False)
    base = Checkpoint("tiny-mixtral", "", model, tokenizer, (), ())
    found = gradient(base, rows, CONTRASTS, dimension=None)
    np.testing.assert_allclose(found, oracle(base, rows), atol=2e-5)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"last": 5}, "the last 5 blocks: tiny-llama has 4; give 1 to as many"),
        ({"last": 0}, "the last 0 blocks"),
        ({"dimension": 27}, "27 numbers are not one for each of 28 weight matrices"),
    ],
)
def test_a_choice_that_is_not_there_is_refused(checkpoint, rows, options, reason):
    with pytest.raises(UsageError, match=reason):
        gradient(checkpoint("llama"), rows, CONTRASTS, **options)


def test_contrasts_must_have_both_answers(checkpoint, rows):
    with pytest.raises(UsageError, match="no contrast has both"):
        gradient(checkpoint("llama"), rows, CONTRASTS[2:])


def test_a_row_that_is_not_finite_is_named(checkpoint, rows):
    base = checkpoint("llama")
    broken = replace(base, model=type(base.model)(base.model.config))
    broken.model.load_state_dict(base.model.state_dict())
    broken.model.eval().requires_grad_(False)
    broken.model.get_output_embeddings().weight[5] = float("nan")
    with pytest.raises(ModelError, match=r"row .*: its gradient at tiny-llama is not finite"):
        gradient(broken, rows, CONTRASTS)
