"""Stopping at the first absent object gives the answers of looking to the end, for less."""

import itertools
import math

import pytest
import torch
from torch import nn

from inverse_graphics.distributions.sampler import AtMeans
from inverse_graphics.models.air import attend_infer_repeat
from inverse_graphics.models.air2d import Air2D, Air2DSettings
from inverse_graphics.models.early_stop import infer_until_absent, stopped_counts

SIZES = {"image_size": 16, "glimpse_size": 8, "features": 12, "hidden": 10, "head": 9, "what": 4}
VARIANTS = [{}, {"sees": "difference", "background": {"latents": 2}}, {"memory": "none", "sees": "both"}]


@pytest.fixture(params=VARIANTS, ids=str)
def model(request):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        network = Air2D(Air2DSettings.model_validate(SIZES | {"max_objects": 4} | request.param)).double()
        with torch.no_grad():  # presences of all kinds, on either side of one half
            nn.init.normal_(network.see.weight, std=0.5)
            nn.init.normal_(network.presence.weight, std=9.0)
            network.presence.bias.add_(torch.stack(halting_logits(network, random_images(50))).median())
    return network


def random_images(batch):
    return torch.rand(batch, 1, 16, 16, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


@torch.no_grad()
def test_same_counts_likelihoods_and_objects_as_looking_to_the_end(model):
    images = random_images(300)
    every = attend_infer_repeat(model, images, AtMeans())
    few = infer_until_absent(model, images, AtMeans())
    counts = every.most_probable_count
    assert len(counts.unique()) > 1
    assert torch.equal(few.most_probable_count, counts)
    rows = torch.arange(len(images))
    assert torch.allclose(few.log_likelihood[rows, counts], every.log_likelihood[rows, counts])
    for index, (one, same) in enumerate(zip(few.objects, every.objects, strict=False)):
        there = counts > index
        assert torch.allclose(one.latents.where[there], same.latents.where[there])
        assert torch.allclose(one.latents.after[there], same.latents.after[there])
    assert torch.allclose(few.log_count.exp().sum(-1), torch.ones(300, dtype=torch.float64))


@torch.no_grad()
def test_no_image_costs_more_steps_than_it_needs(model):
    images, seen = random_images(200), []
    step = model.step

    def counting(state, sampler):
        seen.append(len(state.images))
        return step(state, sampler)

    halts = torch.stack(halting_logits(model, images), -1) > 0
    needed = [int((halts[:, :index].sum(-1) == 0).sum()) for index in range(4)]
    model.step = counting
    infer_until_absent(model, images, AtMeans())
    assert seen == [rows for rows in needed if rows]
    assert sum(seen) < 4 * len(images)


def halting_logits(model, images):
    state, logits = model.begin(images, AtMeans()).state, []
    for _ in range(model.max_objects):
        step = model.step(state, AtMeans())
        logits.append(step.halt_logit)
        state = step.state
    return logits


@pytest.mark.parametrize("run", [1, 2, 3])
def test_counts_as_far_as_was_looked_equal_a_loop_over_steps(run):
    """Reference: walk along the stick; what lies beyond the first absence goes to the next count."""
    grid = torch.tensor(list(itertools.product([-2.0, -0.1, 0.1, 3.0], repeat=run)), dtype=torch.float64)
    log_count, log_present = stopped_counts(grid, 3)
    for logits, found, present in zip(
        grid.tolist(), log_count.exp().tolist(), log_present.exp(), strict=True
    ):
        expected, alive, exists = [0.0] * 5, 1.0, [0.0] * 3
        for index, logit in enumerate(logits):
            halt = alive / (1 + math.exp(-logit))
            expected[index] = halt
            alive -= halt
            exists[index] = alive
            if logit > 0 or index + 1 == run:
                expected[index + 1] = alive
                break
        assert found == pytest.approx(expected[:4])
        assert present.tolist() == pytest.approx(exists)
        assert sum(found) == pytest.approx(1)
