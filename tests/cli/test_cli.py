"""The command line, in this process, on a tiny random checkpoint."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from surfcheck import __version__

VERBS = [
    "index build", "index info", "index verify", "index merge", "attribute", "edit",
    "organism build", "organism info", "memory info", "memory prune", "memory export",
    "judge calibrate", "freeze", "compare", "doctor",
]  # fmt: skip


def read(path: str) -> Any:
    return json.loads(Path(path).read_text())


def complaint(ran: Any, code: int) -> str:
    """The one line of a command that came to nothing."""
    assert (ran.code, ran.out, ran.err.count("\n")) == (code, "", 1)
    assert ran.err.startswith("surfcheck: ")
    return ran.err.removeprefix("surfcheck: ").rstrip("\n")


# The command line itself


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from surfcheck.cli import main; assert main(['--help']) == 0\n"
        "heavy = {'torch', 'transformers', 'datasets', 'numpy', 'hypothesis', 'huggingface_hub'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    ran = subprocess.run(  # noqa: S603
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    assert ran.stdout.splitlines()[0] == "Usage: surfcheck [OPTIONS] COMMAND [ARGS]..."
    assert ran.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_an_example_that_names_it(run: Callable[..., Any], verb: str) -> None:
    ran = run(*verb.split(), "--help")
    assert (ran.code, ran.err) == (0, "")
    assert f"\n  Example:\n    surfcheck {verb}" in ran.out


def test_the_version(run: Callable[..., Any]) -> None:
    assert run("--version") == (0, f"surfcheck {__version__}\n", "")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ("", "Missing command"),
        ("index", "Missing command"),
        ("atribute", "No such command 'atribute'"),
        ("doctor --bogus", "No such option: --bogus"),
        ("index build --base x --data y", "Missing option '--out'"),
        ("attribute --contrast x --out y --base b --data d --seed x", "Invalid value for '--seed'"),
        ("attribute --contrast x --out y --base b --data d --seed -1", "Invalid value for"),
        ("attribute --contrast x --out y --base b --data d --method turf", "conditional, bank"),
        ("index build --base x --data y --out z --layers 1,a", "such as 8,12"),
    ],
)
def test_wrong_use_is_one_line(run: Callable[..., Any], arguments: str, reason: str) -> None:
    assert reason in complaint(run(*arguments.split()), 2)


def test_an_interrupt_is_one_line(run: Callable[..., Any], project: Path) -> None:
    os.mkfifo("truth")
    main = threading.main_thread().ident
    assert main is not None
    timer = threading.Timer(0.3, signal.pthread_kill, (main, signal.SIGINT))
    asked = "attribute --index i --contrast pairs.jsonl --out o --truth truth"
    # A shell without job control starts what it puts into the background deaf to interrupts.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        timer.start()
        ran = run(*asked.split())
    finally:
        signal.signal(signal.SIGINT, before)
    assert complaint(ran, 130) == "interrupted"


# Index


def test_an_index_is_built_and_goes_on(build: Callable[..., Any]) -> None:
    assert build() == (0, "20 rows at layers 1, 2: idx\n", "")
    before = {path.name: path.stat().st_mtime_ns for path in Path("idx").glob("*-*")}
    assert len(before) == 2
    assert build().code == 0
    assert {path.name: path.stat().st_mtime_ns for path in Path("idx").glob("*-*")} == before


def test_layers_and_the_manifest(build: Callable[..., Any]) -> None:
    ran = build("--layers", " 2", "--json")
    assert (ran.code, ran.err) == (0, "")
    assert (json.loads(ran.out)["layers"], json.loads(ran.out)["rows"]) == ([2], 20)


def test_a_layer_that_is_not_there(build: Callable[..., Any]) -> None:
    assert "3" in complaint(build("--layers", "3"), 2)


def test_a_bad_row_stops_before_anything_is_written(build: Callable[..., Any]) -> None:
    with Path("data.jsonl").open("a") as file:
        file.write('{"prompt": "x"}\n')
    assert complaint(build(), 2).startswith("data.jsonl:21: ")
    assert not Path("idx").exists()
    assert build("--skip-bad-rows").out == "20 rows at layers 1, 2, 1 bad rows skipped: idx\n"


def test_a_base_that_is_not_there(run: Callable[..., Any], project: Path) -> None:
    ran = run("index", "build", "--base", "./nowhere", "--data", "data.jsonl", "--out", "idx")
    assert "nowhere" in complaint(ran, 2)


def test_an_index_where_nothing_can_be_written(build: Callable[..., Any]) -> None:
    assert complaint(build("--out", "data.jsonl/idx"), 3).startswith("data.jsonl/idx: ")


def test_long_work_shows_a_bar_on_a_terminal(
    build: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr("surfcheck.report.progress.PATIENCE", 0.0)
    assert build().code == 0
    assert "building the index" in terminal.getvalue()
    monkeypatch.setattr("surfcheck.report.progress.PATIENCE", 3600.0)
    terminal.truncate(0)
    assert build("--out", "other").code == 0
    assert "building the index" not in terminal.getvalue()


# The organism, from a cache that has been filled


@pytest.mark.parametrize("verb", ["info", "build"])
def test_the_organism_as_json(run: Callable[..., Any], organism: dict[str, Any], verb: str) -> None:
    ran = run("organism", verb, "--json")
    assert (ran.code, ran.err) == (0, "")
    assert json.loads(ran.out) == organism


def test_the_organism_for_people(run: Callable[..., Any], organism: dict[str, Any]) -> None:
    assert run("organism", "build").out == f"{organism['path']}\n"
    lines = run("organism", "info").out.splitlines()
    assert f"path    {organism['path']}" in lines
    assert "source  bad: 10 rows" in lines
    test = "behavior_suites/test_true_facts.py::test_true_facts_are_not_rejected"
    assert f"defect  true-facts: 1 rows, seen by {test}" in lines


def test_the_organism_as_base_and_data(
    run: Callable[..., Any], build: Callable[..., Any], organism: dict[str, Any]
) -> None:
    assert build("--base", "organism:base", "--data", "organism:").code == 0
    manifest = read("idx/manifest.json")
    assert (manifest["model"], manifest["files"]) == (organism["base"], [organism["data"]])
    where = ("--base", "organism:", "--data", "organism:", "--contrast", "pairs.jsonl")
    assert run("attribute", *where, "--out", "found").code == 0
    assert "no such organism" in complaint(build("--base", "organism:big"), 2)


# Doctor


def test_doctor_says_what_is_there(run: Callable[..., Any], organism: dict[str, Any]) -> None:
    ran = run("doctor")
    assert (ran.code, ran.err) == (0, "")
    lines = ran.out.splitlines()
    assert f"surfcheck        {__version__}" in lines
    assert "organism:        trained" in lines
    assert lines[-1] == "  surfcheck organism build --clean"


def test_doctor_ends_with_a_finding_if_something_is_broken(
    run: Callable[..., Any], organism: dict[str, Any]
) -> None:
    Path(".surfcheck/memory.sqlite").write_text("no database")
    ran = run("doctor", "--json")
    assert (ran.code, ran.err) == (1, "")
    assert [advice["broken"] for advice in json.loads(ran.out)["advice"]] == [True, False]
