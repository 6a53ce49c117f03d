"""One question under way, or answered and not yet asked for: whoever wants it too joins it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from surfcheck.models.remembered import Remembered


@dataclass(eq=False, slots=True)
class Flight:
    """What is known of a question that this process answers; belongs to the event loop."""

    task: asyncio.Task[Remembered] = field(init=False)
    """Ends with the answer."""
    asking: bool = False
    """Whether the model is being asked, so that dropping it would waste a call."""
    fresh: bool = False
    """Whether it was asked here and is not handed out yet: who takes it has made the call."""
    waiting: int = 0
    """How many wait for it."""
    expected: bool = False
    """Whether somebody will ask for it later."""

    @property
    def dropped(self) -> bool:
        """Whether it was cancelled: nobody may join it any more."""
        return self.task.cancelled() or self.task.cancelling() > 0

    @property
    def over(self) -> bool:
        """Whether it has ended without an answer."""
        return self.task.done() and (self.task.cancelled() or self.task.exception() is not None)
