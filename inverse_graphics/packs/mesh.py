"""Triangle meshes, and libraries of meshes as concatenated tensors that an engine indexes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class Mesh:
    """A triangle mesh in its own frame: metres, Z up, faces counter-clockwise seen from outside.

    Attributes:
        vertices: (V, 3) float32, metres.
        faces: (F, 3) int64 into `vertices`.
        normals: (V, 3) float32, unit length.
        colours: (V, 3) float32 linear albedo in [0, 1].
        texture: (Ht, Wt, 3) float32 in [0, 1] or None; uv: (V, 2) float32 or None, v pointing up (v = 0 is
            the last row of `texture`). Where there is a texture, albedo is colour times texture.
    """

    vertices: NDArray[np.float32]
    faces: NDArray[np.int64]
    normals: NDArray[np.float32]
    colours: NDArray[np.float32]
    uv: NDArray[np.float32] | None = None
    texture: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class MeshLibrary:
    """M concatenated meshes; index m of an object selects a slice, without padding.

    Attributes:
        names: M asset names such as "crockery/mug", in index order.
        vertices: (V, 3) float.
        normals: (V, 3) float.
        colours: (V, 3) float.
        uv: (V, 2) float, zeros where a mesh has no texture.
        faces: (F, 3) int64 into the concatenated `vertices`.
        first_vertex: (M + 1,) int64; mesh m owns rows first[m] : first[m + 1].
        first_face: (M + 1,) int64; mesh m owns rows first[m] : first[m + 1].
        texels: (T, 3) float, all textures flattened row by row; first_texel: (M,) int64.
        texture_size: (M, 2) int64 height and width, (0, 0) where a mesh has none.
        radius: (M,) float, metres, of the ball about the mesh's origin that holds all its vertices.
    """

    names: tuple[str, ...]
    vertices: Tensor
    normals: Tensor
    colours: Tensor
    uv: Tensor
    faces: Tensor
    first_vertex: Tensor
    first_face: Tensor
    texels: Tensor
    first_texel: Tensor
    texture_size: Tensor
    radius: Tensor

    @classmethod
    def from_meshes(cls, meshes: Sequence[tuple[str, Mesh]]) -> MeshLibrary:
        """Concatenate named meshes; index m is the position in `meshes`."""
        first_vertex = np.cumsum([0] + [len(mesh.vertices) for _, mesh in meshes])
        first_face = np.cumsum([0] + [len(mesh.faces) for _, mesh in meshes])
        textures = [np.zeros((0, 0, 3), np.float32) if m.texture is None else m.texture for _, m in meshes]
        first_texel = np.cumsum([0] + [t.shape[0] * t.shape[1] for t in textures])[:-1]

        def stack(parts: list[NDArray[np.float32]], width: int) -> Tensor:
            return torch.from_numpy(np.concatenate([np.zeros((0, width), np.float32), *parts]))

        return cls(
            names=tuple(name for name, _ in meshes),
            vertices=stack([m.vertices for _, m in meshes], 3),
            normals=stack([m.normals for _, m in meshes], 3),
            colours=stack([m.colours for _, m in meshes], 3),
            uv=stack(
                [np.zeros((len(m.vertices), 2), np.float32) if m.uv is None else m.uv for _, m in meshes], 2
            ),
            faces=torch.from_numpy(
                np.concatenate(
                    [np.zeros((0, 3), np.int64)]
                    + [m.faces + start for (_, m), start in zip(meshes, first_vertex, strict=False)]
                )
            ),
            first_vertex=torch.from_numpy(first_vertex.astype(np.int64)),
            first_face=torch.from_numpy(first_face.astype(np.int64)),
            texels=stack([t.reshape(-1, 3) for t in textures], 3),
            first_texel=torch.from_numpy(first_texel.astype(np.int64)),
            texture_size=torch.tensor([t.shape[:2] for t in textures], dtype=torch.int64).reshape(-1, 2),
            radius=torch.tensor(
                [float(np.linalg.norm(m.vertices, axis=1).max(initial=0)) for _, m in meshes]
            ),
        )

    def mesh(self, index: int) -> Mesh:
        """One of the meshes, as it was given to `from_meshes`."""
        vertices = slice(*self.first_vertex[index : index + 2].tolist())
        faces = self.faces[slice(*self.first_face[index : index + 2].tolist())] - self.first_vertex[index]
        height, width = self.texture_size[index].tolist()
        first = int(self.first_texel[index])
        texture = self.texels[first : first + height * width].reshape(height, width, 3).numpy(force=True)
        parts = (self.vertices[vertices], faces, self.normals[vertices], self.colours[vertices])
        arrays = [part.numpy(force=True) for part in parts]
        textured = (self.uv[vertices].numpy(force=True), texture) if height else (None, None)
        return Mesh(*arrays, *textured)

    def boxes(self) -> Tensor:
        """Box each mesh along its own axes: (M, 2, 3), metres, the lowest and the highest corner."""
        parts = [self.vertices[a:b] for a, b in pairwise(self.first_vertex.tolist())]
        if not parts:
            return self.vertices.new_zeros(0, 2, 3)
        return torch.stack([torch.stack([part.amin(0), part.amax(0)]) for part in parts])

    def to(self, device: torch.device | str, dtype: torch.dtype = torch.float32) -> MeshLibrary:
        """Copy to a device, with real-valued tensors in `dtype`."""
        moved = {
            name: value.to(device, dtype) if value.is_floating_point() else value.to(device)
            for name, value in vars(self).items()
            if isinstance(value, Tensor)
        }
        return replace(self, **cast("dict[str, Any]", moved))
