"""What all scenes of a family share: intrinsics, what the camera looks at, light, table and background."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from inverse_graphics.scene.batch import CameraBatch, LightBatch, ObjectBatch, SceneBatch, TableBatch
from inverse_graphics.scene.camera import pinhole_intrinsics
from inverse_graphics.scene.camera_batch import orbit_cameras
from inverse_graphics.scene.scene import Background, Light, Table


@dataclass(frozen=True)
class Surroundings:
    """What stays the same when objects and cameras change.

    Attributes:
        K: (3, 3), pixels, of the cameras that families draw scenes with.
        target: (3,) and table_size: (2,), metres.  Colours and the light's direction: (3,).
    """

    image_size: int
    K: Tensor
    target: Tensor
    light_direction: Tensor
    diffuse: Tensor
    ambient: Tensor
    table_size: Tensor
    table_colour: Tensor
    background: Tensor

    @classmethod
    def from_settings(
        cls,
        light: Light,
        table: Table | None,
        background: Background,
        target_m: tuple[float, float, float],
        field_of_view_degrees: float,
        image_size: int,
    ) -> Surroundings:
        """Take them from settings; without a table its size is (0, 0)."""
        K = pinhole_intrinsics(math.radians(field_of_view_degrees), image_size, image_size)
        return cls(
            image_size=image_size,
            K=torch.from_numpy(K).float(),
            target=torch.tensor(target_m),
            light_direction=torch.tensor(light.direction),
            diffuse=torch.tensor(light.diffuse),
            ambient=torch.tensor(light.ambient),
            table_size=torch.tensor(table.size_m if table else (0.0, 0.0)),
            table_colour=torch.tensor(table.colour if table else (0.0, 0.0, 0.0)),
            background=torch.tensor(background.colour),
        )

    def cameras(self, orbit: Tensor, K: Tensor) -> CameraBatch:
        """Place cameras that look at the target.

        Args:
            orbit: (B, 3).
            K: (B, 3, 3), pixels.
        """
        return orbit_cameras(orbit, self.target.to(orbit), K.to(orbit), self.image_size, self.image_size)

    def scenes(
        self, objects: ObjectBatch, camera: CameraBatch, light_direction: Tensor | None = None
    ) -> SceneBatch:
        """Put objects here.

        Args:
            light_direction: (B, 3), unit; `self.light_direction` if not given.
        """
        pose = camera.T_world_camera

        def each(value: Tensor) -> Tensor:
            return value.to(pose).expand(len(pose), *value.shape)

        direction = each(self.light_direction) if light_direction is None else light_direction
        return SceneBatch(
            objects=objects,
            camera=camera,
            light=LightBatch(direction, each(self.diffuse), each(self.ambient)),
            table=TableBatch(each(self.table_size), each(self.table_colour)),
            background=each(self.background),
        )

    def draw_light(self, count: int, range_degrees: float, generator: torch.Generator) -> Tensor:
        """Draw directions uniform on the sphere within an angle of `light_direction`: (B, 3), unit."""
        lowest = math.cos(math.radians(range_degrees))
        cosine = lowest + (1 - lowest) * torch.rand(count, generator=generator)
        around = 2 * math.pi * torch.rand(count, generator=generator)
        sine = (1 - cosine.square()).clamp(min=0).sqrt()
        local = torch.stack([sine * around.cos(), sine * around.sin(), cosine], dim=1)
        return local @ _frame(self.light_direction).T


def _frame(direction: Tensor) -> Tensor:
    """A rotation whose third column is `direction`, (3, 3)."""
    aside = torch.eye(3)[direction.abs().argmin()]
    first = torch.linalg.cross(aside, direction)
    first = first / first.norm()
    return torch.stack([first, torch.linalg.cross(direction, first), direction], dim=1)
