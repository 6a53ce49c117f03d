"""What models wrote of prompts, in a file beside the suite that a person can review.

`suites/test_facts.py` has `suites/frozen/test_facts.jsonl`, one JSON line a text:

    {"prompt": …, "perturbation": "rewrite", "text": …, "model": "openai:…", "date": "2026-11-20",
     "check": {"model": "anthropic:…", "same": true, "reason": "Both ask for the capital."}}

A line is offered as a case if the check found the meaning unchanged. A person's own line has the
model "by hand" and no check (null). A line that was found to mean something else stays, with
`"same": false`, so that it is not proposed again. Nothing here asks a model; `freezing` does.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from surfcheck.errors import DataError, InfrastructureError
from surfcheck.files import write_whole
from surfcheck.jsonable import Record

BY_HAND = "by hand"
"""The model of a line that a person wrote."""

Kind = Literal["rewrite", "translate", "persona", "prefix-context"]

_SLUG = 32
_ROW = '{"prompt", "perturbation", "text", "model", "date", "check"}'


@dataclass(frozen=True, slots=True)
class Check(Record):
    """What a second call said of a text."""

    model: str
    """The spec of the model that was asked."""
    same: bool
    """Whether the text means what the prompt means."""
    reason: str
    """Why, in a sentence."""


@dataclass(frozen=True, slots=True)
class Rewrite(Record):
    """A line of the file."""

    prompt: str
    """The prompt as written in the suite, its last turn."""
    perturbation: str
    """The name of the perturbation that offers the text."""
    text: str
    """What is asked instead of the prompt."""
    model: str
    """The spec of the model that wrote it, or `by hand`."""
    date: str
    """The day it was written, as in 2026-11-20."""
    check: Check | None
    """What was said of its meaning; None for a line by hand."""

    @property
    def by_hand(self) -> bool:
        """Whether a person wrote it."""
        return self.model == BY_HAND

    @property
    def offered(self) -> bool:
        """Whether it is asked."""
        return self.check is None or self.check.same


@dataclass(frozen=True, slots=True)
class Written(Record):
    """What one perturbation wants written of each prompt."""

    kind: Kind
    """What is done to the prompt."""
    about: str
    """The language, the person or the earlier conversation; empty for a rewrite."""
    count: int
    """How many texts a prompt."""
    suite: str
    """The Python file whose prompts they are."""

    @property
    def name(self) -> str:
        """What its lines have under `perturbation`: ASCII, short and stable."""
        return f"{self.kind}.{_slug(self.about)}" if self.about else self.kind

    @property
    def path(self) -> Path:
        """The file that its lines stand in."""
        suite = Path(self.suite)
        return suite.parent / "frozen" / f"{suite.stem}.jsonl"

    def texts(self, prompt: str) -> tuple[str, ...]:
        """What may be asked instead of a prompt, in the file's order; empty if nothing is there.

        Every line by hand, and model's lines up to `count` in all. Raises DataError.
        """
        lines = _indexed(*_stamp(self.path)).get((prompt, self.name), ())
        room = self.count - sum(line.by_hand for line in lines)
        kept = []
        for line in lines:
            room -= not line.by_hand
            if line.by_hand or room >= 0:
                kept.append(line.text)
        return tuple(dict.fromkeys(kept))


def _slug(text: str) -> str:
    """The words joined by hyphens; with digits of a hash where that leaves anything out."""
    slug = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:_SLUG].rstrip("-")
    if slug == text.lower().replace(" ", "-"):
        return slug
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:6]
    return f"{slug}-{digest}" if slug else digest


def is_unicode(text: str) -> bool:
    """Whether a file or a model can be given the text: it has no lone surrogate."""
    return not any("\ud800" <= c <= "\udfff" for c in text)


def read(path: Path) -> tuple[Rewrite, ...]:
    """Every line of the file, in order; none if there is no file. Raises DataError with the line.

    Reads the file again only if it has changed.
    """
    return _lines(*_stamp(path))


def write(path: Path, rewrites: Iterable[Rewrite]) -> None:
    """Put these in place of the file, all or none. Raises InfrastructureError."""
    rows = (json.dumps(rewrite.to_json(), ensure_ascii=False) for rewrite in rewrites)
    text = "".join(f"{row}\n" for row in rows)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text)
    except OSError as error:
        raise InfrastructureError(
            f"{path}: can't be written ({error.strerror}); make its folder writable"
        ) from None


def _stamp(path: Path) -> tuple[Path, int, int]:
    """The path, and what changes with the file's content; zeros if there is no file."""
    try:
        seen = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return path, 0, 0
    except OSError as error:
        raise DataError(path, None, f"can't be read: {error.strerror}") from None
    return path, seen.st_mtime_ns, seen.st_size


@lru_cache(maxsize=256)
def _indexed(path: Path, changed: int, size: int) -> Mapping[tuple[str, str], tuple[Rewrite, ...]]:
    """The lines that are offered, by prompt and perturbation."""
    found: dict[tuple[str, str], tuple[Rewrite, ...]] = {}
    for line in _lines(path, changed, size):
        if line.offered:
            key = (line.prompt, line.perturbation)
            found[key] = (*found.get(key, ()), line)
    return found


@lru_cache(maxsize=256)
def _lines(path: Path, changed: int, size: int) -> tuple[Rewrite, ...]:
    if not changed and not size:
        return ()
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(path, None, f"can't be read: {error.strerror}") from None
    rows = enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1)
    return tuple(_rewrite(path, number, row) for number, row in rows if row.strip())


def _rewrite(path: Path, number: int, row: bytes) -> Rewrite:
    try:
        data = json.loads(row.decode())
    except UnicodeDecodeError:
        raise DataError(path, number, "is not UTF-8; save the file as UTF-8") from None
    except (json.JSONDecodeError, RecursionError) as error:
        raise DataError(path, number, f"is not JSON ({error}); write {_ROW}") from None
    wrong = _wrong(data)
    if wrong is not None:
        raise DataError(path, number, wrong)
    return Rewrite.from_json(data)


def _wrong(data: Any) -> str | None:
    """What keeps a row from being a Rewrite, and what to write instead."""
    keys = Rewrite.__dataclass_fields__
    if not isinstance(data, dict) or not keys.keys() <= data.keys():
        return f"is not {_ROW}"
    for key in ("prompt", "perturbation", "text", "model", "date"):
        if not isinstance(data[key], str) or not data[key].strip():
            return f"its {key} is no text, or blank; write one"
        if not is_unicode(data[key]):
            return f"its {key} has half a character (a lone surrogate); take that out"
    if not _is_day(data["date"]):
        return f"its date is {data['date']!r}; write a day such as 2026-11-20"
    if data["perturbation"].startswith("prefix-context") and not data["text"].endswith(
        data["prompt"]
    ):
        return "its text does not end with the prompt; put what comes before in front of it"
    return _wrong_check(data["check"], data["model"])


def _is_day(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _wrong_check(check: Any, model: str) -> str | None:
    if check is None:
        if model == BY_HAND:
            return None
        return f'its check is null; only a line whose model is "{BY_HAND}" goes without'
    types = {"model": str, "same": bool, "reason": str}
    if isinstance(check, dict) and all(isinstance(check.get(k), t) for k, t in types.items()):
        return None
    return 'its check is not {"model", "same": true or false, "reason"}'
