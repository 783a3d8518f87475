"""Observations of a sensor, and the renderer's predictions of them, which observation models compare."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from inverse_graphics.errors import ImageError
from inverse_graphics.rendering.backdrop import Backdrop
from inverse_graphics.rendering.compositing import Composite, composite_prefixes
from inverse_graphics.rendering.engine import Layers
from inverse_graphics.rendering.rendering import Rendering
from inverse_graphics.scene.tensor_batch import TensorBatch


@dataclass(frozen=True)
class Rendered(TensorBatch):
    """Renders of B scenes, without noise; further axes may follow the first, such as that of prefixes.

    Attributes:
        rgb: (B, 3, H, W), linear colour; (B, 1, H, W) where images are grey.
        coverage: (B, 1, H, W), the share of each pixel that objects cover, in [0, 1]; None if not needed.
        depth: (B, 1, H, W), metres along the camera's z axis, +inf where only the background is visible; None
            if not needed.
    """

    rgb: Tensor
    coverage: Tensor | None = None
    depth: Tensor | None = None

    @classmethod
    def from_rendering(cls, rendering: Rendering | Composite) -> Self:
        """Convert the output of a renderer; differentiable if the renderer is."""
        return cls(rendering.image, rendering.alpha[:, None], rendering.depth[:, None])

    @classmethod
    def from_backdrop(cls, backdrop: Backdrop) -> Self:
        """Convert a backdrop: table and background without objects."""
        seen = backdrop.coverage > 0.5
        depth = torch.where(seen, backdrop.depth, torch.inf)
        return cls(backdrop.rgb, torch.zeros_like(backdrop.depth)[:, None], depth[:, None])

    @classmethod
    def from_prefixes(cls, layers: Layers, backdrop: Backdrop) -> Self:
        """Renders of each scene's first 0, 1, … N objects, (B, N + 1, …), without depth."""
        nothing = torch.ones_like(backdrop.coverage)[:, None]
        clear = torch.cat([nothing, 1 - layers.alpha], dim=1).cumprod(dim=1)
        return cls(composite_prefixes(layers, backdrop), 1 - clear[:, :, None])


@dataclass(frozen=True)
class Observation(TensorBatch):
    """B images, with depth and camera if known; further axes may follow the first, such as that of prefixes.

    Attributes:
        rgb: (B, 3, H, W), grey levels, in [0, 1] apart from noise; (B, 1, H, W) for grey images.
        depth: (B, 1, H, W), metres along the camera's z axis, NaN where missing; None without a depth sensor.
        K: (B, 3, 3), intrinsics, pixels; None if unknown.
        T_world_camera: (B, 4, 4), camera to world; None if unknown.
    """

    rgb: Tensor
    depth: Tensor | None = None
    K: Tensor | None = None
    T_world_camera: Tensor | None = None

    @classmethod
    def from_arrays(
        cls,
        images: Sequence[NDArray[np.floating]] | NDArray[np.floating],
        depth: Sequence[NDArray[np.floating]] | NDArray[np.floating] | None = None,
        K: NDArray[np.floating] | None = None,
        T_world_camera: NDArray[np.floating] | None = None,
    ) -> Self:
        """Convert arrays in the layout of image files, channels last.

        Args:
            images: B of (H, W, 3) or grey (H, W, 1), floats in [0, 1].
            depth: B of (H, W), metres, NaN where missing.
            K: (B, 3, 3), pixels.
            T_world_camera: (B, 4, 4).

        Raises:
            ImageError: shapes that do not match.
        """
        rgb = torch.from_numpy(np.stack([np.asarray(image, np.float32) for image in images]))
        if rgb.dim() != 4 or rgb.shape[-1] not in (1, 3):
            raise ImageError(f"images of shape {tuple(rgb.shape[1:])}: expected (H, W, 3) or (H, W, 1)")
        parts: dict[str, Tensor] = {"rgb": rgb.permute(0, 3, 1, 2).contiguous()}
        known = {
            "depth": (None if depth is None else np.stack(list(depth))[:, None], (1, *rgb.shape[1:3])),
            "K": (K, (3, 3)),
            "T_world_camera": (T_world_camera, (4, 4)),
        }
        for name, (array, shape) in known.items():
            if array is None:
                continue
            if array.shape != (len(rgb), *shape):
                raise ImageError(
                    f"{name} of shape {array.shape} for images of shape {tuple(rgb.shape)}: "
                    f"expected {(len(rgb), *shape)}"
                )
            parts[name] = torch.from_numpy(np.ascontiguousarray(array, np.float32))
        return cls(**parts)

    def to_arrays(self) -> NDArray[np.float32]:
        """The images in the layout and range of image files: (B, H, W, 3), clipped to [0, 1]."""
        return self.rgb.clamp(0, 1).movedim(-3, -1).cpu().numpy()

    def clipped(self) -> Self:
        """The same with grey levels clipped to [0, 1], the range of image files."""
        return self.replace(rgb=self.rgb.clamp(0, 1))

    def residual(self, render: Rendered) -> Tensor:
        """The images minus the render: (B, 3, H, W), grey levels, broadcast."""
        return self.rgb - render.rgb
