"""The 2D model: its gradient, its prefixes, and where it starts."""

from itertools import pairwise

import pytest
import torch

from inverse_graphics.distributions.discrete import truncated_geometric
from inverse_graphics.distributions.normal import Gaussian
from inverse_graphics.distributions.sampler import PointEstimate, Reparameterised
from inverse_graphics.halting import Thresholded
from inverse_graphics.models.air import attend_infer_repeat
from inverse_graphics.models.air2d.attention import read_window
from inverse_graphics.models.air2d.network import Air2D, Air2DSettings
from inverse_graphics.models.air2d.vae import BackgroundSettings
from inverse_graphics.models.elbo import exact_count_elbo
from inverse_graphics.models.estimators.estimator import AirObjective, AirSchedule
from inverse_graphics.models.estimators.exact import ExactCount
from inverse_graphics.observation.observation import Observation, Rendered

SMALL = Air2DSettings(
    image_size=16, glimpse_size=8, features=12, hidden=10, head=9, what=4, glimpse_hidden=11, max_objects=3
)


def small_model(seed=0, settings=SMALL):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Air2D(settings).double()


def random_images(seed=0, batch=5):
    return torch.rand(batch, 1, 16, 16, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def with_every_weight_of_some_size(model):
    """Layers that begin at zero, too."""
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(5)
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.01)
    return model


def bound_with_fixed_noise(model, log_odds=-1.0):
    sampler = Reparameterised(torch.Generator().manual_seed(7))
    inference = attend_infer_repeat(model, random_images(), sampler)
    return exact_count_elbo(inference, truncated_geometric(log_odds, 3).double()).elbo.mean()


VARIANTS: dict[str, dict[str, object]] = {
    "air": {},
    "dair": {"sees": "difference"},
    "dair without memory": {"sees": "difference", "memory": "none"},
    "both": {"sees": "both", "drawing": "covering"},
    "map": {"sees": "image", "aim": "map", "map_channels": 5},
    "map of both": {"sees": "both", "aim": "map", "map_channels": 5},
    "salience": {"sees": "both", "aim": "map", "map_channels": 5, "salience": 1.0},
    "corrected": {"sees": "difference", "corrections": 2},
    "background": {
        "sees": "both",
        "drawing": "covering",
        "background": BackgroundSettings(latents=2, hidden=5),
    },
}


@pytest.fixture(params=list(VARIANTS.values()), ids=list(VARIANTS))
def variant(request):
    return SMALL.model_copy(update=request.param)


@pytest.mark.parametrize("seed", range(2))
def test_the_bounds_gradient_equals_finite_differences(seed, variant):
    """Along a random direction in every parameter at once."""
    model = with_every_weight_of_some_size(small_model(seed, variant))
    parameters = list(model.parameters())
    generator = torch.Generator().manual_seed(seed + 10)
    direction = [torch.randn(p.shape, generator=generator, dtype=p.dtype) for p in parameters]
    gradient = torch.autograd.grad(bound_with_fixed_noise(model), parameters)
    expected = torch.stack([(g * d).sum() for g, d in zip(gradient, direction, strict=True)]).sum()
    step, ends = 1e-7, []
    for sign in (1, -1):
        with torch.no_grad():
            torch._foreach_add_(parameters, direction, alpha=sign * step)
            ends.append(bound_with_fixed_noise(model))
            torch._foreach_add_(parameters, direction, alpha=-sign * step)
    assert (ends[0] - ends[1]).item() / (2 * step) == pytest.approx(expected.item(), rel=1e-5)


def test_prefixes_grow_and_have_the_likelihoods_reported(variant):
    model, images = small_model(settings=variant), random_images()
    inference = attend_infer_repeat(model, images, PointEstimate())
    prefixes = model.prefixes(inference.objects)
    assert len(prefixes) == 4
    assert (prefixes[0] == 0).all() == (variant.background is None)
    for fewer, more in pairwise(prefixes):
        assert (more >= fewer).all()
    if variant.drawing == "covering":
        assert prefixes[-1].max() <= 1
    direct = [model.observation_model.log_prob(Observation(images), Rendered(prefix)) for prefix in prefixes]
    assert torch.allclose(inference.log_likelihood, torch.stack(direct, -1))


