"""Stage 1 of the *shared* form: PyTorch3D says which face covers a pixel, our topology finds the edges."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from inverse_graphics.packs.mesh import MeshLibrary
from inverse_graphics.render.embedded import visibility_torch as pairs
from inverse_graphics.render.embedded.topology import MeshTopology
from inverse_graphics.render.embedded.visibility import Clipping, Visibility
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
        matrices = parameters.detach()[:, :12].double()
        size = max(1, pairs.MOST_PIXELS // ((clipping.height + 2) * (clipping.width + 2)))
        groups = [
            self._group(library, topology, matrices, mesh, clipping, range(i, min(i + size, len(mesh))))
            for i in range(0, len(mesh), size)
        ]
        return pairs._joined(groups, mesh)

    def _group(
        self,
        library: MeshLibrary,
        topology: MeshTopology,
        matrices: Tensor,
        mesh: Tensor,
        clipping: Clipping,
        group: range,
    ) -> pairs._Group:
        """The layers in `group`; as in `visibility_torch`, with another rasteriser."""
        own = mesh[group.start : group.stop]
        slot = (own >= 0).nonzero()[:, 0]
        shown = own[slot]
        vertices = pairs._parts(library.first_vertex, shown)
        h, sound = pairs._project(library, matrices[group.start : group.stop][slot], vertices)
        faces = pairs._parts(library.first_face, shown)
        corners = library.faces[faces.row] + vertices.shift[faces.layer, None]
        triangles = pairs._triangles(h, sound, corners, topology.solid[faces.row], clipping.near)
        fronts = topology.closed[shown] & pairs._whole(h, sound, vertices, len(shown), clipping.near)
        backs = fronts[faces.layer] & (triangles.facing > 0)
        triangles = triangles._replace(seen=(triangles.facing != 0) & ~backs)
        owner = self._owner(h, vertices, corners, faces, triangles.facing != 0, len(slot), clipping)
        edges = pairs._parts(topology.first_edge, shown)
        points = pairs._cross_edges(
            topology.edges.long(), edges, h, sound, triangles, vertices, faces, fronts, clipping
        )
        state = pairs._states(points, triangles, faces, len(slot), clipping)
        found = pairs._choose(points, state, owner, clipping)
        return pairs._collect(found, owner, faces, slot + group.start, clipping)

    def _owner(
        self,
        h: Tensor,
        vertices: pairs._Parts,
        corners: Tensor,
        faces: pairs._Parts,
        drawn: Tensor,
        layers: int,
        clipping: Clipping,
    ) -> Tensor:
        """The face seen at each pixel centre, (layers · rows · columns), a row of `faces`; −1: none."""
        ndc = ndc_from_pixels(h, clipping.height, clipping.width, MARGIN)
        kept = drawn.nonzero()[:, 0]
        frame = Frame(
            clipping.height + 2 * MARGIN,
            clipping.width + 2 * MARGIN,
            clipping.near,
            clipping.far,
            self.bin_size,
        )
        hits = rasterise(
            ndc,
            torch.bincount(vertices.layer, minlength=layers),
            corners[kept],
            torch.bincount(faces.layer[kept], minlength=layers),
            frame,
        )
        face = hits.face.reshape(-1)
        if not len(kept):
            return face
        return torch.where(face >= 0, kept[face.clamp(min=0)], -1)
