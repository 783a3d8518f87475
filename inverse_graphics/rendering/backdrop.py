"""The backdrop of a scene: the table, a lit rectangle at z = 0, on a plain background.

On the CPU one compiled pass renders it (`backdrop_numba`); `paint_in_torch` is used on other devices, and is
the reference implementation.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from inverse_graphics.scene.batch import CameraBatch, LightBatch, TableBatch

EPS = 1e-30
EDGE_ON = 1e-9  # metres above the table, below which a camera sees nothing of it
MIN_COVERAGE = 1e-6  # a pixel that the table covers by less has no depth
BEHIND = 1 + 1e-4
"""How many times as deep as the table a point is at least that the table hides."""


class Backdrop(NamedTuple):
    """Table and background as one opaque image.

    Attributes:
        rgb: (B, 3, H, W), linear.
        coverage: (B, H, W), the table's share of the pixel, in [0, 1].
        depth: (B, H, W), metres along the camera's z axis to the table, +inf where there is none.
        hidden_from: (B, H, W), metres: the table hides what is deeper; +inf where there is none. It is the
            largest depth of the table within one pixel, as the edges of objects have the depth of a
            neighbouring pixel. None for a backdrop that hides nothing.
    """

    rgb: Tensor
    coverage: Tensor
    depth: Tensor
    hidden_from: Tensor | None = None


class Plan(NamedTuple):
    """The parameters of the backdrop of B scenes, in pixels.

    Attributes:
        sides: (B, 4, 3), a·x + b·y + c is the distance of a pixel inside each side of the table, in pixels
            along the row or column that the side crosses more steeply.
        inverse_depth: (B, 3), likewise 1/depth of the plane z = 0.
        table: (B, 3), lit colour.
        background: (B, 3), colour.
        present: (B,), 1 or 0.
    """

    sides: Tensor
    inverse_depth: Tensor
    table: Tensor
    background: Tensor
    present: Tensor


def table_and_background(
    table: TableBatch, background: Tensor, camera: CameraBatch, light: LightBatch
) -> Backdrop:
    """Render the table analytically, differentiable in all arguments.

    Coverage is the product over the four sides of clamp(½ + distance), where distance is along the row or
    column that the side crosses more steeply, in pixels, as in the blending of the objects' edges. The table
    is Lambertian with its normal upwards (downwards if it is seen from below).
    """
    plan = plan_of(table, background, camera, light)
    if background.device.type == "cpu":
        from inverse_graphics.rendering.backdrop_numba import Paint

        rgb, coverage, depth = Paint.apply(camera.height, camera.width, *plan)  # type: ignore[no-untyped-call]
        return Backdrop(rgb, coverage, depth, hidden_from(plan, coverage))
    return paint_in_torch(plan, camera.height, camera.width)


def plan_of(table: TableBatch, background: Tensor, camera: CameraBatch, light: LightBatch) -> Plan:
    """Compute the parameters of the backdrop of each scene; differentiable in all arguments."""
    camera_height = camera.T_world_camera[:, 2, 3]
    above = torch.where(camera_height.detach().abs() > EDGE_ON, camera_height.detach().sign(), 0.0)
    lines = _sides(table, camera) * above[:, None, None]
    steepness = lines[..., :2].abs().amax(dim=-1, keepdim=True).clamp(min=EPS)
    fall = _per_pixel(camera.T_world_camera[:, 2, :3], camera.K)
    present = (table.size.detach().prod(dim=1) > 0) & (above != 0)
    steady = torch.where(above == 0, 1.0, -camera_height)
    lit = light.ambient + light.diffuse * (light.direction[:, 2] * above).clamp(min=0)[:, None]
    return Plan(
        lines / steepness, fall / steady[:, None], table.colour * lit, background, present.to(lit.dtype)
    )


def _sides(table: TableBatch, camera: CameraBatch) -> Tensor:
    """Lines a·x + b·y + c of the four sides, (B, 4, 3), all positive inside for a camera above the table."""
    signs = table.size.new_tensor([[-1.0, -1.0], [-1.0, 1.0], [1.0, 1.0], [1.0, -1.0]])
    corners = torch.nn.functional.pad(table.size[:, None] * signs / 2, (0, 1))
    from_camera = corners - camera.T_world_camera[:, None, :3, 3]
    from_camera = from_camera / from_camera.detach().abs().amax(dim=2, keepdim=True).clamp(min=EPS)
    pixels = from_camera @ camera.T_world_camera[:, :3, :3] @ camera.K.transpose(1, 2)
    return torch.linalg.cross(pixels, pixels.roll(-1, dims=1))


def _per_pixel(row: Tensor, K: Tensor) -> Tensor:
    """`row` K⁻¹, (B, 3): a linear function of the camera's rays as one of its pixels."""
    a = row[:, 0] / K[:, 0, 0]
    b = (row[:, 1] - a * K[:, 0, 1]) / K[:, 1, 1]
    return torch.stack([a, b, row[:, 2] - a * K[:, 0, 2] - b * K[:, 1, 2]], dim=1)


def paint_in_torch(plan: Plan, height: int, width: int) -> Backdrop:
    """Render a plan in plain torch."""
    centres = _pixel_centres(height, width, plan.background)
    distance = torch.einsum("bkc,chw->bkhw", plan.sides, centres)
    coverage = (distance + 0.5).clamp(0, 1).prod(dim=1) * plan.present[:, None, None]
    share = coverage[:, None]
    rgb = share * plan.table[..., None, None] + (1 - share) * plan.background[..., None, None]
    inverse = torch.einsum("bc,chw->bhw", plan.inverse_depth, centres)
    seen = (coverage.detach() >= MIN_COVERAGE) & (inverse.detach() > EPS)
    depth = torch.where(seen, 1 / torch.where(seen, inverse, torch.ones_like(inverse)), torch.inf)
    return Backdrop(rgb, coverage, depth, hidden_from(plan, coverage))


@torch.no_grad()
def hidden_from(plan: Plan, coverage: Tensor) -> Tensor:
    """Compute `Backdrop.hidden_from` from the table's coverage (B, H, W)."""
    a, b, c = plan.inverse_depth[:, :, None].unbind(1)  # (B, 1) each
    row, column = (torch.arange(side).to(coverage) + 0.5 for side in coverage.shape[1:])
    farthest = (a * column + (c - torch.maximum(a.abs(), b.abs())))[:, None] + (b * row)[:, :, None]
    return torch.where((coverage > 0) & (farthest > EPS), BEHIND / farthest, torch.inf)


def _pixel_centres(height: int, width: int, like: Tensor) -> Tensor:
    """Homogeneous pixel centres, (3, H, W)."""
    x = torch.arange(width, device=like.device, dtype=like.dtype) + 0.5
    y = torch.arange(height, device=like.device, dtype=like.dtype) + 0.5
    down, right = torch.meshgrid(y, x, indexing="ij")
    return torch.stack([right, down, torch.ones_like(right)])
