"""Finds the face on each ray by Open3D's `RaycastingScene` (Embree), with one ray casting scene per mesh.

Rays are transformed, not meshes: a bounding volume hierarchy is built once per mesh and serves all poses,
and all rays of a batch towards one mesh are cast together.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from inverse_graphics.packs.mesh import MeshLibrary
from inverse_graphics.rendering.installation import load_open3d
from inverse_graphics.rendering.sampled.engine import NEAR, Faces
from inverse_graphics.rendering.sampled.windows import Windows


class Open3DFaces:
    """A `FaceFinder`.

    Raises:
        EngineError: Open3D is not installed, or does not import.
    """

    def __init__(self, library: MeshLibrary) -> None:
        self._open3d = load_open3d()
        self.library = library.to("cpu", torch.float32)
        self._first = self.library.first_face.tolist()
        self._scenes = [self._scene(mesh) for mesh in range(len(library.names))]

    def __reduce__(self) -> tuple[Any, ...]:
        return Open3DFaces, (self.library,)

    def find(self, windows: Windows) -> Faces:
        """The first face of the library at each sample, −1 where none: (n,) int32."""
        rays = windows.rays(NEAR)
        faces = np.full(len(rays), -1, np.int32)
        for mesh, scene in enumerate(self._scenes):
            layers = windows.of_mesh(mesh)
            part = slice(windows.first[layers.start], windows.first[layers.stop])
            if scene is not None and part.stop > part.start:
                faces[part] = self._met(scene, rays[part], self._first[mesh])
        return faces

    def _scene(self, mesh: int) -> Any:
        library, first = self.library, self.library.first_vertex[mesh]
        faces = library.faces[self._first[mesh] : self._first[mesh + 1]] - first
        if not len(faces):
            return None
        vertices = library.vertices[first : library.first_vertex[mesh + 1]]
        tensor = self._open3d.core.Tensor
        scene = self._open3d.t.geometry.RaycastingScene(nthreads=1)
        scene.add_triangles(tensor(vertices.numpy()), tensor(faces.numpy().astype(np.uint32)))
        return scene

    def _met(self, scene: Any, rays: Any, first_face: int) -> Faces:
        threads = torch.get_num_threads() if len(rays) > 1 << 16 else 1
        met = scene.cast_rays(self._open3d.core.Tensor(rays), nthreads=threads)["primitive_ids"].numpy()
        faces: Faces = np.where(met == scene.INVALID_ID, -1, met.astype(np.int64) + first_face)
        return faces
