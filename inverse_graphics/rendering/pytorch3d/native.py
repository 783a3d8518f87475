"""The *native* form: PyTorch3D's own differentiable fragments, and its soft silhouette for each object.

Both sides of an edge are mixed by the distance of the edge from the pixel. Colours come from interpolated
attributes: albedo, texture and Lambert's law.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from inverse_graphics.errors import EngineError
from inverse_graphics.packs.mesh import MeshLibrary
from inverse_graphics.rendering.embedded.drawing import layer_parameters
from inverse_graphics.rendering.embedded.shading import Textures, sample_textures
from inverse_graphics.rendering.embedded.topology import MeshTopology
from inverse_graphics.rendering.engine import Layers
from inverse_graphics.rendering.installation import load_pytorch3d
from inverse_graphics.rendering.pytorch3d.outline import (
    Beside,
    Inside,
    Outline,
    Seen,
    pixels_beside,
    pixels_inside,
)
from inverse_graphics.rendering.pytorch3d.rasterisation import Frame, Hits, check_assets
from inverse_graphics.rendering.pytorch3d.surfaces import Surfaces, ndc_per_pixel
from inverse_graphics.scene.batch import CameraBatch, LightBatch, ObjectBatch


def blend(
    seen: Tensor, surface: Tensor, beside: Beside, inside: tuple[Inside, Inside], blur_px: float
) -> Tensor:
    """Soften the edges of visible surfaces.

    A surface covers ½ + distance / (2 blur) of a pixel, clamped to [0, 1]; the rest shows the surface
    beyond its
    end: the nearest pixel beyond for a pixel inside, its own value for a pixel beside.


    Args:
        seen: (P · H · W, n), values at pixel centres, zeros where nothing is visible.
        surface: those of the surfaces that end just before the pixels of `beside`.
        inside: from `pixels_inside`.

    Returns:
        (P · H · W, n).
    """
    inner, outer = inside
    share = _share(inner.distance.reshape(-1), blur_px)[:, None]
    within = share * seen + (1 - share) * seen[inner.beyond.reshape(-1)]
    covered = _share(-beside.distance, blur_px)[:, None]
    mixed = covered * surface + (1 - covered) * within[beside.pixel]
    # the outline last: it bounds all surfaces of a pixel, so that it alone determines alpha
    return _share(outer.distance.reshape(-1), blur_px)[:, None] * within.index_copy(0, beside.pixel, mixed)


def _share(distance: Tensor, blur_px: float) -> Tensor:
    return (0.5 + distance / (2 * blur_px)).clamp(0, 1)


NORMAL_FLOOR = 1e-12
EPS = 1e-30


class Fragments(NamedTuple):
    """Points of surfaces to be shaded.

    Attributes:
        mesh: (n,), rows of the library.
        face: (n,), rows of the library.
        facing: (n,), −1 where the front of the face is visible, 1 where its back.
        corners: (n, 3, 3), its corners as (x·z, y·z, z), a constant.
        depth: (n,), metres.
        weight: (n, 3), barycentric coordinates.
        light: (n, 9): direction towards the light in the object's frame, ambient and diffuse light times
            tint.
    """

    mesh: Tensor
    face: Tensor
    facing: Tensor
    corners: Tensor
    depth: Tensor
    weight: Tensor
    light: Tensor


def shade(fragments: Fragments, library: MeshLibrary, textures: Textures) -> Tensor:
    """Compute the colour of fragments, (n, 3), linear."""
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
    """Change of the barycentric coordinates to the next pixel right, and down; (n, 3) each."""
    i, j, k = fragments.corners.unbind(dim=1)
    lines = torch.stack([torch.linalg.cross(j, k), torch.linalg.cross(k, i), torch.linalg.cross(i, j)], dim=1)
    determinant = (i * lines[:, 0]).sum(dim=1)
    determinant = torch.where(determinant.abs() < EPS, EPS, determinant)
    weight, scale = fragments.weight.detach(), (fragments.depth.detach() / determinant)[:, None]
    by_x, by_y = lines[..., 0], lines[..., 1]
    return (
        scale * (by_x - weight * by_x.sum(dim=1, keepdim=True)),
        scale * (by_y - weight * by_y.sum(dim=1, keepdim=True)),
    )


def _interpolate(weight: Tensor, attributes: Tensor) -> Tensor:
    """Interpolate each fragment's three corners; weight: (n, 3), attributes: (n, 3, D).

    Returns:
        (n, D).
    """
    count, width = len(weight), attributes.shape[-1]
    own = torch.arange(count, device=weight.device).reshape(1, 1, count, 1)
    mix = load_pytorch3d().interpolate_face_attributes
    return mix(own, weight.reshape(1, 1, count, 1, 3), attributes).reshape(count, width)


MARGIN = 2  # pixels outside the image on each side, whose distances border pixels need
REACH = 1.1  # pixels: distance outside an object within which its outline is searched
MIN_COVERAGE = 1e-6  # a pixel that an object covers by less has no depth


@dataclass(frozen=True)
class NativeSettings:
    """Settings of the native form.

    Attributes:
        blur_px: pixels on each side of an outline over which an object fades, in (0, 1], at any resolution.
        faces_per_pixel: number of faces along the outline that PyTorch3D stores per pixel. It stores the
            nearest in depth, not the nearest to the pixel: with too few, outlines of fine meshes become
            ragged.
        near: metres.
        far: metres.
        bin_size: PyTorch3D's bins on CUDA, in pixels; None for its default, 0 for none.
    """

    blur_px: float = 0.5
    faces_per_pixel: int = 32
    near: float = 0.01
    far: float = 1000.0
    bin_size: int | None = None


class NativeEngine:
    """PyTorch3D from rasterisation to gradients, each object alone, as layers.

    Alpha is a property of the object, not of its faces: ½ on its outline, 0 and 1 at `blur_px` from it, by
    PyTorch3D's distances; contours and creases within an object (a mug's handle before its body) are
    blended in the same way, so that they have gradients too. PyTorch3D computes in float32, whatever the
    dtype of the batch.

    Raises:
        EngineError: PyTorch3D is not installed, or settings that are out of bounds.
    """

    name = "pytorch3d-native"
    differentiable = True

    def __init__(self, library: MeshLibrary, settings: NativeSettings | None = None) -> None:
        load_pytorch3d()
        self.settings = settings or NativeSettings()
        if not 0 < self.settings.blur_px <= 1 or self.settings.faces_per_pixel < 1:
            raise EngineError(
                f"blur_px {self.settings.blur_px}, faces_per_pixel {self.settings.faces_per_pixel}: "
                "expected a blur above 0 and up to 1 pixel, and at least one face"
            )
        self.library = library
        self._topology = MeshTopology.from_library(library)
        self._models: dict[tuple[torch.device, torch.dtype], _Model] = {}

    def layers(self, objects: ObjectBatch, camera: CameraBatch, light: LightBatch) -> Layers:
        """Render every object of every scene alone; differentiable in all but `asset`."""
        check_assets(objects.asset, self.library)
        mesh = objects.asset.reshape(-1)
        slot = (mesh >= 0).nonzero()[:, 0]
        parameters = layer_parameters(objects, camera, light)
        metres_per_pixel = (1 / camera.K[:, 0, 0].detach()).repeat_interleave(objects.asset.shape[1])
        if len(slot):
            planes = self._draw(parameters[slot], mesh[slot], metres_per_pixel[slot], camera)
        else:
            planes = parameters.new_zeros(0, 5, camera.height, camera.width)
        empty = parameters.new_zeros(len(mesh), *planes.shape[1:])
        rgb, depth, alpha = empty.index_copy(0, slot, planes).tensor_split((3, 4), dim=1)
        some = alpha.detach() >= MIN_COVERAGE
        depth = torch.where(some, depth / torch.where(some, alpha, 1.0), torch.inf)
        return Layers(
            rgb.reshape(*objects.asset.shape, *rgb.shape[1:]),
            depth.reshape(*objects.asset.shape, *depth.shape[2:]),
            alpha.reshape(*objects.asset.shape, *alpha.shape[2:]),
        )

    def _draw(
        self, parameters: Tensor, mesh: Tensor, metres_per_pixel: Tensor, camera: CameraBatch
    ) -> Tensor:
        """Colour, depth, both times alpha, and alpha of P layers that are not empty, (P, 5, H, W)."""
        model, frame = self._model(parameters), self._frame(camera)
        surfaces = Surfaces.from_parameters(parameters, mesh, model.library, model.topology, frame, MARGIN)
        rendered, outline = surfaces.rendered.nonzero()[:, 0], surfaces.outline()
        hard = surfaces.rasterise(rendered, frame)
        seen = _seen(hard, rendered, surfaces.facing)
        beside = self._beside(surfaces, outline, seen, metres_per_pixel, frame)
        inside = pixels_inside(seen, beside, metres_per_pixel)
        pixel = (seen.face >= 0).reshape(-1).nonzero()[:, 0]
        fragments = _fragments(surfaces, parameters, mesh, hard, seen, beside, outline)
        rgb = shade(fragments, model.library, model.textures)
        ones = torch.ones_like(fragments.depth)
        values = torch.cat([rgb, fragments.depth[:, None], ones[:, None]], dim=1)
        centres = values.new_zeros(seen.face.numel(), 5).index_copy(0, pixel, values[: len(pixel)])
        blended = blend(centres, values[len(pixel) :], beside, inside, self.settings.blur_px)
        planes = blended.reshape(*seen.face.shape, 5).permute(0, 3, 1, 2)
        return planes[..., MARGIN:-MARGIN, MARGIN:-MARGIN]

    def _beside(
        self, surfaces: Surfaces, outline: Outline, seen: Seen, metres_per_pixel: Tensor, frame: Frame
    ) -> Beside:
        scale = ndc_per_pixel(frame.height, frame.width)
        hits = surfaces.rasterise(outline.face, frame, self.settings.faces_per_pixel, REACH * scale)
        corners = surfaces.ndc[surfaces.corners[outline.face]][..., :2]
        whole = surfaces.whole[outline.face]
        return pixels_beside(hits, seen, outline, corners, whole, metres_per_pixel, scale)

    def _model(self, like: Tensor) -> _Model:
        key = (like.device, like.dtype)
        if key not in self._models:
            library = self.library.to(*key)
            self._models[key] = _Model(
                library, self._topology.to(like.device), Textures.from_library(library)
            )
        return self._models[key]

    def _frame(self, camera: CameraBatch) -> Frame:
        settings = self.settings
        height, width = camera.height + 2 * MARGIN, camera.width + 2 * MARGIN
        return Frame(height, width, settings.near, settings.far, settings.bin_size)


class _Model(NamedTuple):
    """A library on one device and in one dtype, with derived data."""

    library: MeshLibrary
    topology: MeshTopology
    textures: Textures


def _seen(hard: Hits, rendered: Tensor, facing: Tensor) -> Seen:
    face = hard.face[..., 0]
    if not len(rendered):
        return Seen(face, torch.zeros_like(face), torch.full_like(hard.depth[..., 0], torch.inf))
    row = rendered[face.clamp(min=0)]
    depth = torch.where(face >= 0, hard.depth[..., 0].detach(), torch.inf)
    return Seen(torch.where(face >= 0, row, -1), torch.where(face >= 0, facing[row], 0), depth)


def _fragments(
    surfaces: Surfaces,
    parameters: Tensor,
    mesh: Tensor,
    hard: Hits,
    seen: Seen,
    beside: Beside,
    outline: Outline,
) -> Fragments:
    """The fragments to shade: first the visible faces, pixel by pixel, then those that end beside pixels."""
    pixel = (seen.face >= 0).reshape(-1).nonzero()[:, 0]
    row = torch.cat([seen.face.reshape(-1)[pixel], outline.face[beside.face]])
    layer = surfaces.faces.layer[row]
    corners = surfaces.corners[row]
    # for a face seen edge-on the gradient of weights explodes; it is negligible and dropped
    weight = torch.cat([hard.weight.reshape(-1, 3)[pixel], beside.weight.detach()])
    ends = surfaces.ndc[corners[len(pixel) :], 2]
    return Fragments(
        mesh=mesh[layer],
        face=surfaces.faces.row[row],
        facing=surfaces.facing[row],
        corners=surfaces.homogeneous[corners],
        depth=torch.cat([hard.depth.reshape(-1)[pixel], (weight[len(pixel) :] * ends).sum(dim=1)]).to(
            parameters.dtype
        ),
        weight=weight.to(parameters.dtype),
        light=parameters[layer, 12:],
    )
