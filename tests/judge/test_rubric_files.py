"""Rubric files, and criteria in words."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import surfcheck.judge
from surfcheck.errors import DataError, UsageError
from surfcheck.judge.rubric import (
    Example,
    Rubric,
    read_rubric,
)

CALM = Rubric.of("The reply is calm.")

CALM_YAML = """\
name: calm
description: |
  The reply is calm.
  Wrong: it shouts.
examples:
  - prompt: Hello
    response: HELLO!!!
    score: 90
  - {prompt: Hello, response: Good morning., score: 2.5}
"""


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str | bytes], Path]:
    """A rubric file with this content."""

    def write(content: str | bytes) -> Path:
        path = tmp_path / "calm.yaml"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def test_a_rubric_file(write: Callable[..., Path]) -> None:
    expected = Rubric(
        "calm",
        "The reply is calm.\nWrong: it shouts.",
        (Example("Hello", "HELLO!!!", 90.0), Example("Hello", "Good morning.", 2.5)),
    )
    assert read_rubric(write(CALM_YAML)) == expected
    assert read_rubric(write(b"\xef\xbb\xbf" + CALM_YAML.encode())) == expected
    assert read_rubric(write(CALM_YAML.replace("\n", "\r\n"))) == expected
    assert Rubric.from_json(json.loads(json.dumps(expected.to_json()))) == expected


def test_examples_are_optional(write: Callable[..., Path]) -> None:
    rubric = read_rubric(write("description: The reply is calm.\nname: calm\n"))
    assert rubric == Rubric("calm", "The reply is calm.")


def test_the_public_name_is_a_function_whatever_was_imported_before(
    write: Callable[..., Path],
) -> None:
    assert surfcheck.judge.rubric(write(CALM_YAML)) == read_rubric(write(CALM_YAML))
    code = "import surfcheck.judge.rubric; from surfcheck.judge import rubric; print(rubric)"
    ran = subprocess.run(  # noqa: S603
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    assert ran.stdout.startswith("<function rubric")


@pytest.mark.parametrize(
    ("content", "line", "reason"),
    [
        ("", None, "is empty"),
        ("# nothing\n", None, "is empty"),
        ("- name\n", 1, "is no mapping"),
        ("calm\n", 1, "is no mapping"),
        ("\nname: calm\n", 2, "description is missing"),
        ("name: calm\ndescripton: x\n", 2, "there is no key 'descripton'; use name, description"),
        ("name: calm\n[a]: x\n", 2, "there is no key like this"),
        ("name: calm\nname: calm\n", 2, "name is given twice"),
        ("name: no\ndescription: x\n", 1, "name is no text; put it in quotes"),
        ("name: 2024-01-01\ndescription: x\n", 1, "name is no text"),
        ("name: 2024-99-99\ndescription: x\n", 1, "can't be read (month must be in 1..12)"),
        ("name: calm\ndescription:\n", 2, "description is no text"),
        ('name: calm\ndescription: " "\n', 2, "description has no words"),
        ('name: calm\ndescription: "\\ud800"\n', 2, "half a character"),
        ("name: calm\ndescription: [x\n", 3, "is no YAML"),
        ("name: calm\n description: x\n", 2, "is no YAML"),
        ("name: calm\ndescription: right: x\n", 2, "is no YAML: mapping values are not allowed"),
        ("name: calm\ndescription: !!python/name:os.system x\n", 2, "could not determine a const"),
        ("name: calm\ndescription: \x07\n", 2, "a character that no YAML has"),
        (b"name: calm\ndescription: \xff\n", 2, "is not UTF-8"),
        ("[" * 5000, None, "nested too deep"),
        ("name: calm\ndescription: x\nexamples: all\n", 3, "examples is no list"),
        ("name: calm\ndescription: x\nexamples:\n- hello\n", 4, "is no mapping; write prompt:"),
        ("name: calm\ndescription: x\nexamples:\n- prompt: a\n", 4, "response is missing"),
    ],
)
def test_a_bad_rubric_is_named_with_its_line(
    write: Callable[..., Path], content: str | bytes, line: int | None, reason: str
) -> None:
    with pytest.raises(DataError) as raised:
        read_rubric(write(content))
    assert raised.value.line == line
    assert reason in raised.value.reason
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "score", ["yes", "true", "-1", "100.5", ".nan", ".inf", "'50'", "", "[1]", "1" * 5000]
)
def test_a_score_is_a_number_from_0_to_100(write: Callable[..., Path], score: str) -> None:
    example = f"examples:\n- prompt: a\n  response: b\n  score: {score}\n"
    with pytest.raises(DataError, match=r"calm.yaml:6: (score is no number|can't be read)"):
        read_rubric(write(f"name: calm\ndescription: x\n{example}"))


def test_a_rubric_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere.yaml: no such rubric; correct the path"):
        read_rubric(tmp_path / "nowhere.yaml")
    with pytest.raises(DataError, match="can't be read: Is a directory"):
        read_rubric(tmp_path)


def test_an_alias_bomb_is_no_bomb(write: Callable[..., Path]) -> None:
    levels = [f"  - &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 12)]
    bomb = "\n".join(["name: calm", "description: x", "examples:", "  - &l0 [lol]", *levels])
    with pytest.raises(DataError, match=r"calm.yaml:4: is no mapping"):
        read_rubric(write(bomb))


def test_a_criterion_in_words() -> None:
    docstring = """The reply is calm.

        Wrong: it shouts.
        """
    assert Rubric.of(docstring, name="calm") == Rubric(
        "calm", "The reply is calm.\n\nWrong: it shouts."
    )
    with pytest.raises(UsageError, match="a criterion without words"):
        Rubric.of(" \n ")


def test_rubrics_that_tell_a_judge_the_same_have_one_digest(write: Callable[..., Path]) -> None:
    rubric = read_rubric(write(CALM_YAML))
    assert Rubric("other", rubric.description, rubric.examples).digest == rubric.digest
    assert Rubric.of(rubric.description).digest != rubric.digest
    assert Rubric.of("The reply is kind.").digest != CALM.digest
