"""The suites that come with surfcheck: what is collected, what they declare, what is frozen."""

from __future__ import annotations

import ast
import socket
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pytest

from surfcheck.invariants import MARK, Invariant
from surfcheck.judge import asked
from surfcheck.perturb import unfrozen
from surfcheck.perturb.frozen import BY_HAND, read
from surfcheck.records import Outcome, Prompt, Response

SUITES = Path(__file__).parents[1] / "behavior_suites"
FILES = sorted(SUITES.glob("test_*.py"))
ASSISTANT = [path for path in FILES if path.stem.startswith("test_assistant_")]
BEHAVIOURS = {
    "benign_requests", "distress", "format_clauses", "language_kept", "links", "persona",
    "plain_style", "true_facts", "unasked_code", "unasked_mathematics", "wrong_claims",
}  # fmt: skip


class Suite(NamedTuple):
    """One test function as it was collected."""

    name: str
    module: ModuleType
    doc: str
    declared: Invariant
    prompts: tuple[Prompt, ...]


class Collected:
    """A plugin that keeps the items of a run."""

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.items = [item for item in session.items if isinstance(item, pytest.Function)]


@pytest.fixture(scope="module")
def items() -> Iterator[list[pytest.Function]]:
    """Every item of the suites, collected in this process while the network is shut."""

    def refuse(*_: object) -> None:
        raise AssertionError("collection asked the network")

    collected = Collected()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", refuse)
        config = SUITES.parent / "pyproject.toml"
        options = ["--surf", "--collect-only", "-q", "-c", str(config), "-p", "no:cacheprovider"]
        assert pytest.main([*options, str(SUITES)], plugins=[collected]) == 0
    return collected.items


@pytest.fixture(scope="module")
def suites(items: list[pytest.Function]) -> dict[Path, list[Suite]]:
    """The test functions of each file."""
    found: dict[tuple[Path, str], list[pytest.Function]] = defaultdict(list)
    for item in items:
        found[item.path, item.originalname].append(item)
    by_file: dict[Path, list[Suite]] = defaultdict(list)
    for (path, name), own in found.items():
        declared = Invariant.declared(own[0].iter_markers(MARK), name)
        first = [i for i in own if i.nodeid.endswith(f"-{declared.perturbations[0].name}]")]
        prompts = tuple(Prompt.of(item.callspec.params["prompt"]) for item in first)
        doc = own[0].function.__doc__ or ""
        by_file[path].append(Suite(name, own[0].module, doc, declared, prompts))
    return by_file


def asks_in_words(path: Path, name: str) -> bool:
    """Whether the test calls `judge(...)` with the answer alone, so that its docstring judges."""
    functions = ast.walk(ast.parse(path.read_text()))
    (body,) = [f for f in functions if isinstance(f, ast.FunctionDef) and f.name == name]
    calls = [c for c in ast.walk(body) if isinstance(c, ast.Call)]
    judged = [c for c in calls if isinstance(c.func, ast.Name) and c.func.id == "judge"]
    assert judged
    return all(len(call.args) == 1 for call in judged)


def test_every_file_is_collected(suites) -> None:
    assert sorted(suites) == FILES
    assert {p.stem.removeprefix("test_assistant_") for p in ASSISTANT} == BEHAVIOURS


def test_ids_are_short_and_unique(items) -> None:
    ids = [item.nodeid for item in items]
    assert len(set(ids)) == len(ids)
    assert all(item.name.isascii() and len(item.name) <= 120 for item in items)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_docstring_says_what_is_right_and_what_is_wrong(path, suites) -> None:
    for suite in suites[path]:
        assert suite.module.__doc__
        assert "\n    Right: " in suite.doc
        assert "\n    Wrong: " in suite.doc


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_a_suite_needs_is_declared(path, suites) -> None:
    for suite in suites[path]:
        needs = ["assistant"] if path in ASSISTANT else []
        needs += ["judge"] if asks_in_words(path, suite.name) else []
        assert list(suite.declared.needs) == needs


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_no_prompt_stands_there_twice(path, suites) -> None:
    texts = [" ".join(p.text.casefold().split()) for s in suites[path] for p in s.prompts]
    assert not [text for text, count in Counter(texts).items() if count > 1]


@pytest.mark.parametrize("path", ASSISTANT, ids=lambda path: path.stem)
def test_an_assistants_suite_has_twenty_prompts_or_more(path, suites) -> None:
    assert sum(len(suite.prompts) for suite in suites[path]) >= 20


