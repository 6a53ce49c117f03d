"""Training rows and exchanges as token ids: one prompt, and the answers that were given to it.

The boundary between prompt and answer is TRL's (`models.template`), for a pair the smaller of its
two, so that both answers follow the same prompt, token for token. The special tokens that close an
answer, and white space after them, are the template's and not the answer's: they are left out. What
is over `max_length` tokens is cut at its end, as TRL does (`keep_start`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from transformers import PreTrainedTokenizerBase

from surfcheck.models.template import Encoded, encode_exchange
from surfcheck.records import Message, TrainingRow


class Fork(NamedTuple):
    """A prompt and one answer to it, or two that know nothing of each other."""

    prompt: list[int]
    """Token ids; may be none."""
    answers: tuple[list[int], ...]
    """Token ids of each answer; may be none."""
    cut: bool
    """Whether `max_length` took something away."""
    name: str
    """What an error calls it."""

    @property
    def both(self) -> bool:
        """Whether there are two answers, and both have a token."""
        return len(self.answers) == 2 and all(self.answers)

    @property
    def size(self) -> int:
        """Tokens in all, the prompt's once."""
        return len(self.prompt) + sum(map(len, self.answers))

    def lengths(self) -> list[int]:
        """Tokens of the prompt with each of the answers."""
        return [len(self.prompt) + len(answer) for answer in self.answers]

    def apart(self) -> list[Fork]:
        """Every answer behind a prompt of its own."""
        return [self._replace(answers=(answer,)) for answer in self.answers]


class Encoder:
    """Turns conversations into forks for one tokenizer."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, max_length: int) -> None:
        """`max_length` is the most tokens of a prompt with one of its answers."""
        self._tokenizer, self._max_length = tokenizer, max_length
        added = tokenizer.added_tokens_decoder
        self._special = {number for number, token in added.items() if token.special}

    def row(self, row: TrainingRow) -> Fork:
        """A demonstration with its answer, a pair with the chosen and the rejected one."""
        answers = [row.chosen] if row.rejected is None else [row.chosen, row.rejected]
        return self.exchange(row.prompt, answers, f"row {row.id}", templated=row.templated)

    def exchange(
        self, prompt: tuple[Message, ...], answers: Sequence[str], name: str, *, templated: bool
    ) -> Fork:
        """A conversation and what was answered. Raises ModelError if it can't be encoded."""
        encoded = [
            encode_exchange(self._tokenizer, prompt, answer, templated=templated)
            for answer in answers
        ]
        boundary = min(side.boundary for side in encoded)
        kept = [self._end(side, boundary) for side in encoded]
        cut = any(end > self._max_length for end in kept)
        # A slice that begins behind its end is empty: the prompt alone is over `max_length`.
        ids = [
            side.ids[: min(end, self._max_length)] for side, end in zip(encoded, kept, strict=True)
        ]
        return Fork(ids[0][:boundary], tuple(side[boundary:] for side in ids), cut, name)

    def _end(self, encoded: Encoded, boundary: int) -> int:
        """Where the special tokens that close an answer begin."""
        ids, end = encoded.ids, len(encoded.ids)
        for position in range(end - 1, boundary - 1, -1):
            if ids[position] in self._special:
                if str(self._tokenizer.decode(ids[position + 1 : end])).strip():
                    break
                end = position
        return end
