"""Batched hidden-state means against the slow, obvious way: one row at a time, by hand."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from surfcheck.attribution.activations import Passage, Reader, find_blocks
from surfcheck.attribution.reading.passes import Pass
from surfcheck.errors import ModelError, UsageError
from surfcheck.models.checkpoint import Checkpoint
from surfcheck.records import Message, TrainingRow

FAMILIES = ["llama", "olmo2", "qwen3", "gemma3", "gpt2"]
SIDES = ("prompt", "chosen", "rejected", "prompt_tokens", "chosen_tokens", "rejected_tokens")
Make = Callable[[str], Checkpoint]


def _spans(
    checkpoint: Checkpoint, prompt: tuple[Message, ...], response: str, templated: bool
) -> tuple[list[int], int, int]:
    """Ids, where the response begins and where it ends; rendered here, by hand."""
    tokenizer = checkpoint.tokenizer
    if templated:
        turns = [{"role": turn.role, "content": turn.content} for turn in prompt]
        whole = [*turns, {"role": "assistant", "content": response}]
        before = tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
        after = tokenizer.apply_chat_template(whole, tokenize=False)
        assert after == f"{before}{response}<|end|>\n"
        start = tokenizer(before, add_special_tokens=False)["input_ids"]
        ids = tokenizer(before + response, add_special_tokens=False)["input_ids"]
    else:
        start = tokenizer(prompt[0].content)["input_ids"]
        ids = tokenizer(prompt[0].content + response)["input_ids"]
    boundary = 0
    while boundary < min(len(start), len(ids)) and start[boundary] == ids[boundary]:
        boundary += 1
    return ids, boundary, len(ids)


def _oracle(
    checkpoint: Checkpoint,
    prompt: tuple[Message, ...],
    response: str,
    templated: bool,
    boundary: int | None = None,
) -> np.ndarray:
    """Means over prompt and response at layers 0 to 4 [2, 5, d]: one row, every hidden state."""
    ids, common, end = _spans(checkpoint, prompt, response, templated)
    start = common if boundary is None else boundary
    model = copy.deepcopy(checkpoint.model)
    decoder = model.get_decoder()
    final = "ln_f" if hasattr(decoder, "ln_f") else "norm"
    setattr(decoder, final, torch.nn.Identity())  # so that the last hidden state is before it
    if not ids:
        return np.zeros((2, 5, 32), dtype=np.float32)
    with torch.no_grad():
        output = model(input_ids=torch.tensor([ids]), output_hidden_states=True)
    states = torch.stack(output.hidden_states)[:, 0].float().numpy()
    zeros = np.zeros((5, 32), dtype=np.float32)
    spans = (states[:, :start], states[:, start:end])
    return np.stack([span.mean(axis=1) if span.shape[1] else zeros for span in spans])


def _cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Over the last axis; 1 where both are zero."""
    norms = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
    zero = (np.linalg.norm(a, axis=-1) == 0) & (np.linalg.norm(b, axis=-1) == 0)
    return np.where(zero, 1.0, (a * b).sum(-1) / np.where(norms == 0, 1, norms))


def _close(a: np.ndarray, b: np.ndarray) -> None:
    assert a.shape == b.shape
    assert a.dtype == np.float32
    assert _cosines(a, b).min() >= 0.9999
    np.testing.assert_allclose(a, b, atol=1e-3 * max(1.0, float(np.abs(b).max())))


@pytest.mark.parametrize("family", FAMILIES)
def test_batched_means_equal_one_row_at_a_time(
    family: str, checkpoint: Make, rows: tuple[TrainingRow, ...]
) -> None:
    base = checkpoint(family)
    states = Reader(base, (0, 1, 2, 3, 4)).read_rows(rows)
    for i, row in enumerate(rows):
        boundary = min(
            _spans(base, row.prompt, answer, row.templated)[1]
            for answer in (row.chosen, row.rejected)
            if answer is not None
        )
        prompt, chosen = _oracle(base, row.prompt, row.chosen, row.templated, boundary)
        _close(states.prompt[i], prompt)
        _close(states.chosen[i], chosen)
        if row.rejected is None:
            assert not states.rejected[i].any()
        else:
            _, rejected = _oracle(base, row.prompt, row.rejected, row.templated, boundary)
            _close(states.rejected[i], rejected)


