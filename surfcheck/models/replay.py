"""`replay:FILE.jsonl`: recorded `{prompt, response}` rows; an unknown prompt is never a call.

`prompt` is a text or a list of `{role, content}`; other keys are ignored. Several rows of one
prompt are its samples 0, 1, 2 …; a sample beyond what was recorded starts again at the first. So
fresh samples can be asked for, but the same answer again confirms nothing: `notes` counts the
prompts where that happened, and reports speak of replayed samples, not of fresh ones.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

from surfcheck.errors import DataError, ModelError
from surfcheck.models.loaded import Then
from surfcheck.models.spec import Spec
from surfcheck.records import Prompt, Response, Role
from surfcheck.roles import Ask

_ROW = '{"prompt": …, "response": …}'


class Replay:
    """Recorded answers as a Model."""

    def __init__(self, spec: Spec, *, label: str | None = None) -> None:
        """Reads the whole file. Raises DataError naming the line."""
        spec.read({})
        self._spec = label or str(spec)
        self._path = Path(spec.name).expanduser()
        content = _read(self._path)
        self._digest = hashlib.sha256(content).hexdigest()
        self._repeated: set[Prompt] = set()
        self._answers: dict[Prompt, list[str]] = {}
        for prompt, response in _rows(self._path, content):
            self._answers.setdefault(prompt, []).append(response)
        if not self._answers:
            raise DataError(self._path, None, f"has no rows; write one {_ROW} a line")

    @property
    def spec(self) -> str:
        """How it was named."""
        return self._spec

    @property
    def identity(self) -> str:
        """A hash of the file."""
        return f"replay:{self._digest}"

    @property
    def notes(self) -> tuple[str, ...]:
        """That answers were repeated, if any was."""
        if not self._repeated:
            return ()
        return (
            f"{self._spec} has fewer answers than samples were asked for, and gave the same ones "
            "again, which confirms nothing: record several rows a prompt",
        )

    def ask(self, asks: Sequence[Ask]) -> list[Response]:
        """The recorded response of each ask, in order. Raises ModelError if there is none."""
        return [
            Response(ask.prompt, self._answer(ask), model=self._spec, sample=ask.sample)
            for ask in asks
        ]

    def known(self, asks: Sequence[Ask]) -> int:
        """All: nothing is ever called."""
        return len(asks)

    def expect(self, asks: Sequence[Ask], then: Then | None = None) -> None:
        """Nothing: the answers are here already."""

    def _answer(self, ask: Ask) -> str:
        recorded = self._answers.get(ask.prompt)
        if recorded is None:
            start = ask.prompt.text[:60]
            raise ModelError(
                f"{self._path} has no answer to {start!r}; record one, or ask a model that answers"
            )
        if ask.sample >= len(recorded):
            self._repeated.add(ask.prompt)
        return recorded[ask.sample % len(recorded)]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise DataError(path, None, "no such file; correct the path") from None
    except OSError as error:
        raise DataError(path, None, f"can't be read: {error.strerror}") from None


def _rows(path: Path, content: bytes) -> Iterator[tuple[Prompt, str]]:
    for number, line in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line.decode())
        except UnicodeDecodeError:
            raise DataError(path, number, "is not UTF-8; save the file as UTF-8") from None
        except json.JSONDecodeError as error:
            raise DataError(path, number, f"is not JSON ({error.msg}); write {_ROW}") from None
        if not isinstance(row, dict) or not {"prompt", "response"} <= row.keys():
            raise DataError(path, number, f"is not {_ROW}")
        if not isinstance(row["response"], str):
            raise DataError(path, number, "its response is not a text")
        yield _prompt(path, number, row["prompt"]), row["response"]


def _prompt(path: Path, number: int, value: Any) -> Prompt:
    if isinstance(value, str):
        return Prompt.of(value)
    if isinstance(value, list) and value and all(_is_message(m) for m in value):
        return Prompt.of(value)
    roles = ", ".join(get_args(Role))
    raise DataError(
        path, number, f"its prompt is neither a text nor a list of {{role, content}} ({roles})"
    )


def _is_message(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and value.get("role") in get_args(Role)
        and isinstance(value.get("content"), str)
    )
