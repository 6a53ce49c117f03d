"""One alone, until the way is known to be open."""

from __future__ import annotations

import asyncio

import pytest

from surfcheck.errors import ModelError, UsageError
from surfcheck.models.gate import Gate


class Visitors:
    """Go through a gate; the first so many raise what they are given."""

    def __init__(self, *errors: Exception, opens: bool = True) -> None:
        self.gate = Gate(opened=False, shared=(UsageError,))
        self.errors, self.opens = list(errors), opens
        self.inside = self.most = self.came = 0

    async def visit(self) -> None:
        async with self.gate:
            self.came += 1
            self.inside += 1
            self.most = max(self.most, self.inside)
            await asyncio.sleep(0)
            self.inside -= 1
            if self.errors:
                raise self.errors.pop(0)
            self.gate.opened = self.opens

    def all(self, count: int) -> list[BaseException | None]:
        async def main() -> list[BaseException | None]:
            visits = (self.visit() for _ in range(count))
            return await asyncio.gather(*visits, return_exceptions=True)

        return asyncio.run(main())


def test_until_it_is_opened_one_at_a_time_is_inside() -> None:
    shut = Visitors(opens=False)
    assert shut.all(20) == [None] * 20
    assert (shut.most, shut.came) == (1, 20)
    opened = Visitors()
    opened.all(20)
    assert opened.most == 19


def test_an_error_of_ones_own_lets_the_next_one_try() -> None:
    error = ModelError("too long")
    visitors = Visitors(error, error)
    assert visitors.all(5) == [error, error, None, None, None]
    assert visitors.most == 2


def test_a_shared_error_is_everybodys_who_waited_and_nobodys_who_comes_later() -> None:
    error = UsageError("wrong key")
    visitors = Visitors(error)
    assert visitors.all(5) == [error] * 5
    assert visitors.came == 1
    assert visitors.all(5) == [None] * 5


def test_who_is_cancelled_inside_lets_the_next_one_in() -> None:
    async def main() -> None:
        gate = Gate(opened=False, shared=())

        async def stay() -> None:
            async with gate:
                await asyncio.sleep(60)

        first, second, third = (asyncio.ensure_future(stay()) for _ in range(3))
        await asyncio.sleep(0)
        second.cancel()
        first.cancel()
        await asyncio.wait([first, second])
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(third), 0.01)  # inside, and alone
        third.cancel()
        await asyncio.wait([third])
        async with gate:
            pass

    asyncio.run(main())
