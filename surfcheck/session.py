"""State over one `pytest --surf`: the target, its answers, the results, and what becomes of them.

Knows nothing of pytest. Nothing is loaded, asked or written before the first item needs it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from surfcheck.ahead import Ahead
from surfcheck.asking import Asking, Place, Share, Working
from surfcheck.cases import Effort, Item
from surfcheck.check import Body, check
from surfcheck.errors import InfrastructureError, SurfcheckError, UsageError
from surfcheck.estimating import estimate, in_words
from surfcheck.fixtures import Judging, Target
from surfcheck.gathering import gather, undecided
from surfcheck.models.spec import check_spec
from surfcheck.perturb import Variation, unfrozen
from surfcheck.records import (
    AttributionReport,
    Contrast,
    Exchange,
    Failure,
    ItemResult,
    Response,
    RunReport,
    Usage,
)
from surfcheck.report.json import contrast_file, read_run, write_contrasts, write_run
from surfcheck.report.text import failure_text, line, plural
from surfcheck.roles import Ask
from surfcheck.sequential import needed, split
from surfcheck.settings import Settings

Contrasts = dict[str, tuple[Contrast, ...]]
"""Broken beside held answers, by test; without the tests that no answer held."""


ALPHA = 0.05
"""Chance that a run in which everything is as it should be is red; its items share it."""
WINDOW = 3
"""Asks begun ahead, as a multiple of the calls in flight; none under a ceiling."""


class Session:
    """One run, in one process: the controller's gathers what the workers' items came to."""

    def __init__(
        self, settings: Settings, *, folder: Path, working: Working, share: Share | None = None
    ) -> None:
        self.settings = settings
        self._folder, self._working = folder, working
        self._share = share or Share()
        self.models = Asking(settings, home=self.home, working=working, share=self._share)
        """Target, baseline and judges."""
        self._answers: dict[Ask, Response] = {}
        self._baseline: dict[Ask, Response] = {}
        self._results: dict[str, ItemResult] = {}
        self._counted, self._told = Usage(), 0
        self._planned: Sequence[Item] = ()
        self._unfrozen: set[str] = set()
        self.unwritten = False
        """Whether the run's files could not be written."""
        self._effort = Effort(settings.examples, settings.samples, settings.seed, alpha=ALPHA)
        self._ahead = self._looking([])

    @property
    def notices(self) -> list[str]:
        """What a person should know of the run, a line each."""
        return self.models.notices

    def close(self) -> None:
        """Let go of the models; nothing is asked after this."""
        self.models.close()

    def prepare(self) -> None:
        """Raises UsageError for settings that no question could be asked with."""
        s = self.settings
        for spec in (s.target, s.baseline, s.writer, *(s.judge or "").split(",")):
            if spec:
                check_spec(spec.strip())
        _ = self.models.system
        if s.report is not None:
            try:
                Path(s.report).mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise UsageError(
                    f"--surf-report {s.report} can't be written ({error.strerror}); name another"
                ) from None

    def plan(self, items: Sequence[Item]) -> None:
        """What will be checked, in order: the run's error is split over it, and it is asked ahead.

        Nothing is asked yet.
        """
        self._planned = items
        self._effort = replace(self._effort, alpha=split(ALPHA, max(1, len(items))))
        # Workers of xdist see every item and run some; only a shared memory tells them apart.
        alone = self._share.processes == 1 or self.settings.memory != "off"
        self._ahead = self._looking(items if alone else [])

    def estimate(self) -> None:
        """Say what the planned items would ask at most, and ask nothing."""
        judges = len(self.models.judges) if self.models.judged else 0
        found = estimate(self._planned, self.models, self._effort, judges=judges)
        self.notices.extend(in_words(found, self.settings.target, self.settings.baseline))

    def target(self, test: str = "") -> Target:
        """The fixture `target` of one item; all of them share their answers."""
        models = self.models
        return Target(
            models.target,
            answers=self._answers,
            system=models.system,
            heard=self._ahead.heard(test),
        )

    def judging(self, test: str = "", criterion: str = "") -> Judging:
        """The fixture `judge` of one item."""
        if not self.models.judged:
            return Judging(criterion=criterion)
        return Judging(
            self.models.new_panel(),
            criterion=criterion,
            learned=self._ahead.learned(test),
            judged=self.models.check_calibrated,
        )

    def check(self, item: Item, body: Body, target: Target, judging: Judging) -> ItemResult:
        """What the item comes to."""
        self._note_unfrozen(item)
        self._note_too_few(item)
        ahead, baseline = self._ahead, None
        ahead.go_on(item)
        if self.settings.baseline is not None:
            baseline = (self.models.baseline, self._baseline)
        cases = ahead.cases(item)
        try:
            result = check(
                item, body, target, judging, self._effort, cases=cases, baseline=baseline
            )
        finally:
            ahead.done(item, target)
        result = _never_asked(result, target, judging)
        self.models.take_notes()
        self._note(*result.notices)
        for judge, why in judging.missing.items():
            self._note(f"The judge {judge} could not always be asked, the others decided: {why}")
        told, self._told = self._told, len(self.notices)
        return replace(
            result,
            usage=self._spent(target),
            notices=tuple(self.notices[told:]),
            parameters=target.last.parameters if target.last is not None else None,
            agreement=judging.agreement,
            calibrated=self.models.calibrated,
        )

    def _note_too_few(self, item: Item) -> None:
        most = self._effort.examples * self._effort.samples
        if needed(item.hold, self._effort.alpha) > most:
            self._note(
                f"{item.test} can't fail: with hold={item.hold:g} and {most} answers an item, "
                f"nothing is shown over {len(self._planned)} items; give more --surf-samples"
            )

    def _note(self, *notices: str) -> None:
        self.models.note(*notices)

    def _note_unfrozen(self, item: Item) -> None:
        suite = item.test.partition("::")[0]
        if suite in self._unfrozen or not unfrozen(item.perturbation, item.prompt):
            return
        self._unfrozen.add(suite)
        planned = (each for each in self._planned if each.test.partition("::")[0] == suite)
        written = [i for i in (item, *planned) if _is_written(i)]
        prompts = {i.prompt for i in written}
        bare = {i.prompt for i in written if unfrozen(i.perturbation, i.prompt)}
        self._note(
            f"{suite}: nothing is frozen yet for {len(bare)} of {plural(len(prompts), 'prompt')}, "
            f"asked without rewrites: surfcheck freeze {suite} --writer SPEC"
        )

    def _spent(self, target: Target) -> Usage:
        """What was spent since the item before; what memory gave is counted where it was used."""
        before, self._counted = self._counted, self.models.usage
        now, remembered = self._counted, target.usage.remembered
        if now.calls == before.calls:
            return Usage(remembered=remembered)
        usd = None if now.usd is None or before.usd is None else now.usd - before.usd
        return Usage(now.calls - before.calls, remembered, now.tokens - before.tokens, usd)

    def _looking(self, items: Sequence[Item]) -> Ahead:
        models, s = self.models, self.settings
        asked = [models.target, *([models.baseline] if s.baseline is not None else [])]
        # Under a ceiling what is bought is finished: nothing is spent on later items.
        window = 0 if s.limited else WINDOW * s.concurrency
        return Ahead(items, asked, models, self._effort, window=window)

    @property
    def stopped(self) -> bool:
        """Whether a ceiling left items unasked."""
        return any(result.stopped for result in self._results.values())

    def explain(self, result: ItemResult) -> str:
        """What is shown of a failing item."""
        if result.failure is None:
            return line(result.message)
        return failure_text(result.failure, result, {**self.settings.to_json(), **self._root})

    @property
    def _root(self) -> dict[str, str]:
        """pytest's root, where that is not where it was started: ids of items begin there."""
        root = self._folder.parent.absolute()
        return {} if root == Path.cwd() else {"root": str(root)}

    def add(self, result: ItemResult) -> None:
        """An item is done; one that ran again counts by its last result."""
        self._results[result.item] = result
        self._note(*result.notices)

    def finish(
        self, order: Mapping[str, int], *, attribute: bool, complete: bool = True
    ) -> RunReport | None:
        """Write the run, look for training rows, write again. None if no item was an invariant's.

        `order` has the place of each item in the collection; a run that was stopped is not
        `complete`. What can't be written is a notice: what was found is shown all the same.
        """
        if not self._results:
            return None
        folder = self._report_folder()
        run = gather(
            list(self._results.values()), self.settings, order=order, folder=folder,
            complete=complete,
        )  # fmt: skip
        run = replace(run, settings={**run.settings, **self._root})
        self._note_gaps(run)
        # A rerun replaces its result in place: the order is that of the collection.
        results = sorted(self._results.values(), key=lambda r: order.get(r.item, len(order)))
        exchanges = [exchange for result in results for exchange in result.exchanges]
        compared = _contrasts(run, exchanges, self.settings.seed)
        self._write(folder, run, exchanges, compared)
        if attribute and run.failures and not self.settings.no_attribution:
            run = self._attributed(run, exchanges)
            self._write(folder, run, exchanges, compared)
        if self.settings.report is None:
            _point(folder.with_name("latest"), folder)
        return run

    def _note_gaps(self, run: RunReport) -> None:
        """Say what was not asked, and what could not be judged at all."""
        stopped = [r.message for r in self._results.values() if r.stopped]
        if run.unasked:
            why = f"Stopped: {stopped[0]}" if stopped else "Stopped"
            again = "run again to go on: what was answered is remembered"
            items = plural(len(run.unasked), "item")
            self._note(f"{why}; {items} not asked; {again}")
        for test in undecided(run):
            found = [r for r in self._results.values() if r.test == test and r.message]
            reason = f" ({found[0].message})" if found else ""
            self._note(f"Nothing could be judged of {test}{reason}")

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

    def _attributed(self, run: RunReport, exchanges: Sequence[Exchange]) -> RunReport:
        try:
            place = self.models.place
            run = replace(run, settings={**run.settings, "base": place.base, "data": place.data})
            if self.settings.index is None and (place.base is None or place.data is None):
                self.notices.append(
                    "To see which training rows are behind this, give the checkpoint before "
                    "post-training and its data: --surf-base MODEL --surf-data DATA"
                )
                return run
            found = self._attribute(place, exchanges, run.failures)
        except SurfcheckError as error:
            self.notices.append(f"No training rows: {error}")
            return run
        known = {report.test for report in found}
        for test in dict.fromkeys(f.test for f in run.failures if f.test not in known):
            self.notices.append(
                f"No training rows for {test}: no answer held it, and the base breaks it alike; "
                "add a prompt that it answers well"
            )
        return replace(run, attributions=found)

    def _attribute(
        self, place: Place, exchanges: Sequence[Exchange], failures: Sequence[Failure]
    ) -> tuple[AttributionReport, ...]:
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
            _clear(folder, keep=compared)
            for test, contrasts in compared.items():
                write_contrasts(folder, test, contrasts)
            write_run(folder, run, exchanges)
        except OSError as error:
            self.unwritten = True
            self._note(f"The run was not written to {folder}: {error.strerror}")


