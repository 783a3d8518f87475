"""Small 3D models and their scenes, for tests."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from inverse_graphics.families.family import SceneLatents
from inverse_graphics.models.air3d.network import Air3D, Air3DSettings
from inverse_graphics.models.air3d.scene_latents import draw_prefixes
from inverse_graphics.models.air3d.scene_space import SceneSpace
from inverse_graphics.observation.observation import Observation, Rendered
from inverse_graphics.scene.tensor_batch import TensorBatch

ANYWHERE = {
    "azimuth_degrees": (-135, -45),
    "elevation_degrees": (30, 60),
    "distance_m": (1.3, 1.6),
    "field_of_view_degrees": 34,
}
BEFORE_IT = {"azimuth_degrees": -90, "elevation_degrees": 45, "distance_m": 1.5, "field_of_view_degrees": 34}
SINGLE = {"kind": "single_object", "image_size": 32}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def table(camera=ANYWHERE, kinds=("plate", "mug", "glass"), counts=(1, 1, 1), size=32, **settings):
    """Settings of a table-top family."""
    names = [f"crockery/{kind}" for kind in kinds]
    return (
        {"kind": "table_top", "kinds": names, "count_weights": counts, "image_size": size} | camera | settings
    )


FAMILIES = {"free camera": table(), "known camera": table(BEFORE_IT), "floating": SINGLE}
STATES = ("canvas", "recurrent")
"""What steps know of those before them."""


def settings_of(family, **settings) -> Air3DSettings:
    sizes = {"channels": (8, 8, 12), "hidden": 24, "components": 3}
    return Air3DSettings.model_validate({"family": family} | sizes | settings)


def space_of(family) -> SceneSpace:
    return SceneSpace(settings_of(family).family)


def fresh_model(family, seed: int = 0, **settings) -> Air3D:
    """A network as training begins with, in evaluation mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Air3D(settings_of(family, **settings)).eval()


def loud_model(family, seed: int = 0, **settings) -> Air3D:
    """A network whose output differs strongly between images and composites."""
    model = fresh_model(family, seed, **settings)
    louder = {"output": 10, "vote": 5}
    with torch.no_grad():
        for name, module in model.named_modules():
            if isinstance(module, nn.Linear | nn.Conv2d):
                module.weight.mul_(louder.get(name.rpartition(".")[2], 1))
    return model


def drawn(space: SceneSpace, count: int, seed: int = 0) -> SceneLatents:
    """Scenes from the prior."""
    return space.family.sample(count, seeded(seed)).latents


def rendered(model: Air3D, scenes: SceneLatents) -> Rendered:
    """Whole scenes, without noise."""
    return draw_prefixes(scenes, model.space, model.engine).renders[:, -1]


def clean(model: Air3D, scenes: SceneLatents) -> Observation:
    """Images of scenes without noise."""
    return Observation(rendered(model, scenes).rgb, K=scenes.K)


def noisy(model: Air3D, scenes: SceneLatents, seed: int = 1) -> Observation:
    """Images of scenes with the model's noise."""
    return model.observation_model.sample(rendered(model, scenes), seeded(seed)).replace(K=scenes.K)


def filled(scenes: SceneLatents) -> SceneLatents:
    """The same with something in the empty slots."""
    return scenes.replace(asset=scenes.asset.clamp(min=0))


def same(one: TensorBatch, other: TensorBatch) -> bool:
    """Whether two batches are equal to the last bit, batches within them too."""

    def equal(part: object, again: object) -> bool:
        if isinstance(part, TensorBatch) and isinstance(again, TensorBatch):
            return same(part, again)
        if isinstance(part, Tensor) and isinstance(again, Tensor):
            return torch.equal(part, again)
        return part == again

    return all(equal(part, getattr(other, name)) for name, part in vars(one).items())


class Replayed:
    """A sampler that takes what given scenes have, as `Air3D` asks for it."""

    def __init__(self, scenes: SceneLatents, space: SceneSpace) -> None:
        camera = [scenes.orbit[:, space.free]] if len(space.free) else []
        slots = range(scenes.asset.shape[1])
        objects = [(scenes.position[:, i], scenes.asset[:, i], scenes.orientation[:, i]) for i in slots]
        self.values = iter([*camera, *(value for one in objects for value in one)])

    def __call__(self, posterior) -> Tensor:
        return next(self.values)
