"""The one place where pytest lets a plugin be named for every test."""

from __future__ import annotations

pytest_plugins = "pytester"
