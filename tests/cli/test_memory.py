"""`surfcheck memory`, in this process."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from surfcheck import cli
from surfcheck.models.memory import Memory, Remembered

MEMORY = Path(".surfcheck/memory.sqlite")
PROMPT = json.dumps([{"role": "user", "content": "why?"}])


class Ran(NamedTuple):
    """What a command came to."""

    code: int
    out: str
    err: str


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """`surfcheck memory` with arguments."""

    def run(*arguments: str) -> Ran:
        code = cli.main(["memory", *arguments])
        return Ran(code, *capsys.readouterr())

    return run


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, empty."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def filled() -> None:
    """The usual memory, with answers of two models and one from before names were kept."""
    with Memory(MEMORY, "auto") as memory:
        for n in range(3):
            kept = Remembered(f"answer {n}", "stop", 1000, 10, None, model="x:big", prompt=PROMPT)
            memory.keep(bytes([n]), kept._replace(sample=n))
        memory.keep(b"s", Remembered("dunno", model="x:\x1b[31msmall", prompt=PROMPT))
        memory.keep(b"o", Remembered("old"))


@pytest.mark.parametrize("verb", ["info", "prune", "export"])
def test_every_verb_has_an_example(run: Callable[..., Ran], verb: str) -> None:
    ran = run(verb, "--help")
    assert (ran.code, ran.err) == (0, "")
    assert f"\n  Example:\n    surfcheck memory {verb}" in ran.out


def test_info_for_people(run: Callable[..., Ran], filled: None) -> None:
    ran = run("info")
    assert (ran.code, ran.err) == (0, "")
    lines = ran.out.splitlines()
    assert lines[0] == f"path     {MEMORY.absolute()}"
    assert lines[1].endswith(" kB, schema 2")
    assert lines[2:4] == ["answers  5", "claims   0 open"]
    day = lines[4][-10:]
    assert lines[4:] == [
        f"model    not known: 1 answers, 0 tokens in, 0 out, {day} to {day}",
        f"model    x:small: 1 answers, 0 tokens in, 0 out, {day} to {day}",
        f"model    x:big: 3 answers, 3,000 tokens in, 30 out, {day} to {day}",
    ]


def test_info_for_programs(run: Callable[..., Ran], filled: None) -> None:
    ran = run("info", "--json")
    assert (ran.code, ran.err) == (0, "")
    found = json.loads(ran.out)
    assert list(found) == ["path", "schema", "bytes", "answers", "models", "claims", "damaged"]
    assert (found["answers"], found["damaged"]) == (5, None)
    assert {m["model"]: m["answers"] for m in found["models"]}["x:big"] == 3


@pytest.mark.parametrize("json_too", [(), ("--json",)])
def test_a_damaged_memory_is_a_finding(
    run: Callable[..., Ran], filled: None, json_too: tuple[str, ...]
) -> None:
    MEMORY.write_text("no database")
    ran = run("info", *json_too)
    assert (ran.code, ran.err) == (1, "")
    said = f"is damaged (file is not a database); move it away (mv {MEMORY.absolute()}"
    assert said in ran.out
    ran = run("prune", "--all")
    assert (ran.code, ran.out) == (3, "")
    assert said in ran.err
    assert len(ran.err.splitlines()) == 1
    assert MEMORY.read_text() == "no database"


def test_prune(run: Callable[..., Ran], filled: None) -> None:
    assert run("prune", "--older-than", "1") == (0, "0 answers forgotten, 5 left\n", "")
    assert run("prune", "--model", "x:big") == (0, "3 answers forgotten, 2 left\n", "")
    assert run("prune", "--all") == (0, "2 answers forgotten, 0 left\n", "")


def test_export(run: Callable[..., Ran], filled: None) -> None:
    ran = run("export", "--out", "out.jsonl")
    assert ran == (
        0,
        "4 answers of 2 models: out.jsonl\n"
        "1 left out: kept by an older version, without their prompts\n",
        "",
    )
    ran = run("export", "--out", "out.jsonl", "--model", "x:big")
    assert ran == (0, "3 answers of 1 models: out.jsonl\n", "")
    found = [json.loads(row) for row in Path("out.jsonl").read_text().splitlines()]
    assert [(row["prompt"], row["response"]) for row in found] == [
        ("why?", f"answer {n}") for n in range(3)
    ]


def test_the_memory_of_the_nearest_folder_above(
    run: Callable[..., Ran], filled: None, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    below = folder / "suites" / "deep"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert run("info").out.splitlines()[0] == f"path     {folder / MEMORY}"
    assert run("prune", "--model", "x:big").out == "3 answers forgotten, 2 left\n"
    assert list(below.iterdir()) == []


@pytest.mark.parametrize("verb", ["prune", "export --out keep.jsonl"])
def test_a_mistyped_model_is_wrong_use(run: Callable[..., Ran], filled: None, verb: str) -> None:
    keep = Path("keep.jsonl")
    keep.write_text("kept")
    said = "surfcheck: no answers of x:bog; `surfcheck memory info` names the models\n"
    assert run(*verb.split(), "--model", "x:bog") == (2, "", said)
    assert keep.read_text() == "kept"
    assert run("info").out.splitlines()[2] == "answers  5"


@pytest.mark.parametrize("verb", ["info", "prune --all", "export --out out.jsonl"])
def test_another_file(run: Callable[..., Ran], filled: None, verb: str) -> None:
    Path("elsewhere").mkdir()
    MEMORY.rename("elsewhere/it")
    ran = run(*verb.split())
    assert ran.code == 2
    assert ran.err == (
        f"surfcheck: {MEMORY.absolute()}: no memory here; run pytest --surf once, "
        "or name another file\n"
    )
    assert run(*verb.split(), "--file", "elsewhere/it").code == 0


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ("", "Missing command"),
        ("forget", "No such command 'forget'"),
        ("export", "Missing option '--out'"),
        ("prune", "prune needs --older-than DAYS, --model NAME or both, or else --all"),
        ("prune --all --model x:big", "or else --all"),
        ("prune --older-than x", "Invalid value for '--older-than'"),
        ("prune --older-than -1", "--older-than is -1: give a number of days, 0 or more"),
        ("prune --older-than nan", "--older-than is nan: give a number of days"),
        ("export --out .surfcheck/memory.sqlite", "is the memory itself; name another file"),
    ],
)
def test_wrong_use_is_one_line(
    run: Callable[..., Ran], filled: None, arguments: str, reason: str
) -> None:
    ran = run(*arguments.split())
    assert (ran.code, ran.out) == (2, "")
    assert reason in ran.err
    assert len(ran.err.splitlines()) == 1


def test_an_export_that_cannot_be_written(run: Callable[..., Ran], filled: None) -> None:
    ran = run("export", "--out", "missing/out.jsonl")
    assert (ran.code, ran.out) == (3, "")
    assert ran.err.startswith("surfcheck: missing/out.jsonl: can't be written (No such file")
