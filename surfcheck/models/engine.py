"""The only place that waits: one event loop in one thread, for every hosted model of a process.

Callers block in `run` or go on after `start`; calls overlap here, within the limits of each
account (`limits`), of the session, and of the budget. An adapter says what went wrong, once; when
it is tried again, and when that is given up, is decided here. Nothing starts before the first use.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
import weakref
from collections.abc import Callable, Coroutine, Hashable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

from surfcheck.errors import ModelError, SurfcheckError, UsageError
from surfcheck.models.budget import Budget, Price
from surfcheck.models.flight import Flight
from surfcheck.models.limits import Backoff, Lane
from surfcheck.models.loop import Loop
from surfcheck.models.provider import (
    Parameters,
    Provider,
    QuotaSpent,
    Reply,
    Transient,
    Unsupported,
)
from surfcheck.models.python import Python
from surfcheck.records import Usage
from surfcheck.roles import Ask

ATTEMPTS = 6
"""How often one question is tried; how often a lane may be throttled without any answer."""
THROTTLES = 30
"""How often one question is throttled at most while others are answered."""
LONGEST_WAIT = 60.0
"""Seconds that a provider may ask to wait; more is a quota that is spent."""
START = 16
"""Calls in flight with which an account is begun."""

T = TypeVar("T")


class Unanswered(ModelError):
    """Tried again and again in vain; nothing may be wrong with the question."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How one model is asked, apart from its sampling parameters."""

    timeout: float | None = None
    """Seconds that one attempt may take; None is the engine's patience."""
    price: Price | None = None
    """What it costs, where its replies don't say."""


@dataclass(slots=True)
class Tries:
    """What one question has been through."""

    failed: int = 0
    """Attempts that went wrong."""
    throttled: int = 0
    """Attempts that came when too much was asked at once."""


