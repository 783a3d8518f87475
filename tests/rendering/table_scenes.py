"""Scenes and meshes that the render tests share."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
import trimesh
from torch import Tensor

from inverse_graphics.geometry.transforms import random_rotations
from inverse_graphics.packs.mesh import Mesh, MeshLibrary
from inverse_graphics.scene.batch import CameraBatch, LightBatch, ObjectBatch, SceneBatch, TableBatch

FOCAL = 1.3  # focal length over image side


def as_mesh(shape, colour=None, seed: int = 0) -> Mesh:
    """A trimesh as ours, smooth normals, each vertex of its own colour unless one is given."""
    generator = np.random.default_rng(seed)
    count = len(shape.vertices)
    colours = generator.uniform(0.2, 1, (count, 3)) if colour is None else np.tile(colour, (count, 1))
    return Mesh(
        vertices=np.asarray(shape.vertices, np.float32),
        faces=np.asarray(shape.faces, np.int64),
        normals=np.array(shape.vertex_normals, np.float32),
        colours=colours.astype(np.float32),
    )


def flat(mesh: Mesh) -> Mesh:
    """The same faces with corners, normals and colours of their own."""
    corners = mesh.vertices[mesh.faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    return Mesh(
        vertices=corners.reshape(-1, 3),
        faces=np.arange(3 * len(corners)).reshape(-1, 3),
        normals=np.repeat(normals, 3, axis=0).astype(np.float32),
        colours=np.repeat(mesh.colours[mesh.faces[:, 0]], 3, axis=0),
    )


def cube() -> Mesh:
    return flat(as_mesh(trimesh.creation.box((0.09, 0.08, 0.1)), (0.9, 0.3, 0.2)))


def ball() -> Mesh:
    return as_mesh(trimesh.creation.icosphere(2, 0.05), (0.2, 0.4, 0.9))


def ring() -> Mesh:
    return as_mesh(trimesh.creation.torus(0.05, 0.018, 24, 12), (0.3, 0.8, 0.4))


def bowl() -> Mesh:
    """An open surface: seen from above it shows its inside."""
    angles = np.linspace(-np.pi / 2, 0, 7)
    profile = np.stack([0.06 * np.cos(angles), 0.06 + 0.06 * np.sin(angles)], axis=1)
    return as_mesh(trimesh.creation.revolve(profile, sections=20), (0.8, 0.7, 0.5))


def handled() -> Mesh:
    """A drum with a handle: not convex, and the handle may lie before the body."""
    body = trimesh.creation.cylinder(0.04, 0.09, sections=20)
    handle = trimesh.creation.torus(0.03, 0.008, 16, 8)
    handle.apply_transform(trimesh.transformations.rotation_matrix(np.pi / 2, (1, 0, 0)))
    handle.apply_translation((0.045, 0, 0))
    shape = trimesh.util.concatenate([body, handle])
    mesh = as_mesh(shape)
    colours = np.where(np.arange(len(mesh.vertices))[:, None] < len(body.vertices), 0.9, 0.3)
    return replace(mesh, colours=np.repeat(colours, 3, axis=1).astype(np.float32))


def tile(side: float = 0.1, texture=None) -> Mesh:
    """A square in the plane z = 0, both triangles facing up, uv from (0, 0) to (1, 1)."""
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)
    return Mesh(
        vertices=np.pad((corners - 0.5) * side, ((0, 0), (0, 1))).astype(np.float32),
        faces=np.array([[0, 1, 2], [0, 2, 3]]),
        normals=np.tile(np.array([0, 0, 1], np.float32), (4, 1)),
        colours=np.ones((4, 3), np.float32),
        uv=None if texture is None else corners,
        texture=texture,
    )


def library() -> MeshLibrary:
    return MeshLibrary.from_meshes(
        [("cube", cube()), ("ball", ball()), ("ring", ring()), ("bowl", bowl()), ("handled", handled())]
    )


def looking_down(count: int, side: int, height_m: float = 1.0, focal: float | None = None) -> CameraBatch:
    """Cameras on the Z axis that look straight down; image x is world x, image y is minus world y."""
    T = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0], dtype=torch.float64))
    T[2, 3] = height_m
    K = torch.tensor([[1.0, 0, side / 2], [0, 1.0, side / 2], [0, 0, 1]], dtype=torch.float64)
    K[0, 0] = K[1, 1] = side if focal is None else focal
    return CameraBatch(K.repeat(count, 1, 1), T.repeat(count, 1, 1), side, side)


def orbiting(eyes: Tensor, side: int, width: int | None = None) -> CameraBatch:
    """Cameras at eyes (B, 3) that look at the origin."""
    forward = -eyes / eyes.norm(dim=1, keepdim=True)
    up = torch.tensor([0.0, 0.0, 1.0], dtype=eyes.dtype).expand_as(forward)
    right = torch.linalg.cross(forward, up)
    right = right / right.norm(dim=1, keepdim=True)
    down = torch.linalg.cross(forward, right)
    pose = torch.stack([right, down, forward, eyes], dim=2)
    last = torch.tensor([0.0, 0.0, 0.0, 1.0], dtype=eyes.dtype).expand(len(eyes), 1, 4)
    width = side if width is None else width
    K = torch.tensor([[FOCAL * side, 0, width / 2], [0, FOCAL * side, side / 2], [0, 0, 1]], dtype=eyes.dtype)
    return CameraBatch(K.repeat(len(eyes), 1, 1), torch.cat([pose, last], dim=1), side, width)


def light(count: int, dtype: torch.dtype = torch.float64) -> LightBatch:
    direction = torch.tensor([0.4, 0.3, 0.8], dtype=dtype)
    ones = torch.ones(count, 3, dtype=dtype)
    return LightBatch((direction / direction.norm()).repeat(count, 1), 0.6 * ones, 0.4 * ones)


def one_object(position: Tensor, rotation: Tensor | None = None, asset: int = 0) -> ObjectBatch:
    """B scenes of one object each at position (B, 3)."""
    count = len(position)
    rotation = torch.eye(3, dtype=position.dtype).repeat(count, 1, 1) if rotation is None else rotation
    ones = torch.ones(count, 1, 3, dtype=position.dtype)
    assets = torch.full((count, 1), asset)
    return ObjectBatch(assets, position[:, None], rotation[:, None], ones[..., 0], ones)


def random_scenes(
    meshes: MeshLibrary, count: int, objects: int, side: int, seed: int, distance: float = 0.7
) -> SceneBatch:
    """Objects in any pose that stand apart from each other on a circle, seen from around; float64."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(*shape, generator=generator, dtype=torch.float64)

    eyes = torch.nn.functional.normalize(uniform(-1, 1, count, 3) + torch.tensor([0.0, 0.0, 1.3]), dim=1)
    around = uniform(0, 6.3, count, 1) + torch.arange(objects) * 2 * torch.pi / objects
    far = uniform(0.1, 0.13, count, objects) if objects > 1 else uniform(0, 0.05, count, objects)
    position = torch.stack([far * around.cos(), far * around.sin(), uniform(0, 0.05, count, objects)], dim=-1)
    batch = ObjectBatch(
        asset=torch.randint(len(meshes.names), (count, objects), generator=generator),
        position=position,
        rotation=random_rotations((count, objects), generator, torch.float64),
        scale=uniform(0.9, 1.1, count, objects),
        tint=uniform(0.6, 1, count, objects, 3),
    )
    return SceneBatch(
        objects=batch,
        camera=orbiting(eyes * uniform(0.9 * distance, 1.1 * distance, count, 1), side),
        light=light(count),
        table=TableBatch(uniform(0.3, 0.5, count, 2), uniform(0.3, 0.7, count, 3)),
        background=uniform(0, 1, count, 3),
    )
