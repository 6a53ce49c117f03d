"""One value with every option; pytest's flags, its ini file and the command line all read it.

`OPTIONS` is the table that the plugin turns into flags (`--surf-NAME`) and ini keys (`surf_NAME`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from surfcheck.errors import UsageError

MemoryMode = Literal["auto", "record", "replay", "off"]
_ROOTS = (".git", "pyproject.toml", "pytest.ini", "pytest.toml", "tox.ini", "setup.cfg")
METHODS = ("probe", "conditional", "bank", "gradient", "bm25", "length", "random")


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that a run can be told."""

    target: str = "organism:"
    """Spec of the model under test."""
    base: str | None = None
    """Spec or path of the checkpoint before post-training; attribution reads through it."""
    data: str | None = None
    """Post-training data, a path or a dataset id."""
    index: str | None = None
    """Folder of a finished index of that data."""
    method: str = "conditional"
    """Attribution method."""
    samples: int = 1
    """Samples a case."""
    examples: int = 6
    """Cases an item, the unchanged prompt among them."""
    seed: int = 0
    """Seed of everything drawn."""
    memory: MemoryMode = "auto"
    """What to do with remembered answers."""
    judge: str | None = None
    """Specs of the models that judge criteria in words, joined by commas."""
    writer: str | None = None
    """Spec of a model that writes, before the run, the rewrites that no frozen file has yet."""
    system: str | None = None
    """File with the system prompt that every conversation begins with."""
    baseline: str | None = None
    """Spec of a model to compare the target with, on the same cases."""
    concurrency: int = 64
    """Calls in flight at once, over all providers and processes of the run."""
    estimate: bool = False
    """Say what a run would ask, and ask nothing."""
    max_calls: int | None = None
    """Ceiling on calls that are not remembered."""
    max_tokens: int | None = None
    """Ceiling on tokens, in and out."""
    max_usd: float | None = None
    """Ceiling on dollars; every model asked must have a price."""
    report: str | None = None
    """Folder for run.json; `.surfcheck/runs/<time>` if not given."""
    no_attribution: bool = False
    """Do not ask the attribution engine after a failing run."""

    @property
    def limited(self) -> bool:
        """Whether there is a ceiling on calls, tokens or dollars."""
        return (self.max_calls, self.max_tokens, self.max_usd) != (None, None, None)

    def to_json(self) -> dict[str, Any]:
        """Every field by name."""
        return asdict(self)


class Option(NamedTuple):
    """How one setting is given on a command line or in an ini file."""

    name: str
    """Field of Settings."""
    metavar: str | None
    """Shown in --help; None for a switch."""
    help: str
    """One line."""
    parse: Callable[[str], Any] = str
    """From text to the field's type."""

    @property
    def flag(self) -> str:
        """The pytest flag."""
        return "--surf-" + self.name.replace("_", "-")

    @property
    def ini(self) -> str:
        """The ini key."""
        return "surf_" + self.name


def _count(least: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        try:
            count = int(text)
        except ValueError:
            count = least - 1
        if count < least:
            raise ValueError(f"a whole number, {least} or more")
        return count

    return parse


def _choice(*words: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in words:
            raise ValueError("one of " + ", ".join(words))
        return text

    return parse


def _money(text: str) -> float:
    try:
        amount = float(text)
    except ValueError:
        amount = math.nan
    if not 0 < amount < math.inf:
        raise ValueError("an amount in dollars, above 0")
    return amount


def _switch(text: str) -> bool:
    if text.lower() not in ("true", "false", "1", "0", "yes", "no", "on", "off"):
        raise ValueError("true or false")
    return text.lower() in ("true", "1", "yes", "on")


OPTIONS = (
    Option("target", "SPEC", "model under test, such as organism: or hf:PATH"),
    Option("base", "MODEL", "checkpoint before post-training, for attribution"),
    Option("data", "DATA", "post-training data, for attribution"),
    Option("index", "DIR", "finished index of that data (surfcheck index build)"),
    Option("method", "NAME", "attribution method: " + ", ".join(METHODS), _choice(*METHODS)),
    Option("samples", "N", "samples a case", _count(1)),
    Option("examples", "N", "cases an item, the unchanged prompt among them", _count(1)),
    Option("seed", "N", "seed of everything drawn", _count(0)),
    Option(
        "memory", "MODE", "auto, record, replay or off", _choice("auto", "record", "replay", "off")
    ),
    Option("judge", "SPEC,SPEC", "models that judge criteria in words, by majority"),
    Option("writer", "SPEC", "model that writes missing rewrites into the frozen files first"),
    Option("system", "FILE", "system prompt that every conversation begins with"),
    Option("baseline", "SPEC", "model to compare the target with, on the same cases"),
    Option("concurrency", "N", "calls in flight at once, over all processes", _count(1)),
    Option("estimate", None, "say what a run would ask, and ask nothing", _switch),
    Option("max_calls", "N", "stop before more calls than this", _count(1)),
    Option("max_tokens", "N", "stop before more tokens than this, in and out", _count(1)),
    Option("max_usd", "USD", "stop before more dollars than this", _money),
    Option("report", "DIR", "folder for run.json (default .surfcheck/runs/<time>)"),
    Option("no_attribution", None, "do not look for training rows after a failing run", _switch),
)


def read_settings(given: Callable[[Option], str | bool | None]) -> Settings:
    """Settings from wherever options are kept; `given` answers None for one that is not set.

    Raises UsageError naming the flag and what it takes.
    """
    values: dict[str, Any] = {}
    for option in OPTIONS:
        text = given(option)
        if text is None or text is False or text == "":
            continue
        if text is True:
            values[option.name] = True
            continue
        try:
            values[option.name] = option.parse(text)
        except ValueError as error:
            raise UsageError(f"{option.flag} is {text!r}: give {error}") from None
    return Settings(**values)


def surf_folder() -> Path:
    """Where runs keep what they remember: the nearest `.surfcheck` in this project, else here.

    A project ends where pytest or git would say so; beyond it a folder may be anybody's.
    """
    here = Path.cwd()
    inside = [here, *here.parents]
    root = next((f for f in inside if any((f / name).exists() for name in _ROOTS)), here)
    found = (folder / ".surfcheck" for folder in inside[: inside.index(root) + 1])
    return next((folder for folder in found if folder.is_dir()), here / ".surfcheck")
