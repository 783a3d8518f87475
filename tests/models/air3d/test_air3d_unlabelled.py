"""The bound on unlabelled images: its schedule, what a batch tells, and its gradient."""

import pytest
import torch
from small_air3d import BEFORE_IT, SINGLE, fresh_model, seeded, table

from inverse_graphics.distributions.sampler import DefensiveMixture, DefensiveSampler
from inverse_graphics.models.air import attend_infer_repeat
from inverse_graphics.models.air3d import posterior as posterior_module
from inverse_graphics.models.air3d.elbo import (
    BoundAscent,
    ElboObjective,
    ElboSettings,
    with_sampled_divergences,
)
from inverse_graphics.models.air3d.log_posterior import log_posterior
from inverse_graphics.models.air3d.objectives import build_objective
from inverse_graphics.models.air3d.proposals import sampled_latents
from inverse_graphics.models.air3d.scene_latents import draw_prefixes, nearest_first
from inverse_graphics.models.air3d.search import Search, search_scenes
from inverse_graphics.models.elbo import exact_count_elbo, warmed_up_objective
from inverse_graphics.observation.gaussian import GaussianModel
from inverse_graphics.observation.observation import Observation, Rendered
from inverse_graphics.rendering.embedded.engine import EmbeddedEngine, EmbeddedSettings

TWO = table(BEFORE_IT, kinds=("glass", "mug"), counts=(1, 1, 1))
FINAL = ElboSettings(warm_up_steps=0, wake=0, overlap_nats_per_m=0)


def test_the_schedule_runs_from_its_first_values_to_the_bound():
    settings = ElboSettings(warm_up_steps=400, first_temperature=16.0)
    steps = (0, 100, 200, 399, 400, 10_000)
    assert [settings.progress(step) for step in steps] == pytest.approx([0, 0.25, 0.5, 399 / 400, 1, 1])
    temperatures = [16, 8, 4, 16 ** (1 / 400), 1, 1]
    assert [settings.temperature(step) for step in steps] == pytest.approx(temperatures)
    at_once = ElboSettings(warm_up_steps=0)
    assert at_once.progress(0) == at_once.temperature(0) == 1


@pytest.mark.parametrize("family", [TWO, table(), SINGLE], ids=["known camera", "free camera", "floating"])
def test_a_batch_is_images_and_nothing_else(family):
    model = fresh_model(family, sigma=0.05)
    objective = build_objective(model, ElboSettings())
    assert isinstance(objective, ElboObjective)
    batch = objective.batch(6, seeded(1))
    assert type(batch) is Observation
    assert batch.rgb.shape == (6, 3, 32, 32)
    assert [name for name, part in vars(batch).items() if part is not None] == ["rgb", "K"]
    assert torch.equal(batch.rgb, objective.batch(6, seeded(1)).rgb)
    clean = ElboObjective(fresh_model(family, sigma=1e-9), ElboSettings()).batch(6, seeded(1)).rgb
    assert float((batch.rgb - clean).std()) == pytest.approx(0.05, rel=0.05)
    assert clean.min() >= -1e-6
    assert clean.max() <= 1 + 1e-6


def gradients(model, batch, settings, step=0):
    """By the parameter's name, zero where there is none."""
    names, parameters = zip(*model.named_parameters(), strict=True)
    loss, _ = ElboObjective(model, settings).loss(batch, step, seeded(3))
    slopes = torch.autograd.grad(loss, parameters, allow_unused=True)
    pairs = zip(names, parameters, slopes, strict=True)
    return {name: torch.zeros_like(p) if slope is None else slope for name, p, slope in pairs}


