from __future__ import annotations

import io
import sqlite3
import tomllib
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from rich.console import Console

from surfcheck.doctor import Advice, Checkup, Place, Sdk, checkup, installed, sdks, show
from surfcheck.organism import Recipe, post_folder


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of organisms."""
    monkeypatch.setenv("SURFCHECK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def grown(recipe: Recipe) -> None:
    """What says that an organism is trained."""
    folder = post_folder(recipe)
    folder.mkdir(parents=True)
    (folder / "organism.json").write_text("{}")


def sizes(found: Checkup) -> dict[str, int]:
    return {place.name: place.bytes for place in found.places}


def test_a_place_where_nothing_was_done_yet(tmp_path: Path) -> None:
    found = checkup(tmp_path / ".surfcheck")
    assert found.organism == {"organism:": False, "organism:clean": False}
    commands = [advice.command for advice in found.advice]
    assert commands == ["surfcheck organism build", "surfcheck organism build --clean"]
    assert not any(advice.broken for advice in found.advice)
    assert found.answers == 0
    assert sizes(found) | {"hub": 0} == dict.fromkeys(sizes(found), 0)
    assert list(tmp_path.iterdir()) == []


def test_versions_and_device(tmp_path: Path) -> None:
    found = checkup(tmp_path)
    assert {"python", "surfcheck", "torch", "transformers", "pytest"} <= found.versions.keys()
    assert None not in found.versions.values()
    assert found.device is not None
    assert found.device.startswith(("cpu: ", "cuda: "))
    assert Checkup.from_json(found.to_json()) == found


def test_what_is_trained_needs_no_advice(tmp_path: Path) -> None:
    grown(Recipe())
    grown(Recipe(plants=()))
    found = checkup(tmp_path)
    assert found.advice == ()
    assert sizes(found)["organisms"] == 4


def test_answers_in_memory_are_counted(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "memory.sqlite") as file:
        file.execute("CREATE TABLE answers (text TEXT)")
        file.executemany("INSERT INTO answers VALUES (?)", [("yes",), ("no",)])
    file.close()
    found = checkup(tmp_path)
    assert found.answers == 2
    assert sizes(found)["memory"] == (tmp_path / "memory.sqlite").stat().st_size


def test_a_damaged_memory_is_to_be_moved_away(tmp_path: Path) -> None:
    (tmp_path / "memory.sqlite").write_text("no database")
    found = checkup(tmp_path)
    assert found.answers is None
    memory = tmp_path / "memory.sqlite"
    assert found.advice[0].command == f"mv {memory} {memory}.damaged"
    assert found.advice[0].broken


def test_a_cache_that_is_a_file(tmp_path: Path, cache: Path) -> None:
    cache.write_text("")
    advice = checkup(tmp_path).advice[0]
    assert (advice.command, advice.broken) == ("export SURFCHECK_CACHE=DIR", True)


def test_what_is_required_and_not_there() -> None:
    requirements = (
        "pytest>=9",
        "rich>=999",
        "no-such-thing>=1; python_version>'3'",
        "x; extra=='y'",
    )
    versions, advice = installed(requirements)
    assert set(versions) == {"python", "surfcheck", "pytest", "rich", "no-such-thing"}
    assert versions["no-such-thing"] is None
    assert [a.command for a in advice] == [
        "python -m pip install 'rich>=999'",
        "python -m pip install 'no-such-thing>=1'",
    ]


def test_shown_to_a_person() -> None:
    places = (Place("memory", "/tmp/[x]\x1b[31m", 4096), Place("runs", "/tmp/runs", 0))  # noqa: S108
    advice = (Advice("the [red] is off", "fix 'it'", True),)
    libraries = (
        Sdk("openai", "3.5", {"OPENAI_API_KEY": True}),
        Sdk("google", None, {"GOOGLE_API_KEY": False, "GEMINI_API_KEY": False}),
    )
    found = Checkup({"torch": None}, None, places, {"organism:": True}, 1234, advice, libraries)
    file = io.StringIO()
    show(found, Console(file=file, width=40))
    assert file.getvalue().splitlines() == [
        "torch            not installed",
        "device           none",
        "memory           /tmp/[x] (4.1 kB)",
        "runs             /tmp/runs (nothing yet)",
        "answers          1,234",
        "organism:        trained",
        "openai:          3.5, OPENAI_API_KEY is set",
        "google:          not installed (python -m pip install 'surfcheck[google]'), "
        "GOOGLE_API_KEY or GEMINI_API_KEY is not set",
        "",
        "the [red] is off",
        "  fix 'it'",
    ]


def test_a_key_is_only_said_to_be_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GOOGLE_API_KEY", "GEMINI_API_KEY", "XAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    monkeypatch.setenv("ANTHROPIC_API_KEY", " ")
    found = checkup(tmp_path)
    assert {k: v for sdk in found.sdks for k, v in sdk.keys.items()} == {
        "OPENAI_API_KEY": True,
        "ANTHROPIC_API_KEY": False,
        "GOOGLE_API_KEY": False,
        "GEMINI_API_KEY": False,
        "XAI_API_KEY": False,
    }
    assert "secret" not in str(found.to_json())
    assert not any(advice.broken for advice in found.advice)


def test_the_libraries_are_those_of_the_extras(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = PackageNotFoundError()

    def version(name: str) -> str:
        asked.append(name)
        raise missing

    asked: list[str] = []
    monkeypatch.setattr("surfcheck.doctor.version", version)
    found = sdks()
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    extras = {
        name: Requirement(needs[0]).name
        for name, needs in project["optional-dependencies"].items()
        if name in {sdk.provider for sdk in found}
    }
    names = dict(zip((sdk.provider for sdk in found), asked, strict=True))
    assert extras == names
    assert {sdk.version for sdk in found} == {None}
