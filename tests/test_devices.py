"""Devices: what a name means, and that nothing stays on the CPU when a network is on another device.

Tensors of `FakeTensorMode` have a device and a shape but no values, so they stand for a GPU where there is
none: an operation that mixes devices raises. What depends on values, such as the engines, is not covered, nor
are gradients.
"""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode, unset_fake_temporarily

from inverse_graphics.cli.main import main
from inverse_graphics.devices import available_devices, resolve_device
from inverse_graphics.distributions.draws import (
    draw_categories,
    draw_integers,
    draw_normal,
    draw_uniform,
)
from inverse_graphics.distributions.sampler import Reparameterised
from inverse_graphics.errors import DeviceError
from inverse_graphics.families.registry import load_family
from inverse_graphics.models.air import attend_infer_repeat
from inverse_graphics.models.air3d import log_posterior
from inverse_graphics.models.air3d.network import Air3D
from inverse_graphics.models.air3d.proposals import propose
from inverse_graphics.models.air3d.scene_latents import draw_from_prior, visible_orientations
from inverse_graphics.observation.gaussian import GaussianModel
from inverse_graphics.observation.observation import Observation, Rendered
from inverse_graphics.observation.student_t import StudentTModel
from inverse_graphics.optimisation.exchanges import draw_starts, exchanged
from inverse_graphics.optimisation.search import SceneSearch
from inverse_graphics.rendering.engine import Layers
from inverse_graphics.scene.tensor_batch import TensorBatch
from inverse_graphics.training.recipe import load_recipe
from inverse_graphics.training.task import build_task

ELSEWHERE = "meta"
"""Stands for a GPU: without CUDA in PyTorch, fake tensors cannot be indexed on "cuda"."""

COMMANDS = (
    "train multi_mnist --run-dir {out}",
    "infer {image}",
    "evaluate multi_mnist",
    "optimise {image}",
    "optimise {image} --family single_object",
    "data make single_object --images 1 --out {out}",
    "benchmark infer",
)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("device", ["cuda", "nonsense"])
def test_a_device_that_is_not_there_is_one_line(
    command: str, device: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if device == "cuda" and torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    image, out = tmp_path / "image.png", tmp_path / "out"
    Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(image)
    status = main([*command.format(image=image, out=out).split(), "--device", device])
    streams = capsys.readouterr()
    assert status == 1
    assert streams.out == ""
    assert len(streams.err.splitlines()) == 1
    assert f"no device '{device}': this machine has cpu" in streams.err
    assert not out.exists()


def test_a_name_means_a_device_that_is_there() -> None:
    assert available_devices()[0] == "cpu"
    assert resolve_device("cpu") == resolve_device(torch.device("cpu")) == torch.device("cpu")
    for name in ("cuda:99", "meta", "", "cpu:7", torch.device("meta")):
        with pytest.raises(DeviceError, match="this machine has cpu"):
            resolve_device(name)


def test_kinds_of_images_take_no_device(tmp_path: Path) -> None:
    command = f"data make multi_mnist --images 1 --out {tmp_path / 'out'} --device cuda"
    assert main(command.split()) == 2


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeTensorMode]:
    monkeypatch.setattr(FakeTensor, "__bool__", lambda _: True, raising=False)  # loops run to their end
    monkeypatch.setattr(Air3D, "_autocast", lambda *_: nullcontext())  # which "meta" does not have
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        yield mode


def elsewhere(value: Any, fake: FakeTensorMode) -> Any:
    """The same shapes on a fake GPU, for tensors, batches of them, and modules (in place)."""
    if isinstance(value, Tensor):
        return fake.from_tensor(value.detach().clone()).to(ELSEWHERE)
    if isinstance(value, TensorBatch):
        return value.map(lambda part: elsewhere(part, fake))
    assert isinstance(value, nn.Module)
    for module in value.modules():
        for name, parameter in module._parameters.items():
            if parameter is not None:
                moved = nn.Parameter(elsewhere(parameter, fake), requires_grad=False)
                module._parameters[name] = moved
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = elsewhere(buffer, fake)
    return value