def test_passages_are_read_like_the_rows_that_hold_them(
    checkpoint: Make, rows: tuple[TrainingRow, ...]
) -> None:
    reader = Reader(checkpoint("llama"), (1, 3))
    alike = [row for row in rows if row.id in "abdf"]
    of_rows = reader.read_rows(alike)
    passages = [Passage(row.prompt, row.chosen, row.templated) for row in alike]
    states = reader.read(passages)
    _close(states.prompt, of_rows.prompt)
    _close(states.response, of_rows.chosen)
    np.testing.assert_array_equal(states.prompt_tokens, of_rows.prompt_tokens)
    np.testing.assert_array_equal(states.response_tokens, of_rows.chosen_tokens)


def test_an_exchange_is_one_user_turn() -> None:
    assert Passage.of("why?", "so.") == ((Message("user", "why?"),), "so.", True)


@pytest.mark.parametrize("family", FAMILIES)
def test_company_and_padding_do_not_matter(
    family: str, checkpoint: Make, rows: tuple[TrainingRow, ...]
) -> None:
    together = Reader(checkpoint(family), (2, 4)).read_rows(rows)
    one_by_one = Reader(checkpoint(family), (2, 4), token_budget=1).read_rows(rows)
    for side in ("prompt", "chosen", "rejected"):
        _close(getattr(together, side), getattr(one_by_one, side))
    backwards = Reader(checkpoint(family), (2, 4)).read_rows(rows[::-1])
    _close(together.rejected, backwards.rejected[::-1])


