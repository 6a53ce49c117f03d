"""Rows of unlike length into batches of like length: little padding, bounded memory."""

from __future__ import annotations

from collections.abc import Sequence


def batches(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Row numbers, longest rows first; rows x longest of a batch is at most `budget` tokens.

    A row longer than the budget stands alone. Longest first, so that what does not fit into
    memory says so at once.
    """
    order = sorted(range(len(lengths)), key=lambda row: -lengths[row])
    found: list[list[int]] = []
    for row in order:
        if found and (len(found[-1]) + 1) * lengths[found[-1][0]] <= budget:
            found[-1].append(row)
        else:
            found.append([row])
    return found
