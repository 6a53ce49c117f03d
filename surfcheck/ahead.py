"""Asks what the next items will ask, while the present one is judged.

Tests stay sequential; calls overlap. An item's first round is known before it runs: the cases are
drawn from its seed. What its body does with them is known once another item of the same test has
run: if that one asked for its prompts as they are, the next ones are asked ahead; if it judged by a
rubric, each of their answers goes to the judges as soon as it is there. At most a window of asks
is begun and not yet needed, so that `-x` wastes little.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Protocol

from surfcheck.cases import Effort, Item
from surfcheck.fixtures import Heard, Target, asks
from surfcheck.judge.panel import Panel
from surfcheck.judge.rubric import Rubric
from surfcheck.records import Case, Response
from surfcheck.roles import Ask


class Eager(Protocol):
    """A model that can begin before it is asked."""

    def expect(self, asks: Sequence[Ask], then: Heard | None = None) -> None:
        """Begin to answer these; a later `ask` joins them. `then` must not wait."""


class Circle(Protocol):
    """Those around the target: what it is told, and who judges it."""

    @property
    def system(self) -> str | None:
        """The system prompt, if the run has one."""

    @property
    def judged(self) -> bool:
        """Whether there are judge models."""

    @property
    def judges(self) -> Sequence[Eager]:
        """The judge models."""

    @property
    def panel(self) -> Panel:
        """The judges together."""


class Ahead:
    """The items of a run in order, and how far they have been asked."""

    def __init__(
        self,
        items: Sequence[Item],
        asked: Sequence[Eager],
        circle: Circle,
        effort: Effort,
        *,
        window: int,
    ) -> None:
        """The models in `asked` are asked ahead, and the judges of the circle after them."""
        self._items, self._place = list(items), {item.item: n for n, item in enumerate(items)}
        self._asked, self._circle, self._effort, self._window = asked, circle, effort, window
        self._cases: dict[str, list[Case]] = {}
        self._begun: dict[str, int] = {}
        self._known: set[str] = set()
        self._strange: set[str] = set()
        self._rubrics: dict[str, Rubric] = {}
        self._waiting: dict[str, list[Response]] = {}
        self._lock = threading.Lock()

    def cases(self, item: Item) -> list[Case]:
        """The item's first round, drawn once."""
        if item.item not in self._cases:
            self._cases[item.item] = item.cases(self._effort)
        return self._cases[item.item]

    def go_on(self, item: Item) -> None:
        """The run is at this item: begin what comes after it, as far as the window goes.

        Nothing while half of the window is under way: a model is told of many asks at once.
        """
        place = self._place.get(item.item)
        if place is None:
            return
        # What was passed without being run is another process's: xdist deals the items out.
        for passed in [name for name in self._begun if self._place[name] < place]:
            del self._begun[passed]
        under_way = sum(self._begun.values())
        if 2 * under_way > self._window:
            return
        new: dict[str, list[Ask]] = {}
        for coming in islice(self._items, place + 1, None):
            if under_way >= self._window:
                break
            if coming.test in self._known and coming.item not in self._begun:
                first = self._drawn(coming)
                self._begun[coming.item] = len(first)
                under_way += len(first)
                new.setdefault(coming.test, []).extend(first)
        for test, first_rounds in new.items():
            for model in self._asked:
                model.expect(first_rounds, self.heard(test))

    def done(self, item: Item, target: Target) -> None:
        """The item is through; its test is known by what the body asked for."""
        self._begun.pop(item.item, None)
        wanted = self._first(item)
        self._cases.pop(item.item, None)
        if target.asked.isdisjoint(wanted):
            self._strange.add(item.test)
            self._known.discard(item.test)
        elif item.test not in self._strange:
            self._known.add(item.test)

    def heard(self, test: str) -> Heard:
        """What to do with an answer to an item of `test`: show it to the judges."""

        def judged(response: Response) -> None:
            if not self._circle.judged or not response.text.strip():
                return  # nobody is asked about nothing
            with self._lock:
                rubric = self._rubrics.get(test)
                if rubric is None:
                    self._waiting.setdefault(test, []).append(response)
                    return
            self._judge(response, rubric)

        return judged

    def learned(self, test: str) -> Callable[[Rubric], None]:
        """What to do with the rubric that a body of `test` judges by: judge what waits for it."""

        def use(rubric: Rubric) -> None:
            with self._lock:
                before = self._rubrics.setdefault(test, rubric)
                waiting = self._waiting.pop(test, [])
            if before == rubric:
                for response in waiting:
                    self._judge(response, rubric)

        return use

    def _first(self, item: Item) -> tuple[Ask, ...]:
        prompts = [case.prompt for case in self.cases(item)]
        return asks(prompts, range(1), self._circle.system)

    def _drawn(self, item: Item) -> tuple[Ask, ...]:
        """The first round; nothing where it can't be drawn, which is that item's own error."""
        try:
            return self._first(item)
        except Exception:  # a perturbation is anybody's code, or its file has a bad line
            return ()

    def _judge(self, response: Response, rubric: Rubric) -> None:
        ask = self._circle.panel.asks(response, rubric)
        for judge in self._circle.judges:
            judge.expect([ask])
