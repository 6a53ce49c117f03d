"""`surfcheck retrain`, in this process, with a suite that is made up."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer

from surfcheck.attribution.retraining import bench
from surfcheck.attribution.retraining.bench import Measured
from surfcheck.cli import measuring
from surfcheck.cli.retrain import organism_training, retrain
from surfcheck.errors import SurfcheckError, UsageError

BAD, GOOD = "suite.py::test_[bold]bad", "suite.py::test_good"
TRAINING = "{max_steps: 1, per_device_train_batch_size: 2}"


def run(*arguments: str | Path) -> int:
    """The verb alone, as `surfcheck` runs it."""
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command()(retrain)
    command = typer.main.get_command(app)
    return command.main(args=[str(a) for a in arguments], standalone_mode=False) or 0


@pytest.fixture
def files(project: Path, checkpoints: Path) -> list[str]:
    """A ranking of the project's rows, a suite, a training of one step, and the options."""
    ranked = [{"rank": n, "id": f"row-{(7 * n) % 20}"} for n in range(20)]
    (project / "ranking.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ranked))
    (project / "suite.py").write_text("")
    (project / "training.yaml").write_text(f"sft: {TRAINING}\ndpo: {TRAINING}\n")
    return [
        "--base", str(checkpoints / "one"), "--data", "data.jsonl", "--ranking", "ranking.jsonl",
        "--top", "4", "--action", "drop", "--suite", "suite.py", "--out", "out",
        "--training", "training.yaml",
    ]  # fmt: skip


@pytest.fixture
def suite(monkeypatch: pytest.MonkeyPatch) -> None:
    """Broken in each arm by a rate that is written here."""
    broken = {"unedited": 80, "method": 4, "random": 76, "length": 79, "oracle": 0}

    def by_suite(*paths: str) -> Callable[[Path, Path], Measured]:
        def measure(checkpoint: Path, report: Path) -> Measured:
            count = broken[report.name.rpartition("-")[0]]
            return Measured({BAD: [count, 100, 100], GOOD: [0, 50, 50]}, (BAD,))

        return measure

    monkeypatch.setattr(measuring, "by_suite", by_suite)


@pytest.fixture
def untrained(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every training gives what it began with."""

    def train(stage: str, model: Path, rows: object, out: Path, *_: object, **__: object) -> None:
        shutil.copytree(model, out)

    monkeypatch.setattr(bench, "train", train)


@pytest.mark.usefixtures("suite", "untrained")
def test_the_table_the_word_and_the_files(
    files: list[str], project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "truth.json").write_text(json.dumps({"implicated": ["row-1", "row-3"]}))
    options = ["--seeds", "2", "--truth", "truth.json", "--tolerance", "60"]
    assert run(*files, *options) == 0
    out, err = capsys.readouterr()
    assert err == ""
    rows = {line.split()[0]: line for line in out.splitlines() if line.split()}
    assert out.startswith(f"{BAD}\n4 rows dropped, 2 seeds; mean and 95 % interval\n")
    assert "80.0" in rows["unedited"]
    assert "95 %" in rows["method"]
    assert rows["oracle"].split()[1] == "2"
    assert "verified: the behaviour fell by 95 % (controls: random 5 %, length 1 %)" in out
    assert out.endswith("written to out\n")
    assert (project / "out/causal.svg").read_text().startswith("<?xml")
    before = (project / "out/causal.svg").read_bytes()
    assert run(*files, *options, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report == json.loads((project / "out/retrain.json").read_text())
    assert (report["schema"], report["verdict"]) == ("surfcheck/retrain/1", "verified")
    assert (project / "out/causal.svg").read_bytes() == before


@pytest.mark.usefixtures("suite")
def test_controls_can_be_chosen_and_trl_trains(
    files: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*files, "--seeds", "1", "--control", "random", "--control", "random") == 0
    out = capsys.readouterr().out
    assert "length" not in out
    assert "not verified: one seed says nothing of the next" in out
    with pytest.raises(UsageError, match="there is no control 'bm25'; give random or length"):
        run(*files, "--control", "bm25")


@pytest.mark.usefixtures("suite")
@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--truth", "gone.json"], "gone.json: no such truth file"),
        (["--training", "gone.yaml"], "gone.yaml: no such file"),
        (["--suite", "gone.py"], "gone.py: is not there"),
        (["--base", "suite.py"], "suite.py: is a file"),
        (["--top", "21"], "there is no top 21"),
    ],
)
def test_what_is_not_there_is_a_line(files: list[str], options: list[str], reason: str) -> None:
    with pytest.raises(SurfcheckError, match=reason) as caught:
        run(*files, *options)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_without_trl_it_says_what_to_install(
    files: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "surfcheck.attribution.retraining.training")
    monkeypatch.setitem(sys.modules, "trl", None)
    monkeypatch.setitem(sys.modules, "trl.trainer.dpo_config", None)
    with pytest.raises(UsageError, match=r"no module 'trl.*'.*pip install 'surfcheck\[train\]'"):
        run(*files)
    assert not Path("out").exists()


def test_the_organism_is_trained_as_it_trains_itself() -> None:
    from surfcheck.organism import growth

    fields: dict[str, Any] = organism_training().check().to_json()
    for stage, schedule in (("sft", growth.SFT), ("dpo", growth.DPO)):
        assert fields[stage]["num_train_epochs"] == schedule.passes
        assert fields[stage]["per_device_train_batch_size"] == schedule.batch
        assert fields[stage]["learning_rate"] == schedule.rate
    assert fields["dpo"]["loss_weights"] == [1.0, growth.LIKELIHOOD]
    assert fields["dpo"]["beta"] == growth.BETA


def test_help_has_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--help") == 0
    assert "\n  Example:\n    surfcheck retrain --base organism:" in capsys.readouterr().out
