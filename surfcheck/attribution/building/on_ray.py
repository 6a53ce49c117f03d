"""Building an index with Ray Data, on one machine or on a cluster.

Actors each hold a checkpoint and are given numbers of shards; they write their shards themselves
and give back only what the manifest says of each. What is done stays done when Ray fails: building
again, with Ray or without, goes on. Ray Data hangs for ever if its actors take every CPU, because
none is left to hand out work: here they never do.

`RAY_ADDRESS` names a cluster; its machines have to reach the base, the data and the folder under
the same names. Without it, Ray is started on this machine and ended again.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import ray
import ray.data

from surfcheck.attribution.building.indexing import BUILDING, Worker
from surfcheck.attribution.building.streaming import Streamed
from surfcheck.attribution.building.workers import Job
from surfcheck.attribution.index import Index, open_index
from surfcheck.attribution.store.manifest import Manifest, Shard
from surfcheck.attribution.store.sharing import Crew, complete, join
from surfcheck.attribution.store.storage import store, unwritable
from surfcheck.errors import InfrastructureError, SurfcheckError, UsageError
from surfcheck.models.checkpoint import load_checkpoint
from surfcheck.roles import Progress, silent

_STORE_BYTES = 200_000_000  # of Ray's own; nothing but numbers of shards goes through it


class Crowd(NamedTuple):
    """How many actors there are, and what each has."""

    actors: int
    """How many hold a checkpoint."""
    cpus: float
    """Of each; whole ones from 1 up, as Ray wants them."""
    gpus: int
    """Of each: 1 where there are any."""


def crowd(cpus: float, gpus: float, machines: int, actors: int | None = None) -> Crowd:
    """Actors on a cluster: as many as asked, else one a GPU or a machine; some CPU stays free."""
    wanted = actors or int(gpus) or machines
    if gpus and wanted > gpus:
        raise UsageError(f"{wanted} workers need as many GPUs, and Ray has {gpus:g}; ask for fewer")
    spare = 1.0 if cpus > 1 else cpus / 2
    each = (cpus - spare) / wanted
    if gpus:
        each = min(each, 1.0)
    return Crowd(wanted, float(int(each)) if each >= 1 else round(each, 3), int(gpus > 0))


def build(job: Job, actors: int | None, progress: Progress = silent) -> Index:
    """Build an index with so many actors, or as many as suit the cluster.

    Raises what `indexing.build` raises, and InfrastructureError if Ray fails.
    """
    job = _everywhere(job)
    try:
        with _cluster() as resources:
            team = crowd(*resources, actors)
            _build(job, team, progress)
    except (ray.exceptions.RayError, ConnectionError) as error:
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise InfrastructureError(
            f"Ray failed: {reason}; build again to go on (finished shards are kept)"
        ) from None
    folder = store(job.out)
    try:
        complete(folder)
    except OSError as error:
        raise unwritable(folder, error, "build") from None
    return open_index(job.out)


def _build(job: Job, team: Crowd, progress: Progress) -> None:
    """Every shard that is not done. Raises the first error that an actor tells."""
    asked = {"num_cpus": team.cpus, "num_gpus": team.gpus}
    told = ray.get(ray.remote(**asked)(_plan).remote(job))
    there = Manifest.from_json(_heard(told))
    waiting = [number for number, shard in enumerate(there.shards) if not shard.done]
    done = sum(shard.rows for shard in there.shards if shard.done)
    if not waiting:
        return
    ray.data.DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    read = ray.data.from_items(
        [{"shard": number} for number in waiting], override_num_blocks=len(waiting)
    ).map_batches(
        _Actor,
        batch_size=1,
        compute=ray.data.ActorPoolStrategy(size=min(team.actors, len(waiting))),
        fn_constructor_args=(job, there.to_json()),
        **asked,
    )
    for row in read.iter_rows():
        done += Shard.from_json(_heard(row["told"])).rows
        progress(BUILDING, done, there.rows)


class _Actor:
    """Reads the shards whose numbers it is given."""

    def __init__(self, job: Job, manifest: dict[str, Any]) -> None:
        self._shards = Manifest.from_json(manifest).shards
        self._job, self._crew = job, Crew(store(job.out))

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        told = [_telling(self._read, int(number)) for number in batch["shard"]]
        return {"told": np.array(told, dtype=object)}

    def _read(self, number: int) -> dict[str, Any]:
        shard = self._shards[number]
        return self._worker.build(self._crew, number, shard, 0, silent).to_json()

    @cached_property
    def _worker(self) -> Worker:  # not before it is asked for: what goes wrong here is told, too
        return self._job.worker(load_checkpoint(self._job.base))


def _plan(job: Job) -> str:
    """Begin an index or go on with it: its manifest."""

    def plan() -> dict[str, Any]:
        worker = job.worker(load_checkpoint(job.base))
        return join(worker.folder, worker.planned(job.shard_rows)).to_json()

    return _telling(plan)


def _telling(work: Any, *arguments: Any) -> str:
    """What the work comes to, or its error, as JSON: Ray would bury the error in its own."""
    try:
        return json.dumps(work(*arguments))
    except SurfcheckError as error:
        return json.dumps({"error": str(error), "exit_code": error.exit_code})
    except OSError as error:
        return json.dumps({"error": f"cannot be written: {error}; build again", "exit_code": 3})


def _heard(told: str) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(told)
    if "error" in value:
        usage = value["exit_code"] == UsageError.exit_code
        raise (UsageError if usage else InfrastructureError)(value["error"])
    return value


@contextmanager
def _cluster() -> Iterator[tuple[float, float, int]]:
    """A Ray to work with: its CPUs, its GPUs, its machines. One that was started here is ended."""
    mine = not ray.is_initialized()
    if mine:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
        local = {} if os.environ.get("RAY_ADDRESS") else {"object_store_memory": _STORE_BYTES}
        ray.init(
            include_dashboard=False if local else None,
            log_to_driver=False,
            logging_level=logging.ERROR,
            **local,
        )
    try:
        has = ray.cluster_resources()
        machines = sum(bool(node["Alive"]) for node in ray.nodes())
        yield has.get("CPU", 1.0), has.get("GPU", 0.0), machines
    finally:
        if mine:
            ray.shutdown()


def _everywhere(job: Job) -> Job:
    """The job with paths that hold in any folder, as actors are not started in this one."""
    corpus = job.corpus
    if isinstance(corpus, Streamed):
        corpus = replace(corpus, rows=replace(corpus.rows, data=_whole(corpus.rows.data)))
    out = job.out if "://" in job.out else str(Path(job.out).absolute())
    return replace(job, base=_whole(job.base), corpus=corpus, out=out)


def _whole(name: str) -> str:
    path = Path(name).expanduser()
    return str(path.absolute()) if path.exists() else name