@pytest.mark.parametrize("family", [table(BEFORE_IT, counts=(0, 1)), SINGLE], ids=["table", "floating"])
def test_kinds_learn_from_the_wake_update_alone(family):
    """The divergence of kinds would push them together, and from those with a turn to those without."""
    model = fresh_model(family)
    batch = ElboObjective(model, ElboSettings()).batch(6, seeded(1))
    kinds = len(model.space.orientation_observable)
    for step in (0, 2):
        without, beside = (
            gradients(model, batch, ElboSettings(warm_up_steps=2, wake=wake), step)["object_head.output.bias"]
            for wake in (0, 1)
        )
        assert (without[:kinds] == 0).all()
        assert (without[kinds:] != 0).any()
        assert (beside[:kinds] != 0).all()


@pytest.mark.parametrize("step", [0, 1, 3, 4], ids=["first", "early", "late", "after"])
def test_without_a_wake_update_the_loss_is_minus_the_warmed_up_objective(step):
    """Of likelihoods at several scales, divided by T, less what overlap costs; all kinds are tried."""
    model = fresh_model(TWO, sigma=0.3)
    settings = ElboSettings(warm_up_steps=4, first_temperature=16.0, levels=3, wake=0, overlap_nats_per_m=50)
    objective = ElboObjective(model, settings)
    images, warm_up_fraction = objective.batch(12, seeded(1)), step / 4
    loss, watched = objective.loss(images, step, seeded(2))

    inference = attend_infer_repeat(
        model, images, DefensiveSampler(seeded(2), DefensiveMixture(kinds=1 - warm_up_fraction))
    )
    bound = exact_count_elbo(inference, model.space.log_count_prior)
    torch.testing.assert_close(watched["elbo"], bound.elbo.mean())
    renders = Rendered.stack(model.prefixes(inference.objects))
    temperature = 16 ** (1 - warm_up_fraction)
    surrogate = GaussianModel(0.3).pyramid(3 if warm_up_fraction < 1 else 1)
    compared = surrogate.log_prob(images[:, None], renders)
    short = model.space.family.overlap(sampled_latents(inference))
    tempered = inference._replace(log_likelihood=compared / temperature - 50 * short)
    expected = -warmed_up_objective(tempered, model.space.log_count_prior, warm_up_fraction).mean()
    torch.testing.assert_close(loss, expected)
    assert short.max() > 0


@pytest.mark.parametrize("step", [0, 3], ids=["first", "after"])
def test_the_wake_update_stands_beside_it_with_its_weight(step):
    model = fresh_model(TWO, sigma=0.3)
    rest = {"warm_up_steps": 2, "first_temperature": 16.0, "samples": 3, "defensive_mixture_weight": 0.4}
    alone, beside = (ElboObjective(model, ElboSettings(wake=wake, **rest)) for wake in (0, 2.5))
    images = alone.batch(6, seeded(1))
    generator = seeded(2)
    without, watched = alone.loss(images, step, generator)
    assert "wake" not in watched
    mixture, temperature = (
        (DefensiveMixture(1.0, 0.4), 16.0) if step == 0 else (DefensiveMixture(0.0, 0.0), 1.0)
    )
    scenes = search_scenes(model, images, Search(3, 1, 0, mixture=mixture), temperature, generator)
    scenes = nearest_first(scenes, model.space)
    prefixes = draw_prefixes(scenes, model.space, model.engine)
    wake = -log_posterior(model, images, scenes, prefixes, tie_m=0.05).total.mean()
    loss, watched = beside.loss(images, step, seeded(2))
    torch.testing.assert_close(loss, without + 2.5 * wake)
    torch.testing.assert_close(watched["wake"], -wake)
    assert watched["temperature"] == temperature


def test_the_bound_may_wait_for_the_end_of_the_warm_up():
    model = fresh_model(TWO, sigma=0.3)
    rest = {"warm_up_steps": 2, "first_temperature": 16.0, "samples": 3}
    later = ElboObjective(model, ElboSettings(bound_in_warm_up=False, **rest))
    images = later.batch(6, seeded(1))
    loss, watched = later.loss(images, 1, seeded(2))
    torch.testing.assert_close(loss, -watched["wake"])
    assert "elbo" not in watched
    assert "elbo" in later.loss(images, 2, seeded(2))[1]


