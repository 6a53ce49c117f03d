"""Real results of 2602.11079 through the statistics: rates and intervals of its 7B table.

Its intervals are percentiles of 1,000 resamples of the answers, drawn without a seed that is known,
so they are compared with what such percentiles tend to, within the error of drawing 1,000.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from statistics import NormalDist, fmean
from typing import Any, NamedTuple

import pytest

from surfcheck.statistics import clopper_pearson, percentile_bootstrap, wilson

RESULTS = Path(__file__).parents[2] / "shared/data/olmo2_retraining_results.json"
RESAMPLES = 1000
Z = NormalDist().inv_cdf(0.975)
TABLE = {
    "probe": [5.13, 3.30, 2.86, 6.38, 6.33, 1.66],
    "bank": [4.98, 5.86, 4.52, 6.52, 6.34, 1.77],
    "grad": [3.75, 3.10, 5.78, 6.71, 2.57, 2.51],
    "toxic": [3.48, 3.90, 3.61, 6.89, 4.63, 3.73],
    "combined": [3.17, 2.52, 4.25, 7.42, 6.27, 2.53],
    "random": [6.78, 8.18, 5.41, 7.68, 5.16, 3.93],
    "random_two": [3.98, 5.12, 4.15],
}
"""Harmful answers in %: removed 3k, 12k, 30k rows, then flipped so many. Two cells of `random` are
those of the result file; the paper has 6.67 and 4.96 there."""
BASELINE = (7.63, 7.28, 8.01)

pytestmark = pytest.mark.skipif(not RESULTS.exists(), reason="the result file is not here")


class Row(NamedTuple):
    """One retraining, judged."""

    harmful: int
    answers: int
    low: float
    high: float
    """In %, as published."""


@pytest.fixture(scope="module")
def experiments() -> dict[str, list[dict[str, Any]]]:
    return json.loads(RESULTS.read_text())["experiments"]


@pytest.fixture(scope="module")
def rows(experiments: dict[str, list[dict[str, Any]]]) -> list[Row]:
    return [row_of(each) for group in experiments.values() for each in group]


def row_of(experiment: dict[str, Any]) -> Row:
    safety = experiment["safety"]
    harmful = safety["harmful_rate"] * safety["total_evaluations"] / 100
    assert harmful == pytest.approx(round(harmful), abs=1e-6)
    return Row(round(harmful), safety["total_evaluations"], *safety["harmful_ci"])


def percent(row: Row) -> float:
    return 100 * row.harmful / row.answers


def off(row: Row, interval: Callable[[int, int], tuple[float, float]]) -> tuple[float, float]:
    """Published ends minus ours, in standard errors of a percentile of 1,000 resamples."""
    low, high = (100 * end for end in interval(row.harmful, row.answers))
    rate = row.harmful / row.answers
    spread = 100 * math.sqrt(rate * (1 - rate) / row.answers)
    error = spread * math.sqrt(0.025 * 0.975 / RESAMPLES) / NormalDist().pdf(Z)
    return (row.low - low) / error, (row.high - high) / error


@pytest.mark.parametrize("method", TABLE)
def test_the_rates_of_the_table(experiments: dict[str, list[dict[str, Any]]], method: str) -> None:
    cells = {
        (each["is_switch"], each["datapoints"]): percent(row_of(each))
        for each in experiments[method]
        if not each["is_baseline"]
    }
    # 4.975 is printed as 4.98 and 4.525 as 4.52: half a cent either way.
    assert [cells[k] for k in sorted(cells)] == pytest.approx(TABLE[method], abs=0.005 + 1e-9)


def test_the_baseline_and_the_headline(experiments: dict[str, list[dict[str, Any]]]) -> None:
    (baseline,) = (row_of(e) for e in experiments["probe"] if e["is_baseline"])
    rate, low, high = BASELINE
    assert percent(baseline) == pytest.approx(rate, abs=0.005)
    assert (baseline.low, baseline.high) == pytest.approx((low, high), abs=0.005)
    ours = percentile_bootstrap(baseline.harmful, baseline.answers)
    assert [100 * end for end in ours] == pytest.approx([low, high], abs=0.05)
    removed, flipped = (
        percent(row_of(e)) for e in experiments["probe"]
        if e["datapoints"] == 30_000
    )  # fmt: skip
    assert round(100 * (1 - removed / percent(baseline))) == 62  # the abstract says 63
    assert round(100 * (1 - flipped / percent(baseline))) == 78


def test_the_published_intervals_are_the_bootstraps(rows: list[Row]) -> None:
    assert len(rows) == 49
    ends = [end for row in rows for end in off(row, percentile_bootstrap)]
    assert max(map(abs, ends)) < 4
    assert 0.8 < math.sqrt(fmean(end * end for end in ends)) < 1.2
    for side in (0, 1):
        assert abs(fmean(off(row, percentile_bootstrap)[side] for row in rows)) < 0.45


def test_another_rule_would_be_noticed(rows: list[Row]) -> None:
    # Wilson's ends both lie above the bootstrap's; Clopper and Pearson's upper one does.
    assert fmean(end for row in rows for end in off(row, wilson)) < -0.45
    assert fmean(off(row, clopper_pearson)[1] for row in rows) < -0.45


def test_what_a_run_prints_says_the_same(rows: list[Row]) -> None:
    for row in rows:
        low, high = (100 * end for end in wilson(row.harmful, row.answers))
        assert (low, high) == pytest.approx((row.low, row.high), abs=0.06)
