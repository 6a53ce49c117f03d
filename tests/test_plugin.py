"""Declaring and collecting: ids, options, what is refused, and what is left alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from surfcheck.plugin import NEEDS_SURF


def ids(result: pytest.RunResult) -> list[str]:
    return [line for line in result.outlines if "::" in line]


def test_without_surf_it_is_skipped_and_nothing_is_asked_or_written(suite) -> None:
    before = {path.name for path in suite.path.iterdir()}
    result = suite.runpytest_inprocess("-p", "no:cacheprovider")
    result.assert_outcomes(skipped=5)
    result.stdout.fnmatch_lines(["SKIPPED*4*test_suite.py:*" + NEEDS_SURF])
    result.stdout.no_fnmatch_line("*surfcheck: *")
    assert {path.name for path in suite.path.iterdir()} - {"__pycache__"} == before


def test_a_plain_test_that_asks_is_skipped_too(folder) -> None:
    folder.makepyfile(
        """
        def test_asks(target): target("x")
        def test_judges(judge): pass
        def test_neither(): pass
        """
    )
    result = folder.runpytest_inprocess()
    result.assert_outcomes(skipped=2, passed=1)
    result.stdout.fnmatch_lines(["SKIPPED*test_a_plain*.py:1:*" + NEEDS_SURF])


def test_other_peoples_fixtures_of_that_name_are_theirs(folder) -> None:
    folder.makepyfile(
        """
        import pytest

        @pytest.fixture
        def target(): return 3

        def test_target(target): assert target == 3
        """
    )
    folder.runpytest_inprocess().assert_outcomes(passed=1)


def test_a_plain_test_may_ask(folder) -> None:
    folder.makepyfile(
        """
        from changes import agrees

        def test_asks(target, judge):
            assert judge(target("Is it so?"), agrees)
            assert not judge(target("IS IT SO?"), agrees)

        def test_fails(target):
            assert target("IS IT SO?").text == "Yes."
        """
    )
    result = folder.runpytest_inprocess("--surf")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*AssertionError*'No.'*"])
    assert not Path(folder.path, ".surfcheck/runs").exists()


# Ids


def test_an_item_a_prompt_and_perturbation(suite) -> None:
    result = suite.runpytest_inprocess("--surf", "--collect-only", "-q")
    assert ids(result) == [
        "test_suite.py::test_agrees[is-water-wet-a75a81-shout]",
        "test_suite.py::test_agrees[is-water-wet-a75a81-title]",
        "test_suite.py::test_agrees[is-ice-cold-609157-shout]",
        "test_suite.py::test_agrees[is-ice-cold-609157-title]",
        "test_suite.py::test_is_calm[is-fire-hot-bcc89b-title]",
    ]
    assert not Path(suite.path, "asked.txt").exists()
    assert not Path(suite.path, ".surfcheck").exists()


def test_ids_are_the_same_with_and_without_surf(suite) -> None:
    collected = [suite.runpytest_inprocess(*a, "--collect-only", "-q") for a in ((), ("--surf",))]
    assert ids(collected[0]) == ids(collected[1])


AXES = """
import pytest
from changes import shout
from surfcheck import invariant

@pytest.fixture(params=["Is it hot?", "Is it so?"])
def prompt(request): return request.param

@pytest.fixture
def opened(): opens.append(1)

opens = []

class TestAll:
    @pytest.mark.usefixtures("opened")
    @pytest.mark.parametrize("perturbation", ["mine"])
    @pytest.mark.parametrize(("language", "tone"), [("en", "calm and friendly"), ("de", 3)])
    @invariant(shout)
    def test_it(self, prompt, language, tone, perturbation, target, tmp_path):
        assert prompt.lower() in ("is it hot?", "is it so?")
        assert perturbation == "mine"
        assert target(prompt).text
        assert opens and tmp_path.exists()

@invariant()
class TestMarked:
    def test_that(self, prompt, target, expected="Yes."):
        assert target(prompt).text == expected

