"""Gradients of weight matrices, made short without ever being written out.

A token's share in the gradient of a linear map is the outer product of what came out of it
backwards and what went into it. A random projection of either side (Kronecker-factored, as LoGra,
Choe et al. 2024, 2405.13954, has it) needs n x k numbers a side where a dense one of the gradient
needs n² x k², keeps inner products in expectation, and works on the factors: the whole gradient
is never in memory. With the outputs left whole it would be the gradient of LoRA's B under a random
A. Signs at random (Achlioptas 2003) vary less than Gaussian numbers. Left out: projections fitted
to the data.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isqrt
from typing import NamedTuple

import torch

from surfcheck.errors import UsageError


class Factors(NamedTuple):
    """What shortens the gradient of one linear map; None leaves a side as it is."""

    inputs: torch.Tensor | None
    """For what goes in [n, k]."""
    outputs: torch.Tensor | None
    """For what comes out [m, k]."""


def kronecker(
    shapes: Sequence[tuple[int, int]], dimension: int | None, *, seed: int, device: torch.device
) -> list[Factors]:
    """Factors for linear maps of these (inputs, outputs), together at most `dimension` numbers.

    Every map gets as many, and no side more than it has; `dimension` None shortens nothing. The
    same seed gives the same factors on every device. Raises UsageError if a map would get none.
    """
    if dimension is None:
        return [Factors(None, None)] * len(shapes)
    if dimension < len(shapes):
        raise UsageError(
            f"{dimension} numbers are not one for each of {len(shapes)} weight matrices; give a "
            "larger dimension"
        )
    side = isqrt(dimension // len(shapes))
    chance = torch.Generator().manual_seed(seed)
    return [
        Factors(*(_signs(size, side, chance, device) for size in both)) for both in shapes
    ]  # fmt: skip


def _signs(
    size: int, side: int, chance: torch.Generator, device: torch.device
) -> torch.Tensor | None:
    """Random signs [size, side] that keep lengths in expectation."""
    if side >= size:
        return None
    signs = torch.randint(2, (size, side), generator=chance, dtype=torch.float32) * 2 - 1
    scaled: torch.Tensor = signs / side**0.5
    return scaled.to(device)


def shorten(vectors: torch.Tensor, factor: torch.Tensor | None) -> torch.Tensor:
    """One side of every token [..., n], as [..., k] in float32."""
    return vectors.float() if factor is None else vectors.float() @ factor


def outer(inputs: torch.Tensor, outputs: torch.Tensor) -> torch.Tensor:
    """Sums over tokens of the outer products of [s, t, k] and [s, t, j], as [s, j * k]."""
    return (outputs.transpose(1, 2) @ inputs).flatten(1)
