"""The first question goes alone: a wrong key or a wrong name costs one call, not sixty-four."""

from __future__ import annotations

import asyncio

from surfcheck.errors import SurfcheckError


class Gate:
    """An async context that one at a time can be in, until it is opened for good."""

    def __init__(self, *, opened: bool, shared: tuple[type[SurfcheckError], ...]) -> None:
        self.opened = opened
        """Whether everybody may pass."""
        self._shared = shared
        self._first: asyncio.Task[object] | None = None
        self._passed: asyncio.Future[None] | None = None

    async def __aenter__(self) -> None:
        """Wait while another is alone inside. Raises what that one did, if it is a `shared` error.

        Such an error is no fault of the question, so those that waited need not find out one by
        one.
        """
        while not self.opened and self._passed is not None:
            await asyncio.shield(self._passed)
        if not self.opened:
            self._first = asyncio.current_task()
            self._passed = asyncio.get_running_loop().create_future()

    async def __aexit__(self, _: object, error: BaseException | None, __: object) -> None:
        if self._passed is None or self._first is not asyncio.current_task():
            return
        if isinstance(error, self._shared):
            self._passed.set_exception(error)
            self._passed.exception()  # perhaps nobody waits
        else:
            self._passed.set_result(None)
        self._passed = None
