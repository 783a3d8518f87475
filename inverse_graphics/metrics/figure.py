"""A measured number that says over how many of what it was taken."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_UNITS = {"m": (1000.0, " mm"), "deg": (1.0, "°"), "share": (100.0, " %")}


@dataclass(frozen=True)
class Figure:
    """One figure.

    name: for programs; it tells the denominator wherever two figures differ by it alone.
    label: for people.  value: in `unit` ("share", "m" or "deg"), None where nothing could be counted.
    denominator: over how many; of: of what, in plural.
    """

    name: str
    label: str
    value: float | None
    unit: str
    denominator: int
    of: str

    @classmethod
    def share(cls, name: str, label: str, hit: Tensor, of: str) -> Figure:
        """How many of some things are so.  hit: (D,) bool."""
        return cls(name, label, float(hit.double().mean()) if len(hit) else None, "share", len(hit), of)

    @classmethod
    def spread(cls, name: str, label: str, errors: Tensor, unit: str, of: str) -> list[Figure]:
        """The median and the 90th percentile of some errors.  errors: (D,), already in `unit`."""

        def quantile(end: str, called: str, share: float) -> Figure:
            value = float(torch.quantile(errors, share)) if len(errors) else None
            return cls(f"{name}_{end}", f"{label}, {called}", value, unit, len(errors), of)

        return [quantile("median", "median", 0.5), quantile("p90", "90th percentile", 0.9)]

    def line(self) -> str:
        """The figure as people read it: `position error, median: 3.1 mm (1,204 matched objects)`."""
        factor, sign = _UNITS[self.unit]
        number = "–" if self.value is None else f"{factor * self.value:.2f}{sign}"
        return f"{self.label}: {number} ({self.denominator:,} {self.of})"
