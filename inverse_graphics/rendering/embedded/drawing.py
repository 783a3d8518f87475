"""Stage 2 in plain torch: shades and blends visible fragments; used on GPUs, and as the reference on the CPU.

A layer depends on its mesh, which is constant, and on 21 parameters for each object.
"""

from __future__ import annotations

import torch
from torch import Tensor

from inverse_graphics.packs.mesh import MeshLibrary
from inverse_graphics.rendering.embedded.shading import Corners, Slopes, Textures, between_pixels, shade
from inverse_graphics.rendering.embedded.visibility import Clipping, Visibility, blend, shares
from inverse_graphics.scene.batch import CameraBatch, LightBatch, ObjectBatch

MIN_COVERAGE = 1e-6  # a pixel of which an object covers less than this has no depth


def draw(
    parameters: Tensor,
    visibility: Visibility,
    library: MeshLibrary,
    corners: Corners,
    textures: Textures,
    clipping: Clipping,
    slopes: Slopes,
) -> tuple[Tensor, Tensor, Tensor]:
    """Shade and blend the fragments of L layers: rgb (L, 3, H, W), depth (L, H, W), alpha (L, H, W)."""
    fragments, crossings = visibility.fragments, visibility.crossings
    covered = fragments[: visibility.covered]
    rgb, depth, moved = shade(parameters, covered, corners, textures, slopes)
    if slopes == "image" and moved.requires_grad:
        rgb = rgb - (between_pixels(rgb.detach(), covered, crossings) * moved[:, None]).sum(dim=0)
    centres = torch.cat([rgb, depth[None], torch.ones_like(depth)[None]])
    values = torch.nn.functional.pad(centres, (0, len(fragments) - visibility.covered))
    values = blend(values, crossings, shares(parameters, crossings, library))
    return _spread(values, fragments, parameters.shape[0], clipping)


def _spread(
    values: Tensor, fragments: Tensor, layers: int, clipping: Clipping
) -> tuple[Tensor, Tensor, Tensor]:
    """Write (r, g, b, depth · alpha, alpha) of the fragments that lie inside the image to their pixels."""
    height, width = clipping.height, clipping.width
    layer, x, y = fragments[:, 0].long(), fragments[:, 1].long(), fragments[:, 2].long()
    outside = (x < 0) | (x >= width) | (y < 0) | (y >= height)
    size = layers * height * width
    pixel = torch.where(outside, size, (layer * height + y) * width + x)
    alpha = values[4].clamp(max=1)  # sums of shares may exceed it by rounding
    some = alpha.detach() >= MIN_COVERAGE
    depth = torch.where(some, values[3] / torch.where(some, alpha, torch.ones_like(alpha)), torch.inf)
    flat = values.new_zeros(4, size + 1).index_copy(1, pixel, torch.cat([values[:3], alpha[None]]))
    far = values.new_full((size + 1,), torch.inf).index_copy(0, pixel, depth)
    planes = flat[:, :size].reshape(4, layers, height, width)
    return planes[:3].transpose(0, 1), far[:size].reshape(layers, height, width), planes[3]


PARAMETERS = 21


def layer_parameters(objects: ObjectBatch, camera: CameraBatch, light: LightBatch) -> Tensor:
    """Combine pose, camera, light and tint of each object in one row; differentiable in all of them.

    Meshes are constant, so all gradients of a layer pass through these numbers.

    Returns:
        (B·N, 21): [0:12] pixel_from_object, 3×4 by rows, which maps homogeneous object coordinates to (x·z,
        y·z, z) in pixels and metres; [12:15] direction towards the light, object frame; [15:18] ambient and
        [18:21] diffuse light, each times the object's tint.
    """
    camera_from_world = camera.T_world_camera[:, :3, :3].transpose(1, 2)
    pixel_from_world = (camera.K @ camera_from_world)[:, None]
    scaled = objects.rotation * objects.scale[..., None, None]
    offset = objects.position - camera.T_world_camera[:, None, :3, 3]
    pixel_from_object = pixel_from_world @ torch.cat([scaled, offset[..., None]], dim=-1)
    direction = light.direction[:, None, None, :] @ objects.rotation
    count = objects.asset.numel()
    return torch.cat(
        [
            pixel_from_object.reshape(count, 12),
            direction.reshape(count, 3),
            (light.ambient[:, None] * objects.tint).reshape(count, 3),
            (light.diffuse[:, None] * objects.tint).reshape(count, 3),
        ],
        dim=1,
    )
