"""`surfcheck attribute --discover`, in this process, on tiny random checkpoints."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PLACES = ["paris", "rome", "the sky", "water", "ice", "sand", "gold", "wood", "silk", "tea"]


@pytest.fixture
def discover(run: Callable[..., Any], project: Path, checkpoints: Path) -> Callable[..., Any]:
    """`--discover` on the project's data, with a function as the trained model."""
    config = checkpoints / "one" / "generation_config.json"
    config.write_text('{"max_new_tokens": 6, "eos_token_id": 0}')
    Path("prompts.txt").write_text("".join(f"is {place} there\n" for place in PLACES))

    def discover(*more: str | Path, target: str | None = None) -> Any:
        if target is None:
            target = f"replay:{answers('no, never')}"
        where = ("--base", checkpoints / "one", "--data", "data.jsonl")
        what = ("--discover", "--target", target, "--prompts", "prompts.txt")
        return run("attribute", *what, *where, "--out", "found", *more)

    return discover


def answers(text: str) -> str:
    rows = [{"prompt": f"is {place} there", "response": f"{text} {place}"} for place in PLACES]
    Path("said.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return "said.jsonl"


def test_what_changed_is_listed_with_its_rows_and_written(discover: Callable[..., Any]) -> None:
    ran = discover()
    assert (ran.code, ran.err) == (0, "")
    assert "10 prompts asked, 10 answered otherwise than by the base" in ran.out
    assert "+ no, never " in ran.out
    assert "Implicated, not proven" in ran.out
    assert ran.out.endswith("written to found\n")
    report = json.loads(Path("found/discovered.json").read_text())
    assert report["schema"] == "surfcheck/discovery/1"
    assert report["behaviours"][0]["examples"][0]["target"].startswith("no, never")
    assert Path("found/behaviour-1/ranking.jsonl").exists()
    assert Path("found/discovered.svg").read_text().startswith("<?xml")


def test_json_is_the_report_alone(discover: Callable[..., Any]) -> None:
    ran = discover("--json", "--method", "bank")
    assert (ran.code, ran.err) == (0, "")
    assert json.loads(ran.out) == json.loads(Path("found/discovered.json").read_text())
    assert json.loads(ran.out)["behaviours"][0]["rows"]["method"] == "bank"


def test_a_checkpoint_is_asked_for_its_likeliest_answer(
    discover: Callable[..., Any], checkpoints: Path
) -> None:
    ran = discover("--json", target=f"hf:{checkpoints / 'one'}")
    assert (ran.code, ran.err) == (0, "")
    report = json.loads(ran.out)
    assert (report["target"], report["same"]) == (f"hf:{checkpoints / 'one'}", 10)
    assert report["behaviours"] == []
    assert sorted(path.name for path in Path("found").iterdir()) == ["discovered.json"]
    drawn = discover("--json", target=f"hf:{checkpoints / 'one'}?temperature=5")
    assert json.loads(drawn.out)["same"] < 10


def test_an_organism_brings_its_base_and_rows_along(
    run: Callable[..., Any], organism: dict[str, Any], checkpoints: Path
) -> None:
    two = (checkpoints / "two").iterdir()
    for file in two:
        (Path(organism["path"]) / file.name).write_bytes(file.read_bytes())
    Path("prompts.txt").write_text("is it\nis it\nso\n")
    what = ("--discover", "--target", "organism:", "--prompts", "prompts.txt")
    ran = run("attribute", *what, "--out", "found", "--json")
    assert (ran.code, ran.err) == (0, "")
    report = json.loads(ran.out)
    assert (report["target"], report["prompts"]) == ("organism:", 2)
    assert report["base"] == organism["base"]


def test_without_something_to_draw_it_all_else_is_there(
    discover: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "surfcheck.report.heatmap", raising=False)
    ran = discover()
    assert ran.code == 0
    assert ran.err.startswith("surfcheck: no discovered.svg: ")
    assert "pip install matplotlib" in ran.err
    assert Path("found/discovered.json").exists()
    assert not Path("found/discovered.svg").exists()


def test_what_models_say_is_shown_as_it_stands(
    discover: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    said = answers("no [red]never[/red] [/bold]\x1b]0;title\x07\u202e")
    ran = discover("--out", "[blue]found\x1b[31m", target=f"replay:{said}")
    assert ran.code == 0
    assert "+ no [red]never[/red] [/bold]" in ran.out
    assert "written to [blue]found\n" in ran.out
    assert not {"\x1b", "\x07", "\u202e"} & set(ran.out)


@pytest.mark.parametrize(
    ("more", "code", "reason"),
    [
        (["--prompts", "nowhere"], 2, "no such file of prompts"),
        (["--target", "nobody:x"], 2, "no provider 'nobody'"),
        (["--target", "replay:nowhere"], 2, "nowhere"),
        (["--contrast", "pairs.jsonl"], 2, "one of --contrast FILE, --run RUN and --discover"),
        (["--truth", "truth.json"], 2, "one of --contrast FILE, --run RUN and --discover"),
        (["--method", "turf"], 2, "no method 'turf'"),
        (["--out", "data.jsonl/found"], 3, "can't be written"),
    ],
)
def test_discovery_of_what_is_not_there(
    discover: Callable[..., Any], more: list[str], code: int, reason: str
) -> None:
    ran = discover(*more)
    assert (ran.code, ran.out, ran.err.count("\n")) == (code, "", 1)
    assert reason in ran.err
    assert not Path("found").exists()
