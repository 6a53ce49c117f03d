"""What a judge is worth: its word against people's labels, with intervals.

Positive is a violation. An answer that the judge left undecided agrees with nobody: it lowers the
agreement, kappa and, where people saw a violation, the recall; it is in no way a flag, so that the
precision does not know it. It is counted apart as well. Left out: how sure the labels are.

Every run imports this, to say whether its judge was calibrated: numpy waits for its first use.
"""

from __future__ import annotations

import inspect
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, get_args

from surfcheck.errors import DataError, InfrastructureError, UsageError
from surfcheck.files import write_whole
from surfcheck.jsonable import Record
from surfcheck.judge import rules
from surfcheck.judge.rubric import Rubric
from surfcheck.records import Outcome, Prompt, Response, Role, Verdict
from surfcheck.roles import Judge
from surfcheck.statistics import wilson

RESAMPLES = 2000
"""Resamples of the labels for the intervals of kappa and F1."""
FILE = "calibrations.json"

_ROW = '{"prompt": …, "response": …, "violates": true or false}'
_SCHEMA = "surfcheck/calibrations/1"
Interval = tuple[float, float]
Cells = tuple[Any, ...]
"""How often people and judge said what: people held and judge held, violated, undecided; then the
same where people saw a violation. Six numbers, or six arrays of them."""


class Label(NamedTuple):
    """An answer and a person's word on it."""

    response: Response
    """The answer, with what was asked."""
    violates: bool
    """Whether it breaks the behaviour."""


@dataclass(frozen=True, slots=True)
class Intervals(Record):
    """95 % intervals. A bootstrap resamples the labels; where that moves nothing, as with a judge
    that is always right, the interval of the share behind kappa and F1 stands in."""

    agreement: Interval | None
    """Wilson's."""
    kappa: Interval | None
    """Bootstrap's."""
    precision: Interval | None
    """Wilson's."""
    recall: Interval | None
    """Wilson's."""
    f1: Interval | None
    """Bootstrap's."""


@dataclass(frozen=True, slots=True)
class Calibration(Record):
    """How a judge does against people. None where there was nothing to divide by."""

    n: int
    """Labels."""
    agreement: float | None
    """Share of the labels that the judge gave too."""
    kappa: float | None
    """Cohen's kappa, undecided being a third word that only the judge uses."""
    precision: float | None
    """Share of what the judge flagged that people flagged."""
    recall: float | None
    """Share of what people flagged that the judge flagged."""
    f1: float | None
    """Harmonic mean of precision and recall."""
    intervals: Intervals
    """Of each of them."""
    undecided: int
    """Answers that the judge could not decide."""


def calibrate(judge: Judge, labels: Sequence[Label], *, seed: int = 0) -> Calibration:
    """The judge asked about each label. Raises SurfcheckError if it can't be asked."""
    return measure([judge(label.response) for label in labels], labels, seed=seed)


def measure(verdicts: Sequence[Verdict], labels: Sequence[Label], *, seed: int = 0) -> Calibration:
    """What verdicts on the labels' answers, in their order, say of whoever gave them."""
    if not labels:
        raise UsageError("a judge can't be calibrated without labels: give some")
    pairs = (
        (label.violates, verdict.outcome) for verdict, label in zip(verdicts, labels, strict=True)
    )
    counts = Counter(pairs)
    words = (Outcome.HELD, Outcome.VIOLATED, Outcome.UNDECIDED)
    cells = tuple(counts[people, word] for people in (False, True) for word in words)
    both_held, wrongly, unsure, missed, hits, unsure_too = cells
    n, agreed = sum(cells), both_held + hits
    flagged, guilty = wrongly + hits, missed + hits + unsure_too
    kappa, f1 = _or_none(_kappa, cells), _or_none(_f1, cells)
    return Calibration(
        n=n,
        agreement=agreed / n,
        kappa=kappa,
        precision=hits / flagged if flagged else None,
        recall=hits / guilty if guilty else None,
        f1=f1,
        intervals=Intervals(
            agreement=wilson(agreed, n),
            kappa=None if kappa is None else _kappa_interval(cells, seed),
            precision=wilson(hits, flagged) if flagged else None,
            recall=wilson(hits, guilty) if guilty else None,
            f1=None if f1 is None else _f1_interval(cells, seed),
        ),
        undecided=unsure + unsure_too,
    )


def _agreed(cells: Cells) -> tuple[Any, Any]:
    """Share agreed, and what chance would give."""
    a, b, c, d, e, f = cells
    n = a + b + c + d + e + f
    return (a + e) / n, ((a + b + c) * (a + d) + (d + e + f) * (b + e)) / n**2


def _kappa(cells: Cells) -> Any:
    """Cohen's kappa; divides by nothing where both have but one word, the same."""
    agreed, chance = _agreed(cells)
    return (agreed - chance) / (1 - chance)


def _f1(cells: Cells) -> Any:
    """F1; divides by nothing where nobody flags anything."""
    _, b, _, d, e, f = cells
    return 2 * e / (b + d + 2 * e + f)


def _or_none(measured: Callable[[Cells], float], cells: Cells) -> float | None:
    try:
        return measured(cells)
    except ZeroDivisionError:
        return None


def _kappa_interval(cells: Cells, seed: int) -> Interval:
    low, high = _bootstrap(_kappa, cells, seed)
    if low < high:
        return low, high
    # All resamples alike, as where all is right: what the agreement's own interval leaves open.
    chance = _agreed(cells)[1]
    low, high = wilson(cells[0] + cells[4], sum(cells))
    return (low - chance) / (1 - chance), (high - chance) / (1 - chance)


