"""A folder with a model that is a function and a suite that asks it, run plain and under xdist."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis  # noqa: F401
import pytest

import surfcheck.comparing
import surfcheck.invariants
import surfcheck.models
import surfcheck.running  # noqa: F401 (a run in this process drops what it was first to import)

INI = """[pytest]
strict = true
addopts = -ra --import-mode=importlib -p surfcheck.plugin -p xdist.plugin
filterwarnings = error
pythonpath = .
surf_target = python:fake:answer
"""

FAKE = """
from __future__ import annotations

def answer(messages: list[dict[str, str]]) -> str:
    '''Says no to shouting, and cannot be reached for one prompt.'''
    text = messages[-1]["content"]
    if "unreachable" in text:
        raise ConnectionError("no route to host")
    with open("asked.txt", "a") as file:
        print(text, file=file)
    return "No." if text.isupper() else "Yes."
"""

CHANGES = """
from __future__ import annotations

from dataclasses import dataclass, replace

from hypothesis import strategies as st

from surfcheck import Verdict
from surfcheck.records import Case, Outcome, Response


@dataclass
class Change:
    name: str
    change: object

    def __call__(self, case: Case) -> st.SearchStrategy[Case]:
        changed = case.prompt.with_text(self.change(case.prompt.text))
        return st.sampled_from([case, replace(case, prompt=changed, steps=(self.name,))])


shout = Change("shout", str.upper)
title = Change("title", str.title)


def agrees(response: Response) -> Verdict:
    return Verdict.of(response.text == "Yes.", "does not agree")


def unsure(response: Response) -> Verdict:
    return Verdict(Outcome.UNDECIDED, "cannot tell")
"""

SUITE = """
from __future__ import annotations

import pytest
from changes import agrees, shout, title, unsure

from surfcheck import invariant


@invariant(shout, title)
@pytest.mark.parametrize("prompt", ["Is water wet?", "Is ice cold?"])
def test_agrees(prompt, target, judge):
    '''The reply agrees.

    More about it.
    '''
    assert judge(target(prompt), agrees)


@pytest.mark.parametrize("prompt", ["Is fire hot?"])
@invariant(title)
def test_is_calm(prompt, target, judge):
    assert judge(target(prompt), agrees)
"""


@pytest.fixture
def folder(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """An empty project beside a model and perturbations; a worker loads no plugin but ours."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    (pytester.path / "pytest.ini").write_text(INI)
    pytester.makepyfile(fake=FAKE, changes=CHANGES)
    return pytester


@pytest.fixture
def suite(folder: pytest.Pytester) -> pytest.Pytester:
    """Five items of two invariants; the two that shout fail."""
    folder.makepyfile(test_suite=SUITE)
    return folder


@pytest.fixture(params=["plain", "xdist"])
def run(
    request: pytest.FixtureRequest, pytester: pytest.Pytester
) -> Callable[..., pytest.RunResult]:
    """`pytest` with arguments, in this process and spread over two workers."""
    workers = ("-n2",) if request.param == "xdist" else ()

    def run(*arguments: str) -> pytest.RunResult:
        return pytester.runpytest_inprocess(*workers, *arguments)

    return run


@pytest.fixture
def latest(pytester: pytest.Pytester) -> Callable[[], dict[str, Any]]:
    """The last run's run.json."""

    def latest() -> dict[str, Any]:
        return json.loads(Path(pytester.path, ".surfcheck/runs/latest/run.json").read_text())

    return latest
