"""Runs shown to people and written for programs."""

from __future__ import annotations
