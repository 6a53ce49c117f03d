"""From a finished run to its reports: every failing test becomes a question to the data.

One path for a run that has just ended and for one that lies on disk. A test that broke in several
ways becomes several questions (`behaviours`), each with its own contrasts and all that held.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from surfcheck.attribution import before
from surfcheck.attribution import contrasts as from_run
from surfcheck.attribution.behaviours import FEWEST, Part, answers, limit_of, split
from surfcheck.attribution.engine import Attribution, Library, attribute
from surfcheck.attribution.evidence import gather
from surfcheck.attribution.how import USUAL, How
from surfcheck.records import AttributionReport, Behaviour, Contrast, Exchange, Failure
from surfcheck.roles import Progress, silent

EXAMPLES = 3
"""Prompts by which a behaviour is made known."""


@dataclass(frozen=True, slots=True)
class Found:
    """What was asked of one behaviour of a failing test, and what came of it."""

    contrasts: tuple[Contrast, ...]
    """Those that show it, then all cases that held."""
    attribution: Attribution
    """The ranking and its report, which says of which test and behaviour it is."""


def attribute_run(
    library: Library,
    exchanges: Sequence[Exchange],
    failures: Sequence[Failure],
    *,
    method: str,
    seed: int,
    progress: Progress = silent,
) -> tuple[AttributionReport, ...]:
    """See `surfcheck.attribution.attribute_run`."""
    tests = tuple(dict.fromkeys(failure.test for failure in failures))
    found = ask_run(
        library, exchanges, failures, tests=tests, method=method, seed=seed, progress=progress
    )
    return tuple(each.attribution.report for each in found)


def ask_run(
    library: Library,
    exchanges: Sequence[Exchange],
    failures: Sequence[Failure],
    *,
    tests: Sequence[str],
    method: str,
    seed: int,
    how: How = USUAL,
    truth: frozenset[str] | None = None,
    progress: Progress = silent,
) -> Iterator[Found]:
    """Ask the rows about failing tests of a run, one after the other, and each of its behaviours.

    `truth` are the ids of the rows known to be guilty. Nothing comes of a test that no answer held
    and that the base breaks as well.
    """
    base = partial(before.answers, library.base, progress=progress)
    for test in tests:
        drawn = from_run.of_test(test, exchanges, failures, seed=seed, base=base)
        for behaviour, contrasts in _behaviours(library, drawn, seed, progress):
            answer = attribute(
                library, contrasts, method=method, how=how, seed=seed, truth=truth,
                progress=progress,
            )  # fmt: skip
            report = replace(answer.report, test=test, behaviour=behaviour)
            yield Found(contrasts, replace(answer, report=report))


def _behaviours(
    library: Library, drawn: Sequence[Contrast], seed: int, progress: Progress
) -> Iterator[tuple[Behaviour | None, tuple[Contrast, ...]]]:
    """The contrasts of each behaviour with all that held; nothing where there is no contrast."""
    broken: dict[tuple[str, str | None], list[Contrast]] = {}
    for contrast in drawn:
        if contrast.bad is not None:
            broken.setdefault((contrast.prompt, contrast.bad), []).append(contrast)
    parts = _split(library, [beside[0] for beside in broken.values()], seed, progress)
    if len(parts) <= 1:
        if broken:
            yield None, tuple(drawn)
        return
    held, each = [c for c in drawn if c.bad is None], list(broken.values())
    for number, part in enumerate(parts, 1):
        mine = [contrast for i in part.members for contrast in each[i]]
        prompts = tuple(dict.fromkeys(contrast.prompt for contrast in mine))[:EXAMPLES]
        yield Behaviour(number, len(parts), len(part.members), prompts), (*mine, *held)


def _split(
    library: Library, broken: Sequence[Contrast], seed: int, progress: Progress
) -> list[Part]:
    """The behaviours that so many broken answers can show; none of too few for two."""
    if len(broken) < 2 * FEWEST:
        return []
    rng = np.random.default_rng(seed)
    limit = limit_of(answers(library.rows, rng), rng)
    return split(gather(library.reader, broken, progress=progress).change, limit)
