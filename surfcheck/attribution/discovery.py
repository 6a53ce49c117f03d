"""What a training changed that nobody asked about: behaviours without a test.

After the unsupervised discovery of "In-the-Wild Model Organisms" (2602.11079): each prompt that
the trained model answers otherwise than its base has a behaviour vector, the change from the base's
answer to the target's, both read through the base, of unit length at each layer; their cosines
with the training rows are clustered by Ward's linkage. What stands out is a behaviour: its prompts
are contrasts like those of a failing test, the prompts that both models answer in the same words
are cases that hold, and the rows are found by any of the methods. Left out: whether a behaviour is
a good one.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.cluster.hierarchy import leaves_list, linkage

from surfcheck.attribution import before
from surfcheck.attribution.activations import Floats
from surfcheck.attribution.behaviours import (
    Numbers,
    Part,
    Tree,
    answers,
    limit_of,
    stand_out,
    unrelated,
)
from surfcheck.attribution.contrasts import MOST_BROKEN, MOST_HELD
from surfcheck.attribution.engine import Attribution, Library, attribute
from surfcheck.attribution.evidence import Table, gather
from surfcheck.errors import DataError, UsageError
from surfcheck.files import write_json, write_whole
from surfcheck.records import Contrast, DiscoveryReport, Emergent, Prompt, TwoAnswers
from surfcheck.roles import Ask, Model, Progress, silent

REPORT = "discovered.json"
TOGETHER = 64
"""Prompts that the target is asked between two steps of the progress."""
DRAWS = 99
"""Of the null; the smallest p-value is 1 / 100."""
EXAMPLES = 5
"""Prompts by which a behaviour is made known."""
LISTED = 10
"""Rows of a behaviour that the report names; its folder has them all."""
NEAREST = 5
"""Rows of each prompt that may stand in the matrix."""
COLUMNS = 400
"""Rows that stand in it at most, those with the largest cosines."""
_BLOCK_BYTES = 2**26  # of cosines with all rows that are in memory at a time


@dataclass(frozen=True, slots=True)
class Matrix:
    """Cosines of prompts and training rows, both in the order of their trees."""

    cosines: Floats
    """Mean over layers [prompts, rows]."""
    spans: tuple[tuple[int, int], ...]
    """First prompt of each behaviour, and the one after its last."""


@dataclass(frozen=True, slots=True)
class Discovery:
    """What was found, with the ranking behind each behaviour."""

    report: DiscoveryReport
    """The behaviours, the strongest first."""
    contrasts: tuple[tuple[Contrast, ...], ...]
    """What each was asked by."""
    rankings: tuple[Attribution, ...]
    """Every row for each."""
    matrix: Matrix
    """Behaviours by rows; of all prompts that are answered otherwise."""

    def write(self, folder: Path) -> None:
        """A folder a behaviour with contrasts, ranking and report, then the whole report."""
        for number, (contrasts, ranking) in enumerate(
            zip(self.contrasts, self.rankings, strict=True), 1
        ):
            place = folder_of(folder, number)
            ranking.write(place)
            lines = "".join(json.dumps(contrast.to_json()) + "\n" for contrast in contrasts)
            write_whole(place / "contrasts.jsonl", lines)
        folder.mkdir(parents=True, exist_ok=True)
        whole = {"schema": DiscoveryReport.schema, **self.report.to_json()}
        write_json(folder / REPORT, whole)


def folder_of(folder: Path, number: int) -> Path:
    """Where what is known of one behaviour is written."""
    return folder / f"behaviour-{number}"


def discover(
    library: Library,
    target: Model,
    prompts: Sequence[str],
    *,
    method: str,
    seed: int = 0,
    progress: Progress = silent,
) -> Discovery:
    """Ask both models every prompt once, and find what the training changed alike in several.

    Raises UsageError for no prompts, ModelError if a model can't be asked.
    """
    started = time.perf_counter()
    asked = list(dict.fromkeys(prompts))
    if not asked:
        raise UsageError("no prompts: both models have to be asked something")
    pairs = list(_both(library, target, asked, progress))
    other = [pair for pair in pairs if pair.base != pair.target]
    rng = np.random.default_rng(seed)
    change = _changes(library, other, progress)
    parts, chances = _behaviours(change, library.rows, rng, progress)
    some = _held(pairs, rng)
    asking = [(*(_contrast(other[i]) for i in part.members[:MOST_BROKEN]), *some) for part in parts]
    rankings = [
        attribute(library, contrasts, method=method, seed=seed, progress=progress)
        for contrasts in asking
    ]
    found = zip(parts, chances, rankings, strict=True)
    behaviours = tuple(
        _emergent(number, part, [other[i] for i in part.members], len(other), p_value, ranking)
        for number, (part, p_value, ranking) in enumerate(found, 1)
    )
    matrix = _matrix(change, parts, library.rows)
    scattered = len(other) - sum(behaviour.prompts for behaviour in behaviours)
    report = DiscoveryReport(
        target.spec, library.base.path, len(asked), len(pairs) - len(other), scattered, behaviours,
        {"seconds": round(time.perf_counter() - started, 3)},
    )  # fmt: skip
    return Discovery(report, tuple(asking), tuple(rankings), matrix)


def _both(
    library: Library, target: Model, prompts: Sequence[str], progress: Progress
) -> Iterator[TwoAnswers]:
    """Each prompt with both answers."""
    given: list[str] = []
    for start in range(0, len(prompts), TOGETHER):
        asks = [Ask(Prompt.of(prompt)) for prompt in prompts[start : start + TOGETHER]]
        given += [response.text for response in target.ask(asks)]
        progress("asking the target", len(given), len(prompts))
    earlier = before.answers(library.base, prompts, progress=progress)
    return map(TwoAnswers, prompts, earlier, given)


def _held(pairs: Sequence[TwoAnswers], rng: np.random.Generator) -> list[Contrast]:
    """What both answer alike, or some of it."""
    held = [Contrast(pair.prompt, None, pair.target) for pair in pairs if pair.base == pair.target]
    return [held[i] for i in np.sort(rng.permutation(len(held))[:MOST_HELD])]


def _contrast(pair: TwoAnswers) -> Contrast:
    return Contrast(pair.prompt, pair.target, pair.base)


def _changes(library: Library, pairs: Sequence[TwoAnswers], progress: Progress) -> Floats:
    """From the base's answer to the target's, read through the base [n, L, d]."""
    if not pairs:
        width = library.base.model.config.get_text_config().hidden_size
        return np.zeros((0, len(library.index.layers), width), dtype=np.float32)
    return gather(library.reader, [_contrast(pair) for pair in pairs], progress=progress).change


def _behaviours(
    change: Floats, rows: Table, rng: np.random.Generator, progress: Progress
) -> tuple[list[Part], list[float]]:
    """The parts that stand out, the largest share first, and how likely chance gives such a share.

    The null goes the same way with as many changes between unrelated answers of the data, and its
    largest share counts: the search for what is alike is part of what chance may do.
    """
    count = len(change)
    if not count:
        return [], []
    pool = answers(rows, rng)
    limit = limit_of(pool, rng)
    found = sorted(stand_out(change, limit), key=lambda part: -_share(part, count))
    null = np.zeros(DRAWS if found else 0)
    for draw in range(len(null)):
        parts = stand_out(unrelated(pool, count, rng), limit)
        null[draw] = max((_share(part, count) for part in parts), default=0.0)
        progress("drawing unrelated changes", draw + 1, DRAWS)
    chances = [float((1 + (null >= _share(part, count)).sum()) / (1 + DRAWS)) for part in found]
    return found, chances


def _share(part: Part, count: int) -> float:
    """How much of all changes the part's direction explains."""
    return len(part.members) * part.alike / count


