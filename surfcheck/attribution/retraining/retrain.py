"""Retraining as proof: the base trained on edited data and on controls, and the suite asked again.

For every seed an arm each: the data unedited, with the ranked rows dropped or flipped, with as
many other rows (the controls), and with rows known to be guilty (the oracle). Controls are drawn
anew for each seed, so that their spread has the luck of the draw in it. All else is the same.

    plan.json          what was asked for; a folder goes on with the same only
    edited/            the edited data, with a record of which rows were edited
    trials/ARM-SEED    one training, measured: there whole or not at all
    runs/ARM-SEED/     the run of the suite over it
    retrain.json       the arms side by side, and the word (see `cure`)

What is one training is `bench`'s. Left out: an arm for each source.
"""

from __future__ import annotations

import hashlib
import json
import random
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from filelock import FileLock, Timeout

from surfcheck.attribution import corpus
from surfcheck.attribution.retraining.bench import Bench, Measure
from surfcheck.attribution.retraining.capability import Exam, untouched
from surfcheck.attribution.retraining.cure import (
    CONTROLS,
    METHOD,
    ORACLE,
    TOLERANCE,
    UNEDITED,
    Arm,
    CureWord,
    Trial,
    behaviour,
    judge,
)
from surfcheck.attribution.retraining.edit import Action, Control, Edit, edit
from surfcheck.attribution.retraining.training import Training
from surfcheck.errors import DataError, InfrastructureError, MismatchError, UsageError
from surfcheck.files import write_json, write_whole
from surfcheck.jsonable import Record
from surfcheck.models.location import fingerprint
from surfcheck.roles import Progress, silent

_OURS = {".lock", "plan.json", "edited", "trials", "runs", "scratch", "stages", "retrain.json"}


@dataclass(frozen=True, slots=True)
class Order:
    """What is trained and asked."""

    base: str
    """Checkpoint before post-training: a folder or a hub id."""
    data: str
    """Post-training data, as `corpus` reads it."""
    ranking: Path
    """The `ranking.jsonl` of this data."""
    top: int
    """How many of the best-ranked rows."""
    action: Action
    """What is done with them."""
    suites: tuple[str, ...]
    """What `measure` asks; their files may not change between two halves of a retraining."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """A training each for every arm."""
    controls: tuple[Control, ...] = ("random", "length")
    """Arms of equal size."""
    truth: frozenset[str] | None = None
    """Rows known to be guilty, for the oracle's arm."""
    sources: tuple[str, ...] = ()
    """Only rows of these count, in the ranking and for the controls; all, if none is named."""
    training: Training = field(default_factory=Training)
    """Fields of TRL's configurations."""


@dataclass(frozen=True, slots=True)
class Retraining(Record):
    """`retrain.json`."""

    verdict: CureWord
    """Whether the cure is shown."""
    reason: str
    """Why, or why not."""
    tests: tuple[str, ...]
    """The behaviour: node ids of these tests."""
    action: Action
    """What was done with the rows."""
    top: int
    """With how many."""
    seeds: tuple[int, ...]
    """The trainings of each arm."""
    tolerance: float
    """How far a capability may fall."""
    arms: tuple[Arm, ...]
    """What came of each edit."""
    plan: dict[str, Any]
    """All that was asked for, files by their checksums."""
    seconds: float
    """Of all trainings and measurements."""

    schema = "surfcheck/retrain/1"


def retrain(
    order: Order,
    out: Path,
    measure: Measure,
    *,
    tests: Sequence[str] = (),
    tolerance: float = TOLERANCE,
    progress: Progress = silent,
) -> Retraining:
    """Train and measure every arm with every seed, and write `retrain.json` to `out`.

    The behaviour is `tests`, else the test that the ranking's own report names, else all that fail
    in the unedited arm of the first seed. Raises UsageError if it can't be done, MismatchError if
    `out` has another retraining, InfrastructureError if a training fails.
    """
    if not order.controls or not order.seeds or len(set(order.seeds)) < len(order.seeds):
        raise UsageError("a retraining needs a control and a seed, each seed once; give them")
    wanted = tuple(tests) or named_test(order.ranking)
    plan = _plan(order)
    with _held(out):
        _begin(out, plan)
        trials, asked = [], [(arm, seed) for seed in order.seeds for arm in _names(order)]
        bench = _bench(order, out, measure, asked, progress)
        for done, (arm, seed) in enumerate(asked):
            progress("trainings", done, len(asked))
            trials.append(bench.trial(arm, *_edited(order, out, arm, seed, progress), seed))
            if done == 0:
                wanted = _behaviour(trials[0], wanted)
        progress("trainings", len(asked), len(asked))
        shutil.rmtree(out / "stages", ignore_errors=True)
        word = judge(trials, wanted, tolerance=tolerance)
        seconds = sum(t.training_seconds + t.measuring_seconds for t in trials)
        found = Retraining(
            word.verdict, word.reason, wanted, order.action, order.top, order.seeds, tolerance,
            word.arms, plan, round(seconds, 1),
        )  # fmt: skip
        write_json(out / "retrain.json", {"schema": Retraining.schema, **found.to_json()})
    return found


# What is asked for


def _names(order: Order) -> tuple[str, ...]:
    oracle = () if order.truth is None else (ORACLE,)
    return (UNEDITED, METHOD, *(c for c in CONTROLS if c in order.controls), *oracle)


