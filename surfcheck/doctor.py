"""What surfcheck stands on here: versions, device, places on disk, and what is missing.

Only looks: nothing is trained, downloaded, written or asked.
"""

from __future__ import annotations

import os
import platform
import shlex
import sqlite3
import warnings
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from huggingface_hub import constants
from packaging.requirements import Requirement
from rich.console import Console
from rich.filesize import decimal
from rich.text import Text

from surfcheck import __version__
from surfcheck.jsonable import Record
from surfcheck.organism import Recipe, cache_folder, post_folder
from surfcheck.report.text import line

_SDKS = {
    "openai": ("openai", "OPENAI_API_KEY"),
    "anthropic": ("anthropic", "ANTHROPIC_API_KEY"),
    "google": ("google-genai", "GOOGLE_API_KEY", "GEMINI_API_KEY"),
    "xai": ("xai-sdk", "XAI_API_KEY"),
}
"""A provider's distribution, then the environment variables that may hold its key."""


@dataclass(frozen=True, slots=True)
class Place(Record):
    """A file or folder that surfcheck keeps things in."""

    name: str
    """What is kept there."""
    path: str
    """Where; it need not be there yet."""
    bytes: int
    """What it takes up, 0 if it is not there."""


@dataclass(frozen=True, slots=True)
class Sdk(Record):
    """The library of a provider, which only its own models need."""

    provider: str
    """The word before the colon of a spec, and the extra that installs it."""
    version: str | None
    """None if it is not installed."""
    keys: dict[str, bool]
    """Environment variables that may hold the key, and whether each is set."""

    @property
    def command(self) -> str:
        """What installs it."""
        return shlex.join(["python", "-m", "pip", "install", f"surfcheck[{self.provider}]"])


@dataclass(frozen=True, slots=True)
class Advice(Record):
    """Something that is missing or broken."""

    what: str
    """In words."""
    command: str
    """What to type."""
    broken: bool
    """Whether something fails without it; else it only saves time later."""


@dataclass(frozen=True, slots=True)
class Checkup(Record):
    """What was found."""

    versions: dict[str, str | None]
    """Of python, surfcheck and everything it requires; None if it is not installed."""
    device: str | None
    """Where models will run; None if torch can't be loaded."""
    places: tuple[Place, ...]
    """Caches, memory and runs."""
    organism: dict[str, bool]
    """Whether `organism:` and `organism:clean` are trained."""
    answers: int | None
    """Answers in the memory file of this folder; None if it can't be read."""
    advice: tuple[Advice, ...]
    """What is missing; what is broken comes first."""
    sdks: tuple[Sdk, ...] = ()
    """Of the providers; one that is not there is nothing wrong."""


def checkup(folder: Path) -> Checkup:
    """Look around; `folder` is the `.surfcheck` of the project at hand."""
    folder = folder.absolute()
    versions, advice = installed(requires("surfcheck") or ())
    device = None
    if versions.get("torch") is not None:
        try:
            device = _device()
        except (ImportError, OSError) as error:  # a shared library that is not there
            reason = str(error).partition("\n")[0]
            command = "python -m pip install --force-reinstall torch"
            advice.append(Advice(f"torch can't be loaded ({reason})", command, True))
    memory = folder / "memory.sqlite"
    answers = 0 if not memory.exists() else _answers(memory)
    if answers is None:
        command = shlex.join(["mv", str(memory), f"{memory}.damaged"])
        advice.append(Advice(f"the memory {memory} can't be read", command, True))
    advice += _cache_advice(cache_folder())
    recipes = {"organism:": Recipe(), "organism:clean": Recipe(plants=())}
    trained = {n: (post_folder(r) / "organism.json").exists() for n, r in recipes.items()}
    for name in (name for name, there in trained.items() if not there):
        flag = " --clean" if name == "organism:clean" else ""
        what = f"{name} is not trained yet (its first use does it, in about two minutes)"
        advice.append(Advice(what, f"surfcheck organism build{flag}", False))
    return Checkup(versions, device, _places(folder), trained, answers, tuple(advice), sdks())


