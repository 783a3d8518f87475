"""Which positions of a map halt together."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import avg_pool2d


@dataclass(frozen=True)
class Granularity:
    """Squares of `patch` by `patch` positions share a latent; None: all positions of the map do.

    A patch larger than the map is the map. Figurnov et al. 2018 group latents so.
    """

    patch: int | None = 1

    def share(self, logits: Tensor) -> Tensor:
        """The mean logit of each patch: (B, h, w) of (B, H, W)."""
        rows, columns = self._sides(logits.shape[-2], logits.shape[-1])
        return logits if rows == columns == 1 else avg_pool2d(logits[:, None], (rows, columns))[:, 0]

    def spread(self, latents: Tensor, height: int, width: int) -> Tensor:
        """What holds of each patch, at its positions: (..., H, W) of (..., h, w)."""
        rows, columns = self._sides(height, width)
        if rows == columns == 1:
            return latents
        *lead, h, w = latents.shape
        tiled = latents[..., :, None, :, None].expand(*lead, h, rows, w, columns)
        return tiled.reshape(*lead, height, width)

    def latents(self, height: int, width: int) -> int:
        """How many there are on a map of that size."""
        rows, columns = self._sides(height, width)
        return (height // rows) * (width // columns)

    def fits(self, height: int, width: int) -> bool:
        """Whether patches tile a map of that size."""
        rows, columns = self._sides(height, width)
        return height % rows == 0 and width % columns == 0

    def _sides(self, height: int, width: int) -> tuple[int, int]:
        return (
            height if self.patch is None else min(self.patch, height),
            width if self.patch is None else min(self.patch, width),
        )
