"""Searched scenes: the best of many tries are improved, and drawn by how well they explain their image."""

import pytest
import torch
from small_air3d import BEFORE_IT, SINGLE, drawn, fresh_model, seeded, table

from inverse_graphics.distributions.sampler import Defence
from inverse_graphics.likelihood import GaussianLikelihood, PyramidLikelihood
from inverse_graphics.models.air3d.proposals import propose
from inverse_graphics.models.air3d.search import Search, compared_at, searched
from inverse_graphics.models.air3d.staged import draw_prefixes

FAMILIES = {"table": table(BEFORE_IT, counts=(1, 1)), "floating": SINGLE}
WIDE = Defence(kinds=1.0, rest=0.5)


@pytest.fixture(params=list(FAMILIES.values()), ids=list(FAMILIES))
def model(request):
    return fresh_model(request.param)


def images_of(model, count):
    clean = draw_prefixes(drawn(model.stage, count), model.stage, model.engine).images[:, -1]
    return clean + model.settings.sigma * torch.randn(clean.shape, generator=seeded(1))


def explained(model, images, scenes):
    with torch.no_grad():
        drawn_again = draw_prefixes(scenes, model.stage, model.engine).images[:, -1]
    return model.likelihood.log_prob(images, drawn_again)


def test_more_tries_more_of_them_improved_and_more_steps_explain_images_better(model):
    images = images_of(model, 24)
    found = [
        explained(model, images, searched(model, images, Search(*how, defence=WIDE), 1.0, seeded(2))).mean()
        for how in ((1, 1, 0), (16, 1, 0), (16, 1, 6), (16, 4, 6))
    ]
    assert found == sorted(found)
    assert found[-1] - found[0] > 20


def test_a_high_temperature_does_not_care(model):
    images = images_of(model, 24)
    cold, hot = (
        explained(model, images, searched(model, images, Search(8, 4, 0, defence=WIDE), t, seeded(2))).mean()
        for t in (1.0, 1e9)
    )
    assert cold > hot + 50


def test_several_scenes_are_drawn_without_replacement(model):
    images = images_of(model, 5)
    proposals = propose(model, images, 6, seeded(1), WIDE)
    most = proposals.log_joint.shape[0] * proposals.log_joint.shape[2]
    scenes = proposals.resample_several(seeded(2), 1e9, most // 2)
    for image in range(5):
        own = [tuple(part[image::5].flatten(1).unbind()) for part in (scenes.position, scenes.asset)]
        pairs = {(tuple(p.tolist()), tuple(a.tolist())) for p, a in zip(*own, strict=True)}
        empty = sum(all(kind < 0 for kind in kinds) for _, kinds in pairs)
        assert len(pairs) == most // 2 or empty > 1


def test_likelihoods_are_compared_at_several_scales_only_within_the_block(model):
    with compared_at(model, 3):
        assert isinstance(model.likelihood, PyramidLikelihood)
    assert isinstance(model.likelihood, GaussianLikelihood)


def test_an_error_within_the_block_leaves_no_trace(model):
    def fail():
        with compared_at(model, 3):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert isinstance(model.likelihood, GaussianLikelihood)
