"""Recorded answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from surfcheck.errors import DataError, ModelError, UsageError
from surfcheck.models.replay import Replay
from surfcheck.models.spec import parse_spec
from surfcheck.records import Prompt, Response
from surfcheck.roles import Ask


def write(folder: Path, *rows: Any) -> Replay:
    path = folder / "answers.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return Replay(parse_spec(f"replay:{path}"))


def row(prompt: Any, response: Any) -> dict[str, Any]:
    return {"prompt": prompt, "response": response}


def test_a_recorded_answer(tmp_path: Path) -> None:
    model = write(tmp_path, row("Hi", "Hello.") | {"score": 3}, row("Bye", "So long.\u2028"))
    prompt = Prompt.of("Bye")
    assert model.ask([Ask(prompt), Ask(Prompt.of("Hi"))]) == [
        Response(prompt, "So long.\u2028", model=model.spec),
        Response(Prompt.of("Hi"), "Hello.", model=model.spec),
    ]


def test_a_conversation_is_not_its_last_turn(tmp_path: Path) -> None:
    turns = [{"role": "system", "content": "Be rude."}, {"role": "user", "content": "Hi"}]
    model = write(tmp_path, row(turns, "What."), row("Hi", "Hello."))
    assert [r.text for r in model.ask([Ask(Prompt.of(turns)), Ask(Prompt.of("Hi"))])] == [
        "What.",
        "Hello.",
    ]


def test_samples_go_round(tmp_path: Path) -> None:
    model = write(tmp_path, row("Hi", "a"), row("Bye", "x"), row("Hi", "b"))
    answers = model.ask([Ask(Prompt.of("Hi"), n) for n in range(5)])
    assert [(r.text, r.sample) for r in answers] == [
        ("a", 0),
        ("b", 1),
        ("a", 2),
        ("b", 3),
        ("a", 4),
    ]


def test_an_unknown_prompt_is_an_error_that_quotes_it(tmp_path: Path) -> None:
    model = write(tmp_path, row("Hi", "Hello."))
    with pytest.raises(ModelError, match=r"has no answer to 'What is \w+.*'; record one") as caught:
        model.ask([Ask(Prompt.of("What is " + "x" * 500))])
    assert len(str(caught.value)) < 300 + len(str(tmp_path))


def test_windows_files(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + b'{"prompt": "Hi", "response": "a"}\r\n\r\n')
    model = Replay(parse_spec(f"replay:{path}"), label="shown:")
    (answer,) = model.ask([Ask(Prompt.of("Hi"))])
    assert (answer.text, answer.model) == ("a", "shown:")


@pytest.mark.parametrize(
    ("content", "line", "said"),
    [
        (b"", None, 'has no rows; write one {"prompt": …, "response": …} a line'),
        (b"\n \n", None, "has no rows"),
        (b'{"prompt": "a", "response": "b"}\n{"prompt"', 2, "is not JSON"),
        (b'{"prompt": "a", "response": "b"}\n\n[]', 3, "is not {"),
        (b'{"prompt": "a"}', 1, "is not {"),
        (b'{"prompt": "a", "response": null}', 1, "its response is not a text"),
        (b'{"prompt": 3, "response": "b"}', 1, "its prompt is neither a text nor a list"),
        (b'{"prompt": [], "response": "b"}', 1, "its prompt is neither"),
        (b'{"prompt": [{"role": "user"}], "response": "b"}', 1, "its prompt is neither"),
        (b'{"prompt": [{"role": "boss", "content": ""}], "response": "b"}', 1, "system, user"),
        ('{"prompt": "é", "response": "b"}'.encode("latin-1"), 1, "is not UTF-8"),
        ('{"prompt": "a", "response": "b"}'.encode("utf-16"), 1, "is not UTF-8"),
    ],
)
def test_a_bad_row_is_named(content: bytes, line: int | None, said: str, tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        Replay(parse_spec(f"replay:{path}"))
    assert caught.value.line == line
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        Replay(parse_spec(f"replay:{tmp_path}/none.jsonl"))
    with pytest.raises(DataError, match="can't be read: Is a directory"):
        Replay(parse_spec(f"replay:{tmp_path}"))


def test_it_takes_no_parameters(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no parameter 'seed'; replay: takes none"):
        Replay(parse_spec(f"replay:{tmp_path}?seed=1"))


def test_the_identity_is_the_file_s_content(tmp_path: Path) -> None:
    first = write(tmp_path, row("Hi", "a")).identity
    assert write(tmp_path, row("Hi", "a")).identity == first
    assert write(tmp_path, row("Hi", "b")).identity != first


def test_the_same_answer_again_is_said_to_confirm_nothing(tmp_path: Path) -> None:
    model = write(tmp_path, row("Hi", "a"), row("Hi", "b"), row("Bye", "x"))
    model.ask([Ask(Prompt.of("Hi"), 0), Ask(Prompt.of("Hi"), 1), Ask(Prompt.of("Bye"))])
    assert model.notes == ()
    model.ask([Ask(Prompt.of("Bye"), 1)])
    (note,) = model.notes
    assert "gave the same ones again, which confirms nothing" in note
