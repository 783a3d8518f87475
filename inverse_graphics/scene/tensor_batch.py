"""Dataclasses of batched tensors that are indexed, concatenated and moved as one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import torch
from torch import Tensor

Index = Tensor | slice | tuple[Tensor | slice | int | None, ...]


@dataclass(frozen=True)
class TensorBatch:
    """Base of frozen dataclasses whose tensors share their first dimension, the batch, B.

    A field is a tensor, another `TensorBatch` of the same B, or a value of the whole batch, such as the
    height of its images or None; such a value is copied unchanged.
    """

    def __len__(self) -> int:
        """B."""
        for value in vars(self).values():
            if isinstance(value, Tensor | TensorBatch):
                return len(value)
        raise TypeError(f"{type(self).__name__} has no tensors, and so no length")

    def __getitem__(self, index: Index) -> Self:
        """Select elements by a slice, indices (C,) or a mask (B,); a tuple indexes several batch dimensions.

        Raises:
            TypeError: a single number, which would leave no batch dimension; expected a slice.
        """
        if isinstance(index, int):
            raise TypeError(f"index {index} leaves no batch dimension: expected batch[{index}:{index + 1}]")
        return self.map(lambda part: part[index])

    def map(self, function: Callable[[Tensor], Tensor]) -> Self:
        """Apply a function to every tensor."""
        return self._combined([], lambda parts: function(parts[0]))

    def replace(self, **changes: Any) -> Self:
        """Copy with other values in some fields.

        Raises:
            TypeError: there is no such field.
        """
        return replace(self, **changes)

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> Self:
        """Copy to a device; real-valued tensors are converted to `dtype`, if given."""
        return self.map(lambda part: part.to(device, dtype if part.is_floating_point() else None))

    def reshape(self, *shape: int) -> Self:
        """Split the batch dimension into dimensions of `shape`, one of which may be −1."""
        return self.map(lambda part: part.reshape(*shape, *part.shape[1:]))

    def repeat(self, times: int) -> Self:
        """Concatenate `times` copies of the whole batch: times · B."""
        return self.map(lambda part: part.repeat(times, *[1] * (part.dim() - 1)))

    def split(self, size: int) -> Iterator[Self]:
        """Split into parts of at most `size` elements, in order."""
        return (self[start : start + size] for start in range(0, len(self), size))

    def index_copy(self, index: Tensor, values: Self) -> Self:
        """Copy with `values` (C) in place of the elements at `index` (C,)."""
        return self._combined([values], lambda parts: parts[0].index_copy(0, index, parts[1]))

    def where(self, mask: Tensor, others: Self) -> Self:
        """Take these elements where `mask` (B,) is true, and those of `others` elsewhere."""

        def chosen(parts: list[Tensor]) -> Tensor:
            return torch.where(mask.reshape(-1, *[1] * (parts[0].dim() - 1)), parts[0], parts[1])

        return self._combined([others], chosen)

    @classmethod
    def cat(cls, batches: Sequence[Self]) -> Self:
        """Concatenate batches, in order.

        Raises:
            ValueError: no batches, or batches whose other values differ.
        """
        if not batches:
            raise ValueError("got no batches: expected at least one")
        return batches[0]._combined(batches[1:], torch.cat)

    @classmethod
    def stack(cls, batches: Sequence[Self]) -> Self:
        """Several batches of the same B side by side: (B, len(batches), …).

        Raises:
            ValueError: no batches, or values that hold for a whole batch differ.
        """
        if not batches:
            raise ValueError("got no batches: expected at least one")
        return batches[0]._combined(batches[1:], lambda parts: torch.stack(parts, dim=1))

    def _combined(self, others: Sequence[Self], function: Callable[[list[Tensor]], Tensor]) -> Self:
        """Apply a function to the same tensor of this batch and of `others`."""
        fields: dict[str, Any] = {}
        for name, value in vars(self).items():
            parts = [value, *(getattr(other, name) for other in others)]
            if all(isinstance(part, Tensor) for part in parts):
                fields[name] = function(parts)
            elif all(isinstance(part, TensorBatch) for part in parts):
                fields[name] = value._combined(parts[1:], function)
            elif all(part is value or part == value for part in parts):
                fields[name] = value
            else:
                raise ValueError(f"'{name}' differs: expected one value for all batches, or a tensor in each")
        return type(self)(**fields)
