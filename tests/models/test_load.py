"""The door."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from surfcheck import models
from surfcheck.errors import UsageError
from surfcheck.models import Memory, load
from surfcheck.models.local import Local
from surfcheck.models.replay import Replay
from surfcheck.records import Prompt
from surfcheck.roles import Ask

HELLO = [Ask(Prompt.of("Hello"))]


def test_what_is_public() -> None:
    assert models.__all__ == ["LoadedModel", "Memory", "Remembering", "load"]


def test_a_checkpoint(llama: Path) -> None:
    model = load(f"hf:{llama}?max_tokens=3")
    assert isinstance(model, Local)
    assert model.spec == f"hf:{llama}?max_tokens=3"


@pytest.mark.parametrize("spec", ["openai:gpt", "HF:x", "organism:clean"])
def test_an_unknown_provider_lists_what_is_known(spec: str) -> None:
    with pytest.raises(UsageError, match=r"no provider '\w+'; known are hf:, python: and"):
        load(spec)


def test_answers_are_remembered_under_the_label(llama: Path, tmp_path: Path) -> None:
    def ask() -> list[tuple[str, str, bool]]:
        with Memory(tmp_path / "memory.sqlite", "auto") as memory:
            model = load(f"hf:{llama}?max_tokens=3", memory=memory, label="organism:")
            assert model.spec == "organism:"
            return [(r.text, r.model, r.remembered) for r in model.ask(HELLO)]

    ((text, name, remembered),) = ask()
    assert (name, remembered) == ("organism:", False)
    assert ask() == [(text, "organism:", True)]


def test_a_remembered_run_does_not_load_the_weights(llama: Path, tmp_path: Path) -> None:
    spec = f"hf:{llama}?max_tokens=3"
    with Memory(tmp_path / "memory.sqlite", "auto") as memory:
        load(spec, memory=memory).ask(HELLO)
        inner = load(spec)
        assert isinstance(inner, Local)
        assert models.Remembering(inner, memory).ask(HELLO)[0].remembered
        assert "checkpoint" not in vars(inner)


def test_a_function_is_remembered_until_its_source_changes(
    module: Callable[[str, str], None], tmp_path: Path
) -> None:
    module(
        "answers_n",
        "count = 0\ndef reply(m):\n    global count\n    count += 1\n    return str(count)\n",
    )
    with Memory(tmp_path / "memory.sqlite", "auto") as memory:
        texts = [load("python:answers_n:reply", memory=memory).ask(HELLO)[0].text for _ in "ab"]
    assert texts == ["1", "1"]


def test_recorded_answers_are_not_remembered_again(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"prompt": "Hello", "response": "Hi"}')
    path = tmp_path / "memory.sqlite"
    with Memory(path, "auto") as memory:
        model = load(f"replay:{tmp_path}/a.jsonl", memory=memory)
        assert isinstance(model, Replay)
        assert model.ask(HELLO)[0].text == "Hi"
    assert not path.exists()
