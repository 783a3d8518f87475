"""Every kind tried where an object was drawn: against slow drawing, and against enumeration."""

import pytest
import torch
from small_air3d import BEFORE_IT, SINGLE, fresh_model, loud_model, seeded, table

from inverse_graphics.distributions.sampler import Reparameterised
from inverse_graphics.models.air import attend_infer_repeat
from inverse_graphics.models.air3d.elbo import ElboObjective, ElboSettings
from inverse_graphics.models.air3d.identity import class_scores, expected_over_kinds
from inverse_graphics.models.air3d.objectives import build_objective
from inverse_graphics.models.air3d.proposals import sampled_latents
from inverse_graphics.models.air3d.scene_latents import draw_prefixes

TWO = table(BEFORE_IT, counts=(1, 1, 1))
FAMILIES = {"floating": SINGLE, "two objects": TWO, "free camera": table(counts=(1, 1))}


@pytest.fixture(params=list(FAMILIES.values()), ids=list(FAMILIES))
def model(request):
    return loud_model(request.param, sigma=0.3)


def inferred(model, count=5):
    images = build_objective(model, ElboSettings()).batch(count, seeded(1))
    return images, attend_infer_repeat(model, images, Reparameterised(seeded(2)))


def scored(model, images):
    return lambda renders, _: model.observation_model.log_prob(images[:, None], renders)


def test_the_worth_of_each_kind_is_that_of_a_scene_drawn_anew(model):
    images, inference = inferred(model)
    score = scored(model, images)
    worth = class_scores(model, inference, score)
    scenes = sampled_latents(inference)
    slots, kinds = model.max_objects, len(model.space.orientation_observable)
    assert worth.shape == (5, slots, kinds, slots + 1)
    for slot in range(slots):
        for kind in range(kinds):
            asset = scenes.asset.clone()
            asset[:, slot] = kind
            other = scenes.replace(asset=asset)
            with torch.no_grad():
                expected = score(draw_prefixes(other, model.space, model.engine).renders, other)
            torch.testing.assert_close(worth[:, slot, kind], expected, rtol=1e-4, atol=1e-2)
    own = worth.gather(2, scenes.asset[:, :, None, None].expand(-1, -1, 1, slots + 1))[:, :, 0]
    torch.testing.assert_close(own, inference.log_likelihood[:, None].expand_as(own), rtol=1e-4, atol=1e-2)


def expectation(model, inference, worth, log_belief, slot, weights):
    """The weighted bound's part that depends on the last object's kind, by enumeration of it."""
    latents = inference.objects[slot].latents
    total = torch.zeros(len(log_belief))
    for kind in range(len(model.space.orientation_observable)):
        asset = torch.full_like(latents.asset, kind)
        turned = (
            latents.posterior.visible_orientation(asset, model.space)
            .kl_to_uniform(latents.orientation)
            .detach()
        )
        spent = (
            model.space.orientation_observable[kind] * turned
            + log_belief[:, kind]
            + torch.log(torch.tensor(3.0))
        )
        bounds = worth[:, slot, kind] - spent[:, None] * (torch.arange(weights.shape[1]) > slot)
        total = total + log_belief[:, kind].exp() * (weights * bounds).sum(-1)
    return total.sum()


def test_slopes_of_beliefs_are_those_of_the_enumerated_bound(model):
    """Of each object's belief, all else held: with weights of the counts, and of all prefixes alike."""
    images, inference = inferred(model)
    score = scored(model, images)
    worth = class_scores(model, inference, score)
    beliefs = [step.latents.posterior.identity for step in inference.objects]
    slots = len(beliefs)
    for weights in (inference.log_count.exp().detach(), torch.full((5, slots + 1), 1 / (slots + 1))):
        surrogate = expected_over_kinds(model, inference, weights, score).sum()
        found = torch.autograd.grad(surrogate, beliefs, retain_graph=True)
        for slot, slopes in enumerate(found):
            free = beliefs[slot].detach().requires_grad_()
            value = expectation(model, inference, worth, free, slot, weights)
            (expected,) = torch.autograd.grad(value, free)
            # along normalised beliefs alone: constants added to all kinds' slopes · q say nothing
            q = beliefs[slot].detach().exp()
            centred = [part - q * part.sum(-1, keepdim=True) for part in (slopes, expected)]
            torch.testing.assert_close(*centred, rtol=1e-3, atol=1e-2)
            assert slopes.abs().max() > 0


def kind_slopes(model, images, **settings):
    whole = {"warm_up_steps": 0, "wake": 0, "overlap_nats_per_m": 0} | settings
    objective = build_objective(model, ElboSettings(**whole))
    model.zero_grad()
    objective.loss(images, 0, seeded(2))[0].backward()
    return model.object_head.output.bias.grad[: len(model.space.orientation_observable)].clone()


def test_with_every_kind_tried_the_bound_teaches_kinds(model):
    images, _ = inferred(model)
    assert (kind_slopes(model, images, identity="wake") == 0).all()
    slopes = kind_slopes(model, images, identity="local")
    assert slopes.abs().min() > 0
    assert slopes.sum() == pytest.approx(0, abs=1e-3 * float(slopes.abs().max()))


def test_images_explained_badly_pull_less_and_others_as_ever():
    """By so much that each is divided by one and its share of the leeway."""
    model = fresh_model(SINGLE, sigma=0.3)
    images, inference = inferred(model, 6)
    rest = {"warm_up_steps": 0, "wake": 0}
    objective = build_objective(model, ElboSettings(misfit_scale_nats=50.0, **rest))
    pixels = images.rgb[0].numel()
    noise = -pixels * (0.5 + torch.log(torch.tensor(0.3 * (2 * torch.pi) ** 0.5)))
    short = (noise - (inference.log_count.exp() * inference.log_likelihood).sum(-1)).clamp(min=0)
    assert isinstance(objective, ElboObjective)
    divisor = objective.ascent.misfit_temperature(inference, images)[:, 0]
    torch.testing.assert_close(divisor, 1 + short / 50.0)
    assert divisor.min() >= 1
    assert divisor.max() > 1.5
    loss, _ = objective.loss(images, 0, seeded(2))
    unhurried, _ = build_objective(model, ElboSettings(misfit_scale_nats=1e9, **rest)).loss(
        images, 0, seeded(2)
    )
    plain, _ = build_objective(model, ElboSettings(**rest)).loss(images, 0, seeded(2))
    torch.testing.assert_close(unhurried, plain, rtol=1e-5, atol=1e-3)
    assert not torch.isclose(loss, plain, rtol=1e-3)
