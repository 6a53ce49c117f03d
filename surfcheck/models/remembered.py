"""What memory keeps of an answer, and how it stands in a row of the file.

A row carries a checksum of itself: SQLite notices a damaged page, not a damaged word.
"""

from __future__ import annotations

import json
import math
import re
import time
import zlib
from collections.abc import Sequence
from typing import Any, NamedTuple

from surfcheck.records import Response
from surfcheck.roles import Ask

COLUMNS = (
    "key, text, finish_reason, prompt_tokens, completion_tokens, refusal, log_probability, usd, "
    "parameters, model, prompt, sample, at, checksum"
)
"""In the order of a row."""

_CREDENTIALS = re.compile(r"//[^/]*@")


def provider_name(spec: str) -> str:
    """`provider:name` of a spec: no query, and nothing before an @ in an address."""
    return _CREDENTIALS.sub("//", spec.partition("?")[0])


class Remembered(NamedTuple):
    """What is kept of a response, for who asks again and for who reads an export."""

    text: str
    """The answer."""
    finish_reason: str | None = None
    """Why it ended."""
    prompt_tokens: int | None = None
    """Tokens in."""
    completion_tokens: int | None = None
    """Tokens out."""
    refusal: str | None = None
    """What stood in the provider's own refusal field."""
    log_probability: float | None = None
    """Natural log of the answer's probability."""
    usd: float | None = None
    """What it cost when it was asked."""
    parameters: dict[str, Any] | None = None
    """Sampling parameters in force."""
    model: str = ""
    """Who answered, `provider:name`, for people; of a whole spec no more than that is stored."""
    prompt: str | None = None
    """What was asked: a JSON list of `{role, content}`."""
    sample: int = 0
    """Which of several independent samples it is."""

    @classmethod
    def of(cls, answer: Response) -> Remembered:
        """All that there is to keep of an answer."""
        messages = [{"role": m.role, "content": m.content} for m in answer.prompt.messages]
        return cls(
            answer.text, answer.finish_reason, answer.prompt_tokens, answer.completion_tokens,
            answer.refusal, answer.log_probability, answer.usd, answer.parameters,
            answer.model, json.dumps(messages, ensure_ascii=False), answer.sample,
        )  # fmt: skip

    def response(self, ask: Ask, spec: str) -> Response:
        """The answer again, to whoever asks for it by the name `spec`."""
        return Response(
            ask.prompt, self.text, spec, ask.sample, self.finish_reason,
            self.prompt_tokens, self.completion_tokens, True,
            self.refusal, self.log_probability, self.usd, self.parameters,
        )  # fmt: skip

    def to_row(self, key: bytes) -> tuple[Any, ...]:
        """A row of COLUMNS, as of now."""
        parameters = None if self.parameters is None else json.dumps(self.parameters)
        row = (
            key, self.text, self.finish_reason, _count(self.prompt_tokens),
            _count(self.completion_tokens), self.refusal, _real(self.log_probability),
            _real(self.usd), parameters, provider_name(self.model),
            self.prompt, self.sample, time.time(),
        )  # fmt: skip
        stored = tuple(_encodable(value) for value in row)
        return (*stored, _checksum(stored))

    @classmethod
    def from_row(cls, row: Sequence[Any]) -> Remembered | None:
        """What was kept in a row of COLUMNS; None if that is not what stands there now."""
        *stored, checksum = row
        if checksum is not None and checksum != _checksum(stored):  # schema 1 had no checksum
            return None
        kept = [_text(value) for value in stored[1:-1]]
        place = cls._fields.index("parameters")
        kept[place] = None if kept[place] is None else json.loads(kept[place])
        return cls(*kept)


def _count(value: int | None) -> int | None:
    """A number of tokens, unless SQLite has no place for it: providers may say anything."""
    return None if value is None or value.bit_length() > 63 else value


def _real(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else float(value)


def _encodable(value: Any) -> Any:
    """The value; as bytes if it is text that is no Unicode (a lone surrogate)."""
    if not isinstance(value, str):
        return value
    try:
        value.encode()
    except UnicodeEncodeError:
        return value.encode("utf-8", "surrogatepass")
    return value


def _text(value: Any) -> Any:
    return value.decode("utf-8", "surrogatepass") if isinstance(value, bytes) else value


def _checksum(stored: Sequence[Any]) -> int:
    raw = (value if isinstance(value, bytes) else str(value).encode() for value in stored)
    return zlib.crc32(b"\x1f".join(raw))
