"""An event loop in a thread, for callers who wait."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Iterator

import pytest

from surfcheck.errors import InfrastructureError
from surfcheck.models import loop as loops
from surfcheck.models.loop import Loop


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = Loop(patience=60)
    yield loop
    loop.close()


class Endless:
    """Work that only a cancellation ends."""

    def __init__(self) -> None:
        self.begun, self.ended = threading.Event(), threading.Event()

    async def __call__(self) -> None:
        self.begun.set()
        try:
            await asyncio.sleep(600)
        finally:
            self.ended.set()


def test_nothing_starts_before_the_first_use() -> None:
    before = threading.active_count()
    loop = Loop(patience=60)
    loop.cancel()
    loop.close()
    assert threading.active_count() == before


def test_closing_cancels_what_is_under_way_and_ends_the_threads(loop: Loop) -> None:
    before, endless, ended = threading.active_count(), Endless(), list[str]()

    async def finish() -> None:
        assert endless.ended.is_set()
        ended.append(threading.current_thread().name)

    async def fails() -> None:
        raise ConnectionError("closing a connection that is closed")

    async def aside() -> int:
        return await loop.threads.submit(lambda: 7)

    loop.finish += [fails, finish]
    begun = loop.start(endless())
    assert loop.run(aside()) == 7
    assert threading.active_count() == before + 2
    assert endless.begun.wait(5)
    loop.close()
    assert threading.active_count() == before
    assert ended == ["surfcheck"]
    assert begun.cancelled()
    loop.close()
    with pytest.raises(InfrastructureError, match="the engine is closed"):
        loop.run(endless())


def test_work_can_be_begun_and_fetched_later(loop: Loop) -> None:
    begun = loop.start(asyncio.sleep(0.01, "done"))
    assert loop.run(asyncio.sleep(0, "meanwhile")) == "meanwhile"
    assert begun.result(5) == "done"


def test_an_error_of_the_work_is_its_own(loop: Loop) -> None:
    async def work() -> None:
        raise TimeoutError("its own")

    with pytest.raises(TimeoutError, match="its own"):
        loop.run(work())


def test_asking_from_inside_is_refused_and_not_a_deadlock(loop: Loop) -> None:
    async def work() -> None:
        loop.run(asyncio.sleep(0))

    with pytest.raises(InfrastructureError, match="ask from a plain one"):
        loop.run(work())


def test_cancelling_stops_everything_and_the_loop_goes_on(loop: Loop) -> None:
    endless, said = Endless(), list[str]()

    def caller() -> None:
        with pytest.raises(InfrastructureError) as caught:
            loop.run(endless())
        said.append(str(caught.value))

    thread = threading.Thread(target=caller)
    thread.start()
    assert endless.begun.wait(5)
    loop.cancel()
    assert endless.ended.is_set()
    thread.join(5)
    assert said == ["the question was dropped; run again to ask it"]
    assert loop.run(asyncio.sleep(0, "still here")) == "still here"


def test_an_interrupt_of_who_waits_cancels_what_is_under_way(loop: Loop) -> None:
    endless = Endless()
    begun = loop.start(endless())

    async def interrupt() -> None:
        endless.begun.wait(5)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        await asyncio.sleep(600)

    with pytest.raises(KeyboardInterrupt):
        loop.run(interrupt())
    assert endless.ended.is_set()
    assert begun.cancelled()


def test_a_function_that_holds_up_the_loop_is_an_error_and_not_a_hang(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    released = threading.Event()

    async def work() -> None:
        released.wait(30)

    monkeypatch.setattr(loops, "STALL", 0.05)
    monkeypatch.setattr(loops, "POLL", 0.02)
    loop = Loop(patience=0.05)
    with pytest.raises(InfrastructureError, match="make it a plain def"):
        loop.run(work())
    released.set()
    loop.close()
