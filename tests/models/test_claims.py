"""What the processes of a run tell each other through memory: claims, refusals, spending."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from surfcheck.models.memory import Memory, Remembered, Spent
from surfcheck.models.owner import Owner

A, B = b"a" * 32, b"b" * 32


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / ".surfcheck" / "memory.sqlite"


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
    memory.write((key, Remembered(f"{name}")) for key in keys)
    assert len(memory.read(keys)) == 10
"""


def together(code: str, path: Path, go: Path, *, processes: int = 4) -> list[str]:
    """What each of several processes prints that begin all at once."""
    running = [
        subprocess.Popen(  # noqa: S603
            [sys.executable, "-c", code, str(path), str(go), str(n)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for n in range(processes)
    ]
    while not all(Path(f"{go}{n}").exists() for n in range(processes)):
        time.sleep(0.001)
    go.touch()
    ends = [process.communicate() for process in running]
    assert [error for _, error in ends] == [""] * processes
    return [out for out, _ in ends]


def test_several_processes_share_one_file(path: Path, tmp_path: Path) -> None:
    together(WRITER, path, tmp_path / "go")  # all make the file at once
    with Memory(path, "auto") as memory:
        assert len(memory.read(n.to_bytes(32) for n in range(500))) == 500


def test_several_threads_share_one_memory(path: Path) -> None:
    keys = [n.to_bytes(32) for n in range(400)]

    def work(thread: int) -> int:
        asked = 0
        for key in keys[thread * 10 :] + keys[: thread * 10]:
            with turn:  # a memory is one asker: threads agree among themselves
                if memory.recall(key) is not None or not memory.claim(key, lease=60):
                    continue
            memory.keep(key, Remembered(f"{thread}"))
            asked += 1
            memory.spend("run", calls=1, tokens=2, usd=0.5)
            assert memory.recall(key) is not None
        return asked

    turn = threading.Lock()
    with Memory(path, "auto") as memory, ThreadPoolExecutor(8) as pool:
        asked = sum(pool.map(work, range(8)))
        assert len(memory.read(keys)) == 400
        assert memory.spent("run") == Spent(asked, 2 * asked, 0.5 * asked)


def test_what_was_kept_outlives_a_kill(path: Path) -> None:
    code = f"""
from pathlib import Path
from surfcheck.models.memory import Memory, Remembered
memory = Memory(Path({str(path)!r}), "auto")
for n in range(10**9):
    assert memory.claim(n.to_bytes(32), lease=3600)
    if n % 2:  # the others are still being asked when the end comes
        memory.keep(n.to_bytes(32), Remembered(str(n)))
        print(n, flush=True)
"""
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(50)]
        process.kill()
        said += process.stdout.readlines()
        # Dead, and its parent hasn't looked yet, as that of a worker that crashed may not.
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        kept = [int(line) for line in said if line.endswith("\n")]
        with Memory(path, "auto") as memory:
            assert len(memory.read(n.to_bytes(32) for n in kept)) == len(kept)
            assert all(memory.claim((n - 1).to_bytes(32), lease=60) for n in kept)
    with Memory(path, "auto") as memory:
        assert memory.claim((max(kept) + 1).to_bytes(32), lease=60)


# Claims


def rows(path: Path, table: str) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608


def test_what_one_asks_another_waits_for(path: Path) -> None:
    with Memory(path, "auto") as one, Memory(path, "auto") as other:
        assert one.claim(A, lease=60)
        assert one.claim(A, lease=60)  # a new lease
        assert not other.claim(A, lease=60)
        assert other.claim(B, lease=60)
        other.release(A)  # not its own
        assert not other.claim(A, lease=60)
        one.keep(A, Remembered("yes"))
        assert not other.claim(A, lease=60)
        assert other.recall(A) == Remembered("yes")
        assert not one.claim(A, lease=60)
        assert rows(path, "claims") == 1


def test_what_was_asked_in_vain_another_may_ask(path: Path) -> None:
    with Memory(path, "auto") as one, Memory(path, "auto") as other:
        assert one.claim(A, lease=60)
        one.release(A)
        assert other.claim(A, lease=60)
        one.release(A)
        assert not one.claim(A, lease=60)


def test_a_lease_ends(path: Path) -> None:
    with Memory(path, "auto") as one, Memory(path, "auto") as other:
        assert one.claim(A, lease=0)
        assert other.claim(A, lease=60)
        assert not one.claim(A, lease=60)
        one.release(A)
        assert not one.claim(A, lease=60)


def test_closing_gives_up_what_was_claimed(path: Path) -> None:
    with Memory(path, "auto") as one:
        assert one.claim(A, lease=60)
    assert rows(path, "claims") == 0


@pytest.mark.parametrize(
    ("change", "waits"),
    [
        ("process = 4194305", False),  # beyond what Linux numbers processes with
        ("born = '1'", False),  # another process had the number
        ("process = 4194305, host = 'elsewhere'", True),  # can't be known
    ],
)
def test_whose_claim_it_is_decides_whether_to_wait(path: Path, change: str, waits: bool) -> None:
    with Memory(path, "auto") as one, Memory(path, "auto") as other:
        assert one.claim(A, lease=60)
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(f"UPDATE claims SET {change}")  # noqa: S608
            connection.commit()
        assert other.claim(A, lease=60) is not waits


def test_a_process_knows_that_it_runs() -> None:
    assert Owner.this().may_run()
    assert Owner.this() == Owner.this()


def test_record_asks_what_is_answered_already(path: Path) -> None:
    with Memory(path, "record") as one, Memory(path, "record") as other:
        one.keep(A, Remembered("yes"))
        assert one.claim(A, lease=60)
        assert not other.claim(A, lease=60)
        one.keep(A, Remembered("no"))
        assert other.claim(A, lease=60)
        assert other.recall(A) == Remembered("no")


CLAIMER = """
import sys, time
from pathlib import Path
from surfcheck.models.memory import Memory, Remembered
path, go = Path(sys.argv[1]), Path(sys.argv[2])
Path(sys.argv[2] + sys.argv[3]).touch()
while not go.exists():
    time.sleep(0.001)
with Memory(path, "auto") as memory:
    for n in range(300):
        key = n.to_bytes(32)
        if memory.claim(key, lease=60):
            print(n)
            assert memory.spend("run", calls=1, tokens=3, usd=0.25, ceiling_calls=300)[0] <= 300
            memory.keep(key, Remembered("yes"))
"""


def test_no_question_is_two_processes_s_to_ask(path: Path, tmp_path: Path) -> None:
    claimed = [n for out in together(CLAIMER, path, tmp_path / "go") for n in out.split()]
    assert sorted(map(int, claimed)) == list(range(300))
    with Memory(path, "auto") as memory:
        assert memory.spent("run") == Spent(300, 900, 75.0)


# What was refused, what was spent


def test_what_a_model_refuses_is_remembered(path: Path) -> None:
    with Memory(path, "auto") as memory:
        assert memory.dropped("one") == frozenset()
        for parameter in ("seed", "temperature", "seed"):
            memory.drop("one", parameter)
        memory.drop("two", "logprobs")
    for mode in ("auto", "record", "replay"):
        with Memory(path, mode) as memory:
            assert memory.dropped("one") == {"seed", "temperature"}
            assert memory.dropped("three") == frozenset()


def test_spending_adds_up_over_memories(path: Path) -> None:
    with Memory(path, "auto") as one, Memory(path, "record") as other:
        assert one.spent("run") == Spent(0, 0, 0.0)
        assert one.spend("run", calls=1, tokens=5, usd=0.5) == Spent(1, 5, 0.5)
        assert other.spend("run", calls=2, tokens=0, usd=0.0) == Spent(3, 5, 0.5)
        assert other.spend("run", calls=-1, tokens=1, usd=0.0) == Spent(2, 6, 0.5)
        assert other.spend("another", calls=0, tokens=1, usd=0.0) == Spent(0, 1, 0.0)
        assert one.spent("run") == Spent(2, 6, 0.5)


def test_a_ceiling_is_met_and_never_passed(path: Path) -> None:
    with Memory(path, "auto") as memory:

        def spend(calls: int, ceiling: int | None) -> Spent:
            return memory.spend("run", calls=calls, tokens=7, usd=0.5, ceiling_calls=ceiling)

        assert spend(2, 3) == Spent(2, 7, 0.5)
        assert spend(2, 3) == Spent(2, 7, 0.5, refused=True)
        assert memory.spent("run") == Spent(2, 7, 0.5)
        assert spend(1, 3) == Spent(3, 14, 1.0)
        assert spend(1, 0).refused
        assert not spend(1, None).refused


# Modes


def test_replay_leaves_the_file_as_it_is(path: Path) -> None:
    with Memory(path, "auto") as memory:
        memory.keep(A, Remembered("yes"))
        memory.spend("run", calls=1, tokens=1, usd=1.0)
    before = path.read_bytes()
    with Memory(path, "replay") as memory:
        assert not memory.claim(A, lease=60)
        assert not memory.claim(B, lease=60)
        memory.keep(B, Remembered("no"))
        memory.write([(A, Remembered("no"))])
        memory.drop("who", "seed")
        memory.release(A)
        assert memory.spend("run", calls=1, tokens=1, usd=1.0) == Spent(1, 1, 1.0)
        assert memory.read([A, B]) == {A: Remembered("yes")}
        assert memory.dropped("who") == frozenset()
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_off_counts_and_keeps_nothing(path: Path) -> None:
    with Memory(path, "off") as memory:
        assert memory.claim(A, lease=60)
        memory.keep(A, Remembered("yes"))
        assert memory.recall(A) is None
        assert memory.claim(A, lease=60)
        memory.drop("who", "seed")
        assert memory.dropped("who") == {"seed"}
        memory.spend("run", calls=1, tokens=1, usd=1.0)
        assert memory.spend("run", calls=1, tokens=1, usd=1.0, ceiling_calls=1).refused
    assert not path.parent.exists()
