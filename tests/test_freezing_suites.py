"""What suites want written, and what they ask of what is frozen: in pytests of their own."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest

from surfcheck.errors import UsageError
from surfcheck.freezing import wanted
from surfcheck.perturb.frozen import BY_HAND, Check, Rewrite, write

ANSWERING = """
from __future__ import annotations

def answer(messages):
    with open("asked.txt", "a") as file:
        print(messages[-1]["content"], file=file)
    return "Yes."
"""

INI = """[pytest]
strict = true
addopts = -ra --import-mode=importlib -p surfcheck.plugin -p xdist.plugin -n2
filterwarnings = error
pythonpath = .
surf_target = python:answering:answer
surf_suites = suites
"""

SUITE = """
from __future__ import annotations

import pytest
from shared import voices

from surfcheck import Prompt, invariant, perturb

TALK = [{"role": "system", "content": "Hm."}, {"role": "user", "content": "And so?"}]


@invariant(perturb.chain(perturb.rewrite(4), perturb.casing()), perturb.translate("fr", "de"))
@pytest.mark.parametrize("prompt", ["Is it so?", Prompt.of(TALK), " "])
def test_facts(prompt, target, judge): pass


@invariant(perturb.rewrite(4), perturb.spacing())
class TestMore:
    @pytest.fixture(params=["Is it so?", "Is it hot?"])
    def prompt(self, request): return request.param

    def test_it(self, prompt): pass


@invariant(voices)
@pytest.mark.parametrize("prompt", ["Voiced?"])
def test_shared(prompt): pass


def test_of_somebody_else(): pass
"""


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a suite; a pytest in it loads no plugin but ours and xdist."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.syspath_prepend(pytester.path)
    monkeypatch.delitem(sys.modules, "answering", raising=False)
    (pytester.path / "pytest.ini").write_text(INI)
    pytester.makepyfile(
        answering=ANSWERING,
        shared="from surfcheck import perturb\nvoices = perturb.persona('a child', 'a cook')\n",
    )
    (pytester.path / "suites").mkdir()
    (pytester.path / "suites" / "test_facts.py").write_text(SUITE)
    return pytester.path


def test_what_suites_want(project: Path) -> None:
    suite, shared = project / "suites" / "test_facts.py", project / "shared.py"
    found = wanted()
    assert [(w.suite, w.prompt, w.perturbation.name, w.perturbation.count) for w in found] == [
        (suite, "Is it so?", "rewrite", 4),
        (suite, "Is it so?", "translate.fr", 1),
        (suite, "Is it so?", "translate.de", 1),
        (suite, "And so?", "rewrite", 4),
        (suite, "And so?", "translate.fr", 1),
        (suite, "And so?", "translate.de", 1),
        (suite, "Is it hot?", "rewrite", 4),
        (shared, "Voiced?", "persona.a-child", 1),
        (shared, "Voiced?", "persona.a-cook", 1),
    ]
    assert [w.whole for w in found] == [True] * 7 + [False] * 2  # others may declare from it too
    assert {path.name for path in project.iterdir()} <= {
        "pytest.ini", "answering.py", "shared.py", "suites", "__pycache__", ".pytest_cache",
    }  # fmt: skip


def test_a_part_of_a_suite_is_not_the_whole(project: Path) -> None:
    found = wanted(["suites/test_facts.py::TestMore"])
    assert [(w.prompt, w.whole) for w in found] == [("Is it so?", False), ("Is it hot?", False)]


def test_a_selection_is_not_the_whole(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_ADDOPTS", "-k TestMore")
    found = wanted(["suites"])
    assert [(w.prompt, w.whole) for w in found] == [("Is it so?", False), ("Is it hot?", False)]


@pytest.mark.parametrize(
    ("content", "paths", "said"),
    [
        (SUITE, ["nowhere"], "can't collect: file or directory not found: nowhere; pytest"),
        (
            "import nonsense_xyz\n",
            [],
            "suites/test_facts.py can't be collected: ModuleNotFoundError: No module named "
            "'nonsense_xyz'; correct it",
        ),
        ("", [], "no tests there; name a file or folder with suites"),
        (
            "import pytest\nfrom surfcheck import invariant, perturb\n\n"
            "@pytest.fixture\ndef prompt(): return 'So?'\n\n"
            "@invariant(perturb.rewrite(1))\ndef test_it(prompt): pass\n",
            [],
            r"::test_it\[rewrite\]: what its prompt is can't be seen before it runs: parametrize",
        ),
    ],
    ids=["no path", "an import", "no tests", "a fixture"],
)
def test_what_cannot_be_collected(project: Path, content: str, paths: list[str], said) -> None:
    (project / "suites" / "test_facts.py").write_text(content)
    with pytest.raises(UsageError, match=said) as caught:
        wanted(paths)
    assert "\n" not in str(caught.value)


def test_a_frozen_suite_is_collected_without_a_network_and_asks_what_is_frozen(
    project: Path, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = (
        "import pytest\nfrom surfcheck import invariant, perturb\n\n"
        "@invariant(perturb.rewrite(3))\n"
        "@pytest.mark.parametrize('prompt', ['Is it so?', 'Is it bare?'])\n"
        "def test_it(prompt, target): assert target(prompt).text\n"
    )
    (project / "suites" / "test_facts.py").write_text(content)
    same = Check("m:x", True, "The same.")
    rows = [
        Rewrite("Is it so?", "rewrite", "So it is?", "m:x", "2026-11-20", same),
        Rewrite("Is it so?", "rewrite", "It is.", "m:x", "2026-11-20", Check("m:x", False, "No.")),
        Rewrite("Is it so?", "rewrite", "Tell me: is it so?", BY_HAND, "2026-11-20", None),
    ]
    write(project / "suites" / "frozen" / "test_facts.jsonl", rows)

    def ids() -> list[str]:
        result = pytester.runpytest_inprocess("-n0", "--surf", "--collect-only", "-q")
        return [text for text in result.outlines if "::" in text]

    def refused(*_: object, **__: object) -> None:
        raise OSError("no network")

    with monkeypatch.context() as offline:
        offline.setattr(socket, "socket", refused)
        found = ids()
    assert found == [
        "suites/test_facts.py::test_it[is-it-so-5bfd76-rewrite]",
        "suites/test_facts.py::test_it[is-it-bare-3ed57c-rewrite]",
    ]
    assert not (project / "asked.txt").exists()
    pytester.runpytest_inprocess("-n0", "--surf").assert_outcomes(passed=2)
    asked = ["Is it bare?", "Is it so?", "So it is?", "Tell me: is it so?"]
    assert sorted((project / "asked.txt").read_text().splitlines()) == asked
    assert ids() == found


def test_a_bad_frozen_file_is_an_error_and_no_finding(
    project: Path, pytester: pytest.Pytester
) -> None:
    (project / "suites/frozen").mkdir()
    (project / "suites/frozen/test_facts.jsonl").write_text("no JSON\n")
    one = "suites/test_facts.py::TestMore::test_it[is-it-so-5bfd76-rewrite]"
    result = pytester.runpytest_inprocess("-n0", "--surf", one)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["DataError: *frozen/test_facts.jsonl:1: is not JSON*"])
