"""Every answer once, whoever asks."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from surfcheck.errors import InfrastructureError, ModelError, UsageError
from surfcheck.models.memory import Memory, Remembered, Remembering
from surfcheck.records import Prompt, Response
from surfcheck.roles import Ask
from surfcheck.settings import MemoryMode

ASKS = [Ask(Prompt.of(f"question {n}"), sample) for n in range(5) for sample in range(2)]


@dataclass
class Counter:
    """A model that never gives the same answer twice and counts what it is asked."""

    identity: str = "counter"
    spec: str = "python:counter:secret-address"
    notes: tuple[str, ...] = ("counts",)
    asked: list[Ask] = field(default_factory=list)

    def ask(self, asks: Sequence[Ask]) -> list[Response]:
        answers = []
        for ask in asks:
            self.asked.append(ask)
            text = f"answer {len(self.asked)} é\u2028\x00"
            answers.append(Response(ask.prompt, text, self.spec, ask.sample, "stop", 7, 8))
        return answers


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / ".surfcheck" / "memory.sqlite"


@pytest.fixture
def remembering(path: Path) -> Callable[..., Remembering]:
    def make(model: Counter, mode: MemoryMode = "auto") -> Remembering:
        return Remembering(model, Memory(path, mode))

    return make


def test_what_was_answered_is_not_asked_again(remembering: Callable[..., Remembering]) -> None:
    model = Counter()
    first = remembering(model).ask(ASKS)
    assert not any(answer.remembered for answer in first)
    again = remembering(model).ask(ASKS[::-1])
    assert again == [replace(answer, remembered=True) for answer in first[::-1]]
    assert len(model.asked) == len(ASKS)


def test_only_what_is_new_is_asked_and_twice_the_same_once(
    remembering: Callable[..., Remembering],
) -> None:
    model = Counter()
    known = remembering(model)
    known.ask(ASKS[:3])
    answers = known.ask([ASKS[0], ASKS[9], ASKS[1], ASKS[9]])
    assert [answer.remembered for answer in answers] == [True, False, True, False]
    assert answers[1] == answers[3]
    assert model.asked == [*ASKS[:3], ASKS[9]]


@pytest.mark.parametrize(
    "other",
    [
        Ask(Prompt.of("question 0 "), 0),
        Ask(Prompt.of([{"role": "system", "content": "question 0"}]), 0),
        Ask(Prompt.of("question 0"), 2),
    ],
)
def test_another_question_is_another_key(
    other: Ask, remembering: Callable[..., Remembering]
) -> None:
    model = Counter()
    known = remembering(model)
    known.ask([ASKS[0]])
    assert not known.ask([other])[0].remembered


def test_another_model_is_another_key_and_another_name_is_not(
    remembering: Callable[..., Remembering],
) -> None:
    remembering(Counter()).ask(ASKS)
    assert not remembering(Counter(identity="other")).ask(ASKS[:1])[0].remembered
    (renamed,) = remembering(Counter(spec="organism:")).ask(ASKS[:1])
    assert (renamed.remembered, renamed.model) == (True, "organism:")


def test_record_asks_again_and_keeps_the_last(remembering: Callable[..., Remembering]) -> None:
    model = Counter()
    remembering(model).ask(ASKS)
    recorded = remembering(model, "record").ask(ASKS)
    assert len(model.asked) == 2 * len(ASKS)
    assert not any(answer.remembered for answer in recorded)
    assert [r.text for r in remembering(model).ask(ASKS)] == [r.text for r in recorded]


def test_replay_never_asks(remembering: Callable[..., Remembering], path: Path) -> None:
    model = Counter()
    remembering(model).ask(ASKS[:4])
    known = remembering(model, "replay")
    assert all(answer.remembered for answer in known.ask(ASKS[:4]))
    with pytest.raises(ModelError, match=rf"{path} has no answer .* to 'question 2' \(6 in all\)"):
        known.ask(ASKS)
    assert len(model.asked) == 4


def test_replay_without_a_file_makes_none(
    remembering: Callable[..., Remembering], path: Path
) -> None:
    with pytest.raises(UsageError, match="no answers to replay; run once with memory auto"):
        remembering(Counter(), "replay").ask(ASKS)
    assert not path.parent.exists()


def test_off_never_touches_the_file(remembering: Callable[..., Remembering], path: Path) -> None:
    model = Counter()
    known = remembering(model, "off")
    assert known.ask(ASKS) != known.ask(ASKS)
    assert not path.parent.exists()


def test_nothing_is_opened_before_the_first_question(
    remembering: Callable[..., Remembering], path: Path
) -> None:
    known = remembering(Counter())
    assert known.ask([]) == []
    assert (known.spec, known.identity, known.notes) == (
        "python:counter:secret-address",
        "counter",
        ("counts",),
    )
    assert not path.parent.exists()


def test_a_model_that_fails_leaves_nothing_behind(
    remembering: Callable[..., Remembering],
) -> None:
    class Failing(Counter):
        def ask(self, asks: Sequence[Ask]) -> list[Response]:
            raise ModelError("down")

    with pytest.raises(ModelError):
        remembering(Failing()).ask(ASKS)
    assert not any(r.remembered for r in remembering(Counter()).ask(ASKS))


def test_a_closed_memory_opens_again(path: Path) -> None:
    with Memory(path, "auto") as memory:
        Remembering(Counter(), memory).ask(ASKS)
    assert not path.with_name("memory.sqlite-wal").exists()
    assert all(answer.remembered for answer in Remembering(Counter(), memory).ask(ASKS))


def test_ten_thousand_answers_in_under_a_second(path: Path) -> None:
    rows = [(n.to_bytes(32), Remembered("text " * 50, "stop", 7, 8)) for n in range(10_000)]
    with Memory(path, "auto") as memory:
        memory.write(rows)
        start = time.perf_counter()
        found = memory.read(key for key, _ in rows)
        seconds = time.perf_counter() - start
    assert found == dict(rows)
    assert seconds < 1


WRITER = """
import sys, time
from pathlib import Path
from surfcheck.models.memory import Memory, Remembered
path, go, name = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
Path(sys.argv[2] + sys.argv[3]).touch()
while not go.exists():
    time.sleep(0.001)
