"""Every engine that works here is put through every check; and engines that are wrong are found out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import Tensor

from inverse_graphics.packs.mesh import MeshLibrary
from inverse_graphics.rendering.conformance import CHECKS, Check, Tolerance
from inverse_graphics.rendering.conformance.robustness import (
    check_gradients_of_outlines,
    check_nothing_non_finite,
)
from inverse_graphics.rendering.embedded.engine import EmbeddedEngine, EmbeddedSettings
from inverse_graphics.rendering.engine import Layers, RenderEngine
from inverse_graphics.rendering.engines import available_engines, make_differentiable_engine, make_engine
from inverse_graphics.rendering.sampled.engine import SampledEngine
from inverse_graphics.scene.batch import CameraBatch, LightBatch, ObjectBatch

# A ramp over distance, as the native form's is, makes a ball of radius r pixels larger by 1 / (12 r²).
# Depth that is averaged over a pixel is that of its middle only where surfaces are flat.
TOLERANCES = {
    "pytorch3d-native": Tolerance(area_small=0.05),
    "open3d": Tolerance(depth=5e-3),
    "mujoco": Tolerance(depth=5e-3),
    "mujoco-shadows": Tolerance(depth=5e-3),
}


def engines() -> list[object]:
    cases: list[object] = []
    for engine in available_engines():
        missing = pytest.mark.skipif(not engine.works, reason=f"{engine.name}: {engine.reason}")
        cases.append(pytest.param(engine.name, marks=missing))
    return cases


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", engines())
def test_engine_conforms(name: str, check: Check) -> None:
    check(partial(make_engine, name), TOLERANCES.get(name, Tolerance()))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_mujoco_without_opengl_conforms(check: Check) -> None:
    pytest.importorskip("mujoco")
    from inverse_graphics.rendering.mujoco.ray_faces import RayFaces

    check(lambda library: SampledEngine("rays", RayFaces(library)), TOLERANCES["mujoco"])


@pytest.mark.parametrize("name", ["open3d", "mujoco"])
def test_engines_without_gradients_know_outlines_by_differences(name: str) -> None:
    """Although steps along the line of sight are as large as make the outline move by half a pixel."""
    status = next(engine for engine in available_engines() if engine.name == name)
    if not status.works:
        pytest.skip(f"{name}: {status.reason}")
    by_differences = partial(make_differentiable_engine, name)
    for check in (check_gradients_of_outlines, check_nothing_non_finite):
        check(by_differences, TOLERANCES[name])


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_embedded_engine_in_plain_torch_conforms(check: Check) -> None:
    check(lambda library: EmbeddedEngine(library, EmbeddedSettings(kernels="torch")), Tolerance())


class Wrong:
    """The embedded engine with a fault."""

    name = "wrong"
    differentiable = True

    def __init__(self, library: MeshLibrary, fault: Callable[[Layers], Layers]) -> None:
        self.engine: RenderEngine = EmbeddedEngine(library)
        self.fault = fault

    def layers(self, objects: ObjectBatch, camera: CameraBatch, light: LightBatch) -> Layers:
        return self.fault(self.engine.layers(objects, camera, light))


def mirrored(layers: Layers) -> Layers:
    return Layers(*(part.flip(-1) for part in layers))


def upside_down(layers: Layers) -> Layers:
    return Layers(*(part.flip(-2) for part in layers))


def shifted(layers: Layers) -> Layers:
    return Layers(*(part.roll(1, dims=-1) for part in layers))


def dilated(layers: Layers) -> Layers:
    """Larger by a soft ring of a quarter of a pixel."""
    wide = torch.nn.functional.max_pool2d(layers.alpha, 3, stride=1, padding=1)
    return layers._replace(alpha=0.75 * layers.alpha + 0.25 * wide)


def blurred(layers: Layers) -> Layers:
    return layers._replace(alpha=torch.nn.functional.avg_pool2d(layers.alpha, 3, stride=1, padding=1))


def ray_length(layers: Layers) -> Layers:
    """Distance from the camera's centre where depth is asked for."""
    y, x = torch.meshgrid(*(torch.arange(n) + 0.5 - n / 2 for n in layers.depth.shape[-2:]), indexing="ij")
    return layers._replace(depth=layers.depth * (1 + (x**2 + y**2) / 3600).sqrt())


