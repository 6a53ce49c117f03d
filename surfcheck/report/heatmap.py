"""Behaviours by training rows as a picture: which prompts lean on the same rows."""

from __future__ import annotations

from collections.abc import Sequence
from io import StringIO

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

BRACKET = "#3b6ea5"


def heatmap(cosines: npt.NDArray[np.float32], spans: Sequence[tuple[int, int]]) -> str:
    """An SVG of cosines [prompts, rows]; each span of prompts is a behaviour, in their order.

    Shows no text of a model or of the data.
    """
    prompts, rows = cosines.shape
    figure = Figure(figsize=(9.0, 5.5), layout="constrained")
    axes = figure.subplots()
    most = float(np.abs(cosines).max(initial=0.0)) or 1.0
    picture = axes.imshow(
        cosines, cmap="RdBu_r", vmin=-most, vmax=most, aspect="auto", interpolation="nearest"
    )
    for number, (first, end) in enumerate(spans, 1):
        axes.plot(
            [-0.01, -0.01], [first - 0.4, end - 0.6], color=BRACKET, linewidth=3, clip_on=False,
            transform=axes.get_yaxis_transform(),
        )  # fmt: skip
        axes.text(
            -0.02, (first + end - 1) / 2, f"behaviour {number}", ha="right", va="center",
            transform=axes.get_yaxis_transform(), fontsize=8,
        )  # fmt: skip
    axes.set(xticks=[], yticks=[])
    axes.set_xlabel(f"{rows:,} training rows that are nearest to some prompt, alike side by side")
    axes.set_ylabel(f"{prompts:,} prompts that are answered otherwise", labelpad=80)
    figure.colorbar(picture, ax=axes, label="cosine of the two changes, mean over layers")
    content = StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "surfcheck"}):  # the same picture, the same file
        figure.savefig(content, format="svg", metadata={"Date": None})
    return content.getvalue()
