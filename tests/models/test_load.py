"""The door."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from surfcheck import models
from surfcheck.errors import UsageError
from surfcheck.models import Budget, Engine, Memory, load
from surfcheck.models.local import Local
from surfcheck.models.replay import Replay
from surfcheck.records import Prompt
from surfcheck.roles import Ask

HELLO = [Ask(Prompt.of("Hello"))]


def test_what_is_public() -> None:
    names = ["Budget", "Engine", "Hosted", "LoadedModel", "Memory", "Remembering", "load"]
    assert models.__all__ == names
    for name in names:
        assert getattr(models, name) is not None


def test_a_checkpoint(llama: Path) -> None:
    model = load(f"hf:{llama}?max_tokens=3")
    assert isinstance(model, Local)
    assert model.spec == f"hf:{llama}?max_tokens=3"


@pytest.mark.parametrize("spec", ["mistral:large", "HF:x", "organism:clean"])
def test_an_unknown_provider_lists_what_is_known(spec: str) -> None:
    known = r"known are openai:, anthropic:, google:, xai:, hf:, python: and replay:"
    with pytest.raises(UsageError, match=rf"no provider '\w+'; {known}"):
        load(spec)


def test_a_provider_is_imported_by_its_first_use_and_nothing_is_started() -> None:
    code = (
        "import sys, threading\n"
        "from surfcheck.models import load\n"
        "heavy = {'openai', 'anthropic', 'google.genai', 'xai_sdk', 'grpc', 'torch', 'pydantic'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
        "load('openai:gpt-6?base_url=http://127.0.0.1:9/v1&temperature=0')\n"
        "assert 'openai' in sys.modules and 'anthropic' not in sys.modules\n"
        "assert threading.active_count() == 1\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)  # noqa: S603


def test_an_sdk_that_is_not_here_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "surfcheck.models.anthropic", raising=False)
    monkeypatch.setitem(sys.modules, "anthropic", None)
    with pytest.raises(UsageError) as caught:
        load("anthropic:claude")
    assert str(caught.value) == (
        "anthropic:claude: there is no module 'anthropic' here; pip install 'surfcheck[anthropic]'"
    )


def test_dollars_can_be_bounded_only_with_a_price(module: Callable[[str, str], None]) -> None:
    module("answers_r", "def reply(m):\n    return 'yes'\n")
    with Engine(budget=Budget(usd=1)) as engine:
        with pytest.raises(UsageError, match=r"its price is not known.*\?usd_in=…&usd_out=…"):
            load("python:answers_r:reply", engine=engine)
        with pytest.raises(UsageError, match="give both or neither"):
            load("python:answers_r:reply?usd_in=1", engine=engine)
        with pytest.raises(UsageError, match="no ceiling in dollars can be kept"):
            load("python:answers_r:reply?usd_in=1&usd_out=1", engine=engine)
        (answer,) = load("python:answers_r:reply?usd_in=0&usd_out=0", engine=engine).ask(HELLO)
        assert (answer.usd, engine.usage.usd) == (0.0, 0.0)


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
