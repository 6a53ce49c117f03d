"""How many calls at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from random import Random

import pytest

from surfcheck.errors import UsageError
from surfcheck.models.limits import Backoff, Lane


def on_a_loop(work: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await work()

    asyncio.run(main())


def want(lane: Lane, calls: int) -> list[asyncio.Future[int]]:
    """So many calls that want to be let in, in order."""
    return [asyncio.ensure_future(lane.enter()) for _ in range(calls)]


async def round_trip(lane: Lane) -> int:
    """What is in flight is answered, one by one; how many are in flight then."""
    await asyncio.sleep(0)
    for _ in range(lane.in_flight):
        lane.answered()
        lane.leave()
    await asyncio.sleep(0)
    return lane.in_flight


async def drop(wanted: list[asyncio.Future[int]]) -> None:
    for each in wanted:
        each.cancel()
    await asyncio.wait(wanted)


def test_the_window_doubles_with_every_round_trip_up_to_the_ceiling() -> None:
    async def work() -> None:
        lane = Lane(start=4, ceiling=50)
        wanted = want(lane, 1000)
        assert [await round_trip(lane) for _ in range(6)] == [8, 16, 32, 50, 50, 50]
        await drop(wanted)

    on_a_loop(work)


def test_a_window_that_is_not_full_does_not_grow() -> None:
    async def work() -> None:
        lane = Lane(start=4, ceiling=50)
        for _ in range(5):
            wanted = want(lane, 3)
            assert await round_trip(lane) == 0
            await asyncio.gather(*wanted)
        assert lane.window == 4

    on_a_loop(work)


def test_it_never_starts_above_the_ceiling() -> None:
    assert Lane(start=16, ceiling=5).window == 5


def test_after_a_throttle_it_grows_by_one_a_window() -> None:
    async def work() -> None:
        lane = Lane(start=20, ceiling=100)
        assert lane.throttled(await lane.enter())
        lane.leave()
        assert lane.window == pytest.approx(14)
        wanted = want(lane, 1000)
        assert [await round_trip(lane) for _ in range(4)] == [14, 15, 16, 17]
        await drop(wanted)

    on_a_loop(work)


def test_calls_that_were_in_flight_together_count_once() -> None:
    async def work() -> None:
        lane = Lane(start=10, ceiling=100)
        together = [await lane.enter() for _ in range(10)]
        assert [lane.throttled(number) for number in together] == [True] + [False] * 9
        assert lane.window == pytest.approx(7)
        for _ in together:
            lane.leave()
        assert lane.throttled(await lane.enter())  # begun after the cut
        assert lane.window == pytest.approx(4.9)

    on_a_loop(work)


def test_one_call_is_always_let_in() -> None:
    async def work() -> None:
        lane = Lane(start=2, ceiling=100)
        for _ in range(20):
            lane.throttled(await lane.enter())
            lane.leave()
        assert lane.window == 1
        wanted = want(lane, 5)
        await asyncio.sleep(0)
        assert lane.in_flight == 1
        await drop(wanted)

    on_a_loop(work)


def test_while_a_wait_is_pending_nobody_gets_in() -> None:
    async def work() -> None:
        loop, lane = asyncio.get_running_loop(), Lane(start=4, ceiling=4)
        lane.hold(0.05)
        lane.hold(0.01)  # the longest wins
        began = loop.time()
        wanted = want(lane, 4)
        await asyncio.sleep(0)
        assert lane.in_flight == 0
        await asyncio.gather(*wanted)
        assert loop.time() - began >= 0.049

    on_a_loop(work)


def test_who_has_tried_more_often_goes_first() -> None:
    async def work() -> None:
        lane, order = Lane(start=1, ceiling=1), []

        async def call(name: str, attempt: int) -> None:
            await lane.enter(attempt)
            order.append(name)
            lane.leave()

        await lane.enter()
        calls = [call("a", 1), call("b", 1), call("c", 3), call("d", 2), call("e", 3)]
        tasks = [asyncio.ensure_future(each) for each in calls]
        await asyncio.sleep(0)
        lane.leave()
        await asyncio.gather(*tasks)
        assert order == ["c", "e", "d", "a", "b"]

    on_a_loop(work)


def test_who_no_longer_waits_takes_no_room() -> None:
    async def work() -> None:
        lane = Lane(start=1, ceiling=1)
        await lane.enter()
        waiting, admitted, last = (asyncio.ensure_future(lane.enter()) for _ in range(3))
        await asyncio.sleep(0)
        waiting.cancel()
        lane.leave()  # lets `admitted` in, which is cancelled before it notices
        admitted.cancel()
        await asyncio.wait([waiting, admitted])
        await asyncio.wait_for(last, 1)
        assert lane.in_flight == 1

    on_a_loop(work)


def test_a_closed_lane_tells_everybody() -> None:
    async def work() -> None:
        lane, error = Lane(start=1, ceiling=1), UsageError("wrong key; set a valid one")
        await lane.enter()
        call = asyncio.ensure_future(asyncio.sleep(60))
        lane.watch(call)
        waiting = asyncio.ensure_future(lane.enter())
        await asyncio.sleep(0)
        lane.close(error)
        lane.close(UsageError("something later"))
        await asyncio.wait([call])
        assert call.cancelled()
        for late in (waiting, lane.enter()):
            with pytest.raises(UsageError, match="wrong key"):
                await late

    on_a_loop(work)


def test_waits_double_with_full_jitter_up_to_the_longest() -> None:
    backoff = Backoff(random=Random(0))
    for attempt, most in ((1, 0.5), (2, 1.0), (3, 2.0), (6, 16.0), (7, 30.0), (12, 30.0)):
        waits = [backoff(attempt) for _ in range(500)]
        assert 0 <= min(waits) < 0.05 * most
        assert 0.95 * most < max(waits) <= most
    assert drawn(0) == drawn(0) != drawn(1)


def drawn(seed: int) -> list[float]:
    backoff = Backoff(random=Random(seed))
    return [backoff(attempt) for attempt in range(1, 4)]
