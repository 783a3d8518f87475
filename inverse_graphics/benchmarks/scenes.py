"""Scenes of the benchmarks: spheres with given numbers of faces and pixels, tables, and extreme scenes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from inverse_graphics.geometry.transforms import matrix_from_rotation_vector, random_rotations
from inverse_graphics.packs.mesh import Mesh, MeshLibrary
from inverse_graphics.scene.batch import CameraBatch, LightBatch, ObjectBatch, SceneBatch, TableBatch
from inverse_graphics.scene.scene import Scene

RADIUS_M = 0.05
FOCAL_PX = 1000.0


def ball_mesh(faces: int) -> Mesh:
    """Make a latitude-longitude sphere of about `faces` (at least 6) triangles of similar size."""
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
    """Triangle fans at the poles, two triangles per cell elsewhere; counter-clockwise seen from outside."""
    here = np.arange(bands * sides).reshape(bands, sides) + 1
    right = np.roll(here, -1, axis=1)
    north = np.stack([np.zeros(sides, np.int64), here[0], right[0]], axis=-1)
    south = np.stack([np.full(sides, bands * sides + 1), right[-1], here[-1]], axis=-1)
    a, b, c, d = here[:-1], here[1:], right[1:], right[:-1]
    between = [np.stack(corners, axis=-1).reshape(-1, 3) for corners in ((a, b, c), (a, c, d))]
    return np.concatenate([north, *between, south]).astype(np.int64)


def ball_library(faces: int) -> MeshLibrary:
    """Make a library of one sphere."""
    return MeshLibrary.from_meshes([(f"benchmark/ball-{faces}", ball_mesh(faces))])


def ball_scenes(count: int, height: int, width: int, objects: int, covered: int, seed: int = 0) -> SceneBatch:
    """Sample scenes of spheres at random image positions, over a table that fills the image.

    Focal length and distance do not depend on the image size: a larger image shows more of the table.

    Args:
        count: number of scenes.
        height: height of the images, pixels.
        width: width of the images, pixels.
        objects: spheres per scene.
        covered: approximate number of pixels covered by each sphere.
        seed: seed of the scenes.
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
    """Cameras one metre above the origin, looking down."""
    K = torch.tensor([[FOCAL_PX, 0, width / 2], [0, FOCAL_PX, height / 2], [0, 0, 1]])
    pose = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0]))
    pose[2, 3] = 1.0
    return CameraBatch(K.repeat(count, 1, 1), pose.repeat(count, 1, 1), height, width)


def table_top_scenes(
    count: int, height: int, width: int, library: MeshLibrary, objects: int = 3, seed: int = 0
) -> SceneBatch:
    """Sample scenes of `objects` separate objects on a table, seen from random directions."""
    generator = np.random.default_rng(seed)
    return SceneBatch.from_scenes(
        [_scene(generator, height, width, library, objects) for _ in range(count)], library
    )


def _scene(
    generator: np.random.Generator, height: int, width: int, library: MeshLibrary, objects: int
) -> Scene:
    kinds = generator.integers(len(library.names), size=objects)
    first_angle = generator.uniform(0, 2 * math.pi)
    angles = first_angle + np.arange(objects) * 2 * math.pi / objects
    distances = generator.uniform(0.12, 0.2, objects)
    yaws = generator.uniform(-180, 180, objects)
    orbit = {
        "azimuth_degrees": generator.uniform(-180, 180),
        "elevation_degrees": generator.uniform(20, 60),
        "distance_m": generator.uniform(0.9, 1.2),
    }
    return Scene.model_validate(
        {
            "camera": {"width_px": width, "height_px": height, "orbit": orbit},
            "table": {"size_m": (0.7, 0.7)},
            "objects": [
                {
                    "asset": library.names[kind],
                    "position_m": (distance * math.cos(angle), distance * math.sin(angle), 0.0),
                    "yaw_degrees": yaw,
                }
                for kind, angle, distance, yaw in zip(kinds, angles, distances, yaws, strict=True)
            ],
        }
    )


LENGTH_DECADES = 6.0
"""Lengths lie between 10^-6 and 10^6 metres."""


def extreme_scenes(count: int, height: int, width: int, meshes: int, seed: int, slots: int = 3) -> SceneBatch:
    """Sample extreme scenes with finite float32 values; equal seeds give equal scenes.

    Each quantity is ordinary, extreme or degenerate at random: objects a micrometre to a million metres away,
    at the camera, or empty; scale 0 and 1e-6 to 1e6; identity, half and random rotations; cameras inside
    objects, in the table's plane, or facing away; focal lengths of 1e-3 to 1e5 image heights, principal
    points outside the image; tables of any size or none; light from below.

    Args:
        count: number of scenes.
        height: height of the images, pixels.
        width: width of the images, pixels.
        meshes: number of meshes of the library.
        seed: seed of the scenes.
        slots: largest number of objects.
    """
    draw = _Draw(torch.Generator().manual_seed(seed))
    asset = torch.randint(-1, meshes, (count, slots), generator=draw.generator)
    position = draw.point(count, slots)
    pose, eye = draw.rotation(count, 1)[:, 0], draw.point(count, 1)[:, 0]
    eye[:, 2] = draw.choose(eye[:, 2], eye[:, 2], eye[:, 2], torch.zeros(count))
    tame = _unit(draw.normal(count, 3)) * draw.uniform(0.3, 1.5, count, 1)
    eye = draw.choose(eye, tame, tame, position[:, 0], position[:, 0] + 0.01 * draw.normal(count, 3))
    to_object, to_origin = _facing(eye, position[:, 0]), _facing(eye, 0 * eye)
    pose = draw.choose(to_object, to_object, to_origin, pose)
    one = torch.ones(count, slots)
    last = torch.tensor([0.0, 0.0, 0.0, 1.0]).expand(count, 1, 4)
    objects = ObjectBatch(
        asset=asset,
        position=position,
        rotation=draw.rotation(count, slots),
        scale=draw.choose(one, one, draw.length(count, slots), 0 * one),
        tint=draw.colour(count, slots, 3),
    )
    return SceneBatch(
        objects=objects,
        camera=CameraBatch(
            K=draw.intrinsics(count, height, width),
            T_world_camera=torch.cat([torch.cat([pose, eye[..., None]], dim=2), last], dim=1),
            height=height,
            width=width,
        ),
        light=LightBatch(_unit(draw.normal(count, 3)), draw.colour(count, 3), draw.colour(count, 3)),
        table=TableBatch(
            draw.choose(torch.full((count, 2), 0.7), draw.length(count, 2), torch.zeros(count, 2)),
            draw.colour(count, 3),
        ),
        background=draw.colour(count, 3),
    )