def _f1_interval(cells: Cells, seed: int) -> Interval:
    low, high = _bootstrap(_f1, cells, seed)
    if low < high:
        return low, high
    _, b, _, d, hits, f = cells
    low, high = wilson(
        hits, b + d + hits + f
    )  # F1 follows from the share of hits in either's flags
    return 2 * low / (1 + low), 2 * high / (1 + high)


def _bootstrap(measured: Callable[[Cells], Any], cells: Cells, seed: int) -> Interval:
    """Percentiles over resampled labels: drawing all of them again is one multinomial draw."""
    import numpy as np  # noqa: PLC0415 (0.1 s, which a run has no use for)

    n = sum(cells)
    shares = np.array(cells) / n
    drawn = np.random.default_rng(seed).multinomial(n, shares, size=RESAMPLES)
    with np.errstate(invalid="ignore", divide="ignore"):
        found = measured(tuple(drawn.astype(np.float64).T))
    low, high = np.percentile(found[~np.isnan(found)], (2.5, 97.5))
    return float(low), float(high)


def rule(name: str) -> Judge:
    """A rule that takes no arguments, by its name in `rules`; `refusal` is `refuses`.

    Raises UsageError for another name.
    """
    named: dict[str, Callable[[], Judge]] = {
        name: made
        for name, made in vars(rules).items()
        if inspect.isfunction(made) and made.__module__ == rules.__name__
        if not name.startswith("_") and not inspect.signature(made).parameters
    }
    named["refusal"] = rules.refuses
    if name not in named:
        raise UsageError(f"there is no rules:{name}; use one of {', '.join(sorted(named))}")
    return named[name]()


# Labels


def read_labels(path: str | Path) -> tuple[Label, ...]:
    """The rows of a labels file. Raises DataError naming the line that is not one."""
    path = Path(path)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise DataError(path, None, "no such file of labels; correct the path") from None
    except OSError as error:
        raise DataError(path, None, f"can't be read: {error.strerror}") from None
    labels = tuple(_labels(path, content.removeprefix(b"\xef\xbb\xbf")))
    if not labels:
        raise DataError(path, None, f"has no rows; write one {_ROW} a line")
    return labels


def _labels(path: Path, content: bytes) -> Iterator[Label]:
    for number, line in enumerate(content.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line.decode())
            json.dumps(row, ensure_ascii=False).encode()
        except UnicodeDecodeError:
            raise DataError(path, number, "is not UTF-8; save the file as UTF-8") from None
        except UnicodeEncodeError:
            raise DataError(path, number, "has half a character (a lone surrogate)") from None
        except (ValueError, RecursionError):
            raise DataError(path, number, f"is no JSON; write {_ROW}") from None
        if not isinstance(row, dict) or not {"prompt", "response", "violates"} <= row.keys():
            raise DataError(path, number, f"is not {_ROW}")
        if not isinstance(row["violates"], bool):
            raise DataError(path, number, "violates is neither true nor false")
        if not isinstance(row["response"], str):
            raise DataError(path, number, "response is no text")
        prompt = _prompt(row["prompt"])
        if prompt is None:
            roles = ", ".join(get_args(Role))
            reason = f"prompt is neither a text nor a list of {{role, content}} ({roles})"
            raise DataError(path, number, reason)
        yield Label(Response(prompt, row["response"]), row["violates"])


def _prompt(value: Any) -> Prompt | None:
    if isinstance(value, str):
        return Prompt.of(value)
    if not isinstance(value, list) or not value:
        return None
    return Prompt.of(value) if all(_is_turn(turn) for turn in value) else None


def _is_turn(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and value.get("role") in get_args(Role)
        and isinstance(value.get("content"), str)
    )


# What is known of judges


def judge_key(spec: str, rubric: Rubric | None = None) -> str:
    """What a calibration is kept under: who judges, and what by."""
    return spec if rubric is None else f"{spec} by {rubric.digest}"


def remember(folder: Path, key: str, calibration: Calibration) -> None:
    """Keep a calibration in `folder`, in place of the one before.

    Raises InfrastructureError if it can't be written, DataError if what is there is damaged.
    """
    from filelock import FileLock  # noqa: PLC0415 (40 ms, which a run has no use for)

    path = folder / FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):
            judges = {**_remembered(path), key: calibration.to_json()}
            text = json.dumps({"schema": _SCHEMA, "judges": judges}, indent=2, ensure_ascii=False)
            write_whole(path, text + "\n")
    except OSError as error:
        raise InfrastructureError(
            f"{path} can't be written: {error.strerror}; the calibration is not remembered"
        ) from None


def known(folder: Path, key: str) -> Calibration | None:
    """The calibration that `remember` kept, if there is one. Raises DataError if damaged."""
    path = folder / FILE
    kept = _remembered(path).get(key)
    try:
        return None if kept is None else Calibration.from_json(kept)
    except (KeyError, TypeError, AttributeError, ValueError):
        raise _damaged(path) from None


def _remembered(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError:
        raise _damaged(path) from None
    if not isinstance(data, dict) or data.get("schema") != _SCHEMA:
        raise _damaged(path)
    judges = data.get("judges")
    if not isinstance(judges, dict):
        raise _damaged(path)
    return judges


def _damaged(path: Path) -> DataError:
    return DataError(path, None, "is damaged or of another version; remove it, calibrate again")
