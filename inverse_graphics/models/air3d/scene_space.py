"""The scene space of a family: the plane of its objects, its cameras and kinds, as buffers of a module."""

from __future__ import annotations

import math
from collections.abc import Sequence
from copy import deepcopy

import torch
from torch import Tensor, nn

from inverse_graphics.families.family import IMPOSSIBLE, SceneLatents
from inverse_graphics.families.quantities import FamilySettings
from inverse_graphics.families.registry import build_family
from inverse_graphics.observation.observation import Observation
from inverse_graphics.packs.symmetry import Symmetry
from inverse_graphics.scene.batch import CameraBatch, ObjectBatch, SceneBatch


class SceneSpace(nn.Module):
    """Constants of a family's scenes, and maps from latents to scenes.

    Objects lie on a plane, upright with a yaw, or `floating` with any rotation (the family's `Extent`).

    Attributes:
        free: (F,), indices of the variable parameters among azimuth, elevation and distance.
        log_count_prior: (N + 1,), nats.
        symmetry_group: (M, S, 3, 3), the symmetry group of each of M kinds, padded with identities.
        log_symmetry_weight: (M, S), −log of the group's order, −∞ for padding.
    """

    origin: Tensor
    axes: Tensor
    reach: Tensor
    orbit_low: Tensor
    orbit_high: Tensor
    K: Tensor
    free: Tensor
    orientation_observable: Tensor
    height: Tensor
    log_count_prior: Tensor
    symmetry_group: Tensor
    log_symmetry_weight: Tensor

    def __init__(self, settings: FamilySettings) -> None:
        super().__init__()
        with torch.device("cpu"):  # meshes need values even if the network is built on the meta device
            self.family = build_family(settings)
            extent = self.family.extent
            prior = torch.tensor(self.family.count_probabilities).log().clamp(min=IMPOSSIBLE)
        self.floating = self.family.floating
        self.smallest_count = next(n for n, p in enumerate(self.family.count_probabilities) if p > 0)
        free = torch.nonzero(extent.orbit_low < extent.orbit_high)[:, 0]
        symmetry_group, log_symmetry_weight = _groups(self.family.symmetries)
        more = {
            "free": free,
            "log_count_prior": prior,
            "symmetry_group": symmetry_group,
            "log_symmetry_weight": log_symmetry_weight,
        }
        for name, value in {**extent._asdict(), **more}.items():
            self.register_buffer(name, value, persistent=False)

    def without_symmetry(self) -> SceneSpace:
        """The same space with trivial symmetry groups."""
        space = deepcopy(self, {id(self.family): self.family})
        space.symmetry_group = space.symmetry_group[:, :1]  # groups begin with the identity
        space.log_symmetry_weight = torch.zeros_like(space.log_symmetry_weight[:, :1])
        return space

    def plane_from_pixel(self, pixel: Tensor, camera: CameraBatch) -> Tensor:
        """Intersect the rays through `pixel` (B, 2) with the plane: (B, 2), metres along its axes.

        Rays that do not meet the plane are mapped to distant points.
        """
        x = (pixel[:, 0] - camera.K[:, 0, 2]) / camera.K[:, 0, 0]
        y = (pixel[:, 1] - camera.K[:, 1, 2]) / camera.K[:, 1, 1]
        pose = camera.T_world_camera
        ray = (pose[:, :3, :3] @ torch.stack([x, y, torch.ones_like(x)], -1)[..., None])[..., 0]
        eye = pose[:, :3, 3] - self.origin
        normal = torch.linalg.cross(self.axes[0], self.axes[1])
        height, towards = eye @ normal, ray @ normal
        side = torch.where(height < 0, -1.0, 1.0)
        steps = height.abs() / (-towards * side).clamp(min=0.05)
        return (eye + steps[:, None] * ray) @ self.axes.T

    def pixel_from_plane(self, position: Tensor, camera: CameraBatch) -> Tensor:
        """Project points of the plane (..., N, 2) to the image: (..., N, 2), pixels."""
        pose = camera.T_world_camera
        seen = (self.world(position) - pose[:, None, :3, 3]) @ pose[:, :3, :3]
        projected = seen @ camera.K.transpose(1, 2)
        return projected[..., :2] / projected[..., 2:].clamp(min=1e-3)

    def world(self, position: Tensor) -> Tensor:
        """Convert points of the plane (..., 2) to world coordinates: (..., 3), metres."""
        return self.origin + position @ self.axes

    def plane(self, world: Tensor) -> Tensor:
        """Project world points (..., 3) orthogonally to the plane: (..., 2), metres."""
        return (world - self.origin) @ self.axes.T

    def orbit(self, free: Tensor) -> Tensor:
        """Complete the variable orbit parameters (B, F) by the fixed ones: (B, 3)."""
        return self.orbit_low.expand(len(free), 3).index_copy(1, self.free, free)

    def cameras(self, orbit: Tensor, K: Tensor) -> CameraBatch:
        """Build cameras on orbits (B, 3) with intrinsics K (B, 3, 3), pixels; differentiable."""
        return self.family.cameras(orbit, K)

    def intrinsics(self, observation: Observation) -> Tensor:
        """The intrinsics of B images, by default the family's: (B, 3, 3), pixels."""
        return self.K.expand(len(observation), 3, 3) if observation.K is None else observation.K

    def without_objects(self, orbit: Tensor, K: Tensor) -> SceneLatents:
        """Build scenes without objects.

        Args:
            orbit: (B, 3), camera orbits.
            K: (B, 3, 3), intrinsics, pixels.
        """
        batch = len(orbit)
        none = torch.full((batch, 0), -1, dtype=torch.int64, device=orbit.device)
        return SceneLatents(orbit, none, orbit.new_zeros(batch, 0, 2), orbit.new_zeros(batch, 0), K)

    def scene(self, scenes: SceneLatents) -> SceneBatch:
        """Convert latents to scenes for engines; differentiable with respect to real-valued latents."""
        ones = scenes.position.new_ones(scenes.asset.shape)
        tint = ones[..., None].expand(*ones.shape, 3)
        height = torch.where(scenes.asset >= 0, self.height[scenes.asset.clamp(min=0)], 0.0).to(ones)
        normal = torch.linalg.cross(self.axes[0], self.axes[1])
        origin = self.world(scenes.position) + height[..., None] * normal
        objects = ObjectBatch(scenes.asset, origin, scenes.rotation, ones, tint)
        return self.family.scenes(objects, self.cameras(scenes.orbit, scenes.K))


def _groups(symmetries: Sequence[Symmetry]) -> tuple[Tensor, Tensor]:
    """Stack the symmetry groups of K kinds: (K, S, 3, 3), padded with identities, and log-weights (K, S)."""
    most = max(len(symmetry.discrete) for symmetry in symmetries)
    # not torch.eye, which on the meta device imports torch._dynamo and takes as long as importing torch
    identity = torch.tensor(((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)))
    symmetry_group = identity.repeat(len(symmetries), most, 1, 1)
    log_symmetry_weight = torch.full((len(symmetries), most), -torch.inf)
    for kind, symmetry in enumerate(symmetries):
        count = len(symmetry.discrete)
        symmetry_group[kind, :count] = symmetry.discrete.float()
        log_symmetry_weight[kind, :count] = -math.log(count)
    return symmetry_group, log_symmetry_weight
