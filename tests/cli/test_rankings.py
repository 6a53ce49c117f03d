"""`surfcheck rankings`, in this process, on rankings that are written here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer

from surfcheck.cli.rankings import app
from surfcheck.errors import UsageError

NAMES = "abcdefgh"


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three rankings of eight rows: forward, backward, all alike."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    for name, ids, step in (("one", NAMES, 1), ("two", NAMES[::-1], 1), ("flat", NAMES, 0)):
        rows = [
            {"rank": rank, "id": i, "source": "s", "score": -step * rank}
            for rank, i in enumerate(ids, 1)
        ]
        Path(f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def run(*arguments: str) -> int:
    """The verbs, as `surfcheck rankings` runs them."""
    command = typer.main.get_command(app)
    return command.main(args=list(arguments), standalone_mode=False) or 0


def test_compare_shows_every_two(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("compare", "one.jsonl", "two.jsonl", "flat.jsonl", "--top", "4") == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].split() == [
        "a", "b", "Spearman", "of", "the", "first", "4", "rank-biased", "overlap"
    ]  # fmt: skip
    assert said[1].split()[:5] == ["one.jsonl", "two.jsonl", "-1.000", "0", "%"]
    assert said[2].split()[:5] == ["one.jsonl", "flat.jsonl", "none", "100", "%"]
    assert said[4] == "8 rows; unrelated rankings would share 50 % of the first 4"


def test_compare_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("compare", "one.jsonl", "two.jsonl", "--json") == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["a"], found["rows"], found["top"]) == ("one.jsonl", 8, 8)
    assert found["spearman"] == pytest.approx(-1.0)
    assert found["overlap"] == found["chance"] == 1.0


def test_combine_writes_a_ranking(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("combine", "one.jsonl", "flat.jsonl", "--out", "both.jsonl", "--by", "borda") == 0
    assert capsys.readouterr().out == "2 rankings of 8 rows combined: both.jsonl\n"
    rows = [json.loads(line) for line in Path("both.jsonl").read_text().splitlines()]
    assert [row["id"] for row in rows] == list(NAMES)
    assert [row["rank"] for row in rows] == list(range(1, 9))
    assert run("combine", "one.jsonl", "two.jsonl", "--out", "both.jsonl", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {
        "rows": 8, "rankings": 2, "by": "reciprocal", "path": "both.jsonl"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["compare", "one.jsonl"], "give two or more"),
        (["compare", "one.jsonl", "none.jsonl"], "no such ranking"),
        (["combine", "one.jsonl", "two.jsonl", "--out", "two.jsonl"], "is one of the rankings"),
        (["combine", "one.jsonl", "two.jsonl"], "Missing option '--out'"),
        (["combine", "one.jsonl", "two.jsonl", "--out", "x", "--by", "mean"], "is not one of"),
    ],
)
def test_wrong_use_is_said(arguments: list[str], reason: str) -> None:
    with pytest.raises((UsageError, typer.TyperException)) as error:
        run(*arguments)
    assert reason in str(error.value) or reason in error.value.format_message()
