"""Products of very many stored vectors with a few: exact, at the speed of the memory.

The vectors are multiplied as they lie, in float16, and summed in float32 or wider (NumKong's
kernels); nothing is copied or made wider first. Left out: several threads, since one core reads as
fast as the memory gives.
"""

from __future__ import annotations

import numkong
import numpy as np
import numpy.typing as npt
import torch

Floats = npt.NDArray[np.float32]

TINY = 1e-12
"""No vector is divided by less."""
_FEW = 2
"""Up to so many directions go one by one; more are packed once, in the order of the registers."""


def unit(vectors: Floats) -> Floats:
    """Vectors of length one along the last axis; zeros stay zeros."""
    scaled: Floats = vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), TINY)
    return scaled


def products(stored: torch.Tensor, directions: Floats) -> Floats:
    """Inner products of vectors [n, d] float16, mapped or not, with directions [k, d]: [n, k].

    A direction is rounded to float16, as the vectors were, with an exponent of its own.
    """
    scale = np.maximum(np.abs(directions).max(axis=1, keepdims=True, initial=0.0), TINY)
    vectors, narrow = stored.contiguous().numpy(), (directions / scale).astype(np.float16)
    if not len(vectors):
        return np.zeros((0, len(narrow)), dtype=np.float32)
    if len(narrow) <= _FEW:
        found = numkong.cdist(vectors, narrow, metric="inner")
    else:
        found = numkong.dots_packed(vectors, numkong.dots_pack(narrow))
    sums: Floats = np.asarray(found, dtype=np.float32) * scale.T
    return sums