def test_what_was_found_lately_is_remembered():
    """The newest take the places of the oldest; what is recalled was seen, to within a grey level."""
    model = fresh_model(TWO, sigma=0.3)
    settings = ElboSettings(
        warm_up_steps=9, replay_ratio=4, replay_capacity=8, samples=3, bound_in_warm_up=False
    )
    objective = ElboObjective(model, settings)
    replay = objective.replay
    assert replay is not None
    for step in range(4):
        loss, _ = objective.loss(objective.batch(4, seeded(step)), step, seeded(2))
        assert torch.isfinite(loss)
        assert int(replay.seen) == 4 * (step + 1)
    latest = objective.batch(4, seeded(3)).rgb.clamp(-0.5, 1.5)
    recalled, scenes = replay.sample(64, seeded())
    apart = recalled[:, None].residual(Rendered(latest)).abs().amax((2, 3, 4)).amin(1)
    assert 0.2 < float((apart < 2 / 255).float().mean()) < 0.8  # it holds these four and the four before
    assert len(scenes.asset) == 64


@pytest.fixture
def in_double(monkeypatch):
    """The heads compute in float32 whatever they are given; here in float64. And rotations learn as ever."""
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)
    monkeypatch.setattr(posterior_module, "scale_gradient", lambda value, rate: value)


def smooth_model(family, blind):
    """In float64, one component for each turn, and exact slopes of pictures, so that nothing jumps.

    Rotations are surer than a fresh network's, whose width is held at the widest.
    blind: its kinds and orientations do not depend on the image.
    """
    model = fresh_model(family, 3, components=1, sigma=0.3, presence_bias=0.3).double()
    model.engine = EmbeddedEngine(model.space.family.library, EmbeddedSettings(slopes="surface"))
    with torch.no_grad():
        if model.space.floating:
            model.object_head.output.bias[-1:] -= 0.6
        if blind:
            model.object_head.hidden.weight.zero_()
    return model


PARTS = (
    "encoder", "step_encoder", "camera_head", "location_head.vote", "location_head.output", "object_head",
    "glimpse_encoder",
)  # fmt: skip


def slopes_and_differences(family, blind=True, reconstruction_gradient=False, settings=FINAL, bound="elbo"):
    """Of minus the bound, along one direction for each part of the network: two dictionaries."""
    images = ElboObjective(fresh_model(family, sigma=0.3), FINAL).batch(3, seeded(1))
    images = images.map(torch.Tensor.double)
    model = smooth_model(family, blind).train()
    objective = ElboObjective(model, settings)
    objective.ascent = BoundAscent(model, settings, reconstruction_gradient)
    objective.loss(images, 0, seeded(2))[0].backward()
    slopes, differences = {}, {}
    for part in PARTS:
        own = [p for name, p in model.named_parameters() if name.startswith(part) and p.grad is not None]
        along = [torch.randn(p.shape, generator=seeded(5), dtype=p.dtype) for p in own]
        bounds = []
        for step in (1e-8, -2e-8, 1e-8):  # normalised maps bend within a few millionths
            with torch.no_grad():
                for parameter, direction in zip(own, along, strict=True):
                    parameter.add_(step * direction)
            bounds.append(float(objective.loss(images, 0, seeded(2))[1][bound]))
        if own:
            slopes[part] = float(sum((p.grad * d).sum() for p, d in zip(own, along, strict=True)))
            differences[part] = (bounds[1] - bounds[0]) / 2e-8
    return slopes, differences


ONE = {
    "known camera": table(BEFORE_IT, kinds=("mug",), counts=(1, 1)),
    "floating": SINGLE | {"kinds": ("primitives/cube",)},
}


