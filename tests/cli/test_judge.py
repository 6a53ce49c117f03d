"""`surfcheck judge calibrate` on judges that are functions."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer

from surfcheck.cli import judge as cli_judge
from surfcheck.errors import DataError, ModelError, SurfcheckError, UsageError
from surfcheck.judge import read_rubric
from surfcheck.judge.calibrate import calibrate, judge_key, known, read_labels, rule
from surfcheck.records import Prompt

KEYS = ["n", "agreement", "kappa", "precision", "recall", "f1", "intervals", "undecided"]

JUDGES = """
from __future__ import annotations


def _answer(messages):
    '''What stands between the last two marks: the judged answer.'''
    with open("asked.txt", "a") as file:
        print(messages[-1]["content"].count("begins]"), file=file)
    return messages[-1]["content"].rpartition(" answer]")[2].rpartition("[")[0].strip()


def strict(messages):
    loud = _answer(messages).isupper()
    return f"<reasoning>Loud or not.</reasoning><score>{95 if loud else 5}</score>"


async def lenient(messages):
    loud = _answer(messages).endswith("!!!")
    return f"<reasoning>Very loud or not.</reasoning><score>{95 if loud else 5}</score>"


def shy(messages):
    return "I would rather not say."


def severe(messages):
    return "<score>100</score>"


def broken(messages):
    raise ConnectionError("no route to host")
"""

RUBRIC = """\
name: calm
description: The reply does not shout.
examples:
  - {prompt: Hello, response: HEY, score: 90}
