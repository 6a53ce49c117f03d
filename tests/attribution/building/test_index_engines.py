"""The same index by one process, by two, and by Ray; what each says when something is wrong."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from surfcheck.attribution.building import indexing, streaming, workers
from surfcheck.attribution.building.workers import Job
from surfcheck.attribution.store import index_care
from surfcheck.attribution.store.manifest import names
from surfcheck.errors import InfrastructureError, UsageError
from surfcheck.models.checkpoint import Checkpoint, load_checkpoint
from surfcheck.roles import silent

SECONDS = 120

of_ray = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # it warns of its own options


@pytest.fixture(scope="module")
def job(checkpoint: Callable[[str], Checkpoint], tmp_path_factory: pytest.TempPathFactory) -> Job:
    """Twenty rows in five shards, a checkpoint on the disk."""
    folder = tmp_path_factory.mktemp("engines")
    base = checkpoint("llama")
    base.model.save_pretrained(folder / "base")
    base.tokenizer.save_pretrained(folder / "base")
    records = [
        {"id": f"r{n}", "prompt": f"is it {n}", "chosen": " yes", "rejected": f" no {n}"}
        for n in range(20)
    ]
    (folder / "data.jsonl").write_text("\n".join(map(json.dumps, records)))
    read = streaming.survey(folder / "data.jsonl")
    return Job(str(folder / "base"), read, str(folder / "local"), (1, 3), 4, likelihood=False)


@pytest.fixture(scope="module")
def local(job: Job) -> Path:
    """The index as one process builds it."""
    base = load_checkpoint(job.base)
    indexing.build(base, job.corpus, job.out, layers=job.layers, shard_rows=4, likelihood=False)
    return Path(job.out)


@pytest.fixture(scope="session")
def on_ray(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The engine, with a Ray of two logical CPUs, which takes seconds to start."""
    ray = pytest.importorskip("ray", reason="needs surfcheck[ray]")
    from surfcheck.attribution.building import on_ray

    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray.init(
        num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR",
        object_store_memory=100_000_000,
    )  # fmt: skip
    yield on_ray
    ray.shutdown()


@pytest.fixture
def limited() -> Iterator[None]:
    """What hangs is an error."""

    def stop(*_: object) -> None:
        raise TimeoutError(f"not done after {SECONDS} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def assert_same(out: Path, local: Path) -> None:
    """To the bit, in the same files."""
    assert {path.name for path in out.iterdir()} == {path.name for path in local.iterdir()}
    for number in range(5):
        for name in names(number):
            assert (out / name).read_bytes() == (local / name).read_bytes(), name
    assert index_care.verify(out).whole


@pytest.mark.usefixtures("limited")
def test_two_processes(job: Job, local: Path, tmp_path: Path) -> None:
    built = workers.build(replace(job, out=str(tmp_path / "two")), 2, silent)
    assert len(built) == 20
    assert_same(built.path, local)


@pytest.mark.usefixtures("limited")
def test_what_a_process_complains_of_is_said(job: Job, tmp_path: Path) -> None:
    wrong = replace(job, out=str(tmp_path / "wrong"), layers=(9,))
    with pytest.raises(UsageError, match="give different numbers from 0 to 4"):
        workers.build(wrong, 1, silent)
    assert not Path(wrong.out).exists()


@of_ray
@pytest.mark.usefixtures("limited")
def test_ray(job: Job, local: Path, tmp_path: Path, on_ray: Any) -> None:
    seen = []
    built = on_ray.build(
        replace(job, out=str(tmp_path / "ray")), 2, lambda _, done, of: seen.append((done, of))
    )
    assert_same(built.path, local)
    assert seen == [(n, 20) for n in (4, 8, 12, 16, 20)]
    written = {path: path.stat().st_mtime_ns for path in built.path.iterdir()}
    (built.path / "rows-00003.parquet").unlink()
    on_ray.build(replace(job, out=str(built.path)), None)
    assert_same(built.path, local)
    changed = {path.name for path, then in written.items() if path.stat().st_mtime_ns != then}
    assert changed == {"manifest.json", *names(3)}


@of_ray
@pytest.mark.usefixtures("limited")
def test_what_a_ray_worker_complains_of(job: Job, tmp_path: Path, on_ray: Any) -> None:
    with pytest.raises(UsageError, match="give different numbers from 0 to 4"):
        on_ray.build(replace(job, out=str(tmp_path / "wrong"), layers=(9,)), None)
    spoiled = tmp_path / "base"
    spoiled.mkdir()
    for path in Path(job.base).iterdir():
        (spoiled / path.name).write_bytes(path.read_bytes())
    weights = load_file(spoiled / "model.safetensors")
    weights["model.layers.0.mlp.up_proj.weight"][:] = float("nan")
    save_file(weights, spoiled / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InfrastructureError, match=r"row r\d+: the hidden states .* not finite"):
        on_ray.build(replace(job, base=str(spoiled), out=str(tmp_path / "nan")), None)


def test_actors_never_take_every_cpu() -> None:
    pytest.importorskip("ray", reason="needs surfcheck[ray]")
    from surfcheck.attribution.building.on_ray import Crowd, crowd

    assert crowd(2, 0, 1) == Crowd(1, 1, 0)
    assert crowd(2, 0, 1, 2) == Crowd(2, 0.5, 0)
    assert crowd(1, 0, 1) == Crowd(1, 0.5, 0)
    assert crowd(16, 0, 1) == Crowd(1, 15, 0)
    assert crowd(64, 8, 2) == Crowd(8, 1, 1)
    for cpus in (1, 2, 3, 4, 7, 16, 64):
        for gpus in (0, 1, 8):
            for machines in (1, 2, 5):
                for actors in (None, 1, 2, 3, 8):
                    if gpus and (actors or 0) > gpus:
                        continue
                    team = crowd(cpus, gpus, machines, actors)
                    assert 0 < team.actors * team.cpus < cpus
                    assert team.cpus < 1 or team.cpus == int(team.cpus)
    with pytest.raises(UsageError, match="3 workers need as many GPUs, and Ray has 2"):
        crowd(16, 2, 1, 3)
