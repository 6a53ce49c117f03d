"""State over one `pytest --surf`: the target, its answers, the results, and what becomes of them.

Knows nothing of pytest. Nothing is loaded, asked or written before the first item needs it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from surfcheck.check import Body, Effort, Item, Judging, Target, check
from surfcheck.errors import InfrastructureError, SurfcheckError
from surfcheck.records import (
    AttributionReport,
    Contrast,
    Exchange,
    Failure,
    InvariantResult,
    ItemResult,
    Response,
    ResultWord,
    RunReport,
    Usage,
)
from surfcheck.report.json import write_contrasts, write_run
from surfcheck.report.text import failure_text, line
from surfcheck.roles import Ask, Model, Progress
from surfcheck.settings import Settings
from surfcheck.statistics import wilson

Working = Callable[[], AbstractContextManager[Progress]]
"""Shows progress while its context is open."""

Contrasts = dict[str, tuple[Contrast, ...]]
"""Broken beside held answers, by test; without the tests that no answer held."""

_WORST: tuple[ResultWord, ...] = ("fail", "error", "inconclusive", "pass", "skipped")


class Place(NamedTuple):
    """What the target comes to."""

    model: str
    """A spec that `models.load` knows."""
    base: str | None
    """Checkpoint before post-training, where known."""
    data: str | None
    """Post-training data, where known."""


class Session:
    """One run, in one process: the controller's gathers what the workers' items came to."""

    def __init__(self, settings: Settings, *, folder: Path, working: Working) -> None:
        self.settings = settings
        self.notices: list[str] = []
        """What a person should know of the run, a line each."""
        self._folder, self._working = folder, working
        self._answers: dict[Ask, Response] = {}
        self._model = _Unloaded(self)
        self._results: dict[str, ItemResult] = {}
        self._open = ExitStack()

    def close(self) -> None:
        """Let go of the memory's file; nothing is asked after this."""
        self._open.close()

    def target(self) -> Target:
        """The fixture `target` of one item; all of them share their answers."""
        return Target(self._model, answers=self._answers)

    def check(self, item: Item, body: Body, target: Target, judging: Judging) -> ItemResult:
        """What the item comes to."""
        s = self.settings
        effort = Effort(examples=s.examples, samples=s.samples, seed=s.seed)
        return check(item, body, target, judging, effort)

    def explain(self, result: ItemResult) -> str:
        """What is shown of a failing item."""
        if result.failure is None:
            return line(result.message)
        return failure_text(result.failure, result, self.settings.to_json())

    def add(self, result: ItemResult) -> None:
        """An item is done; one that ran again counts by its last result."""
        self._results[result.item] = result

    def finish(self, order: Mapping[str, int], *, attribute: bool) -> RunReport | None:
        """Write the run, look for training rows, write again. None if no item was an invariant's.

        `order` has the place of each item in the collection. Raises InfrastructureError if the
        files can't be written.
        """
        ordered = sorted(self._results.values(), key=lambda r: order.get(r.item, len(order)))
        if not ordered:
            return None
        folder = self._report_folder()
        usages = [r.usage for r in ordered if r.usage is not None]
        run = RunReport(
            target=self.settings.target,
            settings={**self.settings.to_json(), "report": str(folder)},
            invariants=invariants(ordered),
            failures=tuple(r.failure for r in ordered if r.failure is not None),
            attributions=(),
            usage=sum(usages[1:], usages[0]) if usages else Usage(),
        )
        exchanges = [exchange for result in ordered for exchange in result.exchanges]
        compared = _contrasts(run, exchanges, self.settings.seed)
        self._write(folder, run, exchanges, compared)
        if attribute and run.failures and not self.settings.no_attribution:
            run = self._attributed(run, exchanges, compared)
            self._write(folder, run, exchanges, compared)
        if self.settings.report is None:
            _point(folder.with_name("latest"), folder)
        return run

    def home(self) -> Path:
        """`.surfcheck`, made with the first file that goes there; git leaves it alone.

        Raises InfrastructureError if it can't be made.
        """
        ignore = self._folder / ".gitignore"
        try:
            if not ignore.exists():
                self._folder.mkdir(parents=True, exist_ok=True)
                ignore.write_text("*\n", encoding="ascii")
        except OSError as error:
            raise InfrastructureError(
                f"{self._folder} can't be written: {error.strerror}; run where it can be"
            ) from None
        return self._folder

    @cached_property
    def place(self) -> Place:
        """Where the target, its base and its data lie; the organism is trained if need be."""
        s = self.settings
        if not s.target.startswith("organism:"):
            return Place(s.target, s.base, s.data)
        from surfcheck.organism import resolve  # noqa: PLC0415 (torch: 2 s)

        with self._working() as progress:
            organism = resolve(s.target, progress=progress)
        return Place(organism.model, s.base or organism.base, s.data or organism.data)

    def load(self) -> Model:
        """The target, with its memory."""
        from surfcheck.models import Memory, load  # noqa: PLC0415 (heavy)

        mode = self.settings.memory
        memory = None
        if mode != "off":
            memory = self._open.enter_context(Memory(self.home() / "memory.sqlite", mode))
        model = load(self.place.model, memory=memory, label=self.settings.target)
        self.notices += model.notes
        return model

    def _attributed(
        self, run: RunReport, exchanges: Sequence[Exchange], compared: Contrasts
    ) -> RunReport:
        alone = dict.fromkeys(f.test for f in run.failures if f.test not in compared)
        for test in alone:
            self.notices.append(
                f"No training rows for {test}: no answer held it, and a broken one is compared "
                "with one that held; add a prompt that it answers well"
            )
        try:
            place = self.place
            run = replace(run, settings={**run.settings, "base": place.base, "data": place.data})
            if self.settings.index is None and (place.base is None or place.data is None):
                self.notices.append(
                    "To see which training rows are behind this, give the checkpoint before "
                    "post-training and its data: --surf-base MODEL --surf-data DATA"
                )
                return run
            failures = [f for f in run.failures if f.test not in alone]
            return replace(run, attributions=self._attribute(place, exchanges, failures))
        except SurfcheckError as error:
            self.notices.append(f"No training rows: {error}")
            return run

    def _attribute(
        self, place: Place, exchanges: Sequence[Exchange], failures: Sequence[Failure]
    ) -> tuple[AttributionReport, ...]:
        if not failures:
            return ()
        from surfcheck.attribution import attribute_run  # noqa: PLC0415 (only a failing run)

        with self._working() as progress:
            return attribute_run(
                base=place.base,
                data=place.data,
                index=self.settings.index,
                cache=self.home() / "index",
                exchanges=exchanges,
                failures=failures,
                method=self.settings.method,
                seed=self.settings.seed,
                progress=progress,
            )

    def _report_folder(self) -> Path:
        if self.settings.report is not None:
            return Path(self.settings.report).absolute()
        runs = self.home() / "runs"
        name = datetime.now().strftime("%Y-%m-%dT%H-%M-%S")
        names = (name if n == 1 else f"{name}-{n}" for n in range(1, 1000))
        return next(runs / n for n in names if not (runs / n).exists())

    def _write(
        self, folder: Path, run: RunReport, exchanges: Sequence[Exchange], compared: Contrasts
    ) -> None:
        try:
            for test, contrasts in compared.items():
                write_contrasts(folder, test, contrasts)
            write_run(folder, run, exchanges)
        except OSError as error:
            raise InfrastructureError(
                f"the run was not written to {folder}: {error.strerror}; give --surf-report DIR"
            ) from None


