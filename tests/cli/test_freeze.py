"""`surfcheck freeze`, in this process; the writer is a function."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import typer

from surfcheck.cli.freeze import freeze
from surfcheck.errors import SurfcheckError

WRITER = r"""
from __future__ import annotations

import re

def write(messages):
    '''Both writer and checker: which it is asked to be can be read off the tags.'''
    asked = messages[-1]["content"]
    with open("asked.txt", "a") as file:
        print("asked", file=file)
    if "unreachable" in asked:
        raise ConnectionError("no route to host")
    if "<same>" in asked and "odd" in asked:
        return "<reason>Other.</reason><same>no</same>"
    if "<same>" in asked:
        return "<reason>Fine.</reason><same>yes</same>"
    prompt = re.search(r"<message-(\w+)>\n(.*?)\n</message-\1>", asked, re.S)[2]
    wanted = 0 if "wordless" in prompt else len(re.findall(r"<rewrite-\d+>…", asked))
    return "\n".join(f"<rewrite-{n}>{n}: {prompt}</rewrite-{n}>" for n in range(wanted))
"""

INI = """[pytest]
strict = true
addopts = -p surfcheck.plugin
surf_suites = suites
"""

SUITE = """
import pytest
from surfcheck import invariant, perturb

@invariant(perturb.rewrite(2))
@pytest.mark.parametrize("prompt", ["Is it so?", "Is it hot?"])
def test_facts(prompt, target): pass
"""


class Ran(NamedTuple):
    """What a command came to."""

    code: int
    out: str
    err: str


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """`surfcheck freeze` with arguments; an error's exit code and message as `surfcheck` has it."""
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command()(freeze)
    command = typer.main.get_command(app)

    def run(*arguments: str) -> Ran:
        try:
            code = command.main(list(arguments), "surfcheck freeze", standalone_mode=False) or 0
        except SurfcheckError as error:
            return Ran(error.exit_code, capsys.readouterr().out, str(error))
        return Ran(code, *capsys.readouterr())

    return run


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: a suite and a writer."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "writer_of_tests", raising=False)
    (tmp_path / "writer_of_tests.py").write_text(WRITER)
    (tmp_path / "pytest.ini").write_text(INI)
    (tmp_path / "suites").mkdir()
    (tmp_path / ".surfcheck").mkdir()
    (tmp_path / "suites" / "test_facts.py").write_text(SUITE)
    return tmp_path


BY = ("--writer", "python:writer_of_tests:write")
FROZEN = "suites/frozen/test_facts.jsonl"


def change(old: str, new: str) -> None:
    suite = Path("suites/test_facts.py")
    suite.write_text(suite.read_text().replace(old, new))


def test_without_a_writer_it_says_how(run: Callable[..., Ran], project: Path) -> None:
    ran = run("suites")
    assert (ran.code, ran.out) == (2, "")
    assert "--writer SPEC, such as --writer openai:NAME" in ran.err
    assert list(Path(".surfcheck").iterdir()) == []


def test_help_has_an_example(run: Callable[..., Ran]) -> None:
    ran = run("--help")
    assert (ran.code, ran.err) == (0, "")
    assert "\n  Example:\n    surfcheck freeze" in ran.out
    assert "[PATH]..." in ran.out


def test_written_kept_and_no_longer_wanted(run: Callable[..., Ran], project: Path) -> None:
    assert run(*BY) == (0, f"{FROZEN}: 4 written, 0 kept\n", "")
    texts = [json.loads(row)["text"] for row in Path(FROZEN).read_text().splitlines()]
    assert texts == ["0: Is it so?", "1: Is it so?", "0: Is it hot?", "1: Is it hot?"]
    assert Path(".surfcheck/.gitignore").exists()
    calls = len(Path("asked.txt").read_text().splitlines())
    change(', "Is it hot?"', "")
    ran = run("suites", *BY)
    stale = "  no longer wanted, --update drops it: 'Is it hot?'\n"
    assert ran == (0, f"{FROZEN}: 0 written, 4 kept\n{stale}", "")
    assert len(Path("asked.txt").read_text().splitlines()) == calls
    ran = run("suites", *BY, "--checker", BY[1], "--update")
    assert ran == (0, f"{FROZEN}: 2 written, 0 kept, 4 dropped\n", "")
    assert len(Path("asked.txt").read_text().splitlines()) == calls + 3  # not from memory


def test_what_cannot_be_rewritten_is_a_finding(run: Callable[..., Ran], project: Path) -> None:
    change("Is it so?", "Is it \\x1b[31mwordless?")
    ran = run(*BY)
    assert ran.code == 1
    assert ran.out == (
        f"{FROZEN}: 2 written, 0 kept\n"
        "  0 of 2 (rewrite): 'Is it wordless?': the writer's answer had no new text: ''\n"
    )
    ran = run(*BY, "--json")
    assert ran.code == 1
    (suite,) = json.loads(ran.out)["suites"]
    assert (suite["kept"], suite["short"][0]["offered"]) == (2, 0)


def test_what_was_rejected_before_is_not_kept(run: Callable[..., Ran], project: Path) -> None:
    change("Is it so?", "Is it odd?")
    assert ": 2 written, 0 kept, 2 rejected\n" in run(*BY).out
    rejected = [json.loads(row)["check"]["same"] for row in Path(FROZEN).read_text().splitlines()]
    assert (rejected.count(False), rejected.count(True)) == (2, 2)
    again = run(*BY)
    assert f"{FROZEN}: 0 written, 2 kept, 2 rejected before\n" in again.out
    (suite,) = json.loads(run(*BY, "--json").out)["suites"]
    assert (suite["kept"], suite["rejected"], suite["rejected_before"]) == (2, 0, 2)
    updated = run(*BY, "--update").out
    assert f"{FROZEN}: 2 written, 0 kept, 2 rejected, 4 dropped\n" in updated


def test_a_file_that_does_not_exist_is_not_named(run: Callable[..., Ran], project: Path) -> None:
    change('["Is it so?", "Is it hot?"]', '["wordless?"]')
    ran = run(*BY)
    assert ran.code == 1
    assert ran.out.startswith("suites/test_facts.py: nothing written\n  0 of 2 (rewrite)")
    assert not Path("suites/frozen").exists()


def test_answers_are_remembered_in_the_nearest_folder_above(
    run: Callable[..., Ran], project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project / "suites")
    assert run("test_facts.py", *BY).code == 0
    assert (project / ".surfcheck" / "memory.sqlite").is_file()
    assert not Path(".surfcheck").exists()


def test_what_cannot_be_reached_is_no_finding(run: Callable[..., Ran], project: Path) -> None:
    change("Is it so?", "unreachable")
    ran = run(*BY)
    assert (ran.code, ran.out) == (3, "")
    assert "no route to host" in ran.err


def test_suites_that_want_nothing(run: Callable[..., Ran], project: Path) -> None:
    change("perturb.rewrite(2)", "perturb.casing()")
    ran = run(*BY)
    assert ran == (0, "no suite there wants anything written, such as perturb.rewrite(4)\n", "")
    assert not Path("suites/frozen").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nowhere", *BY), "file or directory not found: nowhere"),
        (("--writer", "nonsense:x"), "no provider 'nonsense'"),
    ],
)
def test_wrong_use(run: Callable[..., Ran], project: Path, arguments, said: str) -> None:
    ran = run(*arguments)
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err
    assert "\n" not in ran.err
