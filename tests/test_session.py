from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from surfcheck.cases import Item
from surfcheck.check import Body
from surfcheck.errors import InfrastructureError, UsageError
from surfcheck.fixtures import Judging, Target
from surfcheck.gathering import invariants
from surfcheck.invariants import Unchanged
from surfcheck.records import (
    Case,
    Exchange,
    Failure,
    ItemResult,
    Outcome,
    Prompt,
    Response,
    ResultWord,
    Usage,
    Verdict,
)
from surfcheck.report.json import contrast_file
from surfcheck.roles import Progress, silent
from surfcheck.session import Session
from surfcheck.settings import Settings

PROMPT = Prompt.of("Is it so?")


@contextmanager
def working() -> Iterator[Progress]:
    yield silent


@pytest.fixture
def yes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A target that says yes, and keeps a list of what it was asked."""
    (tmp_path / "says.py").write_text(
        "def yes(messages):\n"
        "    with open('asked', 'a') as file: print(messages[-1]['content'], file=file)\n"
        "    return 'Yes.'\n"
    )
    monkeypatch.delitem(sys.modules, "says", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return "python:says:yes"


def session(tmp_path: Path, **settings: object) -> Session:
    return Session(Settings(**settings), folder=tmp_path / ".surfcheck", working=working)


def item(test: str = "t", name: str = "a") -> Item:
    return Item(test, f"{test}[{name}]", "It says yes.", PROMPT, Unchanged())


def asks(target: Target) -> Body:
    def body(prompt: Prompt) -> None:
        assert target(prompt).text == "Yes."

    return body


def result(test: str, name: str, outcome: ResultWord, **more: Any) -> ItemResult:
    return ItemResult(test, f"{test}[{name}]", outcome, **more)


# What many items come to


def test_an_invariant_is_the_sum_of_its_items() -> None:
    (summed,) = invariants(
        [
            result("t", "a", "pass", held=5, violated=1, behaviour="It holds."),
            result("t", "b", "fail", held=2, violated=4, undecided=3),
        ]
    )
    assert (summed.test, summed.behaviour, summed.outcome) == ("t", "It holds.", "fail")
    assert (summed.cases, summed.held, summed.violated, summed.undecided) == (15, 7, 5, 3)
    assert summed.rate == pytest.approx(5 / 12)
    assert summed.interval == pytest.approx((0.193, 0.680), abs=1e-3)


@pytest.mark.parametrize(
    ("words", "worst"),
    [
        (["pass", "error", "fail"], "fail"),
        (["pass", "inconclusive", "error"], "error"),
        (["pass", "inconclusive"], "inconclusive"),
        (["skipped", "pass"], "pass"),
        (["skipped", "skipped"], "skipped"),
    ],
)
def test_the_worst_item_is_the_outcome(words: list[str], worst: str) -> None:
    results = [result("t", str(n), word) for n, word in enumerate(words)]
    assert [i.outcome for i in invariants(results)] == [worst]


def test_an_invariant_of_which_nothing_was_decided_has_no_rate() -> None:
    (nothing,) = invariants([result("t", "a", "inconclusive", undecided=6)])
    assert (nothing.rate, nothing.interval, nothing.cases) == (None, None, 6)


# Asking


def test_the_target_is_loaded_by_the_first_question(tmp_path: Path, yes: str) -> None:
    run = session(tmp_path, target=yes)
    target = run.target()
    assert not (tmp_path / ".surfcheck").exists()
    done = run.check(item(), asks(target), target, Judging())
    assert (done.outcome, done.usage) == ("pass", Usage(calls=1, usd=None))
    assert (tmp_path / ".surfcheck/.gitignore").read_text() == "*\n"
    run.close()


def test_items_share_answers_and_runs_share_memory(tmp_path: Path, yes: str) -> None:
    for usage in (Usage(calls=1, usd=None), Usage(remembered=1)):
        run = session(tmp_path, target=yes)
        first, second = run.target(), run.target()
        assert run.check(item(), asks(first), first, Judging()).usage == usage
        assert run.check(item(), asks(second), second, Judging()).usage == Usage()
        run.close()
    assert Path("asked").read_text() == "Is it so?\n"


def test_memory_off_leaves_no_file(tmp_path: Path, yes: str) -> None:
    run = session(tmp_path, target=yes, memory="off")
    run.target()("x")
    assert not (tmp_path / ".surfcheck").exists()


def test_a_target_that_cannot_be_loaded_is_tried_once(tmp_path: Path) -> None:
    run = session(tmp_path, target="nowhere:x")
    errors = []
    for _ in range(2):
        with pytest.raises(UsageError) as caught:
            run.target()("x")
        errors.append(caught.value)
    assert errors[0] is errors[1]


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path, yes: str) -> None:
    (tmp_path / ".surfcheck").write_text("a file")
    with pytest.raises(InfrastructureError, match="run where it can be"):
        session(tmp_path, target=yes).target()("x")


@pytest.mark.parametrize("breaks", [False, True])
def test_a_body_that_asks_nobody_says_nothing(tmp_path: Path, yes: str, breaks: bool) -> None:
    def body(prompt: Prompt) -> None:
        assert not breaks, "broke"

    run = session(tmp_path, target=yes)
    done = run.check(item(), body, run.target(), run.judging())
    assert (done.outcome, done.cases, done.failure) == ("error", 0, None)
    assert done.message.startswith("UsageError: the test never asks target(prompt)")
    assert done.message.endswith("(broke)") == breaks


def test_a_body_that_judges_an_answer_of_its_own_is_fine(tmp_path: Path, yes: str) -> None:
    run = session(tmp_path, target=yes)
    judging = run.judging()

    def body(prompt: Prompt) -> None:
        assert judging(Response(prompt, "Yes."), lambda response: Verdict.of(True))

    assert run.check(item(), body, run.target(), judging).outcome == "pass"


def test_under_a_ceiling_an_item_is_finished_before_the_next_is_begun(tmp_path, yes: str) -> None:
    planned = [replace(item(name=f"{n}"), prompt=Prompt.of(f"Is it {n}?")) for n in range(9)]
    run = session(tmp_path, target=yes, max_calls=3)
    run.plan(planned)
    done = []
    for each in planned[:4]:
        target = run.target("t")
        done.append(run.check(each, asks(target), target, Judging()).outcome)
    run.close()
    assert done == ["pass", "pass", "pass", "skipped"]


# The end


def test_a_run_without_items_writes_nothing(tmp_path: Path) -> None:
    assert session(tmp_path).finish({}, attribute=True) is None
    assert list(tmp_path.iterdir()) == []


def test_a_run_is_in_the_order_of_the_collection(tmp_path: Path) -> None:
    run = session(tmp_path)
    for test in ("b", "c", "a"):
        run.add(result(test, "1", "pass", held=1, usage=Usage(calls=1, usd=0.5)))
    report = run.finish({"a[1]": 0, "b[1]": 1, "c[1]": 2}, attribute=True)
    assert [i.test for i in report.invariants] == ["a", "b", "c"]
    assert report.usage == Usage(calls=3, usd=1.5)


def test_every_run_has_a_folder_and_latest_leads_to_the_last(tmp_path: Path) -> None:
    folders = []
    for n in range(3):
        run = session(tmp_path, seed=n)
        run.add(result("t", "a", "pass", held=1))
        folders.append(run.finish({}, attribute=True).settings["report"])
    assert len(set(folders)) == 3
    latest = tmp_path / ".surfcheck/runs/latest"
    assert latest.resolve() == Path(folders[-1])
    assert json.loads((latest / "run.json").read_text())["settings"]["seed"] == 2


FAILURE = Failure(
    "t", "t[a]", "It holds.", Case(PROMPT, PROMPT, "p"), "No.", "says no", "Is it?", "Yes.", 4, 4
)


@pytest.mark.parametrize(
    ("settings", "attribute", "said"),
    [
        ({}, True, ["--surf-base MODEL --surf-data DATA"]),
        ({"base": "b"}, True, ["--surf-base MODEL --surf-data DATA"]),
        ({"no_attribution": True}, True, []),
        ({}, False, []),
    ],
)
def test_rows_are_looked_for_where_there_is_data(
    tmp_path: Path, settings: dict[str, object], attribute: bool, said: list[str]
) -> None:
    run = session(tmp_path, target="python:a:b", **settings)
    run.add(result("t", "a", "fail", violated=1, failure=FAILURE))
    report = run.finish({}, attribute=attribute)
    assert report.attributions == ()
    assert len(run.notices) == len(said)
    assert all(words in notice for words, notice in zip(said, run.notices, strict=True))


def test_what_broke_is_written_beside_what_held(tmp_path: Path) -> None:
    run = session(tmp_path, target="python:a:b", no_attribution=True)
    held = Exchange("u", "Is ice cold?", "Yes.", Outcome.HELD, "p")
    run.add(result("t", "a", "fail", violated=1, failure=FAILURE))
    run.add(result("u", "a", "pass", held=1, exchanges=(held,)))
    folder = Path(run.finish({}, attribute=True).settings["report"])
    rows = contrast_file(folder, "t").read_text().splitlines()
    assert [json.loads(row) for row in rows] == [
        {"prompt": "Is it so?", "bad": "No.", "good": "Yes.", "seed": "Is it so?"},
        {"prompt": "Is ice cold?", "bad": None, "good": "Yes.", "seed": None},
    ]


def test_a_behaviour_that_nothing_held_is_asked_all_the_same(tmp_path: Path) -> None:
    """The base's answers may be the good ones; here there is no base that could be read."""
    run = session(tmp_path, target="python:a:b", base="b", data="d")
    alone = replace(FAILURE, twin_prompt=None, twin_response=None)
    run.add(result("t", "a", "fail", violated=1, failure=alone))
    report = run.finish({}, attribute=True)
    assert report.attributions == ()
    assert [notice.split(": ")[:2] for notice in run.notices] == [["No training rows", "b"]]
    assert not contrast_file(Path(report.settings["report"]), "t").exists()


def test_contrasts_of_an_earlier_run_go_and_nothing_else_does(tmp_path: Path) -> None:
    out = tmp_path / "out"
    for outcome, failure in (("fail", FAILURE), ("pass", None)):
        run = session(tmp_path, target="python:a:b", report=str(out), no_attribution=True)
        run.add(result("t", "a", outcome, violated=1, failure=failure))
        run.finish({}, attribute=True)
        there = contrast_file(out, "t").exists()
        assert there == (outcome == "fail")
        (out / "contrasts/mine.jsonl").touch()
    assert (out / "contrasts/mine.jsonl").exists()


def test_contrasts_in_a_folder_without_a_run_stay(tmp_path: Path) -> None:
    file = contrast_file(tmp_path / "out", "t")
    file.parent.mkdir(parents=True)
    file.touch()
    run = session(tmp_path, target="python:a:b", report=str(tmp_path / "out"))
    run.add(result("t", "a", "pass", held=1))
    run.finish({}, attribute=True)
    assert file.exists()


def test_no_row_is_looked_for_if_nothing_failed(tmp_path: Path) -> None:
    run = session(tmp_path, target="python:a:b")
    run.add(result("t", "a", "pass", held=1))
    run.finish({}, attribute=True)
    assert run.notices == []
