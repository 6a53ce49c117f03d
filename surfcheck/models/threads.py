"""Blocking calls from an event loop, in daemon threads.

The standard library's executor joins its threads when the interpreter ends, so that one call that
never returns keeps the process for ever. These are left behind.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")


class _Job(NamedTuple):
    call: Callable[[], Any]
    future: asyncio.Future[Any]
    always: bool

    def run(self) -> None:
        result, error = None, None
        try:
            result = self.call()
        except BaseException as raised:  # SystemExit too belongs to who asked
            error = raised
        with suppress(RuntimeError):  # the loop is closed: nobody waits
            self.future.get_loop().call_soon_threadsafe(self._settle, result, error)

    def _settle(self, result: Any, error: BaseException | None) -> None:
        if self.future.done():
            return
        if error is None:
            self.future.set_result(result)
        else:
            self.future.set_exception(error)


class Threads:
    """At most so many threads, each started when all others are at work."""

    def __init__(self, most: int) -> None:
        self.most = most
        """How many calls run at once."""
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._unfinished = 0
        self._running: set[_Job] = set()

    @property
    def lost(self) -> int:
        """How many threads are in a call that nobody waits for any longer."""
        with self._lock:
            return sum(job.future.cancelled() for job in self._running)

    def submit(self, call: Callable[[], T], *, always: bool = False) -> asyncio.Future[T]:
        """Its result, later, on the running loop; first come, first served.

        Cancelled before it was begun, it is not called, unless `always`.
        """
        job = _Job(call, asyncio.get_running_loop().create_future(), always)
        with self._lock:
            self._unfinished += 1
            if self._unfinished > len(self._threads) < self.most:
                thread = threading.Thread(target=self._serve, name="surfcheck", daemon=True)
                self._threads.append(thread)
                thread.start()
        self._jobs.put(job)
        return job.future

    def close(self, *, wait: float = 1.0) -> None:
        """Let the threads end after what was submitted; one that doesn't return is left behind."""
        with self._lock:
            threads, self._threads = self._threads, []
        for _ in threads:
            self._jobs.put(None)
        deadline = time.monotonic() + wait
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _serve(self) -> None:
        while (job := self._jobs.get()) is not None:
            if job.always or not job.future.cancelled():
                with self._lock:
                    self._running.add(job)
                job.run()
                with self._lock:
                    self._running.discard(job)
            with self._lock:
                self._unfinished -= 1
            del job  # else an idle thread holds what it answered last
