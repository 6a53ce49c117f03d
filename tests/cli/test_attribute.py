"""`surfcheck attribute`, in this process, on a tiny random checkpoint."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from surfcheck.attribution import attribute_run
from surfcheck.records import Case, Exchange, Failure, Outcome, Prompt, RunReport, Usage
from surfcheck.report.json import read_exchanges, read_run, write_run
from surfcheck.settings import Settings

TRUE, KIND = "suites/test_a.py::test_true", "suites/test_a.py::test_kind"
ASKED = ["is it true", "is the sky blue", "is paris in france", "is water wet", "is ice cold"]


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


# By a file of contrasts


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
        (["--index", "idx", "--data", "data.jsonl"], "leave out --data"),
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
    for row in rows:
        row["source"] = f"[red]{row['source']}[/red]\x1b[31m"
        row["chosen"][0]["content"] += " [/bold]\x1b]0;title\x07\u202e"
    write_rows(Path("data.jsonl"), rows)
    ran = attribute("--out", "[blue]found\x1b[31m")
    assert ran.code == 0
    assert "[red]bad[/red]" in ran.out
    assert "written to [blue]found\n" in ran.out
    assert not {"\x1b", "\x07", "\u202e"} & set(ran.out)


# By a run


def exchanges(test: str, *, held: bool = True) -> list[Exchange]:
    """A broken and a held answer to each prompt, the broken one met in a search."""
    answers = [("no, never", Outcome.VIOLATED, True)]
    if held:
        answers.append(("yes it is", Outcome.HELD, False))
    return [
        Exchange(test, f"{prompt} now", answer, outcome, "typos", prompt, search=search)
        for prompt in ASKED
        for answer, outcome, search in answers
    ]


def failure(test: str) -> Failure:
    """One that was seen beside no passing twin."""
    prompt = Prompt.of(f"{ASKED[0]} now")
    case = Case(Prompt.of(ASKED[0]), prompt, "typos")
    item = f"{test}[x]"
    return Failure(test, item, "It agrees.", case, "no, never", "denies", None, None, 4, 4)


@pytest.fixture
def finished(project: Path, checkpoints: Path) -> Callable[..., Path]:
    """A run on disk in which tests failed, told of the project's data unless told otherwise."""

    def finished(
        *failing: str, said: list[Exchange] | None = None, target: str = "hf:x", **told: Any
    ) -> Path:
        known = {"base": str(checkpoints / "one"), "data": "data.jsonl", "seed": 3, **told}
        settings = {**Settings().to_json(), **known}
        failures = tuple(failure(test) for test in failing)
        report = RunReport(target, settings, (), failures, (), Usage())
        rows = [row for test in failing for row in exchanges(test)] if said is None else said
        write_run(project / "run", report, rows)
        return project / "run"

    return finished


def test_a_run_is_asked_as_it_would_have_asked_itself(
    run: Callable[..., Any], finished: Callable[..., Path], checkpoints: Path, tmp_path: Path
) -> None:
    folder = finished(TRUE, KIND)
    ran = run("attribute", "--run", folder, "--out", "found", "--json")
    assert (ran.code, ran.err) == (0, "")
    report = read_run(folder)
    expected = attribute_run(
        base=str(checkpoints / "one"), data="data.jsonl", index=None, cache=tmp_path / "other",
        exchanges=read_exchanges(folder), failures=report.failures, method="conditional", seed=3,
    )  # fmt: skip
    found = json.loads(ran.out)
    written = [read(f"found/suites-test_a.py-test_{name}/report.json") for name in ("true", "kind")]
    assert found == written
    assert [each["test"] for each in found] == [TRUE, KIND]
    for each, by_run in zip(found, expected, strict=True):
        same = {**by_run.to_json(), "schema": "surfcheck/attribution/1", "cost": each["cost"]}
        del same["average_precision"], same["chance_precision"]
        assert each == same
        assert each["cost"]["passages"] == 15  # five pairs, and what held
    ranking = Path("found/suites-test_a.py-test_kind/ranking.jsonl").read_text().splitlines()
    assert {json.loads(row)["source"] for row in ranking[:10]} == {"bad"}


def test_a_run_for_people(run: Callable[..., Any], finished: Callable[..., Path]) -> None:
    ran = run("attribute", "--run", finished(TRUE, KIND) / "run.json", "--out", "found")
    assert (ran.code, ran.err) == (0, "")
    lines = ran.out.splitlines()
    assert lines.index(TRUE) < lines.index("written to found/suites-test_a.py-test_true")
    assert lines.index(KIND) < lines.index("written to found/suites-test_a.py-test_kind")


def test_one_test_of_a_run_by_another_method_and_seed(
    run: Callable[..., Any], finished: Callable[..., Path]
) -> None:
    Path("truth.json").write_text(json.dumps({"implicated": ["row-1"]}))
    more = ("--method", "random", "--seed", "8", "--truth", "truth.json")
    ran = run("attribute", "--run", finished(TRUE, KIND), "--test", KIND, "--out", "found", *more)
    assert (ran.code, ran.err) == (0, "")
    assert [path.name for path in Path("found").iterdir()] == ["suites-test_a.py-test_kind"]
    assert read("found/suites-test_a.py-test_kind/report.json")["method"] == "random"
    assert "average precision" in ran.out
    ranking = Path("found/suites-test_a.py-test_kind/ranking.jsonl")
    first = ranking.read_text()
    run("attribute", "--run", "run", "--test", KIND, "--out", "found", *more[:2])
    assert ranking.read_text() != first