"""

Run = Callable[..., str]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """What `surfcheck judge …` prints; a SurfcheckError goes through, as to `cli.main`."""
    root = typer.Typer(add_completion=False, rich_markup_mode=None)
    root.add_typer(cli_judge.app, name="judge")
    command = typer.main.get_command(root)

    def run(*arguments: str) -> str:
        code = command.main(["judge", *arguments], prog_name="surfcheck", standalone_mode=False)
        assert code in (0, None)
        ran = capsys.readouterr()
        assert ran.err == ""
        return ran.out

    return run


@pytest.fixture
def project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Path:
    """The current folder: labels, a rubric, and judges of this test's own."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".surfcheck").mkdir()
    (tmp_path / f"{module(request)}.py").write_text(JUDGES)
    (tmp_path / "calm.yaml").write_text(RUBRIC)
    answers = [("HELLO!!!", True), ("HELLO", True), ("Hello.", False), ("Good morning!!!", False)]
    rows = [
        {"prompt": f"Say hello {n}.", "response": text, "violates": violates}
        for n in range(10)
        for text, violates in answers
    ]
    (tmp_path / "labels.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def module(request: pytest.FixtureRequest) -> str:
    return "judges_" + re.sub(r"\W", "_", request.node.name)


@pytest.fixture
def judge(run: Run, project: Path, request: pytest.FixtureRequest) -> Run:
    """`calibrate` with judges by their functions' names, by the rubric."""

    def judge(names: str, *more: str) -> str:
        specs = ",".join(f"python:{module(request)}:{name}" for name in names.split(","))
        return run(
            "calibrate",
            "--labels",
            "labels.jsonl",
            "--rubric",
            "calm.yaml",
            "--judge",
            specs,
            *more,
        )

    return judge


def asked() -> int:
    file = Path("asked.txt")
    return len(file.read_text().splitlines()) if file.exists() else 0


def test_help_has_an_example_that_names_the_verb(run: Run) -> None:
    shown = run("calibrate", "--help")
    assert "\n  Example:\n    surfcheck judge calibrate --labels" in shown
    shown = " ".join(shown.split())
    assert "rules:refusal holds where the answer refuses" in shown
    assert 'its labels have "violates": true where the answer should have refused' in shown


def test_a_rule(run: Run, project: Path) -> None:
    rows = [("I can't help with that.", False), ("Sure, here it is.", True), ("…", True)]
    text = [json.dumps({"prompt": "p", "response": r, "violates": v}) for r, v in rows]
    Path("refusals.jsonl").write_text("\n".join(text))
    found = json.loads(
        run("calibrate", "--labels", "refusals.jsonl", "--judge", "rules:refusal", "--json")
    )
    assert list(found) == KEYS
    expected = calibrate(rule("refusal"), read_labels("refusals.jsonl"))
    assert found == json.loads(json.dumps(expected.to_json()))
    assert (found["n"], found["undecided"], found["recall"]) == (3, 1, 0.5)
    assert known(project / ".surfcheck", "rules:refusal") == expected
    assert not (project / ".surfcheck" / "memory.sqlite").exists()


def test_a_model_by_a_rubric(judge: Run, project: Path, request: pytest.FixtureRequest) -> None:
    found: dict[str, Any] = json.loads(judge("strict", "--json"))
    assert list(found) == KEYS
    assert (found["n"], found["kappa"], found["f1"], found["undecided"]) == (40, 1.0, 1.0, 0)
    assert found["intervals"]["kappa"][0] < 1
    assert Path("asked.txt").read_text() == "2\n" * 40
    spec = f"python:{module(request)}:strict"
    for key in (spec, judge_key(spec, read_rubric("calm.yaml"))):
        kept = known(project / ".surfcheck", key)
        assert kept is not None
        assert json.loads(json.dumps(kept.to_json())) == found


def test_it_is_kept_in_the_nearest_folder_above(
    judge: Run, project: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    below = project / "suites"
    below.mkdir()
    for name in (f"{module(request)}.py", "calm.yaml", "labels.jsonl"):
        (project / name).rename(below / name)
    monkeypatch.chdir(below)
    judge("strict")
    assert known(project / ".surfcheck", f"python:{module(request)}:strict") is not None
    assert (project / ".surfcheck" / "memory.sqlite").is_file()
    assert not (below / ".surfcheck").exists()


def test_what_was_asked_is_remembered(judge: Run) -> None:
    first = judge("strict", "--json")
    assert asked() == 40
    assert judge("strict", "--json") == first
    assert asked() == 40


def test_several_models_and_how_they_agree(judge: Run) -> None:
    shown = judge("strict,lenient,severe")
    assert "against 40 labels, 20 of them violations; 0 undecided" in shown
    assert "judges among themselves: 0.250 of 40 unanimous, Krippendorff's alpha " in shown
    rows = {line.strip().split("  ")[0]: line.split() for line in shown.splitlines()}
    # Two of three flag what is upper case, and what ends with !!! and is not.
    assert rows["precision"][1:] == ["0.667", "0.488", "to", "0.808"]
    assert rows["recall"][1] == "1.000"
    assert rows["agreement"][1] == "0.750"


def test_a_tie_and_a_silent_judge_are_undecided(judge: Run) -> None:
    assert json.loads(judge("strict,severe", "--json"))["undecided"] == 20
    found = json.loads(judge("shy", "--json"))
    assert (found["undecided"], found["agreement"], found["precision"]) == (40, 0.0, None)
    table = judge("shy")
    assert "40 undecided" in table
    assert [
        line.split() for line in table.splitlines() if line.strip().startswith("precision")
    ] == [["precision", "–", "–"]]


def test_a_judge_out_of_reach_is_an_error_and_no_calibration(judge: Run, project: Path) -> None:
    with pytest.raises(ModelError, match="no route to host"):
        judge("broken")
    assert not (project / ".surfcheck" / "calibrations.json").exists()
    found = json.loads(judge("broken,strict", "--json"))
    assert (found["kappa"], found["undecided"]) == (1.0, 0)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--judge", "openai:gpt"), "--judge openai:gpt needs --rubric FILE"),
        (("--judge", " , "), "--judge is empty: give models"),
        (("--judge", "rules:nonsense"), "there is no rules:nonsense; use one of complies"),
        (("--judge", "rules:contains"), "there is no rules:contains"),
        (("--judge", "rules:refusal,openai:gpt"), "a rule judges alone"),
        (("--judge", "rules:refusal", "--rubric", "calm.yaml"), "goes by no rubric"),
        (("--judge", "nonsense", "--rubric", "calm.yaml"), "names no provider"),
        (("--judge", "nobody:x", "--rubric", "calm.yaml"), "nobody"),
    ],
)
def test_wrong_use(run: Run, project: Path, arguments: tuple[str, ...], reason: str) -> None:
    with pytest.raises(UsageError) as raised:
        run("calibrate", "--labels", "labels.jsonl", *arguments)
    assert reason in str(raised.value)
    assert "\n" not in str(raised.value)


def test_the_same_judge_twice(judge: Run) -> None:
    with pytest.raises(UsageError, match="named twice"):
        judge("strict,strict")


@pytest.mark.parametrize(
    ("file", "content", "line"),
    [("labels.jsonl", "{}\n", 1), ("calm.yaml", "name: calm\n\nx: 1\n", 3)],
)
def test_a_bad_file_is_named_before_anything_is_asked(
    judge: Run, project: Path, file: str, content: str, line: int
) -> None:
    Path(file).write_text(content)
    with pytest.raises(DataError) as raised:
        judge("strict")
    assert (raised.value.path, raised.value.line) == (file, line)
    assert asked() == 0


def test_a_prompt_may_be_a_conversation(judge: Run, project: Path) -> None:
    turns = [{"role": "system", "content": "Whisper."}, {"role": "user", "content": "Hello"}]
    row = {"prompt": turns, "response": "HELLO", "violates": True}
    Path("labels.jsonl").write_text(json.dumps(row))
    assert read_labels("labels.jsonl")[0].response.prompt == Prompt.of(turns)
    assert json.loads(judge("strict", "--json"))["recall"] == 1.0


def test_errors_are_ours(run: Run, project: Path) -> None:
    with pytest.raises(SurfcheckError, match="no such rubric"):
        run(
            "calibrate", "--labels", "labels.jsonl", "--judge", "python:os:getcwd",
            "--rubric", "nowhere.yaml",
        )  # fmt: skip
