"""Having a model write what is wanted: the model is a function, or says one thing."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from surfcheck import freezing
from surfcheck.errors import DataError, ModelError
from surfcheck.freezing import Frozen, Want, freeze
from surfcheck.models import load
from surfcheck.perturb.frozen import Written, read
from surfcheck.records import Response
from surfcheck.roles import Ask, Model

WRITER = r"""
from __future__ import annotations

import json
import re

def noted(asked, what):
    with open("asked.jsonl", "a") as file:
        print(json.dumps([what, asked]), file=file)

def between(asked, name):
    return [t for _, t in re.findall(rf"<{name}-(\w+)>\n(.*?)\n</{name}-\1>", asked, re.S)]

def write(messages):
    '''As many versions as are wanted, numbered on from those that are known.'''
    asked = messages[-1]["content"]
    noted(asked, "write")
    (prompt,), known = between(asked, "message"), len(between(asked, "known"))
    if "unreachable" in prompt:
        raise ConnectionError("no route to host")
    if "wordless" in prompt:
        return "I'd rather not."
    wanted = len(re.findall(r"<rewrite-\d+>…", asked))
    versions = [f"version {known + n} of {prompt}" for n in range(1, wanted + 1)]
    versions[:1] = ["Earlier."] if "comes before" in asked else versions[:1]
    return "\n".join(f"<rewrite-{n}>{v}</rewrite-{n}>" for n, v in enumerate(versions, 1))

def check(messages):
    '''Finds another meaning in every second version, and in all of what is doubtful.'''
    asked = messages[-1]["content"]
    noted(asked, "check")
    (b,) = between(asked, "B")
    odd = "version 2 of" in b or "doubtful" in b
    return f"<reason>{'Odd' if odd else 'Even'}.</reason><same>{'no' if odd else 'yes'}</same>"
