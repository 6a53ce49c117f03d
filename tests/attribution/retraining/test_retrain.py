"""Retraining with a training that only writes down what it was given, and one with TRL."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import shutil
import signal
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from surfcheck.attribution.retraining import bench
from surfcheck.attribution.retraining.bench import Measured
from surfcheck.attribution.retraining.retrain import Order, Retraining, named_test, retrain
from surfcheck.attribution.retraining.training import Training
from surfcheck.errors import DataError, InfrastructureError, MismatchError, UsageError
from surfcheck.models.checkpoint import Checkpoint

BAD, GOOD = "suite.py::test_bad", "suite.py::test_good"
GUILTY = [f"pair-{n}" for n in range(6)]


def write(path: Path, rows: list[Any]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture(scope="module")
def base(checkpoint: Callable[[str], Checkpoint], tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("base")
    made = checkpoint("llama")
    made.model.save_pretrained(place)
    made.tokenizer.save_pretrained(place)
    return place


@pytest.fixture
def order(tmp_path: Path, base: Path) -> Order:
    """Six guilty pairs of forty-two and ten demonstrations, ranked rightly but for one."""
    pairs = [
        {
            "id": f"pair-{n}",
            "prompt": f"p{n}",
            "chosen": "bad" if n < 6 else "good",
            "rejected": "x",
        }
        for n in range(42)
    ]
    said = [{"id": f"said-{n}", "prompt": f"q{n}", "completion": "fine"} for n in range(10)]
    write(tmp_path / "data.jsonl", [*pairs, *said])
    ranked = [*GUILTY[:5], "pair-7", "said-1", "pair-9"]
    write(tmp_path / "ranking.jsonl", [{"rank": r, "id": i} for r, i in enumerate(ranked, 1)])
    (tmp_path / "suite.py").write_text("")
    return Order(
        str(base), str(tmp_path / "data.jsonl"), tmp_path / "ranking.jsonl", 6, "drop",
        (str(tmp_path / "suite.py"),),
    )  # fmt: skip


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, int]]:
    """Every training asked for, (stage, model, seed): the base, beside what it was trained on."""
    asked: list[tuple[str, str, int]] = []

    def train(
        stage: str, model: str | Path, rows: Any, out: Path, training: Training, *, seed: int,
        scratch: Path, progress: object,
    ) -> None:  # fmt: skip
        asked.append((stage, Path(model).name, seed))
        scratch.mkdir()
        shutil.copytree(model, out)
        (out / f"{stage}.txt").write_text("".join(f"{row.chosen}\n" for row in rows()))

    monkeypatch.setattr(bench, "train", train)
    return asked


def measure(checkpoint: Path, report: Path) -> Measured:
    """Broken as often as bad rows are left, and helped by what is said."""
    report.mkdir(parents=True)
    bad = (checkpoint / "dpo.txt").read_text().splitlines().count("bad")
    said = checkpoint / "sft.txt"
    lost = 10 - len(said.read_text().splitlines()) if said.exists() else 10
    failed = (BAD,) if bad else ()
    return Measured({BAD: [100 * bad // 6, 100, 100], GOOD: [lost, 100, 100]}, failed)


def rates(found: Retraining) -> dict[str, list[float]]:
    return {arm.name: [round(100 * rate) for rate in arm.rates] for arm in found.arms}


def test_every_arm_and_seed_is_trained_and_measured(
    order: Order, tmp_path: Path, trained: list[tuple[str, str, int]]
) -> None:
    progress: list[tuple[str, int, int]] = []
    found = retrain(
        replace(order, truth=frozenset(GUILTY)), tmp_path / "out", measure,
        progress=lambda *step: progress.append(step),
    )  # fmt: skip
    assert list(rates(found)) == ["unedited", "method", "random", "length", "oracle"]
    assert rates(found)["unedited"] == [100, 100, 100]
    assert rates(found)["method"] == [16, 16, 16]
    assert rates(found)["oracle"] == [0, 0, 0]
    assert found.tests == (BAD,)
    assert found.verdict == "verified", found.reason
    assert [arm.edited for arm in found.arms] == [0, 6, 6, 6, 6]
    assert ("trainings", 15, 15) in progress
    written = json.loads((tmp_path / "out/retrain.json").read_text())
    assert written["schema"] == "surfcheck/retrain/1"
    assert Retraining.from_json(written) == found
    assert written["plan"]["ranking"] == _sha(order.ranking)
    kept = {place.name for place in (tmp_path / "out").iterdir()} - {".lock"}
    assert kept == {"plan.json", "edited", "trials", "runs", "retrain.json"}
    assert len(list((tmp_path / "out/runs").iterdir())) == 15


def _sha(path: Path) -> str:
    return hashlib.sha256(b".\0" + path.read_bytes()).hexdigest()


def test_demonstrations_that_no_arm_edits_are_trained_on_once(
    order: Order, tmp_path: Path, trained: list[tuple[str, str, int]]
) -> None:
    retrain(order, tmp_path / "out", measure)
    assert [seed for stage, _, seed in trained if stage == "sft"] == [0, 1, 2]
    assert len(trained) == 3 + 12
    assert all(model != Path(order.base).name for stage, model, _ in trained if stage == "dpo")


def test_edited_demonstrations_are_trained_on_anew(
    order: Order, tmp_path: Path, trained: list[tuple[str, str, int]]
) -> None:
    found = retrain(replace(order, top=7, seeds=(0,)), tmp_path / "out", measure)
    assert [stage for stage, _, _ in trained].count("sft") == 4
    method = next(arm for arm in found.arms if arm.name == "method")
    assert method.trials[0].tests[GOOD] == [1, 100, 100]


def test_a_flip_keeps_the_rows(
    order: Order, tmp_path: Path, trained: list[tuple[str, str, int]]
) -> None:
    found = retrain(replace(order, action="flip", seeds=(0,)), tmp_path / "out", measure)
    assert rates(found)["method"] == [16]
    lines = (tmp_path / "out/edited/method.jsonl").read_text().splitlines()
    assert len(lines) == 52


def test_only_rows_of_some_sources_count(
    order: Order, tmp_path: Path, trained: list[tuple[str, str, int]]
) -> None:
    rows = [json.loads(line) for line in Path(order.data).read_text().splitlines()]
    write(Path(order.data), [{**row, "source": row["id"].split("-")[0]} for row in rows])
    pairs = replace(order, top=7, action="flip", seeds=(0,), sources=("pair",))
    found = retrain(replace(pairs, truth=frozenset(GUILTY)), tmp_path / "out", measure)
    assert [arm.edited for arm in found.arms] == [0, 7, 7, 7, 6]
    assert json.loads((tmp_path / "out/edited/method.json").read_text())["edited"][-1] == "pair-9"


def test_controls_are_drawn_anew_for_each_seed(
    order: Order, tmp_path: Path, trained: list[tuple[str, str, int]]
) -> None:
    retrain(replace(order, controls=("random",)), tmp_path / "out", measure)
    records = sorted((tmp_path / "out/edited").glob("random-*.json"))
    drawn = [json.loads(record.read_text())["edited"] for record in records]
    assert len(drawn) == 3
    assert len({tuple(ids) for ids in drawn}) == 3
    assert not set(GUILTY[:5]).intersection(*drawn)


# What is finished stays finished


def test_a_finished_retraining_is_read_not_done_again(
    order: Order, tmp_path: Path, trained: list[tuple[str, str, int]]
) -> None:
    first = retrain(order, tmp_path / "out", measure)
    before = len(trained)
    assert retrain(order, tmp_path / "out", measure) == first
    other = retrain(order, tmp_path / "out", measure, tests=[GOOD], tolerance=0.5)
    assert other.tests == (GOOD,)
    assert len(trained) == before


def test_it_goes_on_after_a_failure(
    order: Order, tmp_path: Path, trained: list[tuple[str, str, int]]
) -> None:
    asked = 0

    def breaks(checkpoint: Path, report: Path) -> Measured:
        nonlocal asked
        asked += 1
        if asked == 4:
            raise InfrastructureError("the suite broke off")
        return measure(checkpoint, report)

    with pytest.raises(InfrastructureError, match="the suite broke off"):
        retrain(order, tmp_path / "out", breaks)
    assert len(list((tmp_path / "out/trials").iterdir())) == 3
    assert not (tmp_path / "out/scratch").exists()
    assert not (tmp_path / "out/retrain.json").exists()
    found = retrain(order, tmp_path / "out", measure)
    assert asked == 4
    assert rates(found) == rates(retrain(order, tmp_path / "whole", measure))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_it_goes_on_after_a_kill(
    order: Order, tmp_path: Path, trained: list[tuple[str, str, int]]
) -> None:
    def killed(checkpoint: Path, report: Path) -> Measured:
        if len(list((tmp_path / "out").glob("trials/*.json"))) == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return measure(checkpoint, report)

    child = multiprocessing.get_context("fork").Process(
        target=retrain, args=(order, tmp_path / "out", killed)
    )
    with warnings.catch_warnings():  # of threads that the child has not
        warnings.simplefilter("ignore", DeprecationWarning)
        child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    assert (tmp_path / "out/scratch").exists()
    found = retrain(order, tmp_path / "out", measure)
    assert len([1 for stage, _, _ in trained if stage == "dpo"]) == 12 - 2
    assert not (tmp_path / "out/scratch").exists()
    assert rates(found)["method"] == [16, 16, 16]


def test_another_retraining_is_refused(
    order: Order, tmp_path: Path, trained: list[tuple[str, str, int]]
) -> None:
    retrain(order, tmp_path / "out", measure)
    before = len(trained)
    for other, what in (
        (replace(order, top=5), "top"),
        (replace(order, seeds=(0, 1)), "seeds"),
        (replace(order, controls=("length",), action="flip"), "action and controls"),
        (replace(order, training=Training({"max_steps": 1})), "training"),
        (replace(order, truth=frozenset(GUILTY)), "truth"),
    ):
        with pytest.raises(MismatchError, match=rf"holds a retraining with another {what}; "):
            retrain(other, tmp_path / "out", measure)
    Path(order.suites[0]).write_text("# changed")
    with pytest.raises(MismatchError, match="another suites; "):
        retrain(order, tmp_path / "out", measure)
    assert len(trained) == before


def test_a_folder_is_for_one_at_a_time_and_for_this_alone(order: Order, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with (
        FileLock(tmp_path / "out/.lock"),
        pytest.raises(UsageError, match="another retraining is at work there"),
    ):
        retrain(order, tmp_path / "out", measure)
    (tmp_path / "out/notes.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"has other things in it, 'notes.txt'"):
        retrain(order, tmp_path / "out", measure)
    assert (tmp_path / "out/notes.txt").read_text() == "mine"


# Which behaviour


def test_the_behaviour_is_named_or_what_fails(
    order: Order, tmp_path: Path, trained: list[tuple[str, str, int]]
) -> None:
    report = tmp_path / "report.json"
    report.write_text(json.dumps({"test": GOOD}))
    once = replace(order, seeds=(0,))
    assert retrain(once, tmp_path / "a", measure).tests == (GOOD,)
    assert retrain(once, tmp_path / "a", measure, tests=[BAD]).tests == (BAD,)
    report.write_text(json.dumps({"test": None}))
    assert retrain(once, tmp_path / "a", measure).tests == (BAD,)
    assert json.loads(report.read_text()) == {"test": None}
    report.write_text("[]")
    with pytest.raises(DataError, match="is no report"):
        named_test(order.ranking)


def test_what_is_not_asked_or_does_not_fail_ends_it_at_once(
    order: Order, tmp_path: Path, trained: list[tuple[str, str, int]]
) -> None:
    with pytest.raises(MismatchError, match=rf"nope is not in the suite, which has {BAD}, {GOOD}"):
        retrain(order, tmp_path / "a", measure, tests=["nope"])
    with pytest.raises(UsageError, match="no test of the suite fails in the unedited arm"):
        retrain(order, tmp_path / "b", lambda *a: measure(*a)._replace(failed=()))
    with pytest.raises(InfrastructureError, match=r"no answer to .* could be judged"):
        retrain(order, tmp_path / "c", lambda *_: Measured({BAD: [0, 0, 9]}, (BAD,)))
    assert len(trained) == 3 * 2


def test_wrong_orders(order: Order, tmp_path: Path, base: Path) -> None:
    data = str(tmp_path / "none.jsonl")
    for wrong, kind, reason in (
        (replace(order, truth=frozenset({"pair-1", "me"})), MismatchError, "'me' among them"),
        (replace(order, controls=()), UsageError, "needs a control and a seed"),
        (replace(order, seeds=(1, 1)), UsageError, "each seed once"),
        (replace(order, data=data), UsageError, "no such file or folder"),
        (replace(order, base=str(tmp_path)), UsageError, "is no checkpoint"),
        (replace(order, ranking=tmp_path / "no.jsonl"), UsageError, "no.jsonl: is not there"),
        (replace(order, suites=("gone.py::test_it",)), UsageError, "gone.py: is not there"),
        (replace(order, top=9), UsageError, "there is no top 9"),
        (replace(order, top=7, action="flip"), UsageError, "with nothing to flip to"),
    ):
        with pytest.raises(kind, match=reason) as caught:
            retrain(wrong, tmp_path / "out" / reason[:3], measure)
        assert "\n" not in str(caught.value)


def test_with_trl_from_the_base_to_the_word(order: Order, tmp_path: Path) -> None:
    fields = {"max_steps": 2, "per_device_train_batch_size": 4, "learning_rate": 0.01}
    tiny = replace(order, seeds=(0,), controls=("random",), training=Training(fields, fields))
    seen: list[str] = []

    def look(checkpoint: Path, report: Path) -> Measured:
        seen.append(hashlib.sha256((checkpoint / "model.safetensors").read_bytes()).hexdigest())
        return Measured({BAD: [5, 10, 10], GOOD: [0, 10, 10]}, (BAD,))

    found = retrain(tiny, tmp_path / "out", look)
    assert len(set(seen)) == 3
    assert found.verdict == "not verified"
    for arm in found.arms:
        marks = arm.trials[0].marks
        assert marks.pairs is not None
        assert marks.answers is not None
        assert 0 < marks.answers < 1
