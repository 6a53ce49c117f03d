"""`surfcheck edit`, in this process, on rows and a ranking that are written here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer

from surfcheck.cli.edit import edit
from surfcheck.errors import UsageError

NAMES = ("a", "b", "c", "d", "e")


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Five pairs of two sources, ranked from the last to the first, and the options for them."""
    monkeypatch.chdir(tmp_path)
    rows = [
        {"id": name, "source": "uv"[n % 2], "prompt": "p", "chosen": "y" * (n + 1), "rejected": "n"}
        for n, name in enumerate(NAMES)
    ]
    ranked = [{"rank": r, "id": i, "source": "u", "score": 0.0} for r, i in enumerate(NAMES[::-1])]
    for name, lines in (("rows.jsonl", rows), ("ranking.jsonl", ranked)):
        Path(name).write_text("".join(json.dumps(line) + "\n" for line in lines))
    return ["--data", "rows.jsonl", "--ranking", "ranking.jsonl", "--out", "out.jsonl"]


def run(*arguments: str) -> int:
    """The verb alone, as `surfcheck` runs it."""
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command()(edit)
    command = typer.main.get_command(app)
    return command.main(args=list(arguments), standalone_mode=False) or 0


def _ids(path: str = "out.jsonl") -> list[str]:
    return [json.loads(line)["id"] for line in Path(path).read_text().splitlines()]


def test_it_says_in_one_line_what_was_done(
    files: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*files, "--top", "2", "--action", "drop") == 0
    assert capsys.readouterr().out == "2 of 5 rows dropped, 3 written: out.jsonl\n"
    assert _ids() == ["a", "b", "c"]
    assert run(*files, "--top", "1", "--action", "flip", "--control", "length") == 0
    said = "1 of 5 rows flipped as a control by length, seed 0, 5 written: out.jsonl\n"
    assert capsys.readouterr() == (said, "")
    assert json.loads(Path("out.jsonl").read_text().splitlines()[3])["chosen"] == "n"


def test_json_has_the_ids_and_the_sources(
    files: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--top", "2", "--action", "drop", "--source", "u", "--json"]
    assert run(*files, *options) == 0
    assert json.loads(capsys.readouterr().out) == {
        "action": "drop", "rows_before": 5, "rows_after": 3, "edited": ["e", "c"],
        "control": None, "seed": None, "by_source": {"u": 2},
    }  # fmt: skip
    options[options.index("--source") + 1] = "v"
    assert run(*files, *options, "--source", "u", "--control", "random", "--seed", "7") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["control"], found["seed"]) == ("random", 7)
    assert set(found["edited"]) < {"a", "b", "c"}
    assert set(_ids()) == set(NAMES).difference(found["edited"])


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--top", "0", "--action", "drop"], "greater than or equal to 1"),
        (["--top", "1", "--action", "delete"], "'delete' is not one of 'drop', 'flip'"),
        (["--top", "1", "--action", "drop", "--control", "bm25"], "'bm25' is not one of"),
        (["--top", "1", "--action", "drop", "--seed", "-1"], "greater than or equal to 0"),
        (["--action", "drop"], "Missing option '--top'"),
    ],
)
def test_wrong_flags(files: list[str], options: list[str], reason: str) -> None:
    with pytest.raises(typer.TyperException) as caught:
        run(*files, *options)
    assert reason in caught.value.format_message()
    assert caught.value.exit_code == 2


def test_a_seed_without_a_control_is_a_mistake(files: list[str]) -> None:
    with pytest.raises(UsageError, match="give --control random or length, or no --seed"):
        run(*files, "--top", "1", "--action", "drop", "--seed", "1")
    assert not Path("out.jsonl").exists()


def test_help_has_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--help") == 0
    assert "\n  Example:\n    surfcheck edit --data rows.jsonl" in capsys.readouterr().out