class Engine:
    """An event loop for calls to models, with their limits. Usable as a context manager.

    One that nobody refers to any longer is closed.
    """

    def __init__(
        self,
        *,
        ceiling: int = 64,
        budget: Budget | None = None,
        patience: float = 120.0,
        backoff: Callable[[int], float] | None = None,
    ) -> None:
        """`ceiling` calls in flight at most; `patience` is how long one may take, in seconds.

        `backoff` gives the seconds to wait after the n-th attempt.
        """
        self.ceiling, self.budget, self.patience = ceiling, budget, patience
        self.usage = Usage()
        """What was answered: calls, tokens, and dollars where every price is known."""
        self.flights: dict[Hashable, Flight] = {}
        """Every question that is under way, or answered and not yet asked for."""
        self._loop = Loop(patience=patience)
        self._backoff = backoff or Backoff()
        self._room = asyncio.Semaphore(ceiling)
        self._lanes: dict[str, Lane] = {}
        self._counting = threading.Lock()
        weakref.finalize(self, self._loop.close)

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def adopt(self, provider: Provider) -> None:
        """Close this provider too when the engine is closed."""
        self._loop.finish.append(provider.close)

    def start(self, work: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """Begin this on the loop and do not wait. Raises InfrastructureError after `close`."""
        return self._loop.start(work)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of this, waited for. An interrupt cancels all that is under way.

        Raises InfrastructureError if it is cancelled, or held up by something on the loop.
        """
        return self._loop.run(work)

    def begin(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """On the loop: a task that `cancel` knows of, and that nobody has to wait for."""
        return self._loop.begin(work)

    def aside(self, call: Callable[[], T], *, always: bool = False) -> asyncio.Future[T]:
        """On the loop: the result of a call that would hold it up; these go one by one, in order.

        Cancelled before it was begun, it is not made, unless `always`.
        """
        return self._loop.threads.submit(call, always=always)

    def count(self, usage: Usage) -> None:
        """Add to `usage`, from any thread."""
        with self._counting:
            self.usage += usage

    def cancel(self) -> None:
        """Drop everything begun and not yet answered; return when it has stopped."""
        self._loop.cancel()

    def close(self) -> None:
        """Cancel, close the providers, end the thread. Nothing can be asked afterwards."""
        self._loop.close()

    async def answer(
        self, provider: Provider, ask: Ask, parameters: Parameters, terms: Terms | None = None
    ) -> Reply:
        """The reply to one ask, tried again where that may help, with its price where known.

        Raises Unanswered when it was tried often enough, BudgetReached, and what the provider
        raises. Its UsageError and QuotaSpent are the last word for every model on its lane, and so
        is Unanswered where nothing was ever answered.
        """
        terms, lane = terms or Terms(), self._lane(provider)
        tries = Tries()
        while True:
            number = await lane.enter(tries.failed + tries.throttled)
            try:
                async with self._room:
                    reply = await self._attempt(lane, provider, ask, parameters, terms)
                lane.answered()
                return reply
            except Transient as error:
                wait = self._again(provider, lane, number, error, tries)
            except (UsageError, QuotaSpent) as error:
                lane.close(error)
                raise
            finally:
                lane.leave()
            await asyncio.sleep(wait)

    def _again(
        self, provider: Provider, lane: Lane, number: int, error: Transient, tries: Tries
    ) -> float:
        """Seconds to wait before the next attempt. Raises Unanswered if there is to be none.

        Where too much was asked at once and again nothing was answered, or the provider says how
        long to wait, the whole lane waits. As long as it answers others, that too much was asked
        is not held against the question.
        """
        if error.after is not None and error.after > LONGEST_WAIT:
            spent = QuotaSpent(
                f"{provider.spec}: asks to wait {error.after:g} s, longer than the "
                f"{LONGEST_WAIT:g} s that a run waits ({error}); run again after that"
            )
            lane.close(spent)
            raise spent
        if error.throttled:
            tries.throttled += 1
            if lane.throttled(number) and lane.streak > 1:
                lane.hold(self._backoff(lane.streak - 1))
            lane.hold(error.after or 0.0)
            if lane.streak < ATTEMPTS and tries.throttled < THROTTLES:
                alone = lane.streak == 1 and error.after is None
                return self._backoff(min(tries.throttled, 3)) if alone else 0.0
        else:
            tries.failed += 1
            if tries.failed < ATTEMPTS:
                return self._backoff(tries.failed) if error.after is None else error.after
        never = "it has never answered and is not asked again in this run"
        later = "run again later" if lane.proven else never
        found = Unanswered(
            f"{provider.spec}: no answer in {tries.failed + tries.throttled} attempts ({error}); "
            f"{later}"
        )
        if not lane.proven:  # else every question would wait as long as this one did
            lane.close(found)
        raise found

    async def _attempt(
        self, lane: Lane, provider: Provider, ask: Ask, parameters: Parameters, terms: Terms
    ) -> Reply:
        """One call, counted before and after."""
        budget = self.budget if self.budget is not None and self.budget.limited else None
        if budget is not None:
            expected = ask.prompt.about_tokens
            await self.aside(partial(budget.begin, expected))
        try:
            reply = await self._call(lane, provider, ask, parameters, terms)
        except (Transient, Unsupported, UsageError, QuotaSpent) as error:
            refused = error.throttled if isinstance(error, Transient) else True
            if budget is not None and refused:
                await self.aside(budget.give_back, always=True)
            raise
        usd = reply.usd
        if usd is None and terms.price is not None:
            usd = terms.price.of(reply)
        tokens = reply.tokens
        self.count(Usage(calls=1, tokens=tokens, usd=usd))
        if budget is not None:
            await self.aside(partial(budget.end, tokens, usd), always=True)
            if usd is None and budget.usd is not None:
                raise UsageError(unpriced(provider.spec))
        return replace(reply, usd=usd)

    async def _call(
        self, lane: Lane, provider: Provider, ask: Ask, parameters: Parameters, terms: Terms
    ) -> Reply:
        """What the provider says, within the time that it has."""
        if lane.closed is not None:  # while this one waited for room
            raise lane.closed.with_traceback(None)
        seconds = self.patience if terms.timeout is None else terms.timeout
        call = self.begin(provider.complete(ask, parameters))
        lane.watch(call)
        try:
            # Not asyncio.timeout: that waits for a call to be cancelled, which it may not let be.
            await asyncio.wait({call}, timeout=seconds)
        finally:
            call.cancel()
        if call.done() and not call.cancelled():
            return _result(provider, call)
        if lane.closed is not None:
            raise lane.closed.with_traceback(None)
        if call.cancelled():
            raise Transient("the call was cancelled")
        if isinstance(provider, Python):  # how to wait and retry is the function's business
            raise ModelError(
                f"{provider.spec} did not return within {seconds:g} s; correct the function, "
                "or give it longer with ?timeout=SECONDS"
            )
        raise Transient(f"no answer within {seconds:g} s")

    def _lane(self, provider: Provider) -> Lane:
        if provider.lane not in self._lanes:
            start = self.ceiling if isinstance(provider, Python) else START
            self._lanes[provider.lane] = Lane(start=start, ceiling=self.ceiling)
        return self._lanes[provider.lane]


def unpriced(spec: str) -> str:
    """What to say where dollars are bounded and a model has no price."""
    return (
        f"{spec}: its price is not known, and --surf-max-usd needs it; add "
        "?usd_in=…&usd_out=… in dollars a million tokens"
    )


def _result(provider: Provider, call: asyncio.Task[Reply]) -> Reply:
    try:
        return call.result()
    except SurfcheckError:
        raise
    except Exception as error:  # an adapter that lets its SDK's error through
        raise ModelError(
            f"{provider.spec}: its adapter failed with {type(error).__name__}; report this"
        ) from error