def show(found: Checkup, console: Console) -> None:
    """Print it, what to do last."""
    for name, there in found.versions.items():
        console.print(Text(f"{name:16} {there or 'not installed'}"))
    console.print(Text(f"{'device':16} {found.device or 'none'}"))
    for place in found.places:
        size = decimal(place.bytes) if place.bytes else "nothing yet"
        console.print(Text(f"{place.name:16} {line(place.path)} ({size})"), soft_wrap=True)
    console.print(Text(f"{'answers':16} {'?' if found.answers is None else f'{found.answers:,}'}"))
    for name, trained in found.organism.items():
        console.print(Text(f"{name:16} {'trained' if trained else 'not trained yet'}"))
    for sdk in found.sdks:
        there = sdk.version or f"not installed ({sdk.command})"
        key = next((f"{name} is set" for name, given in sdk.keys.items() if given), None)
        key = key or f"{' or '.join(sdk.keys)} is not set"
        console.print(Text(f"{sdk.provider + ':':16} {there}, {key}"), soft_wrap=True)
    for advice in found.advice:
        console.print()
        console.print(Text(line(advice.what), "bold red" if advice.broken else ""), soft_wrap=True)
        console.print(Text(f"  {advice.command}", "bold"), soft_wrap=True)


def installed(requirements: Iterable[str]) -> tuple[dict[str, str | None], list[Advice]]:
    """Versions of what is required, and what is missing or of another version."""
    versions: dict[str, str | None] = {
        "python": platform.python_version(),
        "surfcheck": __version__,
    }
    advice = []
    for needed in map(Requirement, requirements):
        if needed.marker is not None and not needed.marker.evaluate({"extra": ""}):
            continue
        there = versions[needed.name] = _version(needed.name)
        command = shlex.join(["python", "-m", "pip", "install", f"{needed.name}{needed.specifier}"])
        if there is None:
            advice.append(Advice(f"{needed.name} is not installed", command, True))
        elif not needed.specifier.contains(there, prereleases=True):
            what = f"{needed.name} is {there}, and {needed.specifier} is required"
            advice.append(Advice(what, command, True))
    return versions, advice


def sdks() -> tuple[Sdk, ...]:
    """What the providers' models need, without importing any; a key's value goes nowhere."""
    return tuple(
        Sdk(provider, _version(name), {key: bool(os.environ.get(key, "").strip()) for key in keys})
        for provider, (name, *keys) in _SDKS.items()
    )


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _device() -> str:
    import torch  # noqa: PLC0415 (2 s, and it may be what is broken)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of drivers that do not fit
        if torch.cuda.is_available():
            return f"cuda: {torch.cuda.get_device_name()}"
    return f"cpu: {torch.get_num_threads()} threads"


def _answers(memory: Path) -> int | None:
    try:
        with closing(sqlite3.connect(f"{memory.absolute().as_uri()}?mode=ro", uri=True)) as file:
            return int(file.execute("SELECT count(*) FROM answers").fetchone()[0])
    except sqlite3.Error:
        return None


def _cache_advice(cache: Path) -> Iterator[Advice]:
    """A cache that can't be written."""
    above = next((p for p in (cache, *cache.parents) if p.exists()), cache)
    if not above.is_dir() or not os.access(above, os.W_OK):
        yield Advice(f"{cache} can't be written", "export SURFCHECK_CACHE=DIR", True)


def _places(folder: Path) -> tuple[Place, ...]:
    places = {
        "organisms": cache_folder() / "organism",
        "hub": Path(constants.HF_HUB_CACHE),
        "memory": folder / "memory.sqlite",
        "indexes": folder / "index",
        "runs": folder / "runs",
    }
    return tuple(Place(name, str(path), _size(path)) for name, path in places.items())


def _size(path: Path) -> int:
    if not path.is_dir():
        return path.stat().st_size if path.is_file() else 0
    total = 0
    for folder, _, files in os.walk(path):  # links are not followed, and count as themselves
        for name in files:
            try:
                total += os.lstat(os.path.join(folder, name)).st_size
            except OSError:  # gone since: others work here too
                continue
    return total