def _never_asked(result: ItemResult, target: Target, judging: Judging) -> ItemResult:
    """An error where the body asked nobody: it says nothing of the target."""
    if target.asked or judging.used or result.outcome in ("error", "skipped"):
        return result
    why = "UsageError: the test never asks target(prompt): ask it, and judge what it answers"
    broke = result.failure.reason if result.failure is not None else result.message
    message = f"{why} ({broke})" if broke else why
    nothing = replace(result, held=0, violated=0, undecided=0, failure=None)
    return replace(nothing, outcome="error", message=message)


def _is_written(item: Item) -> bool:
    return isinstance(item.perturbation, Variation) and bool(item.perturbation.written)


def _clear(folder: Path, *, keep: Contrasts) -> None:
    """Remove the contrasts that an earlier run wrote here, of tests that have none any more."""
    try:
        earlier = read_run(folder)
    except UsageError:  # no run, or another version's: then they are not known to be ours
        return
    kept = {contrast_file(folder, test) for test in keep}
    for file in {contrast_file(folder, i.test) for i in earlier.invariants} - kept:
        file.unlink(missing_ok=True)


def _contrasts(run: RunReport, exchanges: Sequence[Exchange], seed: int) -> Contrasts:
    if not run.failures:
        return {}
    from surfcheck.attribution.contrasts import of_test  # noqa: PLC0415 (only a failing run)

    tests = dict.fromkeys(failure.test for failure in run.failures)
    found = {test: of_test(test, exchanges, run.failures, seed=seed) for test in tests}
    return {test: each for test, each in found.items() if any(c.bad is not None for c in each)}


def _point(link: Path, folder: Path) -> None:
    """Make `link` lead to `folder`, at once; on a file system without links there is none."""
    part = link.with_name(f"{link.name}.{os.getpid()}.part")
    with suppress(OSError):
        part.symlink_to(folder.name, target_is_directory=True)
        part.replace(link)
