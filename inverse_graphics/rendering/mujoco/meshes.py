"""A library of meshes as a MuJoCo model whose faces have their indices as colours.

Every face has its own texel, and the same texture coordinates at all corners: at any size its colour is that
texel, without mixing. Rendered without light, the image contains the face indices.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inverse_graphics.packs.mesh import MeshLibrary
from inverse_graphics.rendering.installation import load_mujoco

Floats = NDArray[np.float64]

LEAST_AREA = 1e-9
"""Of a mesh of radius 1: smallest extent that MuJoCo accepts."""


@dataclass(frozen=True)
class PlainMesh:
    """One mesh of a library, scaled so that its farthest vertex has distance 1 from its origin.

    Attributes:
        vertices: (V, 3).
        faces: (F, 3), those that have an area.
        number: (F,), their indices in the library's mesh.
        radius: metres, by which vertices were divided.
    """

    vertices: Floats
    faces: NDArray[np.int64]
    number: NDArray[np.int64]
    radius: float

    @classmethod
    def from_library(cls, library: MeshLibrary, mesh: int) -> PlainMesh | None:
        """Extract a mesh from a library; None if it has no area."""
        first, last = library.first_vertex[mesh : mesh + 2].tolist()
        vertices = library.vertices[first:last].double().numpy()
        faces = library.faces[library.first_face[mesh] : library.first_face[mesh + 1]].numpy() - first
        radius = float(np.linalg.norm(vertices, axis=1).max(initial=0))
        if not radius:
            return None
        corners = (vertices / radius)[faces]
        across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        area = np.linalg.norm(across, axis=1) / 2
        if area.sum() < LEAST_AREA:
            return None
        number = np.nonzero(area)[0]
        return cls(vertices / radius, faces[number], number, radius)


@dataclass(frozen=True)
class Placed:
    """The frame that MuJoCo gives to a mesh, as it aligns meshes with their axes of inertia.

    Attributes:
        number: MuJoCo's.
        position: (3,), rotation: (3, 3), of MuJoCo's frame in the plain mesh's.
        radius: metres, see `PlainMesh`.
    """

    number: int
    position: Floats
    rotation: Floats
    radius: float


@dataclass(frozen=True)
class NumberedModel:
    """A MuJoCo model of all meshes.

    Attributes:
        model: an `MjModel`.
        placed: for each mesh of the library, None if it has no area. Texture, material and geom of a mesh
            have its number.
    """

    model: Any
    placed: tuple[Placed | None, ...]

    @classmethod
    def from_library(cls, library: MeshLibrary, buffer_px: int, shadow_px: int = 0) -> NumberedModel:
        """Compile a library.

        Args:
            library: of meshes.
            buffer_px: side of the square framebuffer.
            shadow_px: of the shadow map, 0 for none: a hundred times as fast as with MuJoCo's default.
        """
        spec = load_mujoco().MjSpec()
        spec.visual.quality.shadowsize = shadow_px
        spec.visual.quality.offsamples = 0
        spec.visual.global_.offwidth = spec.visual.global_.offheight = buffer_px
        spec.visual.headlight.active = 0
        plain = [PlainMesh.from_library(library, mesh) for mesh in range(len(library.names))]
        for mesh, shape in enumerate(plain):
            if shape is not None:
                add_mesh(spec, f"mesh{mesh}", shape)
                _add_numbers(spec, f"mesh{mesh}", shape)
                add_geom(spec, f"mesh{mesh}", f"mesh{mesh}")
        model = spec.compile()
        there = iter(range(model.nmesh))
        return cls(
            model,
            tuple(
                None if shape is None else _placed(model, next(there), shape.radius)
                for mesh, shape in enumerate(plain)
            ),
        )


def add_mesh(spec: Any, name: str, shape: PlainMesh) -> None:
    """Add a mesh to an `MjSpec`, with separate texture coordinates for each face."""
    vertices = np.resize(shape.vertices, (max(len(shape.vertices), 4), 3))  # MuJoCo requires at least four
    spec.add_mesh(
        name=name,
        uservert=vertices.ravel().tolist(),
        userface=shape.faces.ravel().tolist(),
        usertexcoord=_texels(len(shape.faces)).ravel().tolist(),
        userfacetexcoord=np.arange(len(shape.faces)).repeat(3).tolist(),
        inertia=load_mujoco().mjtMeshInertia.mjMESH_INERTIA_SHELL,
    )


def add_geom(spec: Any, name: str, material: str = "") -> None:
    """Add a mesh to the world of an `MjSpec`, visible and without collisions."""
    mesh = load_mujoco().mjtGeom.mjGEOM_MESH
    spec.worldbody.add_geom(
        name=name, type=mesh, meshname=name, material=material, mass=0, contype=0, conaffinity=0
    )


def _add_numbers(spec: Any, name: str, shape: PlainMesh) -> None:
    """Add the material whose texels are the indices of faces, from 1."""
    mujoco = load_mujoco()
    side = _side(len(shape.faces))
    image = np.zeros((side * side, 3), np.uint8)
    image[: len(shape.faces)] = (shape.number + 1)[:, None] >> np.array([0, 8, 16]) & 255
    texture = spec.add_texture(
        name=name, type=mujoco.mjtTexture.mjTEXTURE_2D, width=side, height=side, nchannel=3
    )
    texture.data = image.tobytes()
    material = spec.add_material(name=name, emission=1, specular=0, shininess=0)
    material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = name


def _side(faces: int) -> int:
    """Side of a square with one texel per face."""
    return math.ceil(math.sqrt(faces))


def _texels(faces: int) -> Floats:
    """The centres of texels, (F, 2)."""
    side, texel = _side(faces), np.arange(faces)
    return np.stack([texel % side + 0.5, texel // side + 0.5], axis=1) / side


def _placed(model: Any, number: int, radius: float) -> Placed:
    rotation = np.empty(9)
    load_mujoco().mju_quat2Mat(rotation, model.mesh_quat[number])
    return Placed(number, model.mesh_pos[number].copy(), rotation.reshape(3, 3), radius)
