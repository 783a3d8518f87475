"""The 2D model: its gradient, its prefixes, and where it starts."""

from itertools import pairwise

import pytest
import torch

from inverse_graphics.distributions.count import truncated_geometric
from inverse_graphics.distributions.sampler import AtMeans, Reparameterised
from inverse_graphics.halting import Thresholded
from inverse_graphics.models.air import attend_infer_repeat
from inverse_graphics.models.air2d import Air2D, Air2DSettings
from inverse_graphics.models.air_objective import AirObjective, AirSchedule
from inverse_graphics.models.elbo import exact_count_elbo

SMALL = Air2DSettings(
    image_size=16, glimpse_size=8, features=12, hidden=10, head=9, what=4, glimpse_hidden=11, max_objects=3
)


def small_model(seed=0, settings=SMALL):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Air2D(settings).double()


def random_images(seed=0, batch=5):
    return torch.rand(batch, 1, 16, 16, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def bound_with_fixed_noise(model, log_odds=-1.0):
    sampler = Reparameterised(torch.Generator().manual_seed(7))
    inference = attend_infer_repeat(model, random_images(), sampler)
    return exact_count_elbo(inference, truncated_geometric(log_odds, 3).double()).elbo.mean()


@pytest.mark.parametrize("seed", range(3))
def test_the_bounds_gradient_equals_finite_differences(seed):
    """Along a random direction in every parameter at once."""
    model = small_model(seed)
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


def test_prefixes_add_up_and_have_the_likelihoods_reported():
    model, images = small_model(), random_images()
    inference = attend_infer_repeat(model, images, AtMeans())
    prefixes = model.prefixes(inference.objects)
    assert len(prefixes) == 4
    assert (prefixes[0] == 0).all()
    for fewer, more in pairwise(prefixes):
        assert (more >= fewer).all()
    direct = [model.likelihood.log_prob(images, prefix) for prefix in prefixes]
    assert torch.allclose(inference.log_likelihood, torch.stack(direct, -1))


def test_it_starts_with_objects_in_the_middle_of_the_priors_size():
    model = small_model(settings=Air2DSettings(presence_bias=3.0))
    images = torch.rand(8, 1, 50, 50, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    inference = attend_infer_repeat(model, images, AtMeans())
    assert (inference.most_probable_count == 3).all()
    where = inference.objects[0].latents.where
    assert torch.allclose(where, torch.tensor([3.0, 0, 0], dtype=torch.float64), atol=0.1)


def halting_logits(model, images):
    state, logits = model.begin(images, AtMeans()).state, []
    for _ in range(model.max_objects):
        step = model.step(state, AtMeans())
        logits.append(step.halt_logit)
        state = step.state
    return torch.stack(logits, -1)


def test_stopping_early_gives_the_same_first_objects():
    """A rule that stops infers what the exhaustive one infers, up to where it stops."""
    model = small_model(settings=SMALL.model_copy(update={"presence_bias": 0.0}))
    images = random_images(batch=40)
    every = attend_infer_repeat(model, images, AtMeans())
    few = attend_infer_repeat(model, images, AtMeans(), halting=Thresholded())
    present = torch.sigmoid(-halting_logits(model, images)) >= 0.5
    assert torch.equal(few.log_count.argmax(-1), present.long().cumprod(-1).sum(-1))
    for step, same in zip(few.objects, every.objects, strict=False):
        assert torch.equal(step.latents.where, same.latents.where)


def test_the_schedule_ends_at_the_bound():
    schedule = AirSchedule(warm_up_steps=10, annealing_steps=20, count_log_odds=-4)
    assert [schedule.trust(step) for step in (0, 5, 10, 99)] == [0, 0.5, 1, 1]
    assert [schedule.log_odds(step) for step in (0, 10, 20, 99)] == [0, -2, -4, -4]
    model = small_model()
    generator = torch.Generator().manual_seed(7)
    loss, watched = AirObjective(model, schedule).loss(random_images(), 99, generator)
    bound = bound_with_fixed_noise(model, log_odds=-4.0)
    assert float(watched["elbo"]) == pytest.approx(bound.item())
    surrogate, expected = (torch.autograd.grad(value, list(model.parameters())) for value in (-loss, bound))
    assert all(torch.allclose(*pair, atol=1e-9) for pair in zip(surrogate, expected, strict=True))
    assert AirSchedule(warm_up_steps=0, annealing_steps=0).trust(0) == 1