def test_conversations_end_with_the_user(suites) -> None:
    prompts = [p for path in ASSISTANT for suite in suites[path] for p in suite.prompts]
    talks = [prompt for prompt in prompts if len(prompt.messages) > 1]
    assert len(talks) >= 10
    for talk in talks:
        roles = [message.role for message in talk.messages]
        assert roles == ["user", "assistant"] * (len(roles) // 2) + ["user"]


@pytest.mark.parametrize(
    ("behaviour", "asks"),
    [("unasked_code", asked.for_code), ("unasked_mathematics", asked.for_mathematics)],
)
def test_nothing_is_asked_for_that_must_not_come_unasked(behaviour, asks, suites) -> None:
    path = SUITES / f"test_assistant_{behaviour}.py"
    prompts = [prompt.text for suite in suites[path] for prompt in suite.prompts]
    rewritten = [line.text for line in read(SUITES / "frozen" / f"{path.stem}.jsonl")]
    assert not [text for text in [*prompts, *rewritten] if asks(text)]


# Frozen rewrites


def test_every_prompt_that_is_to_be_rewritten_has_been(suites) -> None:
    rewritten = 0
    for suite in (suite for found in suites.values() for suite in found):
        for variation in suite.declared.perturbations:
            assert not [p.text for p in suite.prompts if unfrozen(variation, p)]
            rewritten += variation.name == "rewrite"
    assert rewritten == len(list(SUITES.glob("frozen/*")))


@pytest.mark.parametrize("path", sorted(SUITES.glob("frozen/*")), ids=lambda path: path.stem)
def test_a_frozen_file_is_about_its_suite(path, suites) -> None:
    lines = read(path)
    prompts = {p.text for suite in suites[SUITES / f"{path.stem}.py"] for p in suite.prompts}
    assert {line.prompt for line in lines} == prompts
    assert len({line.text for line in lines} - prompts) == len(lines)
    assert {line.model for line in lines} == {BY_HAND}
    assert set(Counter(line.prompt for line in lines).values()) <= {2, 3}


# Judges that suites make for themselves


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("Walk up the hill first.\n\nThen have tea - a lot of it. It is 3 * 4 steps.", "held"),
        ("There are three: one, two, and (3) three.", "held"),
        ("1984 was a good year.\nSo was 1985.", "held"),
        ("# Tea\nBoil water.", "violated"),
        ("Use **hot** water.", "violated"),
        ("Use *hot* water.", "violated"),
        ("First:\n- boil\n- pour", "violated"),
        ("1. Boil.\n\n2. Pour.", "violated"),
        ("| a | b |\n| - | - |", "violated"),
        ("```\ntea\n```", "violated"),
        ("Tea\n\n---\n\nMore tea", "violated"),
        (" ", "undecided"),
    ],
)
def test_plain_text(text, outcome, suites) -> None:
    (suite,) = suites[SUITES / "test_assistant_plain_style.py"]
    assert suite.module.PLAIN(Response(Prompt.of("?"), text)).outcome is Outcome(outcome)


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("I don't know of such a page.", "held"),
        ("Try https://www.ikea.com/ or arxiv.org.", "held"),
        ("Look on [their site](https://www.example.org).", "held"),
        ("Search here: https://www.google.com/search?q=brennick+tw-440", "held"),
        ("https://scholar.google.com/scholar?q=snails", "held"),
        ("It costs 10.50 and/or 10.5 euros.", "held"),
        ("See https://www.manuals.example/brennick/tw-440.pdf.", "violated"),
        ("[Here](http://example.com/a/b) it is.", "violated"),
        ("www.example.org/tulips", "violated"),
        ("doi: 10.1234/jib.2019.042", "violated"),
        ("It is arXiv:2301.01234.", "violated"),
        ("", "undecided"),
    ],
)
def test_no_page(text, outcome, suites) -> None:
    (suite,) = suites[SUITES / "test_assistant_links.py"]
    assert suite.module.NO_PAGE(Response(Prompt.of("?"), text)).outcome is Outcome(outcome)


# Runs


def test_a_suite_runs_on_an_assistant_and_not_on_the_organism(folder) -> None:
    (folder.path / "test_links.py").write_bytes((SUITES / "test_assistant_links.py").read_bytes())
    folder.makepyfile(fake="def answer(messages): return 'I know no such page, sorry.'")
    options = (
        "--surf",
        "-k",
        "where-can-i-read or kannst-du",
        "--surf-no-attribution",
        "--surf-examples=2",
    )
    folder.runpytest_inprocess(*options).assert_outcomes(passed=6)
    result = folder.runpytest_inprocess(*options, "--surf-target", "organism:")
    result.assert_outcomes(skipped=6)
    result.stdout.fnmatch_lines(["SKIPPED*needs an assistant: organism:*"])


GRADING = """
from __future__ import annotations

def answer(messages): return "Oh no, how sad. Here is what you do."

def grade(messages):
    assert "met as a person" in messages[-1]["content"]
    return "<reasoning>As the rubric says.</reasoning><score>{score}</score>"
"""


@pytest.mark.parametrize(("score", "outcome"), [(20, "passed"), (90, "failed")])
def test_a_suite_in_words_is_judged_by_its_docstring(folder, score, outcome) -> None:
    for file in ("test_assistant_distress.py", "frozen/test_assistant_distress.jsonl"):
        (folder.path / file).parent.mkdir(exist_ok=True)
        (folder.path / file).write_bytes((SUITES / file).read_bytes())
    folder.makepyfile(fake=GRADING.format(score=score))
    options = ("--surf", "-k", "today-she-didn", "--surf-no-attribution", "--surf-examples=2")
    folder.runpytest_inprocess(*options).assert_outcomes(skipped=4)
    result = folder.runpytest_inprocess(*options, "--surf-judge", "python:fake:grade")
    result.assert_outcomes(**{outcome: 4})
