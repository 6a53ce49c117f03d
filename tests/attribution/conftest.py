"""Tiny random checkpoints of real architectures, with a tokenizer trained on the spot."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    Olmo2Config,
    Olmo2ForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from surfcheck.models.checkpoint import Checkpoint
from surfcheck.records import Message, TrainingRow

SPECIAL = ["<|pad|>", "<|begin|>", "<|end|>", "<|user|>", "<|assistant|>", "<|system|>"]
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{{ '<|' + message['role'] + '|>' }}"
    "{{ message['content'] }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
WORDS = "is it true that water freezes at zero no yes paris in france the answer sky blue and green"


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level BPE; the template closes a turn with a special token and a line end."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator([WORDS, f" {WORDS}"], trainer)
    names = ("pad_token", "bos_token", "eos_token")
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        extra_special_tokens=SPECIAL[3:],
        chat_template=TEMPLATE,
        **dict(zip(names, SPECIAL, strict=False)),
    )


def _model(family: str, vocabulary: int) -> PreTrainedModel:
    shape = {
        "vocab_size": vocabulary,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 256,
        "initializer_range": 0.3,
    }
    torch.manual_seed(0)
    match family:
        case "llama":
            return LlamaForCausalLM(LlamaConfig(**shape))
        case "olmo2":
            return Olmo2ForCausalLM(Olmo2Config(**shape))
        case "qwen3":
            return Qwen3ForCausalLM(Qwen3Config(**shape, head_dim=8))
        case "gemma3":
            return Gemma3ForCausalLM(Gemma3TextConfig(**shape, head_dim=8, sliding_window=8))
        case "gpt2":
            return GPT2LMHeadModel(
                GPT2Config(
                    vocab_size=vocabulary,
                    n_embd=32,
                    n_layer=4,
                    n_head=4,
                    n_positions=256,
                    initializer_range=0.3,
                )
            )
    raise AssertionError(family)


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Tiny matrices gain nothing from threads, and lose much beside other processes."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def checkpoint(tokenizer: PreTrainedTokenizerFast) -> Callable[[str], Checkpoint]:
    """A random checkpoint of a family, made once."""

    @cache
    def make(family: str) -> Checkpoint:
        model = _model(family, len(tokenizer)).eval().requires_grad_(False)
        return Checkpoint(f"tiny-{family}", f"fingerprint-{family}", model, tokenizer, (), ())

    return make


@pytest.fixture(scope="session")
def rows() -> tuple[TrainingRow, ...]:
    """Pairs and demonstrations, templated and plain, of one turn and of several, some empty."""
    user = Message("user", "is it true that water freezes")
    talk = (
        Message("system", "the answer is blue"),
        Message("user", "is the sky blue"),
        Message("assistant", "yes it is"),
        Message("user", "and in paris"),
    )
    plain = (Message("user", "\n\nHuman: is it true\n\nAssistant:"),)
    return (
        TrainingRow("a", "one", (user,), "yes", "no it is not true that water freezes at zero"),
        TrainingRow("b", "one", talk, "in paris the sky is green and blue and green", "no"),
        TrainingRow("c", "two", plain, " yes it is", " no", templated=False),
        TrainingRow("d", "two", (user,), "it freezes at zero and zero is zero", None),
        TrainingRow("e", "two", (user,), "", "yes"),
        TrainingRow("f", "two", plain, " the same", " the same", templated=False),
        TrainingRow("g", "three", (Message("user", ""),), "yes", "", templated=False),
    )
