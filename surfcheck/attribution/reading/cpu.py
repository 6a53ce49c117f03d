"""The same numbers sooner on a CPU: linear layers, and attention with two answers behind a prompt.

Linear layers in float32 go through oneDNN, which comes with torch. What torch takes by itself on an
x86 processor is MKL, which on AMD's has less than half the speed (measured: 107 against 236 GFLOP/s
on one core of a fifth-generation EPYC). Attention is asked, row by row, only for what is seen: with
a mask it computes what the mask hides as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from surfcheck.attribution.reading.sequences import Fork


class OnCpu(TorchFunctionMode):
    """How this thread computes while it is entered, without gradients."""

    def __init__(self, forks: Sequence[Fork], mask: torch.Tensor | None) -> None:
        """`mask` is what hides nothing but the first answers from the second [b, 1, t, t]: where
        attention is given it, it is computed without."""
        super().__init__()
        self._forks, self._mask = forks, mask
        there = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        there = there and hasattr(torch.ops.mkldnn, "_linear_pointwise")  # not public, may go
        self._onednn = there and torch.backends.cpu.get_cpu_capability().startswith("AVX")

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        named = kwargs or {}
        if func is functional.linear and self._onednn and not named and _plain(*args[:2]):
            hidden, weight, bias = (*args, None)[:3]
            return torch.ops.mkldnn._linear_pointwise(hidden, weight, bias, "none", [], "")
        given = named.get("attn_mask") if func is functional.scaled_dot_product_attention else None
        if given is not None and given is self._mask:
            return self._seen_only(*args, scale=named["scale"])
        return func(*args, **named)

    def _seen_only(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *, scale: float | None
    ) -> torch.Tensor:
        """Attention [b, heads, t, d]; 0 in the padding."""
        attend = functional.scaled_dot_product_attention
        found = torch.zeros_like(query)
        for row, fork in enumerate(self._forks):
            start, middle, end = len(fork.prompt), fork.lengths()[0], fork.size
            q, k, v = query[row, None], key[row, None], value[row, None]
            found[row, :, :middle] = attend(
                q[:, :, :middle], k[:, :, :middle], v[:, :, :middle], is_causal=True, scale=scale
            )[0]
            keys, values = (torch.cat([s[:, :, :start], s[:, :, middle:end]], 2) for s in (k, v))
            seen = torch.ones(end - middle, keys.shape[2], dtype=torch.bool).tril(start)
            second = q[:, :, middle:end]
            found[row, :, middle:end] = attend(second, keys, values, attn_mask=seen, scale=scale)[0]
        return found


def _plain(hidden: torch.Tensor, weight: torch.Tensor) -> bool:
    """Whether oneDNN takes them as they lie: what it has to order first takes it very long."""
    float32 = hidden.dtype == weight.dtype == torch.float32
    return float32 and hidden.numel() > 0 and hidden.is_contiguous() and weight.is_contiguous()
