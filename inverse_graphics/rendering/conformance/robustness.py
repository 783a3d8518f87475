"""Checks of degenerate and extreme scenes, and of the gradients of outlines."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from inverse_graphics.geometry.transforms import matrix_from_quaternion
from inverse_graphics.packs.mesh import Mesh
from inverse_graphics.rendering.conformance.shapes import Floats, ball, box, card, joined, mesh
from inverse_graphics.rendering.conformance.tolerance import (
    Check,
    EngineFactory,
    Tolerance,
    require,
    require_near,
)
from inverse_graphics.rendering.conformance.views import View, draw, library, light, objects
from inverse_graphics.rendering.engine import Layers, RenderEngine
from inverse_graphics.scene.batch import ObjectBatch

HOSTILE_SCENES = 64


def check_degenerate_triangles(make_engine: EngineFactory, tolerance: Tolerance) -> None:
    """Faces without area, and a mesh of only such faces, add nothing and cause no error."""
    points = np.array([[0, 0, 0], [0.2, 0, 0], [0.4, 0, 0], [0, 0, 0], [1e-12, 0, 0], [0, 1e-12, 0]])
    flat = mesh(points, [[0, 1, 2], [0, 0, 1], [1, 1, 1], [0, 3, 1], [0, 4, 5]])
    place, even = [[0.02, 0.03, 1.0]], light(1)
    clean = draw(make_engine, box(), place, shine=even)
    dirty = draw(make_engine, joined((box(), (0, 0, 0)), (flat, (0, 0, -0.2))), place, shine=even)
    gap = max(float((a - b).abs().max()) for a, b in ((clean.rgb, dirty.rgb), (clean.alpha, dirty.alpha)))
    require_near(gap, 0.0, tolerance.repeat, "faces without area change the image by")
    alone = draw(make_engine, flat, place, shine=even)
    require(float(alone.alpha.max()) == 0, "a mesh of faces without area leaves alpha")
    _require_finite(alone, "a mesh of faces without area")


def check_nothing_non_finite(make_engine: EngineFactory, tolerance: Tolerance) -> None:
    """Random scenes, cameras inside objects, and objects huge, tiny, near, or behind the camera."""
    del tolerance
    meshes = (ball(0.1, 1), box(), card(0.3, 0.1), _needle())
    engine = make_engine(library(*meshes))
    placed = _hostile(np.random.default_rng(11), len(meshes))
    leaves = [part.requires_grad_(engine.differentiable) for part in (placed.position, placed.rotation)]
    layers = engine.layers(
        placed, View(24, 24, (30, 30, 12, 12)).camera(HOSTILE_SCENES), light(HOSTILE_SCENES)
    )
    _require_finite(layers, "random scenes")
    alpha = layers.alpha.detach()
    require(float(alpha.min()) >= 0 and float(alpha.max()) <= 1 + 1e-6, "alpha leaves [0, 1]")
    if engine.differentiable:
        depth = torch.where(layers.depth.isfinite(), layers.depth, 0.0)
        (layers.rgb.square().sum() + layers.alpha.sum() + depth.sum()).backward()  # type: ignore[no-untyped-call]
        for leaf in leaves:
            finite = leaf.grad is not None and bool(leaf.grad.isfinite().all())
            require(finite, "gradients of random scenes are not all finite")


def check_gradients_of_outlines(make_engine: EngineFactory, tolerance: Tolerance) -> None:
    """A card's area shrinks with distance, and its centre moves with it, as geometry predicts.

    For a card of area A pixels at depth z, d(Σ α)/dz = −2 A / z; and where x is a pixel's column,
    d(Σ α x)/d(position x) = A f / z. Means over sub-pixel positions and orientations. Skipped without
    gradients.
    """
    engine = make_engine(library(card(0.33, 0.33)))
    if not engine.differentiable:
        return
    places = np.array([[[x / 240, y / 240, 1.0]] for x in range(4) for y in range(4)])
    rotations = np.stack([_in_plane(0.2 + 0.37 * n) for n in range(16)])[:, None]
    shrinking, moving = _outline_gradients(engine, objects(np.zeros((16, 1)), places, rotations))
    area = (0.33 * 60) ** 2
    require_near(shrinking / (-2 * area), 1.0, tolerance.gradient, "d(area)/d(distance) relative to geometry")
    require_near(moving / (60 * area), 1.0, tolerance.gradient, "d(centre)/d(position) relative to geometry")


def _outline_gradients(engine: RenderEngine, placed: ObjectBatch) -> tuple[float, float]:
    """Mean of d(Σ α)/dz and of d(Σ α x)/dx."""
    columns = torch.arange(48) + 0.5
    found = []
    for axis, weight in ((2, torch.ones(48)), (0, columns)):
        position = placed.position.clone().requires_grad_()
        count = len(position)
        layers = engine.layers(replace(placed, position=position), View().camera(count), light(count))
        (gradient,) = torch.autograd.grad((layers.alpha * weight).sum(), position)
        found.append(float(gradient[..., axis].mean()))
    return found[0], found[1]


def _require_finite(layers: Layers, what: str) -> None:
    sound = bool(layers.rgb.isfinite().all()) and bool(layers.alpha.isfinite().all())
    require(sound, f"{what}: colour or alpha is not finite")
    depth: Tensor = layers.depth
    require(bool((depth.isfinite() | (depth == torch.inf)).all()), f"{what}: depth is NaN or −inf")


def _hostile(generator: np.random.Generator, meshes: int) -> ObjectBatch:
    """Two objects in each scene, many of them at extreme positions and scales."""
    shape = (HOSTILE_SCENES, 2)
    position = generator.normal(0, 1, (*shape, 3)) * 10.0 ** generator.uniform(-3, 1, (*shape, 1))
    position[::4, 0] = 0.0  # the camera is at the object's origin
    position[1::4, 0, 2] = 0.0  # an origin in the camera's plane
    quaternion = torch.from_numpy(generator.normal(size=(*shape, 4)))
    rotation = matrix_from_quaternion(torch.nn.functional.normalize(quaternion, dim=-1)).numpy()
    scale = 10.0 ** generator.uniform(-3, 3, shape)
    return objects(generator.integers(meshes, size=shape), position, rotation, scale)


def _needle() -> Mesh:
    """Two faces a micrometre wide and a metre long."""
    return mesh([[0, 0, -0.5], [1e-6, 0, 0.5], [0, 1e-6, 0.5], [-1e-6, 0, 0.5]], [[0, 1, 2], [0, 2, 3]])


def _in_plane(angle: float) -> Floats:
    """Rotation about the camera's axis by an angle in radians, (3, 3)."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])


ROBUSTNESS_CHECKS: tuple[Check, ...] = (
    check_degenerate_triangles,
    check_nothing_non_finite,
    check_gradients_of_outlines,
)
