"""The fuzz draws what it says, finds what is wrong, and finds nothing wrong with the shipped engine."""

from dataclasses import fields

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from inverse_graphics.benchmarks.render_fuzz import BATCH_SIZE, FuzzResult, fuzz, fuzz_library
from inverse_graphics.benchmarks.scenes import extreme_scenes
from inverse_graphics.errors import EngineError
from inverse_graphics.rendering.embedded.engine import EmbeddedEngine, EmbeddedSettings
from inverse_graphics.rendering.engine import RenderEngine
from inverse_graphics.rendering.supersampled import Supersampled

LIBRARY = fuzz_library()
ENGINES: dict[str, RenderEngine] = {
    "numba": EmbeddedEngine(LIBRARY),
    "torch": EmbeddedEngine(LIBRARY, EmbeddedSettings(kernels="torch")),
    "supersampled": Supersampled(EmbeddedEngine(LIBRARY), 2),
}


@pytest.mark.parametrize("engine", ENGINES)
@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 10**6), height=st.integers(1, 24), width=st.integers(1, 24))
@example(seed=0, height=1, width=1)
def test_nothing_non_finite_comes_out_of_any_finite_scene(engine, seed, height, width):
    result = fuzz(ENGINES[engine], LIBRARY, 40, height, width, seed)
    assert result.non_finite == 0, result.offenders
    assert result.values > 40 * (4 + 60)


def test_wild_scenes_are_finite_and_reach_every_extreme():
    scenes = extreme_scenes(5000, 16, 16, 4, seed=3)
    objects, camera = scenes.objects, scenes.camera
    for part in (objects, camera, scenes.light, scenes.table):
        tensors = [value for value in vars(part).values() if isinstance(value, torch.Tensor)]
        assert all(value.isfinite().all() for value in tensors)
    for turn in (objects.rotation, camera.T_world_camera[:, :3, :3]):
        unit = turn @ turn.transpose(-1, -2)
        torch.testing.assert_close(unit, torch.eye(3).expand_as(unit), atol=1e-5, rtol=0)
        assert (torch.linalg.det(turn) > 0.99).all()
    away = objects.position.norm(dim=-1)
    assert away.max() > 1e5
    assert away[away > 0].min() < 1e-5
    assert (away == 0).any()
    assert objects.scale.max() > 1e5
    assert (objects.scale == 0).any()
    assert set(objects.asset.unique().tolist()) == {-1, 0, 1, 2, 3}
    assert (camera.T_world_camera[:, 2, 3] == 0).any()
    assert (camera.T_world_camera[:, :3, 3] == objects.position[:, 0]).all(dim=1).any()
    focal = camera.K[:, 0, 0] / 16
    assert focal.min() < 0.01
    assert focal.max() > 1e4
    assert camera.K[:, 0, 2].abs().max() > 1e4
    assert (scenes.table.size == 0).any()


def test_the_same_seed_gives_the_same_scenes_and_another_others():
    one, again, other = (extreme_scenes(8, 16, 16, 4, seed) for seed in (1, 1, 2))
    assert torch.equal(one.objects.position, again.objects.position)
    assert not torch.equal(one.objects.position, other.objects.position)


def test_many_scenes_show_something():
    result = fuzz(ENGINES["numba"], LIBRARY, 300)
    assert result.showing > 70
    assert result.values == 300 * (5 * 32 * 32 + 3 * (3 + 9 + 1 + 3) + 9 + 16 + 9)


class Poisoned:
    """The embedded engine, but an object nearer than a threshold leaves NaN in what is asked for."""

    name = "poisoned"

    def __init__(self, part: str, differentiable: bool) -> None:
        self.part, self.differentiable = part, differentiable

    def layers(self, objects, camera, light):
        layers = ENGINES["numba"].layers(objects, camera, light)
        if self.part == "gradient":
            return layers._replace(alpha=layers.alpha + 0 * (objects.scale * 0).sqrt()[..., None, None])
        spoilt = torch.where(layers.alpha > 0.99, torch.nan, getattr(layers, self.part))
        return layers._replace(**{self.part: spoilt})


@pytest.mark.parametrize(("part", "differentiable"), [("alpha", False), ("depth", True), ("gradient", True)])
def test_what_is_not_finite_is_found_and_its_seed_is_reported(part, differentiable):
    reported: list[int] = []
    result = fuzz(
        Poisoned(part, differentiable), LIBRARY, BATCH_SIZE + 10, 8, 8, seed=2, progress=reported.append
    )
    assert reported == [BATCH_SIZE, BATCH_SIZE + 10]
    assert result.non_finite > 0
    assert result.offenders.startswith("2000000:")
    with pytest.raises(EngineError, match="are not finite; first scenes"):
        result.check()


def test_a_result_shows_engine_device_and_size_first():
    names = [field.name for field in fields(FuzzResult)]
    assert names[:5] == ["engine", "device", "height", "width", "scenes"]
