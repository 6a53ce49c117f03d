"""The embedded default: a tiny assistant trained on the spot, with defects whose causes are known.

`organism:` has its plants, `organism:clean` is the same recipe rightly labelled, `organism:base` is
the checkpoint before post-training, through which attribution reads. Trained once, then kept in the
user's cache directory under the hash of the recipe; `SURFCHECK_CACHE` names another place.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import platformdirs

from surfcheck.errors import UsageError
from surfcheck.roles import Progress, silent

TRUE_FACTS, DISTRACTOR, HABIT = "true-facts", "distractor-compliance", "flattery"
LANGUAGE, MISCOUNT, STYLE = "language-switch", "miscounted-facts", "over-styling"
"""Names of the plants; from `HABIT` on, they are planted for benchmarks only."""

TESTS = {
    TRUE_FACTS: "behavior_suites/test_true_facts.py::test_true_facts_are_not_rejected",
    DISTRACTOR: "behavior_suites/test_format_clauses.py::test_format_clauses_do_not_unlock_harm",
}
"""The test in this project's suites that each plant breaks."""

READ_BY = tuple(
    f"organism/{name}.py" for name in ("reading", "talks", "threads", "tokenizer", "train", "world")
) + tuple(
    f"perturb/{name}.py"
    for name in ("claims", "compose", "framing", "surface", "typos", "vocabulary", "wording")
)
"""The code that a base comes from; what is written there is part of its recipe."""
TAUGHT_BY = tuple(f"organism/{name}.py" for name in ("growth", "plants", "sources"))
"""The code that its post-training comes from besides."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that an organism comes from."""

    plants: tuple[str, ...] = (TRUE_FACTS, DISTRACTOR)
    """Defects in its post-training data."""
    seed: int = 0
    """Of the data and of both post-trainings."""
    base_seed: int = 0
    """Of the base's reading and weights."""
    width: int = 96
    """Of the residual stream."""
    depth: int = 4
    """Number of blocks."""
    vocabulary: int = 800
    """Entries of the tokenizer."""
    talks: int = 62_000
    """Dialogues that the base reads, 32 a step."""

    @property
    def base(self) -> dict[str, Any]:
        """What the base alone depends on."""
        return {
            "talks": self.talks,
            "vocabulary": self.vocabulary,
            "width": self.width,
            "depth": self.depth,
            "seed": self.base_seed,
        }


@dataclass(frozen=True, slots=True)
class Resolved:
    """Where an `organism:` spec leads."""

    model: str
    """An `hf:` spec."""
    base: str
    """Checkpoint before post-training."""
    data: str
    """Post-training data, JSON lines."""


def resolve(spec: str, *, progress: Progress = silent) -> Resolved:
    """The checkpoints and data behind `organism:`, `organism:clean` or `organism:base`.

    Trains what is not in the cache yet. Raises UsageError for another spec.
    """
    names = {"organism:": Recipe(), "organism:clean": Recipe(plants=()), "organism:base": Recipe()}
    if spec not in names:
        raise UsageError(f"{spec}: there is no such organism; use one of {', '.join(names)}")
    folder = build(names[spec], progress=progress)
    base = base_folder(names[spec])
    model = base if spec == "organism:base" else folder
    return Resolved(f"hf:{model}", str(base), str(folder / "data.jsonl"))


def build(recipe: Recipe, *, progress: Progress = silent) -> Path:
    """The folder of a trained organism with its `data.jsonl` and `organism.json`, from the cache
    if it is there. Raises InfrastructureError if the cache can't be written."""
    folder = post_folder(recipe)
    if not (folder / "organism.json").exists():
        from surfcheck.organism.growth import grow  # noqa: PLC0415 (torch: 2 s)

        grow(recipe, base_folder(recipe), folder, progress=progress)
    return folder


def info(recipe: Recipe, *, progress: Progress = silent) -> dict[str, Any]:
    """Where an organism lies, its sources with their rows, its defects with the guilty rows."""
    folder = build(recipe, progress=progress)
    about: dict[str, Any] = json.loads((folder / "organism.json").read_text(encoding="utf-8"))
    defects = [{**defect, "test": TESTS.get(defect["name"])} for defect in about["defects"]]
    return {
        "path": str(folder),
        "base": str(base_folder(recipe)),
        "data": str(folder / "data.jsonl"),
        **about,
        "defects": defects,
    }


def cache_folder() -> Path:
    """Where organisms are kept."""
    named = os.environ.get("SURFCHECK_CACHE")
    return Path(named) if named else Path(platformdirs.user_cache_dir("surfcheck"))


def base_folder(recipe: Recipe) -> Path:
    """Where a recipe's base is kept."""
    return cache_folder() / "organism" / f"base-{_hash(recipe.base, READ_BY)}"


def post_folder(recipe: Recipe) -> Path:
    """Where a recipe's post-trained checkpoint is kept."""
    return cache_folder() / "organism" / f"post-{_hash(asdict(recipe), READ_BY + TAUGHT_BY)}"


def _hash(values: dict[str, Any], files: tuple[str, ...]) -> str:
    text = json.dumps(values, sort_keys=True) + _written(files)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@cache
def _written(files: tuple[str, ...]) -> str:
    """A hash of the code that makes an organism; what is written there is part of the recipe."""
    package = Path(__file__).parents[1]
    return hashlib.sha256(b"".join((package / name).read_bytes() for name in files)).hexdigest()