class _Unloaded:
    """The target, loaded by the first question. What went wrong then goes wrong at once after."""

    def __init__(self, session: Session) -> None:
        self.spec = session.settings.target
        self._session = session
        self._loaded: Model | SurfcheckError | None = None

    def ask(self, asks: Sequence[Ask]) -> list[Response]:
        if self._loaded is None:
            try:
                self._loaded = self._session.load()
            except SurfcheckError as error:
                self._loaded = error
        if isinstance(self._loaded, SurfcheckError):
            raise self._loaded
        return self._loaded.ask(asks)


def _contrasts(run: RunReport, exchanges: Sequence[Exchange], seed: int) -> Contrasts:
    if not run.failures:
        return {}
    from surfcheck.attribution.contrasts import of_test  # noqa: PLC0415 (only a failing run)

    tests = dict.fromkeys(failure.test for failure in run.failures)
    found = {test: of_test(test, exchanges, run.failures, seed=seed) for test in tests}
    return {test: each for test, each in found.items() if any(c.bad is not None for c in each)}


def invariants(results: Sequence[ItemResult]) -> tuple[InvariantResult, ...]:
    """One a test function, in the order of their first items."""
    tests: dict[str, list[ItemResult]] = {}
    for result in results:
        tests.setdefault(result.test, []).append(result)
    return tuple(_invariant(items) for items in tests.values())


def _invariant(items: Sequence[ItemResult]) -> InvariantResult:
    violated = sum(item.violated for item in items)
    decided = violated + sum(item.held for item in items)
    words = [item.outcome for item in items]
    return InvariantResult(
        test=items[0].test,
        behaviour=items[0].behaviour,
        outcome=next(word for word in _WORST if word in words),
        cases=sum(item.cases for item in items),
        held=decided - violated,
        violated=violated,
        undecided=sum(item.undecided for item in items),
        rate=violated / decided if decided else None,
        interval=wilson(violated, decided) if decided else None,
    )


def _point(link: Path, folder: Path) -> None:
    """Make `link` lead to `folder`, at once; on a file system without links there is none."""
    part = link.with_name(f"{link.name}.{os.getpid()}.part")
    with suppress(OSError):
        part.symlink_to(folder.name, target_is_directory=True)
        part.replace(link)