@pytest.mark.parametrize("family", FAMILIES)
def test_a_shared_prompt_does_not_matter(
    family: str, checkpoint: Make, rows: tuple[TrainingRow, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for shared in (True, False):
        monkeypatch.setattr(Pass, "pays", lambda *_, shared=shared: shared)
        found.append(Reader(checkpoint(family), (2, 4)).read_rows(rows))
    together, apart = found
    for side in SIDES:
        _close(getattr(together, side).astype(np.float32), getattr(apart, side).astype(np.float32))
    assert together.likelihood is not None
    assert apart.likelihood is not None
    np.testing.assert_allclose(together.likelihood, apart.likelihood, rtol=1e-4, atol=1e-4)


def test_likelihoods_are_those_of_the_model_alone(
    checkpoint: Make, rows: tuple[TrainingRow, ...]
) -> None:
    base = checkpoint("gemma3")
    states = Reader(base, (2,)).read_rows(rows)
    assert states.likelihood is not None
    for row, found in zip(rows, states.likelihood, strict=True):
        answers = [row.chosen, row.rejected or ""]
        sides = [_spans(base, row.prompt, answer, row.templated) for answer in answers]
        start = min(boundary for _, boundary, _ in sides)
        for (ids, _, _), answer, value in zip(sides, answers, found, strict=True):
            expected = 0.0
            if answer:
                logits = base.model(input_ids=torch.tensor([ids])).logits[0].log_softmax(-1)
                places = range(max(start, 1), len(ids))
                expected = sum(logits[n - 1, ids[n]].item() for n in places)
            assert value == pytest.approx(expected, rel=1e-4, abs=1e-4)


def test_likelihoods_are_left_out_if_not_wanted(
    checkpoint: Make, rows: tuple[TrainingRow, ...]
) -> None:
    with_them = Reader(checkpoint("llama"), (1, 2)).read_rows(rows)
    without = Reader(checkpoint("llama"), (1, 2), likelihood=False).read_rows(rows)
    assert without.likelihood is None
    for side in SIDES:
        np.testing.assert_array_equal(getattr(without, side), getattr(with_them, side))


def test_a_demonstration_beside_what_the_base_answers_itself(
    checkpoint: Make, rows: tuple[TrainingRow, ...]
) -> None:
    row, own = rows[3], "no it does not freeze"
    assert row.rejected is None
    reader = Reader(checkpoint("olmo2"), (1, 4))
    states = reader.read_rows([replace(row, rejected=own)])
    _close(states.chosen, reader.read_rows([row]).chosen)
    _close(states.rejected, reader.read([Passage(row.prompt, own)]).response)


def test_layers_come_in_the_order_asked(checkpoint: Make, rows: tuple[TrainingRow, ...]) -> None:
    up = Reader(checkpoint("llama"), (0, 2, 4)).read_rows(rows)
    down = Reader(checkpoint("llama"), (4, 2, 0)).read_rows(rows)
    np.testing.assert_array_equal(up.chosen, down.chosen[:, ::-1])


def test_an_empty_answer_has_no_tokens_and_no_nan(
    checkpoint: Make, rows: tuple[TrainingRow, ...]
) -> None:
    states = Reader(checkpoint("llama"), (2,)).read_rows(rows)
    empty = [row.id for row in rows].index("e")
    assert states.chosen_tokens[empty] == 0
    assert not states.chosen[empty].any()
    assert states.rejected_tokens[empty] > 0
    promptless = [row.id for row in rows].index("g")
    assert (states.prompt_tokens[promptless], states.rejected_tokens[promptless]) == (0, 0)
    assert np.isfinite(states.chosen).all()
    assert states.truncated == 0


def test_nothing_to_read_gives_nothing(checkpoint: Make) -> None:
    reader = Reader(checkpoint("llama"), (1, 2))
    assert reader.read([]).response.shape == (0, 2, 32)
    assert reader.read_rows([]).rejected.shape == (0, 2, 32)


@pytest.mark.parametrize("closing", ["<|end|>\n", "<|end|><|pad|> \n", "<|end|>", ""])
def test_the_tokens_that_close_a_turn_are_left_out(closing: str, checkpoint: Make) -> None:
    tokenizer = copy.deepcopy(checkpoint("llama").tokenizer)
    tokenizer.chat_template = str(tokenizer.chat_template).replace("<|end|>\n", closing)
    base = replace(checkpoint("llama"), tokenizer=tokenizer)
    states = Reader(base, (1,)).read([Passage.of("is it true", "yes it is")])
    alone = tokenizer("yes it is", add_special_tokens=False)["input_ids"]
    assert states.response_tokens[0] == len(alone)


@pytest.mark.parametrize(
    ("response", "read"),
    [("yes<|end|>\n", "yes"), ("yes<|end|>\n<|end|>", "yes"), ("yes<|end|> no", "yes<|end|> no")],
)
def test_transcripts_with_their_own_control_tokens(
    response: str, read: str, checkpoint: Make
) -> None:
    base = checkpoint("llama")
    prompt = (Message("user", "<|user|>is it<|end|>\n<|assistant|>"),)
    states = Reader(base, (1,)).read([Passage(prompt, response, templated=False)])
    assert states.response_tokens[0] == len(base.tokenizer(read)["input_ids"])


def test_both_sides_of_a_pair_part_where_the_first_of_them_does(checkpoint: Make) -> None:
    base = checkpoint("llama")
    # " i" and "s" are one token together: that answer begins a token before the prompt's end.
    prompt = (Message("user", "the sky i"),)
    row = TrainingRow("1", "s", prompt, "! blue", "s blue", templated=False)
    (_, wide, _), (_, narrow, _) = (
        _spans(base, prompt, answer, False) for answer in (row.chosen, str(row.rejected))
    )
    assert narrow < wide
    states = Reader(base, (1, 2)).read_rows([row])
    assert states.prompt_tokens.tolist() == [narrow]
    of_prompt, of_chosen = _oracle(base, prompt, row.chosen, False, narrow)[:, 1:3]
    _close(states.prompt[0], of_prompt)
    _close(states.chosen[0], of_chosen)


def test_long_rows_are_cut_at_their_end_and_counted(checkpoint: Make) -> None:
    base = checkpoint("llama")
    long = Passage.of("is it", "yes " * 200)
    short = Passage.of("is it", "yes")
    states = Reader(base, (2,), max_length=20).read([long, short])
    assert states.truncated == 1
    assert states.prompt_tokens[0] + states.response_tokens[0] == 20
    prompt = Reader(base, (2,), max_length=2).read([long, short])
    assert (prompt.truncated, prompt.response_tokens.tolist()) == (2, [0, 0])
    assert not prompt.response.any()
    assert Reader(base, (2,)).max_length == 256  # what the model can take: under TRL's 1024


def test_the_pass_stops_at_the_deepest_layer(checkpoint: Make) -> None:
    base = checkpoint("qwen3")
    ran = []
    modules = [*find_blocks(base), base.model.get_decoder().norm, base.model.lm_head]
    hooks = [m.register_forward_hook(lambda *_, n=n: ran.append(n)) for n, m in enumerate(modules)]
    Reader(base, (1, 2)).read([Passage.of("is it", "yes")])
    for hook in hooks:
        hook.remove()
    assert ran == [0, 1]
    # And the model is as it was.
    assert not any(m._forward_hooks for m in modules)
    assert base.model(input_ids=torch.tensor([[1]])).logits.shape[-1] == len(base.tokenizer)


def test_progress_ends_at_the_whole(checkpoint: Make, rows: tuple[TrainingRow, ...]) -> None:
    seen: list[tuple[int, int]] = []
    reader = Reader(checkpoint("llama"), (1,), token_budget=60)
    reader.read_rows(rows, progress=lambda _, done, of: seen.append((done, of)))
    assert len(seen) > 2
    assert seen == sorted(seen)
    assert seen[-1] == (13, 13)  # seven rows, six of them pairs


@pytest.mark.parametrize("family", ["llama", "gemma3"])
def test_bfloat16_is_summed_in_float32(
    family: str, checkpoint: Make, rows: tuple[TrainingRow, ...]
) -> None:
    full = checkpoint(family)
    base = replace(full, model=copy.deepcopy(full.model).to(torch.bfloat16))
    states = Reader(base, (0, 1, 2, 3, 4)).read_rows(rows[:4])
    for i, row in enumerate(rows[:4]):
        prompt, chosen = _oracle(base, row.prompt, row.chosen, row.templated)
        assert _cosines(states.prompt[i], prompt).min() >= 0.999
        assert _cosines(states.chosen[i], chosen).min() >= 0.999
    # Alone, it is the same pass as the oracle's; a sum in bfloat16 would lose digits by now.
    long = Passage.of("is it", "yes no blue green " * 50)
    alone = Reader(base, (0, 1, 2, 3, 4)).read([long])
    expected = _oracle(base, long.prompt, long.response, True)
    np.testing.assert_allclose(alone.response[0], expected[1], rtol=1e-4, atol=1e-4)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_cuda_agrees_with_the_cpu(
    dtype: torch.dtype, checkpoint: Make, rows: tuple[TrainingRow, ...]
) -> None:
    base = checkpoint("llama")
    there = replace(base, model=copy.deepcopy(base.model).to("cuda", dtype))
    slow, fast = (Reader(c, (1, 4)).read_rows(rows) for c in (base, there))
    least = 0.9999 if dtype is torch.float32 else 0.99
    assert _cosines(slow.chosen, fast.chosen).min() >= least


@pytest.mark.parametrize("layers", [(), (5,), (-1,), (1, 1)])
def test_layers_that_are_not_there_are_refused(layers: tuple[int, ...], checkpoint: Make) -> None:
    with pytest.raises(UsageError, match=r"tiny-llama has 4 blocks; give .* 0 to 4"):
        Reader(checkpoint("llama"), layers)


def test_states_that_overflow_name_the_row(checkpoint: Make) -> None:
    base = checkpoint("llama")
    model = copy.deepcopy(base.model)
    number = base.tokenizer("zero", add_special_tokens=False)["input_ids"][-1]
    model.get_input_embeddings().weight[number] = torch.inf
    broken = replace(base, model=model)
    user = (Message("user", "is it"),)
    fine, bad = TrainingRow("8", "s", user, "yes", None), TrainingRow("9", "s", user, "zero", None)
    reader = Reader(broken, (1,))
    reader.read_rows([fine])
    with pytest.raises(ModelError, match=r"row 9: .* not finite in torch.float32; load it in"):
        reader.read_rows([fine, bad])
