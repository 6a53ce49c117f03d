"""What the items of a run come to together: its report, before any training row is looked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from surfcheck.judge.panel import Agreement
from surfcheck.records import InvariantResult, ItemResult, ResultWord, RunReport, Usage
from surfcheck.settings import Settings
from surfcheck.statistics import wilson

_WORST: tuple[ResultWord, ...] = ("fail", "error", "inconclusive", "pass", "skipped")


def gather(
    results: Sequence[ItemResult],
    settings: Settings,
    *,
    order: Mapping[str, int],
    folder: Path,
    complete: bool,
) -> RunReport:
    """The run; of one that is not `complete`, with the items that were not asked."""
    ordered = sorted(results, key=lambda r: order.get(r.item, len(order)))
    done = {r.item for r in results if not r.stopped}
    tests = {r.test for r in results}
    unasked: tuple[str, ...] = ()
    if not complete or len(done) < len(results):
        unasked = tuple(i for i in order if i not in done and i.partition("[")[0] in tests)
    return RunReport(
        target=settings.target,
        settings={**settings.to_json(), "report": str(folder)},
        invariants=invariants(ordered, unasked=unasked),
        failures=tuple(r.failure for r in ordered if r.failure is not None),
        attributions=(),
        usage=sum((r.usage for r in ordered if r.usage is not None), Usage()),
        parameters=next((r.parameters for r in ordered if r.parameters is not None), None),
        judges=_judges(ordered, settings),
        comparison=_comparison(ordered, settings),
        unasked=unasked,
    )


def undecided(run: RunReport) -> tuple[str, ...]:
    """The tests of which no answer at all could be judged."""
    return tuple(i.test for i in run.invariants if i.undecided and not i.held and not i.violated)


def invariants(
    results: Sequence[ItemResult], *, unasked: Sequence[str] = ()
) -> tuple[InvariantResult, ...]:
    """One a test function, in the order of their first items; never `pass` with items unasked."""
    tests: dict[str, list[ItemResult]] = {}
    for result in results:
        tests.setdefault(result.test, []).append(result)
    short = {item.partition("[")[0] for item in unasked}
    return tuple(_invariant(items, short=test in short) for test, items in tests.items())


def _invariant(items: Sequence[ItemResult], *, short: bool) -> InvariantResult:
    violated = sum(item.violated for item in items)
    decided = violated + sum(item.held for item in items)
    words = [item.outcome for item in items]
    outcome = next(word for word in _WORST if word in words)
    return InvariantResult(
        test=items[0].test,
        behaviour=items[0].behaviour,
        outcome="inconclusive" if short and outcome in ("pass", "skipped") else outcome,
        cases=sum(item.cases for item in items),
        held=decided - violated,
        violated=violated,
        undecided=sum(item.undecided for item in items),
        rate=violated / decided if decided else None,
        interval=wilson(violated, decided) if decided else None,
        hold=min(item.hold for item in items),
    )


def _judges(results: Sequence[ItemResult], settings: Settings) -> dict[str, Any] | None:
    if settings.judge is None:
        return None
    found = [Agreement.from_json(r.agreement) for r in results if r.agreement is not None]
    whole = sum(found, Agreement())
    return {
        "models": settings.judge,
        "calibrated": all(r.calibrated for r in results),
        "exchanges": whole.exchanges,
        "unanimous": whole.rate,
        "alpha": whole.alpha,
    }


def _comparison(results: Sequence[ItemResult], settings: Settings) -> dict[str, Any] | None:
    """The target against the baseline, over the first rounds of both."""
    if settings.baseline is None:
        return None
    from surfcheck.comparing import compare_exchanges  # noqa: PLC0415 (numpy)

    asked = {(e.test, e.prompt, e.sample) for r in results for e in r.baseline}
    compared = compare_exchanges(
        [e for r in results for e in r.baseline],
        [e for r in results for e in r.exchanges if (e.test, e.prompt, e.sample) in asked],
        names=(settings.baseline, settings.target),
        behaviours={r.test: r.behaviour for r in results},
        seed=settings.seed,
    )
    return compared.to_json()
