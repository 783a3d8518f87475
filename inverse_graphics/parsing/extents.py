"""The boxes that objects fill in a picture, by projecting their meshes."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from scipy.spatial import ConvexHull, QhullError
from torch import Tensor

from inverse_graphics.packs.mesh import MeshLibrary
from inverse_graphics.scene.batch import CameraBatch, ObjectBatch
from inverse_graphics.scene.projection import project


class Extents:
    """The outermost vertices of all kinds: (M, V, 3), padded by repeating the first of each."""

    def __init__(self, library: MeshLibrary) -> None:
        first = library.first_vertex.tolist()
        hulls = [_outermost(library.vertices[a:b].cpu()) for a, b in pairwise(first)]
        most = max(map(len, hulls))
        padded = [torch.cat([hull, hull[:1].expand(most - len(hull), 3)]) for hull in hulls]
        self.vertices = torch.stack(padded).to(library.vertices)

    def boxes(self, objects: ObjectBatch, camera: CameraBatch) -> Tensor:
        """The smallest box about each object, were it alone: x, y, width, height, (B, N, 4), pixels.

        A silhouette reaches as far as the outermost vertices do, so nothing need be drawn.
        objects: N of each of B scenes, all of it before the camera; the boxes of empty slots mean nothing.
        """
        batch, slots = objects.asset.shape
        own = self.vertices[objects.asset.clamp(min=0)] * objects.scale[..., None, None]
        placed = own @ objects.rotation.transpose(-1, -2) + objects.position[:, :, None]
        pixels = project(placed.flatten(1, 2), camera)[0].reshape(batch, slots, -1, 2)
        lower, upper = pixels.amin(2), pixels.amax(2)
        return torch.cat([lower, upper - lower], dim=-1)


def _outermost(vertices: Tensor) -> Tensor:
    """Those on the convex hull; all of them where they lie in a plane.  vertices: (V, 3)."""
    try:
        return vertices[torch.from_numpy(np.sort(ConvexHull(vertices.double().numpy()).vertices)).long()]
    except QhullError:
        return vertices
