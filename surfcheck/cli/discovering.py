"""`surfcheck attribute --discover`: what a training changed that nobody asked about."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from surfcheck.cli.rows import Given, make_home, open_library, writing
from surfcheck.files import write_whole
from surfcheck.models.spec import check_spec, parse_spec
from surfcheck.organism import resolve
from surfcheck.report.discovery import show_discovery
from surfcheck.report.progress import working
from surfcheck.report.text import line
from surfcheck.roles import Progress

if TYPE_CHECKING:
    from surfcheck.attribution.discovery import Discovery
    from surfcheck.roles import Model

PICTURE = "discovered.svg"
_DRAWING = {"temperature", "top_p", "top_k"}


def discover(
    out: Path,
    target: str,
    prompts: Path,
    given: Given,
    *,
    method: str,
    seed: int,
    as_json: bool,
) -> None:
    """Ask, find, write and show."""
    check_spec(target)
    from surfcheck.attribution import discovery  # noqa: PLC0415 (torch: 2 s)

    asked = discovery.read_prompts(prompts)
    with working() as progress:
        library = open_library(given.of(target), progress)
        with _loaded(target, progress) as model:
            found = discovery.discover(
                library, model, asked, method=method, seed=seed, progress=progress
            )
    with writing(out):
        found.write(out)
        _draw(found, out)
    if as_json:
        print((out / discovery.REPORT).read_text(encoding="utf-8"), end="")
        return
    console = Console(highlight=False)
    show_discovery(found.report, console)
    console.print(Text(f"written to {line(str(out))}"), soft_wrap=True)


@contextmanager
def _loaded(target: str, progress: Progress) -> Iterator[Model]:
    """The target. A checkpoint on this machine gives its likeliest answer, as the base does, unless
    it is told how to draw."""
    from surfcheck.models import Engine, Memory, load  # noqa: PLC0415 (heavy)

    resolved = target
    if target.startswith("organism:"):
        resolved = resolve(target, progress=progress).model
    spec = parse_spec(resolved)
    if spec.provider == "hf" and _DRAWING.isdisjoint(spec.parameters):
        spec = replace(spec, parameters={**spec.parameters, "temperature": "0"})
    with Memory(make_home() / "memory.sqlite", "auto") as memory, Engine() as engine:
        yield load(str(spec), memory=memory, engine=engine, label=target)


def _draw(found: Discovery, out: Path) -> None:
    """The matrix as a picture, where something draws it."""
    if not found.matrix.cosines.size:
        return
    try:
        from surfcheck.report.heatmap import heatmap  # noqa: PLC0415 (1 s)
    except ModuleNotFoundError as error:
        print(
            f"surfcheck: no {PICTURE}: there is no module {error.name!r} here; "
            "pip install matplotlib",
            file=sys.stderr,
        )
        return
    write_whole(out / PICTURE, heatmap(found.matrix.cosines, found.matrix.spans))
