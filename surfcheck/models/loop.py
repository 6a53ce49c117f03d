"""One event loop in one daemon thread, for callers who wait and callers who don't.

Knows nothing of models. Nothing starts before the first use, and nothing outlives `close` but a
call that lets itself neither be cancelled nor return; that one is left behind in its thread.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from surfcheck.errors import InfrastructureError
from surfcheck.models.threads import Threads

STALL = 30.0
"""Seconds without a beat after which the loop may count as held up."""
POLL = 1.0
"""Seconds between two looks at whether the loop still moves, for who waits."""
CLOSING = 3.0
"""Seconds that each step of stopping waits at most."""

T = TypeVar("T")


class Loop:
    """An event loop, a thread, and what was begun on it."""

    def __init__(self, *, patience: float) -> None:
        """`patience` is how long the loop may be held up, in seconds; at least STALL."""
        self.patience = patience
        self.threads = Threads(1)
        """For what would hold up the loop, files above all: one by one, in order."""
        self.finish: list[Callable[[], Awaitable[None]]] = []
        """What is to be called on the loop at its end."""
        self._tasks: set[asyncio.Task[Any]] = set()
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._closed = False
        self._beat = 0.0

    def start(self, work: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """Begin this and do not wait. Raises InfrastructureError after `close`."""
        future: concurrent.futures.Future[T] = concurrent.futures.Future()

        def begin() -> None:
            self.begin(work).add_done_callback(partial(_pass_on, future))

        try:
            self._running().call_soon_threadsafe(begin)
        except BaseException:
            work.close()
            raise
        return future

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of this, waited for. An interrupt cancels all that is under way.

        Raises InfrastructureError if it is cancelled, or held up by something on the loop.
        """
        if threading.current_thread() is self._thread:
            work.close()
            raise InfrastructureError(
                "a model was asked from inside an async function, where the answer can't be "
                "waited for; ask from a plain one"
            )
        try:  # an interrupt may come as soon as it is begun
            return self._wait(self.start(work))
        except concurrent.futures.CancelledError:
            raise InfrastructureError("the question was dropped; run again to ask it") from None
        except (KeyboardInterrupt, SystemExit):
            self.cancel()
            raise

    def begin(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """On the loop: a task that `cancel` knows of, and that nobody has to wait for."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(_retrieve)
        return task

    def cancel(self) -> None:
        """Drop everything begun and not yet done; return when it has stopped."""
        loop, thread = self._loop, self._thread
        if loop is None or thread is None or not thread.is_alive():
            return
        if threading.current_thread() is thread:
            for task in self._tasks:
                task.cancel()
            return
        with suppress(RuntimeError, TimeoutError):
            asyncio.run_coroutine_threadsafe(_stop(self._tasks), loop).result(2 * CLOSING)

    def close(self) -> None:
        """Cancel, do what is to be done at the end, end the thread. Nothing runs afterwards."""
        with self._lock:
            self._closed = True
            loop, thread = self._loop, self._thread
        if loop is None or thread is None:
            return
        with suppress(RuntimeError):  # closed before
            loop.call_soon_threadsafe(loop.stop)
        if threading.current_thread() is not thread:
            held_up = time.monotonic() - self._beat > CLOSING
            thread.join(CLOSING if held_up else 4 * CLOSING)

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._closed:
                raise InfrastructureError("the engine is closed: nothing is asked any more")
            if self._loop is None:
                self._loop, self._beat = asyncio.new_event_loop(), time.monotonic()
                self._thread = threading.Thread(
                    target=self._serve, args=(self._loop,), name="surfcheck", daemon=True
                )
                self._thread.start()
            return self._loop

    def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        self._tick(loop)
        loop.run_forever()
        with suppress(RuntimeError):  # stopped a second time
            loop.run_until_complete(asyncio.sleep(0))  # what was started a moment ago is begun
            loop.run_until_complete(_stop(self._tasks))
            loop.run_until_complete(_together(self.finish))
            loop.run_until_complete(loop.shutdown_asyncgens())
        self.threads.close(wait=CLOSING)
        loop.close()

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        self._beat = time.monotonic()
        loop.call_later(0.2, self._tick, loop)

    def _wait(self, future: concurrent.futures.Future[T]) -> T:
        still = 0
        while True:
            try:
                return future.result(timeout=POLL)
            except TimeoutError:
                if future.done():  # the work's own
                    return future.result()
            # Seen several times, because a process that was stopped has an old beat as well.
            still = still + 1 if time.monotonic() - self._beat > max(self.patience, STALL) else 0
            if still > 2:
                raise InfrastructureError(
                    "nothing moves any more: an async function does not await what it waits for; "
                    "make it a plain def, which is called in a thread"
                )


def _pass_on(future: concurrent.futures.Future[T], task: asyncio.Task[T]) -> None:
    if task.cancelled():
        future.cancel()
    elif (error := task.exception()) is not None:
        future.set_exception(error)
    else:
        future.set_result(task.result())


def _retrieve(task: asyncio.Task[Any]) -> None:
    """What nobody waits for any longer is not complained about."""
    if not task.cancelled():
        task.exception()


async def _stop(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel these and wait until they have stopped, or a while."""
    stopped = set(tasks)
    for task in stopped:
        task.cancel()
    if stopped:
        await asyncio.wait(stopped, timeout=CLOSING)


async def _together(calls: Iterable[Callable[[], Awaitable[None]]]) -> None:
    """Call these, for a while at most; what goes wrong at the end is of no interest."""
    tasks = [asyncio.ensure_future(call()) for call in calls]
    if tasks:
        with suppress(TimeoutError):
            everything = asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.wait_for(everything, timeout=CLOSING)
