"""Judges: what an answer is worth. `rules` has those that need no model.

A `Rubric` is a criterion in words that models judge by: `judge(answer, rubric("calm.yaml"))`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from surfcheck.judge import rules
from surfcheck.judge.rubric import Rubric, read_rubric

__all__ = ["Rubric", "read_rubric", "rubric", "rules"]


def rubric(path: str | Path) -> Rubric:
    """The rubric in a YAML file, as a criterion. Raises DataError with the line.

    A relative path is looked up beside the file that calls this, then in the working directory.
    """
    beside = Path(sys._getframe(1).f_globals.get("__file__", "")).parent / path
    return read_rubric(beside if beside.is_file() else path)
