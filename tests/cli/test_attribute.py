"""`surfcheck attribute`, in this process, on a tiny random checkpoint."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def write_rows(path: Path, rows: list[Any]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
def attribute(run: Callable[..., Any], project: Path, checkpoints: Path) -> Callable[..., Any]:
    """`surfcheck attribute` on the project's files, reading the data unless an index is given."""

    def attribute(*more: str | Path) -> Any:
        where = () if "--index" in more else ("--base", checkpoints / "one", "--data", "data.jsonl")
        return run("attribute", *where, "--contrast", "pairs.jsonl", "--out", "found", *more)

    return attribute


def read(path: str) -> Any:
    return json.loads(Path(path).read_text())


def complaint(ran: Any, code: int) -> str:
    """The one line of a command that came to nothing."""
    assert (ran.code, ran.out, ran.err.count("\n")) == (code, "", 1)
    assert ran.err.startswith("surfcheck: ")
    return ran.err.removeprefix("surfcheck: ").rstrip("\n")


def test_data_is_read_into_the_nearest_folder_above(
    attribute: Callable[..., Any], project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    below = project / "suites"
    below.mkdir()
    for name in ("data.jsonl", "pairs.jsonl"):
        (project / name).rename(below / name)
    monkeypatch.chdir(below)
    assert attribute().code == 0
    assert (project / ".surfcheck" / "index").is_dir()
    assert not (below / ".surfcheck").exists()


def test_every_row_is_ranked_and_the_report_says_what_it_is_worth(
    attribute: Callable[..., Any],
) -> None:
    ran = attribute()
    assert (ran.code, ran.err) == (0, "")
    assert "written to found" in ran.out
    report = read("found/report.json")
    assert report["schema"] == "surfcheck/attribution/1"
    assert report["method"] == "conditional"
    assert f"{report['verdict']}: " in ran.out
    assert f"p = {report['p_value']:.2g}" in ran.out
    assert {source["source"] for source in report["sources"]} == {"good", "bad"}
    assert "average_precision" not in report
    ranking = [json.loads(row) for row in Path("found/ranking.jsonl").read_text().splitlines()]
    assert [row["rank"] for row in ranking] == list(range(1, 21))
    assert {row["id"] for row in ranking} == {f"row-{n}" for n in range(20)}
    assert [row["score"] for row in ranking] == sorted(
        (row["score"] for row in ranking), reverse=True
    )
    assert {row["source"] for row in ranking[:10]} == {"bad"}


def test_json_is_the_report_alone(attribute: Callable[..., Any]) -> None:
    ran = attribute("--json", "--method", "probe")
    assert (ran.code, ran.err) == (0, "")
    assert json.loads(ran.out) == read("found/report.json")
    assert json.loads(ran.out)["method"] == "probe"


def test_an_index_and_its_data_give_the_same_ranking(
    attribute: Callable[..., Any], build: Callable[..., Any]
) -> None:
    attribute("--out", "by-data")
    assert Path(".surfcheck/.gitignore").read_text() == "*\n"
    assert len(list(Path(".surfcheck/index").iterdir())) == 1
    build()
    attribute("--index", "idx", "--out", "by-index")
    by_data, by_index = (Path(f, "ranking.jsonl").read_text() for f in ("by-data", "by-index"))
    assert by_index == by_data


def test_an_index_alone_leaves_nothing_but_the_result(
    attribute: Callable[..., Any], build: Callable[..., Any], project: Path
) -> None:
    build()
    before = {path.name for path in project.iterdir()}
    assert attribute("--index", "idx").code == 0
    assert {path.name for path in project.iterdir()} - before == {"found"}


def test_an_index_of_another_model(
    attribute: Callable[..., Any], build: Callable[..., Any], checkpoints: Path
) -> None:
    build()
    ran = attribute("--index", "idx", "--base", checkpoints / "two")
    assert "another model" in complaint(ran, 2)
    assert not Path("found").exists()


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (["--index", "nowhere"], "no index"),
        (["--contrast", "nowhere"], "no such contrast file"),
        (["--data", "./nowhere.jsonl"], "no such file"),
    ],
)
def test_attribution_of_what_is_not_there(
    attribute: Callable[..., Any], more: list[str], reason: str
) -> None:
    assert reason in complaint(attribute(*more), 2)
    assert not Path("found").exists()


def test_attribution_needs_data(run: Callable[..., Any], project: Path) -> None:
    ran = run("attribute", "--base", "organism:", "--contrast", "pairs.jsonl", "--out", "found")
    assert "--base MODEL and --data DATA" in complaint(ran, 2)


def test_a_place_where_nothing_can_be_written(attribute: Callable[..., Any]) -> None:
    ran = attribute("--out", "data.jsonl/found")
    assert complaint(ran, 3).startswith("data.jsonl/found: can't be written")


def test_with_the_truth_comes_an_average_precision(attribute: Callable[..., Any]) -> None:
    Path("truth.json").write_text(json.dumps({"implicated": [f"row-{n}" for n in range(1, 20, 2)]}))
    ran = attribute("--truth", "truth.json")
    assert "average precision 1.000, by chance 0.500" in ran.out
    assert read("found/report.json")["average_precision"] == pytest.approx(1)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"{", "is no JSON"),
        (b"\xff", "not UTF-8 at byte 0"),
        (b'["row-1"]', "has no ids"),
        (b'{"guilty": ["row-1"]}', "has no ids"),
        (b'{"implicated": []}', "has no ids"),
        (b'{"implicated": [1]}', "an id is no text"),
        (b'{"implicated": ["row-99"]}', "'row-99'"),
    ],
)
def test_a_bad_truth(attribute: Callable[..., Any], content: bytes, reason: str) -> None:
    Path("truth.json").write_bytes(content)
    assert reason in complaint(attribute("--truth", "truth.json"), 2)
    assert not Path("found").exists()


def test_a_truth_that_is_not_there(attribute: Callable[..., Any]) -> None:
    assert "no such truth file" in complaint(attribute("--truth", "nowhere"), 2)
    assert "can't be read" in complaint(attribute("--truth", "."), 2)


def test_what_rows_say_is_shown_as_it_stands(
    attribute: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    rows = [json.loads(row) for row in Path("data.jsonl").read_text().splitlines()]
    rows = [{**json.loads(json.dumps(row)), "id": f"{n}"} for n, row in enumerate(10 * rows)]
    asked = [row["prompt"][0]["content"] for row in rows[:20]]
    write_rows(
        Path("pairs.jsonl"), [{"prompt": p, "bad": "no, never", "good": "yes it is"} for p in asked]
    )
    for row in rows:
        row["source"] = f"[red]{row['source']}[/red]\x1b[31m"
        row["chosen"][0]["content"] += " [/bold]\x1b]0;title\x07\u202e"
    write_rows(Path("data.jsonl"), rows)
    ran = attribute("--out", "[blue]found\x1b[31m")
    assert ran.code == 0
    assert "[red]bad[/red]" in ran.out
    assert "written to [blue]found\n" in ran.out
    assert not {"\x1b", "\x07", "\u202e"} & set(ran.out)
