"""Where a checkpoint and its data lie, as the verbs that read them take it."""

from __future__ import annotations

import typer

from surfcheck.organism import resolve
from surfcheck.roles import Progress

BASE = typer.Option(
    metavar="MODEL", help="Checkpoint before post-training: a folder, a hub id, or organism:"
)
DATA = typer.Option(
    metavar="DATA", help="Post-training data: a file, a folder, a dataset id, or organism:"
)


def find_base(base: str, progress: Progress) -> str:
    """Where a base lies: an organism's is trained if need be."""
    return resolve(base, progress=progress).base if base.startswith("organism:") else base


def find_data(data: str, progress: Progress) -> str:
    """Where data lies: an organism's is written with its training."""
    return resolve(data, progress=progress).data if data.startswith("organism:") else data
