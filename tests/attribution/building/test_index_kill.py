"""Builds that are killed again and again, one or two at a time: nothing lost, nothing half-read.

The builds are processes of their own, forked from one that has loaded the checkpoint.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from surfcheck.attribution.index import open_index
from surfcheck.attribution.store import index_care
from surfcheck.attribution.table import IndexTable
from surfcheck.models.checkpoint import Checkpoint

ROWS, SHARD_ROWS = 120, 8

pytestmark = pytest.mark.skipif(
    not hasattr(signal, "SIGKILL") or not hasattr(os, "fork"), reason="no fork or no SIGKILL"
)

_COMMON = f"""
import json, os, random, signal, sys, time
from pathlib import Path
import torch
from surfcheck.attribution import corpus
from surfcheck.attribution.building import indexing
from surfcheck.attribution.store.manifest import current, damage
from surfcheck.attribution.store.storage import store
from surfcheck.files import replacing
from surfcheck.models.checkpoint import load_checkpoint

torch.set_num_threads(1)
base = load_checkpoint(sys.argv[1], dtype="float32", device="cpu")
data, out = sys.argv[2], Path(sys.argv[3])
rows = corpus.read(data)

def kill_self_at(moment, folder):
    '''Before a file of the folder is opened, renamed or removed, or between two steps of writing
    one: `moment` of these from now.'''
    def one():
        nonlocal moment
        moment -= 1
        if moment <= 0:
            os.kill(os.getpid(), signal.SIGKILL)
    def operation(event, arguments):
        if event in ("open", "os.rename", "os.remove") and str(folder) in str(arguments[0]):
            one()
    def call(frame, event, _):
        if event == "c_call" and frame.f_code is replacing.__wrapped__.__code__:
            one()
    sys.addaudithook(operation)
    sys.setprofile(call)

def begin(folder, moment=None, part=(0, 1)):
    if child := os.fork():
        return child
    if moment is not None:
        kill_self_at(moment, folder)
    code = 1
    try:
        indexing.build(base, rows, folder, layers=(1, 3), shard_rows={SHARD_ROWS}, part=part)
        code = 0
    finally:
        os._exit(code)

def ended(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
"""

_KILLING = (
    _COMMON
    + """
began = time.monotonic()
assert ended(begin(out / "whole")) == 0
seconds = time.monotonic() - began

WORKERS = int(sys.argv[5])
draw, kills, builds, states = random.Random(0), 0, 0, []
while kills < int(sys.argv[4]):
    folder = out / f"killed-{builds}"
    children, by_itself = [], draw.random() < 0.7
    for part in range(WORKERS):
        moment = draw.randrange(1, 120) if by_itself else None
        children.append(begin(folder, moment, (part, WORKERS)))
    if not by_itself:
        time.sleep(draw.uniform(0, seconds / 2))  # the moment itself is what is tried
        for child in children:
            os.kill(child, signal.SIGKILL)
    codes = [ended(child) for child in children]
    assert set(codes) <= {0, -signal.SIGKILL}, codes
    kills += sum(code != 0 for code in codes)
    for path in folder.glob("*-*"):
        if not path.name.endswith((".part", ".begun", ".json")):  # under its own name it is whole
            assert path.stat().st_size == (out / "whole" / path.name).stat().st_size, path.name
    done = {}
    if (folder / "manifest.json").exists():
        for number, shard in enumerate(current(store(folder)).shards):
            if shard.done:
                assert damage(store(folder), number, shard) is None, number
                done[number] = shard.sha256
    states.append({"folder": folder.name, "done": done})
    builds += 0 in codes
assert ended(begin(out / f"killed-{builds}")) == 0
print(json.dumps({"kills": kills, "builds": builds + 1, "states": states}))
"""
)

_TWO = (
    _COMMON
    + """
read = {}  # shards by worker
children = []
for worker in range(2):
    reading, writing = os.pipe()
    if child := os.fork():
        os.close(writing)
        children.append((child, reading))
        continue
    written = []
    def audit(event, arguments):
        if event == "os.rename" and "vectors-" in str(arguments[1]):
            written.append(str(arguments[1])[-17:-12])
    sys.addaudithook(audit)
    indexing.build(base, rows, out / "both", layers=(1, 3), shard_rows=8)
    os.write(writing, json.dumps(written).encode())
    os._exit(0)
print(json.dumps([[ended(child), json.loads(os.read(pipe, 9999) or "null")]
                  for child, pipe in children]))
"""
)


@pytest.fixture(scope="module")
def driven(
    checkpoint: Callable[[str], Checkpoint], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Any]:
    """Run a script on a checkpoint and a few hundred rows; what it prints."""
    folder = tmp_path_factory.mktemp("killed")
    base = checkpoint("llama")
    base.model.save_pretrained(folder / "base")
    base.tokenizer.save_pretrained(folder / "base")
    words = ["yes it is", "no", "the sky is blue and green", "in paris", "zero"]
    records = [
        {
            "id": f"row-{n}",
            "prompt": f"is it true {words[n % 5]} {n}",
            "chosen": f" {words[n % 3]} {n}",
            "rejected": f" {words[n % 4]}",
        }
        for n in range(ROWS)
    ]
    (folder / "data.jsonl").write_text("\n".join(map(json.dumps, records)))

    def driven(script: str, out: Path, *more: str) -> Any:
        ran = subprocess.run(  # noqa: S603 (ourselves)
            [sys.executable, "-c", script, folder / "base", folder / "data.jsonl", out, *more],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
        return json.loads(ran.stdout)

    return driven


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(("kills", "workers"), [(20, 1), (10, 2)])
def test_killed_at_any_moment_it_comes_to_the_same(
    driven: Callable[..., Any], tmp_path: Path, kills: int, workers: int
) -> None:
    ran = driven(_KILLING, tmp_path, str(kills), str(workers))
    assert ran["kills"] >= kills
    for before, after in zip(ran["states"], ran["states"][1:], strict=False):
        if before["folder"] == after["folder"]:  # what was done stays
            assert before["done"].items() <= after["done"].items()
    assert any(0 < len(state["done"]) < ROWS // SHARD_ROWS for state in ran["states"])
    whole = open_index(tmp_path / "whole")
    for n in range(ran["builds"]):
        folder = tmp_path / f"killed-{n}"
        assert names(folder) == names(whole.path)  # no temporary file, nothing of the workers'
        assert index_care.verify(folder).whole
        for path in whole.path.glob("rows-*"):
            assert (folder / path.name).read_bytes() == path.read_bytes()
        resumed = open_index(folder)
        assert len(resumed) == ROWS
        there, expected = (IndexTable(index).some(range(ROWS)) for index in (resumed, whole))
        for side in ("prompt", "chosen", "change"):
            one, other = getattr(there, side), getattr(expected, side)
            np.testing.assert_allclose(one, other, rtol=2**-10, atol=2**-10)


def test_two_builds_at_once_share_the_work(driven: Callable[..., Any], tmp_path: Path) -> None:
    (code, first), (other_code, second) = driven(_TWO, tmp_path)
    assert (code, other_code) == (0, 0)
    shards = ROWS // SHARD_ROWS
    assert set(first) | set(second) == {f"{n:05d}" for n in range(shards)}
    assert len(first) > 1
    assert len(second) > 1
    assert len(first) + len(second) <= shards + 4  # hardly one was read by both
    found = index_care.verify(tmp_path / "both")
    assert (found.whole, found.rows) == (True, ROWS)
    assert len(names(tmp_path / "both")) == 1 + 2 * shards
