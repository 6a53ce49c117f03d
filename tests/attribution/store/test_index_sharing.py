"""Workers at one folder: who takes which shard, and what is left when all is done."""

from __future__ import annotations

from pathlib import Path

import pytest

from surfcheck.attribution.store.manifest import Manifest, Shard, current, read_manifest
from surfcheck.attribution.store.sharing import Crew, Overtaken, complete, join
from surfcheck.attribution.store.storage import LocalStore, Store, store
from surfcheck.errors import DataError, MismatchError

SHARDS = tuple(Shard(n * 2, 2) for n in range(6))
FILES = (b"vectors", b"rows")
PLAN = Manifest(
    model="m", fingerprint="f", template="t", layers=(1,), width=2, dtype="float32", max_length=9,
    data="d", files=("x",), rows=12, skipped=0, shards=SHARDS,
)  # fmt: skip


@pytest.fixture(params=["local", "memory"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "local":
        return LocalStore(tmp_path / "index")
    return store(f"memory://{tmp_path}/index")


def whole(shard: Shard) -> Shard:
    """Done, with the checksums of `FILES`."""
    import hashlib
    from dataclasses import replace

    sums = tuple(hashlib.sha256(content).hexdigest() for content in FILES)
    return replace(shard, sha256=sums, sizes=tuple(map(len, FILES)))


def test_a_worker_alone_goes_through_them_in_order(folder: Store) -> None:
    join(folder, PLAN)
    crew, seen = Crew(folder), []
    for number, shard, done in crew.todo():
        seen.append((number, shard.first, done))
        crew.finish(number, whole(shard), FILES)
    assert seen == [(n, 2 * n, 2 * n) for n in range(6)]
    there = complete(folder)
    assert all(shard.done for shard in there.shards)
    assert read_manifest(folder) == there
    assert len(folder.names()) == 1 + 2 * 6  # the manifest and the shards


def test_workers_in_turns_never_take_the_same(folder: Store) -> None:
    join(folder, PLAN)
    crews = [Crew(folder, start=start) for start in (0, 3, 3)]
    runs = [(crew, crew.todo()) for crew in crews]
    seen: list[int] = []
    for _ in range(2):
        held = [(crew, *next(run)[:2]) for crew, run in runs]
        for crew, number, shard in held:
            crew.finish(number, whole(shard), FILES)
        seen += [number for _, number, _ in held]
    assert sorted(seen) == list(range(6))
    assert all(next(run, None) is None for _, run in runs)


def test_two_that_look_at_the_same_moment_do_not_take_the_same(
    folder: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    join(folder, PLAN)
    first, second = Crew(folder).todo(), Crew(folder).todo()
    seen, listing = folder.names, folder.names()
    assert next(first)[0] == 0
    stale = [listing]
    monkeypatch.setattr(folder, "names", lambda: stale.pop() if stale else seen())
    assert next(second)[0] == 1


def test_what_a_dead_worker_had_begun_is_taken_last(folder: Store) -> None:
    join(folder, PLAN)
    dead = Crew(folder)
    held = dead.todo()
    next(held)
    alive, seen = Crew(folder), []
    for number, shard, _ in alive.todo():
        seen.append(number)
        alive.finish(number, whole(shard), FILES)
    assert seen == [1, 2, 3, 4, 5, 0]
    held.close()
    complete(folder)
    assert len(folder.names()) == 13


def test_a_slow_worker_is_told_and_changes_nothing(folder: Store) -> None:
    join(folder, PLAN)
    slow, quick = Crew(folder), Crew(folder)
    number, shard, _ = next(slow.todo())
    slow.check(number)
    quick.finish(number, whole(shard), FILES)
    late = Crew(folder)
    with pytest.raises(Overtaken):
        late.check(number)
    slow.finish(number, whole(shard), (b"other", b"files"))
    assert folder.read("vectors-00000.safetensors") == b"vectors"


def test_the_first_plan_is_everybodys(folder: Store) -> None:
    from dataclasses import replace

    join(folder, PLAN)
    other = replace(PLAN, shards=(Shard(0, 12),), model="the same, elsewhere")
    assert join(folder, other) == PLAN
    with pytest.raises(MismatchError, match="holds an index of another data set"):
        join(folder, replace(PLAN, data="changed"))
    with pytest.raises(MismatchError, match=r"another choice of likelihoods \(True there, False"):
        join(folder, replace(PLAN, likelihood=False))


def test_what_is_damaged_is_not_done(folder: Store) -> None:
    join(folder, PLAN)
    crew = Crew(folder)
    for number, shard, _ in crew.todo():
        crew.finish(number, whole(shard), FILES)
        if number == 2:
            break
    folder.write("rows-00001.parquet", b"cut")
    there = join(folder, PLAN)
    assert [shard.done for shard in there.shards] == [True, False, True, False, False, False]
    assert current(folder) == there
    for number, shard, _ in crew.todo():
        crew.finish(number, whole(shard), FILES)
    complete(folder)
    folder.write("vectors-00005.safetensors", b"VECTORS")  # as long as before
    assert [n for n, shard in enumerate(join(folder, PLAN).shards) if not shard.done] == [5]


def test_half_a_record_is_none(folder: Store) -> None:
    join(folder, PLAN)
    folder.write("shard-00000.json", b'{"first": 0, "ro')
    assert not current(folder).shards[0].done


def test_an_older_format_is_told(folder: Store) -> None:
    folder.make()
    folder.write("manifest.json", b'{"schema": "surfcheck/index/1", "rows": 3}')
    with pytest.raises(DataError, match=r"of another format \(surfcheck/index/1, .*build .* anew"):
        join(folder, PLAN)
