"""What lies behind every object: the table, a lit rectangle at z = 0, on a plain background."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from inverse_graphics.scene.batch import CameraBatch, LightBatch, TableBatch

TINIEST = 1e-30
NOTHING = 1e-6  # a pixel that the table covers by less has no depth


class Backdrop(NamedTuple):
    """Table and background as one opaque picture.

    rgb: (B, 3, H, W), linear.  coverage: (B, H, W), the table's share of the pixel, in [0, 1].
    depth: (B, H, W), metres along the camera's z axis to the table, +inf where there is none.
    """

    rgb: Tensor
    coverage: Tensor
    depth: Tensor


def table_and_background(
    table: TableBatch, background: Tensor, camera: CameraBatch, light: LightBatch
) -> Backdrop:
    """Draw the table analytically, differentiable in all arguments.

    Coverage is the product over the four sides of clamp(½ + distance), where distance is taken along the
    row or column that the side crosses more steeply, in pixels: as the objects' edges are blended.
    The table is lit as a matte surface whose normal points up (down if it is seen from below).
    """
    centres = _pixel_centres(camera, background)
    camera_height = camera.T_world_camera[:, 2, 3]
    above = torch.sign(camera_height.detach())
    lines = _sides(table, camera) * above[:, None, None]
    steepness = lines[..., :2].abs().amax(dim=-1).clamp(min=TINIEST)
    distance = torch.einsum("bkc,chw->bkhw", lines / steepness[..., None], centres)
    present = (table.size.prod(dim=1) > 0) & (above != 0)
    coverage = (distance + 0.5).clamp(0, 1).prod(dim=1) * present[:, None, None]
    lit = light.ambient + light.diffuse * (light.direction[:, 2] * above).clamp(min=0)[:, None]
    share = coverage[:, None]
    rgb = share * (table.colour * lit)[..., None, None] + (1 - share) * background[..., None, None]
    return Backdrop(rgb, coverage, _depth(camera, centres, coverage))


def _pixel_centres(camera: CameraBatch, like: Tensor) -> Tensor:
    """Homogeneous pixel centres, (3, H, W)."""
    x = torch.arange(camera.width, device=like.device, dtype=like.dtype) + 0.5
    y = torch.arange(camera.height, device=like.device, dtype=like.dtype) + 0.5
    down, right = torch.meshgrid(y, x, indexing="ij")
    return torch.stack([right, down, torch.ones_like(right)])


def _sides(table: TableBatch, camera: CameraBatch) -> Tensor:
    """Lines a·x + b·y + c of the four sides, (B, 4, 3), all positive inside for a camera above the table."""
    signs = table.size.new_tensor([[-1.0, -1.0], [-1.0, 1.0], [1.0, 1.0], [1.0, -1.0]])
    corners = torch.nn.functional.pad(table.size[:, None] * signs / 2, (0, 1))
    from_camera = corners - camera.T_world_camera[:, None, :3, 3]
    pixels = from_camera @ camera.T_world_camera[:, :3, :3] @ camera.K.transpose(1, 2)
    return torch.linalg.cross(pixels, pixels.roll(-1, dims=1))


def _depth(camera: CameraBatch, centres: Tensor, coverage: Tensor) -> Tensor:
    """Where the ray of each pixel meets z = 0."""
    fall = (camera.T_world_camera[:, 2:3, :3] @ torch.linalg.inv(camera.K))[:, 0]
    slope = torch.einsum("bc,chw->bhw", fall, centres)
    seen = (coverage.detach() >= NOTHING) & (slope.detach().abs() > TINIEST)
    depth = -camera.T_world_camera[:, 2, 3, None, None] / torch.where(seen, slope, torch.ones_like(slope))
    return torch.where(seen & (depth.detach() > 0), depth, torch.inf)
