"""How a method by activations looks: at which layers, and at the rows' changes in which space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from surfcheck.attribution.chance import Method
from surfcheck.attribution.evidence import EVERY, Evidence
from surfcheck.attribution.layers import best_layer
from surfcheck.attribution.probe import probe
from surfcheck.attribution.spaces import probe_in
from surfcheck.errors import UsageError

ALL, BEST = "all", "best"


@dataclass(frozen=True, slots=True)
class How:
    """Choices that no method needs; as they are, nothing is chosen."""

    layer: str = ALL
    """`all` of the index's layers, the `best` one by held-out contrasts, or one by its number."""
    centred: bool = False
    """Whether the mean change of all rows is taken away from each, for `probe`."""
    whitened: float = 0.0
    """Power of the inverse variance that each axis of the changes is scaled by, for `probe`; 0.5 is
    white."""

    def pick(self, evidence: Evidence, layers: Sequence[int]) -> slice:
        """Positions among an index's layers. Raises UsageError for one that is not there."""
        if self.layer == ALL:
            return EVERY
        if self.layer == BEST:
            position = best_layer(evidence)
        elif self.layer.isdecimal() and int(self.layer) in layers:
            position = list(layers).index(int(self.layer))
        else:
            there = ", ".join(map(str, layers))
            raise UsageError(
                f"there is no layer {self.layer!r} in the index; use all, best or one of {there}"
            )
        return slice(position, position + 1)

    def score_by(self, method: Method) -> Method:
        """The method in this space. Raises UsageError if it does not look there."""
        if not self.centred and not self.whitened:
            return method
        if method is not probe:
            raise UsageError("centring and whitening are for probe; leave them out, or use probe")
        return partial(probe_in, centred=self.centred, power=self.whitened)

    def only_by_activations(self, method: str) -> None:
        """Raise UsageError if anything is chosen: the method reads no activations."""
        if self != USUAL:
            raise UsageError(
                f"{method} reads no activations: leave out the layer, centring and whitening"
            )


USUAL = How()
