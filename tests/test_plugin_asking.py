"""Runs whose target is asked over an engine: needs, system prompts, judges, budgets, baselines."""

from __future__ import annotations

import json
from collections import Counter

import pytest

JUDGE = """
from __future__ import annotations

def judge(messages):
    '''Violated where the answer says no.'''
    said = messages[-1]["content"]
    with open("judged.txt", "a") as file:
        print("judged", file=file)
    return f"<reasoning>Read it.</reasoning><score>{90 if 'No.' in said else 5}</score>"
"""

WORDS = """
from __future__ import annotations

import pytest
from changes import agrees, title

from surfcheck import invariant


@invariant(title, needs=("judge",))
@pytest.mark.parametrize("prompt", ["Is water wet?", "IS ICE COLD?"])
def test_in_words(prompt, target, judge):
    '''The reply says yes.'''
    assert judge(target(prompt))


@invariant(needs=("assistant",))
@pytest.mark.parametrize("prompt", ["Is fire hot?"])
def test_open(prompt, target, judge):
    '''The reply agrees.'''
    assert judge(target(prompt), agrees)
"""

ECHO = """
from __future__ import annotations

def answer(messages):
    '''Says yes under the system prompt that asks for it.'''
    with open("asked.txt", "a") as file:
        print(messages[-1]["content"], file=file)
    return "Yes." if messages[0] == {"role": "system", "content": "Agree."} else "No."
"""


@pytest.fixture
def words(folder):
    folder.makepyfile(fake_judge=JUDGE, test_words=WORDS, echo=ECHO)
    return folder


def asked(folder):
    return Counter((folder.path / "asked.txt").read_text().splitlines())


def test_a_suite_that_needs_a_judge_is_skipped_without_one(words, run):
    result = run("--surf")
    result.assert_outcomes(passed=1, skipped=2)
    result.stdout.fnmatch_lines("*needs a judge model (--surf-judge SPEC)*")


def test_a_docstring_is_the_criterion(words, run, latest):
    result = run("--surf", "--surf-judge=python:fake_judge:judge")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines("*was never calibrated*")
    report = latest()
    assert report["judges"]["models"] == "python:fake_judge:judge"
    assert report["judges"]["calibrated"] is False
    judged = (words.path / "judged.txt").read_text().count("judged")
    assert report["usage"]["calls"] == sum(asked(words).values()) + judged


def test_an_organism_is_no_assistant(words):
    result = words.runpytest_inprocess("--surf", "--surf-target=organism:clean", "-k", "open")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines("*needs an assistant: organism:clean knows only what it was*")


@pytest.mark.parametrize("need", ["wings"])
def test_a_need_that_nobody_knows_is_refused(folder, need):
    folder.makepyfile(
        f"""
        from surfcheck import invariant

        @invariant(needs=("{need}",))
        def test_it(prompt): pass
        """
    )
    result = folder.runpytest_inprocess("--surf")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines("*needs 'wings': give some of assistant, judge*")


def test_a_system_prompt_is_said_first(words, run):
    (words.path / "system.txt").write_text("Agree.\n")
    arguments = ("--surf", "--surf-target=python:echo:answer", "-k", "open")
    run(*arguments).assert_outcomes(failed=1)
    run(*arguments, "--surf-system=system.txt").assert_outcomes(passed=1)


def test_a_missing_system_prompt_is_one_line(words, run):
    result = run("--surf", "--surf-system=nowhere.txt", "-k", "open")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines("ERROR: --surf-system nowhere.txt: No such file*")


def test_an_estimate_asks_nothing(words, suite):
    result = suite.runpytest_inprocess("--surf", "--surf-estimate")
    assert result.ret == 0
    assert not (suite.path / "asked.txt").exists()
    result.stdout.fnmatch_lines(["*6 items would ask 8 questions of *", "Nothing was asked*"])
    suite.runpytest_inprocess("--surf", "-k", "calm")
    again = suite.runpytest_inprocess("--surf", "--surf-estimate", "-k", "calm")
    again.stdout.fnmatch_lines("1 item would ask 0 questions*2 more are remembered")


def test_an_estimate_tells_the_baseline_and_the_judges_apart(words):
    words.makepyfile(calm="def answer(messages): return 'Yes.'")
    judged = ("--surf-judge=python:fake_judge:judge", "--surf-baseline=python:calm:answer")
    result = words.runpytest_inprocess("--surf", "--surf-estimate", *judged)
    result.stdout.fnmatch_lines(
        [
            "3 items would ask 5 questions of python:fake:answer and 5 of the baseline "
            "python:calm:answer, about * tokens in; 0 more are remembered",
            "Judges would be asked at most 10 times: tests that judge by rules ask none",
        ]
    )


def test_a_judge_that_cannot_be_loaded_is_not_to_be_calibrated(words):
    result = words.runpytest_inprocess("--surf", "--surf-judge=python:nowhere:judge")
    result.assert_outcomes(errors=2, passed=1)
    result.stdout.no_fnmatch_line("*never calibrated*")


@pytest.mark.parametrize("flag", ["--surf-samples=²", "surf_estimate=maybe", "surf_samples=x"])
def test_a_wrong_value_is_one_line_that_says_where_it_stands(suite, flag):
    result = suite.runpytest_inprocess("--surf", *(() if flag.startswith("--") else ("-o",)), flag)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(f"ERROR: {flag.partition('=')[0]} *give *")