def _emergent(
    number: int,
    part: Part,
    pairs: Sequence[TwoAnswers],
    count: int,
    p_value: float,
    ranking: Attribution,
) -> Emergent:
    rows = replace(ranking.report, implicated=ranking.report.implicated[:LISTED])
    share, examples = _share(part, count), _examples(pairs)
    return Emergent(number, len(pairs), part.alike, share, p_value, examples, rows)


def _examples(pairs: Sequence[TwoAnswers]) -> tuple[TwoAnswers, ...]:
    """The first ones; a pair of answers that was seen comes after those that were not."""
    first: dict[tuple[str, str], TwoAnswers] = {}
    for pair in pairs:
        first.setdefault((pair.base, pair.target), pair)
    return tuple(dict.fromkeys((*first.values(), *pairs)))[:EXAMPLES]


def _matrix(change: Floats, parts: Sequence[Part], rows: Table) -> Matrix:
    """Prompts in the order of their tree, the rows nearest to them in that of theirs."""
    if not len(change):
        return Matrix(np.zeros((0, 0), dtype=np.float32), ())
    order = Tree(change).order
    cosines = rows.some(_nearest(change, rows)).cosines(change[order]).T
    if cosines.shape[1] > 1:
        cosines = cosines[:, leaves_list(linkage(cosines.T, "ward"))]
    place = np.argsort(order)
    spans = tuple(
        (int(place[part.members].min()), int(place[part.members].max()) + 1) for part in parts
    )
    return Matrix(cosines, spans)


def _nearest(change: Floats, rows: Table) -> Numbers:
    """Rows that are nearest to some prompt, at most `COLUMNS` of them, in the order of the data."""
    best = np.zeros(len(rows), dtype=np.float32)
    block = max(1, _BLOCK_BYTES // (4 * len(rows)))
    most = min(NEAREST, len(rows))
    for start in range(0, len(change), block):
        cosines = rows.cosines(change[start : start + block])  # [rows, block]
        top = np.argpartition(-cosines, most - 1, axis=0)[:most]
        values = np.take_along_axis(cosines, top, axis=0)
        np.maximum.at(best, top.ravel(), values.ravel())
    wanted = np.argsort(-best, kind="stable")[:COLUMNS]
    return np.sort(wanted[best[wanted] > 0])


def read_prompts(path: Path) -> list[str]:
    """The prompts in a file: under `prompt` in each row of JSON lines, else one a line.

    Raises UsageError if there is no such file or no prompt in it, DataError naming a bad line.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file of prompts; give one a line") from None
    except OSError as error:
        raise UsageError(f"{path}: can't be read ({error.strerror}); give a file") from None
    except UnicodeDecodeError as error:
        raise DataError(path, None, f"not UTF-8 at byte {error.start}; save it as UTF-8") from None
    read = _prompt if path.suffix in (".jsonl", ".ndjson") else _as_it_stands
    prompts = [read(path, n, line) for n, line in enumerate(lines, 1) if line.strip()]
    if not prompts:
        raise UsageError(f"{path}: has no prompts; give one a line")
    return prompts


def _as_it_stands(path: Path, number: int, line: str) -> str:
    return line


def _prompt(path: Path, number: int, line: str) -> str:
    wanted = 'give rows of {"prompt": text}'
    try:
        row = json.loads(line)
    except (json.JSONDecodeError, RecursionError) as error:
        raise DataError(path, number, f"is no JSON ({error}); {wanted}") from None
    prompt = row.get("prompt") if isinstance(row, dict) else None
    if not isinstance(prompt, str) or not prompt.strip():
        raise DataError(path, number, f"has no text under `prompt`; {wanted}")
    return prompt
