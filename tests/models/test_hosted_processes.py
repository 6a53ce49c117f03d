"""A thousand calls, several processes, and a process that is killed."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from surfcheck.models import Engine, Memory, load
from surfcheck.records import Prompt
from surfcheck.roles import Ask


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "memory.sqlite"


SLOW = """
import asyncio, time
calls = 0
async def later(messages):
    global calls
    calls += 1
    await asyncio.sleep(0.05)
    return messages[-1]["content"]
def plain(messages):
    global calls
    calls += 1
    time.sleep(0.05)
    return messages[-1]["content"]
"""


@pytest.mark.parametrize("name", ["later", "plain"])
def test_calls_overlap(name: str, module: Callable[[str, str], None], path: Path) -> None:
    """1,000 calls of 50 ms with 64 in flight: ideal is 0.78 s; lenient, for a busy machine."""
    module("slow", SLOW)
    asks = [Ask(Prompt.of(f"question {n}")) for n in range(1000)]
    with Memory(path, "auto") as memory, Engine() as engine:
        model = load(f"python:slow:{name}", memory=memory, engine=engine)
        began = time.perf_counter()
        found = model.ask(asks)
        took = time.perf_counter() - began
    import slow

    assert [each.text for each in found] == [ask.prompt.text for ask in asks]
    assert slow.calls == 1000
    assert took < 3 * 1000 * 0.05 / 64


ASKING = """
import asyncio, os, sys
from pathlib import Path

def note(text):
    file = os.open("asked.txt", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, (text + "\\n").encode())
    os.close(file)

async def reply(messages):
    note(messages[-1]["content"])
    await asyncio.sleep(0.005)
    return messages[-1]["content"].upper()

if __name__ == "__main__":
    from surfcheck.models import Engine, Memory, load
    from surfcheck.records import Prompt
    from surfcheck.roles import Ask

    asks = [Ask(Prompt.of(f"question {n}")) for n in range(int(sys.argv[1]))]
    with Memory(Path("memory.sqlite"), "auto") as memory, Engine(ceiling=16) as engine:
        model = load("python:asking:reply", memory=memory, engine=engine)
        print("ready", flush=True)
        sys.stdin.readline()
        assert [r.text for r in model.ask(asks)] == [a.prompt.text.upper() for a in asks]
"""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[int], subprocess.Popen[str]]]:
    """A process that is about to ask so many questions, and shares its memory with others."""
    (tmp_path / "asking.py").write_text(ASKING)
    started: list[subprocess.Popen[str]] = []

    def start(questions: int) -> subprocess.Popen[str]:
        process = subprocess.Popen(  # noqa: S603
            [sys.executable, "asking.py", str(questions)],
            cwd=tmp_path,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_two_processes_ask_nothing_twice(
    start: Callable[[int], subprocess.Popen[str]], tmp_path: Path
) -> None:
    processes = [start(600), start(500)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        process.communicate(timeout=30)
    assert [process.returncode for process in processes] == [0, 0]
    asked = (tmp_path / "asked.txt").read_text().splitlines()
    assert len(asked) == len(set(asked)) == 600


def test_after_a_kill_only_what_was_not_answered_is_asked(
    start: Callable[[int], subprocess.Popen[str]], tmp_path: Path, path: Path
) -> None:
    asked = tmp_path / "asked.txt"
    asked.touch()
    answered = 0
    for kills in range(3):
        process = start(600)
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
        while len(asked.read_text().splitlines()) < 120 * (kills + 1):
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        process.wait()
    before = len(asked.read_text().splitlines())
    answered = _answered(path)
    assert before - answered <= 3 * 20  # those in flight at each kill
    start(600).communicate("go\n", timeout=30)
    assert len(asked.read_text().splitlines()) == before + 600 - answered
    assert _answered(path) == 600


def _answered(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        (count,) = connection.execute("SELECT count(*) FROM answers").fetchone()
    return int(count)
