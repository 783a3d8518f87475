"""Stopping at the first absent object gives the answers of looking to the end, for less."""

import itertools
import math

import pytest
import torch
from torch import nn

from inverse_graphics.distributions.sampler import PointEstimate
from inverse_graphics.models.air import attend_infer_repeat
from inverse_graphics.models.air2d.attention import window_box
from inverse_graphics.models.air2d.inference import read_images
from inverse_graphics.models.air2d.network import Air2D, Air2DSettings
from inverse_graphics.models.early_stop import infer_until_absent, stopped_counts

SIZES = {"image_size": 16, "glimpse_size": 8, "features": 12, "hidden": 10, "head": 9, "what": 4}
VARIANTS = [
    {},
    {"aim": "map"},
    {"sees": "difference", "background": {"latents": 2}},
    {"memory": "none", "sees": "both", "aim": "map", "corrections": 1},
]


@pytest.fixture(params=VARIANTS, ids=str)
def model(request, halting_logits):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        network = Air2D(Air2DSettings.model_validate(SIZES | {"max_objects": 4} | request.param)).double()
        with torch.no_grad():  # presences of all kinds, on either side of one half
            nn.init.normal_(network.encoder.weight, std=0.5)
            nn.init.normal_(network.presence.weight, std=9.0)
            network.presence.bias.add_(halting_logits(network, random_images(50)).median())
    return network


def random_images(batch):
    return torch.rand(batch, 1, 16, 16, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


@torch.no_grad()
def test_same_counts_objects_and_pictures_as_looking_to_the_end(model, until_absent):
    images = random_images(300)
    every = attend_infer_repeat(model, images, PointEstimate())
    findings = infer_until_absent(model, images, PointEstimate())
    counts, looked_at = every.most_probable_count, until_absent(model, images)
    assert len(counts.unique()) > 1
    assert torch.equal(findings.counts, counts)
    assert len(findings.objects) == looked_at.max()
    for index, (one, same) in enumerate(zip(findings.objects, every.objects, strict=False)):
        assert torch.equal(one.rows, (looked_at > index).nonzero()[:, 0])
        for name in ("where", "what", "before", "after"):
            assert torch.allclose(getattr(one.step.latents, name), getattr(same.latents, name)[one.rows])
        assert torch.allclose(one.step.kl, same.kl[one.rows])
    assert torch.allclose(findings.log_count.exp().sum(-1), torch.ones(300, dtype=torch.float64))


@torch.no_grad()
def test_a_reading_is_that_of_looking_to_the_end(model):
    images, rows = random_images(300), torch.arange(300)
    every = attend_infer_repeat(model, images, PointEstimate())
    counts, reading = every.most_probable_count, read_images(model, images)
    assert torch.equal(reading.counts, counts)
    assert torch.allclose(reading.log_likelihoods, every.log_likelihood[rows, counts])
    prefixes = torch.stack(model.prefixes(every.objects), 1)[:, :, 0].clamp(0, 1)
    for count in range(int(counts.max()) + 1):
        chosen = counts >= count
        assert torch.allclose(reading.prefixes[chosen, count], prefixes[chosen, count])
        if count:
            windows = window_box(every.objects[count - 1].latents.where, 16, 16)
            assert torch.allclose(reading.windows[chosen, count - 1], windows[chosen])
    assert reading.windows.shape == reading.boxes.shape == (300, 4, 4)
    assert reading.summaries.shape[:2] == (300, 4)


@torch.no_grad()
def test_nothing_is_found_where_nothing_is(model):
    model.presence.bias.fill_(-1e3)
    reading = read_images(model, random_images(5))
    assert reading.counts.tolist() == [0] * 5
    assert reading.prefixes.shape == (5, 1, 16, 16)
    assert (reading.windows == 0).all()


@torch.no_grad()
def test_no_image_costs_more_than_it_needs(model, monkeypatch, until_absent):
    """One presence prediction per object and one more below the maximum, one attention step per object."""
    images = random_images(200)
    counts = until_absent(model, images)
    seen = {"predict_presence": 0, "attend": 0}

    def counted(name, method):
        def call(state, *more):
            seen[name] += len(state.images)
            return method(state, *more)

        return call

    for name in seen:
        monkeypatch.setattr(model, name, counted(name, getattr(model, name)))
    infer_until_absent(model, images, PointEstimate())
    assert seen == {"predict_presence": (counts + 1).clamp_max(4).sum(), "attend": counts.sum()}


@pytest.fixture
def until_absent(halting_logits):
    """How many objects come before the first that is improbable: (B,)."""
    return lambda model, images: (halting_logits(model, images) <= 0).long().cumprod(-1).sum(-1)


@pytest.mark.parametrize("run", [1, 2, 3])
def test_counts_as_far_as_was_looked_equal_a_loop_over_steps(run):
    """Reference: walk along the stick; what lies beyond the first absence goes to the next count."""
    grid = torch.tensor(list(itertools.product([-2.0, -0.1, 0.1, 3.0], repeat=run)), dtype=torch.float64)
    for logits, found in zip(grid.tolist(), stopped_counts(grid, 3).exp().tolist(), strict=True):
        expected, alive = [0.0] * 5, 1.0
        for index, logit in enumerate(logits):
            halt = alive / (1 + math.exp(-logit))
            expected[index] = halt
            alive -= halt
            if logit > 0 or index + 1 == run:
                expected[index + 1] = alive
                break
        assert found == pytest.approx(expected[:4])
        assert sum(found) == pytest.approx(1)
