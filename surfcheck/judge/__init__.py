"""Judges: what an answer is worth. `rules` has those that need no model.

A `Rubric` is a criterion in words that models judge by: `judge(answer, rubric("calm.yaml"))`.
"""

from __future__ import annotations

from pathlib import Path

from surfcheck.judge import rules
from surfcheck.judge.rubric import Rubric, read_rubric

__all__ = ["Rubric", "read_rubric", "rubric", "rules"]


def rubric(path: str | Path) -> Rubric:
    """The rubric in a YAML file, as a criterion. Raises DataError with the line."""
    return read_rubric(path)
