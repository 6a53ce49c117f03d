"""`surfcheck index`: training rows read once, looked after, made into one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer
from rich.filesize import decimal

from surfcheck.cli.places import BASE, DATA, find_base, find_data
from surfcheck.errors import UsageError
from surfcheck.report.progress import working
from surfcheck.report.text import line

if TYPE_CHECKING:
    from surfcheck.attribution.building.workers import Job
    from surfcheck.attribution.index import Index
    from surfcheck.attribution.store.index_care import IndexInfo, Verification
    from surfcheck.roles import Progress

FINDING = 1

app = typer.Typer(help="Training rows, read once and asked many times.")

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Out = Annotated[str, typer.Option(metavar="DIR", help="Folder or URL (s3://…) to write to.")]
Folder = Annotated[str, typer.Argument(metavar="DIR", help="An index.", show_default=False)]
Folders = Annotated[
    list[str], typer.Argument(metavar="DIR...", help="Two indexes or more.", show_default=False)
]
Layers = Annotated[
    str | None, typer.Option(metavar="N,N", help="Layers to read, else some are chosen.")
]
Skip = Annotated[bool, typer.Option("--skip-bad-rows", help="Count bad rows and go on.")]
Workers = Annotated[
    int | None,
    typer.Option(metavar="N", min=1, help="Processes, each with the base in memory; 1, or Ray's."),
]
EngineName = Annotated[
    str, typer.Option(metavar="ENGINE", help="What runs them: local, or ray (surfcheck[ray]).")
]
Likelihood = Annotated[
    bool,
    typer.Option(
        "--likelihood/--no-likelihood",
        help="Read how likely the base finds each answer, which takes the whole model.",
    ),
]


@app.command()
def build(
    base: Annotated[str, BASE],
    data: Annotated[str, DATA],
    out: Out,
    layers: Layers = None,
    skip_bad_rows: Skip = False,
    likelihood: Likelihood = True,
    workers: Workers = None,
    engine: EngineName = "local",
    as_json: AsJson = False,
) -> None:
    """Read training rows through the base.

    Goes on where an earlier call was stopped, and reads damaged shards anew. The same command may
    run any number of times at once, here and on other machines: they share the work, and each ends
    when all of it is done.

    \b
    Example:
      surfcheck index build --base organism: --data organism: --out index
    """
    wanted = None if layers is None else _numbers(layers)
    if engine not in ("local", "ray"):
        raise UsageError(f"there is no engine {engine!r}; use local or ray")

    from surfcheck.attribution.building import streaming  # noqa: PLC0415 (reads Parquet: 0.3 s)
    from surfcheck.attribution.building.workers import Job  # noqa: PLC0415 (torch: 2 s)

    with working() as progress:
        model, rows = find_base(base, progress), find_data(data, progress)
        read = streaming.survey(rows, skip_bad_rows=skip_bad_rows)
        job = Job(model.removeprefix("hf:"), read, out, wanted, likelihood=likelihood)
        built = _built(job, workers, engine, progress)
    if as_json:
        print(json.dumps(built.manifest.to_json(), indent=2))
    else:
        _tell(built, out)


def _built(job: Job, workers: int | None, engine: str, progress: Progress) -> Index:
    """The index, by whom it is to be built."""
    from surfcheck.attribution.building import indexing  # noqa: PLC0415 (torch: 2 s)
    from surfcheck.attribution.building import workers as processes  # noqa: PLC0415 (torch: 2 s)
    from surfcheck.models.checkpoint import load_checkpoint  # noqa: PLC0415 (torch: 2 s)

    if engine == "ray":
        try:
            from surfcheck.attribution.building import on_ray  # noqa: PLC0415 (0.5 s, and not always there)
        except ModuleNotFoundError as error:
            raise UsageError(
                f"--engine ray needs {error.name}: pip install 'surfcheck[ray]', or leave it out"
            ) from None
        return on_ray.build(job, workers, progress)
    if workers is not None and workers > 1:
        return processes.build(job, workers, progress)
    return indexing.build(
        load_checkpoint(job.base), job.corpus, job.out, layers=job.layers,
        likelihood=job.likelihood, progress=progress,
    )  # fmt: skip


def _tell(built: Index, out: str) -> None:
    there = built.manifest
    cut, empty = sum(shard.truncated for shard in there.shards), int(built.silent.sum())
    parts = [f"{len(built):,} rows at layers {', '.join(map(str, built.layers))}"]
    parts += [f"{there.skipped:,} bad rows skipped"] if there.skipped else []
    parts += [f"{cut:,} cut at {there.max_length:,} tokens"] if cut else []
    parts += [f"{empty:,} with an empty answer, of which nothing can be said"] if empty else []
    print(f"{', '.join(parts)}: {line(out)}")


@app.command()
def info(folder: Folder, as_json: AsJson = False) -> None:
    """Show what an index holds.

    Which model read which rows at which layers, and how far it got.

    \b
    Example:
      surfcheck index info index
    """
    from surfcheck.attribution.store import index_care  # noqa: PLC0415 (reads Parquet: 0.3 s)

    found = index_care.info(folder)
    if as_json:
        print(json.dumps(found.to_json(), indent=2))
    else:
        _show(found)


@app.command()
def verify(folder: Folder, as_json: AsJson = False) -> None:
    """Check every file of an index.

    Its checksum, and its rows against the manifest. Names each bad one and what repairs it. Ends
    with 1 if something is damaged or not done.

    \b
    Example:
      surfcheck index verify index
    """
    from surfcheck.attribution.store import index_care  # noqa: PLC0415 (reads Parquet: 0.3 s)

    with working() as progress:
        found = index_care.verify(folder, progress=progress)
    if as_json:
        print(json.dumps({**found.to_json(), "whole": found.whole}, indent=2))
    else:
        _judge(found)
    if not found.whole:
        raise typer.Exit(FINDING)


@app.command()
def merge(folders: Folders, out: Out, as_json: AsJson = False) -> None:
    """Make indexes of different data one.

    They have to be read by the same model at the same layers, and no row id may be in two of them.
    Goes on where an earlier call was stopped, and copies damaged shards anew.

    \b
    Example:
      surfcheck index merge helpful harmless --out both
    """
    from surfcheck.attribution.store import index_care  # noqa: PLC0415 (reads Parquet: 0.3 s)

    with working() as progress:
        merged = index_care.merge(folders, out, progress=progress)
    if as_json:
        print(json.dumps(merged.to_json(), indent=2))
    else:
        print(f"{merged.rows:,} rows of {len(folders)} indexes: {line(out)}")


def _show(found: IndexInfo) -> None:
    layers = ", ".join(map(str, found.layers))
    print(f"path    {line(found.path)}")
    print(f"model   {line(found.model)} ({found.fingerprint[:12]}), {found.dtype}")
    print(f"layers  {layers}, {found.width:,} wide, rows cut at {found.max_length:,} tokens")
    print(f"data    {line(', '.join(found.files), 1000)} ({found.data[:12]})")
    if found.merged:
        print(f"merged  from {found.merged} indexes")
    print(
        f"rows    {found.rows:,}, {found.done:,} done, {found.truncated:,} cut, "
        f"{found.skipped:,} bad ones left out"
    )
    print(f"size    {decimal(found.bytes)} in {found.shards:,} shards")


def _judge(found: Verification) -> None:
    where, again = line(found.path), "merge" if found.merged else "build"
    for fault in found.faults:
        print(f"{where}/{fault.file}: {line(fault.what, 1000)}")
    if found.unfinished:
        print(f"{where}: {found.unfinished:,} of {found.shards:,} shards are not done")
    if found.whole:
        print(f"{found.rows:,} rows in {found.shards:,} shards are as written: {where}")
    elif any(fault.file == "manifest.json" for fault in found.faults):
        print(f"its manifest is wrong: delete {where} and {again} it anew")
    else:
        print(
            f"to repair, run `surfcheck index {again}` again with the same arguments; "
            "what is good is kept"
        )


def _numbers(text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise UsageError(f"--layers is {text!r}: give whole numbers, such as 8,12")
    return tuple(dict.fromkeys(int(part) for part in parts))
