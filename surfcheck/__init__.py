"""Behaviour tests for language models, and the training rows behind each failure.

    from surfcheck import invariant, perturb

Everything public is named here and loads on first use: importing `surfcheck` imports nothing else.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from surfcheck import judge as judge
    from surfcheck import perturb as perturb
    from surfcheck.errors import SurfcheckError as SurfcheckError
    from surfcheck.invariants import invariant as invariant
    from surfcheck.records import Prompt as Prompt
    from surfcheck.records import Response as Response
    from surfcheck.records import Verdict as Verdict

__version__ = "0.1.0"

_HOMES = {
    "Prompt": "surfcheck.records",
    "Response": "surfcheck.records",
    "SurfcheckError": "surfcheck.errors",
    "Verdict": "surfcheck.records",
    "invariant": "surfcheck.invariants",
    "judge": "surfcheck.judge",
    "perturb": "surfcheck.perturb",
}

__all__ = [
    "Prompt",
    "Response",
    "SurfcheckError",
    "Verdict",
    "invariant",
    "judge",
    "perturb",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'surfcheck' has no attribute {name!r}")
    home = import_module(_HOMES[name])
    value = home if name in ("judge", "perturb") else getattr(home, name)
    globals()[name] = value
    return value
