"""Finite differences against gradients that are known: the embedded engine's own, and formulas."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from table_scenes import ball, cube, light, looking_down, one_object, random_scenes
from torch import Tensor

from inverse_graphics.benchmarks.gradients import perturb_poses
from inverse_graphics.errors import EngineError
from inverse_graphics.geometry.transforms import matrix_from_rotation_vector, random_rotations
from inverse_graphics.observation.gaussian import GaussianModel
from inverse_graphics.observation.observation import Observation, Rendered
from inverse_graphics.packs.mesh import MeshLibrary
from inverse_graphics.rendering.embedded.engine import EmbeddedEngine, EmbeddedSettings
from inverse_graphics.rendering.engine import Layers, RenderEngine
from inverse_graphics.rendering.finite_difference.engine import FiniteDifference
from inverse_graphics.rendering.finite_difference.steps import (
    DifferenceSettings,
    PoseSteps,
    StepSchedule,
    rotated,
    rotation_gradient,
)
from inverse_graphics.rendering.finite_difference.whole_scenes import (
    FiniteDifferenceOfScenes,
    with_gradients,
    with_step,
)
from inverse_graphics.rendering.rendering import render
from inverse_graphics.scene.batch import SceneBatch
from inverse_graphics.scene.camera_batch import project

MESHES = MeshLibrary.from_meshes([("ball", ball()), ("cube", cube())])
EXACT = EmbeddedEngine(MESHES, EmbeddedSettings(slopes="surface"))
SHORT = DifferenceSettings(step_px=1e-4, light_radians=1e-4, colour=0.01)
SHAPES = {"pose": (3, 18), "scale": (3, 2), "tint": (3, 2, 3), "light": (3, 3, 3), "behind": (3, 2, 3)}


def changed(scenes: SceneBatch, offset: dict[str, Tensor]) -> SceneBatch:
    """Scenes changed in all that gradients flow to; directions of lights along the sphere."""
    scenes = perturb_poses(scenes, offset["pose"], MESHES)
    objects, shine, lit = scenes.objects, scenes.light, offset["light"]
    turn = matrix_from_rotation_vector(lit[:, 0])
    return SceneBatch(
        replace(objects, scale=objects.scale * offset["scale"].exp(), tint=objects.tint + offset["tint"]),
        scenes.camera,
        replace(
            shine,
            direction=(turn @ shine.direction[..., None])[..., 0],
            diffuse=shine.diffuse + lit[:, 1],
            ambient=shine.ambient + lit[:, 2],
        ),
        replace(scenes.table, colour=scenes.table.colour + offset["behind"][:, 0]),
        scenes.background + offset["behind"][:, 1],
    )


def gradients(engine: RenderEngine, whole: bool) -> dict[str, Tensor]:
    """Of weighted sums of all pixels of colour, depth and alpha."""
    scenes = random_scenes(MESHES, 3, 2, 24, seed=3, distance=0.5)
    generator = torch.Generator().manual_seed(0)
    offset = {name: torch.zeros(shape, dtype=torch.float64) for name, shape in SHAPES.items()}
    for zeros in offset.values():
        zeros.requires_grad_()
    now = changed(scenes, offset)
    drawn = render(now, engine)[:3] if whole else engine.layers(now.objects, now.camera, now.light)
    loss = torch.zeros((), dtype=torch.float64)
    for part in drawn:
        finite = torch.where(part.isfinite(), part, 0.0)
        loss = loss + (finite * torch.randn(part.shape, generator=generator, dtype=torch.float64)).sum()
    found = torch.autograd.grad(loss, list(offset.values()), allow_unused=not whole)
    return {name: part for name, part in zip(offset, found, strict=True) if part is not None}


@pytest.mark.parametrize("whole", [False, True], ids=["layers", "whole scenes"])
def test_short_differences_are_the_gradient(whole):
    """Of objects that hide each other, of all parts of the image, by all that it depends on."""
    wrapped = (
        FiniteDifferenceOfScenes(EXACT, MESHES, SHORT) if whole else FiniteDifference(EXACT, MESHES, SHORT)
    )
    found, expected = gradients(wrapped, whole), gradients(EXACT, whole)
    assert set(found) == set(expected) == (set(SHAPES) if whole else set(SHAPES) - {"behind"})
    for name, part in expected.items():
        assert part.norm() > 0.1
        torch.testing.assert_close(found[name], part, rtol=1e-6, atol=1e-6 * float(part.abs().max()))


class Blob:
    """A Gaussian spot about the projected origin, as large as the object: smooth, in closed form."""

    name = "blob"
    differentiable = False

    def __init__(self) -> None:
        self.calls: list[tuple[int, ...]] = []

    def layers(self, objects, camera, light) -> Layers:
        self.calls.append(tuple(objects.asset.shape))
        return blob(objects, camera)


def blob(objects, camera) -> Layers:
    centre, depth = project(objects.position, camera)
    radius = camera.K[:, :1, 0] * 0.1 * objects.scale / depth
    down, right = torch.meshgrid(
        *(torch.arange(n) + 0.5 for n in (camera.height, camera.width)), indexing="ij"
    )
    across = right - centre[..., 0, None, None]
    below = down - centre[..., 1, None, None]
    leaning = across + objects.rotation[..., 0, 1, None, None] * below
    alpha = (-(leaning**2 + below**2) / (2 * radius[..., None, None] ** 2)).exp()
    alpha = alpha * (objects.asset >= 0)[..., None, None]
    return Layers(
        objects.tint[..., None, None] * alpha[:, :, None], depth[..., None, None].expand_as(alpha), alpha
    )


def placed(offset: Tensor):
    position = torch.tensor([[0.05, -0.03, 0.1], [-0.1, 0.02, 0.0]], dtype=torch.float64) + offset
    objects = one_object(position)
    return replace(objects, rotation=matrix_from_rotation_vector(offset)[:, None] @ objects.rotation)


def test_half_a_pixel_is_exact_to_the_square_of_the_step_on_smooth_pictures():
    """An engine that torch knows nothing of: halving the step leaves a quarter of the error."""
    camera = looking_down(2, 32)
    target = blob(placed(torch.full((2, 3), 0.02, dtype=torch.float64)), camera).alpha

    def gradient(draw) -> Tensor:
        offset = torch.zeros(2, 3, dtype=torch.float64, requires_grad=True)
        loss = (draw(placed(offset), camera, light(2)).alpha - target).square().sum()
        return torch.autograd.grad(loss, offset)[0]

    exact = gradient(lambda objects, camera, _: blob(objects, camera))
    errors = []
    for step_px in (1.0, 0.5, 0.25):
        engine = with_step(with_gradients(Blob(), MESHES), step_px)
        errors.append(float((gradient(engine.layers) - exact).norm() / exact.norm()))
    assert errors[1] < 0.01
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.1)
    assert errors[1] / errors[2] == pytest.approx(4, rel=0.1)


def test_any_likelihood_gets_its_gradient():
    """Gradients are products with the Jacobian of the image, for any loss."""
    camera = looking_down(2, 32)
    image = blob(placed(torch.full((2, 3), 0.02, dtype=torch.float64)), camera).rgb[:, 0]
    for likelihood in (GaussianModel(0.1), GaussianModel(0.1).pyramid(4)):
        found = []
        for draw in (FiniteDifference(Blob(), MESHES, SHORT).layers, lambda o, c, _: blob(o, c)):
            offset = torch.zeros(2, 3, dtype=torch.float64, requires_grad=True)
            drawn = draw(placed(offset), camera, light(2)).rgb[:, 0]
            log_prob = likelihood.log_prob(Observation(image), Rendered(drawn))
            found.append(torch.autograd.grad(log_prob.sum(), offset)[0])
        torch.testing.assert_close(found[0], found[1], rtol=1e-6, atol=1e-5)


def test_nothing_is_drawn_that_is_not_asked_for():
    """One rendering without gradients; two more for each direction that has one."""
    engine = Blob()
    differences, camera = FiniteDifference(engine, MESHES), looking_down(2, 16)
    still = one_object(torch.zeros(2, 3, dtype=torch.float64))
    differences.layers(still, camera, light(2))
    assert len(engine.calls) == 1
    for moving, renderings in (
        (("position",), 6),
        (("position", "rotation"), 12),
        (("tint",), 2),
        (("scale",), 2),
    ):
        engine.calls.clear()
        leaves = {name: getattr(still, name).clone().requires_grad_() for name in moving}
        drawn = differences.layers(replace(still, **leaves), camera, light(2))
        assert len(engine.calls) == 1
        drawn.rgb.sum().backward()
        assert engine.calls == [(2, 1)] * (1 + renderings)
        with torch.no_grad():
            differences.layers(replace(still, **leaves), camera, light(2))
        assert len(engine.calls) == 2 + renderings


class Noisy(Blob):
    """Draws noise anew in each call, from one seed or from a running one."""

    def __init__(self, common: bool) -> None:
        super().__init__()
        self.common = common
        self.running = torch.Generator().manual_seed(1)

    def layers(self, objects, camera, light) -> Layers:
        drawn = blob(objects, camera)
        generator = torch.Generator().manual_seed(0) if self.common else self.running
        noise = torch.randn(drawn.alpha.shape, generator=generator, dtype=torch.float64)
        return drawn._replace(alpha=drawn.alpha + 0.1 * noise)


@pytest.mark.parametrize("common", [True, False])
def test_random_numbers_common_to_both_sides_cancel(common):
    """And with numbers of their own, the negative control, they do not."""
    camera, found, ramp = looking_down(2, 32), [], torch.arange(32)
    for engine in (Noisy(common), Blob()):
        offset = torch.zeros(2, 3, dtype=torch.float64, requires_grad=True)
        drawn = FiniteDifference(engine, MESHES).layers(placed(offset), camera, light(2))
        found.append(torch.autograd.grad((drawn.alpha * ramp).sum(), offset)[0])
    difference = float((found[0] - found[1]).norm() / found[1].norm())
    assert difference < 1e-9 if common else difference > 0.05


@settings(max_examples=20)
@given(st.integers(0, 1000))
def test_a_step_moves_what_moves_farthest_by_so_many_pixels(seed):
    generator = torch.Generator().manual_seed(seed)
    position = torch.rand(1, 8, 3, generator=generator, dtype=torch.float64) - 0.5
    position[..., 2] += 1.5
    camera = looking_down(1, 64)
    camera = replace(camera, T_world_camera=torch.eye(4, dtype=torch.float64)[None])
    radius = torch.full((1, 8), 0.05, dtype=torch.float64)
    steps = PoseSteps.from_pixels(position, radius, camera.K, 0.5)
    torch.testing.assert_close(
        steps.axes @ steps.axes.transpose(-1, -2), torch.eye(3, dtype=torch.float64).expand(1, 8, 3, 3)
    )
    assert (steps.metres > 0).all()
    here, depth = project(position, camera)
    slant = position.norm(dim=-1) / depth
    for axis in range(2):
        there, _ = project(position + steps.axes[..., axis, :] * steps.metres[..., axis, None], camera)
        moved = (there - here).norm(dim=-1)
        assert (moved > 0.45 * slant).all()
        assert (moved < 0.55 * slant**2).all()
    nearer = steps.metres[..., 2] / position.norm(dim=-1)
    pixels = 64 * radius / position.norm(dim=-1)
    assert (nearer * pixels <= 0.5 + 1e-12).all()
    torch.testing.assert_close(steps.radians, (0.5 / pixels).clamp(max=0.5))


def test_a_rotation_s_gradient_has_the_slopes_that_it_was_made_of():
    generator = torch.Generator().manual_seed(0)
    rotation = random_rotations((5,), generator, torch.float64)
    slopes = torch.randn(5, 3, generator=generator, dtype=torch.float64)
    gradient = rotation_gradient(slopes, rotation)
    for axis in range(3):
        angle = torch.zeros(5, dtype=torch.float64, requires_grad=True)
        (slope,) = torch.autograd.grad((rotated(rotation, axis, angle) * gradient).sum(), angle)
        torch.testing.assert_close(slope, slopes[:, axis])


def test_steps_shrink_from_the_first_to_the_last():
    schedule = StepSchedule()
    assert [schedule.step_px(share) for share in (-1, 0, 0.5, 1, 2)] == pytest.approx([2, 2, 1, 0.5, 0.5])
    annealed = with_step(FiniteDifference(Blob(), MESHES), schedule.step_px(0.5))
    assert isinstance(annealed, FiniteDifference)
    assert annealed.settings.step_px == pytest.approx(1)
    assert with_step(EXACT, 1.0) is EXACT


def test_engines_with_gradients_keep_their_own():
    assert with_gradients(EXACT, MESHES) is EXACT


def test_what_cannot_be_differentiated_says_so():
    objects, camera = one_object(torch.zeros(2, 3, dtype=torch.float64)), looking_down(2, 16)
    asking = replace(camera, K=camera.K.clone().requires_grad_())
    with pytest.raises(EngineError, match="K"):
        FiniteDifference(Blob(), MESHES).layers(objects, asking, light(2))
    with pytest.raises(EngineError, match="layers only"):
        FiniteDifferenceOfScenes(Blob(), MESHES)
    with pytest.raises(EngineError, match="positive"):
        DifferenceSettings(step_px=0)
