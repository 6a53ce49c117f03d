"""Answers to rows and back."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

import pytest

from surfcheck.models.memory import Memory
from surfcheck.models.remembered import COLUMNS, Remembered, provider_name
from surfcheck.records import Prompt, Response
from surfcheck.roles import Ask

WHOLE = Remembered(
    "yes", "stop", 7, 8, "no", -1.5, 0.001, {"temperature": 0.5, "stop": ["a"]}, "x:y", "[]", 3
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "memory.sqlite"


def test_an_answer_and_back() -> None:
    prompt = Prompt.of([{"role": "system", "content": "be kind"}, {"role": "user", "content": "é"}])
    answer = Response(
        prompt, "yes", "x:y?base_url=z", 3, "stop", 7, 8, False, "no", -1.5, 0.001, {"seed": 1}
    )
    kept = Remembered.of(answer)
    assert kept.prompt is not None
    assert Prompt.of(json.loads(kept.prompt)) == prompt
    again = kept.response(Ask(prompt, 3), "other")
    assert again == Response(
        prompt, "yes", "other", 3, "stop", 7, 8, True, "no", -1.5, 0.001, {"seed": 1}
    )


@pytest.mark.parametrize(
    "kept",
    [
        WHOLE,
        Remembered(""),
        Remembered("line\nline\r\u2028\x00\x1f\x1b[31m \U0001f600"),
        Remembered("half an emoji \ud83d", "\udc00", refusal="\ud83d"),
        Remembered("1", usd=1, log_probability=-2),
        Remembered("1", log_probability=-math.inf, parameters={}),
    ],
)
def test_what_is_kept_comes_back(path: Path, kept: Remembered) -> None:
    with Memory(path, "auto") as memory:
        memory.keep(b"k", kept)
        assert memory.recall(b"k") == kept
    with Memory(path, "replay") as memory:
        assert memory.recall(b"k") == kept


def test_what_sqlite_has_no_place_for_is_left_out(path: Path) -> None:
    with Memory(path, "auto") as memory:
        memory.keep(b"k", Remembered("yes", None, 10**30, 2**63 - 1, None, math.nan, math.nan))
        assert memory.recall(b"k") == Remembered("yes", completion_tokens=2**63 - 1)


CHANGES = {
    "key": b"other", "text": "no", "finish_reason": None, "prompt_tokens": 6,
    "completion_tokens": 9, "refusal": "", "log_probability": -1.25, "usd": 1.0,
    "parameters": '{"temperature": 1.5}', "model": "x:z", "prompt": "{}", "sample": 2, "at": 5.0,
    "checksum": 5,
}  # fmt: skip


def test_every_column_is_checked() -> None:
    assert list(CHANGES) == COLUMNS.split(", ")


@pytest.mark.parametrize(("column", "value"), CHANGES.items())
def test_a_row_that_was_changed_is_none(column: str, value: Any) -> None:
    row = list(WHOLE.to_row(b"key"))
    assert Remembered.from_row(row) == WHOLE
    row[list(CHANGES).index(column)] = value
    assert Remembered.from_row(row) is None


def test_a_row_has_its_time() -> None:
    before = time.time()
    *_, at, _ = WHOLE.to_row(b"key")
    assert before <= at <= time.time()


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("openai:gpt", "openai:gpt"),
        ("openai:gpt?base_url=https://u:p@host/v1&key=k", "openai:gpt"),
        ("hf:https://u:p@ss@host/model", "hf:https://host/model"),
        ("hf:org/name@main", "hf:org/name@main"),
        ("", ""),
    ],
)
def test_names_for_people(spec: str, name: str, path: Path) -> None:
    assert provider_name(spec) == name
    with Memory(path, "auto") as memory:
        memory.keep(b"k", Remembered("yes", model=spec))
        found = memory.recall(b"k")
    assert found is not None
    assert found.model == name
    assert b"u:p" not in path.read_bytes()