class _Draw:
    """Random tensors from one generator; each entry along the first dimension is of a random category."""

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self.generator)

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(shape, generator=self.generator)

    def choose(self, *choices: Tensor) -> Tensor:
        """Take each entry along the first dimension from a random one of the choices."""
        count = len(choices[0])
        which = torch.randint(len(choices), (count,), generator=self.generator)
        return torch.stack(choices)[which, torch.arange(count)]

    def length(self, *shape: int) -> Tensor:
        """Log-uniform lengths, metres."""
        return 10 ** self.uniform(-LENGTH_DECADES, LENGTH_DECADES, *shape)

    def colour(self, *shape: int) -> Tensor:
        """Colours in [0, 1], with 0 and 1 frequent."""
        return self.uniform(-0.3, 1.3, *shape).clamp(0, 1)

    def point(self, *shape: int) -> Tensor:
        """Points near the origin, at any distance, on an axis, or at the origin."""
        near = self.normal(*shape, 3) * 0.2
        far = _unit(self.normal(*shape, 3)) * self.length(*shape, 1)
        axis = torch.eye(3)[torch.randint(3, shape, generator=self.generator)] * self.length(*shape, 1)
        return self.choose(near, near, far, far, axis, torch.zeros(*shape, 3))

    def rotation(self, *shape: int) -> Tensor:
        """Random rotations, rotations by about 1e-7 radians, the identity, and half rotations."""
        uniform = random_rotations(shape, self.generator)
        tiny = matrix_from_rotation_vector(1e-7 * self.normal(*shape, 3))
        identity = torch.eye(3).expand(*shape, 3, 3)
        reversed_axes = identity * torch.tensor([1.0, -1.0, -1.0])
        return self.choose(uniform, uniform, uniform, tiny, identity, reversed_axes)

    def intrinsics(self, count: int, height: int, width: int) -> Tensor:
        """Intrinsics with focal lengths from 1e-3 image heights on, and principal points far outside."""
        K = torch.eye(3).repeat(count, 1, 1)
        usual, any_focal = torch.full((count,), 1.3 * height), height * 10 ** self.uniform(-3, 5, count)
        K[:, 0, 0] = self.choose(usual, usual, any_focal)
        K[:, 1, 1] = self.choose(K[:, 0, 0], K[:, 0, 0], any_focal)
        centre = torch.tensor([width / 2, height / 2]).expand(count, 2)
        off = centre + width * self.normal(count, 2)
        outside = centre + width * self.normal(count, 2) * 10 ** self.uniform(0, 4, count, 1)
        K[:, :2, 2] = self.choose(centre, centre, off, outside)
        return K


def _facing(eye: Tensor, target: Tensor) -> Tensor:
    """Rotations of cameras at `eye` that look at `target`: (B, 3, 3)."""
    forward = _unit(target - eye)
    aside = torch.eye(3)[forward.abs().argmin(dim=1)]
    right = _unit(torch.linalg.cross(forward, aside))
    return torch.stack([right, torch.linalg.cross(forward, right), forward], dim=2)


def _unit(vector: Tensor) -> Tensor:
    """Normalise vectors; zero vectors become (0, 0, 1)."""
    length = vector.norm(dim=-1, keepdim=True)
    up = torch.tensor([0.0, 0.0, 1.0]).expand_as(vector)
    return torch.where(length > 0, vector / torch.where(length > 0, length, 1.0), up)


GEOMETRY = {
    "objects": ("position", "rotation", "tint"),
    "camera": ("T_world_camera",),
    "light": ("direction",),
}
"""Scene quantities that a search optimises."""
EVERYTHING = {
    "objects": ("position", "rotation", "scale", "tint"),
    "camera": ("K", "T_world_camera"),
    "light": ("direction", "diffuse", "ambient"),
}
"""All scene quantities with respect to which an engine is differentiable."""


def with_leaves(
    scenes: SceneBatch, quantities: Mapping[str, Sequence[str]]
) -> tuple[list[Tensor], SceneBatch]:
    """Replace some quantities of scenes by leaf tensors that require gradients.

    Args:
        scenes: B scenes.
        quantities: names of tensors, by the part of the scenes that contains them.

    Returns:
        The leaf tensors, and the scenes that use them.
    """
    leaves: list[Tensor] = []
    for part, names in quantities.items():
        batch = getattr(scenes, part)
        copies = {name: getattr(batch, name).detach().clone().requires_grad_() for name in names}
        leaves += copies.values()
        scenes = replace(scenes, **{part: replace(batch, **copies)})
    return leaves, scenes
