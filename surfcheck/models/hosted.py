"""A model behind an API, or a function: each question once, in this process and in all others.

Between the caller and the engine stand the single flight (equal questions are one call, whoever
asks), memory (its answers and, across processes, its claims) and the parameters: what a model
refuses is left out from then on, and what was in force is part of memory's key. The first
question goes alone, so that a wrong key or name costs one call.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable, Hashable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property, partial

from surfcheck.errors import BudgetReached, InfrastructureError, ModelError, UsageError
from surfcheck.models.engine import ATTEMPTS, LONGEST_WAIT, Engine, Terms, Unanswered
from surfcheck.models.flight import Flight
from surfcheck.models.gate import Gate
from surfcheck.models.limits import Lane
from surfcheck.models.loaded import Then
from surfcheck.models.memory import Memory, Remembered
from surfcheck.models.provider import Parameters, Provider, QuotaSpent, Reply, Unsupported
from surfcheck.models.python import Python
from surfcheck.records import Response
from surfcheck.roles import Ask

LOOK = 0.03
"""Seconds between two looks at what other processes have answered."""
TAKE_OVER = 0.5
"""Seconds after which a question that another process has claimed is claimed again."""


class Hosted:
    """A provider as a Model that remembers."""

    def __init__(
        self,
        provider: Provider,
        engine: Engine,
        memory: Memory | None = None,
        *,
        terms: Terms | None = None,
    ) -> None:
        """The engine closes the provider when it is closed itself."""
        self._provider, self._engine, self._terms = provider, engine, terms or Terms()
        self._memory = None if memory is None or memory.mode == "off" else memory
        self._mode = "off" if self._memory is None else self._memory.mode
        self._dropped: frozenset[str] = frozenset()
        self._reminded = self._memory is None
        # Some more than are asked at once: those at the file, before and after. A lane, because
        # a semaphore takes a second to let go of 10,000 who wait.
        most = engine.ceiling + engine.ceiling // 4
        self._room = Lane(start=most, ceiling=most)
        self._gate = Gate(
            opened=isinstance(provider, Python),  # no account, no key, no name to get wrong
            shared=(Unanswered, UsageError, QuotaSpent, BudgetReached),
        )
        self._elsewhere: dict[bytes, asyncio.Future[None]] = {}
        self._looking: asyncio.Task[None] | None = None
        engine.adopt(provider)

    @property
    def spec(self) -> str:
        """How it was named."""
        return self._provider.spec

    @cached_property
    def identity(self) -> str:
        """Who answers, and under which parameters if it takes them all."""
        asked_for = json.dumps(dict(self._provider.parameters), sort_keys=True)
        return f"{self._provider.identity} {asked_for}"

    @property
    def notes(self) -> tuple[str, ...]:
        """The provider's, and the parameters that the model was found to refuse."""
        refused = sorted(self._dropped & set(self._provider.parameters))
        without = (f"{self.spec} does not take {name}: asked without" for name in refused)
        return (*self._provider.notes, *without)

    def ask(self, asks: Sequence[Ask]) -> list[Response]:
        """One response an ask, in order; `remembered` on those that no call was made for.

        The first error is raised when nothing of this batch is being asked any more.
        """
        if not asks:
            return []
        return self._landed(asks) or self._engine.run(self._answers(asks))

    def _landed(self, asks: Sequence[Ask]) -> list[Response]:
        """The responses if all are there: no need to change threads, which takes milliseconds."""
        flights = {ask: self._engine.flights.get(self._name(ask)) for ask in asks}
        landed = {ask: f for ask, f in flights.items() if f and f.task.done() and not f.over}
        if len(landed) < len(flights):
            return []
        responses = [self._take(ask, landed[ask]) for ask in asks]
        for ask, flight in landed.items():
            self._forget(ask, flight)
        return responses

    def known(self, asks: Sequence[Ask]) -> int:
        """How many of these memory can answer."""
        return len(self._engine.run(self._recall(asks))) if asks else 0

    def expect(self, asks: Sequence[Ask], then: Then | None = None) -> None:
        """Begin to answer these; `then` is called on the engine's thread with each answer."""
        if asks:
            self._engine.start(self._begin(tuple(asks), then))

    async def _answers(self, asks: Sequence[Ask]) -> list[Response]:
        found = await self._find(asks)
        if self._mode == "replay" and (unknown := [ask for ask in asks if ask not in found]):
            raise ModelError(
                f"{self._path} has no answer of {self.spec} to {unknown[0].prompt.text[:60]!r} "
                f"({len(set(unknown))} in all); run with memory auto"
            )
        flights = {ask: each for ask, each in found.items() if isinstance(each, Flight)}
        for flight in flights.values():
            flight.waiting += 1
        try:
            await _land(list(flights.values()))
        finally:
            for ask, flight in flights.items():
                flight.waiting -= 1
                self._forget(ask, flight)
        return [self._take(ask, found[ask]) for ask in asks]

    async def _begin(self, asks: Sequence[Ask], then: Then | None) -> None:
        loop = asyncio.get_running_loop()
        found = await self._find(asks)
        for ask in asks:
            answer = found.get(ask)
            if isinstance(answer, Flight):
                answer.expected = True
                if then is not None:
                    answer.task.add_done_callback(partial(self._tell, ask, answer, then))
            elif answer is not None and then is not None:
                loop.call_soon(then, answer.response(ask, self.spec))

    def _tell(self, ask: Ask, flight: Flight, then: Then, task: asyncio.Task[Remembered]) -> None:
        if not task.cancelled() and task.exception() is None:
            response = task.result().response(ask, self.spec)
            then(replace(response, remembered=not flight.fresh))

    def _take(self, ask: Ask, answer: Remembered | Flight) -> Response:
        """The response; the first to take what was asked here is the one who has paid for it."""
        if isinstance(answer, Remembered):
            return answer.response(ask, self.spec)
        response = answer.task.result().response(ask, self.spec)
        paid, answer.fresh = answer.fresh, False
        return replace(response, remembered=not paid)

    async def _find(self, asks: Iterable[Ask]) -> dict[Ask, Remembered | Flight]:
        """What is remembered, and flights for the rest: joined, or begun. None in `replay`."""
        found: dict[Ask, Remembered | Flight] = {}
        new = []
        for ask in dict.fromkeys(asks):
            if (flight := self._under_way(ask)) is not None:
                found[ask] = flight
            else:
                new.append(ask)
        found.update(await self._recall(new))
        if self._mode != "replay":
            for ask in new:
                if ask not in found:  # another may have begun it in the meantime
                    found[ask] = self._under_way(ask) or self._take_off(ask)
        return found

    def _under_way(self, ask: Ask) -> Flight | None:
        flight = self._engine.flights.get(self._name(ask))
        return None if flight is None or flight.dropped else flight

    def _take_off(self, ask: Ask) -> Flight:
        flight = Flight()
        flight.task = self._engine.begin(self._fly(ask, flight))
        self._engine.flights[self._name(ask)] = flight
        return flight

    def _forget(self, ask: Ask, flight: Flight) -> None:
        """Keep an answer where memory doesn't, and what is still under way; forget the rest."""
        flights, name = self._engine.flights, self._name(ask)
        ended = flight.over or (flight.task.done() and self._mode == "auto")
        if ended and flights.get(name) is flight:
            del flights[name]

    async def _fly(self, ask: Ask, flight: Flight) -> Remembered:
        """The answer, from whoever has it first: memory, the model, or another process."""
        while True:
            async with self._gate, self._room:
                parameters = await self._in_force()
                key = self._key(ask, parameters)
                try:
                    claimed, kept = await self._engine.aside(partial(self._claim, key))
                    if kept is not None:
                        return kept
                    if claimed:
                        flight.asking = True
                        kept = await self._ask(ask, key, parameters)
                        flight.fresh = True
                        return kept
                except Unsupported as error:
                    self._release(key)
                    await self._drop(error.parameter, parameters)
                    continue
                except BaseException:
                    self._release(key)
                    raise
                finally:
                    flight.asking = False
            if self._memory is not None:
                await self._answered_elsewhere(key, self._memory)

    async def _ask(self, ask: Ask, key: bytes, parameters: Parameters) -> Remembered:
        reply = await self._engine.answer(self._provider, ask, parameters, self._terms)
        self._gate.opened = True
        kept = Remembered.of(self._response(ask, parameters, reply))
        if self._memory is not None:
            keep = partial(self._memory.keep, key, kept)
            await self._engine.aside(keep, always=True)
        return kept

    def _response(self, ask: Ask, parameters: Parameters, reply: Reply) -> Response:
        return Response(
            prompt=ask.prompt,
            text=reply.text,
            model=self.spec,
            sample=ask.sample,
            finish_reason=reply.finish_reason,
            prompt_tokens=reply.prompt_tokens,
            completion_tokens=reply.completion_tokens,
            refusal=reply.refusal,
            log_probability=reply.log_probability,
            usd=reply.usd,
            parameters=dict(parameters) if self._provider.parameters else None,
        )

    async def _in_force(self) -> Parameters:
        """What is asked for, without what the model is known to refuse."""
        if self._memory is not None and not self._reminded:
            dropped = partial(self._memory.dropped, self._provider.identity)
            known = await self._engine.aside(dropped)
            self._dropped, self._reminded = self._dropped | known, True
        given = self._provider.parameters
        return {name: given[name] for name in given if name not in self._dropped}

    async def _drop(self, parameter: str, parameters: Parameters) -> None:
        if parameter not in parameters:
            raise ModelError(
                f"{self.spec} refuses {parameter}, with which it was not asked; leave it out"
            )
        self._dropped |= {parameter}
        if self._memory is not None:
            drop = partial(self._memory.drop, self._provider.identity, parameter)
            await self._engine.aside(drop, always=True)

    def _name(self, ask: Ask) -> Hashable:
        """What makes two questions one flight."""
        return self.identity, self._path, ask

    def _key(self, ask: Ask, parameters: Parameters) -> bytes:
        messages = [[message.role, message.content] for message in ask.prompt.messages]
        named = [self._provider.identity, dict(parameters), messages, ask.sample]
        return hashlib.sha256(json.dumps(named, sort_keys=True).encode()).digest()

    @property
    def _path(self) -> str:
        return "" if self._memory is None else str(self._memory.path)

    async def _recall(self, asks: Sequence[Ask]) -> dict[Ask, Remembered]:
        """What memory knows of these, where it may be used."""
        if self._memory is None or self._mode == "record" or not asks:
            return {}
        parameters = await self._in_force()
        keys = {ask: self._key(ask, parameters) for ask in asks}
        known = await self._engine.aside(partial(self._memory.read, keys.values()))
        return {ask: known[key] for ask, key in keys.items() if key in known}

    def _claim(self, key: bytes) -> tuple[bool, Remembered | None]:
        """Whether this process is to ask, or else the answer if it is there by now."""
        if self._memory is None or self._mode != "auto":
            return True, None
        seconds = self._terms.timeout or self._engine.patience
        if self._memory.claim(key, lease=ATTEMPTS * (seconds + LONGEST_WAIT)):
            return True, None
        return False, self._memory.recall(key)

    def _release(self, key: bytes) -> None:
        if self._memory is not None and self._mode == "auto":
            release = partial(_quietly, partial(self._memory.release, key))
            self._engine.aside(release, always=True)

    async def _answered_elsewhere(self, key: bytes, memory: Memory) -> None:
        """Wait until another process has answered, or so long that it may have given up."""
        answered = self._elsewhere.setdefault(key, asyncio.get_running_loop().create_future())
        if self._looking is None or self._looking.done():
            self._looking = self._engine.begin(self._look(memory))
        try:
            await asyncio.wait({answered}, timeout=TAKE_OVER)
        finally:
            self._elsewhere.pop(key, None)

    async def _look(self, memory: Memory) -> None:
        """One look for all that is waited for, again and again."""
        while self._elsewhere:
            await asyncio.sleep(LOOK)
            look = partial(memory.read, list(self._elsewhere))
            for key in await self._engine.aside(look):
                if key in self._elsewhere:
                    self._elsewhere.pop(key).set_result(None)


async def _land(flights: Sequence[Flight]) -> None:
    """Wait for these. Raises the first error, in their order.

    At the first error those are dropped that nobody else wants, but for what is being asked.
    """
    pending = {flight.task for flight in flights}
    if pending:
        _, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_EXCEPTION)
    ours = [f for f in flights if f.task in pending and f.waiting == 1 and not f.expected]
    for flight in ours:
        if not flight.asking:
            flight.task.cancel()
    if ours:
        await asyncio.wait({flight.task for flight in ours})
    for flight in flights:
        if flight.task.done() and not flight.task.cancelled():
            flight.task.result()


def _quietly(call: Callable[[], None]) -> None:
    """For what is only tidying up: what is wrong with the file, somebody else will say."""
    with suppress(InfrastructureError):
        call()