def no_depth(layers: Layers) -> Layers:
    return layers._replace(depth=layers.depth.nan_to_num(posinf=0.0))


def blue_first(layers: Layers) -> Layers:
    return layers._replace(rgb=layers.rgb.flip(2))


def see_through(layers: Layers) -> Layers:
    return layers._replace(rgb=0.9 * layers.rgb, alpha=0.9 * layers.alpha)


def no_outline_gradient(layers: Layers) -> Layers:
    return layers._replace(alpha=layers.alpha.detach() + 0 * layers.depth.nan_to_num(posinf=0.0))


def slots_swapped(layers: Layers) -> Layers:
    return Layers(*(part.flip(1) for part in layers))


def not_a_number(layers: Layers) -> Layers:
    def spoil(part: Tensor) -> Tensor:
        return torch.where(layers.depth > 5, torch.nan, part)

    return layers._replace(alpha=spoil(layers.alpha))


FAULTS: dict[Callable[[Layers], Layers], str] = {
    mirrored: "camera_axes",
    upside_down: "camera_axes",
    shifted: "images_that_are_not_square",
    dilated: "area_without_bias",
    blurred: "silhouettes",
    ray_length: "depth",
    no_depth: "off_screen",
    blue_first: "textures",
    see_through: "larger_than_the_image",
    no_outline_gradient: "gradients_of_outlines",
    slots_swapped: "batch_equals_loop",
    not_a_number: "nothing_non_finite",
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_wrong_engine_is_found_out(fault: Callable[[Layers], Layers]) -> None:
    check = next(check for check in CHECKS if check.__name__ == f"check_{FAULTS[fault]}")
    with pytest.raises(AssertionError):
        check(lambda library: Wrong(library, fault), Tolerance())


class Misled:
    """The embedded engine, changed something else than it was asked to draw."""

    name = "misled"
    differentiable = True

    def __init__(self, library: MeshLibrary, lie: Callable[..., tuple[ObjectBatch, LightBatch]]) -> None:
        self.engine: RenderEngine = EmbeddedEngine(library)
        self.lie = lie

    def layers(self, objects: ObjectBatch, camera: CameraBatch, light: LightBatch) -> Layers:
        changed, lit = self.lie(objects, light)
        return self.engine.layers(changed, camera, lit)


def lit_from_behind(objects: ObjectBatch, light: LightBatch) -> tuple[ObjectBatch, LightBatch]:
    return objects, replace(light, direction=-light.direction)


def sunk(objects: ObjectBatch, light: LightBatch) -> tuple[ObjectBatch, LightBatch]:
    return replace(objects, position=objects.position - torch.tensor([0.0, 0.0, 0.05])), light


def hovering(objects: ObjectBatch, light: LightBatch) -> tuple[ObjectBatch, LightBatch]:
    return replace(objects, position=objects.position + torch.tensor([0.0, 0.0, 0.05])), light


def turned_the_wrong_way(objects: ObjectBatch, light: LightBatch) -> tuple[ObjectBatch, LightBatch]:
    return replace(objects, rotation=objects.rotation.transpose(-1, -2)), light


def without_tint(objects: ObjectBatch, light: LightBatch) -> tuple[ObjectBatch, LightBatch]:
    return replace(objects, tint=torch.ones_like(objects.tint)), light


LIES: dict[Callable[..., tuple[ObjectBatch, LightBatch]], str] = {
    lit_from_behind: "light_direction",
    sunk: "contact_with_the_table",
    hovering: "contact_with_the_table",
    turned_the_wrong_way: "silhouettes",
    without_tint: "tint_and_scale",
}


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: lie.__name__)
def test_a_misled_engine_is_found_out(lie: Callable[..., tuple[ObjectBatch, LightBatch]]) -> None:
    check = next(check for check in CHECKS if check.__name__ == f"check_{LIES[lie]}")
    with pytest.raises(AssertionError):
        check(lambda library: Misled(library, lie), Tolerance())