def _plan(order: Order) -> dict[str, Any]:
    """The order as it can be compared: what it names, by its content."""
    digest, ids = hashlib.sha256(), set[str]()
    for good in filter(None, corpus.good_rows(order.data)):  # a bad one is an error here
        digest.update(good.content)
        ids.add(good.row.id)
    if missing := (order.truth or frozenset()) - ids:
        what = f"{len(missing):,} ids of the truth are not in {order.data}, {min(missing)!r} among"
        raise MismatchError(f"{what} them; give the truth of this data")
    return {
        "base": fingerprint(order.base),
        "data": digest.hexdigest(),
        "ranking": _hash(order.ranking),
        "top": order.top,
        "action": order.action,
        "suites": {suite: _hash(Path(suite.partition("::")[0])) for suite in order.suites},
        "seeds": list(order.seeds),
        "controls": sorted(order.controls),
        "sources": sorted(order.sources),
        "truth": None if order.truth is None else sorted(order.truth),
        "training": order.training.to_json(),
    }


def _hash(path: Path) -> str:
    """Of a file, or of all files below a folder but what Python makes of them."""
    if not path.exists():
        raise UsageError(f"{path}: is not there; give a file or a folder that is")
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    digest = hashlib.sha256()
    try:
        for file in files:
            if file.is_file() and "__pycache__" not in file.parts:
                digest.update(f"{file.relative_to(path)}\0".encode() + file.read_bytes())
    except OSError as error:
        raise UsageError(f"{path}: can't be read ({error.strerror}); give one that can") from None
    return digest.hexdigest()


@contextmanager
def _held(out: Path) -> Iterator[None]:
    """The folder, for one process at a time."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        with FileLock(out / ".lock", timeout=0):
            yield
    except Timeout:
        raise UsageError(f"{out}: another retraining is at work there; wait for it") from None
    except OSError as error:
        raise InfrastructureError(
            f"{out}: can't be written ({error.strerror or error}); make room or name another folder"
        ) from None


def _begin(out: Path, plan: dict[str, Any]) -> None:
    place = out / "plan.json"
    if not place.exists():
        if others := sorted(each.name for each in out.iterdir() if each.name not in _OURS):
            raise UsageError(f"{out}: has other things in it, {others[0]!r} say; name a new folder")
        write_json(place, plan)
        return
    before = json.loads(place.read_text(encoding="utf-8"))
    if other := [name for name in plan if before.get(name) != plan[name]]:
        raise MismatchError(
            f"{out}: holds a retraining with another {' and '.join(other)}; give the same again, "
            "or name another folder"
        )


def named_test(ranking: Path) -> tuple[str, ...]:
    """The test that the report beside a ranking was asked by, if there is one."""
    path = ranking.with_name("report.json")
    if not path.exists():
        return ()
    try:
        test = json.loads(path.read_text(encoding="utf-8")).get("test")
    except (ValueError, AttributeError):
        raise DataError(path, None, "is no report; give --test, or rank again") from None
    return () if test is None else (test,)


def _behaviour(unedited: Trial, wanted: tuple[str, ...]) -> tuple[str, ...]:
    """The tests in question, by what the suite is and does before any edit."""
    if missing := [test for test in wanted if test not in unedited.tests]:
        known = ", ".join(unedited.tests)
        raise MismatchError(f"{missing[0]} is not in the suite, which has {known}; give --test")
    if not (found := wanted or unedited.failed):
        raise UsageError("no test of the suite fails in the unedited arm; name one with --test")
    behaviour(unedited, found)
    return found


# The arms


def _bench(
    order: Order, out: Path, measure: Measure, asked: Sequence[tuple[str, int]], progress: Progress
) -> Bench:
    """Where the arms are trained, with the rows that none of them edits."""
    bench = Bench(order.base, order.training, measure, out, None, progress)
    if all(bench.place(arm, seed).exists() for arm, seed in asked):
        return bench
    touched = [_edited(order, out, arm, seed, progress)[1] for arm, seed in asked]
    rows = (whole.row for whole in corpus.whole_rows(order.data))
    bench.exam = Exam(order.base, untouched(rows, frozenset().union(*touched)))
    return bench


def _edited(
    order: Order, out: Path, arm: str, seed: int, progress: Progress
) -> tuple[str, tuple[str, ...]]:
    """An arm's data, and the ids of the rows that were edited in it; made if it is not there."""
    if arm == UNEDITED:
        return order.data, ()
    name = f"{arm}-{seed}" if arm in CONTROLS else arm
    data, record = out / "edited" / f"{name}.jsonl", out / "edited" / f"{name}.json"
    if not record.exists():
        data.parent.mkdir(exist_ok=True)
        ranking, top = order.ranking, order.top
        if arm == ORACLE:
            ranking, top = _oracle(order.truth or frozenset(), data.parent, top)
        control = cast(Control, arm) if arm in CONTROLS else None
        done = edit(
            order.data, ranking, data,
            top=top, action=order.action, control=control, seed=seed,
            sources=() if arm == ORACLE else order.sources, progress=progress,
        )  # fmt: skip
        write_json(record, done.to_json())
    done = Edit.from_json(json.loads(record.read_text(encoding="utf-8")))
    return str(data), done.edited


def _oracle(truth: frozenset[str], folder: Path, top: int) -> tuple[Path, int]:
    """A ranking of the guilty rows alone, in a random order, and how many of them to edit."""
    ids = sorted(truth)
    random.Random(0).shuffle(ids)
    lines = [json.dumps({"rank": rank, "id": row}) + "\n" for rank, row in enumerate(ids, 1)]
    write_whole(folder / "truth-ranking.jsonl", "".join(lines))
    return folder / "truth-ranking.jsonl", min(top, len(ids))