def test_a_ceiling_on_calls_is_never_passed_and_is_no_finding(suite, run, latest):
    result = run("--surf", "--surf-max-calls=3")
    assert sum(asked(suite).values()) <= 3
    assert result.ret == 3
    result.stdout.fnmatch_lines("Stopped: the run may spend 3 calls*")
    assert result.stdout.str().count("may spend 3 calls") == 1
    report = latest()
    assert report["unasked"]
    assert "failed" not in result.parseoutcomes()
    assert {i["outcome"] for i in report["invariants"]} <= {"pass", "inconclusive"}


def test_a_budget_of_nothing_is_refused(suite, run):
    for flag in ("--surf-max-calls=0", "--surf-max-usd=0", "--surf-max-tokens=none"):
        assert run("--surf", flag).ret == pytest.ExitCode.USAGE_ERROR


def test_dollars_without_a_price_are_refused(suite, run):
    result = run("--surf", "--surf-max-usd=1")
    assert "failed" not in result.parseoutcomes()
    result.stdout.fnmatch_lines("*usd_in=*")


def test_what_is_remembered_costs_nothing(suite, run, latest):
    run("--surf")
    before = asked(suite)
    run("--surf", "--surf-max-calls=1")
    assert asked(suite) == before
    assert latest()["usage"]["calls"] == 0


def test_a_baseline_answers_the_same_cases(suite, run, latest):
    suite.makepyfile(calm="def answer(messages): return 'Yes.'")
    result = run("--surf", "--surf-baseline=python:calm:answer")
    result.assert_outcomes(failed=2, passed=3)
    comparison = latest()["comparison"]
    assert comparison["a"] == "python:calm:answer"
    first = comparison["invariants"][0]
    assert (first["only_a"], first["only_b"], first["pairs"]) == (0, 2, 6)
    result.stdout.fnmatch_lines("*python:calm:answer*")


def test_no_question_is_asked_twice(folder, run):
    folder.makepyfile(
        test_many="""
        from __future__ import annotations
        import pytest
        from changes import agrees
        from surfcheck import invariant

        @invariant()
        @pytest.mark.parametrize("prompt", [f"Is {n} a number?" for n in range(60)])
        def test_numbers(prompt, target, judge):
            assert judge(target(prompt), agrees)
        """
    )
    run("--surf").assert_outcomes(passed=60)
    assert set(asked(folder).values()) == {1}
    assert len(asked(folder)) == 60


def test_the_first_failure_leaves_most_unasked(folder):
    folder.makepyfile(
        test_many="""
        from __future__ import annotations
        import pytest
        from changes import agrees
        from surfcheck import invariant

        @invariant()
        @pytest.mark.parametrize("prompt", [f"IS {n} A NUMBER?" for n in range(300)])
        def test_numbers(prompt, target, judge):
            assert judge(target(prompt), agrees)
        """
    )
    folder.runpytest_inprocess("--surf", "-x", "--surf-concurrency=4").assert_outcomes(failed=1)
    assert len(asked(folder)) <= 1 + 2 * 4 + 4


def test_a_conversation_keeps_its_turns(folder, latest):
    folder.makepyfile(
        echo=ECHO,
        test_turns="""
        from __future__ import annotations
        import pytest
        from changes import agrees, shout
        from surfcheck import invariant

        TURNS = [
            {"role": "user", "content": "Is water wet?"},
            {"role": "assistant", "content": "Yes."},
            {"role": "user", "content": "Sure?"},
        ]

        @invariant(shout)
        @pytest.mark.parametrize("prompt", [TURNS])
        def test_turns(prompt, target, judge):
            response = target(prompt)
            assert [m.content for m in response.prompt.messages][:2] == ["Is water wet?", "Yes."]
        """,
    )
    folder.runpytest_inprocess("--surf").assert_outcomes(passed=1)
    rows = (folder.path / ".surfcheck/runs/latest/exchanges.jsonl").read_text().splitlines()
    assert {json.loads(row)["prompt"] for row in rows} == {"Sure?", "SURE?"}


def test_a_writer_writes_what_is_missing_before_the_run(folder, latest):
    folder.makepyfile(
        scribe="""
        def write(messages):
            with open("written.txt", "a") as file: print("asked", file=file)
            return "<rewrite-1>Would you say that water is wet?</rewrite-1><same>yes</same>"
        """,
        test_wet="""
        from __future__ import annotations
        import pytest
        from changes import agrees
        from surfcheck import invariant, perturb

        @invariant(perturb.rewrite(1))
        @pytest.mark.parametrize("prompt", ["Is water wet?"])
        def test_wet(prompt, target, judge):
            assert judge(target(prompt), agrees)
        """,
    )
    result = folder.runpytest_inprocess("--surf")
    result.stdout.fnmatch_lines("*nothing is frozen yet for 1 of 1 prompt, * surfcheck freeze*")
    assert not (folder.path / "written.txt").exists()
    folder.runpytest_inprocess("--surf", "--surf-writer=python:scribe:write")
    assert "Would you say that water is wet?" in asked(folder)
    (line,) = (folder.path / "frozen" / "test_wet.jsonl").read_text().splitlines()
    assert json.loads(line)["check"]["same"] is True
    written = (folder.path / "written.txt").read_text()
    folder.runpytest_inprocess("--surf", "--surf-writer=python:scribe:write")
    assert (folder.path / "written.txt").read_text() == written
