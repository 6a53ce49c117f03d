"""Answers in batches: drawn exactly, and each as if it were alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from scipy.stats import chisquare
from transformers import GenerationConfig

from surfcheck.errors import ModelError
from surfcheck.models.checkpoint import Checkpoint, load_checkpoint
from surfcheck.models.generation import (
    Answer,
    GumbelNoise,
    Row,
    Sampling,
    generate,
    sampling_in_force,
)
from surfcheck.models.template import encode_prompt
from surfcheck.records import Message

CPU = torch.device("cpu")
PLAIN = Sampling(temperature=1.0, top_p=None, top_k=None, min_p=None, max_tokens=24)
WARPED = Sampling(temperature=1.7, top_p=0.9, top_k=50, min_p=0.001, max_tokens=24)
GREEDY = Sampling(temperature=0.0, top_p=None, top_k=None, min_p=None, max_tokens=24)
TEXTS = [
    "yes",
    "Is it true that water freezes at zero degrees?",
    "Paris is the capital of France, right? " * 2,
    "no",
    "The quick brown fox jumps over the lazy dog.",
    "",
]


def rows_of(checkpoint: Checkpoint, *, samples: int = 1) -> list[Row]:
    return [
        Row(encode_prompt(checkpoint.tokenizer, (Message("user", text),)), 97 * i + sample)
        for i, text in enumerate(TEXTS)
        for sample in range(samples)
    ]


@pytest.fixture(scope="module", params=["llama", "olmo2"])
def checkpoint(request: pytest.FixtureRequest) -> Checkpoint:
    return load_checkpoint(request.getfixturevalue(request.param), device="cpu")


@pytest.mark.parametrize("sampling", [PLAIN, WARPED, GREEDY], ids=["plain", "warped", "greedy"])
@pytest.mark.parametrize("batch_tokens", [200, 10_000])
def test_a_row_does_not_know_who_is_in_its_batch(
    checkpoint: Checkpoint, sampling: Sampling, batch_tokens: int
) -> None:
    rows = rows_of(checkpoint, samples=2)
    together = generate(checkpoint, rows, sampling, batch_tokens=batch_tokens)
    alone = [generate(checkpoint, [row], sampling, batch_tokens=1)[0] for row in rows]
    assert together == alone
    assert len({answer.text for answer in together}) > len(TEXTS) // 2


def one_token_at_a_time(checkpoint: Checkpoint, row: Row, sampling: Sampling) -> list[int]:
    """The slow obvious sampler: no cache, no batch, no library."""
    ids, generator = list(row.ids), torch.Generator().manual_seed(row.seed)
    for _ in range(sampling.max_tokens):
        with torch.inference_mode():
            scores = checkpoint.model(input_ids=torch.tensor([ids])).logits[0, -1]
        if sampling.temperature == 0:
            ids.append(int(scores.argmax()))
        else:
            scores = scores / sampling.temperature
            if sampling.top_k is not None:
                scores[scores < scores.sort().values[-sampling.top_k]] = -torch.inf
            if sampling.top_p is not None:
                order = scores.argsort(descending=True)
                before = scores[order].softmax(0).cumsum(0).roll(1)
                before[0] = 0
                scores[order[before >= sampling.top_p]] = -torch.inf
            if sampling.min_p is not None:
                probabilities = scores.softmax(0)
                scores[probabilities < sampling.min_p * probabilities.max()] = -torch.inf
            noise = torch.empty_like(scores).exponential_(generator=generator)
            ids.append(int((scores.softmax(0) / noise).argmax()))
        if ids[-1] == checkpoint.tokenizer.eos_token_id:
            break
    return ids[len(row.ids) :]


@pytest.mark.parametrize("sampling", [PLAIN, WARPED, GREEDY], ids=["plain", "warped", "greedy"])
def test_generation_equals_the_obvious_sampler(checkpoint: Checkpoint, sampling: Sampling) -> None:
    rows = rows_of(checkpoint)
    for row, answer in zip(
        rows, generate(checkpoint, rows, sampling, batch_tokens=10_000), strict=True
    ):
        ids = one_token_at_a_time(checkpoint, row, sampling)
        assert answer.tokens == len(ids)
        assert answer.text == checkpoint.tokenizer.decode(ids, skip_special_tokens=True)
        assert (answer.finish_reason == "stop") == (ids[-1] == checkpoint.tokenizer.eos_token_id)


def test_noise_draws_from_the_softmax() -> None:
    scores = torch.tensor([2.0, 1.0, 0.0, -1.0, -torch.inf, 0.5], dtype=torch.float64)
    rows = scores.repeat(20_000, 1)
    noisy = GumbelNoise(range(len(rows)), CPU)(torch.empty(0), rows)
    seen = noisy.argmax(-1).bincount(minlength=len(scores))
    expected = scores.softmax(0) * len(rows)
    assert seen[4] == 0
    possible = expected > 0
    p_value = chisquare(seen[possible].numpy(), expected[possible].numpy()).pvalue
    assert p_value > 0.001


def test_noise_is_fresh_at_every_step() -> None:
    noise, scores = GumbelNoise([7], CPU), torch.zeros(1, 50)
    assert not torch.equal(noise(torch.empty(0), scores), noise(torch.empty(0), scores))


CHAIN = {
    "<|assistant|>": {" yes": 0.5, " no": 0.3, " maybe": 0.2},
    " yes": {"<|end|>": 1.0},
    " no": {"<|end|>": 1.0},
    " maybe": {"<|end|>": 1.0},
}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {" yes": 0.5, " no": 0.3, " maybe": 0.2}),
        ({"temperature": 0.5}, {" yes": 25 / 38, " no": 9 / 38, " maybe": 4 / 38}),
        ({"top_k": 2}, {" yes": 5 / 8, " no": 3 / 8}),
        ({"top_p": 0.6}, {" yes": 5 / 8, " no": 3 / 8}),
        ({"min_p": 0.5}, {" yes": 5 / 8, " no": 3 / 8}),
    ],
)
def test_frequencies_are_the_model_s_probabilities(
    changes: dict[str, Any], expected: dict[str, float], make_chain: Callable[..., Path]
) -> None:
    checkpoint = load_checkpoint(make_chain(CHAIN), device="cpu")
    settings = {"temperature": 1.0, "top_p": None, "top_k": None, "min_p": None, "max_tokens": 4}
    prompt = encode_prompt(checkpoint.tokenizer, (Message("user", "yes"),))
    answers = generate(
        checkpoint,
        [Row(prompt, seed) for seed in range(2_000)],
        Sampling(**settings | changes),
        batch_tokens=100_000,
    )
    seen = Counter(answer.text for answer in answers)
    assert seen.keys() == expected.keys()
    counts = [seen[text] for text in expected]
    assert chisquare(counts, [2_000 * p for p in expected.values()]).pvalue > 0.001
    assert {(answer.finish_reason, answer.tokens) for answer in answers} == {("stop", 2)}


def ask_chain(folder: Path, text: str, *, max_tokens: int = 24) -> Answer:
    checkpoint = load_checkpoint(folder, device="cpu")
    row = Row(encode_prompt(checkpoint.tokenizer, (Message("user", text),)), 0)
    sampling = sampling_in_force(checkpoint, {"max_tokens": max_tokens})
    return generate(checkpoint, [row], sampling, batch_tokens=1_000)[0]


def test_special_tokens_are_not_shown(make_chain: Callable[..., Path]) -> None:
    folder = make_chain(
        {
            "<|assistant|>": {" yes": 1.0},
            " yes": {"<|system|>": 1.0},
            "<|system|>": {" no": 1.0},
            " no": {"<|end|>": 1.0},
        }
    )
    assert ask_chain(folder, "yes") == Answer(" yes no", "stop", 4)


def test_an_answer_that_is_cut_says_so(make_chain: Callable[..., Path]) -> None:
    folder = make_chain({"<|assistant|>": {" yes": 1.0}, " yes": {" yes": 1.0}})
    assert ask_chain(folder, "yes", max_tokens=3) == Answer(" yes yes yes", "length", 3)


def test_a_plain_framing_ends_before_the_next_turn(make_chain: Callable[..., Path]) -> None:
    folder = make_chain(
        {":": {" yes": 1.0}, " yes": {"\n": 1.0}, "\n": {"User": 1.0}, "User": {":": 1.0}},
        template=False,
    )
    assert ask_chain(folder, "right?") == Answer("yes", "stop", 4)


def test_several_ends_and_the_tokenizer_s_own(make_chain: Callable[..., Path]) -> None:
    chain = {"<|assistant|>": {" yes": 1.0}, " yes": {"<|system|>": 1.0}}
    folder = make_chain(chain)
    config = GenerationConfig.from_pretrained(folder)
    config.eos_token_id = [0, 4]  # <|pad|> and <|system|>, not the tokenizer's <|end|>
    config.save_pretrained(folder)
    assert ask_chain(folder, "yes") == Answer(" yes", "stop", 2)
    ended = make_chain({"<|assistant|>": {" yes": 1.0}, " yes": {"<|end|>": 1.0}})
    config.save_pretrained(ended)
    assert ask_chain(ended, "yes") == Answer(" yes", "stop", 2)


def test_near_the_limit_an_answer_is_shorter_for_that_row_alone(checkpoint: Checkpoint) -> None:
    short, long = rows_of(checkpoint)[0], Row([9] * 125, 5)
    found = generate(checkpoint, [short, long], PLAIN, batch_tokens=10_000)
    assert found[0] == generate(checkpoint, [short], PLAIN, batch_tokens=10_000)[0]
    assert (found[1].finish_reason, found[1].tokens) == ("length", 3)


def test_a_prompt_that_is_too_long_names_both_lengths(checkpoint: Checkpoint) -> None:
    with pytest.raises(ModelError, match="a prompt of 128 tokens, and the model reads at most 128"):
        generate(checkpoint, [Row([9] * 128, 5)], PLAIN, batch_tokens=10_000)


@pytest.mark.parametrize(
    ("own", "given", "expected"),
    [
        ({}, {}, Sampling(0.0, None, None, None, 256)),
        ({"do_sample": True}, {}, Sampling(1.0, None, None, None, 256)),
        (
            {"do_sample": True, "temperature": 0.6, "top_p": 0.9, "top_k": 20, "min_p": 0.1},
            {},
            Sampling(0.6, 0.9, 20, 0.1, 256),
        ),
        ({"do_sample": True, "top_k": 0}, {}, Sampling(1.0, None, None, None, 256)),
        ({"do_sample": True, "temperature": 0.6}, {"temperature": 0.0}, None),
        ({"do_sample": True, "top_k": 20}, {"top_k": 5}, Sampling(1.0, None, 5, None, 256)),
        ({}, {"temperature": 0.7}, Sampling(0.7, None, None, None, 256)),
        ({}, {"top_p": 0.5}, Sampling(1.0, 0.5, None, None, 256)),
        ({"max_new_tokens": 9}, {}, Sampling(0.0, None, None, None, 9)),
        ({"max_new_tokens": 9}, {"max_tokens": 5}, Sampling(0.0, None, None, None, 5)),
    ],
)
def test_what_is_given_comes_before_the_checkpoint_s_own(
    own: dict[str, Any],
    given: dict[str, Any],
    expected: Sampling | None,
    make_chain: Callable[..., Path],
) -> None:
    found = sampling_in_force(load_checkpoint(make_chain(CHAIN, **own), device="cpu"), given)
    assert found == (expected or found)
    if expected is None:
        assert found.temperature == 0


def test_other_rules_of_the_checkpoint_stay_in_force(make_chain: Callable[..., Path]) -> None:
    folder = make_chain(CHAIN, suppress_tokens=[4])
    checkpoint = load_checkpoint(folder, device="cpu")
    yes = checkpoint.tokenizer(" yes")["input_ids"]
    checkpoint.model.generation_config.suppress_tokens = yes
    row = Row(encode_prompt(checkpoint.tokenizer, (Message("user", "yes"),)), 0)
    sampling = sampling_in_force(checkpoint, {})
    assert generate(checkpoint, [row], sampling, batch_tokens=100)[0].text == " no"
