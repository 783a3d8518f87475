"""Layers as PyTorch3D sees them: their meshes in its coordinates, with what each face is."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from inverse_graphics.packs.mesh import MeshLibrary
from inverse_graphics.render.embedded.topology import MeshTopology
from inverse_graphics.render.pytorch3d.axes import ndc_from_pixels
from inverse_graphics.render.pytorch3d.outline import outline_faces
from inverse_graphics.render.pytorch3d.packing import Table, facings, project_layers
from inverse_graphics.render.pytorch3d.rasterising import Frame, Hits, rasterise


@dataclass(frozen=True)
class Surfaces:
    """The meshes of P layers end to end: V vertices, F faces.

    ndc: (V, 3), differentiable.  homogeneous: (V, 3), the same as (x·z, y·z, z), pixels; a constant.
    vertices, faces: which rows of the library they are.
    corners: (F, 3) into ndc.  facing: (F,), see `facings`.  drawn: (F,), false for faces without area.
    whole: (F,), true where all corners are in front of the near plane.
    edges: (E, 2), the faces that meet at each edge, rows of `corners`, the second −1 where there is none.
    """

    ndc: Tensor
    homogeneous: Tensor
    vertices: Table
    faces: Table
    corners: Tensor
    facing: Tensor
    drawn: Tensor
    whole: Tensor
    edges: Tensor

    @classmethod
    def of(
        cls,
        parameters: Tensor,
        mesh: Tensor,
        library: MeshLibrary,
        topology: MeshTopology,
        frame: Frame,
        margin: int,
    ) -> Surfaces:
        """Project mesh[p], an index of the library, by parameters[p] as `layer_parameters` makes them.

        frame: the picture with `margin` pixels added on each side.
        """
        vertices = Table.of(library.first_vertex, mesh)
        faces = Table.of(library.first_face, mesh)
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
            drawn=facing != 0,
            whole=(homogeneous.detach()[corners][..., 2] >= frame.near).all(dim=1),
            edges=_edges(topology, mesh, faces),
        )

    def outline(self) -> Tensor:
        """Rows of the faces along the outlines; see `outline_faces`."""
        return outline_faces(self.edges, self.facing, self.corners, self.ndc)

    def rasterise(self, rows: Tensor, frame: Frame, most: int = 1, reach: float = 0.0) -> Hits:
        """Rasterise some of the faces, rows (n,), sorted; `Hits.face` counts through them."""
        counts = torch.bincount(self.faces.layer[rows], minlength=len(self.faces.count))
        return rasterise(self.ndc, self.vertices.count, self.corners[rows], counts, frame, most, reach)


def _edges(topology: MeshTopology, mesh: Tensor, faces: Table) -> Tensor:
    table = Table.of(topology.first_edge, mesh)
    pair = topology.edges[table.row, 2:4].long()
    return torch.where(pair >= 0, pair + faces.shift[table.layer, None], -1)
