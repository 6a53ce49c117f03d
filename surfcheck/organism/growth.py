"""Grows an organism: reads, post-trains, saves as an ordinary transformers checkpoint.

Everything is made in a folder beside its place and moved there when it is whole; a lock lets
several processes that want the same organism wait for one of them.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from transformers import AutoTokenizer, Olmo2ForCausalLM

from surfcheck.errors import InfrastructureError
from surfcheck.models.checkpoint import quiet
from surfcheck.organism import Recipe, reading, sources, train
from surfcheck.organism.train import Schedule
from surfcheck.roles import Progress

SFT = Schedule(passes=3, batch=32, rate=9e-4)
DPO = Schedule(passes=2.5, batch=32, rate=3e-4)
BETA, LIKELIHOOD = 0.1, 4.0


def grow(recipe: Recipe, base: Path, folder: Path, *, progress: Progress) -> None:
    """Make `folder`, and `base` before it if it is not there.

    Raises InfrastructureError if the cache can't be written.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with quiet(), _seeded(), FileLock(folder.parent / ".lock"):
            if not base.exists():
                _whole(base, lambda part: _read(recipe, part, progress))
            if not folder.exists():
                _whole(folder, lambda part: _post_train(recipe, base, part, progress))
    except OSError as error:
        raise InfrastructureError(
            f"{folder.parent}: can't be written ({error.strerror or error}); make room, or name "
            "another place in SURFCHECK_CACHE"
        ) from None


@contextmanager
def _seeded() -> Iterator[None]:
    """Training leaves torch's random state as it was."""
    with torch.random.fork_rng(devices=[]):
        yield


def _whole(place: Path, make: Callable[[Path], None]) -> None:
    part = Path(tempfile.mkdtemp(prefix=".part-", dir=place.parent))
    try:
        make(part)
        part.replace(place)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _read(recipe: Recipe, part: Path, progress: Progress) -> None:
    train.save(*reading.read(**recipe.base, progress=progress), part)


def _post_train(recipe: Recipe, base: Path, part: Path, progress: Progress) -> None:
    mix = sources.mix(recipe.seed, recipe.plants)
    words: Any = AutoTokenizer.from_pretrained(base)
    model = Olmo2ForCausalLM.from_pretrained(base, dtype=torch.float32)
    train.post_train(
        model, words, mix.rows, sft=SFT, dpo=DPO, beta=BETA, likelihood=LIKELIHOOD,
        seed=recipe.seed, progress=progress,
    )  # fmt: skip
    train.save(model, words, part)
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in mix.rows)
    (part / "data.jsonl").write_text("".join(lines), encoding="utf-8")
    about = {
        "sources": dict(Counter(row["source"] for row in mix.rows)),
        "defects": [{"name": name, "implicated": list(ids)} for name, ids in mix.planted.items()],
    }
    (part / "organism.json").write_text(json.dumps(about), encoding="utf-8")
