"""How many calls one account takes at once, found out by asking: AIMD, as TCP does it.

The window doubles with every round-trip until the provider first says that it is too much, grows
by one a window from then on, and shrinks to seven tenths each time it is too much again. Where
the provider says how long to wait, nobody on the lane asks before. Everything here belongs to one
event loop; what a call is, and when it is tried again, is the engine's.
"""

from __future__ import annotations

import asyncio
import heapq
import os
from random import Random
from typing import Any

from surfcheck.errors import SurfcheckError

SHRINK = 0.7

_Waiter = tuple[int, int, "asyncio.Future[int]"]


class Lane:
    """The calls that one account has in flight."""

    def __init__(self, *, start: int, ceiling: int) -> None:
        self.window = float(min(start, ceiling))
        """How many may be in flight; what is after the point waits for more of it."""
        self.in_flight = 0
        """How many are."""
        self.closed: SurfcheckError | None = None
        """Why nothing more will be answered, once that is known."""
        self.streak = 0
        """How many cuts there were since the last answer."""
        self.proven = False
        """Whether anything was ever answered."""
        self._ceiling = ceiling
        self._doubling = True
        self._begun = 0
        self._uncut = 0  # the first call that was begun after the last cut
        self._held_until = 0.0
        self._alarm: asyncio.TimerHandle | None = None
        self._running: set[asyncio.Task[Any]] = set()
        self._waiting: list[_Waiter] = []
        self._arrived = 0

    async def enter(self, attempt: int = 1) -> int:
        """Wait for room; who has tried more often goes first. The number of the call.

        Raises what the lane was closed with. Who has entered has to `leave`.
        """
        if self.closed is not None:
            raise self.closed.with_traceback(None)  # one error, raised to many
        waiter: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (-attempt, self._arrived, waiter))
        self._arrived += 1
        self._admit()
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():  # let in and cancelled at the same time
                self.leave()
            raise

    def leave(self) -> None:
        """One call fewer is in flight."""
        self.in_flight -= 1
        self._admit()

    async def __aenter__(self) -> None:
        await self.enter()

    async def __aexit__(self, *_: object) -> None:
        self.leave()

    def answered(self) -> None:
        """A call that is still in flight was answered; a window that is full grows."""
        self.streak, self.proven = 0, True
        if self.in_flight >= int(self.window):
            grown = self.window + (1.0 if self._doubling else 1.0 / self.window)
            self.window = min(grown, float(self._ceiling))

    def throttled(self, number: int) -> bool:
        """The call of this number was too much: shrink. Whether it is the first to say so.

        Calls that were in flight together are turned away together, and count once.
        """
        if number < self._uncut:
            return False
        self._doubling = False
        self.streak += 1
        self._uncut = self._begun
        self.window = max(1.0, self.window * SHRINK)
        return True

    def hold(self, seconds: float) -> None:
        """Let nobody in for so long; the longest wins."""
        until = asyncio.get_running_loop().time() + seconds
        self._held_until = max(self._held_until, until)

    def watch(self, call: asyncio.Task[Any]) -> None:
        """A call that `close` is to cancel."""
        self._running.add(call)
        call.add_done_callback(self._running.discard)

    def close(self, error: SurfcheckError) -> None:
        """Nothing more will be answered: whoever waits is told, and whoever comes."""
        self.closed = self.closed or error
        for call in self._running:
            call.cancel()
        waiting, self._waiting = self._waiting, []
        for _, _, waiter in waiting:
            if not waiter.done():
                waiter.set_exception(self.closed)

    def _admit(self) -> None:
        """Let in whoever may enter now, and come back when a hold is over."""
        loop = asyncio.get_running_loop()
        while self._waiting and self.in_flight < int(self.window):
            if loop.time() < self._held_until:
                if self._alarm is None:
                    self._alarm = loop.call_at(self._held_until, self._wake)
                return
            _, _, waiter = heapq.heappop(self._waiting)
            if waiter.done():  # cancelled while it waited
                continue
            waiter.set_result(self._begun)
            self._begun += 1
            self.in_flight += 1

    def _wake(self) -> None:
        self._alarm = None
        self._admit()


class Backoff:
    """Seconds to wait before an attempt: exponential with full jitter (Brooker 2015)."""

    def __init__(
        self, *, first: float = 0.5, longest: float = 30.0, random: Random | None = None
    ) -> None:
        self._first, self._longest = first, longest
        # The workers of one run must not come back at the same moments.
        self._random = random or Random(os.getpid())

    def __call__(self, attempt: int) -> float:
        """How long to wait after this attempt, counted from 1, has failed."""
        return self._random.uniform(0.0, min(self._longest, self._first * 2 ** (attempt - 1)))