def test_of_one_object_slopes_are_those_of_the_bound(in_double):
    """Wherever the glimpse is not moved: through the renderer, the divergences and the count."""
    for family in ONE.values():
        slopes, differences = slopes_and_differences(family)
        assert slopes == pytest.approx(differences, rel=1e-5, abs=1e-6)
        assert all(slope != 0 for part, slope in slopes.items() if part != "glimpse_encoder")


def test_of_what_a_glimpse_shows_slopes_are_those_of_the_bound(in_double):
    """And of the rest they are not: no slope says that the glimpse could be taken elsewhere."""
    slopes, differences = slopes_and_differences(ONE["known camera"], blind=False)
    for part in ("glimpse_encoder", "object_head", "location_head.output"):
        assert slopes[part] == pytest.approx(differences[part], rel=1e-5)
        assert slopes[part] != 0
    assert slopes["location_head.vote"] != pytest.approx(differences["location_head.vote"], rel=1e-3)


@pytest.mark.parametrize(
    "family",
    [table(BEFORE_IT, kinds=("mug",), counts=(1, 1, 1)), table(kinds=("mug",), counts=(1, 1))],
    ids=["two objects", "free camera"],
)
def test_through_the_canvas_no_slope_passes_unless_it_is_let(in_double, family):
    """What is drawn of a camera and of objects tells later steps something: of that, nothing is taught."""
    slopes, differences = slopes_and_differences(family, reconstruction_gradient=True)
    assert slopes == pytest.approx(differences, rel=1e-4)
    slopes, differences = slopes_and_differences(family)
    assert slopes["encoder"] != pytest.approx(differences["encoder"], rel=1e-3)


SEVERAL = FINAL.model_copy(update={"bound_samples": 3})


@pytest.mark.parametrize("family", [*ONE.values(), table(kinds=("mug",), counts=(1, 1))], ids=[*ONE, "free"])
def test_slopes_are_those_of_the_bound_of_several_samples(in_double, family):
    slopes, differences = slopes_and_differences(
        family, reconstruction_gradient=True, settings=SEVERAL, bound="multi_sample_bound"
    )
    assert slopes == pytest.approx(differences, rel=1e-4, abs=1e-6)
    of_one, _ = slopes_and_differences(family, reconstruction_gradient=True)
    assert slopes != pytest.approx(of_one, rel=1e-2)


def test_more_samples_are_a_tighter_bound():
    model = fresh_model(TWO, sigma=0.3)
    images = ElboObjective(model, FINAL).batch(64, seeded(1))
    bounds: list[float] = []
    for samples in (2, 8, 32):
        settings = FINAL.model_copy(update={"bound_samples": samples})
        with torch.no_grad():
            watched = ElboObjective(model, settings).loss(images, 0, seeded(2))[1]
        bounds += [float(watched["elbo"])] if not bounds else []
        bounds.append(float(watched["multi_sample_bound"]))
    assert bounds == sorted(bounds)


@pytest.mark.parametrize("family", [TWO, table(), SINGLE], ids=["known camera", "free camera", "floating"])
def test_divergences_at_draws_are_the_divergences_in_the_mean(family):
    model = fresh_model(family, sigma=0.3)
    images = ElboObjective(model, FINAL).batch(2, seeded(1)).repeat(3000)
    with torch.no_grad():
        inference = attend_infer_repeat(model, images, DefensiveSampler(seeded(2), DefensiveMixture()))
        drawn = with_sampled_divergences(inference, model)

    def mean_and_error(of_draws, exact):
        apart = (of_draws - exact).reshape(3000, 2, -1)
        return apart.mean(0), apart.std(0) / 3000**0.5

    for parts in ((drawn.kl, inference.kl), (drawn.kl_shared, inference.kl_shared)):
        mean, error = mean_and_error(*parts)
        assert (mean.abs() <= 5 * error + 1e-5).all()
    assert (drawn.kl - inference.kl).abs().max() > 0.1
