"""Checks of several objects in one image: occlusion, contact with the table, batches, and empty scenes."""

from __future__ import annotations

import numpy as np
import torch

from inverse_graphics.rendering.conformance.shapes import ball, box, card
from inverse_graphics.rendering.conformance.tolerance import (
    Check,
    EngineFactory,
    Tolerance,
    require,
    require_near,
)
from inverse_graphics.rendering.conformance.views import View, library, light, objects, scene
from inverse_graphics.rendering.engine import Layers
from inverse_graphics.rendering.rendering import render
from inverse_graphics.scene.camera import look_at_pose

RED, GREEN = (0.9, 0.1, 0.1), (0.1, 0.8, 0.1)


def check_occlusion_order(make_engine: EngineFactory, tolerance: Tolerance) -> None:
    """The nearer object occludes the farther one, in whichever slot it is; every layer is complete."""
    engine = make_engine(library(box([0.3, 0.3, 0.1], RED), box([0.3, 0.3, 0.1], GREEN)))
    near, far = [-0.08, 0.0, 0.9], [0.08, 0.0, 1.2]
    placed = objects([[0, 1], [1, 0], [0, 1]], [[near, far], [far, near], [far, near]])
    with torch.no_grad():
        rendered = render(scene(placed, View()), engine)
        layers = engine.layers(placed, View().camera(3), light(3))
    overlap = rendered.image[:, :, 24, 24].double().numpy()
    for colour, found, what in zip((RED, RED, GREEN), overlap, ("first", "last", "first"), strict=True):
        off = float(np.abs(found - colour).max())
        require_near(off, 0.0, tolerance.colour, f"the nearer object in the {what} case, colour off by")
    gap = float((layers.alpha[0] - layers.alpha[1].flip(0)).abs().max())
    require_near(gap, 0.0, tolerance.repeat, "alpha of a layer depends on its slot: differs by")


def check_contact_with_the_table(make_engine: EngineFactory, tolerance: Tolerance) -> None:
    """An object that stands on the table occludes it, is not occluded by it, and touches it."""
    engine = make_engine(library(box([0.2, 0.2, 0.2], RED)))
    view = View(T_world_camera=look_at_pose((0.0, -1.0, 0.5), (0.0, 0.0, 0.05)))
    placed_scene = scene(objects([[0]], [[[0.0, 0.0, 0.1]]]), view, table_m=4.0)
    with torch.no_grad():
        rendered, bare = (
            render(placed_scene, engine),
            render(scene(objects([[-1]], [[[0, 0, 0]]]), view, 4.0), engine),
        )
    solid = (rendered.instance_mask == 0) & (rendered.alpha > 0.999)
    require(int(solid.sum()) > 100, f"an object on the table is seen in {int(solid.sum())} pixels only")
    off = (rendered.image[0] - torch.tensor(RED)[:, None, None]).abs().amax(dim=0)[solid[0]].max()
    require_near(float(off), 0.0, tolerance.colour, "colour of an object on the table, off by")
    clearance = (bare.depth - rendered.depth)[0]
    least = float(clearance[solid[0]].min())
    require(least > -tolerance.depth, f"the table is nearer than an object on it, by {-least:.4g} m")
    foot = int(solid[0, :, 24].nonzero().max())
    gap = float(clearance[foot, 24])
    pixel = float(bare.depth[0, foot, 24] - bare.depth[0, foot + 1, 24])
    require_near(gap, 0.0, 2 * pixel, "height of the table's depth behind an object's foot")


def check_empty_scenes(make_engine: EngineFactory, tolerance: Tolerance) -> None:
    """Empty slots, and scenes without slots, render nothing."""
    del tolerance
    engine = make_engine(library(ball(0.1, 1)))
    for slots in (0, 1, 3):
        placed = objects(np.full((2, slots), -1), np.zeros((2, slots, 3)))
        layers = engine.layers(placed, View(32, 40).camera(2), light(2))
        found = tuple(tuple(part.shape) for part in layers)
        expected = ((2, slots, 3, 32, 40), (2, slots, 32, 40), (2, slots, 32, 40))
        require(found == expected, f"shapes of {slots} empty layers: got {found}, expected {expected}")
        nothing = not bool(layers.alpha.any()) and not bool(layers.rgb.any())
        require(nothing, "an empty slot leaves colour or alpha")
        require(bool((layers.depth == torch.inf).all()), "depth of an empty slot is not +inf")


def check_batch_equals_loop(make_engine: EngineFactory, tolerance: Tolerance) -> None:
    """Meshes of different size in one batch, with empty slots among them, are rendered as one by one."""
    engine = make_engine(library(ball(0.1, 2), box(), card(0.3, 0.1, (0.2, 0.6, 0.4))))
    generator = np.random.default_rng(5)
    asset = [[0, 1, -1], [2, -1, 1], [1, 0, 2]]
    placed = objects(asset, generator.uniform([-0.3, -0.3, 0.8], [0.3, 0.3, 1.4], (3, 3, 3)))
    view, shine = View(32, 40), light(3, (0.3, -0.5, -1.0), 0.6, 0.3)
    with torch.no_grad():
        together = engine.layers(placed, view.camera(3), shine)
        for b, n in np.ndindex(3, 3):
            one = engine.layers(
                placed[b : b + 1, n : n + 1], view.camera(1), light(1, (0.3, -0.5, -1.0), 0.6, 0.3)
            )
            for name, alone, among in zip(Layers._fields, one, together, strict=True):
                gap = torch.where(alone[0, 0] == among[b, n], 0.0, (alone[0, 0] - among[b, n]).abs()).max()
                what = f"{name} of an object alone and in a batch"
                require_near(float(gap), 0.0, tolerance.repeat, what)


SCENE_CHECKS: tuple[Check, ...] = (
    check_occlusion_order,
    check_contact_with_the_table,
    check_empty_scenes,
    check_batch_equals_loop,
)