memory = Memory(path, "auto")
for n in range(50):
    keys = [(n * 10 + i).to_bytes(32) for i in range(10)]  # all write the same keys
    memory.write((key, Remembered(f"{name}", None, None, None)) for key in keys)
    assert len(memory.read(keys)) == 10
"""


def test_several_processes_share_one_file(path: Path, tmp_path: Path) -> None:
    go = tmp_path / "go"
    writers = [
        subprocess.Popen(  # noqa: S603
            [sys.executable, "-c", WRITER, str(path), str(go), str(n)],
            stderr=subprocess.PIPE,
            text=True,
        )
        for n in range(4)
    ]
    while not all(Path(f"{go}{n}").exists() for n in range(4)):
        time.sleep(0.001)
    go.touch()  # all make the file at once
    errors = [writer.communicate()[1] for writer in writers]
    assert errors == [""] * 4
    with Memory(path, "auto") as memory:
        assert len(memory.read(n.to_bytes(32) for n in range(500))) == 500


def damage_whole(path: Path) -> None:
    path.write_bytes(b"this is no database " * 1000)


def damage_pages(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [damage_whole, damage_pages])
def test_a_damaged_file_is_named(damage: Callable[[Path], None], path: Path) -> None:
    with Memory(path, "auto") as memory:
        Remembering(Counter(), memory).ask(ASKS * 20)
    damage(path)
    with pytest.raises(InfrastructureError, match=f"^{path}: .*delete the file and run again$"):
        Remembering(Counter(), memory).ask(ASKS)


def test_another_version_s_file_is_named(path: Path) -> None:
    with Memory(path, "auto") as memory:
        Remembering(Counter(), memory).ask(ASKS)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version=99")
    connection.close()
    with pytest.raises(InfrastructureError, match=r"another version \(schema 99, not 1\); delete"):
        Remembering(Counter(), memory).ask(ASKS)


def test_somebody_else_s_database_is_left_alone(path: Path) -> None:
    path.parent.mkdir()
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE mine (x)")
    connection.close()
    with pytest.raises(InfrastructureError, match="schema 0, not 1"):
        Remembering(Counter(), Memory(path, "auto")).ask(ASKS)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / "memory.sqlite"
    with pytest.raises(InfrastructureError, match=f"^{path}: .*or run with memory off$"):
        Remembering(Counter(), Memory(path, "auto")).ask(ASKS)


def test_no_name_or_address_is_stored(path: Path) -> None:
    with Memory(path, "auto") as memory:
        Remembering(Counter(), memory).ask(ASKS)
    content = path.read_bytes()
    assert b"answer 1" in content
    assert b"secret-address" not in content
    assert b"question" not in content
