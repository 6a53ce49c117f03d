"""What retraining showed, as a picture: SVG by matplotlib, the same bytes for the same figures."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from surfcheck.attribution.retraining.cure import METHOD, ORACLE, UNEDITED, Arm, Estimate
from surfcheck.files import output

_COLOURS = {METHOD: "#c2410c", ORACLE: "#0f766e", UNEDITED: "#334155"}
_OTHER = "#94a3b8"


class Curve(NamedTuple):
    """How much of a behaviour is left by how many rows were edited."""

    name: str
    """`method`, `oracle`, or the name of a control."""
    rows: Sequence[int]
    """Rows edited, ascending."""
    rates: Sequence[Estimate]
    """How often the behaviour is broken then."""


def draw_arms(arms: Sequence[Arm], path: Path) -> None:
    """A bar an arm with its interval, a dot a seed. Raises InfrastructureError."""
    figure = Figure(figsize=(1.6 + 1.1 * len(arms), 3.2), layout="constrained")
    axes = figure.add_subplot()
    for place, arm in enumerate(arms):
        colour = _COLOURS.get(arm.name, _OTHER)
        axes.bar(place, 100 * arm.rate.mean, width=0.6, color=colour, alpha=0.45)
        _interval(axes, [place], [arm.rate], colour)
        rates = [100 * rate for rate in arm.rates]
        axes.plot([place] * len(rates), rates, "o", color=colour, markersize=4)
    axes.set_xticks(range(len(arms)), [f"{arm.name}\n{arm.edited:,} rows" for arm in arms])
    _finish(axes)
    _save(figure, path)


def draw_curves(panels: Sequence[tuple[str, Sequence[Curve]]], path: Path) -> None:
    """A panel an action, a line a choice of rows. Raises InfrastructureError."""
    figure = Figure(figsize=(1 + 3.6 * len(panels), 3.4), layout="constrained")
    for number, (title, curves) in enumerate(panels, 1):
        axes = figure.add_subplot(1, len(panels), number)
        for curve in curves:
            colour = _COLOURS.get(curve.name, _OTHER)
            means = [100 * rate.mean for rate in curve.rates]
            axes.plot(curve.rows, means, "o-", color=colour, markersize=4, label=curve.name)
            _interval(axes, curve.rows, curve.rates, colour)
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("rows edited")
        _finish(axes)
        axes.legend(frameon=False, fontsize=8)
    _save(figure, path)


def _interval(axes: Axes, places: Sequence[float], rates: Sequence[Estimate], colour: str) -> None:
    lows = [100 * (rate.mean - rate.low) for rate in rates]
    highs = [100 * (rate.high - rate.mean) for rate in rates]
    means = [100 * rate.mean for rate in rates]
    axes.errorbar(places, means, yerr=[lows, highs], fmt="none", ecolor=colour, capsize=3)


def _finish(axes: Axes) -> None:
    axes.set_ylim(0, 102)
    axes.set_ylabel("behaviour broken, % of cases")
    axes.spines[["top", "right"]].set_visible(False)


def _save(figure: Figure, path: Path) -> None:
    drawn = BytesIO()
    with mpl.rc_context({"svg.hashsalt": "surfcheck", "svg.fonttype": "none"}):
        figure.savefig(drawn, format="svg", metadata={"Date": None})
    with output(path) as file:
        file.write(drawn.getvalue())
