"""What is in memory's file, forgetting some of it, taking it elsewhere."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from surfcheck.errors import InfrastructureError, UsageError
from surfcheck.models import load
from surfcheck.models.memory import Memory, Remembered, Spent
from surfcheck.models.memory_file import (
    Exported,
    MemoryInfo,
    ModelAnswers,
    Pruned,
    export,
    info,
    prune,
)
from surfcheck.records import Prompt, Response
from surfcheck.roles import Ask

DAY = 86_400
NOON = 1_763_640_000.0
TALK = Prompt.of(
    [
        {"role": "system", "content": "be kind"},
        {"role": "user", "content": "hello"},
        {"role": "assistant", "content": "hello you"},
        {"role": "user", "content": "é \u2028 \ud83d"},
    ]
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "memory.sqlite"


@pytest.fixture
def remember(path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Keeps an answer, so many days after a noon."""

    def remember(
        model: str, prompt: str | Prompt, text: str, sample: int = 0, day: int = 0
    ) -> None:
        answer = Response(Prompt.of(prompt), text, model, sample, "stop", 10, 3)
        key = f"{model} {prompt} {sample}".encode(errors="replace")
        with monkeypatch.context() as patch, Memory(path, "auto") as memory:
            patch.setattr(time, "time", lambda: NOON + day * DAY)
            memory.keep(key, Remembered.of(answer))

    return remember


@pytest.fixture
def filled(remember: Callable[..., None], path: Path) -> Path:
    """Answers of two models and three days."""
    remember("x:big?seed=1", "why?", "for this", sample=1, day=1)
    remember("x:big?seed=1", "why?", "because", sample=0, day=2)
    remember("x:big?seed=1", TALK, "half \ud83d", day=3)
    remember("x:small", "why?", "dunno", day=1)
    return path


def first_schema(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(
            "CREATE TABLE answers (key BLOB PRIMARY KEY, text TEXT NOT NULL, finish_reason TEXT, "
            "prompt_tokens INTEGER, completion_tokens INTEGER) WITHOUT ROWID"
        )
        connection.execute("INSERT INTO answers VALUES (x'00', 'yes', 'stop', 7, NULL)")
        connection.execute("PRAGMA user_version=1")
        connection.commit()


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


# Info


def test_what_is_there(filled: Path) -> None:
    with Memory(filled, "auto") as asking:
        asking.claim(b"open", lease=60)
        asking.claim(b"lapsed", lease=0)
        found = info(filled)
        size = filled.stat().st_size + filled.with_name("memory.sqlite-wal").stat().st_size
    assert found == MemoryInfo(
        path=str(filled),
        schema=2,
        bytes=size,
        answers=4,
        models=(
            ModelAnswers(
                "x:big", 3, 30, 9, "2025-11-21T12:00:00+00:00", "2025-11-23T12:00:00+00:00"
            ),
            ModelAnswers(
                "x:small", 1, 10, 3, "2025-11-21T12:00:00+00:00", "2025-11-21T12:00:00+00:00"
            ),
        ),
        claims=1,
        damaged=None,
    )
    assert MemoryInfo.from_json(json.loads(json.dumps(found.to_json()))) == found


def test_what_is_in_a_file_of_the_first_schema(path: Path) -> None:
    first_schema(path)
    before = path.read_bytes()
    found = info(path)
    assert (found.schema, found.models) == (1, (ModelAnswers("", 1, 7, 0, None, None),))
    assert path.read_bytes() == before


def flip_word(path: Path) -> None:
    content = path.read_bytes()
    assert b"dunno" in content
    path.write_bytes(content.replace(b"dunno", b"dunnp"))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-4096])


def text(path: Path) -> None:
    path.write_bytes(b"no database")


