"""What keeps training from running away when scenes hold many objects."""

from pathlib import Path

import pytest
import torch
from small_air3d import clean, drawn, fresh_model, seeded, table

from inverse_graphics.distributions.normal import TruncatedNormal
from inverse_graphics.distributions.sampler import DefensiveMixture, log_prob_mixture
from inverse_graphics.models.air3d.features import CellNorm
from inverse_graphics.models.air3d.inference import read_scenes
from inverse_graphics.models.air3d.log_posterior import log_posterior
from inverse_graphics.models.air3d.network import Air3D
from inverse_graphics.models.air3d.wake_sleep import SleepObjective, SleepSettings
from inverse_graphics.models.weights import ModelDocument, load_model, save_model

SIX = table(kinds=("glass", "mug"), counts=(1,) * 7, reach_m=(0.4, 0.3))


def maps_of(model, louder: float):
    """The first step's maps of a few images, the features before their norms `louder` times as large."""
    observation = clean(model, drawn(model.space, 4))
    with torch.no_grad():
        for module in (model.encoder, model.step_encoder):
            for name, parameter in module.named_parameters():
                if name.startswith(("lateral", "top", "fuse", "widen")):
                    parameter.mul_(louder)
        maps = model.features(observation)
        height, width = maps.fine.shape[-2:]
        residual = torch.zeros(4, model.channels.residual_channels, 2 * height, 2 * width)
        return model.step_encoder(maps.fine, residual)


def test_a_cells_features_have_one_size_whatever_they_had() -> None:
    norm, maps = CellNorm(6), torch.randn(3, 6, 4, 5, generator=seeded())
    normed = norm(maps)
    torch.testing.assert_close(normed.square().mean(1), torch.ones(3, 4, 5), rtol=1e-2, atol=0)
    torch.testing.assert_close(norm(1000 * maps), normed, rtol=1e-2, atol=1e-3)
    assert norm(maps.bfloat16()).dtype == torch.float32


def test_an_empty_cell_stays_empty_with_a_finite_gradient() -> None:
    maps = torch.zeros(1, 6, 2, 2, requires_grad=True)
    normed = CellNorm(6)(maps)
    assert torch.equal(normed, torch.zeros(1, 6, 2, 2))
    normed.sum().backward()
    assert maps.grad is not None
    assert maps.grad.isfinite().all()


def test_weights_that_grow_do_not_make_the_maps_grow() -> None:
    for louder in (1.0, 10.0):
        maps = maps_of(fresh_model(SIX), louder)
        assert maps.fine.square().mean(1).max() < 1.001
        assert maps.coarse.square().mean(1).max() < 1.001
    plain, loud = (maps_of(fresh_model(SIX, normalise_maps=False), louder) for louder in (1.0, 10.0))
    assert loud.fine.abs().mean() > 10 * plain.fine.abs().mean()


def test_weights_of_before_the_setting_are_read_without_norms(tmp_path: Path) -> None:
    model = fresh_model(SIX, normalise_maps=False)
    settings = model.settings.model_dump(mode="json")
    del settings["normalise_maps"]
    save_model(tmp_path / "before", model, ModelDocument(kind="air3d", settings=settings), "")
    loaded = load_model(tmp_path / "before").module
    assert isinstance(loaded, Air3D)
    observation = clean(model, drawn(model.space, 3))
    one, other = read_scenes(model, observation), read_scenes(loaded, observation)
    assert torch.equal(one.count_probabilities, other.count_probabilities)
    assert torch.equal(one.scenes.position, other.scenes.position)

    normed = fresh_model(SIX)
    settings = normed.settings.model_dump(mode="json")
    save_model(tmp_path / "now", normed, ModelDocument(kind="air3d", settings=settings), "")
    assert load_model(tmp_path / "now").module.state_dict().keys() == normed.state_dict().keys()
    assert normed.settings.normalise_maps


@pytest.mark.parametrize("name", ["table_top", "single_object"])
def test_shipped_weights_have_none(name: str) -> None:
    network = load_model(name).module
    assert isinstance(network, Air3D)
    assert not network.settings.normalise_maps


def slope(distance: float, weight: float) -> float:
    """Of the log density of a place so many deviations off, by the posterior's mean, per deviation."""
    mean = torch.zeros(1, 2, requires_grad=True)
    bound = torch.tensor([0.4, 0.3])
    posterior = TruncatedNormal(mean, torch.full((1, 2), 0.005), -bound, bound)
    value = torch.tensor([[0.005 * distance, 0.0]])
    log_prob_mixture(posterior, value, DefensiveMixture(rest=weight)).sum().backward()
    assert mean.grad is not None
    return 0.005 * float(mean.grad[0, 0])


def test_an_object_taken_for_another_hardly_moves_the_mean() -> None:
    weight = SleepSettings().uniform_mixture_weight
    assert slope(1, weight) == pytest.approx(1, rel=0.01)
    assert slope(40, weight) < 1e-3
    assert max(slope(distance, weight) for distance in range(1, 60)) < 6
    assert slope(40, 0.0) == pytest.approx(40)  # the normal alone


@pytest.mark.parametrize("weight", [0.0, 0.02])
def test_the_sleep_phase_trains_the_mixture(weight: float) -> None:
    model = fresh_model(SIX)
    objective = SleepObjective(model, SleepSettings(uniform_mixture_weight=weight, tie_m=0.1))
    batch = objective.batch(3, seeded())
    loss, _ = objective.loss(batch, 0, seeded())
    expected = log_posterior(
        model,
        batch.observation,
        batch.scenes,
        batch.prefixes,
        batch.seen_orbit,
        0.1,
        DefensiveMixture(rest=weight),
    )
    assert torch.equal(loss, -expected.total.mean())
