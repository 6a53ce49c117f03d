"""Judges: what an answer is worth. `rules` has those that need no model."""

from __future__ import annotations

from surfcheck.judge import rules

__all__ = ["rules"]
