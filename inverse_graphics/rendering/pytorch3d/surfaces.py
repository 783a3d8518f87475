"""Layers in PyTorch3D's coordinates: their meshes, with the attributes of each face.

The only place where this package's cameras are converted to PyTorch3D's.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from inverse_graphics.packs.mesh import MeshLibrary
from inverse_graphics.rendering.embedded.topology import MeshTopology
from inverse_graphics.rendering.pytorch3d.outline import Edges, Outline, find_outline
from inverse_graphics.rendering.pytorch3d.rasterisation import (
    Frame,
    Hits,
    Table,
    facings,
    project_layers,
    rasterise,
)

NEAREST = 1e-6  # metres: points nearer to the camera's plane are moved to this distance, to divide by it


def ndc_from_pixels(homogeneous: Tensor, height: int, width: int, margin: int = 0) -> Tensor:
    """Convert pixels (x right, y down) to PyTorch3D's normalised device coordinates (x left, y up).

    Args:
        homogeneous: (..., 3): x·z, y·z in pixels·metres and z in metres, where the centre of the upper left
            pixel is (0.5, 0.5): K times a point in the camera's frame, so that any K is supported.
        height: pixels.
        width: pixels.
        margin: pixels that are added on each side of the image.

    Returns:
        (..., 3): x and y from −1 to 1 over the *shorter* side of the enlarged image, and z in metres.
    """
    depth = homogeneous[..., 2:]
    side = torch.where(depth.detach() < 0, -NEAREST, NEAREST).to(depth.dtype)
    depth = torch.where(depth.detach().abs() < NEAREST, side, depth)
    size = homogeneous.new_tensor([width, height])
    centred = size / 2 - homogeneous[..., :2] / depth
    return torch.cat([centred * ndc_per_pixel(height, width, margin), depth], dim=-1)


def ndc_per_pixel(height: int, width: int, margin: int = 0) -> float:
    """Normalised device coordinates per pixel, in an image with `margin` pixels added on each side."""
    return 2 / (min(height, width) + 2 * margin)


@dataclass(frozen=True)
class Surfaces:
    """The meshes of P layers concatenated: V vertices, F faces.

    Attributes:
        ndc: (V, 3), differentiable.
        homogeneous: (V, 3), the same as (x·z, y·z, z), pixels; a constant.
        vertices: which rows of the library they are.
        faces: which rows of the library they are.
        corners: (F, 3) into ndc.
        facing: (F,), see `facings`.
        rendered: (F,), false for faces without area.
        whole: (F,), true where all corners are in front of the near plane.
        edges: between rows of `corners`.
    """

    ndc: Tensor
    homogeneous: Tensor
    vertices: Table
    faces: Table
    corners: Tensor
    facing: Tensor
    rendered: Tensor
    whole: Tensor
    edges: Edges

    @classmethod
    def from_parameters(
        cls,
        parameters: Tensor,
        mesh: Tensor,
        library: MeshLibrary,
        topology: MeshTopology,
        frame: Frame,
        margin: int,
    ) -> Surfaces:
        """Project mesh[p], an index of the library, by parameters[p] as `layer_parameters` makes them.

        Args:
            frame: the image with `margin` pixels added on each side.
        """
        vertices = Table.from_rows(library.first_vertex, mesh)
        faces = Table.from_rows(library.first_face, mesh)
        homogeneous, sound = project_layers(parameters, library.vertices, vertices)
        corners = library.faces[faces.row] + vertices.shift[faces.layer, None]
        sound_faces = topology.solid[faces.row] & sound[corners].all(dim=1)
        facing = torch.where(sound_faces, facings(homogeneous, corners), 0.0)
        height, width = frame.height - 2 * margin, frame.width - 2 * margin
        return cls(
            ndc=ndc_from_pixels(homogeneous, height, width, margin),
            homogeneous=homogeneous.detach(),
            vertices=vertices,
            faces=faces,
            corners=corners,
            facing=facing,
            rendered=facing != 0,
            whole=(homogeneous.detach()[corners][..., 2] >= frame.near).all(dim=1),
            edges=_edges(topology, library, mesh, faces),
        )

    def outline(self) -> Outline:
        """Find the faces at whose sides the visible surface changes."""
        return find_outline(self.edges, self.facing, self.corners, self.ndc)

    def rasterise(self, rows: Tensor, frame: Frame, most: int = 1, reach: float = 0.0) -> Hits:
        """Rasterise some of the faces, rows (n,), sorted; `Hits.face` indexes these."""
        counts = torch.bincount(self.faces.layer[rows], minlength=len(self.faces.count))
        return rasterise(self.ndc, self.vertices.count, self.corners[rows], counts, frame, most, reach)


def _edges(topology: MeshTopology, library: MeshLibrary, mesh: Tensor, faces: Table) -> Edges:
    table = Table.from_rows(topology.first_edge, mesh)
    edge = topology.edges[table.row].long()
    pair = edge[:, 2:4]
    ends = library.vertices[edge[:, :2]].mean(dim=1)
    sides = torch.stack([_side(library, pair[:, n].clamp(min=0), ends) for n in range(2)], dim=1)
    placed = torch.where(pair >= 0, pair + faces.shift[table.layer, None], -1)
    return Edges(placed, sides, edge[:, 4] == 1)


def _side(library: MeshLibrary, face: Tensor, middle: Tensor) -> Tensor:
    """The side of each face whose midpoint is given, (E,): corners at one position may differ in index."""
    corners = library.vertices[library.faces[face]]
    middles = (corners + corners.roll(-1, dims=1)) / 2
    return (middles - middle[:, None]).square().sum(dim=-1).argmin(dim=1)