def test_it_starts_with_objects_in_the_middle_of_the_priors_size():
    model = small_model(settings=Air2DSettings(presence_bias=3.0))
    images = torch.rand(8, 1, 50, 50, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    inference = attend_infer_repeat(model, images, PointEstimate())
    assert (inference.most_probable_count == 3).all()
    where = inference.objects[0].latents.where
    assert torch.allclose(where, torch.tensor([3.0, 0, 0], dtype=torch.float64), atol=0.1)


def drawn_in_order(model, objects):
    """The reconstruction of some objects, composited in order."""
    reconstruction = torch.zeros(5, 16, 16, dtype=torch.float64)
    for step in objects:
        reconstruction = model._draw(reconstruction, step.latents.glimpse, step.latents.where)
    return reconstruction


@pytest.mark.parametrize("drawing", ["adding", "covering"])
def test_white_paint_covers_alike_in_any_order(drawing):
    model = small_model(settings=SMALL.model_copy(update={"drawing": drawing}))
    objects = attend_infer_repeat(model, random_images(), PointEstimate()).objects
    assert torch.allclose(drawn_in_order(model, objects), drawn_in_order(model, objects[::-1]))


def second_step(model, images, reconstruction):
    """What the model infers in a step from a state with this `reconstruction` (B, H, W)."""
    state = model.begin(images, PointEstimate()).state
    step = model.step(state, PointEstimate())
    return model.step(step.state._replace(reconstruction=reconstruction), PointEstimate())


def test_difference_air_without_memory_sees_nothing_but_the_difference():
    """The same shift of image and reconstruction changes nothing; for plain AIR only the image counts."""
    images, shift = random_images(), random_images(seed=1)
    reconstruction = random_images(seed=2)[:, 0]
    dair = small_model(settings=SMALL.model_copy(update=VARIANTS["dair without memory"]))
    one, other = (
        second_step(dair, images, reconstruction),
        second_step(dair, images + shift, reconstruction + shift[:, 0]),
    )
    assert torch.allclose(one.halt_logit, other.halt_logit)
    assert torch.allclose(one.output.latents.where, other.output.latents.where)
    assert not torch.allclose(one.halt_logit, second_step(dair, images, reconstruction + 0.5).halt_logit)
    air = small_model()
    assert torch.equal(
        second_step(air, images, reconstruction).halt_logit,
        second_step(air, images, reconstruction + 0.5).halt_logit,
    )


def test_the_backgrounds_divergence_is_part_of_the_bound():
    model = small_model(settings=SMALL.model_copy(update=VARIANTS["background"]))
    images = random_images()
    inference = attend_infer_repeat(model, images, PointEstimate())
    posterior = model.background.posterior(images[:, 0])
    unit = Gaussian(torch.zeros_like(posterior.mean), torch.ones_like(posterior.std))
    assert torch.allclose(inference.kl_shared, posterior.kl_to(unit))
    assert (inference.kl_shared > 0).all()


def test_log_ratios_average_to_the_divergences(variant):
    """Over many draws, log q − log p is KL(q ‖ p), for each step given the ones before."""
    model = small_model(settings=variant)
    images = random_images(batch=1).expand(20_000, -1, -1, -1)
    with torch.no_grad():
        inference = attend_infer_repeat(model, images, Reparameterised(torch.Generator().manual_seed(0)))
        for step, kl in zip(inference.objects, inference.kl.T, strict=True):
            difference = model.log_ratio(step) - kl
            assert abs(float(difference.mean())) < 5 * float(difference.std()) / 20_000**0.5
        shared = model.log_ratio_shared(inference.shared) - inference.kl_shared
    assert abs(float(shared.mean())) <= 5 * float(shared.std()) / 20_000**0.5


def test_stopping_early_gives_the_same_first_objects(halting_logits):
    """A rule that stops infers what the exhaustive one infers, up to where it stops."""
    model = small_model(settings=SMALL.model_copy(update={"presence_bias": 0.0}))
    images = random_images(batch=40)
    every = attend_infer_repeat(model, images, PointEstimate())
    few = attend_infer_repeat(model, images, PointEstimate(), halting=Thresholded())
    present = torch.sigmoid(-halting_logits(model, images)) >= 0.5
    assert torch.equal(few.log_count.argmax(-1), present.long().cumprod(-1).sum(-1))
    for step, same in zip(few.objects, every.objects, strict=False):
        assert torch.equal(step.latents.where, same.latents.where)


def test_the_schedule_ends_at_the_bound():
    schedule = AirSchedule(warm_up_steps=10, annealing_steps=20, count_log_odds=-4)
    assert [schedule.warm_up_fraction(step) for step in (0, 5, 10, 99)] == [0, 0.5, 1, 1]
    assert [schedule.log_odds(step) for step in (0, 10, 20, 99)] == [0, -2, -4, -4]
    model = small_model()
    generator = torch.Generator().manual_seed(7)
    loss, watched = AirObjective(ExactCount(model), schedule, 3).loss(random_images(), 99, generator)
    bound = bound_with_fixed_noise(model, log_odds=-4.0)
    assert float(watched["elbo"]) == pytest.approx(bound.item())
    surrogate, expected = (torch.autograd.grad(value, list(model.parameters())) for value in (-loss, bound))
    assert all(torch.allclose(*pair, atol=1e-9) for pair in zip(surrogate, expected, strict=True))
    assert AirSchedule(warm_up_steps=0, annealing_steps=0).warm_up_fraction(0) == 1


def test_a_window_is_moved_by_what_is_seen_in_it_and_seen_again_where_it_was_moved_to():
    model = small_model(settings=SMALL.model_copy(update={"corrections": 2}))
    images, seen = random_images(), []
    first = attend_infer_repeat(model, images, PointEstimate()).objects[0].latents
    without = small_model(settings=SMALL)
    without.load_state_dict(model.state_dict(), strict=False)
    expected = attend_infer_repeat(without, images, PointEstimate()).objects[0].latents
    assert torch.equal(first.q_where.mean, expected.q_where.mean), "corrections begin at none"

    def right_and_surer(glimpses):
        seen.append(glimpses)
        return torch.tensor([0, 0.1, 0, 0, -1, 0], dtype=torch.float64).expand(len(glimpses), -1)

    model.window_correction.forward = right_and_surer
    moved = attend_infer_repeat(model, images, PointEstimate()).objects[0].latents
    right = torch.tensor([0, 0.1, 0], dtype=torch.float64)
    assert torch.allclose(moved.q_where.mean, first.q_where.mean + 2 * right)
    assert (moved.q_where.std[:, 1] < first.q_where.std[:, 1]).all()
    assert torch.equal(moved.q_where.std[:, 0], first.q_where.std[:, 0])
    for looks in range(2):
        window = first.q_where.mean + looks * right
        assert torch.allclose(seen[looks], read_window(images[:, 0], window, SMALL.glimpse_size))


def test_what_the_map_says_of_the_place_shows_whether_there_is_an_object():
    model = small_model(settings=SMALL.model_copy(update=VARIANTS["map"]))
    state = model.begin(random_images(), PointEstimate()).state
    before = model.predict_presence(state)
    with torch.no_grad():
        model.location_presence.weight.add_(1.0)
    after = model.predict_presence(state)
    assert torch.allclose(before.halt_logit - after.halt_logit, before.place.features.sum(-1))
    assert before.place.features.sum(-1).std() > 0


@pytest.mark.parametrize("sees", ["image", "difference", "both"])
def test_with_salience_an_untrained_network_looks_where_something_is(sees):
    settings = {"sees": sees, "aim": "map", "map_channels": 5, "salience": 10.0}
    model = small_model(settings=SMALL.model_copy(update=settings))
    images = torch.zeros(2, 1, 16, 16, dtype=torch.float64)
    images[0, 0, 2:6, 2:6] = 1
    images[1, 0, 10:14, 6:10] = 1
    place = model.predict_presence(model.begin(images, PointEstimate()).state).place
    expected = torch.tensor([[-0.5, -0.5], [0.0, 0.5]], dtype=torch.float64)
    assert torch.allclose(place.centre, expected, atol=0.26)


def test_salience_without_a_map_is_refused():
    with pytest.raises(ValueError, match="got salience 1 without a map: set aim: map"):
        Air2DSettings(salience=1.0)
