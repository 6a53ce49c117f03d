"""Memory's file: made, brought up to date, shared, damaged."""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from surfcheck.errors import InfrastructureError, UsageError
from surfcheck.models import database
from surfcheck.models.database import SCHEMA, Damaged, Database
from surfcheck.models.memory import Memory, Remembered

KEPT = {
    n.to_bytes(32): Remembered(
        f"answer {n} é " * (3 * n + 1), "stop", n, 8, model="x:y", prompt="[]", sample=n
    )
    for n in range(40)
}
FIRST_SCHEMA = """CREATE TABLE answers (
    key BLOB PRIMARY KEY,
    text TEXT NOT NULL,
    finish_reason TEXT,
    prompt_tokens INTEGER,
    completion_tokens INTEGER
) WITHOUT ROWID"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "memory.sqlite"


@pytest.fixture
def sound(path: Path) -> bytes:
    """A file with answers in it, as it lies there; the file itself is gone."""
    with Memory(path, "auto") as memory:
        memory.write(KEPT.items())
        memory.drop("who", "seed")
        memory.spend("run", calls=1, tokens=2, usd=0.5)
    content = path.read_bytes()
    path.unlink()
    return content


def raw(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(statement)
        connection.commit()


def as_first_written(path: Path) -> None:
    """A file as the first version of surfcheck wrote it."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(FIRST_SCHEMA)
        connection.execute("PRAGMA user_version=1")
        rows = [(key, *kept[:4]) for key, kept in KEPT.items()]
        connection.executemany("INSERT OR REPLACE INTO answers VALUES (?,?,?,?,?)", rows)


def tables(path: Path) -> dict[str, list[tuple[object, ...]]]:
    with closing(sqlite3.connect(path)) as connection:
        names = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
        return {n: connection.execute(f"PRAGMA table_info({n})").fetchall() for (n,) in names}


def test_a_file_of_the_first_schema_is_brought_up_to_date(path: Path, tmp_path: Path) -> None:
    as_first_written(path)
    with Memory(path, "auto") as memory:
        known = memory.read(KEPT)
        assert {k: v[:4] for k, v in known.items()} == {k: v[:4] for k, v in KEPT.items()}
        assert {v[4:] for v in known.values()} == {Remembered("")[4:]}
        memory.keep(b"new", Remembered("yes", model="x:y"))
        memory.drop("who", "seed")
    with Memory(path, "auto") as memory:
        assert len(memory.read([*KEPT, b"new"])) == len(KEPT) + 1
        assert memory.dropped("who") == {"seed"}
    with Memory(tmp_path / "fresh.sqlite", "auto") as memory:
        memory.recall(b"")
    assert tables(path) == tables(tmp_path / "fresh.sqlite")


def test_to_replay_a_file_of_the_first_schema_does_not_change_it(path: Path) -> None:
    as_first_written(path)
    before = path.read_bytes()
    with Memory(path, "replay") as memory:
        assert {k: v.text for k, v in memory.read(KEPT).items()} == {
            k: v.text for k, v in KEPT.items()
        }
        assert memory.dropped("who") == frozenset()
        assert memory.spent("run").calls == 0
    assert path.read_bytes() == before


def test_the_schema_as_it_was_found(path: Path) -> None:
    as_first_written(path)
    for mode, schema in (("replay", 1), ("auto", 1), ("auto", SCHEMA)):
        with closing(Database(path, mode)) as opened, opened.connection():
            assert opened.schema == schema


@pytest.mark.parametrize("mode", ["auto", "replay"])
def test_another_version_s_file_is_named(path: Path, mode: str, sound: bytes) -> None:
    path.write_bytes(sound)
    raw(path, "PRAGMA user_version=99")
    said = rf"^{path}: was written by another version \(schema 99, not {SCHEMA}\); update surfcheck"
    with pytest.raises(InfrastructureError, match=said):
        Memory(path, mode).recall(b"")


@pytest.mark.parametrize("mode", ["auto", "replay"])
def test_somebody_else_s_database_is_left_alone(path: Path, mode: str) -> None:
    raw(path, "CREATE TABLE mine (x)")
    before = path.read_bytes()
    with pytest.raises(InfrastructureError, match=f"is not surfcheck's .schema 0, not {SCHEMA}"):
        Memory(path, mode).recall(b"")
    raw(path, "PRAGMA user_version=1")  # as ours had it, with other tables
    with pytest.raises(Damaged, match="no such table"):
        Memory(path, mode).recall(b"")
    assert list(tables(path)) == ["mine"]
    assert len(path.read_bytes()) == len(before)


def test_an_empty_file_is_a_new_memory_and_nothing_to_replay(path: Path) -> None:
    path.touch()
    with pytest.raises(UsageError, match="no answers to replay; run once with memory auto"):
        Memory(path, "replay").recall(b"")
    with Memory(path, "auto") as memory:
        memory.keep(b"k", Remembered("yes"))
    assert Memory(path, "replay").recall(b"k") == Remembered("yes")


# Damage


def text_file(content: bytes) -> bytes:
    return b"this is no database " * 1000


def short_text_file(content: bytes) -> bytes:
    return b"no"


def overwritten(content: bytes) -> bytes:
    return content[:4096] + b"\xff" * (len(content) - 4096)


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def another_word(content: bytes) -> bytes:
    assert b"answer 30" in content
    return content.replace(b"answer 30", b"answer 31", 1)


