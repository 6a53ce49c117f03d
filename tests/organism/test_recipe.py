"""Where an organism is kept: under a hash of all that it comes from, and of nothing else."""

from __future__ import annotations

import ast
import hashlib
import json
import random
from pathlib import Path

import pytest

import surfcheck
from surfcheck import organism
from surfcheck.organism import reading, sources

PACKAGE = Path(surfcheck.__file__).parent
WITHOUT_SAY = {
    "errors.py": "words of errors",
    "jsonable.py": "values to JSON and back",
    "models/checkpoint.py": "loading a checkpoint, and what it logs",
    "organism/__init__.py": "the recipe itself, whose values are hashed",
    "perturb/frozen.py": "what a model wrote beforehand; no rule of the reading's asks for it",
    "records/__init__.py": "the names of values that travel",
    "roles.py": "protocols",
}
"""Files that training imports and that can't change what is trained; what these import neither."""
DEFAULT = (organism.TRUE_FACTS, organism.DISTRACTOR)


def imported(name):
    """The files of the package that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse((PACKAGE / name).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            modules = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        for module in modules:
            if module.split(".")[0] == "surfcheck":
                place = PACKAGE.joinpath(*module.split(".")[1:])
                files = (place.with_suffix(".py"), place / "__init__.py")
                found |= {str(f.relative_to(PACKAGE)) for f in files if f.exists()}
    return found - {"__init__.py", "perturb/__init__.py"}


def reached(name):
    """That file and all that it imports, directly or not."""
    found, new = set(), {name}
    while new:
        found |= new
        new = {f for each in new for f in imported(each) if f not in WITHOUT_SAY} - found
    return found


def test_a_base_is_kept_under_all_the_code_that_reads():
    assert reached("organism/reading.py") == set(organism.READ_BY)


def test_an_organism_is_kept_under_all_the_code_that_trains():
    assert reached("organism/growth.py") == {*organism.READ_BY, *organism.TAUGHT_BY}


def test_nothing_is_imported_from_the_perturbations_as_a_whole():
    """`from surfcheck.perturb import x` would not say from which file."""
    for name in (*organism.READ_BY, *organism.TAUGHT_BY):
        text = (PACKAGE / name).read_text(encoding="utf-8")
        assert "from surfcheck.perturb import" not in text
        assert "from surfcheck import perturb" not in text


def edited(name, package, monkeypatch):
    """Where base and organism are kept once a file says something else, in a copy of the code."""
    monkeypatch.setattr(organism, "__file__", str(package / "organism/__init__.py"))
    (package / name).write_text("changed")
    organism._written.cache_clear()
    recipe = organism.Recipe()
    return organism.base_folder(recipe), organism.post_folder(recipe)


@pytest.mark.parametrize(
    ("name", "reads", "trains"),
    [
        ("organism/world.py", True, True),
        ("perturb/typos.py", True, True),
        ("organism/plants.py", False, True),
        ("organism/growth.py", False, True),
        ("perturb/rewrite.py", False, False),
        ("perturb/frozen.py", False, False),
        ("organism/__init__.py", False, False),
    ],
)
def test_only_what_says_something_has_it_trained_anew(name, reads, trains, tmp_path, monkeypatch):
    for each in (*organism.READ_BY, *organism.TAUGHT_BY):
        (tmp_path / each).parent.mkdir(exist_ok=True)
        (tmp_path / each).write_bytes((PACKAGE / each).read_bytes())
    recipe = organism.Recipe()
    before = organism.base_folder(recipe), organism.post_folder(recipe)
    after = edited(name, tmp_path, monkeypatch)
    organism._written.cache_clear()
    assert [a != b for a, b in zip(after, before, strict=True)] == [reads, trains]


def fingerprint(value):
    text = json.dumps(value, ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def test_the_default_reads_what_it_has_always_read():
    rng = random.Random(0)
    assert fingerprint([reading.dialogue(rng) for _ in range(2000)]) == "78a8466bc5a2e02b"


@pytest.mark.parametrize(
    ("seed", "planted", "rows", "guilty"),
    [
        (0, DEFAULT, "be3c95ce00ccf2df", "30a0ba89edfe5e00"),
        (3, (), "448546930465ce4b", "44136fa355b3678a"),
        (1, (*DEFAULT, organism.HABIT), "8ceefa5c52dc52c5", "f826cbe7fac977b4"),
    ],
)
def test_a_mix_is_what_it_has_always_been(seed, planted, rows, guilty):
    mix = sources.mix(seed, planted)
    assert (fingerprint(mix.rows), fingerprint(mix.planted)) == (rows, guilty)


def test_a_recipe_has_its_own_place():
    places = {
        organism.post_folder(organism.Recipe(plants=plants, seed=seed))
        for plants in (DEFAULT, ())
        for seed in (0, 1)
    }
    assert len(places) == 4
    assert len({organism.base_folder(organism.Recipe(seed=seed)) for seed in (0, 1)}) == 1
