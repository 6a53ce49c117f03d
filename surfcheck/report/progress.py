"""Progress on long work: a bar where there is a terminal, else a line at its start and its end."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich import progress as rich_progress
from rich.console import Console

from surfcheck.roles import Progress, silent

PATIENCE = 2.0
"""Seconds before a command shows its progress."""


@contextmanager
def bar(console: Console, *, begin: Callable[[], object] = lambda: None) -> Iterator[Progress]:
    """A bar for each thing that is being done; gone when the context closes.

    `begin` is called before the first is shown; if nothing takes long, nothing is.
    """
    columns = (
        rich_progress.TextColumn("{task.description}", markup=False),
        rich_progress.BarColumn(),
        rich_progress.MofNCompleteColumn(),
        rich_progress.TimeRemainingColumn(),
    )
    tasks: dict[str, rich_progress.TaskID] = {}
    shown = rich_progress.Progress(*columns, console=console, transient=True)

    def progress(what: str, done: int, total: int) -> None:
        if not tasks:
            begin()
            shown.start()
        if what not in tasks:
            tasks[what] = shown.add_task(what, total=total)
        shown.update(tasks[what], completed=done, total=total)

    try:
        yield progress
    finally:
        if tasks:
            shown.stop()


@contextmanager
def working() -> Iterator[Progress]:
    """What a command is doing: a bar on stderr if that is a terminal, for what takes long."""
    if not sys.stderr.isatty():
        yield silent
        return
    began = time.monotonic()
    with bar(Console(stderr=True)) as shown:

        def progress(what: str, done: int, total: int) -> None:
            if time.monotonic() - began > PATIENCE:
                shown(what, done, total)

        yield progress


@contextmanager
def lines(write: Callable[[str], None]) -> Iterator[Progress]:
    """A line when a thing begins and one when it is done."""
    begun: dict[str, float] = {}
    ended: set[str] = set()

    def progress(what: str, done: int, total: int) -> None:
        if what not in begun:
            begun[what] = time.monotonic()
            write(f"{what} ...")
        if done >= total and what not in ended:
            ended.add(what)
            write(f"{what}: done in {time.monotonic() - begun[what]:.0f} s")

    yield progress
