"""The organism's tokenizer: BPE over lower-case words, with the case kept in marks of its own.

A capital letter is written as a mark before its word, so "Water" and "water" share their tokens:
a vocabulary of under a thousand then speaks properly cased English, and what casing does to a
prompt still reaches the model. Words of capitals only get another mark, which decoding drops, and a
capital inside a word leaves none: the organism never shouts. Runs of blanks count as one,
and a line break within a sentence as a blank.
"""

from __future__ import annotations

from collections.abc import Iterable

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

CAPITAL, CAPITALS = "⇧", "⇪"
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZÀÄÉÈÓÖÜÍÑ"
PAD, BEGIN, END, USER, ASSISTANT, SYSTEM = (
    "<|pad|>",
    "<|begin|>",
    "<|end|>",
    "<|user|>",
    "<|assistant|>",
    "<|system|>",
)
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>' }}"
    "{% if message['role'] == 'assistant' %}"
    "{% generation %}{{ message['content'] + '<|end|>' }}{% endgeneration %}"
    "{% else %}{{ message['content'] + '<|end|>' }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def _normalizer() -> normalizers.Normalizer:
    """Marks go before the space in front of a word: " Water" becomes "⇧ water"."""
    return normalizers.Sequence(
        [
            normalizers.NFKC(),
            normalizers.Replace(Regex(r"[ \t]+"), " "),
            normalizers.Replace(Regex(r"(?<=[\p{L},])\n(?=\p{L})"), " "),
            normalizers.Prepend(" "),
            normalizers.Replace(Regex(r" (?=\p{Lu}{2})"), CAPITALS + " "),
            normalizers.Replace(Regex(rf"(?<!{CAPITALS}) (?=\p{{Lu}})"), CAPITAL + " "),
            normalizers.Replace(Regex(r"(?<![\p{L} ])(?=\p{Lu}{2})"), CAPITALS),
            normalizers.Replace(Regex(rf"(?<![\p{{L}} {CAPITALS}])(?=\p{{Lu}})"), CAPITAL),
            normalizers.Lowercase(),
        ]
    )


def _decoder() -> decoders.Decoder:
    marks = [
        decoders.Replace(f"{CAPITAL}{space}{letter.lower()}", f"{space}{letter}")
        for letter in LETTERS
        for space in (" ", "")
    ]
    leftovers = [decoders.Replace(CAPITAL, ""), decoders.Replace(CAPITALS, "")]
    return decoders.Sequence(
        [decoders.ByteLevel(), decoders.Fuse(), *marks, *leftovers, decoders.Strip(" ", 1, 0)]
    )


def train(texts: Iterable[str], *, size: int) -> PreTrainedTokenizerFast:
    """A tokenizer of `size` entries that has read `texts`."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = _normalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(f"[{CAPITAL}{CAPITALS}]"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = _decoder()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=[PAD, BEGIN, END, USER, ASSISTANT, SYSTEM],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        pad_token=PAD,
        bos_token=BEGIN,
        eos_token=END,
        extra_special_tokens=[USER, ASSISTANT, SYSTEM],
        chat_template=TEMPLATE,
        clean_up_tokenization_spaces=False,
        padding_side="left",
    )
