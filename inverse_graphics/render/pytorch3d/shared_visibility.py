"""Stage 1 of the *shared* form: PyTorch3D says which face covers a pixel, our topology finds the edges."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from inverse_graphics.packs.mesh import MeshLibrary
from inverse_graphics.render.embedded.topology import MeshTopology
from inverse_graphics.render.embedded.visibility import Clipping, Visibility
from inverse_graphics.render.embedded.visibility_torch import Projected, find_visibility
from inverse_graphics.render.pytorch3d.axes import ndc_from_pixels
from inverse_graphics.render.pytorch3d.rasterising import Frame, rasterise

MARGIN = 1  # pixels outside the picture on each side, which edges at its border need


@dataclass(frozen=True)
class PyTorch3DVisibility:
    """A `FindVisibility`: the embedded engine's, but that PyTorch3D rasterises at blur 0 with K = 1."""

    bin_size: int | None = None

    def __call__(
        self,
        library: MeshLibrary,
        topology: MeshTopology,
        parameters: Tensor,
        mesh: Tensor,
        clipping: Clipping,
    ) -> Visibility:
        """Find what is visible in each layer; see `FindVisibility`."""
        return find_visibility(library, topology, parameters, mesh, clipping, self._rasterise)

    def _rasterise(self, projected: Projected, clipping: Clipping) -> Tensor:
        """A `Rasterise`."""
        points, layers = projected.points, projected.layers
        ndc = ndc_from_pixels(points, clipping.height, clipping.width, MARGIN)
        kept = (projected.triangles.facing != 0).nonzero()[:, 0]
        frame = Frame(
            clipping.height + 2 * MARGIN,
            clipping.width + 2 * MARGIN,
            clipping.near,
            clipping.far,
            self.bin_size,
        )
        hits = rasterise(
            ndc,
            torch.bincount(projected.vertices.layer, minlength=layers),
            projected.corners[kept],
            torch.bincount(projected.faces.layer[kept], minlength=layers),
            frame,
        )
        face = hits.face.reshape(-1)
        if not len(kept):
            return face
        return torch.where(face >= 0, kept[face.clamp(min=0)], -1)
