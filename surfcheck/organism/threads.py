"""How many threads to train with: all, unless the machine is busy and they only wait.

Threads that share each step meet after every operation. Beside a busy neighbour one of them is
late every time, and two threads are slower than one. So both are tried now and then.
"""

from __future__ import annotations

import time

import torch

TRIAL, TERM = 8, 250
"""Steps of a trial, and steps from one choice to the next."""


class Threads:
    """Call `step` before every step; `restore` puts torch back as it was."""

    def __init__(self) -> None:
        self._before = torch.get_num_threads()
        self._seconds: dict[int, float] = {}
        self._since = 0.0

    def step(self, number: int) -> None:
        """All threads for a few steps, one for a few, then the faster of the two for long."""
        place = number % TERM
        if self._before == 1 or place not in (0, TRIAL, 2 * TRIAL):
            return
        now = time.perf_counter()
        if place:
            self._seconds[torch.get_num_threads()] = now - self._since
        self._since = now
        if place == 2 * TRIAL:
            torch.set_num_threads(min(self._seconds, key=self._seconds.__getitem__))
        else:
            torch.set_num_threads(1 if place else self._before)

    def restore(self) -> None:
        """As many threads as at the start."""
        torch.set_num_threads(self._before)