"""

Freeze = Callable[..., Frozen]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a writer and a checker in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "writer", raising=False)
    (tmp_path / "writer.py").write_text(WRITER)
    return tmp_path


@pytest.fixture
def models(folder: Path) -> tuple[Model, Model]:
    """The writer and the checker."""
    return load("python:writer:write"), load("python:writer:check")


@pytest.fixture
def want(folder: Path) -> Callable[..., Want]:
    """What the suite test_facts.py wants of a prompt: by default two rewrites."""

    def want(prompt: str, count: int = 2, kind: str = "rewrite", about: str = "", **more: Any):
        suite = folder / "test_facts.py"
        return Want(suite, prompt, Written(kind, about, count, str(suite)), **more)

    return want


@pytest.fixture
def run(models: tuple[Model, Model]) -> Freeze:
    """`freeze` with these models."""

    def run(*wants: Want, update: bool = False) -> Frozen:
        return freeze(wants, *models, update=update)

    return run


def rows(folder: Path) -> list[dict[str, Any]]:
    text = (folder / "frozen" / "test_facts.jsonl").read_text("utf-8")
    return [json.loads(row) for row in text.splitlines()]


def asked(folder: Path, what: str) -> list[str]:
    file = folder / "asked.jsonl"
    lines = file.read_text().splitlines() if file.exists() else []
    return [text for kind, text in map(json.loads, lines) if kind == what]


# Writing


def test_what_is_wanted_is_written_checked_and_kept(folder: Path, run: Freeze, want) -> None:
    frozen = run(want("Is it so?", 3))
    common = {
        "prompt": "Is it so?",
        "perturbation": "rewrite",
        "model": "python:writer:write",
        "date": date.today().isoformat(),
    }
    even = {"model": "python:writer:check", "same": True, "reason": "Even."}
    odd = {"model": "python:writer:check", "same": False, "reason": "Odd."}
    assert rows(folder) == [
        {**common, "text": "version 1 of Is it so?", "check": even},
        {**common, "text": "version 2 of Is it so?", "check": odd},
        {**common, "text": "version 3 of Is it so?", "check": even},
        {**common, "text": "version 4 of Is it so?", "check": even},
    ]
    (suite,) = frozen.suites
    assert (suite.written, suite.rejected, suite.kept, suite.dropped) == (3, 1, 0, 0)
    assert (suite.stale, suite.short, frozen.bare) == ((), (), ())
    assert len(asked(folder, "write")) == 2  # the second for what the checker took away
    assert "version 2 of" in asked(folder, "write")[1]
    assert len(asked(folder, "check")) == 4
    assert want("Is it so?", 3).perturbation.texts("Is it so?") == (
        "version 1 of Is it so?",
        "version 3 of Is it so?",
        "version 4 of Is it so?",
    )


def test_what_is_there_is_not_asked_again(folder: Path, run: Freeze, want) -> None:
    run(want("a?"), want("b?"))
    before, calls = rows(folder), len(asked(folder, "write"))
    stamp = (folder / "frozen/test_facts.jsonl").stat().st_mtime_ns
    (suite,) = run(want("a?"), want("b?")).suites
    assert (suite.kept, suite.written, suite.rejected) == (4, 0, 0)
    assert (suite.rejected_before, len(before)) == (2, 6)
    assert len(asked(folder, "write")) == calls
    assert (folder / "frozen/test_facts.jsonl").stat().st_mtime_ns == stamp
    (suite,) = run(want("c?", 1), want("a?", 3), want("b?")).suites
    assert (suite.kept, suite.written, suite.rejected_before) == (4, 2, 2)
    assert list(dict.fromkeys(row["prompt"] for row in rows(folder))) == ["c?", "a?", "b?"]
    assert [row for row in rows(folder) if row in before] == before


def test_the_larger_of_two_numbers_is_written(folder: Path, run: Freeze, want) -> None:
    run(want("a?", 1), want("a?", 3), want("a?", 2))
    assert sum(row["check"]["same"] for row in rows(folder)) == 3


def test_every_kind_stands_in_one_file(folder: Path, run: Freeze, want) -> None:
    kinds = [("translate", "fr"), ("persona", "a child"), ("prefix-context", "a chat")]
    run(*(want("So?", 1, kind, about) for kind, about in kinds), want("So?", 1))
    assert [(row["perturbation"], row["text"]) for row in rows(folder)] == [
        ("persona.a-child", "version 1 of So?"),
        ("prefix-context.a-chat", "Earlier.\n\nSo?"),
        ("rewrite", "version 1 of So?"),
        ("translate.fr", "version 1 of So?"),
    ]


def test_many_are_asked_for_in_several_answers(folder: Path, run: Freeze, want) -> None:
    run(want("a?", 45))
    assert sum(row["check"]["same"] for row in rows(folder)) == 45
    assert len(asked(folder, "write")) == 3


def test_update_writes_anew_what_no_person_wrote(folder: Path, run: Freeze, want) -> None:
    run(want("a?"), want("b?"))
    mine = {**rows(folder)[0], "text": "Mine?", "model": "by hand", "check": None}
    file = folder / "frozen" / "test_facts.jsonl"
    file.write_text(file.read_text() + json.dumps(mine) + "\n")
    (suite,) = run(want("a?"), update=True).suites
    assert suite.stale == ("b?",)
    assert [row["text"] for row in rows(folder)] == ["Mine?", "version 2 of a?", "version 3 of a?"]
    assert (suite.kept, suite.written, suite.rejected, suite.dropped) == (1, 1, 1, 6)
    assert "Mine?" in asked(folder, "write")[-1]


def test_update_keeps_what_nothing_comes_in_place_of(folder: Path, run: Freeze, want) -> None:
    run(want("a?"))
    good = [row for row in rows(folder) if row["check"]["same"]]
    frozen = freeze([want("a?")], Says(ONE), Says(NO), update=True)
    (short,) = frozen.suites[0].short
    assert (short.offered, short.wanted) == (2, 2)
    assert [row for row in rows(folder) if row["check"]["same"]] == good
    assert frozen.bare == ()


def test_lines_that_nothing_wants_are_told_and_dropped_with_update(
    folder: Path, run: Freeze, want
) -> None:
    run(want("a?"), want("gone?"), want("a?", 1, "persona", "a child"))
    before = rows(folder)
    (suite,) = run(want("a?")).suites
    assert (suite.stale, suite.dropped) == (("a?", "gone?"), 0)
    assert sorted(map(json.dumps, rows(folder))) == sorted(map(json.dumps, before))
    (suite,) = run(want("a?", whole=False), update=True).suites
    assert suite.stale == ()
    assert {row["prompt"] for row in rows(folder)} == {"a?", "gone?"}
    (suite,) = run(want("a?"), update=True).suites
    assert {(row["prompt"], row["perturbation"]) for row in rows(folder)} == {("a?", "rewrite")}


# What goes wrong


def test_what_cannot_be_rewritten_is_a_finding(folder: Path, run: Freeze, want) -> None:
    frozen = run(want("wordless?"), want("doubtful?"), want("fine?"), want("ha\ud800lf?"))
    found = [(s.prompt, s.offered, s.wanted, s.reason) for s in frozen.bare]
    assert found == [
        ("wordless?", 0, 2, "the writer's answer had no new text: \"I'd rather not.\""),
        ("doubtful?", 0, 2, "the checker found another meaning: Odd."),
        ("ha\ud800lf?", 0, 2, "the prompt has half a character (a lone surrogate); take that out"),
    ]
    assert len(asked(folder, "write")) == 3 + 3 + 2  # rounds, and then no more
    assert {row["prompt"] for row in rows(folder)} == {"doubtful?", "fine?"}
    assert Frozen.from_json(json.loads(json.dumps(frozen.to_json()))) == frozen


def test_an_interruption_loses_no_batch(folder: Path, run: Freeze, want, monkeypatch) -> None:
    monkeypatch.setattr(freezing, "BATCH", 2)
    wants = [want(f"{name}?") for name in ("a", "b", "c", "unreachable", "d")]
    with pytest.raises(ModelError, match="no route to host"):
        run(*wants)
    assert {row["prompt"] for row in rows(folder)} == {"a?", "b?"}
    calls = len(asked(folder, "write"))
    run(*(w for w in wants if "unreachable" not in w.prompt))
    prompts = asked(folder, "write")[calls:]
    assert not any("\na?\n" in text or "\nb?\n" in text for text in prompts)
    assert list(dict.fromkeys(row["prompt"] for row in rows(folder))) == ["a?", "b?", "c?", "d?"]


def test_a_bad_line_is_told_before_anything_is_asked(folder: Path, run: Freeze, want) -> None:
    (folder / "frozen").mkdir()
    (folder / "frozen/test_facts.jsonl").write_text('{"prompt": "a?"}\n')
    with pytest.raises(DataError, match=r"test_facts\.jsonl:1: is not"):
        run(want("b?"))
    assert asked(folder, "write") == []


class Says:
    """A model that gives the same answer to everything."""

    spec = "openai:big?base_url=http://u:secret@inside/v1"

    def __init__(self, text: str, **more: Any) -> None:
        self._text, self._more = text, more
        self.asks: list[Ask] = []

    def ask(self, asks: list[Ask]) -> list[Response]:
        self.asks += asks
        return [Response(ask.prompt, self._text, model=self.spec, **self._more) for ask in asks]


YES = "<reason>Fine.</reason><same>yes</same>"
NO = "<reason>Not so.</reason><same>no</same>"
ONE = "<rewrite-1>Is that \x1b[31mso\u202e?</rewrite-1>"


def test_a_file_for_review_has_no_address_and_no_control_characters(folder: Path, want) -> None:
    freeze([want("So?", 1)], Says(ONE), Says(YES), update=False)
    (row,) = rows(folder)
    assert row["text"] == "Is that so?"
    assert row["model"] == row["check"]["model"] == "openai:big"
    assert "secret" not in (folder / "frozen/test_facts.jsonl").read_text()


@pytest.mark.parametrize(
    ("writer", "checker", "reason"),
    [
        (Says("", refusal="Not\nthis."), Says(YES), "the writer refused: Not this."),
        (Says("<rewrite-1>So</rewrite-1>"), Says(YES), "had no new text: '<rewrite-1>So"),
        (Says(ONE), Says("<same>yes</same> it says"), "the checker's answer could not be read"),
        (Says(ONE), Says(YES, finish_reason="length"), "the checker's answer could not be read"),
        (Says(ONE), Says(NO), "another meaning: Not so."),
    ],
    ids=["refused", "the prompt itself", "unclear", "cut off", "no"],
)
def test_nothing_is_offered_that_was_not_checked(
    folder: Path, want, writer: Says, checker: Says, reason: str
) -> None:
    (short,) = freeze([want("So?", 1)], writer, checker, update=False).bare
    assert reason in short.reason
    assert [ask.sample for ask in writer.asks] == [0, 1, 2]  # not the remembered answer again
    assert want("So?", 1).perturbation.texts("So?") == ()


def test_what_was_rejected_is_not_checked_twice(folder: Path, want) -> None:
    writer, checker = Says(ONE), Says(NO)
    for _ in range(2):
        freeze([want("So?", 1)], writer, checker, update=False)
    assert len(checker.asks) == 1
    assert len(read(folder / "frozen/test_facts.jsonl")) == 1


def test_progress(models: tuple[Model, Model], want, monkeypatch) -> None:
    monkeypatch.setattr(freezing, "BATCH", 2)
    seen: list[tuple[str, int, int]] = []
    wants = [want(f"{n}?") for n in range(3)]
    freeze(wants, *models, update=False, progress=lambda *said: seen.append(said))
    what = "writing test_facts.jsonl"
    assert seen == [(what, 0, 3), (what, 2, 3), (what, 3, 3)]
