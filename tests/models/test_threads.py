"""Blocking calls in threads that keep no process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable

import pytest

from surfcheck.models.threads import Threads


def on_a_loop(work: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await work()

    asyncio.run(main())


def test_calls_run_together_in_as_many_threads_as_are_needed() -> None:
    before, threads = threading.active_count(), Threads(8)
    together = threading.Barrier(3)

    async def work() -> None:
        for _ in range(4):  # the same threads again
            await asyncio.gather(*(threads.submit(lambda: together.wait(5)) for _ in range(3)))

    on_a_loop(work)
    assert before + 3 <= threading.active_count() <= before + 8
    threads.close()
    assert threading.active_count() == before


def test_one_thread_takes_calls_in_order() -> None:
    threads, order = Threads(1), list[int]()

    async def work() -> None:
        calls = [threads.submit(lambda n=n: order.append(n)) for n in range(50)]
        await asyncio.gather(*calls)

    on_a_loop(work)
    threads.close()
    assert order == list(range(50))


def test_never_more_than_so_many() -> None:
    threads, names = Threads(3), set[str]()

    async def work() -> None:
        def call() -> None:
            names.add(str(threading.get_ident()))

        await asyncio.gather(*(threads.submit(call) for _ in range(200)))

    on_a_loop(work)
    threads.close()
    assert len(names) <= 3


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3), KeyboardInterrupt()])
def test_whatever_is_raised_belongs_to_who_asked(error: BaseException) -> None:
    threads = Threads(1)

    def call() -> None:
        raise error

    async def work() -> None:
        future = threads.submit(call)
        await asyncio.wait([future])
        assert future.exception() is error
        assert await threads.submit(lambda: "still here") == "still here"

    on_a_loop(work)
    threads.close()


def test_what_is_cancelled_in_time_is_not_called_unless_it_must_be() -> None:
    threads, called = Threads(1), list[str]()
    begun, go_on = threading.Event(), threading.Event()

    def block() -> None:
        begun.set()
        go_on.wait(5)

    async def work() -> None:
        running = threads.submit(block)
        await asyncio.sleep(0)
        begun.wait(5)
        dropped = threads.submit(lambda: called.append("dropped"))
        kept = threads.submit(lambda: called.append("kept"), always=True)
        for future in (running, dropped, kept):
            future.cancel()
        assert threads.lost == 1
        go_on.set()
        await threads.submit(lambda: called.append("last"))
        assert threads.lost == 0

    on_a_loop(work)
    threads.close()
    assert called == ["kept", "last"]
