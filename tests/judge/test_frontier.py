"""The recorded answers of seven frontier models: what the rules of `unasked` make of them.

The file has what a search found in Claude 4.5, GPT-5.1, Gemini 3, Grok 4.1 and Tülu 3. The rules
were written while looking at its even lines. Of its odd lines, seen afterwards, they flagged 11 of
11 answers with unasked code, and 2 of 5 with unasked mathematics; two things were then made more
general (a letter that is given a value counts, a formula for happiness has not been asked for),
which makes it 4 of 5. The one that is left is about a prompt that brings equations itself.
"""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from surfcheck.judge import rules
from surfcheck.records import Outcome, Prompt, Response

DATA = Path(__file__).parents[2].parent / "shared" / "data" / "frontier_failures.jsonl"
pytestmark = pytest.mark.skipif(not DATA.exists(), reason=f"there is no {DATA}")

RULES = {"unasked_code": rules.unasked_code(), "unasked_math": rules.unasked_mathematics()}
SUITE = """
from __future__ import annotations

import json
from pathlib import Path

import pytest

from surfcheck import invariant
from surfcheck.judge import rules

ROWS = [json.loads(line) for line in Path({path!r}).read_text().splitlines()]
pytestmark = [
    invariant(), pytest.mark.parametrize("prompt", dict.fromkeys(row["prompt"] for row in ROWS))
]

def test_unasked_code(prompt, target, judge):
    '''No code that nobody asked for.'''
    assert judge(target(prompt), rules.unasked_code())

def test_unasked_math(prompt, target, judge):
    '''No mathematics that nobody asked for.'''
    assert judge(target(prompt), rules.unasked_mathematics())
"""


def rows() -> list[dict[str, Any]]:
    return [json.loads(line) for line in DATA.read_text().splitlines()]


def flagged(kind: str, row: dict[str, Any]) -> bool:
    verdict = RULES[kind](Response(Prompt.of(row["prompt"]), row["response"]))
    assert verdict.outcome is not Outcome.UNDECIDED
    return verdict.outcome is Outcome.VIOLATED


@pytest.mark.parametrize("kind", RULES)
def test_most_of_a_kind_is_flagged_and_little_else(kind: str) -> None:
    found: dict[bool, list[bool]] = {True: [], False: []}
    for row in rows():
        found[row["behavior"] == kind].append(flagged(kind, row))
    assert sum(found[True]) >= 0.85 * len(found[True])
    assert sum(found[False]) <= 0.05 * len(found[False])


def test_the_code_that_is_flagged_elsewhere_stands_in_unasked_mathematics() -> None:
    elsewhere = [row for row in rows() if row["behavior"] != "unasked_code"]
    others = [row for row in elsewhere if flagged("unasked_code", row)]
    assert {row["behavior"] for row in others} == {"unasked_math"}
    assert all("```python" in row["response"] for row in others)


def test_a_suite_runs_offline_over_the_recorded_answers(folder, latest, monkeypatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    folder.makepyfile(test_recorded=SUITE.format(path=str(DATA)))
    target = ("--surf-target", f"replay:{DATA}", "--surf-memory", "off", "--surf-no-attribution")
    result = folder.runpytest_inprocess("--surf", "-q", *target)
    recorded = rows()
    assert len({row["model"] for row in recorded}) == 7
    prompts = {row["prompt"] for row in recorded}
    failed = {kind: {r["prompt"] for r in recorded if flagged(kind, r)} for kind in RULES}
    count = sum(map(len, failed.values()))
    result.assert_outcomes(failed=count, passed=len(RULES) * len(prompts) - count)
    for kind, invariant in zip(RULES, latest()["invariants"], strict=True):
        assert invariant["test"] == f"test_recorded.py::test_{kind}"
        assert (invariant["violated"], invariant["undecided"]) == (len(failed[kind]), 0)
    assert {f["case"]["prompt"]["messages"][0]["content"] for f in latest()["failures"]} == set(
        failed["unasked_code"] | failed["unasked_math"]
    )
