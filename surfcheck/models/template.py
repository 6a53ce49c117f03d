"""From conversations to token ids: one way for asking, scoring and reading training rows.

Text is text: a control token inside a message is never read as a control token, so no message
can forge a turn. The boundary between prompt and response is TRL's: the longest common prefix of
the prompt's ids and the whole exchange's ids.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from surfcheck.errors import ModelError
from surfcheck.records import Message

PLAIN_STOPS = ("\nUser:", "\nSystem:")
"""Where the next turn of a plain framing begins: the answer ends before it."""

_PLAIN = (
    "{% for message in messages %}"
    "{{ message.role | capitalize }}: {{ message.content }}"
    "{% if message.role == 'assistant' and eos_token is defined %}{{ eos_token }}{% endif %}"
    "{% if not loop.last or add_generation_prompt %}{{ '\\n' }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}Assistant:{% endif %}"
)


@dataclass(frozen=True, slots=True)
class Encoded:
    """A prompt and its response as one row of ids."""

    ids: list[int]
    """Token ids, prompt first; with the tokens that close the turn."""
    boundary: int
    """Position of the first id that belongs to the response."""


def plain_template(tokenizer: PreTrainedTokenizerBase) -> str:
    """`User: …` and `Assistant: …` on lines of their own, for a checkpoint without a template."""
    starts = tokenizer.bos_token_id in tokenizer("")["input_ids"]
    return ("{{ bos_token }}" if starts else "") + _PLAIN


def encode_prompt(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message]) -> list[int]:
    """Ids of a conversation up to where the answer begins. Raises ModelError."""
    return _render(tokenizer, messages, generation_prompt=True)


def encode_exchange(
    tokenizer: PreTrainedTokenizerBase,
    messages: Sequence[Message],
    response: str,
    *,
    templated: bool = True,
) -> Encoded:
    """Ids of a conversation and its answer, as TRL 1.16 trains on them. Raises ModelError.

    Not `templated`: the first message's text and the response stand as they are, control tokens
    included, and the end-of-sequence token closes them. Of a preference pair's two boundaries
    TRL takes the smaller for both.
    """
    if templated:
        prompt = encode_prompt(tokenizer, messages)
        answer = Message("assistant", response)
        ids = _render(tokenizer, [*messages, answer], generation_prompt=False)
    else:
        text = messages[0].content if messages else ""
        prompt, ids = _plain_ids(tokenizer, text), _plain_ids(tokenizer, text + response)
        end = tokenizer.eos_token_id
        if end is not None and ids[-1:] != [end]:
            ids = [*ids, end]
    return Encoded(ids, _common_prefix(prompt, ids))


def _common_prefix(prompt: Sequence[int], ids: Sequence[int]) -> int:
    return next(
        (i for i, (a, b) in enumerate(zip(prompt, ids, strict=False)) if a != b),
        min(len(prompt), len(ids)),
    )


def _plain_ids(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    ids: list[int] = tokenizer(text)["input_ids"]
    return ids


def _render(
    tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], *, generation_prompt: bool
) -> list[int]:
    try:
        ids: Any = tokenizer.apply_chat_template(
            [message.to_json() for message in messages],
            add_generation_prompt=generation_prompt,
            sanitize_control_tokens=True,
            return_dict=False,
        )
    except TemplateError as error:
        raise ModelError(
            f"{tokenizer.name_or_path}: its chat template refuses the conversation: {error}"
        ) from None
    except (TypeError, ValueError, UnicodeError) as error:
        reason = str(error).partition("\n")[0]
        start = messages[-1].content[:40]
        raise ModelError(
            f"{tokenizer.name_or_path}: can't encode the prompt {start!r}: {reason}"
        ) from None
    return list(ids)
