"""A library of meshes as a MuJoCo model whose faces carry their numbers as colours.

Every face has one texel of its own, and the same texture coordinates at all its corners: however small it is
drawn, its colour is that texel and no mixture. Drawn without light, the picture says which face is where.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inverse_graphics.packs.mesh import MeshLibrary
from inverse_graphics.render.installation import load_mujoco

Floats = NDArray[np.float64]

LEAST_AREA = 1e-9
"""Of a mesh of radius 1: MuJoCo knows nothing flatter than a needle."""


@dataclass(frozen=True)
class PlainMesh:
    """One mesh of a library, its farthest vertex a distance of 1 from its origin.

    vertices: (V, 3).  faces: (F, 3), those that have an area.  number: (F,), of each in the library's mesh.
    radius: metres, by which vertices were divided.
    """

    vertices: Floats
    faces: NDArray[np.int64]
    number: NDArray[np.int64]
    radius: float

    @classmethod
    def from_library(cls, library: MeshLibrary, mesh: int) -> PlainMesh | None:
        """Take a mesh out of a library; None if it has no area."""
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
    """Where MuJoCo has put a mesh: it turns all to their axes of inertia.

    number: MuJoCo's.  position: (3,), rotation: (3, 3), of MuJoCo's frame in the plain mesh's.
    radius: metres, see `PlainMesh`.
    """

    number: int
    position: Floats
    rotation: Floats
    radius: float


@dataclass(frozen=True)
class NumberedModel:
    """A MuJoCo model of all meshes.

    model: an `MjModel`.  placed: for each mesh of the library, None if it has no area. Texture, material and
    geom of a mesh have its number.
    """

    model: Any
    placed: tuple[Placed | None, ...]

    @classmethod
    def from_library(cls, library: MeshLibrary, buffer_px: int, shadow_px: int = 0) -> NumberedModel:
        """Compile a library.

        buffer_px: side of the square that OpenGL draws into.  shadow_px: of the map of shadows, 0 without:
        a hundred times as fast as with MuJoCo's own.
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
    """Add a mesh to an `MjSpec`, each face with texture coordinates of its own."""
    vertices = np.resize(shape.vertices, (max(len(shape.vertices), 4), 3))  # MuJoCo wants at least four
    spec.add_mesh(
        name=name,
        uservert=vertices.ravel().tolist(),
        userface=shape.faces.ravel().tolist(),
        usertexcoord=_texels(len(shape.faces)).ravel().tolist(),
        userfacetexcoord=np.arange(len(shape.faces)).repeat(3).tolist(),
        inertia=load_mujoco().mjtMeshInertia.mjMESH_INERTIA_SHELL,
    )


def add_geom(spec: Any, name: str, material: str = "") -> None:
    """Put a mesh into the world of an `MjSpec`, where it can be seen and not touched."""
    mesh = load_mujoco().mjtGeom.mjGEOM_MESH
    spec.worldbody.add_geom(
        name=name, type=mesh, meshname=name, material=material, mass=0, contype=0, conaffinity=0
    )


def _add_numbers(spec: Any, name: str, shape: PlainMesh) -> None:
    """Add the material whose texels are the numbers of faces, from 1."""
    mujoco = load_mujoco()
    side = _side(len(shape.faces))
    picture = np.zeros((side * side, 3), np.uint8)
    picture[: len(shape.faces)] = (shape.number + 1)[:, None] >> np.array([0, 8, 16]) & 255
    texture = spec.add_texture(
        name=name, type=mujoco.mjtTexture.mjTEXTURE_2D, width=side, height=side, nchannel=3
    )
    texture.data = picture.tobytes()
    material = spec.add_material(name=name, emission=1, specular=0, shininess=0)
    material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = name


def _side(faces: int) -> int:
    """Of a square that has a texel for each face."""
    return math.ceil(math.sqrt(faces))


def _texels(faces: int) -> Floats:
    """The middles of texels, (F, 2)."""
    side, texel = _side(faces), np.arange(faces)
    return np.stack([texel % side + 0.5, texel // side + 0.5], axis=1) / side


def _placed(model: Any, number: int, radius: float) -> Placed:
    rotation = np.empty(9)
    load_mujoco().mju_quat2Mat(rotation, model.mesh_quat[number])
    return Placed(number, model.mesh_pos[number].copy(), rotation.reshape(3, 3), radius)
