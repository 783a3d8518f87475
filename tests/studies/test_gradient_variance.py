"""Gradient variance: against numbers whose variance is known, and estimators in their known order."""

import pytest
import torch

from inverse_graphics.data.sources import open_streams
from inverse_graphics.distributions.discrete import truncated_geometric
from inverse_graphics.models.air2d.network import Air2D
from inverse_graphics.studies.estimators import (
    ESTIMATORS,
    GradientSpread,
    Schedule,
    gradient_table,
    presence_gradients,
    spread,
)
from inverse_graphics.training.air2d_task import to_network
from inverse_graphics.training.recipe import Air2DRecipe

SMALL = {"features": 12, "hidden": 12, "head": 12, "what": 3, "glimpse_size": 10, "glimpse_hidden": 12}


@pytest.mark.parametrize("scale", [0.0, 0.3, 2.0])
def test_spread_of_normal_numbers(scale):
    generator = torch.Generator().manual_seed(0)
    mean = scale * torch.randn(400, generator=generator)
    variance, square = spread(mean + 1.5 * torch.randn(50, 400, generator=generator))
    assert variance == pytest.approx(2.25, rel=0.05)
    assert square == pytest.approx(float(mean.square().mean()), rel=0.1, abs=0.02)
    shifted, _ = spread(7 + mean + torch.zeros(3, 400))
    assert shifted == pytest.approx(0)


@pytest.fixture(scope="module")
def setting():
    recipe = Air2DRecipe.model_validate(
        {"name": "small", "data": {"digits": "shipped"}, "model": SMALL | {"presence_bias": 0.0}, "steps": 10}
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = Air2D(recipe.model)
    images = to_network(open_streams(recipe.data).train.batch(24, 0, 0).images)
    return recipe, network, images


def test_estimators_come_in_their_known_order(setting):
    recipe, network, images = setting
    schedule, variances = Schedule.from_recipe(recipe, 0), {}
    for name in ("exact", "Concrete", "score function, no baseline"):
        estimator = ESTIMATORS[name].estimator(network)
        generator = torch.Generator().manual_seed(1)
        gradients = presence_gradients(estimator, network, images, schedule, 30, generator)
        assert gradients.shape == (30, SMALL["head"] + 1)
        variances[name] = spread(gradients)[0]
    assert variances["exact"] < variances["Concrete"] < variances["score function, no baseline"]
    assert 100 * variances["exact"] < variances["score function, no baseline"]


def test_the_schedule_is_where_the_recipe_is(setting):
    recipe, _, _ = setting
    for step in (0, 1250, 9999):
        schedule = Schedule.from_recipe(recipe, step)
        assert schedule.warm_up_fraction == recipe.objective.warm_up_fraction(step)
        assert torch.equal(schedule.log_count_prior, truncated_geometric(recipe.objective.log_odds(step), 3))


def test_the_table_has_a_row_for_each_estimator_and_a_column_for_each_stage():
    spreads = [
        GradientSpread(space, step, name, 0.5, 0.25)
        for space, step in (("start", 0), ("end", 1999))
        for name in ("exact", "other")
    ]
    lines = gradient_table(spreads)
    assert "| estimator | start, step 0 | end, step 1,999 |" in lines
    assert "| other | 0.5 (0.25) | 0.5 (0.25) |" in lines
    assert sum(line.startswith("| ") for line in lines) == 3
