"""Several processes of this machine that build one index, each with a checkpoint of its own.

They share the work as workers of several machines do (`sharing`), and know nothing of each other.
One that dies leaves its share to the rest. With several GPUs each takes one; on a CPU they part its
cores.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

import torch

from surfcheck.attribution.building import indexing
from surfcheck.attribution.building.streaming import Data
from surfcheck.attribution.index import Index, open_index
from surfcheck.attribution.store.manifest import current
from surfcheck.attribution.store.sharing import complete
from surfcheck.attribution.store.storage import Store, store, unwritable
from surfcheck.errors import InfrastructureError, SurfcheckError, UsageError
from surfcheck.models.checkpoint import Checkpoint, load_checkpoint
from surfcheck.roles import Progress

_LOOK = 1.0  # seconds between two looks at how far they are


@dataclass(frozen=True, slots=True)
class Job:
    """An index to build, as it is told to another process."""

    base: str
    """Folder or hub id of the checkpoint."""
    corpus: Data
    """The rows, best `Streamed`: they are sent along."""
    out: str
    """Folder or URL of the index."""
    layers: tuple[int, ...] | None = None
    """Layers to read, else some are chosen."""
    shard_rows: int | None = None
    """Most rows of a shard, else what is usual."""
    likelihood: bool = True
    """Whether the rows' likelihoods are read."""

    def worker(self, base: Checkpoint) -> indexing.Worker:
        """One who does it with the loaded checkpoint."""
        return indexing.Worker.of(
            base, self.corpus, self.out, layers=self.layers, likelihood=self.likelihood
        )


def build(job: Job, workers: int, progress: Progress) -> Index:
    """Build an index with so many processes. Raises what `indexing.build` raises."""
    folder = store(job.out)
    context = multiprocessing.get_context("spawn")  # a fork of torch's threads would hang
    started: list[tuple[BaseProcess, Connection]] = []
    complaints: list[tuple[int, str]] = []
    try:
        for number in range(workers):
            hears, says = context.Pipe(duplex=False)
            told = (job, number, workers, says)
            process: BaseProcess = context.Process(target=_work, args=told, daemon=True)
            process.start()
            says.close()
            started.append((process, hears))
        _watch([process for process, _ in started], folder, len(job.corpus.rows), progress)
        for _, hears in started:
            with suppress(EOFError):  # it ended without a word, well or killed
                complaints.append(hears.recv())
    finally:
        for process, hears in started:
            process.terminate()
            process.join()
            hears.close()
    return _finished(job, folder, complaints)


def _finished(job: Job, folder: Store, complaints: Sequence[tuple[int, str]]) -> Index:
    """The index, if those who did not complain have done everything."""
    try:
        whole = all(shard.done for shard in complete(folder).shards)
    except FileNotFoundError:
        whole = False
    except OSError as error:
        raise unwritable(folder, error, "build") from None
    if whole:
        return open_index(job.out)
    if complaints:
        code, what = complaints[0]
        raise (UsageError if code == UsageError.exit_code else InfrastructureError)(what)
    raise InfrastructureError(
        f"{job.out}: every worker was stopped from outside, maybe for want of memory; build again "
        "with fewer (finished shards are kept)"
    )


def _watch(processes: Sequence[BaseProcess], folder: Store, rows: int, progress: Progress) -> None:
    """Show how far they are, until the last has ended."""
    running = {process.sentinel for process in processes}
    while running:
        running -= set(wait(list(running), timeout=_LOOK))
        try:
            done = sum(shard.rows for shard in current(folder).shards if shard.done)
        except (OSError, SurfcheckError):
            continue  # there is no manifest yet, or it is for a worker to say what is wrong
        progress(indexing.BUILDING, done, rows)


def _work(job: Job, number: int, workers: int, says: Connection) -> None:
    """One process of them. It says what went wrong, or nothing."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who started us ends us
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // workers))
    gpus = torch.cuda.device_count()
    try:
        base = load_checkpoint(job.base, device=f"cuda:{number % gpus}" if gpus else None)
        indexing.build(
            base, job.corpus, job.out, layers=job.layers, shard_rows=job.shard_rows,
            likelihood=job.likelihood, part=(number, workers),
        )  # fmt: skip
    except SurfcheckError as error:
        says.send((error.exit_code, str(error)))
    finally:
        says.close()
