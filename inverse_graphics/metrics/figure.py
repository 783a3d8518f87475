"""A measured figure with its unit and its denominator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

_UNITS = {"m": (1000.0, " mm"), "deg": (1.0, "°"), "share": (100.0, " %")}


@dataclass(frozen=True)
class Figure:
    """One figure.

    Attributes:
        name: key; contains the denominator where two figures differ in nothing else.
        label: for display.
        value: in `unit`, None where the denominator is 0.
        unit: "share", "m" or "deg".
        denominator: number of items measured.
        of: name of these items, in the plural.
    """

    name: str
    label: str
    value: float | None
    unit: str
    denominator: int
    of: str

    @classmethod
    def share(cls, name: str, label: str, hit: Tensor, of: str) -> Figure:
        """The share of items for which `hit` is true.

        Args:
            hit: (D,) bool.
        """
        return cls(name, label, float(hit.double().mean()) if len(hit) else None, "share", len(hit), of)

    @classmethod
    def quantiles(cls, name: str, label: str, errors: Tensor, unit: str, of: str) -> list[Figure]:
        """The median and the 90th percentile of errors.

        Args:
            errors: (D,), in `unit`.
        """

        def quantile(suffix: str, quantile_label: str, share: float) -> Figure:
            value = float(torch.quantile(errors, share)) if len(errors) else None
            return cls(f"{name}_{suffix}", f"{label}, {quantile_label}", value, unit, len(errors), of)

        return [quantile("median", "median", 0.5), quantile("p90", "90th percentile", 0.9)]

    def line(self) -> str:
        """The figure as text, such as `position error, median: 3.1 mm (1,204 matched objects)`."""
        return f"{self.label}: {with_unit(self.value, self.unit)} ({self.denominator:,} {self.of})"

    def to_json(self) -> dict[str, Any]:
        """Value, unit and denominator as JSON values."""
        return {"value": self.value, "unit": self.unit, "denominator": self.denominator, "of": self.of}


def with_unit(value: float | None, unit: str) -> str:
    """A value as text, such as `3.10 mm`."""
    factor, sign = _UNITS[unit]
    return "–" if value is None else f"{factor * value:.2f}{sign}"