class FlatEngine:
    """Draws nothing, where its objects are: its layers depend on no values."""

    name, differentiable = "flat", True

    def layers(self, objects: Any, camera: Any, light: Any) -> Layers:
        shape = (*objects.asset.shape, camera.height, camera.width)
        zeros = objects.position.new_zeros(shape)
        rgb = zeros[:, :, None].expand(*shape[:2], 3, *shape[2:])
        return Layers(rgb, zeros + torch.inf, zeros)


def test_the_harness_notices_a_tensor_left_behind(fake: FakeTensorMode) -> None:
    there = elsewhere(torch.zeros(2), fake)
    assert there.device.type == ELSEWHERE
    with pytest.raises(Exception, match="same device"):
        there + torch.zeros(2)
    with pytest.raises(Exception, match="same device"):
        elsewhere(nn.Linear(2, 2), fake)(torch.zeros(1, 2))


def test_numbers_are_drawn_by_the_generator_and_moved(fake: FakeTensorMode) -> None:
    like, generator = elsewhere(torch.zeros(3, 4), fake), torch.Generator()
    for drawn in (
        draw_normal((2,), generator, like),
        draw_uniform((2,), generator, like),
        draw_integers(5, (2,), generator, like),
        draw_categories(like + 1, 2, generator),
    ):
        assert drawn.device == like.device


def test_draws_are_those_of_torch() -> None:
    like, weights = torch.zeros(3, 4), torch.tensor([[1.0, 2.0, 3.0]])
    pairs: list[tuple[Callable[[torch.Generator], Tensor], Callable[[torch.Generator], Tensor]]] = [
        (lambda g: draw_normal((2, 3), g, like), lambda g: torch.randn(2, 3, generator=g)),
        (lambda g: draw_uniform((2, 3), g, like), lambda g: torch.rand(2, 3, generator=g)),
        (lambda g: draw_integers(7, (9,), g, like), lambda g: torch.randint(7, (9,), generator=g)),
        (lambda g: draw_categories(weights, 1, g), lambda g: torch.multinomial(weights, 1, generator=g)),
    ]
    for ours, torchs in pairs:
        assert torch.equal(*(draw(torch.Generator().manual_seed(3)) for draw in (ours, torchs)))


OBJECTIVES = ("exact", "score_function")


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_2d_loss_stays_on_one_device(objective: str, fake: FakeTensorMode) -> None:
    recipe, more = "multi_mnist", ["data.digits=shipped", "batch_size=4", "evaluation.size=4"]
    with unset_fake_temporarily():
        task = build_task(load_recipe(recipe, [*more, f"objective={{kind: {objective}}}"]))
        batch = task.batch(0)
    elsewhere(task.trainable.module, fake)
    with torch.no_grad():
        loss, watched = task.trainable.loss(elsewhere(batch, fake), 0, torch.Generator())
    assert loss.device.type == ELSEWHERE
    assert all(part.device.type == ELSEWHERE for part in watched.values() if isinstance(part, Tensor))


@pytest.fixture(scope="module", params=["table_top", "single_object"])
def scenes_task(request: pytest.FixtureRequest) -> tuple[Any, Any]:
    """The sleep phase of a family on the CPU, and a batch of two scenes."""
    settings = ["batch_size=2", "evaluation.size=2", "model.precision=float32", "objective={kind: sleep}"]
    task = build_task(load_recipe(request.param, settings))
    batch = task.batch(0)
    task.trainable.loss(batch, 0, torch.Generator())  # so that what is computed once has values
    return task.trainable, batch


@pytest.fixture
def on_another_device(scenes_task: tuple[Any, Any], fake: FakeTensorMode) -> tuple[Any, Any]:
    """The same on a fake GPU, drawn by an engine that depends on no values."""
    trainable, batch = scenes_task
    with unset_fake_temporarily():
        network = trainable.module
        family, engine = network.space.family, network.engine
        copied = deepcopy(trainable, {id(family): family, id(engine): engine})
    elsewhere(copied.module, fake)
    copied.module.engine = FlatEngine()
    return copied, elsewhere(batch, fake)