def lost_index(path: Path) -> None:
    """A page that reading the answers one by one never sees."""
    with closing(sqlite3.connect(path)) as connection:
        query = "SELECT rootpage FROM sqlite_schema WHERE name LIKE '%autoindex_answers%'"
        (page,) = connection.execute(query).fetchone()
    content = bytearray(path.read_bytes())
    content[(page - 1) * 4096 : page * 4096] = bytes(4096)
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [flip_word, cut, text, lost_index])
def test_damage_is_found(damage: Callable[[Path], None], filled: Path) -> None:
    assert info(filled).damaged is None
    damage(filled)
    content = filled.read_bytes()
    found = info(filled)
    assert found.damaged is not None
    assert found.damaged.startswith(f"{filled}: is damaged (")
    assert (found.answers, found.schema, found.bytes) == (0, None, len(content))
    assert filled.read_bytes() == content


# Prune


def ages(path: Path) -> list[tuple[str, float]]:
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute("SELECT model, at FROM answers ORDER BY model, at").fetchall()
    return [(model, (at - NOON) / DAY) for model, at in found]


@pytest.mark.parametrize(
    ("days", "model", "left"),
    [
        (None, None, []),
        (None, "x:big", [("x:small", 1)]),
        (None, "x:big?seed=2", [("x:small", 1)]),
        (2.5, None, [("x:big", 2), ("x:big", 3)]),
        (2.5, "x:big", [("x:big", 2), ("x:big", 3), ("x:small", 1)]),
        (0, None, []),
        (1e9, None, [("x:big", 1), ("x:big", 2), ("x:big", 3), ("x:small", 1)]),
    ],
)
def test_forgetting(
    filled: Path,
    days: float | None,
    model: str | None,
    left: list[tuple[str, float]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(time, "time", lambda: NOON + 4 * DAY)
    assert prune(filled, older_than_days=days, model=model) == Pruned(4 - len(left), len(left))
    assert ages(filled) == left
    if not any(name == "x:small" for name, _ in left):
        assert b"dunno" not in filled.read_bytes()


@pytest.mark.parametrize("name", ["x:bi", "x:big2"])
def test_a_model_that_never_answered_is_wrong_use(filled: Path, tmp_path: Path, name: str) -> None:
    out, before = tmp_path / "out.jsonl", ages(filled)
    out.write_text("what was there before")
    said = f"^no answers of {name}; `surfcheck memory info` names the models$"
    with pytest.raises(UsageError, match=said):
        export(filled, out, model=name)
    with pytest.raises(UsageError, match=said):
        prune(filled, older_than_days=None, model=name)
    assert (out.read_text(), ages(filled)) == ("what was there before", before)
    with pytest.raises(UsageError, match=said):
        export(filled, tmp_path / "new.jsonl", model=name)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["memory.sqlite", "out.jsonl"]


def test_an_answer_of_unknown_age_is_old(path: Path) -> None:
    first_schema(path)
    assert prune(path, older_than_days=10_000, model=None) == Pruned(1, 0)


def test_forgetting_gives_room_back(path: Path) -> None:
    with Memory(path, "auto") as memory:
        memory.write((n.to_bytes(32), Remembered("x" * 1000)) for n in range(1000))
    before = path.stat().st_size
    prune(path, older_than_days=None, model=None)
    assert path.stat().st_size < before / 10


def test_a_run_goes_on_while_answers_are_forgotten(path: Path) -> None:
    with Memory(path, "auto") as memory, Memory(path, "auto") as other:
        memory.keep(b"a", Remembered("yes"))
        memory.drop("who", "seed")
        memory.claim(b"b", lease=60)
        memory.spend("run", calls=3, tokens=1, usd=0.5)
        assert prune(path, older_than_days=0, model=None) == Pruned(1, 0)
        assert memory.dropped("who") == {"seed"}
        assert prune(path, older_than_days=None, model=None) == Pruned(0, 0)
        assert memory.dropped("who") == frozenset()
        assert not other.claim(b"b", lease=60)
        assert memory.spent("run") == Spent(3, 1, 0.5)
        memory.keep(b"b", Remembered("yes"))
        assert other.recall(b"b") == Remembered("yes")


# Export


def test_what_is_exported(filled: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    out.write_text("what was there before")
    assert export(filled, out) == Exported(rows=4, models=2, left_out=0)
    found = lines(out)
    assert [(r["model"], r["prompt"], r["response"], r["sample"]) for r in found] == [
        ("x:big", "why?", "because", 0),
        ("x:big", "why?", "for this", 1),
        ("x:big", [m.to_json() for m in TALK.messages], "half \ud83d", 0),
        ("x:small", "why?", "dunno", 0),
    ]
    assert found[3] == {
        "prompt": "why?",
        "response": "dunno",
        "finish_reason": "stop",
        "prompt_tokens": 10,
        "completion_tokens": 3,
        "refusal": None,
        "log_probability": None,
        "usd": None,
        "parameters": None,
        "model": "x:small",
        "sample": 0,
        "at": NOON + DAY,
    }
    assert sorted(p.name for p in tmp_path.iterdir()) == ["memory.sqlite", "out.jsonl"]


def test_an_export_of_one_model_can_be_replayed(filled: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    assert export(filled, out, model="x:big") == Exported(3, 1, 0)
    replay = load(f"replay:{out}")
    why = Prompt.of("why?")
    answers = replay.ask([Ask(why, 1), Ask(why, 0), Ask(TALK)])
    assert [a.text for a in answers] == ["for this", "because", "half \ud83d"]


def test_answers_from_before_prompts_were_kept_are_left_out(path: Path, tmp_path: Path) -> None:
    first_schema(path)
    assert export(path, tmp_path / "out.jsonl") == Exported(0, 0, 1)
    assert lines(tmp_path / "out.jsonl") == []


def test_a_damaged_file_is_not_half_exported(filled: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    out.write_text("what was there before")
    flip_word(filled)
    with pytest.raises(InfrastructureError, match="is damaged"):
        export(filled, out)
    assert out.read_text() == "what was there before"
    assert sorted(p.name for p in tmp_path.iterdir() if "-" not in p.name) == [
        "memory.sqlite",
        "out.jsonl",
    ]


def test_the_memory_is_never_written_over(filled: Path) -> None:
    before = filled.read_bytes()
    filled.with_name("link").symlink_to(filled)
    for out in (filled, filled.with_name("link")):
        with pytest.raises(UsageError, match="is the memory itself; name another file"):
            export(filled, out)
    assert filled.read_bytes() == before


@pytest.mark.parametrize("out", ["missing/out.jsonl", "folder"])
def test_an_export_that_cannot_be_written(filled: Path, tmp_path: Path, out: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(InfrastructureError, match=f"^{tmp_path / out}: can't be written"):
        export(filled, tmp_path / out)


# All of them


def prune_all(path: Path, **more: Any) -> Pruned:
    return prune(path, older_than_days=None, model=None, **more)


def export_beside(path: Path, **more: Any) -> Exported:
    return export(path, path.with_name("out.jsonl"), **more)


@pytest.mark.parametrize("do", [info, prune_all, export_beside])
def test_there_has_to_be_a_memory_of_ours(do: Callable[..., object], path: Path) -> None:
    with pytest.raises(UsageError, match=f"^{path}: no memory here; run pytest --surf once"):
        do(path)
    assert list(path.parent.iterdir()) == []
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version=9")
    with pytest.raises(InfrastructureError, match=r"another version \(schema 9, not 2\)"):
        do(path)


@pytest.mark.parametrize("do", [info, prune_all, export_beside])
def test_progress_comes_to_its_end(do: Callable[..., object], path: Path) -> None:
    with Memory(path, "auto") as memory:
        memory.write((n.to_bytes(32), Remembered("x")) for n in range(2500))
    seen: list[tuple[str, int, int]] = []
    do(path, progress=lambda *said: seen.append(said))
    assert len({what for what, _, _ in seen}) == 1
    assert seen[-1][1] == seen[-1][2]
