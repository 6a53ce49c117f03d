"""What a run would ask, before anything is asked: `--surf-estimate`.

Counts what is known beforehand: the first round of every item, without what memory has. What a
search for the smallest failing prompt adds depends on what fails, and what answers cost on how
long they are; both are said as what they are, not guessed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from surfcheck.asking import Asking
from surfcheck.cases import CALL_BUDGET, Effort, Item
from surfcheck.check import FRESH_SAMPLES
from surfcheck.fixtures import asks
from surfcheck.jsonable import Record
from surfcheck.records.conversation import CHARACTERS_A_TOKEN
from surfcheck.report.text import plural
from surfcheck.roles import Ask


@dataclass(frozen=True, slots=True)
class Estimate(Record):
    """Calls and tokens of a run at most, if nothing fails."""

    items: int
    """Items that would run."""
    questions: int
    """Different questions of their first rounds, for each model that is asked them."""
    remembered: int
    """Those that memory can answer."""
    calls: int
    """Calls to the target."""
    baseline_calls: int
    """Calls to the baseline, if there is one."""
    judgements: int
    """Calls to judge models at most: as if every test judged by a criterion in words."""
    prompt_tokens: int
    """Tokens in, of the calls to the target and the baseline, about."""


def estimate(items: Sequence[Item], models: Asking, effort: Effort, *, judges: int) -> Estimate:
    """What asking the items would take. Loads the models, asks nothing of them."""
    first = list(dict.fromkeys(_first_rounds(items, models, effort)))
    asked = [models.target, *([models.baseline] if models.baseline.spec else [])]
    calls = [len(first) - model.known(first) for model in asked]
    characters = sum(ask.prompt.characters for ask in first)
    share = sum(calls) / len(first) if first else 0.0
    return Estimate(
        items=len(items),
        questions=len(first),
        remembered=len(first) * len(asked) - sum(calls),
        calls=calls[0],
        baseline_calls=sum(calls[1:]),
        judgements=judges * len(first) * len(asked),
        prompt_tokens=round(share * characters / CHARACTERS_A_TOKEN),
    )


def in_words(found: Estimate, target: str, baseline: str | None = None) -> list[str]:
    """The estimate, a line each."""
    asked = f"{plural(found.calls, 'question')} of {target}"
    if baseline is not None:
        asked += f" and {found.baseline_calls:,} of the baseline {baseline}"
    lines = [
        f"{plural(found.items, 'item')} would ask {asked}, about "
        f"{plural(found.prompt_tokens, 'token')} in; {found.remembered:,} more are remembered",
        f"An item that fails asks up to {CALL_BUDGET + 2 * FRESH_SAMPLES} more, for the smallest "
        "prompt that breaks it",
    ]
    if found.judgements:
        most = f"at most {plural(found.judgements, 'time')}"
        lines.insert(1, f"Judges would be asked {most}: tests that judge by rules ask none")
    return [*lines, "Nothing was asked (--surf-estimate)"]


def _first_rounds(items: Iterable[Item], models: Asking, effort: Effort) -> Iterable[Ask]:
    for item in items:
        prompts = [case.prompt for case in item.cases(effort)]
        yield from asks(prompts, range(effort.samples), models.system)