@pytest.mark.parametrize("text", ["left as it is", "x" * 30])
def test_of_somebody_else(text): pass
"""


def test_several_axes_fixtures_and_classes_keep_working(folder) -> None:
    folder.makepyfile(AXES)
    result = folder.runpytest_inprocess("--surf", "-v")
    result.assert_outcomes(passed=8)
    assert [line.split(" PASSED")[0].partition("::")[2] for line in ids(result)] == [
        "TestAll::test_it[is-it-hot-552455-en-calm and friendly-mine-shout]",
        "TestAll::test_it[is-it-hot-552455-de-3-mine-shout]",
        "TestAll::test_it[is-it-so-5bfd76-en-calm and friendly-mine-shout]",
        "TestAll::test_it[is-it-so-5bfd76-de-3-mine-shout]",
        "TestMarked::test_that[is-it-hot-552455-unchanged]",
        "TestMarked::test_that[is-it-so-5bfd76-unchanged]",
        "test_of_somebody_else[left as it is]",
        "test_of_somebody_else[" + "x" * 30 + "]",
    ]


def test_an_id_that_a_person_gave_is_kept(folder) -> None:
    folder.makepyfile(
        """
        import pytest
        from changes import shout
        from surfcheck import invariant

        @invariant(shout)
        @pytest.mark.parametrize("prompt", [pytest.param("Is it so?", id="so")])
        def test_it(prompt): pass
        """
    )
    result = folder.runpytest_inprocess("--collect-only", "-q")
    assert [name.partition("::")[2] for name in ids(result)] == ["test_it[so-shout]"]


def test_a_conversation_is_a_prompt(folder) -> None:
    folder.makepyfile(
        """
        import pytest
        from changes import shout
        from surfcheck import Prompt, invariant

        TURNS = [{"role": "system", "content": "Hm."}, {"role": "user", "content": "Is it so?"}]

        @invariant(shout)
        @pytest.mark.parametrize("prompt", [TURNS, Prompt.of(TURNS)])
        def test_it(prompt, target):
            assert isinstance(prompt, Prompt)
            assert prompt.messages[0].content == "Hm."
            assert target(prompt).prompt == prompt
        """
    )
    folder.runpytest_inprocess("--surf").assert_outcomes(passed=2)


# What is refused


REFUSED = {
    "no prompt": (
        "@invariant(shout)\ndef test_it(question, target): pass",
        "UsageError: test_*.py::test_it: @invariant varies the argument `prompt`: give*",
    ),
    "no parentheses": (
        "@invariant\ndef test_it(prompt): pass",
        "UsageError: @invariant was given 'test_it', which is no perturbation: write @invariant()*",
    ),
    "one name twice": (
        "@invariant(shout, shout)\ndef test_it(prompt): pass",
        "UsageError: test_*.py::test_it: two perturbations are named 'shout': drop one*",
    ),
    "a mark by hand": (
        "@pytest.mark.surf\ndef test_it(prompt): pass",
        "UsageError: test_*.py::test_it: the mark 'surf' is set by @invariant(...), not by hand",
    ),
    "async": (
        "@invariant(shout)\nasync def test_it(prompt): pass",
        "UsageError: test_*.py::test_it: @invariant runs plain functions: write `def`*",
    ),
}


@pytest.mark.parametrize(("test", "said"), REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("surf", [(), ("--surf",)], ids=["plain", "surf"])
def test_a_wrong_declaration_is_one_line_at_collection(folder, test, said, surf) -> None:
    imports = "import pytest\nfrom changes import shout\nfrom surfcheck import invariant\n"
    folder.makepyfile(imports + test)
    result = folder.runpytest_inprocess(*surf)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["*ERROR collecting*", said, "*short test summary*", "ERROR *"])
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*invariant.py*")


@pytest.mark.parametrize("surf", [(), ("--surf",)], ids=["plain", "surf"])
def test_a_test_case_of_unittest_is_refused(folder, surf) -> None:
    folder.makepyfile(
        """
        import unittest
        from surfcheck import invariant

        class TestIt(unittest.TestCase):
            @invariant()
            def test_it(self): pass
        """
    )
    result = folder.runpytest_inprocess(*surf)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: *::TestIt::test_it: @invariant needs a function or*"])


def test_a_prompt_that_is_a_number_is_an_error_in_one_line(folder) -> None:
    folder.makepyfile(
        """
        import pytest
        from changes import shout
        from surfcheck import invariant

        @invariant(shout)
        @pytest.mark.parametrize("prompt", [3])
        def test_it(prompt, target): pass
        """
    )
    result = folder.runpytest_inprocess("--surf")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["UsageError: prompt is a int: give a text, a list of*"])


# Options


def test_a_flag_wins_over_its_ini_twin(suite, latest) -> None:
    ini = Path(suite.path, "pytest.ini")
    more = "surf_samples=2\nsurf_examples=1\nsurf_seed=7\nsurf_no_attribution=true\n"
    ini.write_text(ini.read_text() + more)
    suite.runpytest_inprocess("--surf", "--surf-seed", "8")
    settings = latest()["settings"]
    assert settings["samples"] == 2
    assert settings["examples"] == 1
    assert settings["seed"] == 8
    assert settings["no_attribution"] is True
    assert [item["cases"] for item in latest()["invariants"]] == [8, 2]


def test_native_toml_types(suite, latest) -> None:
    Path(suite.path, "pytest.ini").unlink()
    Path(suite.path, "pytest.toml").write_text(
        "[pytest]\npythonpath=['.']\nsurf_target='python:fake:answer'\nsurf_samples=2\n"
        "surf_no_attribution=true\nsurf_suites=['suites']\nstrict=true\n"
    )
    suite.runpytest_inprocess("-p", "surfcheck.plugin", "--surf", "test_suite.py")
    assert latest()["settings"]["samples"] == 2
    assert latest()["settings"]["no_attribution"] is True


@pytest.mark.parametrize(
    ("flag", "value", "said"),
    [
        ("--surf-samples", "none", "--surf-samples is 'none': give a whole number, 1 or more"),
        ("--surf-memory", "x", "--surf-memory is 'x': give one of auto, record, replay, off"),
        ("-osurf_samples", "x", "surf_samples in the ini file: give a whole number (invalid*"),
    ],
)
def test_a_wrong_option_ends_the_run_in_one_line(suite, flag, value, said) -> None:
    result = suite.runpytest_inprocess("--surf", f"{flag}={value}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {said}"])
    assert len(result.errlines) <= 2


def test_surf_without_a_path_looks_in_the_suites(folder) -> None:
    for name in ("tests", "suites"):
        Path(folder.path, name).mkdir()
        Path(folder.path, name, f"test_in_{name}.py").write_text("def test_it(): pass\n")
    ini = Path(folder.path, "pytest.ini")
    ini.write_text(ini.read_text() + "testpaths = tests\nsurf_suites = suites\n")

    def found(*arguments: str) -> list[str]:
        result = folder.runpytest_inprocess("--collect-only", "-q", *arguments)
        return [name.partition("::")[0] for name in ids(result)]

    assert found() == ["tests/test_in_tests.py"]
    assert found("--surf") == ["suites/test_in_suites.py"]
    assert found("--surf", "-k", "it") == ["suites/test_in_suites.py"]
    assert found("--surf", "tests") == ["tests/test_in_tests.py"]
    assert found("--surf", "--surf-suites", "tests") == ["tests/test_in_tests.py"]
    assert found("--surf", "--surf-suites", "tests", "suites") == ["suites/test_in_suites.py"]


def test_below_the_root_surf_looks_where_one_stands(folder, monkeypatch) -> None:
    for name in ("here", "suites"):
        Path(folder.path, name).mkdir()
        Path(folder.path, name, f"test_in_{name}.py").write_text("def test_it(): pass\n")
    ini = Path(folder.path, "pytest.ini")
    ini.write_text(ini.read_text() + "surf_suites = suites\n")
    monkeypatch.chdir(Path(folder.path, "here"))
    result = folder.runpytest_inprocess("--surf", "--collect-only", "-q")
    assert ids(result) == ["here/test_in_here.py::test_it"]


def test_the_header_says_what_runs(suite) -> None:
    result = suite.runpytest_inprocess("--surf", "--surf-seed=3", "--collect-only")
    result.stdout.fnmatch_lines(
        ["surfcheck: target python:fake:answer, 6 cases × 1 samples an item, seed 3, memory auto"]
    )


def test_the_mark_and_the_fixtures_are_documented(folder) -> None:
    folder.runpytest_inprocess("--markers").stdout.fnmatch_lines(["@pytest.mark.surf(invariant):*"])
    fixtures = folder.runpytest_inprocess("--fixtures").stdout
    fixtures.fnmatch_lines(["target*", "*The model under test*", "judge*", "*Whether an answer*"])
    folder.runpytest_inprocess("--help").stdout.fnmatch_lines(
        ["behaviour tests of language models:", "*--surf *", "*--surf-target=SPEC*"]
    )