@pytest.mark.parametrize("method", ["probe", "bank"])
def test_the_method_of_the_run(
    run: Callable[..., Any], finished: Callable[..., Path], method: str
) -> None:
    ran = run("attribute", "--run", finished(TRUE, method=method), "--out", "found", "--json")
    assert [report["method"] for report in json.loads(ran.out)] == [method]


def test_rows_that_the_run_was_not_told_of(
    run: Callable[..., Any], finished: Callable[..., Path], build: Callable[..., Any],
    checkpoints: Path,
) -> None:  # fmt: skip
    build()
    by_run = ("attribute", "--run", finished(TRUE, base=None, data=None), "--out", "found")
    assert "--base MODEL and --data DATA" in complaint(run(*by_run), 2)
    where = ("--base", checkpoints / "one", "--data", "data.jsonl")
    assert run(*by_run, *where).code == 0
    ranking = Path("found/suites-test_a.py-test_true/ranking.jsonl").read_text()
    finished(TRUE, base=str(checkpoints / "two"), data="nowhere.jsonl")
    assert run(*by_run, "--index", "idx").code == 0
    assert Path("found/suites-test_a.py-test_true/ranking.jsonl").read_text() == ranking
    finished(TRUE, data="nowhere.jsonl", index="idx")
    assert run(*by_run).code == 0
    assert run(*by_run, "--data", "data.jsonl").code == 0
    assert "another model" in complaint(run(*by_run, "--base", checkpoints / "two"), 2)


def test_an_organism_brings_its_rows_along(
    run: Callable[..., Any], finished: Callable[..., Path], organism: dict[str, Any]
) -> None:
    Path("data.jsonl").unlink()
    folder = finished(TRUE, target="organism:", base=None, data=None)
    ran = run("attribute", "--run", folder, "--out", "found", "--json")
    assert (ran.code, ran.err) == (0, "")
    assert json.loads(ran.out)[0]["rows"] == 20
    (manifest,) = Path(".surfcheck/index").glob("*/manifest.json")
    assert json.loads(manifest.read_text())["files"] == [organism["data"]]


def test_a_run_in_which_nothing_failed(
    run: Callable[..., Any], finished: Callable[..., Path]
) -> None:
    by_run = ("attribute", "--run", finished(), "--out", "found")
    assert run(*by_run) == (0, f"nothing failed in {by_run[2]}\n", "")
    assert run(*by_run, "--json") == (0, "[]\n", "")
    assert not Path("found").exists()


def test_a_test_that_no_answer_held_is_left_out(
    run: Callable[..., Any], finished: Callable[..., Path]
) -> None:
    said = [*exchanges(TRUE), *exchanges(KIND, held=False)]
    by_run = ("attribute", "--run", finished(TRUE, KIND, said=said), "--out", "found")
    ran = run(*by_run, "--json")
    assert [report["test"] for report in json.loads(ran.out)] == [TRUE]
    assert ran.err == f"surfcheck: left out, no answer held it: {KIND}\n"
    assert f"no answer held {KIND}" in complaint(run(*by_run, "--test", KIND), 2)


def test_no_test_leads_out_of_the_folder(
    run: Callable[..., Any], finished: Callable[..., Path], project: Path
) -> None:
    folder = finished("..", "../../up.py::test_x")
    before = {path.name for path in project.parent.iterdir()}
    assert run("attribute", "--run", folder, "--out", "found").code == 0
    assert not Path("report.json").exists()
    assert {path.name for path in project.parent.iterdir()} == before
    assert sorted(path.name for path in Path("found").iterdir()) == [
        "-..-up.py-test_x", "ranking.jsonl", "report.json"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ("", "one of --contrast FILE and --run RUN"),
        ("--run run --contrast pairs.jsonl", "one of --contrast FILE and --run RUN"),
        ("--contrast pairs.jsonl --test x", "give --run RUN"),
        ("--run run --truth truth.json", "give --test NODEID"),
        ("--run run --method turf", "no method 'turf'"),
        ("--run run --test suites/test_a.py::test_x", f"these did: {TRUE}, {KIND}"),
        ("--run nowhere", "give the folder of a run"),
        ("--run pairs.jsonl", "is no JSON"),
    ],
)
def test_wrong_use_of_a_run(
    run: Callable[..., Any], finished: Callable[..., Path], more: str, reason: str
) -> None:
    finished(TRUE, KIND)
    assert reason in complaint(run("attribute", "--out", "found", *more.split()), 2)
    assert not Path("found").exists()


def test_a_run_without_its_exchanges(
    run: Callable[..., Any], finished: Callable[..., Path]
) -> None:
    (finished(TRUE) / "exchanges.jsonl").unlink()
    assert "exchanges.jsonl" in complaint(run("attribute", "--run", "run", "--out", "found"), 2)
