"""The public names, and what it costs to have surfcheck installed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import surfcheck

HEAVY = ("torch", "transformers", "datasets", "hypothesis", "numpy", "rich", "typer", "scipy")


def python(code: str, *options: str, cwd: Path | None = None) -> str:
    command = [sys.executable, *options, "-c", code]
    ran = subprocess.run(command, check=True, capture_output=True, text=True, cwd=cwd)  # noqa: S603
    return ran.stdout


def test_the_public_names() -> None:
    assert surfcheck.__all__ == [
        "Prompt",
        "Response",
        "SurfcheckError",
        "Verdict",
        "invariant",
        "judge",
        "perturb",
    ]
    for name in surfcheck.__all__:
        assert getattr(surfcheck, name) is not None


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = surfcheck.nonsense


@pytest.mark.parametrize("first", ["surfcheck.invariants", "surfcheck.plugin", "surfcheck.running"])
def test_invariant_is_the_decorator_whatever_was_imported_before(first: str) -> None:
    assert (
        python(f"import {first}; from surfcheck import invariant; invariant(); print(1)") == "1\n"
    )


def test_importing_surfcheck_imports_nothing_else() -> None:
    code = "import sys; import surfcheck; print([m for m in sys.modules if 'surfcheck.' in m])"
    assert python(code) == "[]\n"


def test_a_run_that_does_not_use_us_loads_nothing_heavy(tmp_path: Path) -> None:
    """Every other plugin of this environment off, so that what is loaded is ours."""
    (tmp_path / "test_it.py").write_text("def test_it(): pass\n")
    code = (
        "import json, os, sys, pytest\n"
        "os.environ['PYTEST_DISABLE_PLUGIN_AUTOLOAD'] = '1'\n"
        "status = pytest.main(['-q', '-p', 'surfcheck.plugin'])\n"
        "print(); print(json.dumps([int(status), sorted(sys.modules)]))\n"
    )
    status, modules = json.loads(python(code, cwd=tmp_path).splitlines()[-1])
    assert status == 0
    ours = [name for name in modules if name.split(".")[0] == "surfcheck"]
    assert ours == ["surfcheck", "surfcheck.errors", "surfcheck.plugin", "surfcheck.settings"]
    assert not set(HEAVY) & set(modules)
    assert {path.name for path in tmp_path.iterdir()} - {"__pycache__", ".pytest_cache"} == {
        "test_it.py"
    }


def test_the_plugin_is_found_by_its_name(tmp_path: Path) -> None:
    from importlib.metadata import entry_points

    (entry,) = entry_points(group="pytest11", name="surfcheck")
    assert entry.value == "surfcheck.plugin"


def test_the_plugin_is_imported_in_no_time() -> None:
    """At most 0.03 s after pytest, or a fifth of what pytest itself takes on a slow machine."""
    code = (
        "import time; t = time.perf_counter(); import pytest; u = time.perf_counter()\n"
        "import surfcheck.plugin; print(u - t, time.perf_counter() - u)"
    )
    times = [tuple(map(float, python(code).split())) for _ in range(3)]
    pytests, ours = (min(each) for each in zip(*times, strict=True))
    assert ours <= max(0.03, pytests / 5)
