"""Scenes whose cost is known in advance: balls of so many faces that cover so many pixels."""

from __future__ import annotations

import math

import numpy as np
import torch

from inverse_graphics.geometry.rotation import random_rotations
from inverse_graphics.packs.mesh import Mesh, MeshLibrary
from inverse_graphics.scene.batch import CameraBatch, LightBatch, ObjectBatch, SceneBatch, TableBatch

RADIUS_M = 0.05
FOCAL_PX = 1000.0


def ball_mesh(faces: int) -> Mesh:
    """Make a ball of about `faces` triangles, 6 at least, of even size: circles of latitude and two poles."""
    bands = max(1, round(math.sqrt(faces / 4)))
    sides = max(3, round(faces / (2 * bands)))
    polar = np.arange(1, bands + 1) * (math.pi / (bands + 1))
    around = np.arange(sides) * (2 * math.pi / sides)
    circles = np.stack(
        np.broadcast_arrays(
            np.sin(polar)[:, None] * np.cos(around),
            np.sin(polar)[:, None] * np.sin(around),
            np.cos(polar)[:, None],
        ),
        axis=-1,
    )
    directions = np.concatenate([[[0, 0, 1]], circles.reshape(-1, 3), [[0, 0, -1]]]).astype(np.float32)
    return Mesh(
        vertices=RADIUS_M * directions,
        faces=_faces(bands, sides),
        normals=directions,
        colours=(0.6 + 0.4 * directions).astype(np.float32),
    )


def _faces(bands: int, sides: int) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    """Fans about the poles, two triangles for each cell between circles; counter-clockwise from outside."""
    here = np.arange(bands * sides).reshape(bands, sides) + 1
    right = np.roll(here, -1, axis=1)
    north = np.stack([np.zeros(sides, np.int64), here[0], right[0]], axis=-1)
    south = np.stack([np.full(sides, bands * sides + 1), right[-1], here[-1]], axis=-1)
    a, b, c, d = here[:-1], here[1:], right[1:], right[:-1]
    between = [np.stack(corners, axis=-1).reshape(-1, 3) for corners in ((a, b, c), (a, c, d))]
    return np.concatenate([north, *between, south]).astype(np.int64)


def ball_library(faces: int) -> MeshLibrary:
    """Make a library of one ball."""
    return MeshLibrary.from_meshes([(f"benchmark/ball-{faces}", ball_mesh(faces))])


def ball_scenes(count: int, height: int, width: int, objects: int, covered: int, seed: int = 0) -> SceneBatch:
    """Put balls anywhere in a picture, each covering about `covered` pixels, before a table that fills it.

    Focal length and distance stay the same, so that a larger picture shows more of the table and balls of
    the same size.
    """
    generator = torch.Generator().manual_seed(seed)
    radius_px = math.sqrt(covered / math.pi)
    reach = torch.tensor([width / 2 - radius_px, height / 2 - radius_px]).clamp(min=0) / FOCAL_PX
    across = (2 * torch.rand(count, objects, 2, generator=generator) - 1) * reach
    position = torch.cat([across, torch.zeros(count, objects, 1)], dim=-1)
    return SceneBatch(
        objects=ObjectBatch(
            asset=torch.zeros(count, objects, dtype=torch.int64),
            position=position,
            rotation=random_rotations((count, objects), generator),
            scale=torch.full((count, objects), radius_px / FOCAL_PX / RADIUS_M),
            tint=torch.ones(count, objects, 3),
        ),
        camera=_looking_down(count, height, width),
        light=LightBatch(
            torch.tensor([[0.36, 0.48, 0.8]]).repeat(count, 1),
            torch.full((count, 3), 0.6),
            torch.full((count, 3), 0.4),
        ),
        table=TableBatch(torch.full((count, 2), 100.0), torch.full((count, 3), 0.5)),
        background=torch.ones(count, 3),
    )


def _looking_down(count: int, height: int, width: int) -> CameraBatch:
    """Cameras one metre above the origin."""
    K = torch.tensor([[FOCAL_PX, 0, width / 2], [0, FOCAL_PX, height / 2], [0, 0, 1]])
    pose = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0]))
    pose[2, 3] = 1.0
    return CameraBatch(K.repeat(count, 1, 1), pose.repeat(count, 1, 1), height, width)
