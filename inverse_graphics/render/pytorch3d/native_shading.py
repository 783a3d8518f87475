"""The colour of PyTorch3D's fragments from its interpolated attributes: albedo, texture and Lambert's law."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from inverse_graphics.packs.mesh import MeshLibrary
from inverse_graphics.render.embedded.texture import Textures, sample_textures
from inverse_graphics.render.pytorch3d.installation import load_pytorch3d

NORMAL_FLOOR = 1e-12
TINIEST = 1e-30


class Fragments(NamedTuple):
    """Points of surfaces that are to be coloured.

    mesh, face: (n,), rows of the library.  facing: (n,), −1 where the front of
    the face is seen, 1 where its back.  corners: (n, 3, 3), its corners as (x·z, y·z, z), a constant.
    depth: (n,), metres.  weight: (n, 3), barycentric coordinates.  light: (n, 9): direction towards the light
    in the object's frame, ambient and diffuse light times tint.
    """

    mesh: Tensor
    face: Tensor
    facing: Tensor
    corners: Tensor
    depth: Tensor
    weight: Tensor
    light: Tensor


def shade(fragments: Fragments, library: MeshLibrary, textures: Textures) -> Tensor:
    """Give fragments their colour, (n, 3), linear."""
    attributes = torch.cat([library.normals, library.colours, library.uv], dim=1)[
        library.faces[fragments.face]
    ]
    values = _interpolate(fragments.weight, attributes)
    normal, albedo = values[:, :3], values[:, 3:6]
    if len(textures.texels):
        steps = _steps(fragments)
        by_x, by_y = ((step[..., None] * attributes[..., 6:8]).sum(dim=1).t() for step in steps)
        albedo = albedo * sample_textures(textures, fragments.mesh, values[:, 6:8].t(), by_x, by_y).t()
    light = fragments.light
    length = (normal.square().sum(dim=1) + NORMAL_FLOOR).sqrt()
    cosine = -fragments.facing * (normal * light[:, :3]).sum(dim=1) / length
    return albedo * (light[:, 3:6] + light[:, 6:9] * cosine.clamp(min=0)[:, None])


def _steps(fragments: Fragments) -> tuple[Tensor, Tensor]:
    """What a pixel to the right, and one down, adds to the barycentric coordinates; (n, 3) each."""
    i, j, k = fragments.corners.unbind(dim=1)
    lines = torch.stack([torch.linalg.cross(j, k), torch.linalg.cross(k, i), torch.linalg.cross(i, j)], dim=1)
    determinant = (i * lines[:, 0]).sum(dim=1)
    determinant = torch.where(determinant.abs() < TINIEST, TINIEST, determinant)
    weight, scale = fragments.weight.detach(), (fragments.depth.detach() / determinant)[:, None]
    by_x, by_y = lines[..., 0], lines[..., 1]
    return (
        scale * (by_x - weight * by_x.sum(dim=1, keepdim=True)),
        scale * (by_y - weight * by_y.sum(dim=1, keepdim=True)),
    )


def _interpolate(weight: Tensor, attributes: Tensor) -> Tensor:
    """Mix each fragment's own three corners; weight: (n, 3), attributes: (n, 3, D).  Returns (n, D)."""
    count, width = len(weight), attributes.shape[-1]
    own = torch.arange(count, device=weight.device).reshape(1, 1, count, 1)
    mix = load_pytorch3d().interpolate_face_attributes
    return mix(own, weight.reshape(1, 1, count, 1, 3), attributes).reshape(count, width)