@pytest.mark.parametrize("mode", ["auto", "replay"])
@pytest.mark.parametrize("damage", [text_file, short_text_file, overwritten, cut, another_word])
def test_damage_is_one_line_that_says_how_to_lose_nothing(
    damage: Callable[[bytes], bytes], mode: str, path: Path, sound: bytes
) -> None:
    path.write_bytes(damage(sound))
    with pytest.raises(Damaged) as caught, Memory(path, mode) as memory:
        memory.read(KEPT)
    said = str(caught.value)
    assert said.startswith(f"{path}: is damaged (")
    assert said.endswith(f"; move it away (mv {path} {path}.damaged) and run again")
    assert path.read_bytes() == damage(sound)


def test_the_way_to_move_a_damaged_file_away(tmp_path: Path, sound: bytes) -> None:
    path = tmp_path / "my folder" / "memory.sqlite"
    path.parent.mkdir()
    path.write_bytes(another_word(sound))
    (path.parent / "memory.sqlite.damaged").write_bytes(b"an earlier one")
    with Memory(path, "auto") as other:
        other.keep(b"k", Remembered("yes"))  # stands in the log as long as the file is open
        with pytest.raises(Damaged) as caught, Memory(path, "auto") as memory:
            memory.read(KEPT)
        said = str(caught.value)
        log = (path.parent / "memory.sqlite-wal").read_bytes()
        assert b"yes" in log
        command = said[said.index("(mv ") + 1 : said.rindex(")")]
        subprocess.run(["sh", "-c", command], check=True)  # noqa: S603, S607
        away = {p.name: p.read_bytes() for p in path.parent.iterdir() if ".damaged" in p.name}
        assert away == {
            "memory.sqlite.damaged": b"an earlier one",
            "memory.sqlite.damaged-2": another_word(sound),
            "memory.sqlite.damaged-2-wal": log,
        }
    with Memory(path, "auto") as memory:
        assert memory.read([*KEPT, b"k"]) == {}


def test_a_damaged_file_is_closed_and_its_log_with_it(path: Path, sound: bytes) -> None:
    path.write_bytes(sound)
    with Memory(path, "auto") as memory:
        memory.keep(b"k", Remembered("yes"))
        path.write_bytes(another_word(sound))
        with pytest.raises(Damaged, match=rf"\(mv {path} {path}.damaged\) and run again$"):
            memory.read(KEPT)
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_no_flipped_byte_makes_another_answer(path: Path, sound: bytes) -> None:
    rng = random.Random(0)
    places = [*range(0, 4096, 32), *rng.choices(range(len(sound)), k=250)]
    ends = {"damaged": 0, "fine": 0}
    for place in places:
        content = bytearray(sound)
        content[place] ^= rng.randrange(1, 256)
        path.write_bytes(content)
        try:
            with Memory(path, "auto") as memory:
                known = memory.read(KEPT)
        except InfrastructureError as error:
            assert "\n" not in str(error)  # noqa: PT017
            ends["damaged"] += 1
        else:
            assert known.items() <= KEPT.items()
            ends["fine"] += 1  # a byte that nothing stands in
        for left in (path, *path.parent.glob("memory.sqlite-*")):
            left.unlink()
    assert min(ends.values()) > 50


# Files that can't be used


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / "memory.sqlite"
    with pytest.raises(InfrastructureError, match=f"^{path}: .*or run with memory off$"):
        Memory(path, "auto").recall(b"")


def test_a_file_that_is_held_too_long(
    path: Path, sound: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.write_bytes(sound)
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.05)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(InfrastructureError, match=r"another process has held it for 0.05 s"):
            Memory(path, "auto").keep(b"k", Remembered("yes"))


def test_a_full_disk(path: Path, sound: bytes) -> None:
    path.write_bytes(sound)
    opened = Database(path, "auto")
    with closing(opened):
        with opened.connection() as connection:
            connection.execute("PRAGMA max_page_count=1")
        said = r"is full; make room and run again$"
        rows = [(bytes(1000), str(n)) for n in range(1000)]
        with pytest.raises(InfrastructureError, match=said), opened.transaction() as connection:
            connection.executemany("INSERT INTO dropped VALUES (?,?)", rows)
        with opened.connection() as connection:
            assert not connection.in_transaction


def test_a_folder_that_takes_no_file_can_be_replayed(path: Path, sound: bytes) -> None:
    path.write_bytes(sound)
    path.parent.chmod(0o500)
    try:
        if os.access(path.parent, os.W_OK):
            pytest.skip("this user may write everywhere")
        assert len(Memory(path, "replay").read(KEPT)) == len(KEPT)
        with pytest.raises(InfrastructureError, match="make its folder writable"):
            Memory(path, "auto").recall(b"")
    finally:
        path.parent.chmod(0o700)


def interrupted_after(row: tuple[bytes, str]) -> Iterator[tuple[bytes, str]]:
    yield row
    raise KeyboardInterrupt


def test_a_transaction_is_all_or_nothing(path: Path) -> None:
    with closing(Database(path, "auto")) as opened:
        rows = interrupted_after((b"who", "seed"))
        with pytest.raises(KeyboardInterrupt), opened.transaction() as connection:
            connection.executemany("INSERT INTO dropped VALUES (?,?)", rows)
        with opened.transaction() as connection:
            assert connection.execute("SELECT * FROM dropped").fetchall() == []
