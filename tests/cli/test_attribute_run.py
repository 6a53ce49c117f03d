"""`surfcheck attribute --run`, in this process, on a tiny random checkpoint."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from surfcheck.attribution import attribute_run, before, behaviours, runs
from surfcheck.records import Case, Exchange, Failure, Outcome, Prompt, RunReport, Usage
from surfcheck.report.json import read_exchanges, read_run, write_run
from surfcheck.settings import Settings

TRUE, KIND = "suites/test_a.py::test_true", "suites/test_a.py::test_kind"
ASKED = ["is it true", "is the sky blue", "is paris in france", "is water wet", "is ice cold"]


def read(path: str) -> Any:
    return json.loads(Path(path).read_text())


def complaint(ran: Any, code: int) -> str:
    """The one line of a command that came to nothing."""
    assert (ran.code, ran.out, ran.err.count("\n")) == (code, "", 1)
    assert ran.err.startswith("surfcheck: ")
    return ran.err.removeprefix("surfcheck: ").rstrip("\n")


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
        assert each["cost"]["passages"] > 15  # five pairs, what held, and what the base answers
    ranking = Path("found/suites-test_a.py-test_kind/ranking.jsonl").read_text().splitlines()
    bad = [n for n, row in enumerate(ranking) if json.loads(row)["source"] == "bad"]
    assert sum(bad) / len(bad) < (len(ranking) - 1) / 2  # ahead of the good ones


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


def test_a_test_that_no_answer_held_stands_against_the_base(
    run: Callable[..., Any], finished: Callable[..., Path]
) -> None:
    folder = finished(KIND, said=exchanges(KIND, held=False))
    ran = run("attribute", "--run", folder, "--out", "found", "--json")
    assert (ran.code, ran.err) == (0, "")
    (report,) = json.loads(ran.out)
    assert (report["test"], report["cost"]["passages"]) == (KIND, 10)


def test_a_test_that_the_base_breaks_alike_is_left_out(
    run: Callable[..., Any], finished: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(before, "answers", lambda base, prompts, **_: ["no, never"] * len(prompts))
    said = [*exchanges(TRUE), *exchanges(KIND, held=False)]
    by_run = ("attribute", "--run", finished(TRUE, KIND, said=said), "--out", "found")
    ran = run(*by_run, "--json")
    assert [report["test"] for report in json.loads(ran.out)] == [TRUE]
    assert ran.err.startswith("surfcheck: left out, no answer held it and the base breaks it alike")
    assert ran.err.endswith(f": {KIND}\n")
    assert f"no answer held {KIND}" in complaint(run(*by_run, "--test", KIND), 2)


def test_a_test_that_broke_in_two_ways_has_a_folder_for_each(
    run: Callable[..., Any], finished: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    halves = [behaviours.Part(np.array([1, 0, 2]), 0.9), behaviours.Part(np.array([4, 3]), 0.8)]
    monkeypatch.setattr(runs, "_split", lambda *_: halves)
    folder = finished(TRUE)
    ran = run("attribute", "--run", folder, "--out", "found", "--json")
    assert (ran.code, ran.err) == (0, "")
    place = Path("found/suites-test_a.py-test_true")
    assert sorted(path.name for path in place.iterdir()) == ["behaviour-1", "behaviour-2"]
    written = [read(str(place / f"behaviour-{n}/report.json")) for n in (1, 2)]
    assert json.loads(ran.out) == written
    assert [(each["test"], each["behaviour"]["number"]) for each in written] == [
        (TRUE, 1),
        (TRUE, 2),
    ]
    assert [each["behaviour"]["broken"] for each in written] == [3, 2]
    assert written[1]["behaviour"]["prompts"] == [f"{ASKED[4]} now", f"{ASKED[3]} now"]
    shown = run("attribute", "--run", folder, "--out", "found").out
    assert f"behaviour 1 of 2: in 3 broken answers, as to: {ASKED[1]} now" in " ".join(
        shown.split()
    )
    assert f"written to {place}/behaviour-2" in shown


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
        ("", "one of --contrast FILE, --run RUN and --discover"),
        ("--run run --contrast pairs.jsonl", "one of --contrast FILE, --run RUN and --discover"),
        ("--run run --discover", "one of --contrast FILE, --run RUN and --discover"),
        ("--run run --target hf:x", "are what --discover asks"),
        ("--discover --target hf:x", "needs --target SPEC and --prompts FILE"),
        (
            "--discover --target hf:x --prompts p.txt --layer best",
            "--layer, --centre and --whiten are not for --discover",
        ),
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