def every_step(counts: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """All steps of all images, for `_steps_taken`, whose number depends on values."""
    step = torch.arange(most, device=counts.device).repeat(len(counts))
    return torch.arange(len(counts), device=counts.device).repeat_interleave(most), step


def test_the_sleep_loss_stays_on_one_device(
    on_another_device: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    trainable, batch = on_another_device
    monkeypatch.setattr(log_posterior, "_steps_taken", every_step)
    with torch.no_grad():
        loss, watched = trainable.loss(batch, 0, torch.Generator())
    assert loss.device.type == ELSEWHERE
    assert all(part.device.type == ELSEWHERE for part in watched.values())


def test_inference_and_proposals_stay_on_one_device(on_another_device: tuple[Any, Any]) -> None:
    trainable, batch = on_another_device
    sampler = Reparameterised(torch.Generator())
    with torch.no_grad():
        inference = attend_infer_repeat(trainable.module, batch.observation, sampler)
        proposals = propose(trainable.module, batch.observation, 2, torch.Generator())
    assert inference.log_likelihood.device.type == ELSEWHERE
    assert proposals.log_weights().device.type == ELSEWHERE
    assert {part.device.type for part in vars(proposals.scenes).values()} == {ELSEWHERE}


def test_scene_space_and_family_follow_their_inputs(on_another_device: tuple[Any, Any]) -> None:
    trainable, batch = on_another_device
    space = trainable.module.space
    assert space.family.log_prob(batch.scenes).device.type == ELSEWHERE
    assert space.family.overlap(batch.scenes).device.type == ELSEWHERE
    scene = space.scene(visible_orientations(batch.scenes, space))
    assert {part.device.type for part in vars(scene.objects).values()} == {ELSEWHERE}
    assert scene.camera.T_world_camera.device.type == scene.light.direction.device.type == ELSEWHERE
    assert scene.table.size.device.type == scene.background.device.type == ELSEWHERE


def test_scenes_of_the_prior_go_where_the_space_is(
    on_another_device: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    trainable, _ = on_another_device
    space = trainable.module.space
    with unset_fake_temporarily():
        sample = space.family.sample(2, torch.Generator())  # its rejection depends on values
    monkeypatch.setattr(type(space.family), "sample", lambda *_: sample)
    latents, render = draw_from_prior(space, FlatEngine(), 2, torch.Generator())
    assert {part.device.type for part in vars(latents).values()} == {ELSEWHERE}
    assert render.rgb.device.type == ELSEWHERE


def test_searches_stay_on_one_device(
    on_another_device: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    trainable, batch = on_another_device
    space, generator = trainable.module.space, torch.Generator()
    search = SceneSearch(space, FlatEngine(), trainable.module.observation_model)
    judgement = search._criteria(batch.observation, 2)
    with unset_fake_temporarily():
        sample = space.family.sample(2, generator)
    monkeypatch.setattr(type(space.family), "sample", lambda *_: sample)
    starts = draw_starts(space.K.expand(2, 3, 3), space, judgement.score, 2, generator)
    found = exchanged(starts, space, judgement, 1, 2, generator)
    assert {part.device.type for part in vars(found).values()} == {ELSEWHERE}


@pytest.mark.parametrize("model", [GaussianModel(0.1), StudentTModel(0.1, 3.0)])
def test_observation_models_follow_their_inputs(model: Any, fake: FakeTensorMode) -> None:
    render = Rendered(elsewhere(torch.rand(2, 3, 16, 16), fake))
    observation = model.sample(render, torch.Generator())
    assert isinstance(observation, Observation)
    assert observation.rgb.device.type == ELSEWHERE
    assert model.log_prob(observation, render).device.type == ELSEWHERE
    assert model.pyramid(2).log_prob(observation, render).device.type == ELSEWHERE


@pytest.mark.parametrize("name", ["table_top", "single_object"])
def test_a_family_draws_the_same_scenes_for_every_device(name: str) -> None:
    family = load_family(name)
    one, other = (family.sample(4, torch.Generator().manual_seed(5)).latents for _ in range(2))
    assert {part.device.type for part in vars(one).values()} == {"cpu"}
    assert all(torch.equal(*parts) for parts in zip(vars(one).values(), vars(other).values(), strict=True))
